/* test_packs.c: tasks that are short and many, which travel in packs, under every
 * model: nothing about one depends on those beside it. */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "conformance/models.h"
#include "support/check.h"

enum { N_TASKS = 300 };

/* What the tasks share with the test. */
static struct {
    _Atomic unsigned n_runs[N_TASKS]; /* by tag */
    _Atomic bool is_open;
} * shared;

/* Count a run of this task. Returns its tag. */
static uint64_t count(const struct mu_task *t)
{
    const uint64_t tag = mu_task_tag(t);

    atomic_fetch_add(&shared->n_runs[tag], 1);
    return tag;
}

static unsigned n_runs(uint64_t tag)
{
    return atomic_load(&shared->n_runs[tag]);
}

/* Submit all tasks at once, with their tags as inputs. */
static void submit_all(struct mu_pool *pool, mu_task_fn fn, int64_t timeout_ns)
{
    const struct mu_submit how = {.timeout_ns = timeout_ns};
    struct mu_span spans[N_TASKS];
    uint64_t tags[N_TASKS];
    size_t n;

    for (uint64_t i = 0; i < N_TASKS; i++) {
        atomic_store(&shared->n_runs[i], 0);
        tags[i] = i;
        spans[i] = (struct mu_span){&tags[i], sizeof tags[i]};
    }
    atomic_store(&shared->is_open, false);
    assert_int_equal(mu_pool_submit_many(pool, fn, spans, N_TASKS, &how, &n),
                     MU_OK);
    assert_int_equal(n, N_TASKS);
}

static bool isolates(void **state)
{
    return mu_model_isolates(*state) == 1;
}

/* Whether a crash takes no other task along. */
static bool is_alone(void **state)
{
    return isolates(state) && !strchr(*state, '/');
}

/* -- what goes in and what comes out -- */

static int check_input(struct mu_task *t)
{
    const uint64_t tag = count(t);
    size_t size;
    const unsigned char *input = mu_task_input(t, &size);

    if (size != tag % 60 || (uintptr_t)input % 8 != 0 || input[size] != 0)
        return -1;
    for (size_t i = 0; i < size; i++)
        if (input[i] != (unsigned char)tag)
            return -2;
    /* outputs of all sizes, and every seventh fails */
    for (uint64_t i = 0; i < tag % 45; i++)
        if (mu_task_write(t, &tag, 1) != 0)
            return -3;
    return tag % 7 == 0 ? (int)tag + 1 : 0;
}

static void check_output(const struct mu_outcome *o)
{
    const unsigned char *output = o->output;

    assert_int_equal(o->status, o->tag % 7 ? MU_DONE : MU_FAILED);
    assert_int_equal(o->code, o->tag % 7 ? 0 : o->tag + 1);
    assert_int_equal(o->attempts, 1);
    assert_int_equal(o->output_size, o->tag % 45);
    for (size_t i = 0; i < o->output_size; i++)
        assert_int_equal(output[i], (unsigned char)o->tag);
    assert_int_equal(output[o->output_size], 0);
    assert_true(o->run_ns >= 0);
    assert_true(o->queue_ns >= 0);
}

static void inputs_and_outputs_are_their_own(void **state)
{
    enum { N_ROUNDS = 20, BATCH = 60 };
    struct mu_pool *pool = models_open(state, NULL);
    unsigned char bytes[N_TASKS][60];
    struct mu_span spans[N_TASKS];
    size_t n;

    for (size_t i = 0; i < N_TASKS; i++) {
        memset(bytes[i], (int)(i & 0xff), sizeof bytes[i]);
        spans[i] = (struct mu_span){bytes[i], i % 60};
        atomic_store(&shared->n_runs[i], 0);
    }
    for (unsigned round = 0; round < N_ROUNDS; round++) {
        for (size_t i = 0; i < N_TASKS; i += BATCH) {
            const struct mu_submit how = {.tag = i};

            assert_int_equal(mu_pool_submit_many(pool, check_input, spans + i,
                                                 BATCH, &how, &n),
                             MU_OK);
        }
        for (size_t i = 0; i < N_TASKS; i++) {
            struct mu_outcome *o = test_take(pool);

            check_output(o);
            mu_outcome_free(o);
        }
    }
    for (size_t i = 0; i < N_TASKS; i++)
        assert_int_equal(n_runs(i), N_ROUNDS);
    mu_pool_close(pool);
}

/* -- one that goes wrong -- */

enum { N_BAD = 2 };

static bool is_bad(uint64_t tag)
{
    return tag == 17 || tag == 67;
}

static int crash_if_bad(struct mu_task *t)
{
    if (is_bad(count(t)))
        (void)raise(SIGKILL);
    return 0;
}

static int hang_if_bad(struct mu_task *t)
{
    if (is_bad(count(t)))
        for (;;)
            (void)sched_yield();
    return 0;
}

static void check_bad_and_others(void **state, struct mu_pool *pool,
                                 enum mu_status bad)
{
    for (size_t i = 0; i < N_TASKS; i++) {
        struct mu_outcome *o = test_take(pool);

        assert_int_equal(o->status, is_bad(o->tag) ? bad : MU_DONE);
        assert_int_equal(o->attempts, 1);
        if (is_alone(state))
            assert_int_equal(n_runs(o->tag), 1);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

/* It alone is to blame; those before it do not run again, those behind it do. */
static void crash_is_of_one(void **state)
{
    struct mu_pool *pool;

    if (!is_alone(state))
        return; /* whom a signal from nowhere was for can only be tried again */
    pool = models_open(state, NULL);
    submit_all(pool, crash_if_bad, 0);
    check_bad_and_others(state, pool, MU_CRASHED);
}

static void timeout_is_of_one(void **state)
{
    struct mu_pool *pool;

    if (!isolates(state))
        return;
    pool = models_open(state, NULL);
    submit_all(pool, hang_if_bad, INT64_C(500000000));
    check_bad_and_others(state, pool, MU_TIMED_OUT);
}

/* -- some that are long -- */

static int wait_if_bad(struct mu_task *t)
{
    if (is_bad(count(t)))
        while (!atomic_load(&shared->is_open))
            (void)sched_yield();
    return 0;
}

/* Two are long: all others end before them, wherever they were given first. */
static void long_tasks_hold_up_nobody(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);

    if (models_width(state, pool) <= N_BAD) {
        mu_pool_close(pool);
        return;
    }
    submit_all(pool, wait_if_bad, 0);
    for (size_t i = 0; i < N_TASKS; i++) {
        struct mu_outcome *o = test_take(pool);

        assert_int_equal(o->status, MU_DONE);
        assert_int_equal(is_bad(o->tag), i >= N_TASKS - N_BAD);
        assert_int_equal(n_runs(o->tag), 1);
        mu_outcome_free(o);
        if (i + 1 == N_TASKS - N_BAD)
            atomic_store(&shared->is_open, true);
    }
    mu_pool_close(pool);
}

/* -- cancelling -- */

static int wait_for_cancel_if_first(struct mu_task *t)
{
    if (count(t) == 0)
        while (!mu_task_is_cancelled(t))
            (void)sched_yield();
    return 0;
}

/* One that runs is told, one that has not started does not run, the rest does. */
static void one_of_them_is_cancelled(void **state)
{
    const int64_t deadline = test_deadline();
    struct mu_pool *pool = models_open(state, NULL);
    struct mu_outcome *o;
    uint64_t ids[N_TASKS];

    if (models_width(state, pool) != 1) {
        mu_pool_close(pool);
        return;
    }
    for (uint64_t i = 0; i < N_TASKS; i++)
        atomic_store(&shared->n_runs[i], 0);
    for (uint64_t i = 0; i < N_TASKS; i++) {
        const struct mu_submit how = {.tag = i};

        assert_int_equal(mu_pool_submit(pool, wait_for_cancel_if_first, "", 1,
                                        &how, &ids[i]),
                         MU_OK);
    }
    while (n_runs(0) == 0) {
        assert_int_equal(mu_pool_next(pool, MU_NOW, &o), MU_TIMEOUT);
        assert_true(mu_now_ns() < deadline);
    }
    assert_int_equal(mu_pool_cancel(pool, ids[20], 0), 0);
    assert_int_equal(mu_pool_cancel(pool, ids[0], 0), 0);
    for (size_t i = 0; i < N_TASKS; i++) {
        o = test_take(pool);
        assert_int_equal(o->status, o->tag == 20 ? MU_CANCELLED : MU_DONE);
        assert_int_equal(n_runs(o->tag), o->tag == 20 ? 0 : 1);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

/* -- workers that are replaced amid a pack -- */

static int just_count(struct mu_task *t)
{
    (void)count(t);
    return 0;
}

static void recycled_workers_lose_nothing(void **state)
{
    struct mu_pool_options options = {.recycle_tasks = 7};
    struct mu_pool *pool;
    struct mu_stats stats;

    if (!isolates(state))
        return;
    pool = models_open(state, &options);
    submit_all(pool, just_count, 0);
    for (size_t i = 0; i < N_TASKS; i++) {
        struct mu_outcome *o = test_take(pool);

        assert_int_equal(o->status, MU_DONE);
        assert_int_equal(o->attempts, 1);
        assert_int_equal(n_runs(o->tag), 1);
        mu_outcome_free(o);
    }
    mu_pool_stats(pool, &stats);
    assert_true(stats.n_workers_started > N_TASKS / 7 / 4);
    mu_pool_close(pool);
}

static const struct model_test suite[] = {
    MODEL_TEST(inputs_and_outputs_are_their_own),
    MODEL_TEST(crash_is_of_one),
    MODEL_TEST(timeout_is_of_one),
    MODEL_TEST(long_tasks_hold_up_nobody),
    MODEL_TEST(one_of_them_is_cancelled),
    MODEL_TEST(recycled_workers_lose_nothing),
};

int main(void)
{
    shared = test_shared(sizeof *shared); /* before there are workers */
    return models_run(suite, sizeof suite / sizeof *suite);
}
