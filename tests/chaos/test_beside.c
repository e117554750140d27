/* test_beside.c: two tasks in one process, under processes/threads: what one has while
 * it runs is not taken for what another has left behind. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "support/gate.h"
#include "support/process.h"
#include "sys/census.h"

static const char model[] = "processes:1/threads:2";

static struct mu_pool *open_pool(unsigned recycle_tasks)
{
    const struct mu_pool_options options = {.recycle_tasks = recycle_tasks,
                                            .window = 1};
    struct mu_pool *pool = test_pool(model, &options);

    test_gate_shut();
    return pool;
}

/* The output, a number, of the task that ends next. */
static long take(struct mu_pool *pool)
{
    struct mu_outcome *o = test_take(pool);
    long number;

    assert_int_equal(o->status, MU_DONE);
    number = strtol(o->output, NULL, 10);
    mu_outcome_free(o);
    return number;
}

static void submit(struct mu_pool *pool, mu_task_fn fn)
{
    const pid_t self = getpid();

    assert_int_equal(mu_pool_submit(pool, fn, &self, sizeof self, NULL, NULL),
                     MU_OK);
}

static long run(struct mu_pool *pool, mu_task_fn fn)
{
    submit(pool, fn);
    return take(pool);
}

/* Submit a task that ends when it may, and wait until it has begun. */
static void begin(struct mu_pool *pool, mu_task_fn fn)
{
    submit(pool, fn);
    test_gate_await_by(pool, 1);
}

/* -- tasks -- */

/* As long as it has to be to be looked at afterwards. */
static int say_pid(struct mu_task *t)
{
    test_take_long();
    return test_say_pid(t);
}

static pid_t fork_child(void)
{
    pid_t child = fork();

    if (child == 0)
        for (;;)
            (void)pause();
    return child;
}

static int stay_with_child(struct mu_task *t)
{
    pid_t child = fork_child();
    int rc = test_gate_pass(t);

    (void)test_kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    return rc;
}

static int leave_child(struct mu_task *t)
{
    return fork_child() < 0 ? 1 : say_pid(t);
}

static int raise_term(struct mu_task *t)
{
    (void)t;
    return raise(SIGTERM) == 0 ? 0 : 1;
}

/* What a program that it starts would have. */
static int has_empty_mask(struct mu_task *t)
{
    sigset_t blocked;

    (void)t;
    (void)sigemptyset(&blocked);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    return sigisemptyset(&blocked) ? 0 : 1;
}

/* The kernel ends its thread, and no other, when that has told of this task's end and
 * is about to sleep. */
static int forbid_sleep(struct mu_task *t)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const struct sock_fprog program = {sizeof code / sizeof code[0], code};

    (void)t;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return 1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : 1;
}

/* Until the process in its input, the one that takes outcomes, sleeps. */
static int wait_for_sleeper(struct mu_task *t)
{
    pid_t pid;

    memcpy(&pid, mu_task_input(t, NULL), sizeof pid);
    test_await_sleep(pid);
    return 0;
}

/* -- tests -- */

static void children_of_a_neighbour_stay(void **state)
{
    enum { N = 20 };
    struct mu_pool *pool = open_pool(0);
    long pid;

    (void)state;
    begin(pool, stay_with_child);
    pid = run(pool, say_pid);
    for (int i = 0; i < N; i++)
        assert_int_equal(run(pool, say_pid), pid);
    test_gate_open();
    (void)take(pool);
    assert_int_equal(run(pool, say_pid), pid);
    mu_pool_close(pool);
}

static void child_left_beside_a_long_task_is_found(void **state)
{
    struct mu_pool *pool = open_pool(0);
    long pid;

    (void)state;
    begin(pool, test_gate_pass);
    pid = run(pool, leave_child);
    test_gate_open();
    (void)take(pool);
    assert_int_not_equal(run(pool, say_pid), pid);
    mu_pool_close(pool);
}

/* The worker has run enough after one task, and cannot end before the other has. Several
 * times: news of a spare worker could bring the outcome along. */
static void outcome_comes_although_the_worker_goes_on(void **state)
{
    enum { N_POOLS = 10 };

    (void)state;
    for (int i = 0; i < N_POOLS; i++) {
        struct mu_pool *pool = open_pool(1);

        begin(pool, test_gate_pass);
        (void)run(pool, wait_for_sleeper);
        test_gate_open();
        (void)take(pool);
        mu_pool_close(pool);
    }
}

/* What runs beside begins again elsewhere, and is charged with nothing. */
static void thread_that_ends_between_tasks_is_noticed(void **state)
{
    const int64_t deadline = test_deadline();
    struct mu_pool *pool = open_pool(0);
    struct mu_outcome *ended[2];
    int n_ended = 0;

    (void)state;
    begin(pool, test_gate_pass);
    atomic_store(&gate->n_begun, 0);
    submit(pool, forbid_sleep);
    while (atomic_load(&gate->n_begun) == 0) {
        assert_true(n_ended < 2 && mu_now_ns() < deadline);
        if (mu_pool_next(pool, MU_NOW, &ended[n_ended]) == MU_OK)
            n_ended++;
    }
    test_gate_open();
    while (n_ended < 2)
        ended[n_ended++] = test_take(pool);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ended[i]->status, MU_DONE);
        assert_int_equal(ended[i]->attempts, 1);
        mu_outcome_free(ended[i]);
    }
    mu_pool_close(pool);
}

/* As where a task has its process alone. */
static void signals_are_not_blocked(void **state)
{
    struct mu_pool *pool = open_pool(0);

    (void)state;
    test_run_as(pool, has_empty_mask, MU_DONE);
    test_run_as(pool, raise_term, MU_CRASHED);
    mu_pool_close(pool);
}

/* The kernel counts in ticks: look again until one has passed. */
/* The next address above this thread's stack that cannot be written. */
static uintptr_t above_stack(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[4096];
    pthread_attr_t attr;
    void *base = NULL;
    size_t size = 0;
    uintptr_t at;

    if (!maps || pthread_getattr_np(pthread_self(), &attr) != 0)
        return 0;
    (void)pthread_attr_getstack(&attr, &base, &size);
    (void)pthread_attr_destroy(&attr);
    at = (uintptr_t)base + size;
    while (fgets(line, sizeof line, maps)) {
        char *rest;
        uintptr_t begin = strtoul(line, &rest, 16);
        uintptr_t end = strtoul(rest + 1, &rest, 16);

        if (begin <= at && at < end && rest[2] == 'w')
            at = end;
    }
    (void)fclose(maps);
    return at;
}

static int write_above_stack(struct mu_task *t)
{
    (void)t;
    *(volatile char *)above_stack() = 1; /* NOLINT: no object is there */
    return 0;
}

static void what_is_above_a_stack_is_not_of_it(void **state)
{
    struct mu_pool *pool = open_pool(0);
    struct mu_outcome *o = test_run(pool, write_above_stack);
    char text[200];

    (void)state;
    assert_int_equal(o->status, MU_CRASHED);
    (void)mu_outcome_describe(o, text, sizeof text);
    assert_non_null(strstr(text, "crashed: SIGSEGV at "));
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static void wait_until_older(unsigned n_own)
{
    const int64_t deadline = test_deadline();

    while (!mui_census_has_older(n_own, mu_now_ns()))
        assert_true(mu_now_ns() < deadline);
}

static void age_is_told(void **state)
{
    const unsigned n_own = mui_census_threads();
    const int64_t then = mu_now_ns();
    pid_t child;

    (void)state;
    assert_false(mui_census_has_older(n_own, mu_now_ns()));
    wait_until_older(n_own - 1); /* this thread itself */
    child = fork_child();
    assert_true(child > 0);
    assert_false(mui_census_has_older(n_own, then));
    wait_until_older(n_own);
    assert_int_equal(test_kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_false(mui_census_has_older(n_own, mu_now_ns()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(age_is_told),
        cmocka_unit_test(children_of_a_neighbour_stay),
        cmocka_unit_test(child_left_beside_a_long_task_is_found),
        cmocka_unit_test(outcome_comes_although_the_worker_goes_on),
        cmocka_unit_test(thread_that_ends_between_tasks_is_noticed),
        cmocka_unit_test(signals_are_not_blocked),
        cmocka_unit_test(what_is_above_a_stack_is_not_of_it),
    };

    test_gate_make();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
