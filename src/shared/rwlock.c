/* rwlock.c: readers with names.
 *
 * A count of readers cannot say which of them died, so each reader writes its
 * name into a slot of its own; a writer first takes the writer's word, which
 * keeps new readers out, then waits until each slot is empty.
 *
 *       reader R                               writer W
 *   S0  raise n_more   (seq_cst)           S3  writer: 0 -> W   (seq_cst)
 *   S1  slot: 0 -> R   (seq_cst)           S4  load n_more      (seq_cst)
 *   S2  load writer    (seq_cst)           S5  load each slot   (seq_cst)
 *
 * In the one order of these either S2 sees W, and R goes back, or S4 sees R's slot
 * counted and S5 sees R in it, and W waits for it: never both inside. A reader looks
 * for a slot among the first HOME, from one that its name gives, and only when they
 * are all taken in the rest, from the front: S0 is for those, and n_more never falls,
 * so that a writer looks at few slots where few readers meet.
 *
 *   R1  slot: R -> 0   (release) --------> S5  (seq_cst, so acquire)
 *   W1  writer: W -> 0 (release) --------> S2  (seq_cst, so acquire)
 *
 * Killed at any instruction: a slot or the writer's word names a dead thread.
 * A waiting writer empties dead readers' slots, one compare-and-swap each. A
 * dead writer's word is taken over: by a writer through mui_hold(), by a reader
 * the same way and then let go. Sleepers sleep in slices (sleep.h).
 * Progress: blocking; a free lock costs a reader one read-modify-write and a
 * load, on a slot that it mostly finds where it left it. */
#include <errno.h>
#include <limits.h>

#include "muster/lock.h"

#include "shared/mutex.h"
#include "shared/sleep.h"
#include "sys/owner.h"

#define HOME 31 /* slots that are always looked at */

/* Where a thread looks first, so that readers do not share a word. */
static unsigned slot_first(uint64_t self)
{
    return (unsigned)((self & 0x3fffff) * 2654435761U >> 16) % HOME;
}

/* The k-th slot that a thread looks at. */
static _Atomic uint64_t *slot_at(struct mu_rwlock *l, unsigned first,
                                 unsigned k)
{
    return mui_word64(&l->readers[k < HOME ? (first + k) % HOME : k]);
}

/* How many slots may be in use. What the memory says is not believed further than
 * there are slots. */
static unsigned n_slots(struct mu_rwlock *l)
{
    /* S4, pairs with S0 in slot_claim() */
    uint32_t n_more =
        atomic_load_explicit(mui_word32(&l->n_more), memory_order_seq_cst);

    return HOME + (n_more < MU_RWLOCK_READERS - HOME
                       ? n_more
                       : MU_RWLOCK_READERS - HOME);
}

/* S0: have the k-th slot counted. */
static void slots_count(struct mu_rwlock *l, unsigned k)
{
    uint32_t need = k < HOME ? 0 : k - HOME + 1;
    uint32_t seen =
        atomic_load_explicit(mui_word32(&l->n_more), memory_order_seq_cst);

    while (seen < need && !atomic_compare_exchange_weak_explicit(
                              mui_word32(&l->n_more), &seen, need,
                              memory_order_seq_cst, memory_order_seq_cst))
        ;
}

/* S1. NULL when every slot is taken. */
static _Atomic uint64_t *slot_claim(struct mu_rwlock *l, uint64_t self)
{
    unsigned first = slot_first(self);

    for (unsigned k = 0; k < MU_RWLOCK_READERS; k++) {
        _Atomic uint64_t *slot = slot_at(l, first, k);
        uint64_t seen = 0;

        if (k >= HOME)
            slots_count(l, k);
        if (atomic_compare_exchange_strong_explicit(
                slot, &seen, self, memory_order_seq_cst, memory_order_relaxed))
            return slot;
    }
    return NULL;
}

/* Empty the slots of dead readers. 1 when there were any. */
static int slots_bury(struct mu_rwlock *l)
{
    int n = 0;

    for (unsigned i = 0; i < MU_RWLOCK_READERS; i++) {
        _Atomic uint64_t *slot = slot_at(l, 0, i);
        uint64_t seen = atomic_load_explicit(slot, memory_order_relaxed);

        /* acquire is not needed: see L2 in mutex.c */
        if (seen != 0 && mui_owner_is_dead(seen))
            n |= atomic_compare_exchange_strong_explicit(
                slot, &seen, 0, memory_order_relaxed, memory_order_relaxed);
    }
    return n;
}

/* All slots are taken: sleep on the first of them. */
static int slots_wait(struct mu_rwlock *l, uint64_t self,
                      struct mui_sleep *sleep)
{
    _Atomic uint64_t *slot = slot_at(l, slot_first(self), 0);
    uint64_t seen = atomic_load_explicit(slot, memory_order_relaxed);
    int rc;

    if (seen == 0)
        return 0;
    if (!(seen & MUI_WAITERS) &&
        !atomic_compare_exchange_strong_explicit(
            slot, &seen, seen | MUI_WAITERS, memory_order_relaxed,
            memory_order_relaxed))
        return 0;
    rc = mui_sleep_wait(sleep, mui_low_half(slot),
                        (uint32_t)(seen | MUI_WAITERS));
    if (rc != 0 && slots_bury(l))
        return 0;
    return rc == MU_TIMEOUT ? MU_TIMEOUT : 0;
}

/* A writer is inside: wait until its word is free. MU_OWNER_DIED: it died, and
 * the word is free now. */
static int writer_wait(struct mu_rwlock *l, uint64_t self,
                       const struct mui_sleep *sleep)
{
    _Atomic uint64_t *word = mui_word64(&l->writer);
    int rc = mui_hold(word, self, MUI_NO_END, sleep->deadline);

    if (rc == 0 || rc == MU_OWNER_DIED)
        (void)mui_let_go(word, self, 0, INT_MAX);
    return rc;
}

int mu_rwlock_read(struct mu_rwlock *l, int64_t deadline)
{
    struct mui_sleep sleep = MUI_SLEEP(deadline);
    uint64_t self = mui_owner_self();
    int answer = 0; /* MU_OWNER_DIED once we buried a writer */
    int rc;

    for (;;) {
        _Atomic uint64_t *slot = slot_claim(l, self);

        if (!slot) {
            rc = slots_wait(l, self, &sleep);
            if (rc != 0)
                return rc;
            continue;
        }
        /* S2, pairs with S3 in mu_rwlock_write() */
        if (atomic_load_explicit(mui_word64(&l->writer),
                                 memory_order_seq_cst) == 0)
            return answer;
        (void)mui_let_go(slot, self, 0, 1);
        rc = writer_wait(l, self, &sleep);
        if (rc == MU_OWNER_DIED)
            answer = rc;
        else if (rc != 0)
            return rc;
    }
}

int mu_rwlock_read_unlock(struct mu_rwlock *l)
{
    uint64_t self = mui_owner_self();
    unsigned first = slot_first(self);
    unsigned n = n_slots(l);

    for (unsigned k = 0; k < n; k++) {
        /* R1, pairs with S5 in reader_wait() */
        if (mui_let_go(slot_at(l, first, k), self, 0, 1) == 0)
            return 0;
    }
    return -EPERM;
}

/* S5: wait until the slot is empty. 0; MU_TIMEOUT; -EDEADLK when it is ours. Where one
 * reader is dead others may be: all are buried, or each would cost a sleep. */
static int reader_wait(struct mu_rwlock *l, _Atomic uint64_t *slot,
                       uint64_t self, struct mui_sleep *sleep)
{
    for (;;) {
        /* S5, pairs with S1 in slot_claim() and R1 */
        uint64_t seen = atomic_load_explicit(slot, memory_order_seq_cst);
        int rc;

        if (seen == 0)
            return 0;
        if ((seen & MUI_OWNER_MASK) == self)
            return -EDEADLK;
        if (mui_sleep_spin(sleep))
            continue;
        if (!(seen & MUI_WAITERS) &&
            !atomic_compare_exchange_strong_explicit(
                slot, &seen, seen | MUI_WAITERS, memory_order_relaxed,
                memory_order_relaxed))
            continue;
        seen |= MUI_WAITERS;
        rc = mui_sleep_wait(sleep, mui_low_half(slot), (uint32_t)seen);
        if (rc != 0 && mui_owner_is_dead(seen) && slots_bury(l))
            continue;
        if (rc == MU_TIMEOUT)
            return MU_TIMEOUT;
    }
}

int mu_rwlock_write(struct mu_rwlock *l, int64_t deadline)
{
    struct mui_sleep sleep = MUI_SLEEP(deadline);
    uint64_t self = mui_owner_self();
    _Atomic uint64_t *word = mui_word64(&l->writer);
    int held = mui_hold(word, self, MUI_NO_END, deadline);
    unsigned n;

    if (held != 0 && held != MU_OWNER_DIED)
        return held;
    /* S3: mui_hold() is acquire only; this read-modify-write puts our name into
     * the one order with S2, S4 and S5 */
    (void)atomic_fetch_or_explicit(word, 0, memory_order_seq_cst);
    n = n_slots(l);
    for (unsigned i = 0; i < n; i++) {
        int rc = reader_wait(l, slot_at(l, 0, i), self, &sleep);

        if (rc != 0) { /* the report of a dead writer goes to the next one */
            (void)mui_let_go(word, self, held == MU_OWNER_DIED ? MUI_ORPHAN : 0,
                             INT_MAX);
            return rc;
        }
    }
    return held;
}

int mu_rwlock_write_unlock(struct mu_rwlock *l)
{
    return mui_let_go(mui_word64(&l->writer), mui_owner_self(), 0, INT_MAX);
}
