/* rwlock.c: one word, and seats beside it for those who read together.
 *
 * The word is a mutex (mutex.c). A writer holds it; a reader who finds it 0 holds it as
 * well, with READING beside its name. So who comes alone pays what a mutex costs, and
 * its death is seen in the same way.
 *
 * Others may read beside a reader. A count of them could not say which of them died, so
 * each process has a word of its own for them, a seat: its name and how many of its
 * threads sit there, changed as one. Once somebody sits, the word says SEATS, with the
 * name of a reader or none, and until a writer has seen all seats empty it is not 0: so
 * who takes a 0 need not look at the seats.
 *
 *       reader R, who sits                      writer W, when the word was not 0
 *   S1  its seat: + 1       (seq_cst)       S3  word: free -> W         (seq_cst)
 *   S2  word: + SEATS, or it is there       S4  load each seat          (seq_cst)
 *       already             (seq_cst)           all empty: W -> 0 when it lets go
 *
 * In the one order of these either S2 finds W, and R gets up, or S4 sees R in its seat,
 * and W waits for it: never both inside. A writer that takes a 0 cannot meet R: the word
 * is not 0 from S2 until a writer has looked at the seats, and that one waits for R.
 *
 * With SEATS readers no longer take the word by name, so a writer has it as soon as the
 * one that is named has left. A reader that waits for a writer takes the word like one,
 * with READING and SEATS, and those who wait with it sit down: readers and writers get
 * the word alike, and neither starves.
 *
 * The word, by what is beside the name (WAITERS: others sleep on it):
 *
 *     0               free, and all seats are empty        -> READING, a writer
 *     SEATS           free to read; who sits is not known  -> READING|SEATS, a writer's SEATS
 *     name, READING   read; others sit if SEATS is there   -> 0; SEATS
 *     name, SEATS     a writer waits for who sits (S3)     -> name; SEATS when it gives up
 *     name            written                              -> 0
 *     MUI_ORPHAN      free, a writer died in it            -> name, without a mark
 *
 * A dead name with a mark wrote nothing and is not reported. A writer that was told, and
 * waits for who sits, has none: if it dies the next is told again.
 *
 * All sleep on the word but who has his name in it: a writer that waits for readers sleeps
 * on a seat that is taken, and so is not 0. The last to leave it makes it 0:
 *
 *   D1  seat: -> 0       (seq_cst)          S3  word: -> W       (seq_cst)
 *   D2  load word        (seq_cst)          D4  load the seat    (seq_cst)
 *       a writer's: wake                        sleep while the seat is as in D4
 *
 * Either D4 sees the seat empty, or D2 sees the writer: then the writer finds the seat
 * changed and does not sleep, or is woken. If it is changed back by then, somebody sits
 * there again, who leaves it later than S3. tests/model/rwlock.pml has all of this.
 *
 *   D1 (release) --------> S4, D4 (acquire)       U1 in mui_let_go() --------> S2, L1
 *
 * A reader that takes the word over from a dead writer is told, sits, and lets go of it
 * so that the next is told as well, until a writer has held it. It needs a seat, and
 * waits for one with the word: it sleeps on one, and looks at all when its slice ends.
 * Who finds none while another reads looks again, in sleeps that grow.
 *
 * Killed at any instruction: seats name a dead process, the word a dead thread. The
 * writer that waits empties the seats of the dead, one compare-and-swap each; the word is
 * taken over by mui_hold(). A reader killed between S1 and S2 leaves a seat that the word
 * may not tell of: it was not inside. One killed between D1 and the wake leaves a sleeper;
 * who sleeps does so in slices (sleep.h).
 *
 * The seats of a process are alike: with two of them, by two threads at once, a thread
 * may leave from the other's.
 * Progress: blocking; one compare-and-swap each for who is alone, as a mutex. */
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

/* D1: leave a seat of this process. 0, and the seat if nobody sits there any more; -EPERM:
 * it has none. */
static int seat_leave(struct mu_rwlock *l, uint64_t process,
                      _Atomic uint64_t **ret_emptied)
{
    for (unsigned k = 0; k < N_SEATS; k++) {
        _Atomic uint64_t *seat = seat_at(l, process, k);
        uint64_t seen = atomic_load_explicit(seat, memory_order_relaxed);

        while (seat_is_of(seen, process) && seat_count(seen) != 0) {
            uint64_t next = seat_count(seen) == 1 ? 0 : seen - MUI_PROCESS_ONE;

            if (!atomic_compare_exchange_weak_explicit(seat, &seen, next,
                                                       memory_order_seq_cst,
                                                       memory_order_relaxed))
                continue;
            *ret_emptied = next == 0 ? seat : NULL;
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
        /* S4, pairs with S1 in seat_take() and D1 in seat_leave() */
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

/* Sleep until a seat that is taken may be free. As mui_sleep_wait(). */
static int seat_sleep(struct mu_rwlock *l, struct mui_sleep *sleep)
{
    for (unsigned i = 0; i < N_SEATS; i++) {
        _Atomic uint64_t *seat = mui_word64(&l->readers[i]);
        /* D4, pairs with D1 in seat_leave() */
        uint64_t seen = atomic_load_explicit(seat, memory_order_seq_cst);

        if (seat_count(seen) != 0)
            return mui_sleep_wait(sleep, mui_low_half(seat), (uint32_t)seen);
    }
    return 0;
}

/* With the word held: wait until seats are free. 0; MU_TIMEOUT. */
static int seats_wait(struct mu_rwlock *l, bool one_is_enough, int64_t deadline)
{
    struct mui_sleep sleep = MUI_SLEEP(deadline);

    while (!seats_are_free(l, one_is_enough)) {
        int rc;

        if (mui_sleep_spin(&sleep))
            continue;
        rc = seat_sleep(l, &sleep);
        if (rc != 0 && seats_bury(l))
            rc = 0;
        if (rc == MU_TIMEOUT)
            return MU_TIMEOUT;
    }
    return 0;
}

/* ---- who is alone: as mu_mutex_lock() and mu_mutex_unlock() ------------------- */

/* L1, of a word that is 0 */
static inline bool word_take(struct mu_rwlock *l, uint64_t name)
{
    uint64_t seen = 0;

    /* relaxed: L1 decides; a word that others read is not asked for to write */
    if (atomic_load_explicit(mui_word64(&l->word), memory_order_relaxed) != 0)
        return false;
    return __builtin_expect(atomic_compare_exchange_strong_explicit(
                                mui_word64(&l->word), &seen, name,
                                memory_order_acquire, memory_order_relaxed),
                            1);
}

/* U1, of a word that is as it was taken */
static inline bool word_leave(struct mu_rwlock *l, uint64_t name)
{
    /* relaxed: U1 decides; as in word_take() */
    if (atomic_load_explicit(mui_word64(&l->word), memory_order_relaxed) !=
        name)
        return false;
    return __builtin_expect(atomic_compare_exchange_strong_explicit(
                                mui_word64(&l->word), &name, 0,
                                memory_order_release, memory_order_relaxed),
                            1);
}

/* ---- readers ---------------------------------------------------------------- */

/* Whether a reader may go in while the word is so. */
static bool word_lets_in(uint64_t seen)
{
    return (seen & ~MUI_SEATS) == 0 || (seen & MUI_READING);
}

/* Whether its holder may wait for seats: a writer, or a reader that was told. */
static bool word_may_wait(uint64_t seen)
{
    uint64_t name = seen & MUI_OWNER_MASK;

    return name != 0 && name != MUI_ORPHAN && !(seen & MUI_READING);
}

/* A reader that sits, or was too early, goes. 0; -EPERM. */
static int seat_get_up(struct mu_rwlock *l, uint64_t process)
{
    _Atomic uint64_t *emptied = NULL;
    int rc = seat_leave(l, process, &emptied);

    /* D2, pairs with S3 in mui_hold() */
    if (emptied && word_may_wait(atomic_load_explicit(mui_word64(&l->word),
                                                      memory_order_seq_cst)))
        (void)mui_futex_wake(mui_low_half(emptied), 1, 1);
    return rc;
}

/* S2: make the word say that somebody sits. False: nobody may read now. */
static bool word_says_seats(struct mu_rwlock *l)
{
    _Atomic uint64_t *word = mui_word64(&l->word);
    /* pairs with S3 in mui_hold() and U1 in mui_let_go() */
    uint64_t seen = atomic_load_explicit(word, memory_order_seq_cst);

    while (word_lets_in(seen)) {
#ifdef BUG_RWLOCK_SEATS_UNSAID
        return true;
#endif
        if ((seen & MUI_SEATS) ||
            atomic_compare_exchange_weak_explicit(word, &seen, seen | MUI_SEATS,
                                                  memory_order_seq_cst,
                                                  memory_order_seq_cst))
            return true;
    }
    return false;
}

/* Read from a seat. 0; MU_CLOSED: nobody may read now; MU_FULL: there is no seat. */
static int seat_sit(struct mu_rwlock *l, uint64_t process)
{
    /* relaxed: S2 decides */
    if (!word_lets_in(
            atomic_load_explicit(mui_word64(&l->word), memory_order_relaxed)))
        return MU_CLOSED;
    if (!seat_take(l, process))
        return MU_FULL;
    if (word_says_seats(l))
        return 0;
    (void)seat_get_up(l, process);
    return MU_CLOSED;
}

/* Another reads, and there was no seat: 0: look again; MU_TIMEOUT. */
static int seat_await(struct mu_rwlock *l, struct mui_sleep *sleep)
{
    _Atomic uint64_t *word = mui_word64(&l->word);
    uint64_t seen = atomic_load_explicit(word, memory_order_relaxed);
    int rc;

    if (!(seen & MUI_READING) || mui_sleep_spin(sleep))
        return 0;
    if (sleep->deadline != MU_NOW && !mui_hold_announce(word, &seen))
        return 0;
    rc = mui_sleep_wait(sleep, mui_low_half(word), (uint32_t)seen);
    if (rc != 0 && seats_bury(l))
        rc = 0;
    return rc == MU_TIMEOUT ? MU_TIMEOUT : 0;
}

/* With the word held, of a dead writer: sit, and pass the report on. */
static int reader_is_told(struct mu_rwlock *l, uint64_t self, uint64_t process,
                          int64_t deadline)
{
    int rc = 0;

    while (rc == 0 && !seat_take(l, process))
        rc = seats_wait(l, true, deadline);
    /* only a writer can repair: until one has come each is told */
    (void)mui_let_go(mui_word64(&l->word), self, MUI_ORPHAN, INT_MAX);
    return rc != 0 ? rc : MU_OWNER_DIED;
}

static __attribute__((noinline)) int read_slowly(struct mu_rwlock *l,
                                                 int64_t deadline)
{
    uint64_t self = mui_owner_self();
    uint64_t process = mui_process_self();
    struct mui_sleep sleep = MUI_SLEEP(deadline);

    /* the first call of a thread comes here, too */
    if (word_take(l, self | MUI_READING))
        return 0;
    for (;;) {
        int sat = seat_sit(l, process);
        int held;

        if (sat == 0)
            return 0;
        held = mui_hold(mui_word64(&l->word), self, MUI_READING | MUI_SEATS,
                        MUI_NO_END, deadline);
        if (held == MU_OWNER_DIED)
            return reader_is_told(l, self, process, deadline);
        if (held != MU_CLOSED)
            return held;
        if (sat == MU_FULL && seat_await(l, &sleep) != 0)
            return MU_TIMEOUT;
    }
}

/* Whether this thread holds the word, as a reader or as a writer. */
static bool is_held_as(struct mu_rwlock *l, uint64_t mark)
{
    /* relaxed: only this thread changes its name there, and what is beside it */
    uint64_t seen =
        atomic_load_explicit(mui_word64(&l->word), memory_order_relaxed);

    return (seen & (MUI_OWNER_MASK | MUI_READING)) == (mui_owner_self() | mark);
}

static __attribute__((noinline)) int read_unlock_slowly(struct mu_rwlock *l)
{
    if (!is_held_as(l, MUI_READING))
        return seat_get_up(l, mui_process_self());
    /* SEATS even if nobody sits: those who wait come before the next that reads */
    return mui_let_go(mui_word64(&l->word), mui_owner_self(), MUI_SEATS,
                      INT_MAX);
}

/* ---- writers ---------------------------------------------------------------- */

static __attribute__((noinline)) int write_slowly(struct mu_rwlock *l,
                                                  int64_t deadline)
{
    _Atomic uint64_t *word = mui_word64(&l->word);
    uint64_t self = mui_owner_self();
    /* S3: SEATS until it has seen that nobody sits */
    int held = mui_hold(word, self, MUI_SEATS, MUI_NO_END, deadline);
    int rc;

    if (held != 0 && held != MU_OWNER_DIED)
        return held;
    rc = seats_wait(l, false, deadline);
    if (rc != 0) { /* the report of a dead writer goes to the next one */
        (void)mui_let_go(word, self,
                         held == MU_OWNER_DIED ? MUI_ORPHAN : MUI_SEATS,
                         INT_MAX);
        return rc;
    }
    /* acquire: what is written comes behind it, should we die in that */
    (void)atomic_fetch_and_explicit(word, ~MUI_SEATS, memory_order_acquire);
    return held;
}

static __attribute__((noinline)) int write_unlock_slowly(struct mu_rwlock *l)
{
    return is_held_as(l, 0)
               ? mui_let_go(mui_word64(&l->word), mui_owner_self(), 0, INT_MAX)
               : -EPERM;
}

/* ---- the calls: who is alone is not slow ------------------------------------ */

MUI_FAST_PATH int mu_rwlock_read(struct mu_rwlock *l, int64_t deadline)
{
    if (mui_owner_is_cached() &&
        word_take(l, mui_owner_cache.owner | MUI_READING))
        return 0;
    return read_slowly(l, deadline);
}

MUI_FAST_PATH int mu_rwlock_read_unlock(struct mu_rwlock *l)
{
    if (mui_owner_is_cached() &&
        word_leave(l, mui_owner_cache.owner | MUI_READING))
        return 0;
    return read_unlock_slowly(l);
}

MUI_FAST_PATH int mu_rwlock_write(struct mu_rwlock *l, int64_t deadline)
{
    if (mui_owner_is_cached() && word_take(l, mui_owner_cache.owner))
        return 0;
    return write_slowly(l, deadline);
}

MUI_FAST_PATH int mu_rwlock_write_unlock(struct mu_rwlock *l)
{
    if (mui_owner_is_cached() && word_leave(l, mui_owner_cache.owner))
        return 0;
    return write_unlock_slowly(l);
}
