/* overdue.c: workers that do not get on: past a deadline, damaged, or leaving what lies
 * before them.
 *
 * Deadlines have an alarm, and where tasks have none an idle pool is not woken: then it is
 * callers who wait that look. So a worker that denies what it runs is noticed in two ways:
 * by the clock after a second, for the deadline's sake, and by the looks of callers after
 * some more. */
#include "pool/pool.h"

/* -- deadlines -- */

void mui_pool_kill(struct mu_pool *pool, struct mui_job *job,
                   enum mu_status doom)
{
    unsigned n_lanes = pool->groups[0].n_lanes;
    unsigned i_group = job->out.worker / n_lanes;
    struct mui_group *group = &pool->groups[i_group];
    bool forged;

    /* it goes on until the kill arrives, and is to begin nothing more: that would run
     * twice; the job stays, whether its worker says that it began or not */
    (void)mui_pool_recall(pool, group, job);
    /* what it has begun behind the job it cannot leave: then the job has ended since its
     * replies were read, and said so first */
    (void)mui_pool_collect(pool, &group->lanes[job->out.worker % n_lanes],
                           &forged);
    if (job->state != MUI_JOB_GIVEN)
        return;
    job->doom = (uint8_t)doom;
    pool->layer->ops->kill(pool->layer, i_group, MUI_DEATH_KILLED);
}

/* How long a worker may have an order before it, nothing else to do, and say that it has
 * started none: then the order's time runs, for the worker may be at it. */
enum { DENIAL_NS = 1000 * 1000 * 1000 };

/* When the time begins of an order whose worker says that it has started none; MU_NEVER
 * of one that is not up, for how long that may be, the layer sees to. */
static int64_t denied_start(const struct mui_lane *lane, int64_t given_ns,
                            int64_t up_ns, int64_t now_ns)
{
    int64_t from = mui_lane_end(lane, now_ns);

    if (from < up_ns)
        from = up_ns;
    if (from < given_ns)
        from = given_ns;
    return mui_clock_add(from, DENIAL_NS);
}

/* It may begin a task at any time, of which nothing tells us: a look as often as the
 * task's time is long, within what a look is worth. */
static int64_t next_look(int64_t timeout_ns, int64_t now_ns)
{
    enum { LOOK_NS = 1000 * 1000 };
    int64_t pause_ns = timeout_ns > LOOK_NS ? timeout_ns : LOOK_NS;

    return mui_clock_add(now_ns, pause_ns);
}

static void lower(int64_t *next, int64_t time_ns)
{
    if (time_ns < *next)
        *next = time_ns;
}

/* The job of a lane that is over its time, or NULL; lowers *next to the time at
 * which the lane has to be looked at again. What the worker says of its start is
 * believed once and only within what is possible. */
static struct mui_job *find_overdue(struct mui_lane *lane, int64_t up_ns,
                                    int64_t now_ns, int64_t *next)
{
    int64_t start;
    uint32_t started = mui_lane_started(lane, &start);

    for (uint32_t i = lane->head; i != lane->tail; i++) {
        struct mui_job *job = mui_lane_owner(lane, i);
        struct mui_extras *extras;
        int64_t from;
        int64_t due;

        if (!job || !mui_job_extras(job)->timeout_ns)
            continue;
        extras = &job->extras;
        if (!extras->seen_start_ns && i - lane->head < started - lane->head)
            extras->seen_start_ns =
                start > extras->given_ns && start <= now_ns ? start : now_ns;
        if (extras->seen_start_ns)
            from = extras->seen_start_ns;
        else if (started == lane->head) /* is denied, or nobody is up */
            from = denied_start(lane, extras->given_ns, up_ns, now_ns);
        else /* lies behind one that has begun */
            from = MU_NEVER;
        due = mui_clock_add(from, extras->timeout_ns);
        if (due <= now_ns)
            return job;
        lower(next, due);
        /* of a worker that comes up we hear */
        if (!extras->seen_start_ns && up_ns != MU_NEVER)
            lower(next, next_look(extras->timeout_ns, now_ns));
    }
    return NULL;
}

/* Whether a worker's lanes contradict themselves: no deadline can be trusted there. */
static bool end_if_damaged(struct mu_pool *pool, unsigned i_group)
{
    const struct mui_group *group = &pool->groups[i_group];

    for (unsigned i = 0; i < group->n_lanes; i++) {
        if (!mui_lane_is_damaged(&group->lanes[i]))
            continue;
        pool->layer->ops->kill(pool->layer, i_group, MUI_DEATH_CORRUPT);
        return true;
    }
    return false;
}

static bool end_if_overdue(struct mu_pool *pool, unsigned i_group,
                           int64_t now_ns, int64_t *next)
{
    const struct mui_group *group = &pool->groups[i_group];
    int64_t up_ns = pool->layer->ops->up_since(pool->layer, i_group);

    for (unsigned i = 0; i < group->n_lanes; i++) {
        struct mui_job *job =
            find_overdue(&group->lanes[i], up_ns, now_ns, next);

        if (!job)
            continue;
        mui_pool_kill(pool, job, MU_TIMED_OUT);
        return true;
    }
    return false;
}

int64_t mui_pool_deadlines(struct mu_pool *pool, int64_t now_ns)
{
    int64_t next = MU_NEVER;

    for (unsigned i = 0; pool->n_timeouts && i < pool->n_groups; i++) {
        struct mui_group *group = &pool->groups[i];

        if (!group->lanes)
            continue;
        if (end_if_damaged(pool, i) || end_if_overdue(pool, i, now_ns, &next))
            next = now_ns; /* a new worker is there: look at once */
    }
    return next;
}

/* -- workers that leave what lies before them -- */

/* Between two looks; so many of which a worker may have orders before it and say that it
 * has started none. Looks are counted, not time: however long this process was stopped,
 * or the machine, is one. */
static const int64_t doubt_pause_ns = INT64_C(2500000000);
enum { DOUBTS_MAX = 4 };

/* Whether a worker says that it runs a task. */
static bool runs_something(const struct mui_group *group)
{
    for (unsigned i = 0; i < group->n_lanes; i++)
        if (mui_lane_started(&group->lanes[i], NULL) != group->lanes[i].head)
            return true;
    return false;
}

struct take_back {
    struct mu_pool *pool;
    const struct mui_lane *lane;
};

/* The oldest can be what keeps the lane from going on: it runs alone. */
static void take_back(void *ctx, void *owner)
{
    const struct take_back *from = ctx;
    struct mui_job *job = owner;
    bool oldest = job->index == from->lane->head;

    mui_pool_ungive(from->pool, job);
    if (oldest)
        job->n_reruns++;
    mui_pool_requeue(from->pool, job, false, oldest);
}

/* A worker that was damaged, or lies, can leave what lies before it for ever, and no
 * deadline need be there to tell. An honest one can be long without a CPU, so what is
 * done here costs it at the most itself, and never a task: one that says that it runs
 * another, for whom a team-mate's long work or the end of this lane is no lie, has the
 * orders taken back; one that runs nothing is replaced. A suspect that is alone on its
 * worker is waited for, like any task that takes long: it can be blamed for nothing. */
static bool doubt_group(struct mu_pool *pool, unsigned i_group)
{
    const struct mui_group *group = &pool->groups[i_group];
    bool runs = runs_something(group);
    bool leaves = false;
    bool moved = false;

    if (pool->layer->ops->up_since(pool->layer, i_group) == MU_NEVER)
        return false; /* it can have started nothing */
    for (unsigned i = 0; i < group->n_lanes; i++) {
        struct mui_lane *lane = &group->lanes[i];
        struct take_back from = {pool, lane};

        if (mui_lane_doubts(lane) <= DOUBTS_MAX)
            continue;
        leaves = true;
        if (runs && mui_lane_revoke(lane, lane->head, take_back, &from) > 0)
            moved = true;
    }
    if (!leaves || runs || group->lone)
        return moved;
    pool->layer->ops->kill(pool->layer, i_group, MUI_DEATH_CORRUPT);
    return true;
}

bool mui_pool_doubt(struct mu_pool *pool)
{
    bool moved = false;
    int64_t now = mu_now_ns();

    if (now < pool->doubt_ns)
        return false;
    pool->doubt_ns = now + doubt_pause_ns;
    for (unsigned i = 0; i < pool->n_groups; i++)
        if (pool->groups[i].lanes)
            moved |= end_if_damaged(pool, i) || doubt_group(pool, i);
    return moved;
}
