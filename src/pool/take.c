/* take.c: outcomes are taken, and tasks taken back. */
#include <errno.h>

#include "muster/pool.h"

#include "pool/pool.h"

/* Pump at least once in so many outcomes, so that workers do not run dry while a
 * caller empties a long list. */
enum { PUMP_EVERY = 32 };

/* n were taken, which held so many bytes. */
static void count_taken(struct mu_pool *pool, size_t n, uint64_t held_bytes)
{
    bool was_full = pool->held_bytes > pool->queue_bytes;

    pool->held_bytes -= held_bytes;
    if (was_full && pool->held_bytes <= pool->queue_bytes)
        mui_pool_tell(pool);
    pool->stats.n_taken += n;
    if (pool->stats.n_taken % PUMP_EVERY == 0) {
        (void)mui_pool_look(pool);
        mui_pool_pump_lazily(pool);
    }
}

/* Take the oldest, up to n_max, or up to where the pool is pumped. Returns how
 * many. */
static size_t take_some(struct mu_pool *pool, struct mu_outcome **ret_outcomes,
                        size_t n_max)
{
    size_t to_pump = PUMP_EVERY - pool->stats.n_taken % PUMP_EVERY;
    struct mui_job *last = NULL;
    uint64_t held_bytes = 0;
    size_t n = 0;

    if (n_max > to_pump)
        n_max = to_pump;
    for (struct mui_job *job = pool->ended.first; job && n < n_max;
         job = job->next) {
        mui_job_ask_for(job->later);
        job->state = MUI_JOB_TAKEN;
        held_bytes += mui_job_extras(job)->held_bytes;
        ret_outcomes[n++] = &job->out;
        last = job;
    }
    mui_job_cut(&pool->ended, last, n);
    count_taken(pool, n, held_bytes);
    return n;
}

static bool nothing_left(const struct mu_pool *pool)
{
    return !pool->ended.n && !pool->queue.n && !pool->suspects.n &&
           !pool->held.n && !pool->n_given;
}

bool mui_pool_is_empty(struct mu_pool *pool)
{
    bool is;

    (void)pthread_mutex_lock(&pool->lock);
    is = nothing_left(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    return is;
}

/* Who has what he waited for was not interrupted: the next call is. */
static void pass_on(struct mu_pool *pool, int rc)
{
    if (rc == -EINTR)
        /* relaxed: it carries nothing but itself */
        atomic_store_explicit(&pool->interrupted, 1, memory_order_relaxed);
}

/* Wait until an outcome is there; lock held. */
static int await_any(struct mu_pool *pool, int64_t deadline)
{
    int rc = 0;

    while (rc == 0 && !pool->ended.n)
        rc = nothing_left(pool) ? MU_EMPTY : mui_pool_progress(pool, deadline);
    if (!pool->ended.n)
        return rc;
    pass_on(pool, rc);
    return 0;
}

/* The same for the outcome of one task. */
static int await_one(struct mu_pool *pool, uint64_t id, int64_t deadline,
                     struct mui_job **ret_job)
{
    struct mui_job *job;
    int rc = 0;

    while ((job = mui_job_find(pool->store, id)) != NULL &&
           job->state != MUI_JOB_ENDED) {
        if (rc != 0)
            return rc;
        rc = mui_pool_progress(pool, deadline);
    }
    pass_on(pool, rc);
    *ret_job = job;
    return job ? 0 : MU_EMPTY;
}

int mu_pool_next_many(struct mu_pool *pool, int64_t deadline,
                      struct mu_outcome **ret_outcomes, size_t n_max,
                      size_t *ret_n)
{
    size_t n = 0;
    int rc = mui_pool_check(pool);

    *ret_n = 0;
    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&pool->lock);
    rc = await_any(pool, deadline);
    while (n < n_max && pool->ended.n)
        n += take_some(pool, ret_outcomes + n, n_max - n);
    mui_pool_leave(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    *ret_n = n;
    return rc;
}

int mu_pool_next(struct mu_pool *pool, int64_t deadline,
                 struct mu_outcome **ret_outcome)
{
    size_t n;

    return mu_pool_next_many(pool, deadline, ret_outcome, 1, &n);
}

int mu_pool_wait(struct mu_pool *pool, uint64_t id, int64_t deadline,
                 struct mu_outcome **ret_outcome)
{
    struct mui_job *job;
    int rc = mui_pool_check(pool);

    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&pool->lock);
    rc = await_one(pool, id, deadline, &job);
    if (rc == 0) {
        mui_job_remove(&pool->ended, job);
        job->state = MUI_JOB_TAKEN;
        *ret_outcome = &job->out;
        count_taken(pool, 1, mui_job_extras(job)->held_bytes);
    }
    mui_pool_leave(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    return rc;
}

/* -- cancelling -- */

static void cancel_waiting(struct mu_pool *pool, struct mui_job *job)
{
    mui_job_remove(mui_pool_list_of(pool, job), job);
    mui_pool_end(pool, job, MU_CANCELLED);
}

/* An order that its worker has not started, and that can still be taken back. */
static bool cancel_ahead(struct mu_pool *pool, struct mui_lane *lane,
                         struct mui_job *job)
{
    /* the oldest can run, whatever the worker says */
    if (job->index == lane->head)
        return false;
    (void)mui_lane_revoke(lane, lane->head, mui_pool_take_back, pool);
    if (job->state == MUI_JOB_QUEUED) {
        cancel_waiting(pool, job);
        return true;
    }
    /* H4: not started yet, and revoked in vain, for an earlier revocation is not
     * over: the worker sees the mark and returns it unrun */
    return job->index - lane->head >= mui_lane_started(lane, NULL) - lane->head;
}

static int cancel_given(struct mu_pool *pool, struct mui_job *job, int kill)
{
    unsigned below = pool->groups[0].n_lanes;
    struct mui_group *group = &pool->groups[job->out.worker / below];
    struct mui_lane *lane = &group->lanes[job->out.worker % below];

    job->cancelled = true;
    mui_lane_cancel(lane, job->index);
    if (cancel_ahead(pool, lane, job) || !kill)
        return 0;
    if (!mui_model_isolates(&pool->model))
        return MU_EMODEL;
    mui_pool_kill(pool, job, MU_CANCELLED);
    return 0;
}

static int cancel_one(struct mu_pool *pool, struct mui_job *job, int kill)
{
    switch ((enum mui_job_state)job->state) {
    case MUI_JOB_QUEUED:
    case MUI_JOB_SUSPECT:
    case MUI_JOB_HELD:
        cancel_waiting(pool, job);
        return 0;
    case MUI_JOB_GIVEN:
        return cancel_given(pool, job, kill);
    case MUI_JOB_FREE:
    case MUI_JOB_ENDED:
    case MUI_JOB_TAKEN:
        break;
    }
    return MU_EMPTY;
}

int mu_pool_cancel(struct mu_pool *pool, uint64_t id, int kill)
{
    struct mui_job *job;
    int rc = mui_pool_check(pool);

    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&pool->lock);
    (void)mui_pool_pump(pool);
    job = mui_job_find(pool->store, id);
    rc = job ? cancel_one(pool, job, kill) : MU_EMPTY;
    mui_pool_leave(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    return rc;
}

/* What was given to workers and has not started goes back to where it came from. */
static void recall_all(struct mu_pool *pool)
{
    for (unsigned i = 0; i < pool->n_groups; i++)
        if (pool->groups[i].lanes)
            (void)mui_pool_recall(pool, &pool->groups[i], NULL);
}

struct cancel_queued {
    struct mu_pool *pool;
    uint64_t number_max;
};

static void cancel_queued(void *ctx, struct mui_job *job)
{
    const struct cancel_queued *all = ctx;

    if (mui_job_extras(job)->number <= all->number_max &&
        (job->state == MUI_JOB_QUEUED || job->state == MUI_JOB_SUSPECT ||
         job->state == MUI_JOB_HELD))
        cancel_waiting(all->pool, job);
}

void mui_pool_cancel_waiting(struct mu_pool *pool, uint64_t number_max)
{
    struct cancel_queued all = {.pool = pool, .number_max = number_max};

    (void)pthread_mutex_lock(&pool->lock);
    recall_all(pool);
    mui_job_each(pool->store, cancel_queued, &all);
    mui_pool_leave(pool);
    (void)pthread_mutex_unlock(&pool->lock);
}

int mu_pool_cancel_waiting(struct mu_pool *pool)
{
    int rc = mui_pool_check(pool);

    if (rc == 0)
        mui_pool_cancel_waiting(pool, UINT64_MAX);
    return rc;
}

struct cancel_all {
    struct mu_pool *pool;
    bool kills;     /* workers, when all is cancelled */
    int would_kill; /* it was asked for, and cannot be */
    int rc;
};

static void cancel_each(void *ctx, struct mui_job *job)
{
    struct cancel_all *all = ctx;
    int rc = cancel_one(all->pool, job, all->would_kill);

    if (rc < 0)
        all->rc = rc;
    if (all->kills && job->state == MUI_JOB_GIVEN && job->doom == MU_DONE)
        job->doom = MU_CANCELLED;
}

static void kill_each(void *ctx, struct mui_job *job)
{
    struct mu_pool *pool = ctx;

    /* else it is killed already, for its deadline */
    if (job->state == MUI_JOB_GIVEN &&
        (job->doom == MU_DONE || job->doom == MU_CANCELLED))
        mui_pool_kill(pool, job, MU_CANCELLED);
}

/* A spare takes the place of each worker that is killed, and is given what there is: so
 * all that waits is cancelled before the first is, and all that runs is doomed, or what
 * runs beside one would run again. */
int mu_pool_cancel_all(struct mu_pool *pool, int kill)
{
    struct cancel_all all = {.pool = pool};
    struct cancel_queued rest = {.pool = pool, .number_max = UINT64_MAX};
    int rc = mui_pool_check(pool);

    if (rc < 0)
        return rc;
    all.kills = kill && mui_model_isolates(&pool->model);
    all.would_kill = kill && !all.kills;
    (void)pthread_mutex_lock(&pool->lock);
    /* what has ended is not cancelled, nor is its worker killed */
    (void)mui_pool_collect_all(pool, MUI_EAGER);
    recall_all(pool);
    mui_job_each(pool->store, cancel_each, &all);
    if (all.kills) {
        mui_job_each(pool->store, kill_each, pool);
        /* what a lane had under revocation, and let go meanwhile */
        mui_job_each(pool->store, cancel_queued, &rest);
    }
    mui_pool_leave(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    return all.rc;
}
