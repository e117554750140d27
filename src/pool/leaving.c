/* leaving.c: workers that are to be replaced, and end with what they run.
 *
 * One that a task has changed, or that has run enough, begins nothing more: process/worker.c.
 * Of several lanes each is left when its flow has nothing under way, the worker ends with
 * the last of them, and until then a task may take long. So as soon as one lane says that
 * it was left, none of that worker's is given anything, and what it has not begun goes
 * elsewhere. That is looked for as the lane rings, before callers sleep, and where an order
 * was given to such a lane; pumping alone does not read a line of each lane for it.
 *
 * It may lie, or another task may have written there. So whatever it says next it is
 * replaced, at no harm to what it runs: when it owes nothing more. What it takes in spite
 * of this was taken back, and a reply to that is forged. */
#include "pool/pool.h"

/* Whether there is a task that was not taken back, and no reply to it was read. */
static bool owes(const struct mui_group *group)
{
    for (unsigned i = 0; i < group->n_lanes; i++) {
        const struct mui_lane *lane = &group->lanes[i];

        for (uint32_t index = lane->head; index != lane->tail; index++)
            if (mui_lane_owner(lane, index))
                return true;
    }
    return false;
}

static bool see_off(struct mu_pool *pool, unsigned i_group)
{
    struct mui_group *group = &pool->groups[i_group];
    bool moved;

    for (unsigned i = 0; i < group->n_lanes && !group->leaving; i++)
        group->leaving = mui_lane_has_left(&group->lanes[i]);
    if (!group->leaving)
        return false;
    moved = mui_pool_recall(pool, group, NULL);
    if (owes(group))
        return moved;
    pool->layer->ops->kill(pool->layer, i_group, MUI_DEATH_KILLED);
    return true;
}

bool mui_pool_see_off(struct mu_pool *pool)
{
    bool moved = false;

    if (!pool->has_neighbours || pool->closing)
        return false;
    for (unsigned i = 0; i < pool->n_groups; i++)
        if (pool->groups[i].lanes)
            moved |= see_off(pool, i);
    return moved;
}
