/* give.c: which job goes to which lane, and when. */
#include "pool/policy.h"
#include "pool/pool.h"

static void set_deadline(struct mu_pool *pool, struct mui_job *job)
{
    struct mui_extras *extras = &job->extras;
    int64_t due;

    extras->given_ns = mu_now_ns();
    due = mui_clock_add(extras->given_ns, extras->timeout_ns);
    if (due >= pool->alarm_ns)
        return;
    pool->alarm_ns = due;
    pool->layer->ops->alarm(pool->layer, due);
}

/* A job has been, or is about to be, pushed as number `index` of a lane. */
static void note_given(struct mu_pool *pool, struct mui_job *job,
                       unsigned i_worker, uint32_t index)
{
    job->out.attempts++;
    job->state = MUI_JOB_GIVEN;
    job->index = index;
    job->out.worker = i_worker;
    if (mui_job_extras(job)->timeout_ns)
        set_deadline(pool, job);
    if (mui_job_extras(job)->retries)
        pool->heard = false;
}

/* Which attempt the next will be, as orders say it. */
static uint16_t next_attempt(const struct mui_job *job)
{
    return (uint16_t)(job->out.attempts < UINT16_MAX ? job->out.attempts + 1
                                                     : UINT16_MAX);
}

static void give(struct mu_pool *pool, struct mui_group *group, unsigned i_lane,
                 struct mui_job *job)
{
    struct mui_lane *lane = &group->lanes[i_lane];
    uint32_t index;

    (void)mui_lane_push(lane, &job->order, next_attempt(job), job, &index);
    note_given(pool, job, group->i_first + i_lane, index);
    pool->n_given++;
    pool->unwatched = true;
    if (job->cancelled)
        mui_lane_cancel(lane, index);
}

/* Find how many at the front of the queue, at the most n_max, can go as a pack: see
 * mui_lane_push_pack(). */
static unsigned find_pack(const struct mu_pool *pool, unsigned n_max,
                          const struct mui_order **ret_orders,
                          void **ret_owners)
{
    struct mui_job *job = pool->queue.first;
    uint64_t fn = job->order.fn;
    uint64_t tag = job->order.tag;
    uint64_t step = job->next ? job->next->order.tag - tag : 0;
    unsigned attempts = job->out.attempts;
    unsigned n;

    if (attempts >= MUI_PACK_ATTEMPTS)
        return 0;
    for (n = 0; n < n_max && job; n++, job = job->next, tag += step) {
        if (job->order.form != MUI_FORM_INLINE || job->order.fn != fn ||
            job->order.tag != tag || job->out.attempts != attempts ||
            job->cancelled)
            break;
        mui_job_ask_for(job->later);
        ret_orders[n] = &job->order;
        ret_owners[n] = job;
    }
    return n;
}

/* Give the front of the queue as a pack, at the most n_max. Returns how many. */
static unsigned give_pack(struct mu_pool *pool, struct mui_group *group,
                          unsigned i_lane, unsigned n_max)
{
    struct mui_lane *lane = &group->lanes[i_lane];
    const struct mui_order *orders[MUI_PACK_MAX];
    void *owners[MUI_PACK_MAX];
    unsigned room = mui_lane_pack_room(lane);
    unsigned n = find_pack(pool, n_max < room ? n_max : room, orders, owners);
    uint32_t index;

    if (n < 2)
        return 0;
    mui_lane_push_pack(lane, orders, n, (uint8_t)next_attempt(owners[0]),
                       owners, &index);
    mui_job_cut(&pool->queue, owners[n - 1], n);
    for (unsigned i = 0; i < n; i++)
        note_given(pool, owners[i], group->i_first + i_lane, index + i);
    pool->n_given += n;
    pool->unwatched = true;
    return n;
}

static bool group_is_quiet(const struct mui_group *group)
{
    for (unsigned i = 0; i < group->n_lanes; i++)
        if (mui_lane_in_flight(&group->lanes[i]) > 0)
            return false;
    return true;
}

bool mui_pool_group_is_fresh(const struct mui_group *group)
{
    for (unsigned i = 0; i < group->n_lanes; i++)
        if (group->lanes[i].n_replies > 0)
            return false;
    return true;
}

bool mui_pool_group_is_shared(const struct mui_group *group)
{
    unsigned n_used = 0;

    for (unsigned i = 0; i < group->n_lanes; i++)
        n_used += group->lanes[i].n_replies > 0 ||
                  mui_lane_in_flight(&group->lanes[i]) > 0;
    return n_used > 1;
}

/* Have a quiet worker replaced, so that a suspect finds a fresh one; unless one is
 * on its way. */
static bool freshen(struct mu_pool *pool)
{
    for (unsigned i = 0; i < pool->n_groups; i++)
        if (!pool->groups[i].lanes && !pool->groups[i].given_up)
            return false;
    for (unsigned i = 0; i < pool->n_groups; i++) {
        struct mui_group *group = &pool->groups[i];

        if (!group->lanes || group->lone || !group_is_quiet(group))
            continue;
        /* the new one, when a spare is ready, is given its suspect at once */
        pool->layer->ops->kill(pool->layer, i, MUI_DEATH_KILLED);
        return true;
    }
    return false;
}

/* Whether the next suspect has to wait for another's end. */
static bool is_held_apart(const struct mu_pool *pool)
{
    if (!pool->suspects.n || !mui_policy_runs_apart(pool->suspects.first))
        return false;
    for (unsigned i = 0; i < pool->n_groups; i++)
        if (pool->groups[i].lone && mui_policy_runs_apart(pool->groups[i].lone))
            return true;
    return false;
}

/* A suspect gets a worker that has run nothing before and runs nothing beside it:
 * what happens there is the suspect's doing. */
bool mui_pool_give_suspects(struct mu_pool *pool)
{
    bool moved = false;

    for (unsigned i = 0; i < pool->n_groups && pool->suspects.n; i++) {
        struct mui_group *group = &pool->groups[i];

        if (is_held_apart(pool))
            return moved;
        if (!group->lanes || group->lone || !group_is_quiet(group) ||
            !mui_pool_group_is_fresh(group))
            continue;
        group->lone = mui_job_pop(&pool->suspects);
        give(pool, group, 0, group->lone);
        mui_lane_flush(&group->lanes[0]);
        moved = true;
    }
    if (!moved && pool->suspects.n && !is_held_apart(pool))
        moved = freshen(pool);
    return moved;
}

static bool give_lane(struct mu_pool *pool, struct mui_group *group,
                      unsigned i_lane, unsigned window)
{
    struct mui_lane *lane = &group->lanes[i_lane];
    bool moved = false;

    if (mui_lane_in_flight(lane) > window / 2)
        return false; /* in batches: see mui_lane_push() */
    if (mui_lane_is_revoking(lane))
        return false; /* it is long at a task, and these could not be taken back */
    while (pool->queue.n && mui_lane_in_flight(lane) < window) {
        if (pool->queue.n < 2 ||
            !give_pack(pool, group, i_lane, window - mui_lane_in_flight(lane)))
            give(pool, group, i_lane, mui_job_pop(&pool->queue));
        moved = true;
    }
    if (moved)
        mui_lane_flush(lane);
    /* one that leaves only now sees the orders, and rings */
    group->leaving |= pool->has_neighbours && lane->has_left;
    return moved;
}

/* Whether give_lane() may take tasks for some lane, whatever the window. */
static bool has_room(const struct mu_pool *pool)
{
    for (unsigned i = 0; i < pool->n_groups; i++) {
        const struct mui_group *group = &pool->groups[i];

        for (unsigned j = 0; group->lanes && j < group->n_lanes; j++)
            if (mui_lane_in_flight(&group->lanes[j]) <= pool->terms.n_slots / 2)
                return true;
    }
    return false;
}

/* Suspects wait: the first worker that none has runs empty for one of them. */
static unsigned find_drained(const struct mu_pool *pool)
{
    unsigned i;

    for (i = 0; i < pool->n_groups; i++)
        if (pool->groups[i].lanes && !pool->groups[i].lone)
            break;
    return i;
}

bool mui_pool_give_queue(struct mu_pool *pool)
{
    unsigned window;
    unsigned drained = pool->n_groups;
    bool moved = false;

    if (!pool->queue.n || !has_room(pool))
        return false;
    if (pool->suspects.n && !is_held_apart(pool))
        drained = find_drained(pool);
    window = mui_policy_window(
        pool->options.window, pool->run_ns, pool->terms.n_slots,
        pool->queue.n + pool->n_given, pool->model.n_lanes);
    /* always in the same order: few tasks go to workers that are awake, and the
     * others sleep */
    for (unsigned i = 0; i < pool->n_groups && pool->queue.n; i++) {
        struct mui_group *group = &pool->groups[i];

        if (!group->lanes || group->lone || i == drained || group->leaving)
            continue;
        for (unsigned j = 0; j < group->n_lanes; j++)
            moved |= give_lane(pool, group, j, window);
        if (group->leaving)
            (void)mui_pool_recall(pool, group, NULL);
    }
    mui_pool_see_room(pool); /* ends wake who sleeps for it, this does not */
    return moved;
}
