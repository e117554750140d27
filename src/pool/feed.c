/* feed.c: inputs from a callback into a pool. */
#include "pool/feed.h"

#include <errno.h>

#include "base/error.h"
#include "pool/pool.h"

void mui_feed_init(struct mui_feed *feed, struct mu_pool *pool, mu_task_fn fn,
                   mu_input_fn input, void *ctx)
{
    *feed =
        (struct mui_feed){.pool = pool, .fn = fn, .input = input, .ctx = ctx};
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
    if (rc == MU_FULL && feed->n_taken == feed->n_given + feed->n_extra)
        return mui_fail(err, -EINVAL,
                        "map: the next input waits for an outcome, and no "
                        "task runs");
    if (rc == 0 || rc == MU_EMPTY || rc == MU_FULL)
        return 0;
    return mui_fail(err, rc, "map: the next input");
}

int mui_feed_fill(struct mui_feed *feed, uint64_t limit, struct mu_error *err)
{
    int rc;

    for (;;) {
        bool may_submit = feed->n_given < limit;

        if (!feed->has_span &&
            (feed->interrupted || (may_submit && !feed->ended))) {
            rc = ask(feed, err);
            if (rc != 0)
                return rc;
        }
        if (!feed->has_span || !may_submit)
            return 0;
        /* interrupted, the callback has to be asked, and there is room for one more
         * input here only when this one is in */
        feed->how.flags |=
            MUI_SUBMIT_LIGHTLY |
            (feed->interrupted ? MUI_SUBMIT_ANYWAY : MU_SUBMIT_NO_WAIT);
        rc = mui_pool_submit(feed->pool, feed->fn, &feed->span, &feed->how,
                             feed->n_given, NULL);
        if (rc == MU_FULL)
            return 0;
        if (rc != 0)
            return mui_fail(err, rc, "map: submit input %llu",
                            (unsigned long long)feed->n_given);
        feed->has_span = false;
        feed->n_given++;
    }
}

int mui_feed_take(struct mui_feed *feed, struct mu_outcome **ret_outcome,
                  struct mu_error *err)
{
    int rc;

    if (feed->n_taken == feed->n_given + feed->n_extra)
        return MU_EMPTY;
    rc = mu_pool_next(feed->pool, MU_NEVER, ret_outcome);
    /* also when there are outcomes all the time, and nobody waits */
    feed->interrupted |= rc == -EINTR || mui_pool_take_interrupt(feed->pool);
    if (rc == -EINTR) {
        *ret_outcome = NULL;
        return 0;
    }
    if (rc != 0)
        return mui_fail(err, rc, "map: wait for an outcome");
    feed->n_taken++;
    return 0;
}

void mui_feed_fini(struct mui_feed *feed)
{
    struct mu_outcome *outcome;

    if (feed->n_taken == feed->n_given + feed->n_extra)
        return;
    (void)mu_pool_cancel_all(feed->pool,
                             mu_model_isolates(mu_pool_model(feed->pool)) == 1);
    while (feed->n_taken < feed->n_given + feed->n_extra) {
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
    return ((const struct mui_job *)outcome)->number;
}

size_t mui_feed_window(const struct mu_pool *pool)
{
    return pool->options.queue_tasks +
           (size_t)pool->terms.n_slots * pool->model.n_lanes;
}
