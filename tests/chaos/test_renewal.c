/* test_renewal.c: worker processes that are replaced between tasks: after so many, after
 * growth, and after a task that changed them. */
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chaos/deeds.h"
#include "support/pool.h"

static const char *const models[] = {"processes:2", "processes:1/threads:2"};

static struct {
    _Atomic unsigned n_begun;
    _Atomic bool closed;
    _Atomic bool may_end;
} * gate;

static void on_signal(int signal)
{
    (void)signal;
}

/* Change one thing, that which the input names; say what there is of all. */
static int change_state(struct mu_task *task)
{
    const struct rlimit low = {.rlim_cur = 64, .rlim_max = 64};
    const struct rlimit *files = &low;
    struct rlimit now;
    struct sigaction action;
    char cwd[256] = "";
    mode_t mask = umask(0);

    (void)umask(mask);
    (void)getrlimit(RLIMIT_NOFILE, &now);
    (void)sigaction(SIGUSR1, NULL, &action);
    (void)mu_task_printf(task, "%s %o %s %s %d %d", getcwd(cwd, sizeof cwd),
                         (unsigned)mask, getenv("CHANGED") ? "set" : "unset",
                         setlocale(LC_ALL, NULL), action.sa_handler == SIG_DFL,
                         now.rlim_cur == files->rlim_cur);
    switch (mu_task_tag(task)) {
    case 0:
        return chdir("/");
    case 1:
        (void)umask(0123);
        return 0;
    case 2:
        return setenv("CHANGED", "1", 1);
    case 3:
        return setlocale(LC_ALL, "C.UTF-8") == NULL;
    case 4:
        return signal(SIGUSR1, on_signal) == SIG_ERR;
    case 5:
        return setrlimit(RLIMIT_NOFILE, files);
    default:
        return 0;
    }
}

static void strict_hides_changes(void **state)
{
    const struct mu_pool_options options = {.strict = 1};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct mu_pool *pool = test_pool(models[i], &options);
        char first[300] = "";

        for (uint64_t tag = 0; tag < 7; tag++) {
            struct mu_outcome *o = test_run_tag(pool, change_state, tag);

            assert_int_equal(o->status, MU_DONE);
            if (tag == 0)
                (void)snprintf(first, sizeof first, "%s",
                               (const char *)o->output);
            assert_string_equal(o->output, first);
            mu_outcome_free(o);
        }
        mu_pool_close(pool);
    }
}

/* No lane of its worker, be there several, gives what one task changed to a task
 * that began when that had ended. */
static void strict_hides_changes_from_all_lanes(void **state)
{
    enum { ROUNDS = 100, N = 4 };
    static const char *const wide[] = {"processes:2", "processes:1/threads:4"};
    const struct mu_pool_options options = {.strict = 1};
    const struct deed *deed = deed_named("change_all");

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct mu_pool *pool = test_pool(wide[i], &options);

        for (int round = 0; round < ROUNDS; round++) {
            mu_task_fn fn = deed->fn;

            for (int n = 1; n <= N; n += N - 1, fn = deed->around) {
                for (int j = 0; j < n; j++)
                    assert_int_equal(
                        mu_pool_submit(pool, fn, "x", 1, NULL, NULL), 0);
                for (int j = 0; j < n; j++)
                    test_take_as(pool, MU_DONE);
            }
        }
        mu_pool_close(pool);
    }
}

static int leak_and_say_pid(struct mu_task *task)
{
    char *volatile leak = malloc(4 << 20);

    memset(leak, 1, 4 << 20);
    test_take_long();
    return test_say_pid(task);
}

static void *stay(void *arg)
{
    for (;;)
        (void)pause();
    return arg;
}

static int leave_thread(struct mu_task *task)
{
    pthread_t thread;

    test_take_long();
    return pthread_create(&thread, NULL, stay, NULL) ? 1 : test_say_pid(task);
}

static int leave_child(struct mu_task *task)
{
    if (fork() == 0)
        (void)stay(NULL);
    test_take_long();
    return test_say_pid(task);
}

static int close_all(struct mu_task *task)
{
    (void)close_range(3, ~0U, 0);
    test_take_long();
    return test_say_pid(task);
}

/* Nothing but what tells how much memory there is. */
static int close_statm(struct mu_task *task)
{
    char path[64];
    char name[64];

    for (int fd = 3; fd < 256; fd++) {
        ssize_t length;

        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        length = readlink(path, name, sizeof name - 1);
        name[length > 0 ? length : 0] = '\0';
        if (strstr(name, "/statm"))
            (void)close(fd);
    }
    test_take_long();
    return test_say_pid(task);
}

/* The bell is a socket, and so is what takes its place. */
static int replace_all(struct mu_task *task)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
        return 1;
    for (int fd = 3; fd < 64; fd++)
        if (fd != pair[0] && fd != pair[1])
            (void)dup2(pair[0], fd);
    test_take_long();
    return test_say_pid(task);
}

/* The bell is there, and mute. */
static int shut_all(struct mu_task *task)
{
    for (int fd = 3; fd < 64; fd++)
        (void)shutdown(fd, SHUT_WR);
    test_take_long();
    return test_say_pid(task);
}

/* Which is what its end looks like. */
static int ring_emptily(struct mu_task *task)
{
    for (int fd = 3; fd < 64; fd++)
        (void)send(fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL);
    test_take_long();
    return test_say_pid(task);
}

static unsigned count_pids(const struct mu_pool_options *options, mu_task_fn fn,
                           unsigned n_tasks)
{
    struct mu_pool *pool = test_pool("processes:1", options);
    long last = 0;
    unsigned n = 0;

    for (unsigned i = 0; i < n_tasks; i++) {
        struct mu_outcome *o = test_run(pool, fn);
        long pid;

        assert_int_equal(o->status, MU_DONE);
        assert_int_equal(o->attempts, 1);
        pid = strtol(o->output, NULL, 10);
        n += pid != last;
        last = pid;
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
    return n;
}

static void workers_are_recycled(void **state)
{
    const struct mu_pool_options by_tasks = {.recycle_tasks = 10};
    const struct mu_pool_options by_bytes = {.recycle_bytes = 10 << 20};

    (void)state;
    assert_int_equal(count_pids(NULL, test_say_pid, 100), 1);
    assert_int_equal(count_pids(&by_tasks, test_say_pid, 100), 10);
    assert_int_equal(count_pids(NULL, leak_and_say_pid, 12), 1);
    assert_in_range(count_pids(&by_bytes, leak_and_say_pid, 12), 4, 6);
}

/* Also without being asked to: after a task that took long. */
static void changed_workers_are_replaced(void **state)
{
    const struct mu_pool_options limited = {.memory_bytes = 64 << 20};

    (void)state;
    assert_int_equal(count_pids(NULL, leave_thread, 5), 5);
    assert_int_equal(count_pids(NULL, leave_child, 5), 5);
    assert_int_equal(count_pids(NULL, close_all, 5), 5);
    assert_int_equal(count_pids(NULL, replace_all, 5), 5);
    assert_int_equal(count_pids(&limited, close_statm, 5), 5);
    assert_int_equal(count_pids(NULL, close_statm, 5), 1);
}

/* As soon as it has to ring: not as long as whoever waits is awake. */
static void workers_that_fell_silent_are_replaced(void **state)
{
    enum { TRIES = 20 };

    (void)state;
    assert_in_range(count_pids(NULL, shut_all, TRIES), 2, TRIES);
    assert_in_range(count_pids(NULL, ring_emptily, TRIES), 2, TRIES);
}

enum { BESIDE = 3 }; /* lanes of a worker */

static int close_all_beside(struct mu_task *task)
{
    (void)task;
    atomic_fetch_add(&gate->n_begun, 1);
    while (atomic_load(&gate->n_begun) < BESIDE)
        (void)sched_yield();
    (void)close_range(3, ~0U, 0);
    atomic_store(&gate->closed, true);
    while (!atomic_load(&gate->may_end))
        (void)sched_yield();
    return 0;
}

static int end_beside(struct mu_task *task)
{
    (void)task;
    atomic_fetch_add(&gate->n_begun, 1);
    while (!atomic_load(&gate->closed))
        (void)sched_yield();
    test_take_long(); /* until who waits sleeps, and would have to be rung for */
    return 0;
}

/* What the others of its worker have to say is heard, nor do they end the task that made
 * the worker mute. */
static void who_closes_all_is_not_ended_by_those_beside(void **state)
{
    enum { ROUNDS = 10 };
    const struct mu_pool_options options = {.window = 1};
    struct mu_pool *pool = test_pool("processes:1/threads:3", &options);

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        atomic_store(&gate->n_begun, 0);
        atomic_store(&gate->closed, false);
        atomic_store(&gate->may_end, false);
        test_submit(pool, close_all_beside, 0);
        for (int i = 1; i < BESIDE; i++)
            test_submit(pool, end_beside, 0);
        for (int i = 1; i < BESIDE; i++)
            test_take_as(pool, MU_DONE);
        atomic_store(&gate->may_end, true);
        test_take_as(pool, MU_DONE);
        assert_int_equal(atomic_load(&gate->n_begun), BESIDE);
    }
    mu_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strict_hides_changes),
        cmocka_unit_test(strict_hides_changes_from_all_lanes),
        cmocka_unit_test(workers_are_recycled),
        cmocka_unit_test(changed_workers_are_replaced),
        cmocka_unit_test(workers_that_fell_silent_are_replaced),
        cmocka_unit_test(who_closes_all_is_not_ended_by_those_beside),
    };

    gate = test_shared(sizeof *gate);
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
