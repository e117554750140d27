/* keepers.h: the processes of a pool, each the child of the next: a worker, its nursery,
 * the guardian. */
#ifndef TEST_KEEPERS_H
#define TEST_KEEPERS_H

#include <stdlib.h>

#include "support/pool.h"
#include "support/process.h"
#include "sys/census.h"

/* One that has run a task. */
static inline pid_t test_worker(struct mu_pool *pool)
{
    struct mu_outcome *o = test_run(pool, test_say_pid);
    pid_t pid;

    assert_int_equal(o->status, MU_DONE);
    pid = (pid_t)strtol(o->output, NULL, 10);
    mu_outcome_free(o);
    return pid;
}

/* Of such a worker; -1: that has gone. */
static inline pid_t test_nursery(struct mu_pool *pool)
{
    return mui_census_parent(test_worker(pool));
}

/* The nursery after `last`. A worker can outlive that by a task or two, and is then a
 * child of the guardian, or has gone. */
static inline pid_t test_next_nursery(struct mu_pool *pool, pid_t last,
                                      pid_t guardian)
{
    const int64_t end_ns = test_deadline();
    pid_t next;

    do {
        assert_true(mu_now_ns() < end_ns);
        next = test_nursery(pool);
    } while (next < 0 || next == last || next == guardian);
    return next;
}

#endif
