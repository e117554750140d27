/* traced.h: a thread of this process is traced, by one who does nothing. */
#ifndef TEST_TRACED_H
#define TEST_TRACED_H

#include <sys/ptrace.h>

#include "support/check.h"

/* Have a child trace `thread`: it hears first of the end of that, keeps what would tell
 * others, and stays. Its number, once that is so; or -1. */
static inline pid_t test_traced_by_child(pid_t thread)
{
    int ready[2];
    char byte;
    pid_t child;

    if (pipe(ready) != 0)
        return -1;
    child = fork();
    if (child == 0) {
        (void)ptrace(PTRACE_SEIZE, thread, NULL, NULL);
        (void)!write(ready[1], "", 1);
        for (;;)
            (void)pause();
    }
    return child > 0 && read(ready[0], &byte, 1) == 1 ? child : -1;
}

#endif
