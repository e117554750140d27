/* test_cancel_all.c: all tasks of a pool are cancelled at once. */
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "layer/processes.h"
#include "pool/pool.h"
#include "support/pool.h"

enum { N = 40 };

static _Atomic unsigned *n_begun; /* shared with the workers */

static int return_1(struct mu_task *task)
{
    (void)task;
    return 1;
}

static int stay(struct mu_task *task)
{
    (void)task;
    atomic_fetch_add(n_begun, 1);
    for (;;)
        (void)pause();
}

static int do_nothing(struct mu_task *task)
{
    (void)task;
    return 0;
}

static unsigned n_died(struct mu_pool *pool)
{
    struct mu_stats stats;

    mu_pool_stats(pool, &stats);
    return (unsigned)stats.n_workers_died;
}

/* Whether a dead worker would be followed at once. */
static bool has_spares(struct mu_pool *pool)
{
    const struct mui_processes *p = (struct mui_processes *)pool->layer;
    unsigned n = 0;

    (void)pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < p->n_peers; i++)
        n += p->peers[i].state == MUI_PEER_ORDERED;
    (void)pthread_mutex_unlock(&pool->lock);
    return n == pool->n_groups + p->n_spares;
}

/* Each worker that is at a task is killed, and no other, for nothing begins meanwhile. */
static void kills_each_once(const char *model, unsigned n_running,
                            unsigned n_workers)
{
    const int64_t deadline = test_deadline();
    struct mu_pool *pool = test_pool(model, NULL);

    atomic_store(n_begun, 0);
    for (uint64_t tag = 0; tag < N; tag++)
        test_submit(pool, stay, tag);
    while (atomic_load(n_begun) < n_running || !has_spares(pool)) {
        assert_true(mu_now_ns() < deadline);
        (void)sched_yield();
    }
    assert_int_equal(mu_pool_cancel_all(pool, 1), 0);
    assert_int_equal(n_died(pool), n_workers);
    for (int i = 0; i < N; i++) {
        struct mu_outcome *o = test_take(pool);

        assert_int_equal(o->status, MU_CANCELLED);
        assert_in_range(o->attempts, 0, 1);
        mu_outcome_free(o);
    }
    test_run_as(pool, do_nothing, MU_DONE);
    assert_int_equal(atomic_load(n_begun), n_running);
    mu_pool_close(pool);
}

static void processes_are_killed_once(void **state)
{
    (void)state;
    kills_each_once("processes:2", 2, 2);
}

static void threads_of_one_process_are_killed_once(void **state)
{
    (void)state;
    kills_each_once("processes:1/threads:2", 2, 1);
}

/* That it failed is there to be read, and nobody has. */
static void what_has_ended_is_not_cancelled(const char *model, int kill)
{
    const int64_t deadline = test_deadline();
    struct mu_pool *pool = test_pool(model, NULL);
    bool has_ended = false;

    test_submit(pool, return_1, 0);
    while (!has_ended) {
        assert_true(mu_now_ns() < deadline);
        (void)pthread_mutex_lock(&pool->lock);
        has_ended =
            pool->ended.n > 0 || (pool->groups[0].lanes &&
                                  mui_lane_has(&pool->groups[0].lanes[0], 1));
        (void)pthread_mutex_unlock(&pool->lock);
    }
    assert_int_equal(mu_pool_cancel_all(pool, kill), 0);
    test_take_as(pool, MU_FAILED);
    assert_int_equal(n_died(pool), 0);
    mu_pool_close(pool);
}

static void thread_that_has_failed_says_so(void **state)
{
    (void)state;
    what_has_ended_is_not_cancelled("threads:1", 0);
}

static void idle_process_is_not_killed(void **state)
{
    (void)state;
    what_has_ended_is_not_cancelled("processes:1", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processes_are_killed_once),
        cmocka_unit_test(threads_of_one_process_are_killed_once),
        cmocka_unit_test(thread_that_has_failed_says_so),
        cmocka_unit_test(idle_process_is_not_killed),
    };

    n_begun = test_shared(sizeof *n_begun);
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
