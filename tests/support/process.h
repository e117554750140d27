/* process.h: the state that a process is in. */
#ifndef TEST_PROCESS_H
#define TEST_PROCESS_H

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "support/check.h"

/* As /proc tells it: 'S' it sleeps, 'T' it was stopped, 'Z' it has ended and nobody has
 * waited for it; 0: it has gone. */
static inline char test_state(pid_t pid)
{
    char path[64];
    char text[512] = "";
    const char *name_end; /* "PID (NAME) STATE" */
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    (void)!read(fd, text, sizeof text - 1);
    (void)close(fd);
    name_end = strrchr(text, ')');
    return name_end ? name_end[2] : (char)0;
}

/* Wait until a process that does nothing else sleeps in a call. */
static inline void test_await_sleep(pid_t pid)
{
    const int64_t end_ns = test_deadline();
    char now;

    while ((now = test_state(pid)) != 'S') {
        CHECK_CHILD(now != 0 && mu_now_ns() < end_ns);
        (void)sched_yield();
    }
}

/* And wait until it is. */
static inline void test_stop(pid_t pid)
{
    const int64_t end_ns = test_deadline();

    CHECK_CHILD(test_kill(pid, SIGSTOP) == 0);
    while (test_state(pid) != 'T') {
        CHECK_CHILD(mu_now_ns() < end_ns);
        (void)sched_yield();
    }
}

#endif
