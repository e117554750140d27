/* test_exit.c: a program that ends leaves no process to who adopts its children, as the first
 * of a container, which need not wait for those. Here that is the test. */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "support/pool.h"

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

static int say_guardian(struct mu_task *t)
{
    char path[64];
    char text[256] = "";
    const char *at;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)getppid());
    file = fopen(path, "re");
    if (!file)
        return 1;
    (void)!fgets(text, sizeof text, file);
    (void)fclose(file);
    at = strrchr(text, ')'); /* ") S PARENT" */
    return at ? mu_task_printf(t, "%ld", strtol(at + 4, NULL, 10)) : 1;
}

static void end_with_a_stopped_guardian(void)
{
    struct mu_outcome *o;

    open_and_run();
    test_submit(open_pool, say_guardian, 0);
    CHECK_CHILD(mu_pool_next(open_pool, MU_NEVER, &o) == 0 &&
                o->status == MU_DONE);
    mu_pool_close(open_pool);
    CHECK_CHILD(kill(atoi(o->output), SIGSTOP) == 0);
    mu_outcome_free(o);
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
