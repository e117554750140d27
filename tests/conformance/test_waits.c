/* test_waits.c: what ends the waits of callers, and of tasks that call their own pool;
 * under every model. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "conformance/models.h"
#include "pool/pool.h"

/* Shared with the tasks: those with tags below it may go on. */
static _Atomic uint64_t *n_open;

static void wait_for_turn(const struct mu_task *t)
{
    while (atomic_load(n_open) <= mu_task_tag(t))
        (void)sched_yield();
}

/* Wait until so many callers sleep. With the lock, so that each of them is in its sleep,
 * or will see what is new before it is. */
static void await_sleepers(struct mu_pool *pool, unsigned n)
{
    const int64_t deadline = test_deadline();
    unsigned n_now;

    do {
        assert_true(mu_now_ns() < deadline);
        (void)sched_yield();
        (void)pthread_mutex_lock(&pool->lock);
        n_now = pool->n_waiting;
        (void)pthread_mutex_unlock(&pool->lock);
    } while (n_now < n);
}

/* A caller on a thread of its own. */
struct caller {
    struct mu_pool *pool;
    pthread_t thread;
    int rc;
    _Atomic bool is_over;
};

static void caller_start(struct caller *c, struct mu_pool *pool,
                         void *(*body)(void *))
{
    *c = (struct caller){.pool = pool};
    assert_int_equal(pthread_create(&c->thread, NULL, body, c), 0);
}

/* -- room -- */

enum { QUEUE_BYTES = 1000 };

static int write_much(struct mu_task *t)
{
    static const char bytes[2 * QUEUE_BYTES];

    wait_for_turn(t);
    return mu_task_write(t, bytes, sizeof bytes);
}

static int write_nothing(struct mu_task *t)
{
    wait_for_turn(t);
    return 0;
}

static void *submit_one(void *arg)
{
    struct caller *c = arg;

    c->rc = mu_pool_submit(c->pool, write_nothing, NULL, 0, NULL, NULL);
    atomic_store(&c->is_over, true);
    return NULL;
}

/* When it was an outcome that held all there may be, and nothing else ends. */
static void taking_an_outcome_makes_room(void **state)
{
    const int64_t deadline = test_deadline();
    const struct mu_pool_options options = {.queue_bytes = QUEUE_BYTES};
    struct mu_pool *pool = models_open(state, &options);
    struct mu_submit how = {.tag = 1};
    struct mu_stats stats;
    struct mu_outcome *o;
    struct caller other;
    uint64_t id;
    bool is_over;

    if (models_width(state, pool) == 0) { /* nothing runs beside the caller */
        mu_pool_close(pool);
        return;
    }
    atomic_store(n_open, 0);
    test_submit(pool, write_much, 0);
    assert_int_equal(mu_pool_submit(pool, write_nothing, NULL, 0, &how, &id),
                     MU_OK);
    atomic_store(n_open, 1);
    do {
        assert_true(mu_now_ns() < deadline);
        assert_int_equal(mu_pool_wait(pool, id, MU_NOW, &o), MU_TIMEOUT);
        mu_pool_stats(pool, &stats);
    } while (stats.ended[MU_DONE] == 0);

    caller_start(&other, pool, submit_one);
    await_sleepers(pool, 1);
    o = test_take(pool);
    assert_int_equal(o->output_size, 2 * QUEUE_BYTES);
    mu_outcome_free(o);
    do
        (void)sched_yield();
    while (!(is_over = atomic_load(&other.is_over)) && mu_now_ns() < deadline);
    atomic_store(n_open, UINT64_MAX);
    assert_int_equal(pthread_join(other.thread, NULL), 0);
    assert_true(is_over);
    assert_int_equal(other.rc, MU_OK);
    test_take_as(pool, MU_DONE);
    test_take_as(pool, MU_DONE);
    mu_pool_close(pool);
}

/* -- interrupts and deadlines, of callers who run tasks themselves, too -- */

enum { N_TASKS = 1000 };

static struct mu_pool *serial_pool;
static unsigned n_run;

/* As a handler of a signal does that comes while the first runs. */
static int interrupt_at_first(struct mu_task *t)
{
    (void)t;
    if (n_run++ == 0)
        mu_pool_interrupt(serial_pool);
    return 0;
}

/* Open a pool with tasks, and return the id of the last. */
static uint64_t open_serial(void **state, mu_task_fn fn, unsigned n_tasks)
{
    uint64_t id = 0;

    n_run = 0;
    serial_pool =
        models_open(state, &(struct mu_pool_options){.queue_tasks = N_TASKS});
    for (unsigned i = 0; i < n_tasks; i++)
        assert_int_equal(mu_pool_submit(serial_pool, fn, NULL, 0, NULL, &id),
                         MU_OK);
    return id;
}

static bool is_serial(void **state)
{
    return strcmp(*state, "serial") == 0;
}

static void interrupt_ends_a_wait_that_gets_on(void **state)
{
    struct mu_outcome *o;
    uint64_t id;

    if (!is_serial(state))
        return;
    id = open_serial(state, interrupt_at_first, N_TASKS);
    assert_int_equal(mu_pool_wait(serial_pool, id, MU_NEVER, &o), -EINTR);
    assert_true(n_run < N_TASKS);
    assert_int_equal(mu_pool_wait(serial_pool, id, MU_NEVER, &o), MU_OK);
    mu_outcome_free(o);
    mu_pool_close(serial_pool);
}

/* Who gets what he waited for is interrupted the next time, before he runs another. */
static void interrupt_is_kept_for_the_next_wait(void **state)
{
    struct mu_outcome *o;
    uint64_t id;

    for (int takes_any = 0; takes_any < 2 && is_serial(state); takes_any++) {
        id = open_serial(state, interrupt_at_first, 1);
        assert_int_equal(takes_any
                             ? mu_pool_next(serial_pool, MU_NEVER, &o)
                             : mu_pool_wait(serial_pool, id, MU_NEVER, &o),
                         MU_OK);
        mu_outcome_free(o);
        test_submit(serial_pool, interrupt_at_first, 0);
        assert_int_equal(mu_pool_next(serial_pool, MU_NEVER, &o), -EINTR);
        assert_int_equal(n_run, 1);
        test_take_as(serial_pool, MU_DONE);
        mu_pool_close(serial_pool);
    }
}

/* Wait until the only task has its reply, whether that was read or not. */
static void await_reply(struct mu_pool *pool)
{
    const int64_t deadline = test_deadline();
    bool is_there = false;

    while (!is_there) {
        assert_true(mu_now_ns() < deadline);
        (void)sched_yield();
        (void)pthread_mutex_lock(&pool->lock);
        is_there = pool->ended.n > 0;
        for (unsigned i = 0; i < pool->n_groups; i++)
            for (unsigned j = 0;
                 pool->groups[i].lanes && j < pool->groups[i].n_lanes; j++)
                is_there |= mui_lane_has(&pool->groups[i].lanes[j], 1);
        (void)pthread_mutex_unlock(&pool->lock);
    }
}

/* The same where the outcome is found as the call begins. */
static void interrupt_does_not_hide_an_outcome(void **state)
{
    for (int takes_any = 0; takes_any < 2 && !is_serial(state); takes_any++) {
        struct mu_pool *pool = models_open(state, NULL);
        struct mu_outcome *o;
        uint64_t id;

        atomic_store(n_open, 1);
        assert_int_equal(
            mu_pool_submit(pool, write_nothing, NULL, 0, NULL, &id), MU_OK);
        await_reply(pool);
        mu_pool_interrupt(pool);
        assert_int_equal(takes_any ? mu_pool_next(pool, MU_NEVER, &o)
                                   : mu_pool_wait(pool, id, MU_NEVER, &o),
                         MU_OK);
        mu_outcome_free(o);
        test_submit(pool, write_nothing, 1);
        assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), -EINTR);
        atomic_store(n_open, UINT64_MAX);
        test_take_as(pool, MU_DONE);
        mu_pool_close(pool);
    }
}

static int count_run(struct mu_task *t)
{
    (void)t;
    n_run++;
    return 0;
}

/* It is not another's, but each call that has to wait gets on. */
static void deadline_ends_a_wait_that_gets_on(void **state)
{
    const int64_t deadlines[] = {MU_NOW, mu_now_ns()};

    for (size_t i = 0; i < 2 && is_serial(state); i++) {
        uint64_t id = open_serial(state, count_run, N_TASKS);
        struct mu_outcome *o;
        int rc = mu_pool_wait(serial_pool, id, deadlines[i], &o);

        assert_int_equal(rc, MU_TIMEOUT);
        while (rc == MU_TIMEOUT) {
            unsigned n_before = n_run;

            assert_true(n_run > 0 && n_run < N_TASKS);
            rc = mu_pool_wait(serial_pool, id, deadlines[i], &o);
            assert_true(n_run > n_before);
        }
        assert_int_equal(rc, MU_OK);
        mu_outcome_free(o);
        mu_pool_close(serial_pool);
    }
}

/* Who does not wait is not interrupted, and takes it from nobody who does. */
static void interrupt_is_left_to_who_waits(void **state)
{
    const int64_t passed[] = {MU_NOW, mu_now_ns()};

    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) {
        struct mu_pool *pool;
        struct mu_outcome *o;
        uint64_t id;

        if (is_serial(state)) {
            id = open_serial(state, count_run, N_TASKS);
            pool = serial_pool;
        } else {
            pool = models_open(state, NULL);
            atomic_store(n_open, 0);
            assert_int_equal(
                mu_pool_submit(pool, write_nothing, NULL, 0, NULL, &id), MU_OK);
        }
        mu_pool_interrupt(pool);
        assert_int_equal(mu_pool_wait(pool, id, passed[i], &o), MU_TIMEOUT);
        assert_int_equal(mu_pool_wait(pool, id, MU_NEVER, &o), -EINTR);
        atomic_store(n_open, UINT64_MAX);
        assert_int_equal(mu_pool_wait(pool, id, MU_NEVER, &o), MU_OK);
        mu_outcome_free(o);
        mu_pool_close(pool);
    }
}

/* -- tasks that call their own pool, as those of threads and of `serial` can -- */

static struct mu_pool *own_pool;
static uint64_t own_ids[4]; /* by tag */
static _Atomic unsigned n_calls;
static _Atomic unsigned n_closed;
static _Atomic unsigned n_full;

static bool has_threads(void **state)
{
    return strncmp(*state, "threads", 7) == 0;
}

static int count_closed(int rc)
{
    atomic_fetch_add(&n_closed, rc == MU_CLOSED);
    return 0;
}

static int take_all(struct mu_task *t)
{
    struct mu_outcome *o;
    int rc;

    (void)t;
    while ((rc = mu_pool_next(own_pool, MU_NEVER, &o)) == MU_OK)
        mu_outcome_free(o); /* of one that was beside it */
    return count_closed(rc);
}

static int take_own(struct mu_task *t)
{
    struct mu_outcome *o;

    wait_for_turn(t);
    return count_closed(
        mu_pool_wait(own_pool, own_ids[mu_task_tag(t)], MU_NEVER, &o));
}

static int submit_for_ever(struct mu_task *t)
{
    static const char bytes[100];
    struct mu_submit how = {.flags = MU_SUBMIT_NO_WAIT};
    int rc;

    (void)t;
    do {
        atomic_fetch_add(&n_calls, 1);
        rc = mu_pool_submit(own_pool, write_nothing, bytes, sizeof bytes, &how,
                            NULL);
        (void)sched_yield();
    } while (rc == MU_OK || rc == MU_FULL);
    return count_closed(rc);
}

/* They are not waited for: what they wait for does not come. */
static void close_ends_waits_of_tasks(void **state)
{
    static const mu_task_fn waits[] = {take_all, take_own};

    for (size_t i = 0; i < 2 && has_threads(state); i++) {
        unsigned width;

        own_pool = models_open(state, NULL);
        width = mu_pool_width(own_pool);
        atomic_store(&n_closed, 0);
        atomic_store(n_open, 0);
        for (unsigned j = 0; j < width; j++) {
            const struct mu_submit how = {.tag = j};

            assert_int_equal(
                mu_pool_submit(own_pool, waits[i], NULL, 0, &how, &own_ids[j]),
                MU_OK);
        }
        atomic_store(n_open, UINT64_MAX);
        await_sleepers(own_pool, width);
        mu_pool_close(own_pool);
        assert_int_equal(atomic_load(&n_closed), width);
    }
}

/* What they submit meanwhile is not left behind, as a sanitizer sees. */
static void close_refuses_what_tasks_submit(void **state)
{
    enum { N_ROUNDS = 10 };
    const int64_t deadline = test_deadline();

    for (int i = 0; i < N_ROUNDS && has_threads(state); i++) {
        own_pool = models_open(state, NULL);
        atomic_store(&n_closed, 0);
        atomic_store(&n_calls, 0);
        atomic_store(n_open, UINT64_MAX);
        test_submit(own_pool, submit_for_ever, 0);
        while (atomic_load(&n_calls) < 2) {
            assert_true(mu_now_ns() < deadline);
            (void)sched_yield();
        }
        mu_pool_close(own_pool);
        assert_int_equal(atomic_load(&n_closed), 1);
    }
}

/* Fill the queue, and come back only when as many as there are workers have done so:
 * nobody is there who could make room. */
static int submit_until_full(struct mu_task *t)
{
    unsigned width = mu_pool_width(own_pool);
    int rc = MU_OK;

    (void)t;
    atomic_fetch_add(&n_calls, 1);
    while (atomic_load(&n_calls) < width)
        (void)sched_yield();
    while (rc == MU_OK)
        rc = mu_pool_submit(own_pool, write_nothing, NULL, 0, NULL, NULL);
    atomic_fetch_add(&n_full, 1);
    while (atomic_load(&n_full) < width)
        (void)sched_yield();
    return rc == MU_FULL ? 0 : 1;
}

static void tasks_do_not_wait_for_room(void **state)
{
    const struct mu_pool_options options = {.queue_tasks = 4};
    struct mu_outcome *o;
    unsigned n_ends = 0;

    if (!has_threads(state) && !is_serial(state))
        return;
    own_pool = models_open(state, &options);
    atomic_store(&n_calls, 0);
    atomic_store(&n_full, 0);
    atomic_store(n_open, UINT64_MAX);
    for (unsigned i = 0; i < mu_pool_width(own_pool); i++)
        test_submit(own_pool, submit_until_full, 0);
    while (mu_pool_next(own_pool, test_deadline(), &o) == MU_OK) {
        assert_int_equal(o->status, MU_DONE);
        mu_outcome_free(o);
        n_ends++;
    }
    assert_true(n_ends > mu_pool_width(own_pool));
    mu_pool_close(own_pool);
}

static const struct model_test suite[] = {
    MODEL_TEST(taking_an_outcome_makes_room),
    MODEL_TEST(interrupt_ends_a_wait_that_gets_on),
    MODEL_TEST(interrupt_is_kept_for_the_next_wait),
    MODEL_TEST(interrupt_does_not_hide_an_outcome),
    MODEL_TEST(interrupt_is_left_to_who_waits),
    MODEL_TEST(deadline_ends_a_wait_that_gets_on),
    MODEL_TEST(close_ends_waits_of_tasks),
    MODEL_TEST(close_refuses_what_tasks_submit),
    MODEL_TEST(tasks_do_not_wait_for_room),
};

int main(void)
{
    n_open = test_shared(sizeof *n_open); /* before there are workers */
    return models_run(suite, sizeof suite / sizeof *suite);
}
