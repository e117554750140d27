/* semaphore.c: a number that is waited for.
 *
 *   G1  add n       (release) ----------> T1  subtract 1   (acquire)
 *
 * Bit 31 says that somebody sleeps: a taker sets it while the number is 0, by a
 * compare-and-swap from exactly 0; a giver who finds it clears it and wakes all,
 * and who then finds 0 sets it again. Waking all is dear with many takers, but
 * needs no count of sleepers, which a killed one would leave wrong.
 *
 * Killed between G1 and the wake: sleepers find the number after their slice.
 * What a dead taker took is gone: a semaphore has no holder. */
#include <errno.h>
#include <limits.h>

#include "muster/lock.h"

#include "shared/sleep.h"

#define SLEEPERS UINT32_C(0x80000000)

void mu_semaphore_init(struct mu_semaphore *s, uint32_t value)
{
    atomic_store_explicit(mui_word32(&s->word), value & ~SLEEPERS,
                          memory_order_release);
}

int mu_semaphore_take(struct mu_semaphore *s, int64_t deadline)
{
    _Atomic uint32_t *word = mui_word32(&s->word);
    struct mui_sleep sleep = MUI_SLEEP(deadline);
    uint32_t seen = atomic_load_explicit(word, memory_order_relaxed);

    for (;;) {
        if ((seen & ~SLEEPERS) != 0) {
            /* T1, pairs with G1 in mu_semaphore_give() */
            if (atomic_compare_exchange_weak_explicit(word, &seen, seen - 1,
                                                      memory_order_acquire,
                                                      memory_order_relaxed))
                return 0;
            continue;
        }
        if (!mui_sleep_spin(&sleep)) {
            /* relaxed: only announces; what is taken is taken by T1 */
            if (seen == 0 && deadline != MU_NOW &&
                !atomic_compare_exchange_strong_explicit(word, &seen, SLEEPERS,
                                                         memory_order_relaxed,
                                                         memory_order_relaxed))
                continue;
            if (mui_sleep_wait(&sleep, word, SLEEPERS) == MU_TIMEOUT)
                return MU_TIMEOUT;
        }
        seen = atomic_load_explicit(word, memory_order_relaxed);
    }
}

int mu_semaphore_give(struct mu_semaphore *s, uint32_t n)
{
    _Atomic uint32_t *word = mui_word32(&s->word);
    uint32_t seen = atomic_load_explicit(word, memory_order_relaxed);

    do {
        if (n > MU_SEMAPHORE_MAX - (seen & ~SLEEPERS))
            return -EOVERFLOW;
        /* G1, pairs with T1 in mu_semaphore_take() */
    } while (!atomic_compare_exchange_weak_explicit(
        word, &seen, (seen & ~SLEEPERS) + n, memory_order_release,
        memory_order_relaxed));
    if (seen & SLEEPERS)
        (void)mui_futex_wake(word, INT_MAX, 1);
    return 0;
}

uint32_t mu_semaphore_value(const struct mu_semaphore *s)
{
    return atomic_load_explicit((const _Atomic uint32_t *)&s->word,
                                memory_order_acquire) &
           ~SLEEPERS;
}
