/* watch.c: who rings when no caller looks. */
#include "pool/pool.h"

static void want_all(struct mu_pool *pool, uint32_t want)
{
    for (unsigned i = 0; i < pool->n_groups; i++)
        for (unsigned j = 0;
             pool->groups[i].lanes && j < pool->groups[i].n_lanes; j++)
            mui_lane_want(&pool->groups[i].lanes[j], want);
}

void mui_pool_want_news(struct mu_pool *pool)
{
    pool->wish = false; /* whatever was wished is replaced */
    pool->heard = false;
    want_all(pool, MUI_WANT_DONE);
}

/* Whether a task waits for a worker that is at another. */
static bool has_rest(const struct mu_pool *pool)
{
    unsigned n_busy = 0;

    if (pool->queue.n || pool->suspects.n ||
        pool->n_given > pool->model.n_lanes)
        return true;
    if (pool->n_given < 2)
        return false;
    for (unsigned i = 0; i < pool->n_groups; i++) {
        const struct mui_group *group = &pool->groups[i];

        for (unsigned j = 0; group->lanes && j < group->n_lanes; j++)
            n_busy +=
                mui_lane_owner(&group->lanes[j], group->lanes[j].head) != NULL;
    }
    return pool->n_given > n_busy;
}

/* One worker that has nothing has to be awake, or to look again by itself. */
static void set_watch(struct mu_pool *pool)
{
    struct mui_lane *idle = NULL;

    for (unsigned i = 0; i < pool->n_groups; i++) {
        struct mui_group *group = &pool->groups[i];

        for (unsigned j = 0; group->lanes && !group->lone && j < group->n_lanes;
             j++) {
            if (mui_lane_in_flight(&group->lanes[j]) > 0 ||
                mui_lane_has_left(&group->lanes[j]))
                continue;
            if (mui_lane_is_watching(&group->lanes[j]))
                return;
            if (!idle)
                idle = &group->lanes[j];
        }
    }
    if (idle)
        mui_lane_alert(idle);
}

/* Nobody may call for long, and a task that was believed to be short may take long. So
 * as long as something waits for a worker that is at another task, and there is one that
 * has nothing, such a one rings. It is either
 *   - known to have nothing: then one of these is awake, and rings before it sleeps, or
 *     sleeps only for a while because it has rung; else one is woken here; or
 *   - one whose replies are not read yet: it had nothing more to do when the wish was
 *     out, and rings, or before that, and was found by the pump that follows the wish.
 * Who rings has the pool pumped, and what waits taken back from workers that are slow;
 * if they are not yet, it is wished again, which who sleeps for a while sees then. A
 * caller who sleeps for news is rung for in the same way. Returns whether somebody rings. */
static bool watch_rest(struct mu_pool *pool)
{
    bool is_out = pool->wish || pool->n_waiting;

    if (is_out && !pool->unwatched)
        return true;
    if (!has_rest(pool))
        return false;
    if (!is_out) {
        pool->wish = true;
        want_all(pool, MUI_WANT_IDLE);
        /* what came before the wish was seen is looked for here */
        if (mui_pool_pump(pool) && !has_rest(pool))
            return false;
    }
    pool->unwatched = false;
    set_watch(pool);
    return true;
}

/* A task that fails may have to be tried again, though nothing waits while it runs: its
 * worker rings when it has no more to do. Those that have nothing do not: they would ring
 * for as long as it runs, and have no part in it. One that did not see the wish sleeps,
 * and what it left is found here. Returns whether there was such, and it was dealt with. */
static bool hear_failures(struct mu_pool *pool)
{
    bool missed = false;

    if (!pool->n_retried || pool->heard || pool->n_waiting)
        return false;
    pool->heard = true;
    for (unsigned i = 0; i < pool->n_groups; i++) {
        const struct mui_group *group = &pool->groups[i];

        for (unsigned j = 0; group->lanes && j < group->n_lanes; j++) {
            struct mui_lane *lane = &group->lanes[j];

            if (mui_lane_in_flight(lane) == 0)
                continue;
            mui_lane_want(lane, MUI_WANT_IDLE);
            missed |= !mui_lane_is_awake(lane);
        }
    }
    return missed && mui_pool_pump(pool);
}

void mui_pool_leave(struct mu_pool *pool)
{
    bool is_watched;

    do
        is_watched = watch_rest(pool);
    while (!is_watched && hear_failures(pool));
}
