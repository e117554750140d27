/* test_stopped.c: the nursery, the guardian or both are stopped, and some time later killed:
 * nothing waits for them but what they alone can tell, and not that for ever. */
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "layer/processes.h"
#include "pool/pool.h"
#include "support/keepers.h"

/* Who is stopped forks and buries nobody, and pools wait for him. */
static void stopped_nursery_is_replaced(void **state)
{
    struct mu_pool *pool;
    pid_t nursery;
    pid_t guardian;

    (void)state;
    pool = test_pool("processes:3", NULL);
    nursery = test_nursery(pool);
    guardian = mui_census_parent(nursery);
    assert_int_equal(test_kill(nursery, SIGSTOP), 0);
    (void)test_next_nursery(pool, nursery, guardian);
    mu_pool_close(pool);
}

/* It only goes on: a pool that is open keeps its workers. The same of the one that took
 * a killed one's place. */
static void stopped_guardian_goes_on(void **state)
{
    struct mu_pool *pool;
    struct mu_pool *second;
    pid_t nursery;
    pid_t worker;

    (void)state;
    pool = test_pool("processes:1", NULL);
    worker = test_worker(pool);
    for (int i = 0; i < 2; i++) {
        nursery = mui_census_parent(worker);
        test_stop(mui_census_parent(nursery));
        second = test_pool("processes:1", NULL);
        assert_int_equal(test_nursery(second), nursery);
        assert_int_equal(test_worker(pool), worker);
        mu_pool_close(second);
        assert_int_equal(test_kill(mui_census_parent(nursery), SIGKILL), 0);
        (void)test_next_nursery(pool, nursery, nursery);
        worker = test_worker(pool);
    }
    mu_pool_close(pool);
}

/* Without mu_init() the last pool that closes ends the guardian, and waits for it. */
static void close_with_a_stopped_guardian(void **state)
{
    int status;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        struct mu_pool *pool;

        alarm(300);
        if (mu_pool_open("processes:1", NULL, &pool, NULL) != 0)
            _exit(1);
        test_stop(mui_census_parent(test_nursery(pool)));
        mu_pool_close(pool);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* The nursery is stopped too, so that nobody reports the end of a worker. */
static void close_with_all_stopped(void **state)
{
    struct mu_pool *pool;
    pid_t nursery;
    pid_t guardian;
    char how;

    (void)state;
    pool = test_pool("processes:1", NULL);
    nursery = test_nursery(pool);
    guardian = mui_census_parent(nursery);
    test_stop(guardian);
    test_stop(nursery);
    mu_pool_close(pool);
    how = test_state(nursery);
    (void)test_kill(guardian,
                    SIGCONT); /* or it would outlive a test that fails */
    assert_int_not_equal(how, 'T');
}

static pid_t host; /* who waits for outcomes */

/* Once the host sleeps. */
static _Noreturn int end_silently(struct mu_task *task)
{
    (void)task;
    test_await_sleep(host);
    _exit(3);
}

/* The next outcome, after guardian and nursery were stopped by us: they go on. */
static struct mu_outcome *take_stopped(struct mu_pool *pool, pid_t guardian)
{
    struct mu_outcome *o;
    int rc = mu_pool_next(pool, test_deadline(), &o);

    (void)kill(-getpgid(guardian), SIGCONT); /* or the test would hang */
    assert_int_equal(rc, 0);
    return o;
}

/* Until all workers are up, spares too: nothing is awaited of the nursery. */
static void await_quiet(struct mu_pool *pool)
{
    const struct mui_processes *p = (struct mui_processes *)pool->layer;
    unsigned n_up;
    unsigned n;

    do {
        n = 0;
        n_up = 0;
        (void)sched_yield();
        (void)pthread_mutex_lock(&pool->lock);
        for (unsigned i = 0; i < p->n_peers; i++) {
            n += p->peers[i].state != MUI_PEER_FREE;
            n_up += p->peers[i].state == MUI_PEER_ORDERED && p->peers[i].up;
        }
        (void)pthread_mutex_unlock(&pool->lock);
    } while (n != n_up || n_up < pool->n_groups + p->n_spares);
}

/* So that nobody reports it: only the nursery knows how a worker ended that left no word,
 * and nobody but the pool lets it go on. */
static void silent_end_with_all_stopped(void **state)
{
    struct mu_outcome *o;
    struct mu_pool *pool;
    pid_t nursery;
    pid_t guardian;

    (void)state;
    pool = test_pool("processes:2", NULL);
    nursery = test_nursery(pool);
    guardian = mui_census_parent(nursery);
    await_quiet(pool);
    test_stop(guardian);
    test_stop(nursery);
    test_submit(pool, end_silently, 0);
    o = take_stopped(pool, guardian);
    assert_int_equal(o->status, MU_EXITED);
    assert_int_equal(o->code, 3);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* Stop the guardian again after the pool let it go on to have another nursery. Whether that
 * was before it has one: it pauses there. */
static bool stop_at_work(struct mu_pool *pool, pid_t *ret_guardian)
{
    pid_t nursery = test_nursery(pool);
    pid_t guardian = mui_census_parent(nursery);
    pid_t next;

    test_stop(guardian);
    assert_int_equal(test_kill(nursery, SIGKILL), 0);
    while (test_state(guardian) == 'T')
        (void)sched_yield();
    assert_int_equal(test_kill(guardian, SIGSTOP), 0);
    *ret_guardian = guardian;
    /* or it was let go on again before that is seen */
    while (mui_census_children_of(guardian, &next, 1) == 0)
        if (test_state(guardian) == 'T')
            return mui_census_children_of(guardian, &next, 1) == 0;
    return false;
}

static void guardian_stops_at_its_work(void **state)
{
    enum { TRIES = 20 };
    struct mu_pool *pool = test_pool("processes:2", NULL);
    bool was_at_work = false;

    (void)state;
    for (int i = 0; i < TRIES && !was_at_work; i++) {
        struct mu_outcome *o;
        pid_t guardian;

        was_at_work = stop_at_work(pool, &guardian);
        test_submit(pool, test_say_pid, 0);
        o = take_stopped(pool, guardian);
        assert_int_equal(o->status, MU_DONE);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

/* Submit a task that crashes and is to be tried again, with its worker's end reported by
 * nobody for a second or so: meanwhile it waits. Returns its id. */
static uint64_t hold_back(struct mu_pool *pool)
{
    struct mu_outcome *o;
    struct mu_stats stats;
    pid_t nursery;
    uint64_t n_died;
    uint64_t id;
    int rc;

    nursery = test_nursery(pool);
    test_stop(mui_census_parent(nursery));
    test_stop(nursery);
    mu_pool_stats(pool, &stats);
    n_died = stats.n_workers_died;
    assert_int_equal(mu_pool_submit(pool, test_crash, NULL, 0, NULL, &id), 0);
    do {
        rc = mu_pool_next(pool, mu_after_ns(1000000), &o);
        mu_pool_stats(pool, &stats);
    } while (rc == MU_TIMEOUT && stats.n_workers_died == n_died);
    assert_int_equal(rc, MU_TIMEOUT);
    return id;
}

/* Whether a task that was held back could be cancelled: unless that second was over. */
static bool cancel_held(struct mu_pool *pool)
{
    uint64_t id = hold_back(pool);
    struct mu_outcome *o;
    bool cancelled;

    (void)mu_pool_cancel(pool, id, 0);
    o = test_take(pool);
    cancelled = o->status == MU_CANCELLED && o->attempts == 1;
    mu_outcome_free(o);
    return cancelled;
}

/* It can be cancelled, and its pool be closed. */
static void held_task_is_cancelled(void **state)
{
    enum { TRIES = 10 };
    const struct mu_pool_options options = {.retries = 1};
    struct mu_pool *pool;
    bool cancelled = false;

    (void)state;
    pool = test_pool("processes:1", &options);
    for (int i = 0; i < TRIES && !cancelled; i++)
        cancelled = cancel_held(pool);
    assert_true(cancelled);
    (void)hold_back(pool);
    mu_pool_close(pool);
}

/* Nor does it wait for a report that will not come. */
static void held_task_outlives_the_nursery(void **state)
{
    const struct mu_pool_options options = {.retries = 1};
    struct mu_outcome *o;
    struct mu_pool *pool;
    pid_t nursery;

    (void)state;
    pool = test_pool("processes:1", &options);
    nursery = test_nursery(pool);
    (void)hold_back(pool);
    assert_int_equal(test_kill(nursery, SIGKILL), 0);
    o = test_take(pool);
    assert_int_equal(o->status, MU_CRASHED);
    assert_int_equal(o->attempts, 2);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopped_nursery_is_replaced),
        cmocka_unit_test(stopped_guardian_goes_on),
        cmocka_unit_test(close_with_a_stopped_guardian),
        cmocka_unit_test(close_with_all_stopped),
        cmocka_unit_test(silent_end_with_all_stopped),
        cmocka_unit_test(guardian_stops_at_its_work),
        cmocka_unit_test(held_task_is_cancelled),
        cmocka_unit_test(held_task_outlives_the_nursery),
    };

    host = getpid();
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
