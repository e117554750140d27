/* pool.h: a pool, and tasks of it one after the other; what goes wrong, or hangs, fails
 * the test. */
#ifndef TEST_POOL_H
#define TEST_POOL_H

#include <signal.h>

#include "muster/muster.h"

#include "support/check.h"

static inline struct mu_pool *test_pool(const char *model,
                                        const struct mu_pool_options *options)
{
    struct mu_pool *pool = NULL;
    struct mu_error err = {.text = ""};

    if (mu_pool_open(model, options, &pool, &err) != 0)
        fail_msg("%s: %s", model, err.text);
    return pool;
}

/* The next outcome, which has to be there or to come. */
static inline struct mu_outcome *test_take(struct mu_pool *pool)
{
    struct mu_outcome *o = NULL;

    assert_int_equal(mu_pool_next(pool, test_deadline(), &o), MU_OK);
    return o;
}

/* Submit a task that has no input but its tag. */
static inline void test_submit(struct mu_pool *pool, mu_task_fn fn,
                               uint64_t tag)
{
    const struct mu_submit how = {.tag = tag};

    assert_int_equal(mu_pool_submit(pool, fn, NULL, 0, &how, NULL), MU_OK);
}

/* The same, and its outcome. */
static inline struct mu_outcome *test_run_tag(struct mu_pool *pool,
                                              mu_task_fn fn, uint64_t tag)
{
    test_submit(pool, fn, tag);
    return test_take(pool);
}

/* A task without input, and its outcome. */
static inline struct mu_outcome *test_run(struct mu_pool *pool, mu_task_fn fn)
{
    return test_run_tag(pool, fn, 0);
}

/* Take an outcome that has to be so, at the first attempt. */
static inline void test_take_as(struct mu_pool *pool, enum mu_status status)
{
    struct mu_outcome *o = test_take(pool);

    assert_int_equal(o->status, status);
    assert_int_equal(o->attempts, 1);
    mu_outcome_free(o);
}

/* The same of a task without input. */
static inline void test_run_as(struct mu_pool *pool, mu_task_fn fn,
                               enum mu_status status)
{
    test_submit(pool, fn, 0);
    test_take_as(pool, status);
}

/* -- tasks, and what they begin or end with -- */

/* The process that it ran in. */
static inline int test_say_pid(struct mu_task *task)
{
    return mu_task_printf(task, "%d", (int)getpid());
}

static inline int test_crash(struct mu_task *task)
{
    (void)task;
    return raise(SIGSEGV);
}

/* Longer than a task after which its worker is not looked at; the length is the
 * point. */
static inline void test_take_long(void)
{
    const int64_t end_ns = mu_after_ns(1000 * 1000);

    while (mu_now_ns() < end_ns)
        continue;
}

#endif
