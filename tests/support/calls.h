/* calls.h: whether the kernel says here if a task made a system call (sys/calls.h). */
#ifndef TEST_SUPPORT_CALLS_H
#define TEST_SUPPORT_CALLS_H

#include <stdbool.h>
#include <sys/prctl.h>

#include "sys/sanitize.h"

/* By the kernel alone: what we make of it is what is tested. */
static inline bool test_tells_calls(void)
{
#ifdef __x86_64__
    /* PR_SET_SYSCALL_USER_DISPATCH, and off */
    return !MUI_TSAN && prctl(59, 0, 0, 0, 0) == 0;
#else
    return false;
#endif
}

#endif
