/* fork.c: exposing forked jobs, stealing them, joining them.
 *
 * The slots of a seat, oldest first, and who may touch them:
 *
 *        taken        exposed        private         free
 *     |---------- tail -------- split ------- top ---------
 *                  thieves         the owner alone
 *
 * {tail, split} is one word, `range`. A fork writes the slot at top and moves top,
 * which is a register of the caller. It looks at `limit` alone, as a join does:
 *
 *     limit == slot(split)  at rest: a slot below it was exposed
 *     limit == MUI_HUNGRY   somebody wants work, or the region was cancelled:
 *                           every fork and join takes the slow path
 *
 *       owner                                  thief
 *       write slots (plain)
 *       state := 0 (relaxed)
 *   E1  move split (seq_cst) --------------->  T1  move tail (acq_rel)
 *                                                  read the slot
 *                                              T2  state := RUNNING (release)
 *                                                  run; write the result
 *   E2  load state (acquire) <---------------  T3  state := DONE (acq_rel)
 *       read the result
 *
 * ABA: a thief that moves the tail from an old picture of `range` finds the same
 * numbers, so the slot at tail is exposed now, and it is read after the move. A
 * helper (help.c), which wants jobs of certain ancestors only, looks after the
 * move too, and gives back what is not for it.
 *
 * Lowering the limit may overwrite a request. A thread that searches asks again.
 * One that sleeps cannot, so the owner looks after it has lowered:
 *
 *       owner (mui_seat_lower)              thread that stops searching (idle.c)
 *   L1  lower limit (seq_cst)           S3  searching becomes 0 (seq_cst)
 *   L2  look at `idle` (seq_cst)        S5  raise limit (seq_cst)
 *
 * If L2 came before S3 in the one order of all four, L1 came before S5, and the
 * limit stays raised. Cancelling uses the same argument (cancel.c), and so does a
 * join that sleeps: it announces that in the state of its job, and then raises.
 *
 * Progress: a fork is wait-free; a steal lock-free; a join waits for its thief. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "sys/futex.h"
#include "team/team.h"

/* Weakened orders that tests/weak has to catch. */
#ifdef BUG_EXPOSE_RELAXED
#    define ORDER_EXPOSE memory_order_relaxed
#    define ORDER_STEAL  memory_order_relaxed
#else
#    define ORDER_EXPOSE memory_order_seq_cst
#    define ORDER_STEAL  memory_order_acq_rel
#endif
#ifdef BUG_DONE_RELAXED
#    define ORDER_DONE memory_order_relaxed
#else
#    define ORDER_DONE memory_order_acq_rel
#endif

enum { JOB_SETTLED = MUI_JOB_DONE | MUI_JOB_CANCELLED | MUI_JOB_RETURNED };

void mui_seat_ask(struct mui_seat *seat)
{
    /* S5, against L1 and L2 in mui_seat_lower() */
    atomic_store_explicit(&seat->limit, MUI_HUNGRY, memory_order_seq_cst);
}

static bool seat_is_cancelled(struct mui_seat *seat)
{
    /* relaxed: the owner wrote it itself */
    struct mui_region *region =
        atomic_load_explicit(&seat->region, memory_order_relaxed);

    return mui_region_status(region) != 0;
}

/* The owner of the job that this seat works for sleeps in its join. */
static bool seat_is_awaited(struct mui_seat *seat)
{
    /* relaxed: the owner wrote it itself */
    struct mu_job *job =
        atomic_load_explicit(&seat->base_job, memory_order_relaxed);

    /* L2, against join_sleep(), which announces its sleep and then raises */
    return job &&
           (atomic_load_explicit(mui_job_state(job), memory_order_seq_cst) &
            MUI_JOB_ASLEEP);
}

void mui_seat_lower(struct mui_seat *seat, uint32_t split)
{
    uint64_t idle;

    /* L1 and L2, against S3 and S5: see the head of this file */
    atomic_store_explicit(&seat->limit, (uintptr_t)mui_slot(seat, split),
                          memory_order_seq_cst);
    idle = atomic_load_explicit(&seat->team->idle, memory_order_seq_cst);
    if (mui_idle_needs_waking(idle) || seat_is_awaited(seat) ||
        seat_is_cancelled(seat))
        mui_seat_ask(seat);
}

void mui_job_nudge(struct mu_job *job)
{
    _Atomic uint32_t *state = mui_job_state(job);

    /* seq_cst, against the sleep in join_sleep(): what was exposed before this
     * look is seen by the look after the announcement */
    if (!(atomic_load_explicit(state, memory_order_seq_cst) & MUI_JOB_ASLEEP))
        return;
    (void)atomic_fetch_and_explicit(state, ~(uint32_t)MUI_JOB_ASLEEP,
                                    memory_order_relaxed);
    (void)mui_futex_wake(state, 1, 0);
}

/* Whether the work on a seat has lived long enough to wake somebody for it. Called
 * on slow paths while nobody searches; looks at the clock now and then. */
static bool seat_is_due(struct mui_seat *seat)
{
    enum { CALLS_PER_LOOK = 8 };
    /* relaxed: own word */
    uint64_t epoch = atomic_load_explicit(&seat->epoch, memory_order_relaxed);

    if (seat->slow_epoch != epoch) {
        seat->slow_epoch = epoch;
        seat->slow_since_ns = mu_now_ns();
        seat->n_slow = 0;
    }
    if (seat->expects_long)
        return true;
    if (++seat->n_slow % CALLS_PER_LOOK != 0 ||
        mu_now_ns() - seat->slow_since_ns < MUI_WAKE_AGE_NS)
        return false;
    seat->expects_long = true;
    seat->began_ns = seat->slow_since_ns;
    /* relaxed: a hint */
    atomic_store_explicit(&seat->asked_epoch, epoch, memory_order_relaxed);
    return true;
}

/* How many of n private slots to expose: half, but the first times of a piece of
 * work one alone. The oldest fork is the largest as a rule, as large as all others
 * together where work is halved: the next thief should find the oldest of the first
 * one rather than the second oldest of this seat. */
static uint32_t seat_share(struct mui_seat *seat, uint32_t n)
{
    enum { TIMES = 8, MOST_DOUBLED = 20 * TIMES };
    uint32_t most = 1U << seat->n_exposed / TIMES;

    seat->n_exposed += seat->n_exposed < MOST_DOUBLED;
    return most < (n + 1) / 2 ? most : (n + 1) / 2;
}

/* How many jobs are to lie exposed. One, and who has found it asks for the next; but
 * where work is coarse its owner may be over with forking by then and not look up for
 * long: then, as it begins, one for each other thread. */
static uint32_t seat_wanted(const struct mui_seat *seat)
{
    uint32_t n_others = seat->team->n_threads - 1;

    return seat->is_coarse && seat->n_exposed < n_others ? n_others : 1;
}

/* Expose n more slots. Thieves may move the tail meanwhile: returns what is exposed. */
static struct mui_range seat_expose(struct mui_seat *seat, struct mui_range r,
                                    uint32_t n)
{
    uint64_t pair = mui_pair(r.tail, r.split);

    for (uint32_t i = r.split; i < r.split + n; i++)
        /* relaxed: E1 publishes */
        atomic_store_explicit(mui_job_state(mui_slot(seat, i)), 0,
                              memory_order_relaxed);
    /* E1, pairs with T1 in mui_seat_steal(); seq_cst, against S3 and S4 of the last
     * thread to sleep, which looks for exposed work after S3 */
    while (!atomic_compare_exchange_weak_explicit(
        &seat->range, &pair, mui_pair(mui_low(pair), r.split + n), ORDER_EXPOSE,
        memory_order_relaxed))
        ;
    return (struct mui_range){.tail = mui_low(pair), .split = r.split + n};
}

/* Somebody is hungry: expose the oldest of the private slots below top. When there
 * is nothing to give, the limit stays raised until there is. Owner. */
static void seat_feed(struct mui_seat *seat, uint32_t top)
{
    struct mu_team *team = seat->team;
    /* relaxed: the owner alone moves the split */
    struct mui_range r =
        mui_range_of(atomic_load_explicit(&seat->range, memory_order_relaxed));
    uint64_t idle = atomic_load_explicit(&team->idle, memory_order_relaxed);
    uint32_t wanted = seat_wanted(seat);
    bool is_awaited = seat_is_awaited(seat);
    struct mu_job *base_job;

    /* thieves have had both lines, and both are written here: fetched at once */
    __builtin_prefetch((const void *)&seat->range, 1);
    __builtin_prefetch((const void *)&seat->limit, 1);
    if (seat_is_cancelled(seat) ||
        (mui_idle_needs_waking(idle) && !is_awaited && !seat_is_due(seat)))
        return;
    if (r.split - r.tail < wanted && top > r.split)
        r = seat_expose(seat, r, seat_share(seat, top - r.split));
    else if (r.tail == r.split)
        return;
    mui_team_wake(team);
    base_job = atomic_load_explicit(&seat->base_job, memory_order_relaxed);
    if (base_job)
        mui_job_nudge(base_job);
    if (r.split - r.tail >= wanted)
        mui_seat_lower(seat, r.split);
}

void mu_job_feed(struct mu_job *j)
{
    seat_feed(mui_seat_of(j), mui_index_of(j) + 1);
}

struct mu_job *mui_seat_steal(struct mui_seat *victim, uint32_t least)
{
    /* relaxed: T1 decides */
    uint64_t pair = atomic_load_explicit(&victim->range, memory_order_relaxed);
    struct mui_range r = mui_range_of(pair);

    while (r.tail < r.split && r.tail >= least) {
        /* T1, pairs with E1 in seat_expose() */
        if (atomic_compare_exchange_weak_explicit(
                &victim->range, &pair, mui_pair(r.tail + 1, r.split),
                ORDER_STEAL, memory_order_relaxed)) {
            struct mu_job *job = mui_slot(victim, r.tail);

            /* lines of another CPU that running it needs: both at once */
            __builtin_prefetch(job, 1);
            __builtin_prefetch((const void *)&victim->region);
            return job;
        }
        r = mui_range_of(pair);
    }
    return NULL;
}

/* Tell the owner of a stolen job what became of it. The job is not touched
 * afterwards: its slot may be anything by then. */
static void job_settle(struct mu_job *job, uint32_t how)
{
    _Atomic uint32_t *state = mui_job_state(job);

    /* T3, pairs with E2 in join_wait() */
    if (atomic_exchange_explicit(state, how, ORDER_DONE) & MUI_JOB_ASLEEP)
        (void)mui_futex_wake(state, 1, 0);
}

void mui_job_return(struct mu_job *job)
{
    job_settle(job, MUI_JOB_RETURNED);
}

void mui_job_run_stolen(struct mui_seat *me, struct mui_seat *victim,
                        struct mu_job *job, uint32_t top)
{
    /* relaxed, all of ours: the owner alone writes them. Work is going on here
     * already when a waiting join helps. */
    bool is_nested =
        atomic_load_explicit(&me->epoch, memory_order_relaxed) % 2 != 0;
    /* relaxed: T1 came after the victim wrote it */
    struct mui_region *region =
        atomic_load_explicit(&victim->region, memory_order_relaxed);
    struct mu_job *outer =
        atomic_load_explicit(&me->base_job, memory_order_relaxed);
    bool is_cancelled;

    /* relaxed: T2 publishes */
    atomic_store_explicit(mui_job_base(job), top, memory_order_relaxed);
    atomic_store_explicit(&me->base_job, job, memory_order_relaxed);
    if (is_nested)
        /* relaxed: thieves only compare it with what they saw */
        (void)atomic_fetch_add_explicit(&me->epoch, 2, memory_order_relaxed);
    else
        mui_seat_start(me, region);
    /* T2, pairs with the acquire of helpers; keeps the ASLEEP bit */
    (void)atomic_fetch_or_explicit(
        mui_job_state(job), MUI_JOB_RUNNING | me->index << MUI_JOB_SEAT_SHIFT,
        memory_order_release);

    is_cancelled = mui_region_status(region) != 0;
    if (!is_cancelled)
        job->run(job, mui_slot(me, top));

    atomic_store_explicit(&me->base_job, outer, memory_order_relaxed);
    if (!is_nested)
        mui_seat_stop(me);
    job_settle(job, is_cancelled ? MUI_JOB_CANCELLED : MUI_JOB_DONE);
}

/* Take back a slot that was exposed and not stolen, and half of those below it. */
static bool seat_reclaim(struct mui_seat *seat, uint32_t index)
{
    uint64_t pair = atomic_load_explicit(&seat->range, memory_order_relaxed);
    struct mui_range r = mui_range_of(pair);

    while (r.tail <= index) {
        uint32_t keep = r.tail + (index - r.tail) / 2;

        /* relaxed: what comes back is what this thread wrote */
        if (atomic_compare_exchange_weak_explicit(
                &seat->range, &pair, mui_pair(r.tail, keep),
                memory_order_relaxed, memory_order_relaxed)) {
            mui_seat_lower(seat, keep);
            return true;
        }
        r = mui_range_of(pair);
    }
    return false;
}

/* Announce the sleep, look a last time for something to help with, sleep. Who is
 * woken when its thief exposes something misses what thieves of the thief do, so it
 * looks again by itself: a quarter of the wait is lost at most. */
static void join_sleep(struct mui_seat *seat, struct mu_job *j, uint32_t state,
                       int64_t waited)
{
    _Atomic uint32_t *word = mui_job_state(j);

    /* seq_cst, against mui_job_nudge() and job_settle() */
    if (!(state & MUI_JOB_ASLEEP) &&
        !atomic_compare_exchange_strong_explicit(
            word, &state, state | MUI_JOB_ASLEEP, memory_order_seq_cst,
            memory_order_relaxed))
        return;
    if (!mui_help_job(seat, j, true))
        (void)mui_futex_wait(word, state | MUI_JOB_ASLEEP, 0,
                             mui_nap_end(waited));
}

/* Wait until a stolen job is settled, helping with what it forked. */
static uint32_t join_wait(struct mui_seat *seat, struct mu_job *j)
{
    int64_t since = mu_now_ns();

    for (;;) {
        /* E2, pairs with T3 in job_settle() */
        uint32_t state =
            atomic_load_explicit(mui_job_state(j), memory_order_acquire);
        int64_t waited;

        if (state & JOB_SETTLED)
            return state;
        waited = mu_now_ns() - since;
        if (mui_help_job(seat, j, waited >= MUI_ASK_SOON_NS)) {
            since = mu_now_ns();
        } else if (mui_team_is_orphan(seat->team)) {
            /* its thread is the parent's: nobody here will ever run it */
            mui_region_cancel(
                seat->team,
                atomic_load_explicit(&seat->region, memory_order_relaxed),
                -EOWNERDEAD);
            return MUI_JOB_CANCELLED;
        } else if (waited < MUI_JOIN_SPIN_NS || !(state & MUI_JOB_RUNNING)) {
            if (seat->team->is_crowded || waited >= MUI_JOIN_SPIN_NS)
                (void)sched_yield();
            mui_cpu_pause();
        } else {
            join_sleep(seat, j, state, waited);
        }
    }
}

static uint32_t join_stolen(struct mui_seat *seat, struct mu_job *j)
{
    uint32_t index = mui_index_of(j);
    /* a join further up the stack, which runs this as help */
    struct mu_job *outer =
        atomic_load_explicit(&seat->waiting, memory_order_relaxed);
    uint32_t state;

    /* release, both; pairs with the acquire of helpers that go on from here */
    atomic_store_explicit(&seat->waiting, j, memory_order_release);
    state = join_wait(seat, j);
    atomic_store_explicit(&seat->waiting, outer, memory_order_release);

    assert(atomic_load_explicit(&seat->range, memory_order_relaxed) ==
           mui_pair(index + 1, index + 1));
    /* relaxed: an empty range, which no thief moves */
    atomic_store_explicit(&seat->range, mui_pair(index, index),
                          memory_order_relaxed);
    mui_seat_lower(seat, index);
    return state;
}

int mu_job_join(struct mu_job *j, mu_job_fn run)
{
    struct mui_seat *seat = mui_seat_of(j);
    uint32_t index = mui_index_of(j);
    /* relaxed: the owner alone moves the split */
    struct mui_range r =
        mui_range_of(atomic_load_explicit(&seat->range, memory_order_relaxed));
    uint32_t state = MUI_JOB_RETURNED;

    assert(j->run == run && "join what was forked last");
    (void)run;
    if (index >= r.split)
        seat_feed(seat, index);
    else if (!seat_reclaim(seat, index))
        state = join_stolen(seat, j);

    if (state == MUI_JOB_RETURNED && !seat_is_cancelled(seat))
        return 1;
    if (state & MUI_JOB_DONE)
        return 0;
    memset(j->payload, 0, sizeof j->payload);
    /* relaxed: the slot is the owner's again */
    atomic_store_explicit(mui_job_state(j), MUI_JOB_CANCELLED,
                          memory_order_relaxed);
    return 0;
}
