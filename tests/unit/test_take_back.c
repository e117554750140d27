/* test_take_back.c: tasks that were given to a worker and are taken back before it starts
 * them. The worker is `serial`, which starts one when its caller waits and no sooner. */
#include <stdbool.h>

#include "pool/pool.h"
#include "support/pool.h"

static int do_nothing(struct mu_task *task)
{
    (void)task;
    return 0;
}

/* Submit a task, of a number that is its tag, while the pool has no worker: it waits in
 * the queue. */
static void submit_waiting(struct mu_pool *pool, uint64_t tag)
{
    const struct mu_submit how = {.tag = tag};
    const struct mu_span input = {.data = NULL};
    struct mui_lane *lanes = pool->groups[0].lanes;
    struct mui_kind kind;

    assert_int_equal(mui_pool_prepare(&kind, do_nothing), 0);
    pool->groups[0].lanes = NULL;
    assert_int_equal(mui_pool_submit(pool, &kind, &input, &how, tag, NULL), 0);
    pool->groups[0].lanes = lanes;
}

/* Give what waits to the worker. */
static void give_all(struct mu_pool *pool)
{
    size_t n = pool->queue.n + pool->suspects.n;

    (void)pthread_mutex_lock(&pool->lock);
    (void)mui_pool_pump(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    assert_int_equal(pool->n_given, n);
}

/* The same for a task that is a suspect. */
static void give_suspect(struct mu_pool *pool, uint64_t tag)
{
    struct mui_job *job;

    submit_waiting(pool, tag);
    job = mui_job_pop(&pool->queue);
    job->out.attempts = 1;
    mui_pool_requeue(pool, job, true, true);
    give_all(pool);
    assert_ptr_equal(pool->groups[0].lone, job);
}

static void worker_of_a_cancelled_suspect_runs_others(void **state)
{
    struct mu_pool *pool = test_pool("serial", NULL);
    struct mu_outcome *o;

    (void)state;
    give_suspect(pool, 1);
    assert_int_equal(mu_pool_cancel_waiting(pool), 0);
    o = test_take(pool);
    assert_int_equal(o->status, MU_CANCELLED);
    mu_outcome_free(o);
    test_run_as(pool, do_nothing, MU_DONE);
    mu_pool_close(pool);
}

static void suspect_that_is_taken_back_stays_one(void **state)
{
    struct mu_pool *pool = test_pool("serial", NULL);

    (void)state;
    give_suspect(pool, 1);
    mui_pool_cancel_waiting(pool, 0); /* the others: this one waits again */
    assert_int_equal(pool->suspects.n, 1);
    assert_int_equal(pool->queue.n, 0);
    mu_pool_close(pool);
}

/* Who waits for the oldest does not wait for all that came after it. */
static void tasks_that_are_taken_back_keep_their_order(void **state)
{
    enum { N = 8 };
    struct mu_pool *pool = test_pool("serial", NULL);
    struct mu_outcome *o;

    (void)state;
    for (uint64_t tag = 1; tag <= N; tag++)
        submit_waiting(pool, tag);
    give_all(pool);
    mui_pool_cancel_waiting(pool, 0); /* the others: these wait again */
    assert_int_equal(pool->queue.n, N);
    for (uint64_t tag = 1; tag <= N; tag++) {
        o = test_take(pool);
        assert_int_equal(o->status, MU_DONE);
        assert_int_equal(o->tag, tag);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worker_of_a_cancelled_suspect_runs_others),
        cmocka_unit_test(suspect_that_is_taken_back_stays_one),
        cmocka_unit_test(tasks_that_are_taken_back_keep_their_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
