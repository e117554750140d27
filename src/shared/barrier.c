/* barrier.c: n threads leave together.
 *
 *   B1  arrived + 1 (acquire, release) --> B1 of the next to arrive, ... -->
 *       the last: generation + 1, arrived = 0 (the same read-modify-write)
 *       ------> B2  load a new generation (acquire) in each of the others
 *
 * One word holds both numbers, so an arrival counts in the generation it saw or
 * not at all, and taking one back after a timeout is one compare-and-swap.
 * Wrap-around: a generation ends only when all n have arrived, a sleeper is one
 * of them, so it never sleeps through two.
 * Killed before B1 or after it: it has not arrived, or has; nobody replaces a
 * dead one, so wait with a deadline. Killed between the last B1 and the wake:
 * the others see the generation after their slice. */
#include <errno.h>
#include <limits.h>

#include "muster/lock.h"

#include "shared/sleep.h"

#define ARRIVED_MASK UINT32_C(0xffff)
#define GENERATION   UINT32_C(0x10000)

int mu_barrier_init(struct mu_barrier *b, uint32_t n)
{
    if (n == 0 || n > MU_BARRIER_MAX)
        return -EINVAL;
    b->n = n;
    atomic_store_explicit(mui_word32(&b->word), 0, memory_order_release);
    return 0;
}

/* Take an arrival back. 1 when it was still of this generation. */
static int barrier_leave(_Atomic uint32_t *word, uint32_t generation)
{
    uint32_t seen = atomic_load_explicit(word, memory_order_relaxed);

    /* relaxed: who leaves has neither given nor seen anything */
    while ((seen & ~ARRIVED_MASK) == generation) {
        if (atomic_compare_exchange_weak_explicit(word, &seen, seen - 1,
                                                  memory_order_relaxed,
                                                  memory_order_relaxed))
            return 1;
    }
    return 0;
}

int mu_barrier_wait(struct mu_barrier *b, int64_t deadline, int *ret_is_last)
{
    _Atomic uint32_t *word = mui_word32(&b->word);
    struct mui_sleep sleep = MUI_SLEEP(deadline);
    uint32_t seen = atomic_load_explicit(word, memory_order_relaxed);
    uint32_t generation;
    uint32_t next;
    int is_last;

    do {
        is_last = (seen & ARRIVED_MASK) + 1 >= b->n;
        generation = seen & ~ARRIVED_MASK;
        next = is_last ? generation + GENERATION : seen + 1;
        /* B1, pairs with B1 of others and B2 */
    } while (!atomic_compare_exchange_weak_explicit(
        word, &seen, next, memory_order_acq_rel, memory_order_relaxed));
    if (is_last)
        (void)mui_futex_wake(word, INT_MAX, 1);
    while (!is_last) {
        /* B2, pairs with the last B1 */
        seen = atomic_load_explicit(word, memory_order_acquire);
        if ((seen & ~ARRIVED_MASK) != generation)
            break;
        if (mui_sleep_spin(&sleep))
            continue;
        if (mui_sleep_wait(&sleep, word, seen) == MU_TIMEOUT &&
            barrier_leave(word, generation))
            return MU_TIMEOUT;
    }
    if (ret_is_last)
        *ret_is_last = is_last;
    return 0;
}
