/* calls.h: whether a task made a system call that can change what the kernel keeps for its
 * process beyond the task.
 *
 *     mui_calls_watch()     the kernel looks at `selector` at each call of this thread
 *     begin                 selector = HOLD
 *     the task              a call is not made, but raises SIGSYS
 *     mui_calls_caught()    of the first `n_pass` those that change nothing (read(), say)
 *                           pass: they are made, and the watch goes on. With any other
 *                           selector = LET, the watch is over, and the call is made
 *     end                   selector = LET
 *
 * This is syscall user dispatch, of Linux 5.11 (admin-guide/syscall-user-dispatch.rst).
 * One thread of a process is watched; not those that it starts, nor its children. The
 * price is a signal for each call until the watch is over, 3 us, and nothing for a task
 * that makes none. */
#ifndef MUI_SYS_CALLS_H
#define MUI_SYS_CALLS_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "sys/cpu.h"

enum { MUI_CALLS_LET = 0, MUI_CALLS_HOLD = 1 /* the kernel's numbers */ };

/* Written by the watched thread and its handler of signals, read by the kernel too; else
 * zeros. Every order is relaxed: between begin and end there is a call of a function that
 * nobody knows. A line of its own, for each task of every model reads it. */
struct mui_calls {
    _Alignas(MUI_CACHE_LINE) _Atomic unsigned char selector;
    _Atomic bool
        watched; /* and there was no call since, but those that passed */
    _Atomic unsigned char n_passed; /* since begin */
    unsigned char may_pass;         /* of them */
};
extern struct mui_calls mui_calls;

/* Watch the calling thread from the next begin on, until a call between begin and end that
 * does not pass, as up to `n_pass` between a begin and its end may; watching already, do
 * so anew. `handler` is that of SIGSYS, asks mui_calls_caught(), and was installed with
 * SA_SIGINFO and SA_ONSTACK; no other handler blocks SIGSYS. False: it cannot be watched,
 * by this system or because SIGSYS is blocked or handled in another way. */
bool mui_calls_watch(void (*handler)(int, siginfo_t *, void *),
                     unsigned char n_pass);

/* The task begins now. Does nothing without a watch. */
static inline void mui_calls_begin(void)
{
    if (!atomic_load_explicit(&mui_calls.watched, memory_order_relaxed))
        return;
    atomic_store_explicit(&mui_calls.n_passed, 0, memory_order_relaxed);
    atomic_store_explicit(&mui_calls.selector, MUI_CALLS_HOLD,
                          memory_order_relaxed);
}

/* It has ended. */
static inline void mui_calls_end(void)
{
    if (!atomic_load_explicit(&mui_calls.watched, memory_order_relaxed))
        return;
    /* another value: the task wrote over it, and may have made calls */
    if (atomic_load_explicit(&mui_calls.selector, memory_order_relaxed) !=
        MUI_CALLS_HOLD)
        atomic_store_explicit(&mui_calls.watched, false, memory_order_relaxed);
    atomic_store_explicit(&mui_calls.selector, MUI_CALLS_LET,
                          memory_order_relaxed);
}

/* Whether what ran since mui_calls_watch(), between begin and end, is known to have made
 * no call but such as pass. */
static inline bool mui_calls_were_none(void)
{
    return atomic_load_explicit(&mui_calls.watched, memory_order_relaxed);
}

/* First thing in a handler of SIGSYS, and of every signal by which a task ends: between
 * begin and end the watch is over. True: the signal says no more than that, and the call
 * is made when the handler returns. Does not return for a call that passes. Signal-safe. */
bool mui_calls_caught(const siginfo_t *info, void *context);

#endif
