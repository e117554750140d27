/* watch.h: a thread that looks at a run now and then: how much memory its processes have,
 * and whether a task of this process is over its time. */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include <stddef.h>
#include <stdint.h>

struct mu_pool;
struct watch;

/* What a task of this process that cannot be ended may take. */
struct watch_limit {
    int64_t timeout_ns; /* 0: any time */
    char *words;        /* [size]: what is told of one that takes longer */
    size_t size;
};

/* Begin to look. A task that takes longer than `limit` allows ends the process with
 * status SAY_EXIT_OTHER. What the thread needs it has from the start: it looks on when a
 * task holds the locks of the heap or of stdio for ever.
 * pool      borrowed until watch_stop()
 * Returns   0, or -1 after saying why not */
int watch_start(struct mu_pool *pool, const struct watch_limit *limit,
                struct watch **ret_watch);

/* End, while the workers are still there; frees w. Accepts NULL.
 * Returns   the proportional set size (PSS) of this process and all workers, at its
 *           highest; 0: the run was over before there was a look at it */
uint64_t watch_stop(struct watch *w);

#endif
