/* test_watch.c: nothing waits behind a task that is long while a worker has nothing to
 * do, also when nobody is in a call of the pool; under every model. */
#include <dirent.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conformance/models.h"
#include "support/check.h"

enum { N_TASKS = 100, N_ROUNDS = 3 };

/* What the tasks share with the test. */
static struct {
    _Atomic unsigned n_started;
    _Atomic unsigned n_done;
    _Atomic bool is_open;
    unsigned n_long; /* so many of those that start first are long */
} * shared;

/* Until the test lets it go, or gives up. */
static int wait_if_early(struct mu_task *t)
{
    (void)t;
    if (atomic_fetch_add(&shared->n_started, 1) < shared->n_long)
        while (!atomic_load(&shared->is_open))
            (void)sched_yield();
    atomic_fetch_add(&shared->n_done, 1);
    return 0;
}

/* Whether a thread of a process sleeps, or is the caller itself, or has ended. */
static bool is_asleep(const char *pid, const char *tid)
{
    char path[600];
    char state = 'X';
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%s/task/%s/stat", pid, tid);
    file = fopen(path, "re");
    if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 'X';
    if (file)
        (void)fclose(file);
    return state != 'R' || atoi(tid) == getpid();
}

static bool all_sleep(const char *pid)
{
    char path[40];
    struct dirent *entry;
    bool all = true;
    DIR *dir;

    (void)snprintf(path, sizeof path, "/proc/%s/task", pid);
    dir = opendir(path);
    while (all && dir && (entry = readdir(dir)) != NULL)
        all = entry->d_name[0] == '.' || is_asleep(pid, entry->d_name);
    if (dir)
        (void)closedir(dir);
    return all;
}

/* Wait until the workers sleep: who is awake anyway sees for himself. */
static void await_sleep(struct mu_pool *pool)
{
    const int64_t deadline = test_deadline();
    int pids[8];
    size_t n = mu_pool_pids(pool, pids, 8);
    char pid[20] = "self";
    size_t i = 0;

    while (i <= n && mu_now_ns() < deadline) {
        if (i > 0)
            (void)snprintf(pid, sizeof pid, "%d", pids[i - 1]);
        if (all_sleep(pid))
            i++;
        else
            (void)sched_yield();
    }
}

static void submit(struct mu_pool *pool, size_t n_tasks, unsigned n_long)
{
    struct mu_span spans[N_TASKS] = {{.data = NULL}};
    size_t n;

    await_sleep(pool);
    atomic_store(&shared->n_started, 0);
    atomic_store(&shared->n_done, 0);
    atomic_store(&shared->is_open, false);
    shared->n_long = n_long;
    assert_int_equal(
        mu_pool_submit_many(pool, wait_if_early, spans, n_tasks, NULL, &n),
        MU_OK);
    assert_int_equal(n, n_tasks);
}

/* Wait for a count, without a call of the pool, then for all outcomes. */
static void finish(struct mu_pool *pool, const _Atomic unsigned *count,
                   unsigned wanted, size_t n_tasks)
{
    const int64_t deadline = test_deadline();
    bool is_met;

    while (atomic_load(count) < wanted && mu_now_ns() < deadline)
        (void)sched_yield();
    is_met = atomic_load(count) >= wanted;
    atomic_store(&shared->is_open, true);
    for (size_t i = 0; i < n_tasks; i++)
        mu_outcome_free(test_take(pool));
    assert_true(is_met);
}

/* They are known to be short, so that few workers are given some; but those are stuck. */
static void short_ones_pass_by_long_ones(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);
    unsigned width = models_width(state, pool);

    for (unsigned n_long = 0; n_long < width; n_long++) {
        submit(pool, N_TASKS, 0);
        finish(pool, &shared->n_done, 0, N_TASKS);
        submit(pool, N_TASKS, n_long);
        finish(pool, &shared->n_done, N_TASKS - n_long, N_TASKS);
    }
    mu_pool_close(pool);
}

/* One more than there are workers, who may be asleep or not: all are at work. */
static void as_many_start_as_can(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);
    unsigned width = models_width(state, pool);

    for (unsigned i = 0; i < N_ROUNDS && width > 0; i++) {
        submit(pool, width + 1, width);
        finish(pool, &shared->n_started, width, width + 1);
    }
    mu_pool_close(pool);
}

/* The same when they come one by one, behind many that were short. */
static void as_many_start_as_can_behind_short_ones(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);
    unsigned width = models_width(state, pool);

    for (unsigned i = 0; i < N_ROUNDS && width > 0; i++) {
        submit(pool, N_TASKS, 0);
        finish(pool, &shared->n_done, 0, N_TASKS);
        submit(pool, 0, width);
        for (unsigned j = 0; j <= width; j++)
            assert_int_equal(
                mu_pool_submit(pool, wait_if_early, NULL, 0, NULL, NULL),
                MU_OK);
        finish(pool, &shared->n_started, width, width + 1);
    }
    mu_pool_close(pool);
}

static const struct model_test suite[] = {
    MODEL_TEST(short_ones_pass_by_long_ones),
    MODEL_TEST(as_many_start_as_can),
    MODEL_TEST(as_many_start_as_can_behind_short_ones),
};

int main(void)
{
    shared = test_shared(sizeof *shared); /* before there are workers */
    return models_run(suite, sizeof suite / sizeof *suite);
}
