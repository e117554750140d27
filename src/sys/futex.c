/* futex.c: the futex system call. */
#include "sys/futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "muster/base.h"

int mui_futex_wait(const _Atomic uint32_t *word, uint32_t expected, int shared,
                   int64_t deadline_ns)
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

int mui_futex_wake(const _Atomic uint32_t *word, int n_max, int shared)
{
    int op = FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG);
    int saved = errno;
    long n = syscall(SYS_futex, word, op, n_max, NULL, NULL, 0);

    errno = saved;
    return n < 0 ? 0 : (int)n;
}
