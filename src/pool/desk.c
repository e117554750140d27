/* desk.c: the pool's face to its outermost layer: workers that come, die, and ring. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "pool/policy.h"
#include "pool/pool.h"

static struct mu_pool *pool_of(struct mui_desk *desk)
{
    return (struct mu_pool *)desk;
}

static void desk_lock(struct mui_desk *desk)
{
    (void)pthread_mutex_lock(&pool_of(desk)->lock);
}

static void desk_unlock(struct mui_desk *desk)
{
    (void)pthread_mutex_unlock(&pool_of(desk)->lock);
}

static void desk_attach(struct mui_desk *desk, unsigned i_group,
                        struct mui_lane *lanes, unsigned n_lanes)
{
    struct mu_pool *pool = pool_of(desk);

    pool->groups[i_group].lanes = lanes;
    pool->groups[i_group].n_lanes = n_lanes;
    pool->groups[i_group].leaving = false;
    for (unsigned i = 0; i < n_lanes; i++)
        mui_lane_set_number(&lanes[i], pool->groups[i_group].i_first + i);
    pool->stats.n_workers_started++;
    if (pool->n_waiting)
        mui_pool_want_news(pool);
    else
        pool->wish = false; /* the new lanes have not heard of it */
    (void)mui_pool_pump(pool);
    if (pool->closing)
        for (unsigned i = 0; i < n_lanes; i++)
            mui_lane_close(&lanes[i]);
}

/* -- deaths -- */

/* The limit that it died of. The kernel's signals for two of them say it themselves. */
static enum mu_limit limit_of(const struct mui_death *death)
{
    switch (death->signal) {
    case SIGXCPU:
        return MU_LIMIT_CPU_TIME;
    case SIGXFSZ:
        return MU_LIMIT_FILE_SIZE;
    default:
        return death->limit;
    }
}

static void note_death(struct mui_job *job, const struct mui_death *death)
{
    job->out.code = death->code;
    job->out.signal = death->signal;
    job->out.limit = (uint16_t)limit_of(death);
    job->out.fault_address = (const void *)(uintptr_t)death->fault_address;
    job->out.has_fault_address = death->has_address;
    if (death->how == MUI_DEATH_CORRUPT)
        job->note = MUI_NOTE_CORRUPT;
    if (death->how == MUI_DEATH_STOPPED)
        job->note = MUI_NOTE_STOPPED;
    if (death->stack_overflow)
        job->note = MUI_NOTE_OVERFLOW;
    if (death->thread_ended)
        job->note = MUI_NOTE_THREAD;
    free(job->frames);
    job->frames = NULL;
    job->n_frames = 0;
    if (death->n_frames == 0 || job->doom != MU_DONE)
        return;
    job->frames = malloc(death->n_frames * sizeof *job->frames);
    if (!job->frames)
        return; /* an outcome without backtrace is still an outcome */
    memcpy(job->frames, death->frames, death->n_frames * sizeof *job->frames);
    job->n_frames = (uint8_t)death->n_frames;
}

/* Whether a worker dies so by what it runs. */
static bool is_own_doing(const struct mui_death *death)
{
    return death->how == MUI_DEATH_CRASHED || death->how == MUI_DEATH_EXITED ||
           death->how == MUI_DEATH_STOPPED || death->how == MUI_DEATH_CORRUPT;
}

/* The times of an attempt that ended with its worker. */
static void note_times(struct mui_job *job)
{
    int64_t now = mu_now_ns();
    int64_t seen = mui_job_extras(job)->seen_start_ns;
    int64_t start = seen ? seen : now;

    job->out.run_ns = now - start;
    job->out.queue_ns = start - job->submit_ns;
}

/* It runs again. What its worker had begun is not to be at it, or hold what it needs, when
 * it does: it waits until that has ended. `charged`, `alone`: see mui_pool_requeue(). */
static void run_again(struct mu_pool *pool, struct mui_job *job,
                      const struct mui_death *death, bool begun, bool charged,
                      bool alone)
{
    mui_pool_requeue(pool, job, charged, alone);
    if (!begun || death->ended)
        return;
    mui_job_remove(mui_pool_list_of(pool, job), job);
    job->state = MUI_JOB_HELD;
    job->index = death->worker;
    mui_job_push_front(&pool->held, job);
}

/* What is settled of one lane. */
struct settling {
    struct mu_pool *pool;
    const struct mui_lane *lane;
    const struct mui_death *death;
    bool on_culprit;
    unsigned n_suspects;
};

/* A job that a dead worker had, or was to have. That it has not started is only the
 * worker's word: before the oldest nothing in its lane lacks a reply, so that can have run;
 * so can one whose time is up. Then it runs alone, and is to blame when that ends the same
 * way. `taken_back`: it has not begun, and will not. */
static void settle_death(const struct settling *s, struct mui_job *job,
                         bool taken_back)
{
    struct mu_pool *pool = s->pool;
    const struct mui_death *death = s->death;
    unsigned n_suspects = s->n_suspects;
    bool oldest = job->index == s->lane->head;
    bool started =
        mui_job_extras(job)->seen_start_ns != 0; /* see note_started() */
    bool overdue = job->doom == MU_TIMED_OUT;
    bool doubtful = !started && (overdue || (oldest && is_own_doing(death)));
    bool begun = started || doubtful || !taken_back;
    struct mui_judgement j;

    if (doubtful && job->alone) {
        started = true;
        n_suspects = 1;
    }
    j = mui_policy_death(death, job, started, s->on_culprit, n_suspects);
    mui_pool_ungive(pool, job);
    switch (j.verdict) {
    case MUI_AGAIN:
    case MUI_ALONE:
        if (begun)
            job->n_reruns++;
        run_again(pool, job, death, begun, false,
                  doubtful || j.verdict == MUI_ALONE);
        return;
    case MUI_RETRY:
    case MUI_END:
        if (started && j.status != MU_LOST)
            note_death(job, death);
        if (j.status == MU_LOST)
            job->note = MUI_NOTE_VANISHED;
        if (started)
            note_times(job);
        job->doom = MU_DONE;
        if (j.verdict == MUI_RETRY)
            run_again(pool, job, death, begun, true, job->alone);
        else
            mui_pool_end(pool, job, j.status);
        return;
    }
}

static void settle_taken_back(void *ctx, void *owner)
{
    settle_death(ctx, owner, true);
}

/* Settle what one lane of the dead worker owes, newest first, so that what goes
 * back to the queue's front keeps its order. The process may not be dead yet: so what has
 * not begun is taken back, by the order that decides between begun and taken (H1 of
 * lane.c), and else would begin there beside its next attempt. What cannot be taken back
 * has begun, and waits for the end: see run_again(). */
static void settle_lane(struct mui_lane *lane, struct settling *s)
{
    s->lane = lane;
    (void)mui_lane_revoke(lane, lane->head, settle_taken_back, s);
    for (uint32_t i = lane->tail; i-- != lane->head;) {
        struct mui_job *job = mui_lane_owner(lane, i);

        if (job)
            settle_death(s, job, false);
    }
}

/* Note which jobs of a lane have started, by seen_start_ns. Returns how many. Once a
 * death, and all of its judgement is by that: the process may not be dead yet, and what
 * begins there now, or is written over it, is not what ended it. (It is not to meet its
 * next attempt, all the same: see settle_lane().) */
static unsigned note_started(const struct mui_lane *lane)
{
    int64_t start;
    uint32_t started = mui_lane_started(lane, &start);
    int64_t now = mu_now_ns();
    unsigned n = 0;

    for (uint32_t i = lane->head; i != lane->tail; i++) {
        struct mui_job *job = mui_lane_owner(lane, i);

        if (!job)
            continue;
        if (!mui_job_extras(job)->seen_start_ns &&
            i - lane->head < started - lane->head)
            mui_job_own_extras(job)->seen_start_ns =
                start > job->submit_ns && start <= now ? start : now;
        n += mui_job_extras(job)->seen_start_ns != 0;
    }
    return n;
}

static void desk_died(struct mui_desk *desk, unsigned i_group,
                      const struct mui_death *death)
{
    struct mu_pool *pool = pool_of(desk);
    struct mui_group *group = &pool->groups[i_group];
    struct mui_death fact = *death;
    unsigned n_all = 0;   /* that have started */
    unsigned n_named = 0; /* the same, on the lane that is named */
    bool forged = false;

    if (!group->lanes)
        return;
    pool->stats.n_workers_died++;
    for (unsigned i = 0; i < group->n_lanes; i++) {
        (void)mui_pool_collect(pool, &group->lanes[i], &forged);
        if (forged)
            fact.how = MUI_DEATH_CORRUPT;
    }
    fact.neighbours = pool->has_neighbours;
    fact.fresh = mui_pool_group_is_fresh(group);
    fact.shared = mui_pool_group_is_shared(group);
    /* memory and heap are the whole process's: who met the end of them is not
     * therefore who used them up or wrote over them */
    if (fact.out_of_memory || fact.in_common)
        fact.i_lane = MUI_LANE_UNKNOWN;
    if (fact.i_lane >= (int)group->n_lanes)
        fact.i_lane = MUI_LANE_UNKNOWN;
    for (unsigned i = 0; i < group->n_lanes; i++) {
        unsigned n = note_started(&group->lanes[i]);

        n_all += n;
        if (fact.i_lane == (int)i)
            n_named = n;
    }
    /* a lane that runs nothing is no culprit: its own word, and wrong */
    if (fact.i_lane >= 0 && n_named == 0)
        fact.i_lane = MUI_LANE_UNKNOWN;
    fact.in_company = fact.i_lane >= 0 && n_all > n_named;
    for (unsigned i = group->n_lanes; i-- > 0;) {
        bool on_culprit = fact.i_lane == (int)i;
        struct settling s = {.pool = pool,
                             .death = &fact,
                             .on_culprit = on_culprit,
                             .n_suspects = on_culprit ? n_named : n_all};

        settle_lane(&group->lanes[i], &s);
    }
    group->lanes = NULL;
}

static void desk_ended(struct mui_desk *desk, uint32_t worker)
{
    struct mu_pool *pool = pool_of(desk);
    struct mui_job *next;

    /* from the back to the queue's front: they keep their order */
    for (struct mui_job *job = pool->held.last; job; job = next) {
        next = job->prev;
        if (job->index != worker)
            continue;
        mui_job_remove(&pool->held, job);
        job->state = job->alone ? MUI_JOB_SUSPECT : MUI_JOB_QUEUED;
        mui_job_push_front(mui_pool_list_of(pool, job), job);
        pool->n_moves++;
    }
}

static void desk_gave_up(struct mui_desk *desk, unsigned i_group,
                         const struct mu_error *err)
{
    struct mu_pool *pool = pool_of(desk);
    struct mui_job *job;

    if (pool->groups[i_group].given_up)
        return;
    pool->groups[i_group].given_up = true;
    if (++pool->n_given_up < pool->n_groups)
        return;
    /* nobody is left to run anything: say so, lose nothing silently */
    mui_job_store_say_why(pool->store, err->text);
    while ((job = mui_job_pop(&pool->queue)) ||
           (job = mui_job_pop(&pool->suspects)) ||
           (job = mui_job_pop(&pool->held))) {
        job->note = MUI_NOTE_NO_WORKER;
        mui_pool_end(pool, job, MU_LOST);
    }
}

/* -- bells and alarms -- */

void mui_pool_rung(struct mu_pool *pool)
{
    pool->wish = false; /* used up: wish again */
    pool->heard = false;
    (void)mui_pool_pump(pool);
    if (mui_pool_see_off(pool))
        (void)mui_pool_pump(pool);
    /* who took the bell used up the wish of a caller that sleeps, too; when what it
     * rang for was no outcome, nobody has woken the caller to wish again */
    if (pool->n_waiting)
        do
            mui_pool_want_news(pool);
        while (mui_pool_pump(pool));
    pool->alarm_ns = mui_pool_deadlines(pool, mu_now_ns());
    mui_pool_leave(pool);
}

static int64_t desk_rung(struct mui_desk *desk)
{
    struct mu_pool *pool = pool_of(desk);

    mui_pool_rung(pool);
    return pool->alarm_ns;
}

const struct mui_desk_ops mui_pool_desk_ops = {
    .lock = desk_lock,
    .unlock = desk_unlock,
    .attach = desk_attach,
    .died = desk_died,
    .ended = desk_ended,
    .gave_up = desk_gave_up,
    .rung = desk_rung,
};
