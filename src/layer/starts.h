/* starts.h: what to do when workers die before they are up, or cannot be had: how long to
 * pause before the next try, and when to give up. Decisions over plain state, with the
 * clock passed in.
 *
 * A pool that never had a worker gives up after a second: most often it never will. One
 * that had some goes on for longer, for it can be a task that keeps the next from coming,
 * by what its user has in common: processes, open files under way, memory. */
#ifndef MUI_LAYER_STARTS_H
#define MUI_LAYER_STARTS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    /* after the first failure; it doubles with each, up to */
    MUI_STARTS_PAUSE_NS = 1000 * 1000,
    MUI_STARTS_PAUSE_MAX_NS = 1000 * 1000 * 1000,
    /* failures in a row of a pool that never had a worker: a second in all */
    MUI_STARTS_FAILURES_MAX = 10,
    /* without any worker, of one that had some */
    MUI_STARTS_PATIENCE_S = 30
};

/* A worker that is not up so long after it was ordered has failed. */
#define MUI_STARTS_LATE_NS INT64_C(30000000000)

/* Zeros: nothing was tried yet. */
struct mui_starts {
    bool succeeded;        /* once, at least */
    bool hopeless;         /* give up */
    unsigned n_failures;   /* since it did last */
    int64_t since_ns;      /* the first of them, or the last beside a worker */
    int64_t not_before_ns; /* of the next try; 0: any time */
};

/* `any_up`: another worker of the pool is up. */
void mui_starts_failed(struct mui_starts *s, bool any_up, int64_t now_ns);

void mui_starts_succeeded(struct mui_starts *s);

/* Whether to try now. */
bool mui_starts_may(const struct mui_starts *s, int64_t now_ns);

#endif
