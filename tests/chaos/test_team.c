/* test_team.c: the team of a worker stays from task to task, and hides nothing that a task
 * leaves beside it. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/pool.h"

enum { N_TASKS = 20 };

/* -- who uses the team leaves nothing -- */

static void one(struct mu_job *j, size_t begin, size_t end, _Atomic long *sum);
MU_LOOP(one, _Atomic long *)
static void one(struct mu_job *j, size_t begin, size_t end, _Atomic long *sum)
{
    (void)j;
    atomic_fetch_add(sum, (long)(end - begin));
}

static void count(struct mu_job *j, _Atomic long *sum);
MU_FORKABLE_VOID(count, _Atomic long *)
static void count(struct mu_job *j, _Atomic long *sum)
{
    (void)j;
    atomic_fetch_add(sum, 1);
}

static int use_team(struct mu_task *task)
{
    struct mu_job *j = mu_team_enter(NULL);
    struct mu_ticket ticket = {.status = 0};
    _Atomic long sum = 0;

    if (!j)
        return 1;
    mu_for_grain(j, 0, 100, 1, one, &sum);
    if (mu_team_leave(j) != 0 ||
        mu_team_submit(NULL, &ticket, count, &sum) != 0 ||
        mu_team_wait(&ticket, count, NULL) != 0 || sum != 101)
        return 1;
    return test_say_pid(task);
}

static void run_well(struct mu_pool *pool, mu_task_fn fn, long *ret_pid)
{
    struct mu_outcome *o = test_run(pool, fn);

    assert_int_equal(o->status, MU_DONE);
    *ret_pid = strtol(o->output, NULL, 10);
    mu_outcome_free(o);
}

static void team_is_not_left_behind(void **state)
{
    static const char *const models[] = {"processes:1", "processes:1/threads:2",
                                         "processes:2/threads:2"};

    (void)state;
    for (int i = 0; i < 6; i++) {
        const struct mu_pool_options options = {.strict = i % 2};
        struct mu_pool *pool = test_pool(models[i / 2], &options);
        struct mu_stats stats;
        long pid;

        for (int k = 0; k < N_TASKS; k++)
            run_well(pool, use_team, &pid);
        for (int k = 0; k < N_TASKS; k++)
            test_submit(pool, use_team, 0);
        for (int k = 0; k < N_TASKS; k++)
            test_take_as(pool, MU_DONE);
        mu_pool_stats(pool, &stats);
        assert_int_equal(stats.n_workers_died, 0);
        mu_pool_close(pool);
    }
}

/* -- who leaves something beside it -- */

static void *wait_for_ever(void *arg)
{
    for (;;)
        (void)pause();
    return arg;
}

static int leave_thread(struct mu_task *task)
{
    pthread_t thread;

    if (use_team(task) != 0)
        return 1;
    return pthread_create(&thread, NULL, wait_for_ever, NULL);
}

static _Atomic int has_begun;

static void never_end(struct mu_job *j);
MU_FORKABLE_VOID(never_end)
static void never_end(struct mu_job *j)
{
    (void)j;
    atomic_store(&has_begun, 1);
    (void)wait_for_ever(NULL);
}

/* A thread of the team is at it still. */
static int leave_ticket(struct mu_task *task)
{
    static struct mu_ticket ticket;

    if (mu_team_submit(NULL, &ticket, never_end) != 0)
        return 1;
    while (!atomic_load(&has_begun))
        continue;
    return test_say_pid(task);
}

static void *stay_in_region(void *arg)
{
    _Atomic int *is_in = arg;

    atomic_store(is_in, mu_team_enter(NULL) ? 1 : -1);
    return NULL;
}

/* Its thread has ended, and its region not. */
static int leave_region(struct mu_task *task)
{
    _Atomic int is_in = 0;
    pthread_t thread;

    if (pthread_create(&thread, NULL, stay_in_region, &is_in) != 0 ||
        pthread_join(thread, NULL) != 0 || is_in != 1)
        return 1;
    return test_say_pid(task);
}

static int leave_team(struct mu_task *task)
{
    const struct mu_team_options options = {.n_threads = 2};
    struct mu_team *team;

    if (use_team(task) != 0)
        return 1;
    return mu_team_open(&options, &team, NULL);
}

static void leftovers_are_seen_beside_a_team(void **state)
{
    static const char *const models[] = {"processes:1",
                                         "processes:1/threads:2"};
    static const mu_task_fn deeds[] = {leave_thread, leave_team, leave_ticket,
                                       leave_region};
    const struct mu_pool_options options = {.strict = 1};
    /* a team of one thread has none to begin the ticket, and none that stay */
    const int n_deeds = mu_usable_cpus() > 1 ? 4 : 2;

    (void)state;
    for (int i = 0; i < 2 * n_deeds; i++) {
        struct mu_pool *pool = test_pool(models[i % 2], &options);
        long before;
        long deed;
        long after;

        run_well(pool, use_team, &before);
        run_well(pool, deeds[i / 2], &deed);
        run_well(pool, use_team, &after);
        assert_int_equal(deed, before);
        assert_int_not_equal(after, deed);
        mu_pool_close(pool);
    }
}

/* -- what only a thread of the team does -- */

static void go_to_root(struct mu_job *j);
MU_FORKABLE_VOID(go_to_root)
static void go_to_root(struct mu_job *j)
{
    (void)j;
    atomic_store(&has_begun, chdir("/") == 0 ? 1 : -1);
}

/* What the test tells its tasks. */
static _Atomic int *both_are_there;

/* The task itself makes no system call that changes anything. */
static int change_elsewhere(struct mu_task *task)
{
    struct mu_ticket ticket = {.status = 0};

    (void)task;
    while (!atomic_load(both_are_there))
        continue;
    if (mu_team_submit(NULL, &ticket, go_to_root) != 0)
        return 1;
    while (!atomic_load(&has_begun))
        continue;
    return mu_team_wait(&ticket, go_to_root, NULL) != 0 || has_begun != 1;
}

static int is_at_root(struct mu_task *task)
{
    char folder[4096];

    if (!getcwd(folder, sizeof folder))
        return 1;
    return mu_task_printf(task, "%d", folder[1] == '\0');
}

static void strict_sees_what_a_team_does(void **state)
{
    enum { N_ROUNDS = 20 };
    const struct mu_pool_options options = {.strict = 1};
    struct mu_pool *pool = test_pool("processes:1", &options);

    (void)state;
    /* now and then the worker is looked at in full anyway */
    for (int i = 0; i < N_ROUNDS && mu_usable_cpus() > 1; i++) {
        struct mu_outcome *o;
        long pid;

        for (int k = 0; k < 3; k++)
            run_well(pool, use_team, &pid);
        /* one behind the other: as it is when it has nothing to do */
        atomic_store(both_are_there, 0);
        test_submit(pool, change_elsewhere, 0);
        test_submit(pool, is_at_root, 0);
        atomic_store(both_are_there, 1);
        test_take_as(pool, MU_DONE);
        o = test_take(pool);
        assert_int_equal(o->status, MU_DONE);
        assert_string_equal(o->output, "0");
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(team_is_not_left_behind),
        cmocka_unit_test(leftovers_are_seen_beside_a_team),
        cmocka_unit_test(strict_sees_what_a_team_does),
    };

    both_are_there = mmap(NULL, sizeof *both_are_there, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (both_are_there == MAP_FAILED || chdir("/tmp") != 0 ||
        mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
