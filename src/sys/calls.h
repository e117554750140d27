/* calls.h: whether a task made a system call. One that made none has changed nothing that
 * the kernel keeps for its process.
 *
 *     mui_calls_watch()     the kernel looks at `selector` at each call of this thread
 *     begin                 selector = HOLD
 *     the task              its first call is not made, but raises SIGSYS
 *     mui_calls_caught()    selector = LET, the watch is over, and the call is made
 *     end                   selector = LET
 *
 * This is syscall user dispatch, of Linux 5.11 (admin-guide/syscall-user-dispatch.rst).
 * One thread of a process is watched; not those that it starts, nor its children. The
 * price is the signal, 3 us, once for a task that makes calls, and nothing for one that
 * makes none. */
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
    _Atomic bool watched; /* and there was no call since */
};
extern struct mui_calls mui_calls;

/* Watch the calling thread from the next begin on, until its first call between begin and
 * end; watching already, do so anew. `handler` is that of SIGSYS, asks mui_calls_caught(),
 * and was installed with SA_SIGINFO and SA_ONSTACK; no other handler blocks SIGSYS. False:
 * it cannot be watched, by this system or because SIGSYS is blocked or handled in another
 * way. */
bool mui_calls_watch(void (*handler)(int, siginfo_t *, void *));

/* The task begins now. Does nothing without a watch. */
static inline void mui_calls_begin(void)
{
    if (atomic_load_explicit(&mui_calls.watched, memory_order_relaxed))
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
 * no call. */
static inline bool mui_calls_were_none(void)
{
    return atomic_load_explicit(&mui_calls.watched, memory_order_relaxed);
}

/* First thing in a handler of SIGSYS, and of every signal by which a task ends: between
 * begin and end the watch is over. True: the signal says no more than that, and the call
 * is made when the handler returns. Signal-safe. */
bool mui_calls_caught(const siginfo_t *info, void *context);

#endif
