/* test_wishes.c: two callers sleep for a task; one takes the bell that it rings for both, and
 * leaves. They are held by the linker's help (--wrap, CMakeLists.txt). */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>

#include "pool/pool.h"
#include "support/pool.h"

static struct mu_pool *pool;
static uint64_t id;

static struct gate {
    _Atomic unsigned n_started;
    _Atomic unsigned n_open; /* attempts that may end */
} * gate;

static int fail_once(struct mu_task *t)
{
    atomic_fetch_add(&gate->n_started, 1);
    while (atomic_load(&gate->n_open) < mu_task_attempt(t))
        (void)sched_yield();
    return mu_task_attempt(t) == 1;
}

/* Who waits for it: one until its deadline has passed, and longer if need be to see the
 * first attempt end; the other until he is let go. */
static _Thread_local struct caller {
    pthread_t thread;
    int64_t deadline;
    int rc;
    _Atomic bool sleeps;
    _Atomic bool is_over;
    bool is_late;
} * here;
static _Atomic bool let_go;

/* The pool's own thread is held, too: it would wish for both. */
static _Atomic bool holds_monitor;
static _Atomic bool monitor_is_held;

static struct mui_lane *lane(void)
{
    return &pool->groups[0].lanes[0];
}

static void hold(void)
{
    atomic_store(&here->sleeps, true);
    if (!here->is_late)
        while (!atomic_load(&let_go))
            (void)sched_yield();
    else
        while (!mui_lane_has(lane(), 1) || mu_now_ns() < here->deadline)
            (void)sched_yield();
}

static void hold_monitor(void)
{
    atomic_store(&monitor_is_held, true);
    while (atomic_load(&holds_monitor))
        (void)sched_yield();
}

/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
int __real_epoll_wait(int fd, struct epoll_event *events, int n, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int n, int timeout);
int __real_epoll_pwait2(int fd, struct epoll_event *events, int n,
                        const struct timespec *timeout, const sigset_t *mask);
int __wrap_epoll_pwait2(int fd, struct epoll_event *events, int n,
                        const struct timespec *timeout, const sigset_t *mask);

int __wrap_epoll_wait(int fd, struct epoll_event *events, int n, int timeout)
{
    if (here)
        hold();
    else if (atomic_load(&holds_monitor))
        hold_monitor();
    else
        return __real_epoll_wait(fd, events, n, timeout);
    return here && here->is_late ? __real_epoll_wait(fd, events, n, -1) : 0;
}

int __wrap_epoll_pwait2(int fd, struct epoll_event *events, int n,
                        const struct timespec *timeout, const sigset_t *mask)
{
    if (here || atomic_load(&holds_monitor))
        return __wrap_epoll_wait(fd, events, n, -1);
    return __real_epoll_pwait2(fd, events, n, timeout, mask);
}
/* NOLINTEND(readability-identifier-naming) */

static void *wait_for_task(void *arg)
{
    struct mu_outcome *o = NULL;

    here = arg;
    here->rc = mu_pool_wait(pool, id, here->deadline, &o);
    mu_outcome_free(o);
    atomic_store(&here->is_over, true);
    return NULL;
}

static void caller_start(struct caller *c, int64_t deadline, bool is_late)
{
    *c = (struct caller){.deadline = deadline, .is_late = is_late};
    assert_int_equal(pthread_create(&c->thread, NULL, wait_for_task, c), 0);
}

static void begin_to_hold_monitor(void)
{
    const int64_t deadline = test_deadline();

    atomic_store(&holds_monitor, true);
    (void)pthread_mutex_lock(&pool->lock);
    pool->layer->ops->alarm(pool->layer, MU_NOW);
    (void)pthread_mutex_unlock(&pool->lock);
    while (!atomic_load(&monitor_is_held)) {
        assert_true(mu_now_ns() < deadline);
        (void)sched_yield();
    }
}

/* Whether it sleeps; or its deadline has passed before. */
static bool await_sleep(const struct caller *c)
{
    const int64_t deadline = test_deadline();

    while (!atomic_load(&c->sleeps) && !atomic_load(&c->is_over)) {
        assert_true(mu_now_ns() < deadline);
        (void)sched_yield();
    }
    return atomic_load(&c->sleeps);
}

static uint64_t wish(void)
{
    uint64_t want;

    (void)pthread_mutex_lock(&pool->lock);
    want = lane()->want;
    (void)pthread_mutex_unlock(&pool->lock);
    return want;
}

/* That was all that the worker would have rung for, and the task goes on. */
static void who_sleeps_on_is_rung_for(void **state)
{
    const struct mu_pool_options options = {.retries = 1};
    const int64_t deadline = test_deadline();
    struct caller patient;
    struct caller late;
    uint64_t wished;

    (void)state;
    pool = test_pool("processes:1", &options);
    assert_int_equal(mu_pool_submit(pool, fail_once, NULL, 0, NULL, &id),
                     MU_OK);
    while (atomic_load(&gate->n_started) == 0) {
        assert_true(mu_now_ns() < deadline);
        (void)sched_yield();
    }
    begin_to_hold_monitor();
    caller_start(&patient, MU_NEVER, false);
    assert_true(await_sleep(&patient));
    for (;;) {
        caller_start(&late, mu_after_ns(100 * 1000 * 1000), true);
        if (await_sleep(&late))
            break;
        assert_int_equal(pthread_join(late.thread, NULL), 0);
    }
    wished = wish();
    atomic_store(&gate->n_open, 1);
    assert_int_equal(pthread_join(late.thread, NULL), 0);
    assert_int_equal(late.rc, MU_TIMEOUT);
    assert_int_not_equal(wish(), wished);

    atomic_store(&gate->n_open, 2);
    atomic_store(&let_go, true);
    atomic_store(&holds_monitor, false);
    assert_int_equal(pthread_join(patient.thread, NULL), 0);
    assert_int_equal(patient.rc, MU_OK);
    mu_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_sleeps_on_is_rung_for),
    };

    gate = test_shared(sizeof *gate);
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
