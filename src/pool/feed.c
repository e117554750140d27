/* feed.c: inputs from a callback into a pool. */
#include "pool/feed.h"

#include <errno.h>

#include "base/error.h"

void mui_feed_init(struct mui_feed *feed, struct mu_pool *pool, mu_task_fn fn,
                   mu_input_fn input, void *ctx)
{
    *feed = (struct mui_feed){.pool = pool, .input = input, .ctx = ctx};
    feed->rc = mui_pool_prepare(&feed->kind, fn);
    if (feed->rc == 0 && !mui_pool_is_empty(pool))
        feed->rc = -EBUSY; /* outcomes of others would be taken for ours */
}

/* Ask for the next input, to keep in `span` until the pool has room. 0 or an error of
 * the callback; at the end `ended` is set. */
static int ask(struct mui_feed *feed, struct mu_error *err)
{
    int rc;

    feed->interrupted = false;
    feed->span = (struct mu_span){.data = NULL};
    feed->how = (struct mu_submit){.tag = feed->n_given};
    rc = feed->input(feed->ctx, &feed->span, &feed->how);
    feed->ended = rc != 0 && rc != MU_FULL;
    feed->has_span = rc == 0;
    if (rc == MU_CLOSED) {
        mui_pool_cancel_waiting(feed->pool, MUI_FEED_INPUTS_MAX);
        return 0;
    }
    if (rc == MU_FULL && mui_feed_is_over(feed))
        return mui_fail(err, -EINVAL,
                        "map: the next input waits for an outcome, and no "
                        "task runs");
    if (rc == 0 || rc == MU_EMPTY || rc == MU_FULL)
        return 0;
    if (rc > 0)
        return mui_fail(err, -EINVAL,
                        "map: the callback for inputs answered %d", rc);
    return mui_fail(err, rc, "map: the next input");
}

int mui_feed_fill(struct mui_feed *feed, uint64_t limit, struct mu_error *err)
{
    int rc;

    if (feed->rc == -EBUSY)
        return mui_fail(err, -EBUSY,
                        "map: the pool has other tasks: take their outcomes "
                        "first");
    if (feed->i_here < feed->n_here && !feed->interrupted)
        return 0;
    for (;;) {
        bool may_submit = feed->n_given < limit;

        if (!feed->has_span &&
            (feed->interrupted || (may_submit && !feed->ended))) {
            rc = ask(feed, err);
            if (rc != 0)
                return rc;
        }
        /* interrupted, the callback has to be asked, and there is room for one more
         * input here only when this one is in: also beyond the limit */
        if (!feed->has_span || !(may_submit || feed->interrupted))
            return 0;
        feed->how.flags |=
            MUI_SUBMIT_LIGHTLY |
            (feed->interrupted ? MUI_SUBMIT_ANYWAY : MU_SUBMIT_NO_WAIT);
        rc = feed->rc;
        if (rc == 0)
            rc = mui_pool_submit(feed->pool, &feed->kind, &feed->span,
                                 &feed->how, feed->n_given, NULL);
        if (rc == MU_FULL)
            return 0;
        if (rc != 0)
            return mui_fail(err, rc, "map: submit input %llu",
                            (unsigned long long)feed->n_given);
        feed->has_span = false;
        feed->n_given++;
    }
}

static void free_spent(struct mui_feed *feed)
{
    mui_job_free_many(feed->spent, feed->n_spent);
    feed->n_spent = 0;
}

/* What holds much is taken one by one, and given back at once: its memory is in the
 * cache then, and the pool counts it. */
static int take_more(struct mui_feed *feed)
{
    free_spent(feed);
    feed->i_here = 0;
    return mu_pool_next_many(feed->pool, MU_NEVER, feed->here,
                             feed->is_heavy ? 1 : MUI_FEED_MANY, &feed->n_here);
}

bool mui_feed_is_over(const struct mui_feed *feed)
{
    return feed->n_taken == feed->n_given + feed->n_extra;
}

int mui_feed_take(struct mui_feed *feed, struct mu_outcome **ret_outcome,
                  struct mu_error *err)
{
    int rc = 0;

    if (feed->i_here == feed->n_here)
        rc = take_more(feed);
    /* also when there are outcomes all the time, and nobody waits */
    feed->interrupted |= rc == -EINTR || mui_pool_take_interrupt(feed->pool);
    if (rc == -EINTR) {
        *ret_outcome = NULL;
        return 0;
    }
    if (rc != 0)
        return mui_fail(err, rc, "map: wait for an outcome");
    *ret_outcome = feed->here[feed->i_here++];
    feed->is_heavy =
        mui_job_extras((const struct mui_job *)*ret_outcome)->held_bytes > 0;
    feed->n_taken++;
    return 0;
}

int mui_feed_answered(int rc, struct mu_error *err)
{
    if (rc != 0)
        mui_error_say(err, rc, "map: the callback for outcomes answered %d",
                      rc);
    return rc;
}

void mui_feed_free(struct mui_feed *feed, struct mu_outcome *outcome)
{
    struct mui_job *job = (struct mui_job *)outcome;

    if (mui_job_extras(job)->held_bytes > 0) {
        mui_job_free(job);
        return;
    }
    if (feed->n_spent == MUI_FEED_MANY)
        free_spent(feed);
    feed->spent[feed->n_spent++] = job;
}

void mui_feed_fini(struct mui_feed *feed)
{
    struct mu_outcome *outcome;

    free_spent(feed);
    for (; feed->i_here < feed->n_here; feed->n_taken++)
        mu_outcome_free(feed->here[feed->i_here++]);
    if (mui_feed_is_over(feed))
        return;
    (void)mu_pool_cancel_all(feed->pool,
                             mu_model_isolates(mu_pool_model(feed->pool)) == 1);
    while (!mui_feed_is_over(feed)) {
        int rc = mu_pool_next(feed->pool, MU_NEVER, &outcome);

        if (rc == -EINTR)
            continue; /* what was cancelled still has to be taken */
        if (rc != 0)
            return;
        feed->n_taken++;
        mu_outcome_free(outcome);
    }
}

uint64_t mui_feed_number(const struct mu_outcome *outcome)
{
    return mui_job_extras((const struct mui_job *)outcome)->number;
}

size_t mui_feed_window(const struct mu_pool *pool)
{
    /* more keeps nobody busier; a pool may let as many wait as there is memory */
    const size_t plenty = (size_t)1 << 16;
    size_t given = (size_t)pool->terms.n_slots * pool->model.n_lanes;
    size_t queued = pool->options.queue_tasks;

    if (queued > plenty && queued > given)
        queued = given > plenty ? given : plenty;
    return queued + given;
}
