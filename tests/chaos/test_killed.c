/* test_killed.c: the supervisor, the nursery and the guardian are killed, in every phase,
 * with workers that are busy: no process is left, no file and no task's outcome is missing. */
#include <glob.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "chaos/deeds.h"
#include "chaos/descent.h"
#include "chaos/groups.h"
#include "chaos/table.h"
#include "support/keepers.h"

static size_t count_files(void)
{
    glob_t found = {.gl_pathc = 0};
    size_t n = 0;

    if (glob("/dev/shm/muster*", GLOB_NOSORT, NULL, &found) == 0)
        n += found.gl_pathc;
    globfree(&found);
    if (glob("/tmp/*muster*", GLOB_NOSORT, NULL, &found) == 0)
        n += found.gl_pathc;
    globfree(&found);
    return n;
}

/* A task that never ends, with a child in a session of its own. */
static int busy(struct mu_task *task)
{
    (void)task;
    if (fork() == 0) {
        (void)setsid();
        if (fork() == 0)
            for (;;)
                (void)pause();
        for (;;)
            continue;
    }
    for (;;)
        continue;
}

/* What a supervisor does before it is killed; each phase writes a byte when it is
 * reached, and stays there. */
enum phase {
    STARTING, /* and killed at any time after */
    AFTER_INIT,
    AFTER_OPEN,
    BUSY,
    CRASHING,
    CLOSING,
    N_PHASES
};

static const char *const phase_names[N_PHASES] = {
    [STARTING] = "starting",     [AFTER_INIT] = "after mu_init()",
    [AFTER_OPEN] = "after open", [BUSY] = "busy",
    [CRASHING] = "crashing",     [CLOSING] = "closing",
};

static void reached(int fd)
{
    (void)!write(fd, "", 1);
}

static _Noreturn void supervise(enum phase phase, const char *model, int fd)
{
    /* so that workers have control groups, where they can be made */
    const struct mu_pool_options options = {.memory_bytes = 256 << 20};
    struct mu_pool *pool;
    struct mu_outcome *o;

    if (phase == STARTING)
        reached(fd);
    if (mu_init(NULL) != 0)
        _exit(1);
    if (phase == AFTER_INIT) {
        reached(fd);
        (void)pause();
    }
    if (mu_pool_open(model, &options, &pool, NULL) != 0)
        _exit(2);
    if (phase == AFTER_OPEN) {
        reached(fd);
        (void)pause();
    }
    for (int i = 0; i < 8; i++)
        if (mu_pool_submit(pool, phase == CRASHING ? deeds[0].fn : busy, NULL,
                           0, NULL, NULL) != 0)
            _exit(3);
    if (phase == CRASHING)
        for (bool told = false;;) {
            if (mu_pool_next(pool, MU_NEVER, &o) != 0)
                _exit(4);
            mu_outcome_free(o);
            if (!told)
                reached(fd);
            told = true;
            if (mu_pool_submit(pool, deeds[0].fn, NULL, 0, NULL, NULL) != 0)
                _exit(5);
        }
    if (mu_pool_next(pool, mu_after_ns(20 * 1000 * 1000), &o) == 0)
        _exit(6);
    if (phase != STARTING)
        reached(fd);
    if (phase == CLOSING)
        mu_pool_close(pool);
    for (;;)
        (void)pause();
}

/* Start ourselves again as a supervisor, which gives it a mark of its own. */
static pid_t start(enum phase phase, const char *model, int *ret_fd)
{
    char phase_text[16];
    char fd_text[16];
    int fds[2];
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    (void)snprintf(phase_text, sizeof phase_text, "%d", (int)phase);
    (void)snprintf(fd_text, sizeof fd_text, "%d", fds[1]);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)execl("/proc/self/exe", "supervisor", phase_text, model, fd_text,
                    NULL);
        _exit(9);
    }
    (void)close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

/* Returns the nanoseconds that it took. "Within a second" is the promise; the test
 * waits longer before it gives up only because other tests share the machine. */
static int64_t nothing_is_left(pid_t supervisor)
{
    const struct timespec pause = {.tv_nsec = 200 * 1000};
    int64_t start_ns = mu_now_ns();
    int64_t end_ns = mu_after_ns(INT64_C(60000000000));
    size_t n;

    do { /* nobody tells us when the last has gone */
        n = descent_count(supervisor, NULL, 0);
        if (n > 0)
            (void)nanosleep(&pause, NULL);
    } while (n > 0 && mu_now_ns() < end_ns);
    assert_int_equal(n, 0);
    return mu_now_ns() - start_ns;
}

/* A moment that is not always the same. */
static void pass_some_time(int round)
{
    const int64_t end_ns = mu_after_ns((round * INT64_C(7919) % 20) * 150000);

    while (mu_now_ns() < end_ns)
        continue;
}

/* Of the supervisor that is killed; 0: it had none yet. The control groups of others,
 * who may end at the same time, do not count. */
static pid_t guardian_now;

static bool is_of_guardian_now(pid_t guardian)
{
    return guardian == guardian_now;
}

static int64_t kill_in_phase(enum phase phase, const char *model, int round)
{
    int64_t start_ns;
    int fd;
    char byte;
    pid_t pid = start(phase, model, &fd);

    assert_int_equal(read(fd, &byte, 1), 1);
    pass_some_time(round);
    if (mui_census_children_of(pid, &guardian_now, 1) == 0)
        guardian_now = 0;
    start_ns = mu_now_ns();
    assert_int_equal(test_kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    (void)nothing_is_left(pid);
    assert_int_equal(groups_count(is_of_guardian_now), 0);
    (void)close(fd);
    return mu_now_ns() - start_ns;
}

/* $TORTURE_ROUNDS says how often in each phase. */
static void killed_supervisor_leaves_nothing(void **state)
{
    static const char *const models[] = {"processes:4",
                                         "processes:2/threads:2"};
    const char *rounds = getenv("TORTURE_ROUNDS");
    const int n_rounds = rounds ? atoi(rounds) : 3;
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    size_t n_files = count_files();

    (void)state;
    for (int i_model = 0; i_model < 2; i_model++)
        for (enum phase phase = 0; phase < N_PHASES; phase++) {
            char deed[80];
            char outcome[80];
            struct table_row row = {
                .deed = deed, .model = models[i_model], .outcome = outcome};
            int64_t longest = 0;

            for (int round = 0; round < n_rounds; round++) {
                int64_t took = kill_in_phase(phase, models[i_model], round);

                longest = took > longest ? took : longest;
            }
            (void)snprintf(deed, sizeof deed, "SIGKILL of supervisor, %s",
                           phase_names[phase]);
            (void)snprintf(outcome, sizeof outcome,
                           "%d times: all gone within %lld ms", n_rounds,
                           (long long)longest / 1000000 + 1);
            table_add(&row);
            print_message("%s under %s: %s\n", deed, row.model, outcome);
        }
    /* others may use these folders at the same time */
    for (int i = 0; i < 60000 && count_files() > n_files; i++)
        (void)nanosleep(&pause, NULL);
    assert_in_range(count_files(), 0, n_files);
}

/* -- nursery and guardian -- */

static void innocents_survive(struct mu_pool *pool, const char *deed,
                              pid_t victim)
{
    enum { N = 10000 };
    struct mu_outcome *o;
    unsigned char seen[N] = {0};
    struct table_row row = {
        .deed = deed, .model = mu_pool_model(pool), .outcome = "replaced"};

    for (unsigned i = 0; i < N; i++) {
        const struct mu_submit how = {.tag = i};

        assert_int_equal(
            mu_pool_submit(pool, deed_innocent, &i, sizeof i, &how, NULL), 0);
        if (i == N / 2)
            assert_int_equal(test_kill(victim, SIGKILL), 0);
    }
    for (unsigned i = 0; i < N; i++) {
        o = test_take(pool);
        assert_int_equal(o->status, MU_DONE);
        assert_int_equal(++seen[o->tag], 1);
        assert_int_equal(o->attempts, 1);
        row.done++;
        mu_outcome_free(o);
    }
    table_add(&row);
}

static void killed_nursery_is_replaced(void **state)
{
    static const char *const models[] = {"processes:3",
                                         "processes:2/threads:2"};

    (void)state;
    for (int m = 0; m < 2; m++) {
        struct mu_pool *pool = test_pool(models[m], NULL);

        for (int i = 0; i < 3; i++) {
            pid_t nursery = test_nursery(pool);
            pid_t guardian = mui_census_parent(nursery);

            innocents_survive(pool, "SIGKILL of nursery", nursery);
            (void)test_next_nursery(pool, nursery, guardian);
        }
        mu_pool_close(pool);
    }
}

static int kill_parent(struct mu_task *task)
{
    (void)task;
    (void)kill(getppid(), SIGKILL);
    for (;;)
        (void)pause();
}

/* It is the nursery's death each time that it is tried, a few ms after the last. */
static void task_that_kills_its_parent_is_lost(void **state)
{
    struct mu_pool *pool;
    struct mu_outcome *o;

    (void)state;
    pool = test_pool("processes:1", NULL);
    o = test_run(pool, kill_parent);
    assert_int_equal(o->status, MU_LOST);
    mu_outcome_free(o);
    (void)test_worker(pool);
    mu_pool_close(pool);
}

/* Take nearly all of something from the parent of a worker, or from that one's, which
 * keeps the right to have it back. */
struct squeeze {
    int resource;
    bool grandparent;
    struct rlimit before;
};

static int squeeze(struct mu_task *task)
{
    const struct squeeze *how = mu_task_input(task, NULL);
    const struct rlimit least = {1,
                                 how->grandparent ? how->before.rlim_max : 1};

    return prlimit(how->grandparent ? mui_census_parent(getppid()) : getppid(),
                   (__rlimit_resource_t)how->resource, &least, NULL);
}

static int is_as_before(struct mu_task *task)
{
    const struct squeeze *how = mu_task_input(task, NULL);
    struct rlimit now;

    (void)getrlimit((__rlimit_resource_t)how->resource, &now);
    return memcmp(&now, &how->before, sizeof now);
}

static void run_squeezed(struct mu_pool *pool, mu_task_fn fn,
                         const struct squeeze *how, enum mu_status expected)
{
    struct mu_outcome *o;

    assert_int_equal(mu_pool_submit(pool, fn, how, sizeof *how, NULL, NULL), 0);
    o = test_take(pool);
    assert_int_equal(o->status, expected);
    mu_outcome_free(o);
}

/* More workers are forked than stood ready, and none inherits it. */
static void task_that_limits_its_parent_limits_nobody(void **state)
{
    enum { N_FORKED = 4 };
    static const int resources[] = {RLIMIT_NOFILE, RLIMIT_AS,  RLIMIT_DATA,
                                    RLIMIT_NPROC,  RLIMIT_CPU, RLIMIT_FSIZE};
    struct mu_pool *pool;

    (void)state;
    pool = test_pool("processes:1", NULL);
    for (size_t i = 0; i < 2 * sizeof resources / sizeof *resources; i++) {
        struct squeeze how = {.resource = resources[i / 2],
                              .grandparent = i % 2 == 1};
        pid_t nursery = test_nursery(pool);

        (void)getrlimit((__rlimit_resource_t)how.resource, &how.before);
        run_squeezed(pool, squeeze, &how, MU_DONE);
        if (how.grandparent)
            assert_int_equal(test_kill(nursery, SIGKILL), 0);
        for (int j = 0; j < N_FORKED; j++) {
            run_squeezed(pool, test_crash, &how, MU_CRASHED);
            run_squeezed(pool, is_as_before, &how, MU_DONE);
        }
    }
    mu_pool_close(pool);
}

/* By its nursery, which gets a nursery: after it either can be killed again. */
static void killed_guardian_is_replaced(void **state)
{
    struct mu_pool *pool;
    struct mu_pool *second;
    pid_t nursery;

    (void)state;
    pool = test_pool("processes:3", NULL);
    nursery = test_nursery(pool);
    for (int i = 0; i < 3; i++) {
        pid_t guardian = nursery;

        innocents_survive(pool, "SIGKILL of guardian",
                          mui_census_parent(nursery));
        nursery = test_next_nursery(pool, guardian, guardian);
        assert_int_equal(mui_census_parent(nursery), guardian);
        innocents_survive(pool, "SIGKILL of nursery after it", nursery);
        nursery = test_next_nursery(pool, nursery, guardian);
        assert_int_equal(mui_census_parent(nursery), guardian);
        second = test_pool("processes:1", NULL);
        assert_int_equal(test_nursery(second), nursery);
        mu_pool_close(second);
    }
    mu_pool_close(pool);
}

/* A pool that is opened right then waits for who takes its place. */
static void pool_opens_as_the_guardian_dies(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct mu_pool *pool;
        pid_t guardian;

        pool = test_pool("processes:1", NULL);
        guardian = mui_census_parent(test_nursery(pool));
        mu_pool_close(pool);
        assert_int_equal(test_kill(guardian, SIGKILL), 0);
        pool = test_pool("processes:1", NULL);
        (void)test_worker(pool);
        mu_pool_close(pool);
    }
}

/* In one call, for each replaces the other: they are a process group. Stopping one first
 * does not help: the pool lets a stopped guardian go on when it misses the nursery. */
static void kill_both(pid_t nursery)
{
    pid_t guardian = mui_census_parent(nursery);
    pid_t group = getpgid(nursery);

    if (group <= 1 || group == getpgrp() || kill(-group, SIGKILL) != 0)
        _exit(7);
    test_await_end(nursery);
    test_await_end(guardian);
}

static int wait_for_ever(struct mu_task *task)
{
    (void)task;
    for (;;)
        (void)pause();
}

/* The outcome of a task that no worker can run any more, with the reason. */
static bool is_lost_with_both(const struct mu_outcome *o)
{
    char text[200];

    (void)mu_outcome_describe(o, text, sizeof text);
    return o->status == MU_LOST &&
           strstr(text, "no worker could be started any more: processes: "
                        "guardian and nursery were killed");
}

/* When both are gone nothing hangs: the tasks say so, and so does the next pool,
 * unless it can have new ones. In a process of its own. */
static void lose_both(void)
{
    struct mu_pool *pool;
    struct mu_pool *second;
    struct mu_outcome *o;
    struct mu_error err;
    pid_t nursery;

    if (mu_init(NULL) != 0 ||
        mu_pool_open("processes:2", NULL, &pool, NULL) != 0)
        _exit(1);
    nursery = test_nursery(pool);
    if (mu_pool_submit(pool, wait_for_ever, NULL, 0, NULL, NULL) != 0)
        _exit(6);
    kill_both(nursery);
    if (mu_pool_next(pool, MU_NEVER, &o) != 0 || !is_lost_with_both(o))
        _exit(2);
    mu_outcome_free(o);
    if (mu_pool_submit(pool, test_say_pid, NULL, 0, NULL, NULL) != MU_ECRASHED)
        _exit(3);
    /* the pool that is open has a thread */
    if (mu_pool_open("processes:2", NULL, &second, &err) != MU_EINIT ||
        !strstr(err.text, "threads"))
        _exit(4);
    mu_pool_close(pool);
    if (mu_pool_open("processes:2", NULL, &second, &err) != 0)
        _exit(5);
    (void)test_worker(second);
    mu_pool_close(second);
}

static void loss_of_both_is_said(void **state)
{
    int status;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(300);
        lose_both();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_supervisor_leaves_nothing),
        cmocka_unit_test(killed_nursery_is_replaced),
        cmocka_unit_test(task_that_kills_its_parent_is_lost),
        cmocka_unit_test(task_that_limits_its_parent_limits_nobody),
        cmocka_unit_test(pool_opens_as_the_guardian_dies),
        cmocka_unit_test(loss_of_both_is_said),
        cmocka_unit_test(killed_guardian_is_replaced),
    };

    descent_mark(argv);
    if (argc == 4)
        supervise((enum phase)atoi(argv[1]), argv[2], atoi(argv[3]));
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
