/* test_pool_in_task.c: a task that runs tasks of its own, in a pool that it opens. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "support/pool.h"

enum { STATUS = 3, OUTER_TAG = 77 };

static _Atomic unsigned *n_runs; /* shared with the workers */
static struct mu_pool *outer;    /* of running_task_is_known_after_it */

/* -- tasks of the inner pool -- */

static int do_nothing(struct mu_task *task)
{
    (void)task;
    return 0;
}

static int exit_inside(struct mu_task *task)
{
    (void)task;
    exit(STATUS);
}

static int end_thread(struct mu_task *task)
{
    (void)task;
    pthread_exit(NULL);
}

/* Fill the pool that runs the task which runs this one: nobody makes room while that
 * waits for us. And ask it whose thread this is. */
static int fill_outer(struct mu_task *task)
{
    uint64_t tag;
    int own = 0;
    int rc;

    (void)task;
    if (mu_pool_running(outer, &tag, 1, &own) != 1 || !own || tag != OUTER_TAG)
        return 1;
    do
        rc = mu_pool_submit(outer, do_nothing, NULL, 0, NULL, NULL);
    while (rc == MU_OK);
    return rc == MU_FULL ? 0 : 2;
}

/* -- and of the outer -- */

/* The status of what it ran. */
static int run_inner(const char *model, mu_task_fn fn)
{
    struct mu_pool *pool;
    struct mu_outcome *o;
    int status = -1;

    if (mu_pool_open(model, NULL, &pool, NULL) < 0)
        return -1;
    if (mu_pool_submit(pool, fn, NULL, 0, NULL, NULL) == 0 &&
        mu_pool_next(pool, test_deadline(), &o) == 0) {
        status = (int)o->status;
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
    return status;
}

static int exit_after_it(struct mu_task *task)
{
    (void)task;
    atomic_fetch_add(n_runs, 1);
    if (run_inner("serial", do_nothing) == MU_DONE)
        exit(STATUS);
    return 1;
}

static int exit_in_it(struct mu_task *task)
{
    (void)task;
    atomic_fetch_add(n_runs, 1);
    return run_inner("serial", exit_inside);
}

static int end_thread_after_it(struct mu_task *task)
{
    (void)task;
    atomic_fetch_add(n_runs, 1);
    if (run_inner("serial", do_nothing) == MU_DONE)
        pthread_exit(NULL);
    return 1;
}

static int end_thread_of_another(struct mu_task *task)
{
    (void)task;
    return run_inner("processes:1", end_thread) == MU_EXITED ? 0 : 1;
}

/* Whether the pool that runs it says so. */
static int ask_after_it(struct mu_task *task)
{
    uint64_t tag;
    int own = 0;

    if (run_inner("serial", do_nothing) != MU_DONE)
        return 1;
    return mu_pool_running(outer, &tag, 1, &own) == 1 && own &&
                   tag == mu_task_tag(task)
               ? 0
               : 1;
}

static int fill_from_inside(struct mu_task *task)
{
    (void)task;
    return (int)run_inner("serial", fill_outer);
}

static int do_nothing_elsewhere(struct mu_task *task)
{
    (void)task;
    return run_inner("processes:1", do_nothing) == MU_DONE ? 0 : 1;
}

/* -- tests -- */

/* Who ends its process is known, and is not run again to find out. */
static void exits_once(const char *model, mu_task_fn fn, int code)
{
    struct mu_pool *pool = test_pool(model, NULL);
    struct mu_outcome *o;

    atomic_store(n_runs, 0);
    o = test_run(pool, fn);
    assert_int_equal(o->status, MU_EXITED);
    assert_int_equal(o->code, code);
    assert_int_equal(atomic_load(n_runs), 1);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static void exit_after_it_is_the_tasks(void **state)
{
    (void)state;
    exits_once("processes:1", exit_after_it, STATUS);
    exits_once("processes:1/threads:2", exit_after_it, STATUS);
}

static void exit_inside_it_is_the_tasks(void **state)
{
    (void)state;
    exits_once("processes:1", exit_in_it, STATUS);
    exits_once("processes:1/threads:2", exit_in_it, STATUS);
}

static void end_of_the_thread_is_the_tasks(void **state)
{
    (void)state;
    exits_once("processes:1", end_thread_after_it, 0);
    exits_once("processes:1/threads:2", end_thread_after_it, 0);
}

static void worker_of_a_task_has_its_own(void **state)
{
    struct mu_pool *pool = test_pool("processes:1", NULL);

    (void)state;
    test_run_as(pool, end_thread_of_another, MU_DONE);
    mu_pool_close(pool);
}

static void running_task_is_known_after_it(void **state)
{
    (void)state;
    outer = test_pool("threads:1", NULL);
    test_submit(outer, ask_after_it, 7);
    test_take_as(outer, MU_DONE);
    mu_pool_close(outer);
}

/* What was opened for them is the outer worker's. */
static void limits_of_the_outer_pool_are_not_the_inner_ones(void **state)
{
    const struct mu_pool_options options = {.processes = 40,
                                            .memory_bytes = 256 << 20};
    struct mu_pool *pool;
    int rc = mu_pool_open("processes:1", &options, &pool, NULL);

    (void)state;
    if (rc ==
        -EPERM) { /* no control group for whom RLIMIT_NPROC does not bind */
        print_message("skipped: no limit of processes here\n");
        skip();
    }
    assert_int_equal(rc, 0);
    test_run_as(pool, do_nothing_elsewhere, MU_DONE);
    mu_pool_close(pool);
}

/* It would wait for itself. */
static void full_outer_pool_is_not_waited_for_inside(void **state)
{
    static const char *const models[] = {"serial", "threads:1"};
    const struct mu_pool_options options = {.queue_tasks = 4};

    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct mu_outcome *o;

        outer = test_pool(models[i], &options);
        test_submit(outer, fill_from_inside, OUTER_TAG);
        while (mu_pool_next(outer, test_deadline(), &o) == 0) {
            assert_int_equal(o->status, MU_DONE);
            mu_outcome_free(o);
        }
        mu_pool_close(outer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_after_it_is_the_tasks),
        cmocka_unit_test(exit_inside_it_is_the_tasks),
        cmocka_unit_test(end_of_the_thread_is_the_tasks),
        cmocka_unit_test(worker_of_a_task_has_its_own),
        cmocka_unit_test(running_task_is_known_after_it),
        cmocka_unit_test(full_outer_pool_is_not_waited_for_inside),
        cmocka_unit_test(limits_of_the_outer_pool_are_not_the_inner_ones),
    };

    n_runs = test_shared(sizeof *n_runs);
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
