/* check.h: cmocka and what it needs, memory that forked children share, and a
 * deadline that only a hang reaches. */
#ifndef TEST_CHECK_H
#define TEST_CHECK_H

/* cmocka.h needs the others before it */
/* clang-format off */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
/* clang-format on */

#include "muster/base.h"

/* Whether a sanitizer looks on, at several times the price. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define TEST_IS_SANITIZED
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#        define TEST_IS_SANITIZED
#    endif
#endif

/* Far beyond what any correct run takes, below ctest's own limit. */
#ifndef TEST_HANG_NS
#    define TEST_HANG_NS INT64_C(120000000000)
#endif

static inline int64_t test_deadline(void)
{
    return mu_after_ns(TEST_HANG_NS);
}

static inline void *test_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        abort();
    return memory;
}

/* Run fn in a child; it succeeds by returning. */
static inline pid_t test_fork(void (*fn)(void *), void *arg)
{
    pid_t pid = fork();

    if (pid < 0)
        abort();
    if (pid == 0) {
        fn(arg);
        _exit(0);
    }
    return pid;
}

static inline int test_wait(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) != pid)
        abort();
    return status;
}

/* In a child or a thread, where cmocka's assertions do not work. */
#define CHECK_CHILD(condition)                                                 \
    do {                                                                       \
        if (!(condition)) {                                                    \
            (void)fprintf(stderr, "line %d: %s\n", __LINE__, #condition);      \
            abort();                                                           \
        }                                                                      \
    } while (0)

/* kill() of one process, as every test signals them: -1, which looking up one that is not
 * there gives, would be every process of the machine. */
static inline int test_kill(pid_t pid, int signal)
{
    CHECK_CHILD(pid > 1);
    return kill(pid, signal);
}

/* Wait until a process has ended that need not be a child. */
static inline void test_await_end(pid_t pid)
{
    struct pollfd ended = {.fd = (int)syscall(SYS_pidfd_open, pid, 0),
                           .events = POLLIN};

    CHECK_CHILD(ended.fd >= 0 ? poll(&ended, 1, TEST_HANG_NS / 1000000) == 1
                              : errno == ESRCH);
    if (ended.fd >= 0)
        (void)close(ended.fd);
}

#endif
