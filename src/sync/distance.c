/* distance.c: the load that is timed. */
#include "sync/distance.h"

#include "muster/base.h"

#include "sync/fence.h"

uint64_t mui_distance_load(struct mui_distance *d, const _Atomic uint64_t *word,
                           uint64_t seen)
{
    int64_t before;
    int64_t start;
    uint64_t now;

    /* Stores that wait for their lines would be timed with it. */
    mui_fence_full();
    before = mu_now_ns();
    start = mu_now_ns();
    now = atomic_load_explicit(word, memory_order_acquire);
    if (now != seen) /* less what it costs to ask the clock */
        mui_distance_note(d, mu_now_ns() - start - (start - before));
    return now;
}
