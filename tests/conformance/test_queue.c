/* test_queue.c: the queue, its ends, and waits, under every model. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "conformance/models.h"
#include "support/gate.h"
#include "support/process.h"

static int wait_for_cancel(struct mu_task *t)
{
    while (!mu_task_is_cancelled(t))
        continue;
    return 7;
}

/* Submit `n` tasks that wait for the gate, until each worker is in one. */
static void fill_workers(void **state, struct mu_pool *pool, unsigned n)
{
    test_gate_shut();
    for (unsigned i = 0; i < n; i++)
        test_submit(pool, test_gate_pass, 0);
    test_gate_await_by(pool, models_width(state, pool));
}

static int count_start(struct mu_task *t)
{
    (void)t;
    atomic_fetch_add(&gate->n_begun, 1);
    return 0;
}

/* Whatever their number, and how many of them wait for a batch: who submits them need
 * not call again. */
static void submitted_tasks_run_by_themselves(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);

    for (unsigned n = 1; n < 200 && models_width(state, pool) > 0; n++) {
        atomic_store(&gate->n_begun, 0);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(
                mu_pool_submit(pool, count_start, NULL, 0, NULL, NULL), MU_OK);
        test_gate_await(n);
        for (unsigned i = 0; i < n; i++)
            test_take_as(pool, MU_DONE);
    }
    mu_pool_close(pool);
}

static int fail_at_gate(struct mu_task *t)
{
    (void)test_gate_pass(t);
    return 7;
}

/* So do all attempts of one, while others do nothing; also after somebody has slept for
 * its end and not waited for it. */
static void failed_tasks_are_retried_by_themselves(void **state)
{
    enum { N_ROUNDS = 20, RETRIES = 3 };
    struct mu_pool_options options = {.retries = RETRIES};
    struct mu_pool *pool = models_open(state, &options);
    struct mu_outcome *o;

    for (int i = 0; i < N_ROUNDS && models_width(state, pool) > 0; i++) {
        test_gate_shut();
        test_submit(pool, fail_at_gate, 0);
        if (i % 2)
            assert_int_equal(mu_pool_next(pool, mu_after_ns(1000 * 1000), &o),
                             MU_TIMEOUT);
        test_gate_open();
        test_gate_await(1 + RETRIES);
        o = test_take(pool);
        assert_int_equal(o->status, MU_FAILED);
        assert_int_equal(o->attempts, 1 + RETRIES);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

/* No worker ends before it has done anything, nor between two tasks: each round needs
 * all of them, and one that had to be replaced would be counted. */
static void workers_stay(void **state)
{
    enum { N_POOLS = 10, N_ROUNDS = 3 };
    struct mu_pool_options options = {.window = 1};
    struct mu_stats stats;

    for (int i = 0; i < N_POOLS; i++) {
        struct mu_pool *pool = models_open(state, &options);

        for (int j = 0; j < N_ROUNDS; j++) {
            fill_workers(state, pool, mu_pool_width(pool));
            test_gate_open();
            for (unsigned k = 0; k < mu_pool_width(pool); k++)
                mu_outcome_free(test_take(pool));
        }
        mu_pool_stats(pool, &stats);
        assert_int_equal(stats.n_workers_died, 0);
        mu_pool_close(pool);
    }
}

/* Also those that were given to a worker ahead. */
static void cancelled_before_its_start_does_not_run(void **state)
{
    enum { N = 100 };
    struct mu_pool *pool = models_open(state, NULL);

    fill_workers(state, pool, N);
    assert_int_equal(mu_pool_cancel_all(pool, 0), 0);
    test_gate_open();
    for (int i = 0; i < N; i++)
        mu_outcome_free(test_take(pool));
    assert_int_equal(atomic_load(&gate->n_begun), models_width(state, pool));
    mu_pool_close(pool);
}

static void full_queue_says_so(void **state)
{
    struct mu_pool_options options = {.queue_tasks = 4, .window = 1};
    struct mu_pool *pool = models_open(state, &options);
    struct mu_submit how = {.flags = MU_SUBMIT_NO_WAIT};
    unsigned n = 0;
    struct mu_outcome *o;

    while (mu_pool_submit(pool, wait_for_cancel, NULL, 0, &how, NULL) == MU_OK)
        n++;
    assert_int_equal(
        n, 4 + (strcmp(*state, "serial") == 0 ? 1 : mu_pool_width(pool)));
    assert_int_equal(mu_pool_cancel_all(pool, 0), 0);
    while (n-- > 0) {
        o = test_take(pool);
        assert_int_equal(o->status, MU_CANCELLED);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

/* Open the gate as soon as the process that forked this one sleeps. */
static void open_for_sleeper(void *unused)
{
    (void)unused;
    test_await_sleep(getppid());
    test_gate_open();
}

static void submit_waits_for_room(void **state)
{
    struct mu_pool_options options = {.queue_tasks = 4, .window = 1};
    struct mu_pool *pool = models_open(state, &options);
    const bool is_serial = strcmp(*state, "serial") == 0;
    unsigned n = 4 + (is_serial ? 1 : mu_pool_width(pool)); /* what fits */
    pid_t opener = 0;

    fill_workers(state, pool, n);
    if (is_serial) /* which makes room by running a task itself */
        test_gate_open();
    else
        opener = test_fork(open_for_sleeper, NULL);
    assert_int_equal(mu_pool_submit(pool, test_gate_pass, NULL, 0, NULL, NULL),
                     MU_OK);
    if (opener > 0)
        assert_int_equal(test_wait(opener), 0);
    for (n++; n > 0; n--)
        mu_outcome_free(test_take(pool));
    mu_pool_close(pool);
}

static void queue_is_full_of_bytes_too(void **state)
{
    enum { SIZE = 100000, FIT = 10 };
    static const char bytes[SIZE];
    struct mu_pool_options options = {.queue_bytes = FIT * SIZE};
    struct mu_pool *pool = models_open(state, &options);
    struct mu_submit how = {.flags = MU_SUBMIT_NO_WAIT};
    unsigned n = 0;

    while (n < 100 && mu_pool_submit(pool, wait_for_cancel, bytes, SIZE, &how,
                                     NULL) == MU_OK)
        n++;
    assert_int_equal(n, FIT + 1); /* the last one is let in */
    assert_int_equal(mu_pool_cancel_all(pool, 0), 0);
    while (n-- > 0)
        mu_outcome_free(test_take(pool));
    mu_pool_close(pool);
}

#ifndef TEST_IS_SANITIZED /* its own memory is data, too */
/* By default it is an eighth of what the program may have. */
static void queue_is_full_by_the_program_s_limits(void **state)
{
    enum { SIZE = 1 << 20, LIMIT = 160 << 20, FIT = LIMIT / SIZE / 8 };
    static const char bytes[SIZE];
    struct mu_pool *pool = models_open(state, NULL);
    struct mu_submit how = {.flags = MU_SUBMIT_NO_WAIT};
    struct rlimit before;
    struct rlimit limit;
    unsigned n = 0;

    assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
    limit = (struct rlimit){LIMIT, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_DATA, &limit), 0);
    while (n < 100 && mu_pool_submit(pool, wait_for_cancel, bytes, SIZE, &how,
                                     NULL) == MU_OK)
        n++;
    assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
    assert_int_equal(n, FIT + 1); /* the last one is let in */
    assert_int_equal(mu_pool_cancel_all(pool, 0), 0);
    while (n-- > 0)
        mu_outcome_free(test_take(pool));
    mu_pool_close(pool);
}
#endif

/* Places of tasks are used again: what one had is not the next one's. */
static void what_a_task_held_the_next_does_not(void **state)
{
    enum { SIZE = 100000, N = 3 };
    static const char bytes[SIZE];
    struct mu_pool_options options = {.queue_bytes = SIZE / 2};
    struct mu_pool *pool = models_open(state, &options);
    struct mu_submit how = {.flags = MU_SUBMIT_NO_WAIT | MU_SUBMIT_RETRIES,
                            .retries = 1};

    assert_int_equal(mu_pool_submit(pool, models_echo, bytes, SIZE, &how, NULL),
                     MU_OK);
    mu_outcome_free(test_take(pool));
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(mu_pool_submit(pool, models_echo, "", 0, &how, NULL),
                         MU_OK);
    for (unsigned i = 0; i < N; i++)
        mu_outcome_free(test_take(pool));
    mu_pool_close(pool);
}

static void an_id_is_of_one_task(void **state)
{
    enum { PLACES = 10000 }; /* more than there are */
    struct mu_pool *pool = models_open(state, NULL);
    struct mu_outcome *o;
    uint64_t ids[2];

    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(
            mu_pool_submit(pool, models_echo, "", 0, NULL, &ids[i]), MU_OK);
        if (i == 0)
            mu_outcome_free(test_take(pool));
    }
    assert_int_equal(mu_pool_wait(pool, ids[0], MU_NEVER, &o), MU_EMPTY);
    assert_int_equal(mu_pool_wait(pool, 0, MU_NEVER, &o), MU_EMPTY);
    assert_int_equal(mu_pool_wait(pool, UINT64_MAX, MU_NEVER, &o), MU_EMPTY);
    for (uint64_t i = 0; i < PLACES; i++) {
        uint64_t id = (ids[1] & ~(uint64_t)UINT32_MAX) | i;

        if (id != ids[1])
            assert_int_equal(mu_pool_wait(pool, id, MU_NEVER, &o), MU_EMPTY);
    }
    assert_int_equal(mu_pool_wait(pool, ids[1], MU_NEVER, &o), MU_OK);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

enum { ATTEMPT_BYTES = 100000, ATTEMPTS = 10 };

static int fail_with_much_to_say(struct mu_task *t)
{
    static const char bytes[ATTEMPT_BYTES];

    if (mu_task_attempt(t) == ATTEMPTS)
        return 0;
    return mu_task_write(t, bytes, sizeof bytes) < 0 ? 1 : 2;
}

/* What failed attempts wrote fills nothing, while there are more and after them. */
static void only_the_last_attempt_holds_bytes(void **state)
{
    struct mu_pool_options options = {.queue_bytes = 4 * ATTEMPT_BYTES,
                                      .retries = ATTEMPTS - 1};
    struct mu_pool *pool = models_open(state, &options);
    struct mu_submit how = {.flags = MU_SUBMIT_NO_WAIT};
    struct mu_stats stats;
    struct mu_outcome *o;
    uint64_t n_others = 0;
    uint64_t ids[2];

    assert_int_equal(
        mu_pool_submit(pool, fail_with_much_to_say, NULL, 0, &how, &ids[0]),
        MU_OK);
    do {
        assert_int_equal(
            mu_pool_submit(pool, models_echo, "", 0, &how, &ids[1]), MU_OK);
        assert_int_equal(mu_pool_wait(pool, ids[1], test_deadline(), &o),
                         MU_OK);
        mu_outcome_free(o);
        n_others++;
        mu_pool_stats(pool, &stats);
    } while (stats.ended[MU_DONE] == n_others);
    assert_int_equal(mu_pool_submit(pool, models_echo, "", 0, &how, NULL),
                     MU_OK);
    assert_int_equal(mu_pool_wait(pool, ids[0], test_deadline(), &o), MU_OK);
    assert_int_equal(o->attempts, ATTEMPTS);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static void cancel_waiting_leaves_what_runs(void **state)
{
    enum { N = 100 };
    struct mu_pool *pool = models_open(state, NULL);
    const unsigned n_running = models_width(state, pool);
    struct mu_stats stats;
    struct mu_outcome *o;

    fill_workers(state, pool, N);
    assert_int_equal(mu_pool_cancel_waiting(pool), 0);
    for (unsigned i = 0; i < N - n_running; i++) {
        o = test_take(pool);
        assert_int_equal(o->status, MU_CANCELLED);
        mu_outcome_free(o);
    }
    mu_pool_stats(pool, &stats);
    assert_int_equal(stats.n_queued, 0);
    test_gate_open();
    for (unsigned i = 0; i < n_running; i++) {
        o = test_take(pool);
        assert_int_equal(o->status, MU_DONE);
        mu_outcome_free(o);
    }
    assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), MU_EMPTY);
    mu_pool_close(pool);
}

static void wait_takes_one_task(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);
    uint64_t ids[100];
    struct mu_outcome *o;

    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(
            mu_pool_submit(pool, models_echo, &i, sizeof i, NULL, &ids[i]),
            MU_OK);
    for (unsigned i = 100; i-- > 0;) {
        assert_int_equal(mu_pool_wait(pool, ids[i], MU_NEVER, &o), MU_OK);
        assert_memory_equal(o->output, &i, sizeof i);
        mu_outcome_free(o);
        assert_int_equal(mu_pool_wait(pool, ids[i], MU_NEVER, &o), MU_EMPTY);
    }
    assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), MU_EMPTY);
    mu_pool_close(pool);
}

static void interrupt_ends_a_wait(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);
    struct mu_outcome *o;

    if (strcmp(*state, "serial") == 0) {
        mu_pool_close(pool);
        return; /* it would run for ever: see test_waits.c */
    }
    assert_int_equal(mu_pool_submit(pool, wait_for_cancel, NULL, 0, NULL, NULL),
                     MU_OK);
    mu_pool_interrupt(pool);
    assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), -EINTR);
    assert_int_equal(mu_pool_next(pool, MU_NOW, &o), MU_TIMEOUT);
    assert_int_equal(mu_pool_next(pool, mu_after_ns(1000), &o), MU_TIMEOUT);
    assert_int_equal(mu_pool_cancel_all(pool, 0), 0);
    mu_outcome_free(test_take(pool));
    mu_pool_close(pool);
}

static const struct model_test suite[] = {
    MODEL_TEST(submitted_tasks_run_by_themselves),
    MODEL_TEST(failed_tasks_are_retried_by_themselves),
    MODEL_TEST(workers_stay),
    MODEL_TEST(cancelled_before_its_start_does_not_run),
    MODEL_TEST(full_queue_says_so),
    MODEL_TEST(submit_waits_for_room),
    MODEL_TEST(queue_is_full_of_bytes_too),
#ifndef TEST_IS_SANITIZED
    MODEL_TEST(queue_is_full_by_the_program_s_limits),
#endif
    MODEL_TEST(what_a_task_held_the_next_does_not),
    MODEL_TEST(only_the_last_attempt_holds_bytes),
    MODEL_TEST(cancel_waiting_leaves_what_runs),
    MODEL_TEST(wait_takes_one_task),
    MODEL_TEST(an_id_is_of_one_task),
    MODEL_TEST(interrupt_ends_a_wait),
};

int main(void)
{
    test_gate_make();
    return models_run(suite, sizeof suite / sizeof *suite);
}
