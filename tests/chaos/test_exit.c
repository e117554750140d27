/* test_exit.c: a program that ends leaves no process to who adopts its children, as the first
 * of a container, which need not wait for those. Here that is the test. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>

#include "support/pool.h"

static struct {
    _Atomic int n_running;
    _Atomic int n_outcomes; /* that another thread was given meanwhile */
} * shared;

static struct mu_pool *open_pool;

static int run_for_ever(struct mu_task *t)
{
    (void)t;
    atomic_fetch_add(&shared->n_running, 1);
    for (;;)
        (void)pause();
}

static void open_and_run(void)
{
    CHECK_CHILD(mu_init(NULL) == 0);
    open_pool = test_pool("processes:2", NULL);
    test_run_as(open_pool, test_say_pid, MU_DONE);
}

static void end_with_a_closed_pool(void)
{
    open_and_run();
    mu_pool_close(open_pool);
    exit(0);
}

static void end_with_an_open_pool(void)
{
    open_and_run();
    exit(0);
}

static void end_with_a_pool_without_init(void)
{
    open_pool = test_pool("processes:2", NULL);
    exit(0);
}

static int stop_guardian(struct mu_task *t)
{
    char path[64];
    char text[256] = "";
    const char *at;
    FILE *file;

    (void)t;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)getppid());
    file = fopen(path, "re");
    if (!file)
        return 1;
    (void)!fgets(text, sizeof text, file);
    (void)fclose(file);
    at = strrchr(text, ')'); /* ") S PARENT" */
    return at ? kill((pid_t)strtol(at + 4, NULL, 10), SIGSTOP) : 1;
}

static void end_with_a_stopped_guardian(void)
{
    open_and_run();
    test_run_as(open_pool, stop_guardian, MU_DONE);
    exit(0);
}

static void *take_outcome(void *arg)
{
    struct mu_outcome *o;

    (void)arg;
    if (mu_pool_next(open_pool, MU_NEVER, &o) == 0)
        atomic_fetch_add(&shared->n_outcomes, 1);
    return NULL;
}

static void end_with_tasks_that_run(void)
{
    pthread_t thread;

    atomic_store(&shared->n_running, 0);
    open_and_run();
    for (int i = 0; i < 4; i++)
        test_submit(open_pool, run_for_ever, 0);
    for (int i = 0; i < 2; i++)
        CHECK_CHILD(pthread_create(&thread, NULL, take_outcome, NULL) == 0);
    while (atomic_load(&shared->n_running) < 2)
        (void)sched_yield();
    exit(0);
}

/* Its parent's pool is not its own. Forked while there is one thread, for a sanitizer's locks
 * are not seen to, and it ends when there is a pool. */
static void end_with_a_child_that_ends_first(void)
{
    struct mu_stats stats;
    int gate[2];
    char none;
    pid_t child;

    CHECK_CHILD(mu_init(NULL) == 0 && pipe(gate) == 0);
    child = fork();
    if (child == 0) {
        (void)close(gate[1]);
        (void)!read(gate[0], &none, 1);
        exit(0);
    }
    open_and_run();
    (void)close(gate[1]);
    CHECK_CHILD(test_wait(child) == 0);
    test_run_as(open_pool, test_say_pid, MU_DONE);
    mu_pool_stats(open_pool, &stats);
    CHECK_CHILD(stats.n_workers_died == 0);
    mu_pool_close(open_pool);
    exit(0);
}

static void leaves_nobody(void (*end)(void))
{
    siginfo_t info;
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        end();
    assert_int_equal(test_wait(pid), 0);
    assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL), -1);
    assert_int_equal(errno, ECHILD);
}

static void closed_pool_leaves_nobody(void **state)
{
    (void)state;
    leaves_nobody(end_with_a_closed_pool);
}

static void open_pool_leaves_nobody(void **state)
{
    (void)state;
    leaves_nobody(end_with_an_open_pool);
    leaves_nobody(end_with_a_pool_without_init);
}

static void stopped_guardian_is_not_left(void **state)
{
    (void)state;
    leaves_nobody(end_with_a_stopped_guardian);
}

/* Nor does a thread that waits hear of lost tasks. */
static void running_tasks_are_not_left(void **state)
{
    (void)state;
    leaves_nobody(end_with_tasks_that_run);
    assert_int_equal(atomic_load(&shared->n_outcomes), 0);
}

static void end_of_a_child_is_not_the_programs(void **state)
{
    (void)state;
    leaves_nobody(end_with_a_child_that_ends_first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_pool_leaves_nobody),
        cmocka_unit_test(open_pool_leaves_nobody),
        cmocka_unit_test(stopped_guardian_is_not_left),
        cmocka_unit_test(running_tasks_are_not_left),
        cmocka_unit_test(end_of_a_child_is_not_the_programs),
    };

    shared = test_shared(sizeof *shared);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
