/* collect.c: what comes back from workers: replies are read, jobs end, or go back to
 * the queue. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "pool/policy.h"
#include "pool/pool.h"

void mui_pool_give_input_back(struct mu_pool *pool, struct mui_job *job)
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
    mui_pool_give_input_back(pool, job);
    job->out.status = status;
    job->state = MUI_JOB_ENDED;
    pool->n_timeouts -= mui_job_extras(job)->timeout_ns != 0;
    pool->n_retried -= mui_job_extras(job)->retries != 0;
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
        pool->groups[job->out.worker / pool->groups[0].n_lanes].lone = NULL;
}

/* Let go of the output of an attempt that is not the last. */
static void drop_output(struct mu_pool *pool, struct mui_job *job)
{
    if (job->out.output != job->small) {
        mui_job_own_extras(job)->held_bytes -= job->out.output_size;
        pool->held_bytes -= job->out.output_size;
    }
    mui_job_drop_output(job);
}

void mui_pool_requeue(struct mu_pool *pool, struct mui_job *job, bool charged,
                      bool alone)
{
    if (!charged)
        job->out.attempts--;
    if (job->has_extras)
        job->extras.seen_start_ns = 0;
    drop_output(pool, job);
    /* nothing of this attempt may be taken for the next one's */
    job->out.code = 0;
    job->out.signal = 0;
    job->out.fault_address = NULL;
    job->out.has_fault_address = 0;
    job->out.limit = MU_LIMIT_NONE;
    job->doom = MU_DONE;
    job->note = MUI_NOTE_NONE;
    free(job->frames);
    job->frames = NULL;
    job->n_frames = 0;
    job->alone = alone;
    job->state = alone ? MUI_JOB_SUSPECT : MUI_JOB_QUEUED;
    mui_job_push_front(mui_pool_list_of(pool, job), job);
}

struct mui_job_list *mui_pool_list_of(struct mu_pool *pool,
                                      const struct mui_job *job)
{
    return job->state == MUI_JOB_HELD      ? &pool->held
           : job->state == MUI_JOB_SUSPECT ? &pool->suspects
                                           : &pool->queue;
}

void mui_pool_take_back(void *ctx, void *owner)
{
    struct mu_pool *pool = ctx;
    struct mui_job *job = owner;

    mui_pool_ungive(pool, job);
    mui_pool_requeue(pool, job, false, job->alone);
}

bool mui_pool_recall(struct mu_pool *pool, const struct mui_group *group,
                     const struct mui_job *but)
{
    bool moved = false;

    for (unsigned i = group->n_lanes; i-- > 0;) {
        struct mui_lane *lane = &group->lanes[i];
        bool stays = but && but->out.worker == group->i_first + i;

        moved |= mui_lane_revoke(lane, stays ? but->index + 1 : lane->head,
                                 mui_pool_take_back, pool) > 0;
    }
    return moved;
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
    mui_job_own_extras(job)->held_bytes += size;
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
    if (reply->kind == MUI_REPLY_ERROR) {
        status = MU_FAILED;
        job->note = MUI_NOTE_ERROR;
    } else if (!keep_output(pool, job, lane, reply)) {
        status = MU_OUT_OF_MEMORY;
    }
    if (job->cancelled && status != MU_DONE)
        status = MU_CANCELLED;
    if (status == MU_FAILED && reply->limit < MU_N_LIMITS)
        job->out.limit = reply->limit;
    if (status != MU_DONE && mui_policy_retries(job, status))
        mui_pool_requeue(pool, job, true, false);
    else
        mui_pool_end(pool, job, status);
}

/* The same for a brief reply, without what the caller counts for all of them: such tasks
 * came in packs, so each is small, shares its worker with others, and is `done`. */
static inline void settle_brief(const struct mui_lane_brief *brief,
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
}

/* Settle the brief replies that are next, up to n_max. Returns how many there were. */
static unsigned collect_briefs(struct mu_pool *pool, struct mui_lane *lane,
                               unsigned n_max)
{
    enum { MANY = 64, AHEAD = 6 };
    struct mui_lane_brief briefs[MANY];
    struct mui_job *first;
    struct mui_job *last;
    unsigned n_timeouts = 0;
    unsigned n_retried = 0;
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
        settle_brief(&briefs[i], start_ns);
        n_timeouts += mui_job_extras(job)->timeout_ns != 0;
        n_retried += mui_job_extras(job)->retries != 0;
        start_ns = (int64_t)((uint64_t)start_ns + briefs[i].run_ns);
        last->next = job;
        job->prev = last;
        last = job;
    }
    mui_job_join(&pool->ended, first, last, n);
    learn_run_time(pool, (int64_t)((uint64_t)start_ns - (uint64_t)begin_ns), n);
    pool->end_ns = start_ns;
    pool->n_timeouts -= n_timeouts;
    pool->n_retried -= n_retried;
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

    do {
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
    } while (n_left > 0 && mui_lane_has(lane, 1));
    *ret_forged = rc == MU_ECORRUPT;
    return n_left != n_max;
}

bool mui_pool_collect(struct mu_pool *pool, struct mui_lane *lane,
                      bool *ret_forged)
{
    return collect(pool, lane, UINT_MAX, ret_forged);
}

/* How many of a lane's replies to read now. */
static unsigned worth_reading(const struct mui_lane *lane,
                              enum mui_patience patience)
{
    enum { FEW = 16 };
    unsigned n = mui_lane_in_flight(lane);

    if (patience == MUI_EAGER || n < FEW)
        return UINT_MAX;
    return mui_lane_at_rest(lane, n / 2 < patience ? n / 2 : patience);
}

bool mui_pool_collect_all(struct mu_pool *pool, enum mui_patience patience)
{
    bool moved = false;
    bool forged;

    for (unsigned i = 0; i < pool->n_groups; i++) {
        const struct mui_group *group = &pool->groups[i];

        for (unsigned j = 0; group->lanes && j < group->n_lanes; j++) {
            struct mui_lane *lane = &group->lanes[j];
            unsigned n = worth_reading(lane, patience);

            if (n == 0 || !mui_lane_has(lane, 1))
                continue;
            moved |= collect(pool, lane, n, &forged);
            if (forged) {
                pool->layer->ops->kill(pool->layer, i, MUI_DEATH_CORRUPT);
                moved = true;
                break;
            }
        }
    }
    return moved;
}
