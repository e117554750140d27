/* test_exit.c: a program that ends leaves no process to who adopts its children, as the first
 * of a container, which need not wait for those. Here that is the test. */
#include <dlfcn.h>
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
    CHECK_CHILD(test_kill(guardian, SIGSTOP) == 0);
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

/* -- a library that is finalised after ours, as those are that the program has loaded -- */

/* Its function of that name, which takes a function. */
static void *finalised(const char *name)
{
    void *library = dlopen(FINALISED_MODULE, RTLD_NOW);
    void *fn = library ? dlsym(library, name) : NULL;

    CHECK_CHILD(fn);
    return fn;
}

static void run_one(void)
{
    struct mu_outcome *o;

    CHECK_CHILD(mu_pool_submit(open_pool, test_say_pid, NULL, 0, NULL, NULL) ==
                    MU_OK &&
                mu_pool_next(open_pool, test_deadline(), &o) == MU_OK);
    CHECK_CHILD(o->status == MU_DONE);
    mu_outcome_free(o);
}

static void run_one_and_close(void)
{
    run_one();
    mu_pool_close(open_pool);
}

static void end_with_a_library_that_closes(void)
{
    void (*call_at_end)(void (*)(void));
    void *fn = finalised("finalised_call_at_end");

    memcpy(&call_at_end, &fn, sizeof fn);
    open_and_run();
    call_at_end(run_one_and_close);
    exit(0);
}

static void end_with_a_library_that_runs(void)
{
    int (*call_until_end)(void (*)(void));
    void *fn = finalised("finalised_call_until_end");

    memcpy(&call_until_end, &fn, sizeof fn);
    open_and_run();
    CHECK_CHILD(call_until_end(run_one) == 0);
    exit(0);
}

/* Who is left is the guardian, which ends. */
static void ends(void (*end)(void))
{
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(TEST_HANG_NS / 1000000000);
        end();
    }
    assert_int_equal(test_wait(pid), 0);
    while (waitpid(-1, NULL, __WALL) > 0)
        continue;
    assert_int_equal(errno, ECHILD);
}

static void pool_is_closed_by_who_ends_later(void **state)
{
    (void)state;
    ends(end_with_a_library_that_closes);
}

static void pool_is_used_by_who_ends_later(void **state)
{
    (void)state;
    ends(end_with_a_library_that_runs);
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
        cmocka_unit_test(pool_is_closed_by_who_ends_later),
        cmocka_unit_test(pool_is_used_by_who_ends_later),
    };

    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
