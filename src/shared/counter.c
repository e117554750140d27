/* counter.c: a number that grows and can be waited for.
 *
 *   A1  add 2n  (acquire, release) ------> W1  load, large enough (acquire)
 *
 * Bit 0 says that somebody sleeps; who adds and finds it clears it and wakes
 * all, and who is not satisfied sets it again. The futex is the low half, which
 * holds bit 0: an addition of a multiple of 2^31 leaves it as it was, and a
 * sleeper sees that after its slice (sleep.h), as it does when the adder was
 * killed before the wake. */
#include <limits.h>

#include "muster/lock.h"

#include "shared/sleep.h"

#define SLEEPERS UINT64_C(1)

uint64_t mu_counter_add(struct mu_counter *c, uint64_t n)
{
    _Atomic uint64_t *word = mui_word64(&c->word);
    /* A1, pairs with W1 in mu_counter_wait() */
    uint64_t before =
        atomic_fetch_add_explicit(word, n << 1, memory_order_acq_rel);

    if (before & SLEEPERS) {
        /* relaxed: only announces; a sleeper that sets it again after this saw
         * A1 */
        (void)atomic_fetch_and_explicit(word, ~SLEEPERS, memory_order_relaxed);
        (void)mui_futex_wake(mui_low_half(word), INT_MAX, 1);
    }
    return before >> 1;
}

uint64_t mu_counter_value(const struct mu_counter *c)
{
    return atomic_load_explicit((const _Atomic uint64_t *)&c->word,
                                memory_order_acquire) >>
           1;
}

int mu_counter_wait(struct mu_counter *c, uint64_t value, int64_t deadline)
{
    _Atomic uint64_t *word = mui_word64(&c->word);
    struct mui_sleep sleep = MUI_SLEEP(deadline);

    for (;;) {
        /* W1, pairs with A1 in mu_counter_add() */
        uint64_t seen = atomic_load_explicit(word, memory_order_acquire);

        if (seen >> 1 >= value)
            return 0;
        if (mui_sleep_spin(&sleep))
            continue;
        /* relaxed: only announces */
        if (deadline != MU_NOW && !(seen & SLEEPERS) &&
            !atomic_compare_exchange_strong_explicit(
                word, &seen, seen | SLEEPERS, memory_order_relaxed,
                memory_order_relaxed))
            continue;
        if (mui_sleep_wait(&sleep, mui_low_half(word),
                           (uint32_t)(seen | SLEEPERS)) == MU_TIMEOUT)
            return MU_TIMEOUT;
    }
}
