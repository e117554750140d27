/* mutex.c: a lock whose one word names its holder.
 *
 *       holder A                             next holder B
 *   L1  0 -> A        (acquire)
 *       writes data
 *   U1  A -> 0        (release) ---------->  L1  0 -> B       (acquire)
 *                                                reads data
 *   and when A died:
 *       writes some data, is killed          L2  A -> B       (acquire)
 *
 * L2 needs no edge from A's thread: that thread is seen dead through the kernel,
 * so all its stores are in memory before.
 *
 * Waiters set MUI_WAITERS in the word before they sleep (W1); who then lets go finds
 * that his word changed, swaps it for 0 and wakes one (U2). Who slept takes the lock
 * with the bit set, since others may still sleep: one wake too many, none too
 * few.
 *
 * Killed at any instruction: before L1 nothing happened. From L1 to U1 the word
 * names a dead thread and L2 takes it over, once, since it is one
 * compare-and-swap. Between U1 and the wake the word is 0 and sleepers find it
 * at the end of their slice (sleep.h). A killed waiter leaves its bit behind: one
 * useless wake.
 *
 * ABA: a word is only taken over from a holder that is dead, and between the look at it
 * and L2 43 minutes do not pass, after which another thread could have the same name, to
 * the tick (sys/owner.h).
 * Progress: blocking. One compare-and-swap each for a free lock. */
#include "shared/mutex.h"

#include <errno.h>
#include <stdbool.h>

#include "shared/sleep.h"
#include "sys/owner.h"

/* Bugs on purpose, that the tests have to see. */
#ifdef BUG_MUTEX_RELAXED
#    define ORDER_U1 memory_order_relaxed
#else
#    define ORDER_U1 memory_order_release
#endif
#ifdef BUG_MUTEX_NO_TAKE_OVER
#    define mui_owner_is_dead(owner) ((void)(owner), 0)
#endif

/* L2: take over from a dead holder. MU_EMPTY when it is not ours now; else what
 * mui_hold() returns. */
static int hold_take_over(_Atomic uint64_t *word, uint64_t seen, uint64_t self,
                          uint64_t mark)
{
    int answer = seen & (MUI_READING | MUI_SEATS) ? 0 : MU_OWNER_DIED;

    if (answer != 0)
        mark = 0;
    if ((seen != MUI_ORPHAN && !mui_owner_is_dead(seen)) ||
        !atomic_compare_exchange_strong_explicit(
            word, &seen, self | mark | MUI_WAITERS, memory_order_seq_cst,
            memory_order_relaxed))
        return MU_EMPTY;
    return answer;
}

/* W1 */
int mui_hold_announce(_Atomic uint64_t *word, uint64_t *seen)
{
    if (*seen & MUI_WAITERS)
        return 1;
    /* relaxed: nothing but the word itself is read after it */
    if (!atomic_compare_exchange_strong_explicit(
            word, seen, *seen | MUI_WAITERS, memory_order_relaxed,
            memory_order_relaxed))
        return 0;
    *seen |= MUI_WAITERS;
    return 1;
}

static bool is_free(uint64_t seen)
{
    return (seen & ~MUI_SEATS) == 0;
}

int mui_hold(_Atomic uint64_t *word, uint64_t self, uint64_t mark, uint64_t end,
             int64_t deadline)
{
    struct mui_sleep sleep = MUI_SLEEP(deadline);
    uint64_t waiters = 0; /* MUI_WAITERS once we slept */
    uint64_t seen = 0;
    int rc = 0;

    for (;;) {
        /* L1, pairs with U1 and U2 in mui_let_go(); seq_cst for S3 in rwlock.c, as L2 */
        if (is_free(seen) && atomic_compare_exchange_strong_explicit(
                                 word, &seen, self | mark | waiters,
                                 memory_order_seq_cst, memory_order_acquire))
            return 0;
        if (seen == end || (seen & mark & MUI_READING))
            return MU_CLOSED;
        if ((seen & MUI_OWNER_MASK) == self)
            return -EDEADLK;
        if (!is_free(seen) && seen != MUI_ORPHAN && !mui_sleep_spin(&sleep)) {
            if (deadline != MU_NOW && !mui_hold_announce(word, &seen))
                continue;
            waiters = MUI_WAITERS;
            rc = mui_sleep_wait(&sleep, mui_low_half(word), (uint32_t)seen);
        }
        if (seen == MUI_ORPHAN || rc != 0) {
            int answer = hold_take_over(word, seen, self, mark);

            if (answer != MU_EMPTY)
                return answer;
            if (rc == MU_TIMEOUT)
                return MU_TIMEOUT;
            rc = 0;
        }
        /* acquire, for `end`: pairs with D1 in mu_once_run() */
        seen = atomic_load_explicit(word, memory_order_acquire);
    }
}

int mui_let_go(_Atomic uint64_t *word, uint64_t self, uint64_t value,
               int n_wake)
{
    uint64_t seen = self;

    /* U1, pairs with L1 in mui_hold() */
    if (atomic_compare_exchange_strong_explicit(word, &seen, value, ORDER_U1,
                                                memory_order_relaxed))
        return 0;
    if ((seen & MUI_OWNER_MASK) != self)
        return -EPERM;
    /* U2: there are marks, and only we may take our name away */
    seen = atomic_exchange_explicit(word, value, memory_order_release);
    if (seen & MUI_WAITERS)
        (void)mui_futex_wake(mui_low_half(word), n_wake, 1);
    return 0;
}

/* ---- the mutex --------------------------------------------------------------
 *
 * What a free lock costs is these two functions: they call nothing but at their end,
 * so that they need no stack. */

static __attribute__((noinline)) int mutex_lock_slowly(struct mu_mutex *m,
                                                       int64_t deadline)
{
    return mui_hold(mui_word64(&m->word), mui_owner_self(), 0, MUI_NO_END,
                    deadline);
}

static __attribute__((noinline)) int mutex_unlock_slowly(struct mu_mutex *m)
{
    return mui_let_go(mui_word64(&m->word), mui_owner_self(), 0, 1);
}

MUI_FAST_PATH int mu_mutex_lock(struct mu_mutex *m, int64_t deadline)
{
    uint64_t seen = 0;

#ifdef BUG_MUTEX_LOAD_STORE
    if (atomic_load_explicit(mui_word64(&m->word), memory_order_acquire) == 0) {
        atomic_store_explicit(mui_word64(&m->word), mui_owner_self(),
                              memory_order_relaxed);
        return 0;
    }
#endif
    /* L1, the fast path of mui_hold() */
    if (mui_owner_is_cached() &&
        __builtin_expect(atomic_compare_exchange_strong_explicit(
                             mui_word64(&m->word), &seen, mui_owner_cache.owner,
                             memory_order_acquire, memory_order_relaxed),
                         1))
        return 0;
    return mutex_lock_slowly(m, deadline);
}

MUI_FAST_PATH int mu_mutex_unlock(struct mu_mutex *m)
{
    uint64_t seen = mui_owner_cache.owner;

    /* U1, the fast path of mui_let_go() */
    if (mui_owner_is_cached() &&
        __builtin_expect(
            atomic_compare_exchange_strong_explicit(
                mui_word64(&m->word), &seen, 0, ORDER_U1, memory_order_relaxed),
            1))
        return 0;
    return mutex_unlock_slowly(m);
}
