/* feed.h: what map and reduce share: inputs from a callback into a pool, as fast
 * as it takes them. */
#ifndef MUI_POOL_FEED_H
#define MUI_POOL_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "muster/map.h"

#include "pool/pool.h"

/* Numbers of tasks: those of inputs lie below, those of other tasks, which are their tags
 * too, above: MU_REDUCE_TAGS is the first of level 1. */
#define MUI_FEED_LEVEL_SHIFT 56
#define MUI_FEED_INPUTS_MAX  (MU_REDUCE_TAGS - 1)

/* Outcomes that are taken, or given back, at a time, when they hold little. */
enum { MUI_FEED_MANY = 64 };

struct mui_feed {
    struct mu_pool *pool;
    struct mui_kind kind;
    int rc; /* 0, or why no input can be submitted */
    mu_input_fn input;
    void *ctx;
    struct mu_span span; /* an input that the pool had no room for */
    struct mu_submit how;
    bool has_span;
    bool ended;       /* there are no more inputs */
    bool interrupted; /* ask the callback, whatever the window says */
    uint64_t n_given; /* inputs submitted; numbered from 0 */
    uint64_t n_extra; /* other tasks submitted: combine steps */
    uint64_t n_taken; /* outcomes handed over, of both */

    /* outcomes taken and not handed over yet, from i_here on */
    struct mu_outcome *here[MUI_FEED_MANY];
    size_t i_here;
    size_t n_here;
    bool is_heavy; /* what was handed over last held much */
    struct mui_job *spent[MUI_FEED_MANY]; /* to be given back */
    size_t n_spent;
};

void mui_feed_init(struct mui_feed *feed, struct mu_pool *pool, mu_task_fn fn,
                   mu_input_fn input, void *ctx);

/* Submit inputs up to number `limit`, or until the pool is full or they end; not while
 * outcomes are there that were taken. When interrupted it may submit one more than that.
 * What an input callback returns below 0 is returned. */
int mui_feed_fill(struct mui_feed *feed, uint64_t limit, struct mu_error *err);

/* Whether every task that was submitted has been taken. Once there is nothing to fill
 * with, that is the end. */
bool mui_feed_is_over(const struct mui_feed *feed);

/* Wait for the next outcome, unless it is over. 0 or an error. Interrupted, it gives
 * NULL, and the next fill asks the input callback whether to go on. */
int mui_feed_take(struct mui_feed *feed, struct mu_outcome **ret_outcome,
                  struct mu_error *err);

/* What the callback for outcomes returned goes on to the caller, as it is. */
int mui_feed_answered(int rc, struct mu_error *err);

/* Give an outcome back, at once or with others. */
void mui_feed_free(struct mui_feed *feed, struct mu_outcome *outcome);

/* Cancel what is under way and throw its outcomes away. */
void mui_feed_fini(struct mui_feed *feed);

/* The number that an outcome's task was submitted with. */
uint64_t mui_feed_number(const struct mu_outcome *outcome);

/* Inputs that keep a pool busy though one of them takes long. */
size_t mui_feed_window(const struct mu_pool *pool);

#endif
