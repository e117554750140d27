/* rwlock.c: one word to wait on, and who reads.
 *
 * The word is a mutex (mutex.c). A writer holds it, and then waits until all readers have
 * left. A count of readers cannot say which of them died, so each process that reads has
 * a word of its own, a seat: its name and how many of its threads are inside, changed as
 * one. Nobody sleeps on a seat.
 *
 *       reader R                                writer W
 *   S1  its seat: + 1  (seq_cst)            S3  word: 0 -> W        (seq_cst)
 *   S2  load word      (seq_cst)            S4  load each seat      (seq_cst)
 *
 * In the one order of these either S2 sees W, and R goes back, or S4 sees R in its seat,
 * and W waits for it: never both inside. A reader that finds the word held takes it as a
 * writer does, takes its seat and lets go: so readers and writers get the word alike, and
 * neither starves. It marks the word MUI_PASSING, and other readers need not wait for it:
 * who sees that mark in S2 sees the word before the next writer's S3.
 *
 * The holder that waits says so in the word, and a reader that leaves takes that back:
 *
 *   D1  seat: - 1        (seq_cst)          D3  word: + DRAINING    (seq_cst)
 *   D2  load word        (seq_cst)          D4  load each seat      (seq_cst)
 *       - DRAINING, wake                        sleep while the word is as in D3
 *
 * Either D4 sees the seat empty, or D2 sees the mark: then the word is not as it was, and
 * the holder does not sleep, or is woken. It sleeps as another kind than those who want
 * the word, so that one wake finds it (sys/futex.h). tests/model/rwlock.pml has both.
 * When every seat is another process's, a reader waits with the word for a seat, as a
 * writer for all; others, that come then, queue for the word.
 *
 *   D1 (release) --------> S4, D4 (acquire)       U1 in mui_let_go() --------> S2, L1
 *
 * A reader that takes the word over from a dead writer is told, and lets go of it so that
 * the next is told as well, until a writer has held it.
 *
 * Killed at any instruction: seats and the word name a dead process, a dead thread. The
 * holder that waits empties the seats of the dead, one compare-and-swap each; the word is
 * taken over by mui_hold(). Who sleeps does so in slices (sleep.h).
 *
 * The seats of a process are alike: with two of them, by two threads at once, a thread
 * may leave from the other's.
 * Progress: blocking; a free lock costs a reader one read-modify-write and two loads. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>

#include "muster/lock.h"

#include "shared/mutex.h"
#include "shared/sleep.h"
#include "sys/owner.h"

#define N_SEATS     MU_RWLOCK_PROCESSES
#define SEAT_NUMBER (MUI_PROCESS_ONE * MUI_PROCESS_MAX) /* its bits of a seat */

/* The k-th seat that a process looks at: each begins elsewhere. */
static inline _Atomic uint64_t *seat_at(struct mu_rwlock *l, uint64_t process,
                                        unsigned k)
{
    uint32_t spread = (uint32_t)process * UINT32_C(2654435761);
    unsigned i = (unsigned)((uint64_t)spread * N_SEATS >> 32) + k;

    return mui_word64(&l->readers[i < N_SEATS ? i : i - N_SEATS]);
}

static uint64_t seat_count(uint64_t seat)
{
    return (seat & SEAT_NUMBER) / MUI_PROCESS_ONE;
}

static bool seat_is_of(uint64_t seat, uint64_t process)
{
    return (seat & MUI_PROCESS_MASK) == process;
}

/* S1: take a seat. False when all are taken. */
static bool seat_take(struct mu_rwlock *l, uint64_t process)
{
    for (unsigned k = 0; k < N_SEATS; k++) {
        _Atomic uint64_t *seat = seat_at(l, process, k);
        uint64_t seen = atomic_load_explicit(seat, memory_order_relaxed);

        while (seat_count(seen) == 0 || (seat_is_of(seen, process) &&
                                         seat_count(seen) < MUI_PROCESS_MAX)) {
            uint64_t next = seat_count(seen) == 0 ? process : seen;

            if (atomic_compare_exchange_weak_explicit(
                    seat, &seen, next + MUI_PROCESS_ONE, memory_order_seq_cst,
                    memory_order_relaxed))
                return true;
        }
    }
    return false;
}

/* D1: leave a seat of this process. 0; -EPERM: it has none. */
static int seat_leave(struct mu_rwlock *l, uint64_t process)
{
    for (unsigned k = 0; k < N_SEATS; k++) {
        _Atomic uint64_t *seat = seat_at(l, process, k);
        uint64_t seen = atomic_load_explicit(seat, memory_order_relaxed);

        while (seat_is_of(seen, process) && seat_count(seen) != 0) {
            if (atomic_compare_exchange_weak_explicit(
                    seat, &seen, seen - MUI_PROCESS_ONE, memory_order_seq_cst,
                    memory_order_relaxed))
                return 0;
        }
    }
    return -EPERM;
}

/* Whether all seats are free, or one is at least. */
static inline bool seats_are_free(struct mu_rwlock *l, bool one_is_enough)
{
    uint64_t taken = 0; /* numbers of all, one over the other */
    bool any_is_free = false;

    for (unsigned i = 0; i < N_SEATS; i++) {
        /* S4, D4: pair with S1 in seat_take() and D1 in seat_leave() */
        uint64_t number = atomic_load_explicit(mui_word64(&l->readers[i]),
                                               memory_order_seq_cst) &
                          SEAT_NUMBER;

        taken |= number;
        any_is_free |= number == 0;
    }
    return one_is_enough ? any_is_free : taken == 0;
}

/* Free the seats of dead processes. True when there were any. */
static bool seats_bury(struct mu_rwlock *l)
{
    bool any = false;

    for (unsigned i = 0; i < N_SEATS; i++) {
        _Atomic uint64_t *seat = mui_word64(&l->readers[i]);
        uint64_t seen = atomic_load_explicit(seat, memory_order_relaxed);

        /* acquire is not needed: see L2 in mutex.c */
        if (seat_count(seen) != 0 && mui_process_is_dead(seen))
            any |= atomic_compare_exchange_strong_explicit(
                seat, &seen, 0, memory_order_relaxed, memory_order_relaxed);
    }
    return any;
}

/* With the word held: wait until seats are free. 0; MU_TIMEOUT. */
static int seats_wait(struct mu_rwlock *l, bool one_is_enough, int64_t deadline)
{
    _Atomic uint64_t *word = mui_word64(&l->word);
    struct mui_sleep sleep = MUI_SLEEP(deadline);
    /* S3 once more: mui_hold() is acquire only; this puts our name into the one order */
    uint64_t seen = atomic_fetch_or_explicit(word, 0, memory_order_seq_cst);

    while (!seats_are_free(l, one_is_enough)) {
        int rc;

        if (mui_sleep_spin(&sleep))
            continue;
        if (!(seen & MUI_DRAINING)) {
            /* D3, pairs with D2 in reader_leave() */
            seen = atomic_fetch_or_explicit(word, MUI_DRAINING,
                                            memory_order_seq_cst) |
                   MUI_DRAINING;
            continue;
        }
        rc = mui_sleep_wait_as(&sleep, mui_low_half(word), (uint32_t)seen,
                               MUI_AS_HOLDER);
        if (rc != 0 && seats_bury(l))
            rc = 0;
        if (rc == MU_TIMEOUT)
            return MU_TIMEOUT;
        /* relaxed: with the mark still there D3 holds */
        seen = atomic_load_explicit(word, memory_order_relaxed);
    }
    if (seen & MUI_DRAINING) /* relaxed: nobody sleeps any more */
        (void)atomic_fetch_and_explicit(word, ~MUI_DRAINING,
                                        memory_order_relaxed);
    return 0;
}

/* A reader that is inside, or was too early, goes. 0; -EPERM. */
static int reader_leave(struct mu_rwlock *l, uint64_t process)
{
    _Atomic uint64_t *word = mui_word64(&l->word);
    int rc = seat_leave(l, process);

    /* D2, pairs with D3 in seats_wait() */
    if (rc == 0 &&
        (atomic_load_explicit(word, memory_order_seq_cst) & MUI_DRAINING)) {
        /* relaxed: only lets the holder look again; another, later one too */
        (void)atomic_fetch_and_explicit(word, ~MUI_DRAINING,
                                        memory_order_relaxed);
        (void)mui_futex_wake_as(mui_low_half(word), 1, MUI_AS_HOLDER, 1);
    }
    return rc;
}

/* Whether a reader may go in while the word is so. */
static bool word_lets_in(uint64_t seen)
{
    return seen == 0 || (seen & (MUI_PASSING | MUI_DRAINING)) == MUI_PASSING;
}

/* The word goes first. */
static int read_slowly(struct mu_rwlock *l, uint64_t process, int64_t deadline)
{
    _Atomic uint64_t *word = mui_word64(&l->word);
    uint64_t self = mui_owner_self();
    int held = mui_hold(word, self, MUI_PASSING, MUI_NO_END, deadline);
    int rc = 0;

    if (held != 0 && held != MU_OWNER_DIED)
        return held;
    while (rc == 0 && !seat_take(l, process))
        rc = seats_wait(l, true, deadline);
    /* only a writer can repair: until one has come each is told */
    (void)mui_let_go(word, self, held == MU_OWNER_DIED ? MUI_ORPHAN : 0,
                     INT_MAX);
    return rc != 0 ? rc : held;
}

int mu_rwlock_read(struct mu_rwlock *l, int64_t deadline)
{
    _Atomic uint64_t *word = mui_word64(&l->word);
    uint64_t process = mui_process_self();

    /* relaxed: S2 decides */
    if (word_lets_in(atomic_load_explicit(word, memory_order_relaxed)) &&
        seat_take(l, process)) {
        /* S2, pairs with S3 in seats_wait() and U1 in mui_let_go() */
        if (word_lets_in(atomic_load_explicit(word, memory_order_seq_cst)))
            return 0;
        (void)reader_leave(l, process);
    }
    return read_slowly(l, process, deadline);
}

int mu_rwlock_read_unlock(struct mu_rwlock *l)
{
    return reader_leave(l, mui_process_self());
}

static __attribute__((noinline)) int write_slowly(struct mu_rwlock *l,
                                                  uint64_t self, bool has_word,
                                                  int64_t deadline)
{
    _Atomic uint64_t *word = mui_word64(&l->word);
    int held = has_word ? 0 : mui_hold(word, self, 0, MUI_NO_END, deadline);
    int rc;

    if (held != 0 && held != MU_OWNER_DIED)
        return held;
    rc = seats_wait(l, false, deadline);
    if (rc != 0) /* the report of a dead writer goes to the next one */
        (void)mui_let_go(word, self, held == MU_OWNER_DIED ? MUI_ORPHAN : 0,
                         INT_MAX);
    return rc != 0 ? rc : held;
}

int mu_rwlock_write(struct mu_rwlock *l, int64_t deadline)
{
    uint64_t self = mui_owner_self();
    uint64_t seen = 0;
    /* S3, pairs with S2 in mu_rwlock_read(), and L1 of a free word (mutex.c) */
    bool has_word = atomic_compare_exchange_strong_explicit(
        mui_word64(&l->word), &seen, self, memory_order_seq_cst,
        memory_order_relaxed);

    if (has_word && seats_are_free(l, false))
        return 0;
    return write_slowly(l, self, has_word, deadline);
}

int mu_rwlock_write_unlock(struct mu_rwlock *l)
{
    return mui_let_go(mui_word64(&l->word), mui_owner_self(), 0, INT_MAX);
}
