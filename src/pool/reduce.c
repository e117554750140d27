/* reduce.c: combine the outputs of many tasks in a tree of fixed shape.
 *
 * Level 0 holds the outputs of the inputs, by number. Node k of level l + 1 is the
 * combination of nodes 16 k .. 16 k + 15 of level l, so the shape depends on the
 * number of inputs alone, and each step is a task like any other. A node whose task
 * did not end `done` is absent; a node with one child that is there is that child. */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "pool/feed.h"
#include "pool/pool.h"

enum { ARITY = 16, LEVELS = 16, LEVEL_SHIFT = MUI_FEED_LEVEL_SHIFT };

/* The children of one node, as they come in. */
struct family {
    struct mu_outcome *part[ARITY]; /* NULL: absent, or not there yet */
    unsigned n_settled;
};

struct level {
    struct family **families; /* [n_families]; NULL: none came, or combined */
    size_t n_families;
    uint64_t n_nodes; /* once known; else UINT64_MAX */
};

struct reduce {
    struct mui_feed feed;
    struct mui_kind kind; /* of combine steps */
    int rc;               /* of finding it */
    mu_outcome_fn outcome;
    void *ctx;
    struct level levels[LEVELS];
    struct mu_outcome *result;
    bool has_result;
};

static int settle(struct reduce *r, unsigned i_level, uint64_t i_node,
                  struct mu_outcome *part, struct mu_error *err);

static struct family *family_of(struct level *level, uint64_t i_family)
{
    if (i_family >= level->n_families) {
        size_t n = (size_t)i_family * 2 + ARITY;
        struct family **families =
            realloc(level->families, n * sizeof *families);

        if (!families)
            return NULL;
        for (size_t i = level->n_families; i < n; i++)
            families[i] = NULL;
        level->families = families;
        level->n_families = n;
    }
    if (!level->families[i_family])
        level->families[i_family] = calloc(1, sizeof(struct family));
    return level->families[i_family];
}

/* Every child of the family is settled: make their parent. Takes the family. */
static int combine_family(struct reduce *r, unsigned i_level, uint64_t i_family,
                          struct family *family, struct mu_error *err)
{
    struct mu_span spans[ARITY];
    const uint64_t number = (uint64_t)(i_level + 1) << LEVEL_SHIFT | i_family;
    /* its parts are outcomes that were taken: waiting for room would wait for
     * outcomes that nobody but us takes */
    struct mu_submit how = {.tag = number, .flags = MUI_SUBMIT_ANYWAY};
    struct mu_outcome *only = NULL;
    struct mu_span parts;
    int rc;

    for (unsigned i = 0; i < ARITY; i++) {
        if (!family->part[i])
            continue;
        only = family->part[i];
        spans[how.n_parts++] =
            (struct mu_span){only->output, only->output_size};
    }
    if (how.n_parts < 2) {
        free(family);
        return settle(r, i_level + 1, i_family, only, err);
    }
    parts = (struct mu_span){spans, 0};
    rc = r->rc;
    if (rc == 0)
        rc =
            mui_pool_submit(r->feed.pool, &r->kind, &parts, &how, number, NULL);
    for (unsigned i = 0; i < ARITY; i++)
        mu_outcome_free(family->part[i]);
    free(family);
    if (rc != 0)
        return mui_fail(err, rc, "reduce: submit a combine step");
    r->feed.n_extra++;
    return 0;
}

/* How many children a family will have; ARITY while that is not known. */
static unsigned family_size(const struct level *level, uint64_t i_family)
{
    uint64_t first = i_family * ARITY;

    if (level->n_nodes - first < ARITY)
        return (unsigned)(level->n_nodes - first);
    return ARITY;
}

static int check_family(struct reduce *r, unsigned i_level, uint64_t i_family,
                        struct mu_error *err)
{
    struct level *level = &r->levels[i_level];
    struct family *family =
        i_family < level->n_families ? level->families[i_family] : NULL;

    if (!family || family->n_settled < family_size(level, i_family))
        return 0;
    level->families[i_family] = NULL;
    return combine_family(r, i_level, i_family, family, err);
}

/* A node is known: its output, or NULL when it is absent. Takes `part`. */
static int settle(struct reduce *r, unsigned i_level, uint64_t i_node,
                  struct mu_outcome *part, struct mu_error *err)
{
    struct level *level = &r->levels[i_level];
    struct family *family;

    if (level->n_nodes == 1) { /* the root */
        r->result = part;
        r->has_result = true;
        return 0;
    }
    family = family_of(level, i_node / ARITY);
    if (!family) {
        mu_outcome_free(part);
        return mui_fail(err, -ENOMEM, "reduce");
    }
    family->part[i_node % ARITY] = part;
    family->n_settled++;
    return check_family(r, i_level, i_node / ARITY, err);
}

/* The inputs have ended, so all sizes are known: look at the last families again,
 * and at a root that was settled before it was known to be one. */
static int close_levels(struct reduce *r, struct mu_error *err)
{
    uint64_t n = r->feed.n_given;
    int rc = 0;

    for (unsigned i = 0; i < LEVELS; i++) {
        r->levels[i].n_nodes = n;
        n = (n + ARITY - 1) / ARITY;
    }
    for (unsigned i = 0; i < LEVELS && rc == 0; i++) {
        struct level *level = &r->levels[i];

        if (level->n_nodes == 1) {
            struct family *family =
                level->n_families ? level->families[0] : NULL;

            if (family && family->n_settled) {
                level->families[0] = NULL;
                r->result = family->part[0];
                r->has_result = true;
                free(family);
            }
            break;
        }
        if (level->n_nodes)
            rc = check_family(r, i, (level->n_nodes - 1) / ARITY, err);
    }
    return rc;
}

static int one_outcome(struct reduce *r, struct mu_outcome *one,
                       struct mu_error *err)
{
    uint64_t number = mui_feed_number(one);
    unsigned i_level = (unsigned)(number >> LEVEL_SHIFT);
    int rc = 0;

    if (i_level == 0 && r->outcome)
        rc = mui_feed_answered(r->outcome(r->ctx, one), err);
    if (i_level > 0 && one->status != MU_DONE) {
        r->result = one;
        r->has_result = true;
        return mui_fail(err, -ECANCELED, "reduce: a combine step %s",
                        mu_status_name(one->status));
    }
    if (one->status != MU_DONE) {
        mu_outcome_free(one);
        one = NULL;
    }
    if (rc != 0) {
        mu_outcome_free(one);
        return rc;
    }
    return settle(r, i_level, number & MUI_FEED_INPUTS_MAX, one, err);
}

static int run(struct reduce *r, struct mu_error *err)
{
    size_t window = mui_feed_window(r->feed.pool);
    bool closed = false;
    struct mu_outcome *one;
    int rc;

    for (;;) {
        uint64_t n_inside = r->feed.n_given + r->feed.n_extra - r->feed.n_taken;

        rc = mui_feed_fill(&r->feed,
                           n_inside < window
                               ? r->feed.n_given + window - n_inside
                               : r->feed.n_given,
                           err);
        if (rc == 0 && r->feed.ended && !closed) {
            closed = true;
            rc = close_levels(r, err);
        }
        if (rc == 0 && closed && r->feed.n_given != r->levels[0].n_nodes)
            rc = mui_fail(err, -EINVAL, "reduce: an input after the last");
        if (rc != 0 || mui_feed_is_over(&r->feed))
            return rc;
        rc = mui_feed_take(&r->feed, &one, err);
        if (rc == 0 && one) /* else interrupted */
            rc = one_outcome(r, one, err);
        if (rc != 0)
            return rc;
    }
}

static void free_levels(struct reduce *r)
{
    for (unsigned i = 0; i < LEVELS; i++) {
        struct level *level = &r->levels[i];

        for (size_t j = 0; j < level->n_families; j++) {
            for (unsigned k = 0; level->families[j] && k < ARITY; k++)
                mu_outcome_free(level->families[j]->part[k]);
            free(level->families[j]);
        }
        free(level->families);
    }
}

int mu_reduce(struct mu_pool *pool, mu_task_fn fn, mu_task_fn combine,
              mu_input_fn input, mu_outcome_fn outcome, void *ctx,
              struct mu_outcome **ret_result, struct mu_error *err)
{
    struct reduce r = {.outcome = outcome, .ctx = ctx};
    int rc = mui_pool_check(pool);

    *ret_result = NULL;
    if (rc < 0)
        return mui_fail(err, rc, "reduce: the pool is another process's");
    for (unsigned i = 0; i < LEVELS; i++)
        r.levels[i].n_nodes = UINT64_MAX;
    r.rc = mui_pool_prepare(&r.kind, combine);
    mui_feed_init(&r.feed, pool, fn, input, ctx);
    rc = run(&r, err);
    mui_feed_fini(&r.feed);
    free_levels(&r);
    if (rc == 0 && !r.result)
        r.result = mui_pool_empty_outcome(pool);
    if (rc == 0 && !r.result)
        return mui_fail(err, -ENOMEM, "reduce");
    if (rc == 0 || (rc == -ECANCELED && r.has_result)) {
        *ret_result = r.result;
        return rc;
    }
    mu_outcome_free(r.result);
    return rc;
}
