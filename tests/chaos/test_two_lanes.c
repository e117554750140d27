/* test_two_lanes.c: what two tasks that one worker runs beside each other, and that end at
 * the same time, do not do to each other, nor to the host. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/pool.h"

static const char model[] = "processes:1/threads:2";
static pid_t host;

/* What tasks and tests share. */
static struct {
    _Atomic int n_handlers; /* of the host, that ran in another process */
    _Atomic bool has_lock;
    _Atomic bool is_leaving;
    _Atomic unsigned n_met;
} * gate;

static void note_exit(void)
{
    if (getpid() != host)
        atomic_fetch_add(&gate->n_handlers, 1);
}

/* -- two that exit -- */

static void note_leaving(void)
{
    atomic_store(&gate->is_leaving, true);
}

static void *keep_lock(void *unused)
{
    flockfile(stdout);
    atomic_store(&gate->has_lock, true);
    for (;;)
        (void)pause();
    return unused;
}

/* It waits in the worker's handler for a while, which wants to print what it has. */
static int exit_slowly(struct mu_task *t)
{
    pthread_t thread;

    if (mu_task_attempt(t) > 1)
        return 0;
    if (pthread_create(&thread, NULL, keep_lock, NULL) != 0)
        return 1;
    while (!atomic_load(&gate->has_lock))
        (void)sched_yield();
    (void)atexit(note_leaving);
    exit(3);
}

static int exit_meanwhile(struct mu_task *t)
{
    if (mu_task_attempt(t) > 1)
        return 0;
    while (!atomic_load(&gate->is_leaving))
        (void)sched_yield();
    exit(3);
}

static void two_that_exit_run_no_handler_of_the_host(void **state)
{
    struct mu_pool *pool = test_pool(model, NULL);

    (void)state;
    test_submit(pool, exit_slowly, 0);
    test_submit(pool, exit_meanwhile, 0);
    for (int i = 0; i < 2; i++) {
        struct mu_outcome *o = test_take(pool);

        assert_true(o->status == MU_EXITED || o->status == MU_DONE);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
    assert_int_equal(atomic_load(&gate->n_handlers), 0);
}

/* -- a child that comes back -- */

/* exit() would wait for a lock of the C library that another thread may have had as the
 * child was forked, for ever. */
static int let_a_child_come_back(struct mu_task *t)
{
    int status;
    pid_t child;

    (void)t;
    (void)atexit(note_exit);
    child = fork();
    if (child <= 0)
        return child;
    return waitpid(child, &status, 0) != child || status != 0;
}

static void child_that_comes_back_exits_plainly(void **state)
{
    struct mu_pool *pool = test_pool(model, NULL);

    (void)state;
    test_run_as(pool, let_a_child_come_back, MU_DONE);
    mu_pool_close(pool);
    assert_int_equal(atomic_load(&gate->n_handlers), 0);
}

/* -- two that are looked at -- */

/* Not for ever: nothing says that they run at the same time. */
static void meet(void)
{
    int64_t end = mu_after_ns(1000000000);

    atomic_fetch_add(&gate->n_met, 1);
    while (atomic_load(&gate->n_met) < 2 && mu_now_ns() < end)
        (void)sched_yield();
}

static int change_and_meet(struct mu_task *t)
{
    (void)t;
    if (chdir("/usr") != 0)
        return 1;
    meet();
    return 0;
}

static int only_meet(struct mu_task *t)
{
    (void)t;
    meet();
    return 0;
}

static int see_change(struct mu_task *t)
{
    char *path = getcwd(NULL, 0);
    int changed = !path || strcmp(path, "/usr") == 0;

    (void)t;
    free(path);
    return changed;
}

static void end_well(struct mu_pool *pool, uint64_t id)
{
    struct mu_outcome *o;

    assert_int_equal(mu_pool_wait(pool, id, test_deadline(), &o), 0);
    assert_int_equal(o->status, MU_DONE);
    mu_outcome_free(o);
}

/* Who ends while the other's end is looked at takes no next task before that is over. */
static void change_is_found_before_the_next(void **state)
{
    enum { N = 400 };
    /* to renew it takes a while between two steps of the look */
    const struct mu_pool_options options = {
        .strict = 1, .window = 1, .cpu_ns = INT64_C(100000000000)};
    struct mu_pool *pool = test_pool(model, &options);

    (void)state;
    for (int i = 0; i < N; i++) {
        uint64_t changes;
        uint64_t meets;
        uint64_t sees[2];

        atomic_store(&gate->n_met, 0);
        assert_int_equal(
            mu_pool_submit(pool, change_and_meet, NULL, 0, NULL, &changes), 0);
        assert_int_equal(mu_pool_submit(pool, only_meet, NULL, 0, NULL, &meets),
                         0);
        end_well(pool, changes);
        for (int k = 0; k < 2; k++)
            assert_int_equal(
                mu_pool_submit(pool, see_change, NULL, 0, NULL, &sees[k]), 0);
        for (int k = 0; k < 2; k++)
            end_well(pool, sees[k]);
        end_well(pool, meets);
    }
    mu_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_that_exit_run_no_handler_of_the_host),
        cmocka_unit_test(child_that_comes_back_exits_plainly),
        cmocka_unit_test(change_is_found_before_the_next),
    };

    gate = test_shared(sizeof *gate);
    host = getpid();
    if (atexit(note_exit) != 0 || mu_init(NULL) < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
