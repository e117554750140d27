/* flow.h: which lane the calling thread serves now, so that a crash can be laid at
 * the right door. */
#ifndef MUI_SYS_FLOW_H
#define MUI_SYS_FLOW_H

#include <stdint.h>

/* This thread serves `lane` from now on, below the frame of the caller; NULL:
 * none. A layer that switches flows
 * on one thread says so at each switch. */
void mui_flow_serve(const void *lane);

/* NULL: none. Signal-safe. */
const void *mui_flow_lane(void);

/* Have `died` called on a thread that ends while it serves a lane: its task called
 * pthread_exit(). Once a process, before threads serve. 0 or -errno. */
int mui_flow_watch(void (*died)(void));

/* The same for a thread that has ended without having been able to say so, by a system
 * call or the kernel: the caller speaks for it. `lane`: whose task it ran; NULL: none.
 * Returns only if nothing watches. */
void mui_flow_lost(const void *lane);

/* For a stack pointer on the stack of a task: where the stack of its caller
 * begins. 0: not known. Signal-safe. */
uintptr_t mui_flow_floor(uintptr_t sp);

#endif
