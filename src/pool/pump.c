/* pump.c: replies are collected, orders given, and what a slow worker has not started
 * is taken back.
 *
 * Any thread that is in a call of the pool pumps, so a task goes from the caller
 * to its worker without a thread between. When no caller is there the worker that
 * runs short rings, and what serves the bell pumps: the layer's own thread under
 * processes, the worker itself under threads. */
#include "pool/pool.h"

/* Take back what a lane has not started, if its worker has been at one task for long;
 * else note when it will have been. */
static bool relieve(struct mu_pool *pool, struct mui_lane *lane, int64_t now)
{
    const int64_t long_ns = 200 * 1000;
    int64_t start;

    if (mui_lane_in_flight(lane) < 2 || mui_lane_is_revoking(lane) ||
        mui_lane_started(lane, &start) == lane->tail)
        return false; /* there is no rest to be taken */
    if (start <= 0 || start > now)
        start = now; /* it has yet to begin */
    if (now - start > long_ns)
        return mui_lane_revoke(lane, lane->head, mui_pool_take_back, pool) > 0;
    if (start + long_ns < pool->look_ns)
        pool->look_ns = start + long_ns;
    return false;
}

/* Lanes that have nothing, and may be given something. */
static unsigned count_idle(const struct mu_pool *pool)
{
    unsigned n_idle = 0;

    for (unsigned i = 0; i < pool->n_groups; i++) {
        const struct mui_group *group = &pool->groups[i];

        if (!group->lanes || group->lone || group->leaving)
            continue;
        for (unsigned j = 0; j < group->n_lanes; j++)
            n_idle += mui_lane_in_flight(&group->lanes[j]) == 0;
    }
    return n_idle;
}

/* When a worker has nothing and the queue has nothing, a worker that has been at
 * one task for long gives the rest of its orders back. `look_ns` becomes when one will
 * have been: nobody may ring until then. */
static bool rebalance(struct mu_pool *pool)
{
    bool moved = false;
    int64_t now;

    pool->look_ns = MU_NEVER;
    if (pool->queue.n || pool->n_given < 2 || count_idle(pool) == 0)
        return false;
    now = mu_now_ns();
    for (unsigned i = 0; i < pool->n_groups; i++) {
        const struct mui_group *group = &pool->groups[i];

        for (unsigned j = 0; group->lanes && j < group->n_lanes; j++)
            moved |= relieve(pool, &group->lanes[j], now);
    }
    return moved;
}

static bool pump(struct mu_pool *pool, enum mui_patience patience)
{
    bool moved = mui_pool_collect_all(pool, patience);

    if (pool->suspects.n)
        moved |= mui_pool_give_suspects(pool);
    moved |= mui_pool_give_queue(pool);
    if (patience == MUI_EAGER && rebalance(pool)) {
        (void)mui_pool_give_queue(pool);
        moved = true;
    }
    pool->n_moves += moved;
    return moved;
}

bool mui_pool_pump(struct mu_pool *pool)
{
    return pump(pool, MUI_EAGER);
}

bool mui_pool_is_brief(const struct mu_pool *pool)
{
    enum { SHORT_NS = 1500 };

    return pool->run_ns > 0 && pool->run_ns <= SHORT_NS;
}

void mui_pool_pump_lazily(struct mu_pool *pool)
{
    /* A reply is cheapest to read when nobody writes near it any more, and its job when
     * the outcome is about to be taken. So as long as lanes have room they stay unread;
     * what long tasks left behind has to be known, to give each worker its share. */
    if (mui_pool_is_brief(pool) && !pool->suspects.n) {
        pool->n_moves += mui_pool_give_queue(pool);
        if (!pool->queue.n)
            return;
    }
    (void)pump(pool, MUI_LAZY);
}

bool mui_pool_pump_waiting(struct mu_pool *pool)
{
    /* who does not spin does not pump again soon */
    bool waits = mui_pool_is_brief(pool) && pool->terms.spin_ns > 0;

    return pump(pool, waits ? MUI_WAITS : MUI_EAGER);
}
