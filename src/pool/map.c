/* map.c: a function over many inputs, outcomes in the order of the inputs. */
#include "muster/map.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "pool/feed.h"

/* Outcomes that came before their turn wait in a ring of the window's size. */
struct ordered {
    struct mu_outcome **ring; /* [window], by number */
    size_t window;
    uint64_t next; /* the number whose turn it is */
};

static int hand_over(struct ordered *o, struct mui_feed *feed,
                     mu_outcome_fn outcome)
{
    int rc = 0;

    while (rc == 0 && o->ring[o->next % o->window]) {
        struct mu_outcome *first = o->ring[o->next % o->window];

        o->ring[o->next % o->window] = NULL;
        o->next++;
        rc = outcome(feed->ctx, first);
        mui_feed_free(feed, first);
    }
    return rc;
}

int mu_map(struct mu_pool *pool, mu_task_fn fn, size_t window,
           mu_input_fn input, mu_outcome_fn outcome, void *ctx,
           struct mu_error *err)
{
    struct ordered o = {.window = window ? window : mui_feed_window(pool)};
    struct mui_feed feed;
    struct mu_outcome *one;
    int rc;

    o.ring = calloc(o.window, sizeof(struct mu_outcome *));
    if (!o.ring)
        return mui_fail(err, -ENOMEM, "map: a window of %zu", o.window);
    mui_feed_init(&feed, pool, fn, input, ctx);
    do {
        rc = mui_feed_fill(&feed, o.next + o.window, err);
        if (rc == 0)
            rc = mui_feed_take(&feed, &one, err);
        if (rc != 0)
            break;
        if (!one)
            continue; /* interrupted */
        o.ring[mui_feed_number(one) % o.window] = one;
        rc = hand_over(&o, &feed, outcome);
    } while (rc == 0);
    mui_feed_fini(&feed);
    for (size_t i = 0; i < o.window; i++)
        mu_outcome_free(o.ring[i]);
    free(o.ring);
    return rc == MU_EMPTY ? 0 : rc;
}
