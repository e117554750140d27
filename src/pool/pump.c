/* pump.c: collect replies, hand out orders.
 *
 * Any thread that is in a call of the pool pumps, so a task goes from the caller
 * to its worker without a thread between. When no caller is there the worker that
 * runs short rings, and what serves the bell pumps: the layer's own thread under
 * processes, the worker itself under threads. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "pool/policy.h"
#include "pool/pool.h"

static void give_input_back(struct mu_pool *pool, struct mui_job *job)
{
    if (!job->owns_input)
        return;
    job->owns_input = false;
    mui_arena_free(&pool->arena,
                   pool->arena.base
                       ? pool->arena.base + job->order.u.span.address
                       : (void *)(uintptr_t)job->order.u.span.address);
}

void mui_pool_end(struct mu_pool *pool, struct mui_job *job,
                  enum mu_status status)
{
    give_input_back(pool, job);
    job->out.status = status;
    job->state = MUI_JOB_ENDED;
    if (job->timeout_ns)
        pool->n_timeouts--;
    if (job->retries)
        pool->n_retried--;
    pool->stats.ended[status]++;
    pool->n_moves++;
    mui_job_push_back(&pool->ended, job);
    if (pool->n_waiting)
        mui_pool_news(pool);
}

void mui_pool_ungive(struct mu_pool *pool, struct mui_job *job)
{
    pool->n_given--;
    if (job->alone)
        pool->groups[job->i_lane / pool->groups[0].n_lanes].lone = NULL;
}

/* Let go of the output of an attempt that is not the last. */
static void drop_output(struct mu_pool *pool, struct mui_job *job)
{
    uint64_t size = job->out.output == job->small ? 0 : job->out.output_size;

    job->held_bytes -= size;
    pool->held_bytes -= size;
    mui_job_drop_output(job);
}

void mui_pool_requeue(struct mu_pool *pool, struct mui_job *job, bool charged,
                      bool alone)
{
    if (!charged)
        job->out.attempts--;
    job->seen_start_ns = 0;
    drop_output(pool, job);
    /* nothing of this attempt may be taken for the next one's */
    job->out.code = 0;
    job->out.signal = 0;
    job->out.fault_address = NULL;
    job->out.has_fault_address = 0;
    job->doom = MU_DONE;
    job->note = MUI_NOTE_NONE;
    job->limit = MUI_LIMIT_NONE;
    free(job->frames);
    job->frames = NULL;
    job->n_frames = 0;
    job->alone = alone;
    job->state = alone ? MUI_JOB_SUSPECT : MUI_JOB_QUEUED;
    mui_job_push_front(alone ? &pool->suspects : &pool->queue, job);
}

/* -- collecting -- */

/* Keep `size` bytes of output, which are the first of `room` that can be read. */
static inline void keep_small(struct mui_job *job, const void *bytes,
                              size_t room, size_t size)
{
    if (!size)
        return;
    /* all of them: the copy is cheaper than to ask how many */
    memcpy(job->small, bytes, room);
    job->small[size] = '\0';
    job->out.output_size = size;
}

/* Keep the output that came with a reply. */
static bool keep_output(struct mu_pool *pool, struct mui_job *job,
                        struct mui_lane *lane, const struct mui_reply *reply)
{
    size_t size = (size_t)reply->u.span.size;
    char *copy;

    if (reply->form == MUI_FORM_INLINE) {
        keep_small(job, reply->u.bytes, MUI_REPLY_INLINE, reply->inline_size);
        return true;
    }
    if (!lane->region) { /* a block of the heap, ours from now on */
        job->out.output = (const void *)(uintptr_t)reply->u.span.address;
        job->out.output_size = size;
    } else {
        copy = mui_job_output(job, size);
        if (copy) {
            memcpy(copy, lane->region + reply->u.span.address, size);
            copy[size] = '\0';
        }
        mui_lane_release(lane, reply);
        if (!copy)
            return false;
    }
    job->held_bytes += size;
    pool->held_bytes += size;
    return true;
}

/* Learn from n tasks that took run_ns together. */
static void learn_run_time(struct mu_pool *pool, int64_t run_ns, unsigned n)
{
    enum { WEIGHT = 8 }; /* a task is an eighth of the average */

    run_ns /= n;
    /* a worker's word: within reason */
    if (run_ns < 1)
        run_ns = 1;
    if (run_ns > INT64_C(1000000000000))
        run_ns = INT64_C(1000000000000);
    if (!pool->run_ns || n >= WEIGHT)
        pool->run_ns = run_ns;
    else
        pool->run_ns += (run_ns - pool->run_ns) * n / WEIGHT;
}

static void settle_returned(struct mu_pool *pool, struct mui_job *job)
{
    if (!job->cancelled) {
        mui_pool_requeue(pool, job, false, job->alone);
        return;
    }
    job->out.attempts--;
    mui_pool_end(pool, job, MU_CANCELLED);
}

static void settle_reply(struct mu_pool *pool, struct mui_job *job,
                         struct mui_lane *lane, const struct mui_reply *reply)
{
    enum mu_status status = reply->code ? MU_FAILED : MU_DONE;

    if (reply->kind == MUI_REPLY_RETURNED) {
        settle_returned(pool, job);
        return;
    }
    job->out.code = reply->code;
    job->out.run_ns = reply->run_ns;
    /* it counts from the end of the task before, which can be earlier */
    job->out.queue_ns =
        reply->start_ns > job->submit_ns ? reply->start_ns - job->submit_ns : 0;
    learn_run_time(pool, reply->run_ns, 1);
    pool->end_ns =
        (int64_t)((uint64_t)reply->start_ns + (uint64_t)reply->run_ns);
    job->limit = reply->limit;
    if (reply->kind == MUI_REPLY_ERROR) {
        status = MU_FAILED;
        job->note = MUI_NOTE_ERROR;
    } else if (!keep_output(pool, job, lane, reply)) {
        status = MU_OUT_OF_MEMORY;
    }
    if (job->cancelled && status != MU_DONE)
        status = MU_CANCELLED;
    if (status != MU_DONE && mui_policy_retries(job, status))
        mui_pool_requeue(pool, job, true, false);
    else
        mui_pool_end(pool, job, status);
}

/* The same for what a brief reply says, but for what is counted: these were packed, so
 * each is small, has nobody's worker for itself, and is `done`. */
static inline void settle_brief(struct mu_pool *pool,
                                const struct mui_lane_brief *brief,
                                int64_t start_ns)
{
    struct mui_job *job = brief->owner;
    uint64_t bytes = brief->output >> 8;

    job->out.status = MU_DONE;
    job->out.code = 0;
    job->out.run_ns = brief->run_ns;
    job->out.queue_ns =
        start_ns > job->submit_ns ? start_ns - job->submit_ns : 0;
    keep_small(job, &bytes, sizeof bytes, (uint8_t)brief->output);
    job->state = MUI_JOB_ENDED;
    pool->n_timeouts -= job->timeout_ns != 0;
    pool->n_retried -= job->retries != 0;
}

/* Settle the brief replies that are next, up to n_max. Returns how many there were. */
static unsigned collect_briefs(struct mu_pool *pool, struct mui_lane *lane,
                               unsigned n_max)
{
    enum { MANY = 64, AHEAD = 6 };
    struct mui_lane_brief briefs[MANY];
    struct mui_job *first;
    struct mui_job *last;
    int64_t start_ns;
    int64_t begin_ns;
    unsigned n = mui_lane_collect_briefs(
        lane, briefs, n_max < MANY ? n_max : MANY, &start_ns);

    if (n == 0)
        return 0;
    begin_ns = start_ns;
    first = briefs[0].owner;
    last = first;
    for (unsigned i = 0; i < n; i++) {
        struct mui_job *job = briefs[i].owner;

        job->later = briefs[i + AHEAD < n ? i + AHEAD : n - 1].owner;
        mui_job_ask_for(job->later);
        settle_brief(pool, &briefs[i], start_ns);
        start_ns = (int64_t)((uint64_t)start_ns + briefs[i].run_ns);
        last->next = job;
        job->prev = last;
        last = job;
    }
    mui_job_join(&pool->ended, first, last, n);
    learn_run_time(pool, (int64_t)((uint64_t)start_ns - (uint64_t)begin_ns), n);
    pool->end_ns = start_ns;
    pool->n_given -= n;
    pool->stats.ended[MU_DONE] += n;
    pool->n_moves += n;
    if (pool->n_waiting)
        mui_pool_news(pool);
    return n;
}

/* Collect up to n_max replies: see mui_pool_collect(). */
static bool collect(struct mu_pool *pool, struct mui_lane *lane, unsigned n_max,
                    bool *ret_forged)
{
    struct mui_reply reply;
    void *owner;
    unsigned n_left = n_max;
    int rc = MU_OK;

    while (n_left > 0) {
        unsigned n = collect_briefs(pool, lane, n_left);
        struct mui_job *job;

        n_left -= n;
        if (n > 0)
            continue;
        rc = mui_lane_collect(lane, &reply, &owner);
        if (rc != MU_OK)
            break;
        job = owner;
        n_left--;
        if (!job)
            continue; /* taken back before */
        mui_pool_ungive(pool, job);
        settle_reply(pool, job, lane, &reply);
    }
    *ret_forged = rc == MU_ECORRUPT;
    return n_left != n_max;
}

bool mui_pool_collect(struct mu_pool *pool, struct mui_lane *lane,
                      bool *ret_forged)
{
    return collect(pool, lane, UINT_MAX, ret_forged);
}

/* How many replies are worth being waited for. Reading each as it comes costs a cache
 * miss apiece, and the worker, who writes beside it, another; many at once stream. */
enum patience {
    EAGER = 0,  /* what is there is read */
    WAITS = 32, /* for a caller who has nothing to do meanwhile */
    LAZY = 4096 /* half of what there may be */
};

/* How many of a lane's replies to read now. */
static unsigned worth_reading(const struct mui_lane *lane,
                              enum patience patience)
{
    enum { FEW = 16 };
    unsigned n = mui_lane_in_flight(lane);

    if (patience == EAGER || n < FEW)
        return UINT_MAX;
    return mui_lane_at_rest(lane, n / 2 < patience ? n / 2 : patience);
}

static bool collect_all(struct mu_pool *pool, enum patience patience)
{
    bool moved = false;
    bool forged;

    for (unsigned i = 0; i < pool->n_groups; i++) {
        const struct mui_group *group = &pool->groups[i];

        for (unsigned j = 0; group->lanes && j < group->n_lanes; j++) {
            moved |=
                collect(pool, &group->lanes[j],
                        worth_reading(&group->lanes[j], patience), &forged);
            if (forged) {
                pool->layer->ops->kill(pool->layer, i, MUI_DEATH_CORRUPT);
                moved = true;
                break;
            }
        }
    }
    return moved;
}

/* -- handing out -- */

static void set_deadline(struct mu_pool *pool, struct mui_job *job)
{
    int64_t due;

    job->given_ns = mu_now_ns();
    due = job->timeout_ns < MU_NEVER - job->given_ns
              ? job->given_ns + job->timeout_ns
              : MU_NEVER;
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
    job->i_lane = (uint16_t)i_worker;
    job->out.worker = i_worker;
    if (job->timeout_ns)
        set_deadline(pool, job);
    if (job->retries)
        pool->heard = false;
}

/* Which attempt the next will be, as orders say it. */
static uint8_t next_attempt(const struct mui_job *job)
{
    return (uint8_t)(job->out.attempts < 254 ? job->out.attempts + 1 : 255);
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
    uint8_t attempt = next_attempt(job);
    unsigned n;

    for (n = 0; n < n_max && job; n++, job = job->next, tag += step) {
        if (job->order.form != MUI_FORM_INLINE || job->order.fn != fn ||
            job->order.tag != tag || next_attempt(job) != attempt ||
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
    mui_lane_push_pack(lane, orders, n, next_attempt(owners[0]), owners,
                       &index);
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
static bool give_suspects(struct mu_pool *pool)
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
        if (!give_pack(pool, group, i_lane, window - mui_lane_in_flight(lane)))
            give(pool, group, i_lane, mui_job_pop(&pool->queue));
        moved = true;
    }
    if (moved)
        mui_lane_flush(lane);
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

static bool give_queue(struct mu_pool *pool)
{
    unsigned window;
    unsigned drained = pool->n_groups;
    bool moved = false;

    if (!pool->queue.n || !has_room(pool))
        return false;
    /* suspects wait: let the first worker run empty for one of them */
    if (pool->suspects.n)
        for (drained = 0; drained < pool->n_groups; drained++)
            if (pool->groups[drained].lanes)
                break;
    window = mui_policy_window(
        pool->options.window, pool->run_ns, pool->terms.n_slots,
        pool->queue.n + pool->n_given, pool->model.n_lanes);
    /* always in the same order: few tasks go to workers that are awake, and the
     * others sleep */
    for (unsigned i = 0; i < pool->n_groups && pool->queue.n; i++) {
        struct mui_group *group = &pool->groups[i];

        if (!group->lanes || group->lone || i == drained)
            continue;
        for (unsigned j = 0; j < group->n_lanes; j++)
            moved |= give_lane(pool, group, j, window);
    }
    return moved;
}

/* -- taking back from slow workers -- */

void mui_pool_take_back(void *ctx, void *owner)
{
    struct mu_pool *pool = ctx;
    struct mui_job *job = owner;

    mui_pool_ungive(pool, job);
    mui_pool_requeue(pool, job, false, job->alone);
}

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
        return mui_lane_revoke(lane, 0, mui_pool_take_back, pool) > 0;
    if (start + long_ns < pool->look_ns)
        pool->look_ns = start + long_ns;
    return false;
}

static unsigned count_idle(const struct mu_pool *pool)
{
    unsigned n_idle = 0;

    for (unsigned i = 0; i < pool->n_groups; i++)
        for (unsigned j = 0;
             pool->groups[i].lanes && j < pool->groups[i].n_lanes; j++)
            n_idle += mui_lane_in_flight(&pool->groups[i].lanes[j]) == 0;
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

static bool pump(struct mu_pool *pool, enum patience patience)
{
    bool moved = collect_all(pool, patience);

    if (pool->suspects.n)
        moved |= give_suspects(pool);
    moved |= give_queue(pool);
    if (patience == EAGER && rebalance(pool)) {
        (void)give_queue(pool);
        moved = true;
    }
    pool->n_moves += moved;
    return moved;
}

bool mui_pool_pump(struct mu_pool *pool)
{
    return pump(pool, EAGER);
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
        pool->n_moves += give_queue(pool);
        if (!pool->queue.n)
            return;
    }
    (void)pump(pool, LAZY);
}

bool mui_pool_pump_waiting(struct mu_pool *pool)
{
    /* who does not spin does not pump again soon */
    bool waits = mui_pool_is_brief(pool) && pool->terms.spin_ns > 0;

    return pump(pool, waits ? WAITS : EAGER);
}

/* -- bells -- */

static void want_all(struct mu_pool *pool, uint32_t want)
{
    for (unsigned i = 0; i < pool->n_groups; i++)
        for (unsigned j = 0;
             pool->groups[i].lanes && j < pool->groups[i].n_lanes; j++)
            mui_lane_want(&pool->groups[i].lanes[j], want);
}

void mui_pool_want_news(struct mu_pool *pool)
{
    pool->wish = 0; /* whatever was wished is replaced */
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
            if (mui_lane_in_flight(&group->lanes[j]) > 0)
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
        pool->wish = MUI_WANT_IDLE;
        want_all(pool, pool->wish);
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
