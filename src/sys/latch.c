/* latch.c: a count-down on one futex word. */
#include "sys/latch.h"

#include <limits.h>

#include "muster/base.h"

#include "sys/futex.h"

void mui_latch_init(struct mui_latch *latch, uint32_t n)
{
    atomic_init(&latch->left, n);
}

void mui_latch_down(struct mui_latch *latch)
{
    /* release: pairs with the acquire in mui_latch_wait(); acquire: the last one
     * hands on what the others released */
    if (atomic_fetch_sub_explicit(&latch->left, 1, memory_order_acq_rel) == 1)
        mui_futex_wake(&latch->left, INT_MAX, 0);
}

void mui_latch_wait(struct mui_latch *latch)
{
    uint32_t left;

    while ((left = atomic_load_explicit(&latch->left, memory_order_acquire)) !=
           0)
        (void)mui_futex_wait(&latch->left, left, 0, MU_NEVER);
}
