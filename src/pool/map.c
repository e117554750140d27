/* map.c: a function over many inputs, outcomes in the order of the inputs. */
#include "muster/map.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"
#include "pool/feed.h"

/* Outcomes that came before their turn wait in a ring, which grows to hold as many as are
 * under way: the window, and what interrupts put in besides. */
struct ordered {
    struct mu_outcome **ring; /* [mask + 1], by number */
    size_t mask;
    uint64_t next; /* the number whose turn it is */
};

enum { RING_LEAST = 64 }; /* a power of 2 */

static struct mu_outcome **place_of(const struct ordered *o, uint64_t number)
{
    return &o->ring[number & o->mask];
}

/* Make room for those below number `end`. 0 or -ENOMEM. */
static int ordered_reserve(struct ordered *o, uint64_t end)
{
    struct ordered more = {.mask = o->ring ? o->mask : RING_LEAST - 1,
                           .next = o->next};

    while (end - o->next > more.mask + 1)
        more.mask = 2 * more.mask + 1;
    if (o->ring && more.mask == o->mask)
        return 0;
    more.ring = calloc(more.mask + 1, sizeof(struct mu_outcome *));
    if (!more.ring)
        return -ENOMEM;
    for (uint64_t i = o->next; o->ring && i <= o->next + o->mask; i++)
        *place_of(&more, i) = *place_of(o, i);
    free(o->ring);
    *o = more;
    return 0;
}

static void ordered_fini(struct ordered *o)
{
    for (size_t i = 0; o->ring && i <= o->mask; i++)
        mu_outcome_free(o->ring[i]);
    free(o->ring);
}

static int hand_over(struct ordered *o, struct mui_feed *feed,
                     mu_outcome_fn outcome, struct mu_error *err)
{
    struct mu_outcome *first;
    int rc = 0;

    while (rc == 0 && (first = *place_of(o, o->next)) != NULL) {
        *place_of(o, o->next) = NULL;
        o->next++;
        rc = outcome(feed->ctx, first);
        mui_feed_free(feed, first);
    }
    return mui_feed_answered(rc, err);
}

int mu_map(struct mu_pool *pool, mu_task_fn fn, size_t window,
           mu_input_fn input, mu_outcome_fn outcome, void *ctx,
           struct mu_error *err)
{
    struct ordered o = {.ring = NULL};
    struct mui_feed feed;
    struct mu_outcome *one;
    int rc = mui_pool_check(pool);

    if (rc < 0)
        return mui_fail(err, rc, "map: the pool is another process's");
    if (window == 0)
        window = mui_feed_window(pool);
    if (window > MUI_FEED_INPUTS_MAX)
        window = MUI_FEED_INPUTS_MAX; /* further on, its end is a number, too */
    mui_feed_init(&feed, pool, fn, input, ctx);
    do {
        rc = mui_feed_fill(&feed, o.next + window, err);
        if (rc != 0 || mui_feed_is_over(&feed))
            break;
        if (ordered_reserve(&o, feed.n_given) < 0) {
            rc = mui_fail(err, -ENOMEM, "map: %llu outcomes in order",
                          (unsigned long long)(feed.n_given - o.next));
            break;
        }
        rc = mui_feed_take(&feed, &one, err);
        if (rc != 0)
            break;
        if (!one)
            continue; /* interrupted */
        *place_of(&o, mui_feed_number(one)) = one;
        rc = hand_over(&o, &feed, outcome, err);
    } while (rc == 0);
    mui_feed_fini(&feed);
    ordered_fini(&o);
    return rc;
}
