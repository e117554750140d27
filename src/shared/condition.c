/* condition.c: a count of signals that is slept on.
 *
 *       waiter                               signaller
 *   C1  load count, set bit 0                (holds or has held the mutex)
 *       let go of the mutex ---------------> takes the mutex, changes the state
 *       sleep while the word is as C1 left   C2  count + 1, then wake
 *
 * The mutex orders state and C1; the word only says "something happened since".
 * A signal between C1 and the sleep changes the word, so the sleep ends at once.
 * ABA: 2^31 signals between C1 and the sleep would look like none; the slice of
 * sleep.h bounds even that.
 * Killed between C2 and the wake: seen at the end of the slice. */
#include <errno.h>
#include <limits.h>

#include "muster/lock.h"

#include "shared/sleep.h"

#define SLEEPERS 1U
#define SIGNAL   2U

/* Sleep until the word is another than `seen`. */
static int signal_wait(_Atomic uint32_t *word, uint32_t seen, int64_t deadline)
{
    struct mui_sleep sleep = MUI_SLEEP(deadline);
    int rc;

    do
        rc = mui_sleep_wait(&sleep, word, seen);
    while (rc != MU_TIMEOUT &&
           atomic_load_explicit(word, memory_order_relaxed) == seen);
    if (rc == MU_TIMEOUT &&
        atomic_load_explicit(word, memory_order_relaxed) == seen)
        return MU_TIMEOUT;
    return 0;
}

int mu_condition_wait_within(struct mu_condition *c, struct mu_mutex *m,
                             int64_t deadline, int64_t lock_deadline)
{
    _Atomic uint32_t *word = mui_word32(&c->word);
    /* C1. relaxed: the mutex orders it with the state */
    uint32_t seen =
        atomic_fetch_or_explicit(word, SLEEPERS, memory_order_relaxed) |
        SLEEPERS;
    int rc = mu_mutex_unlock(m);
    int held;

    if (rc != 0)
        return rc;
    rc = signal_wait(word, seen, deadline);
    held = mu_mutex_lock(m, lock_deadline);
    if (held == MU_TIMEOUT)
        return -ETIMEDOUT;
    return held != 0 ? held : rc;
}

int mu_condition_wait(struct mu_condition *c, struct mu_mutex *m,
                      int64_t deadline)
{
    return mu_condition_wait_within(c, m, deadline, MU_NEVER);
}

void mu_condition_signal(struct mu_condition *c)
{
    _Atomic uint32_t *word = mui_word32(&c->word);

    /* relaxed, both: the mutex orders the state that the signal is about */
    if (!(atomic_load_explicit(word, memory_order_relaxed) & SLEEPERS))
        return;
    /* C2. Bit 0 stays: others may sleep */
    (void)atomic_fetch_add_explicit(word, SIGNAL, memory_order_relaxed);
    (void)mui_futex_wake(word, 1, 1);
}

void mu_condition_broadcast(struct mu_condition *c)
{
    _Atomic uint32_t *word = mui_word32(&c->word);
    uint32_t seen = atomic_load_explicit(word, memory_order_relaxed);

    do {
        if (!(seen & SLEEPERS))
            return;
        /* C2. relaxed: as above */
    } while (!atomic_compare_exchange_weak_explicit(
        word, &seen, (seen & ~SLEEPERS) + SIGNAL, memory_order_relaxed,
        memory_order_relaxed));
    (void)mui_futex_wake(word, INT_MAX, 1);
}
