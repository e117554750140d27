/* test_exit.c: a program that ends leaves no process to who adopts its children, as the first
 * of a container, which need not wait for those. Here that is the test. */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "support/keepers.h"

static struct mu_pool *open_pool;

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

static void end_with_a_stopped_guardian(void)
{
    pid_t guardian;

    open_and_run();
    guardian = mui_census_parent(test_nursery(open_pool));
    mu_pool_close(open_pool);
    CHECK_CHILD(kill(guardian, SIGSTOP) == 0);
    exit(0);
}

/* Its parent's pool is not its own, nor is what the parent will want for the next. Forked
 * while there is one thread, for a sanitizer's locks are not seen to. */
static void end_with_a_child_of(pid_t (*fork_somehow)(void))
{
    struct mu_stats stats;
    int gate[2];
    char none;
    pid_t child;

    CHECK_CHILD(mu_init(NULL) == 0 && pipe(gate) == 0);
    child = fork_somehow();
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

static void end_with_a_child_that_ends_first(void)
{
    end_with_a_child_of(fork);
}

/* Without the handlers of pthread_atfork(), as clone() makes one. */
static void end_with_a_child_that_nobody_told(void)
{
    end_with_a_child_of(_Fork);
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

static void stopped_guardian_is_not_left(void **state)
{
    (void)state;
    leaves_nobody(end_with_a_stopped_guardian);
}

static void end_of_a_child_is_not_the_programs(void **state)
{
    (void)state;
    leaves_nobody(end_with_a_child_that_ends_first);
    leaves_nobody(end_with_a_child_that_nobody_told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_pool_leaves_nobody),
        cmocka_unit_test(stopped_guardian_is_not_left),
        cmocka_unit_test(end_of_a_child_is_not_the_programs),
    };

    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
