/* map.c: a function over many inputs, outcomes in the order of the inputs. */
#include "muster/map.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"
#include "pool/feed.h"

/* Outcomes that came before their turn wait in a ring of the window's size. */
struct ordered {
    struct mu_outcome **ring; /* [mask + 1], by number */
    size_t mask;
    uint64_t next; /* the number whose turn it is */
};

static int ordered_init(struct ordered *o, size_t window)
{
    size_t n = 1;

    while (n < window && n <= SIZE_MAX / 2)
        n *= 2;
    *o = (struct ordered){.ring = calloc(n, sizeof(struct mu_outcome *)),
                          .mask = n - 1};
    return o->ring ? 0 : -ENOMEM;
}

static struct mu_outcome **place_of(const struct ordered *o, uint64_t number)
{
    return &o->ring[number & o->mask];
}

static int hand_over(struct ordered *o, struct mui_feed *feed,
                     mu_outcome_fn outcome)
{
    struct mu_outcome *first;
    int rc = 0;

    while (rc == 0 && (first = *place_of(o, o->next)) != NULL) {
        *place_of(o, o->next) = NULL;
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
    struct ordered o;
    struct mui_feed feed;
    struct mu_outcome *one;
    int rc = mui_pool_check(pool);

    if (rc < 0)
        return mui_fail(err, rc, "map: the pool is another process's");
    window = window ? window : mui_feed_window(pool);
    rc = ordered_init(&o, window);
    if (rc < 0)
        return mui_fail(err, rc, "map: a window of %zu", window);
    mui_feed_init(&feed, pool, fn, input, ctx);
    do {
        rc = mui_feed_fill(&feed, o.next + window, err);
        if (rc != 0 || mui_feed_is_over(&feed))
            break;
        rc = mui_feed_take(&feed, &one, err);
        if (rc != 0)
            break;
        if (!one)
            continue; /* interrupted */
        *place_of(&o, mui_feed_number(one)) = one;
        rc = hand_over(&o, &feed, outcome);
    } while (rc == 0);
    mui_feed_fini(&feed);
    for (size_t i = 0; i <= o.mask; i++)
        mu_outcome_free(o.ring[i]);
    free(o.ring);
    return rc;
}
