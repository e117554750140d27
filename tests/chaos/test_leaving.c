/* test_leaving.c: a worker with several lanes that is to be replaced, and cannot be before a
 * task of it is over: nobody waits for that while another worker has nothing to do. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool/pool.h"
#include "support/gate.h"

enum { N_LANES = 2, RETRIES = 1, MANY = 100 };

static const char model[] = "processes:2/threads:2";

/* -- tasks -- */

static int tell(struct mu_task *t)
{
    (void)t;
    atomic_fetch_add(&gate->n_begun, 1);
    return 0;
}

static int nothing(struct mu_task *t)
{
    (void)t;
    return 0;
}

static int take_long(struct mu_task *t)
{
    (void)t;
    test_take_long();
    return 0;
}

/* Its worker is to be replaced. */
static int change(struct mu_task *t)
{
    (void)t;
    return setenv("CHANGED", "1", 1);
}

static int change_and_fail_once(struct mu_task *t)
{
    atomic_fetch_add(&gate->n_begun, 1);
    return mu_task_attempt(t) == 1 ? change(t) == 0 : 0;
}

/* So many bytes stay in use. It takes as long as its worker is looked at after: to map
 * them alone takes less at times. */
static int keep(struct mu_task *t)
{
    char *volatile piece = malloc(mu_task_tag(t));

    test_take_long();
    return !piece;
}

static int use(struct mu_task *t)
{
    char *volatile piece = malloc(mu_task_tag(t));

    if (!piece)
        return 1;
    memset(piece, 1, mu_task_tag(t));
    free(piece);
    return 0;
}

/* -- what the tests do -- */

/* The first worker is at a long task, on its first lane. */
static struct mu_pool *open_pool(void)
{
    const struct mu_pool_options options = {.strict = 1, .retries = RETRIES};
    struct mu_pool *pool = test_pool(model, &options);

    test_gate_shut();
    /* meanwhile the spares come up: their news would be heard for a task's */
    for (int i = 0; i < MANY; i++)
        test_run_as(pool, take_long, MU_DONE);
    test_submit(pool, test_gate_pass, 0);
    test_gate_await(1);
    return pool;
}

/* Take an outcome of a task that ran on the second worker, as often as that: none began in
 * vain, or was looked for because it had not begun. */
static void take_of_second(struct mu_pool *pool, unsigned attempts)
{
    struct mu_outcome *o = test_take(pool);

    assert_int_equal(o->status, MU_DONE);
    assert_int_equal(o->attempts, attempts);
    assert_in_range(o->worker, N_LANES, 2 * N_LANES - 1);
    assert_int_equal(((struct mui_job *)o)->n_reruns, 0);
    mu_outcome_free(o);
}

static void run_on_second(struct mu_pool *pool, mu_task_fn fn)
{
    test_submit(pool, fn, 0);
    take_of_second(pool, 1);
}

/* Have the other lane of the first worker left. */
static void have_left(struct mu_pool *pool)
{
    const int64_t deadline = test_deadline();
    bool has_left = false;

    test_run_as(pool, change, MU_DONE);
    while (!has_left) {
        assert_true(mu_now_ns() < deadline);
        (void)pthread_mutex_lock(&pool->lock);
        has_left = mui_lane_has_left(&pool->groups[0].lanes[1]);
        (void)pthread_mutex_unlock(&pool->lock);
    }
}

/* The long task is over, and the worker is replaced. */
static void close_pool(struct mu_pool *pool)
{
    test_gate_open();
    test_take_as(pool, MU_DONE);
    test_run_as(pool, nothing, MU_DONE);
    mu_pool_close(pool);
}

/* -- tests -- */

static void others_are_given_what_comes(void **state)
{
    struct mu_pool *pool = open_pool();

    (void)state;
    test_run_as(pool, change, MU_DONE);
    for (int i = 0; i < MANY; i++)
        run_on_second(pool, nothing);
    close_pool(pool);
}

static void retry_runs_elsewhere_though_nobody_calls(void **state)
{
    struct mu_pool *pool = open_pool();

    (void)state;
    test_submit(pool, change_and_fail_once, 0);
    test_gate_await(1 + 1 + RETRIES);
    take_of_second(pool, 1 + RETRIES);
    close_pool(pool);
}

static void somebody_else_begins_though_nobody_calls(void **state)
{
    struct mu_pool *pool = open_pool();

    (void)state;
    have_left(pool);
    test_submit(pool, tell, 0);
    test_gate_await(2);
    take_of_second(pool, 1);
    close_pool(pool);
}

/* A lane that was left looks for nothing: one that sleeps is woken. */
static void somebody_else_looks_for_what_waits(void **state)
{
    struct mu_pool *pool = open_pool();

    (void)state;
    have_left(pool);
    /* those that come next are believed to be short */
    for (int i = 0; i < MANY; i++)
        run_on_second(pool, nothing);
    test_submit(pool, test_gate_pass, 0);
    test_submit(pool, tell, 0);
    test_gate_await(3);
    take_of_second(pool, 1);
    test_gate_open();
    test_take_as(pool, MU_DONE);
    close_pool(pool);
}

/* A worker that is never alone would keep it, and fail who needs it. */
static void kept_memory_is_not_missed_beside(void **state)
{
    enum { MB = 1 << 20, WAIT_NS = 20 * 1000 * 1000 };
    const struct mu_pool_options options = {.memory_bytes = 64 * MB};
    struct mu_pool *pool = test_pool("processes:1/threads:2", &options);
    struct mu_outcome *o;

    (void)state;
    test_gate_shut();
    test_submit(pool, test_gate_pass, 0);
    test_gate_await(1);
    o = test_run_tag(pool, keep, 50 * MB);
    assert_int_equal(o->status, MU_DONE);
    mu_outcome_free(o);
    test_submit(pool, use, 40 * MB);
    /* that worker would run it now; the next one has to come first */
    if (mu_pool_next(pool, mu_after_ns(WAIT_NS), &o) == MU_OK) {
        assert_int_equal(o->status, MU_DONE);
        mu_outcome_free(o);
        test_submit(pool, nothing, 0);
    }
    test_gate_open();
    for (int i = 0; i < 2; i++)
        test_take_as(pool, MU_DONE);
    mu_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_memory_is_not_missed_beside),
        cmocka_unit_test(others_are_given_what_comes),
        cmocka_unit_test(retry_runs_elsewhere_though_nobody_calls),
        cmocka_unit_test(somebody_else_begins_though_nobody_calls),
        cmocka_unit_test(somebody_else_looks_for_what_waits),
    };

    test_gate_make();
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
