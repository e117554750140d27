/* barrier.c: n threads leave together.
 *
 *   B1  arrived + 1 (acquire, release) --> B1 of the next to arrive, ... -->
 *       the last: generation + 1, arrived = 0 (the same read-modify-write)
 *       ------> B2  load a new generation (acquire) in each of the others
 *
 *     bits 0..11 n | bits 12..23 arrived | bits 24..31 generation
 *
 * One word holds all three, so an arrival counts in the generation it saw or
 * not at all, and taking one back after a timeout is one compare-and-swap.
 * Wrap-around: a generation ends only when all n have arrived, a sleeper is one
 * of them, so it never sleeps through two. Only with more than n threads can others go
 * on without it, 256 times in one slice of its sleep; it leaves with a later generation.
 * Killed before B1 or after it: it has not arrived, or has; nobody replaces a
 * dead one, so wait with a deadline. Killed between the last B1 and the wake:
 * the others see the generation after their slice. */
#include <errno.h>
#include <limits.h>

#include "muster/lock.h"

#include "shared/sleep.h"

#define N_MASK       MU_BARRIER_MAX
#define ARRIVED_ONE  UINT32_C(0x1000)
#define ARRIVED_MASK UINT32_C(0xfff000)
#define GENERATION   UINT32_C(0x1000000)

int mu_barrier_init(struct mu_barrier *b, uint32_t n)
{
    if (n == 0 || n > MU_BARRIER_MAX)
        return -EINVAL;
    atomic_store_explicit(mui_word32(&b->word), n, memory_order_release);
    return 0;
}

/* Take an arrival back. 1 when it was still of this generation. */
static int barrier_leave(_Atomic uint32_t *word, uint32_t generation)
{
    uint32_t seen = atomic_load_explicit(word, memory_order_relaxed);

    /* relaxed: who leaves has neither given nor seen anything */
    while ((seen & ~ARRIVED_MASK) == generation) {
        if (atomic_compare_exchange_weak_explicit(
                word, &seen, seen - ARRIVED_ONE, memory_order_relaxed,
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
        if ((seen & N_MASK) == 0)
            return -EINVAL;
        is_last = (seen & ARRIVED_MASK) / ARRIVED_ONE + 1 >= (seen & N_MASK);
        generation = seen & ~ARRIVED_MASK;
        next = is_last ? generation + GENERATION : seen + ARRIVED_ONE;
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
