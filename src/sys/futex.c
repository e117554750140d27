/* futex.c: the futex system call. */
#include "sys/futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "muster/base.h"

#include "sys/sanitize.h"

static int wait_until(const _Atomic uint32_t *word, uint32_t expected,
                      int shared, int64_t deadline_ns)
{
    struct timespec ts = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                          .tv_nsec = (long)(deadline_ns % 1000000000)};
    int op = FUTEX_WAIT_BITSET | (shared ? 0 : FUTEX_PRIVATE_FLAG);

    if (syscall(SYS_futex, word, op, expected,
                deadline_ns == MU_NEVER ? NULL : &ts, NULL,
                FUTEX_BITSET_MATCH_ANY) == 0)
        return 0;
    return errno == ETIMEDOUT ? MU_TIMEOUT : -errno;
}

int mui_futex_wait(const _Atomic uint32_t *word, uint32_t expected, int shared,
                   int64_t deadline_ns)
{
#if MUI_TSAN
    /* The thread sanitizer holds a signal back until its thread calls a function that
     * it intercepts, and this system call, which the kernel restarts, is none: the
     * sleeper would never see the signal. So it wakes now and then, for no reason. */
    int64_t nap_end_ns = mu_now_ns() + 20000000;

    if (nap_end_ns < deadline_ns) {
        int rc = wait_until(word, expected, shared, nap_end_ns);

        return rc == MU_TIMEOUT ? 0 : rc;
    }
#endif
    return wait_until(word, expected, shared, deadline_ns);
}

/* Of kernel 5.16, not in every header: the call, and its struct futex_waitv. */
enum { CALL_FUTEX_WAITV = 449, WAIT_SHARED_32 = 2 };
struct waited {
    uint64_t expected;
    uint64_t address;
    uint32_t flags;
    uint32_t reserved;
};

void mui_futex_wait_any(const struct mui_futex_pair *pairs, unsigned n)
{
    struct waited all[MUI_FUTEX_PAIRS_MAX];
    struct timespec *until = NULL;
#if MUI_TSAN
    /* as in mui_futex_wait() */
    int64_t nap_end_ns = mu_now_ns() + 20000000;
    struct timespec nap_end = {.tv_sec = (time_t)(nap_end_ns / 1000000000),
                               .tv_nsec = (long)(nap_end_ns % 1000000000)};

    until = &nap_end;
#endif
    for (unsigned i = 0; i < n; i++)
        all[i] = (struct waited){.expected = pairs[i].expected,
                                 .address = (uintptr_t)pairs[i].word,
                                 .flags = WAIT_SHARED_32};
    if (syscall(CALL_FUTEX_WAITV, all, n, 0, until, CLOCK_MONOTONIC) < 0 &&
        (errno == ENOSYS || errno == EPERM))
        (void)mui_futex_wait(pairs[0].word, pairs[0].expected, 1, MU_NEVER);
}

int mui_futex_wake(const _Atomic uint32_t *word, int n_max, int shared)
{
    int op = FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG);
    int saved = errno;
    long n = syscall(SYS_futex, word, op, n_max, NULL, NULL, 0);

    errno = saved;
    return n < 0 ? 0 : (int)n;
}
