/* latch.c: a number that is counted down to 0 once.
 *
 *   D1  subtract n  (acquire, release) -> D1 of the next, ... -> W1 load 0
 *                                                                (acquire)
 * Bit 31 says that somebody sleeps. Killed between the last D1 and the wake:
 * sleepers see 0 after their slice. */
#include <errno.h>
#include <limits.h>

#include "muster/lock.h"

#include "shared/sleep.h"

#define SLEEPERS UINT32_C(0x80000000)

void mu_latch_init(struct mu_latch *l, uint32_t n)
{
    atomic_store_explicit(mui_word32(&l->word), n & ~SLEEPERS,
                          memory_order_release);
}

int mu_latch_count_down(struct mu_latch *l, uint32_t n)
{
    _Atomic uint32_t *word = mui_word32(&l->word);
    uint32_t seen = atomic_load_explicit(word, memory_order_relaxed);

    do {
        if ((seen & ~SLEEPERS) < n)
            return -EOVERFLOW;
        /* D1, pairs with W1 in mu_latch_wait() */
    } while (!atomic_compare_exchange_weak_explicit(
        word, &seen, seen - n, memory_order_acq_rel, memory_order_relaxed));
    if (seen - n == SLEEPERS)
        (void)mui_futex_wake(word, INT_MAX, 1);
    return 0;
}

int mu_latch_wait(struct mu_latch *l, int64_t deadline)
{
    _Atomic uint32_t *word = mui_word32(&l->word);
    struct mui_sleep sleep = MUI_SLEEP(deadline);

    for (;;) {
        /* W1, pairs with D1 in mu_latch_count_down() */
        uint32_t seen = atomic_load_explicit(word, memory_order_acquire);

        if ((seen & ~SLEEPERS) == 0)
            return 0;
        if (mui_sleep_spin(&sleep))
            continue;
        /* relaxed: only announces */
        if (deadline != MU_NOW && !(seen & SLEEPERS) &&
            !atomic_compare_exchange_strong_explicit(
                word, &seen, seen | SLEEPERS, memory_order_relaxed,
                memory_order_relaxed))
            continue;
        if (mui_sleep_wait(&sleep, word, seen | SLEEPERS) == MU_TIMEOUT)
            return MU_TIMEOUT;
    }
}
