/* fence.h: the two halves of a fence that costs only one side.
 *
 *       who acts often                       who sleeps seldom
 *       store data                           store "I sleep"
 *       mui_fence_light()                    mui_fence_heavy()
 *       load "I sleep"                       load data
 *
 * At least one of the two loads sees the other side's store. The light half only
 * holds the compiler back. The heavy half makes the kernel put a full fence into
 * every thread of every process that called mui_fence_join(), and into its own.
 *
 * Where the kernel refuses (mui_fence_join() says so), the light half is a full
 * fence in this process; whoever uses the heavy half must then not sleep for long,
 * because the peer may rely on a fence that did not come. */
#ifndef MUI_SYNC_FENCE_H
#define MUI_SYNC_FENCE_H

#include <stdatomic.h>
#include <stdbool.h>

/* Whether this process takes part; set once, before its first light half. */
extern _Atomic bool mui_fence_is_asymmetric;

/* Take part. Call it in each process before it uses either half; forked children
 * are part of it when their parent was. False: the kernel refuses. Any thread. */
bool mui_fence_join(void);

void mui_fence_heavy(void);

static inline void mui_fence_full(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

/* Hold the compiler back, and nothing else. */
static inline void mui_fence_compiler(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void mui_fence_light(void)
{
    /* relaxed: set before the ring that is fenced was made */
    if (atomic_load_explicit(&mui_fence_is_asymmetric, memory_order_relaxed))
        mui_fence_compiler();
    else
        mui_fence_full();
}

#endif
