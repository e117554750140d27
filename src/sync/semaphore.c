/* semaphore.c: a counting semaphore on a futex.
 *
 *       mui_semaphore_post               mui_semaphore_wait
 *   R1  add to count (release) ------->  A1  take from count (acquire)
 *
 * A waiter sleeps only while the kernel finds 0 in the count, and a post changes
 * the count before it wakes: no post falls between look and sleep. */
#include "sync/semaphore.h"

#include "muster/base.h"

#include "sys/futex.h"

void mui_semaphore_post(struct mui_semaphore *s, uint32_t n)
{
    /* R1, pairs with A1 in mui_semaphore_wait() */
    atomic_fetch_add_explicit(&s->count, n, memory_order_release);
    (void)mui_futex_wake(&s->count, (int)n, 0);
}

void mui_semaphore_wait(struct mui_semaphore *s)
{
    /* relaxed: a guess for the exchange below */
    uint32_t count = atomic_load_explicit(&s->count, memory_order_relaxed);

    for (;;) {
        if (count == 0) {
            (void)mui_futex_wait(&s->count, 0, 0, MU_NEVER);
            count = atomic_load_explicit(&s->count, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak_explicit(
                       /* A1, pairs with R1 in mui_semaphore_post() */
                       &s->count, &count, count - 1, memory_order_acquire,
                       memory_order_relaxed)) {
            return;
        }
    }
}
