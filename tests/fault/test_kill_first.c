/* test_kill_first.c: a worker that is given up is killed before another takes its place:
 * neither it nor what ran beside the task that ended it is to go on meanwhile. Two calls of
 * the library pass here by the linker's help (--wrap, CMakeLists.txt). */
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "process/board.h"
#include "process/peer.h"
#include "support/pool.h"

static const char model[] = "processes:1/threads:2";
static struct {
    _Atomic bool runs_beside;
    _Atomic bool crashes;
} * gate;
static _Atomic unsigned n_killed;
static _Atomic unsigned n_too_early; /* given a place while nobody was killed */

/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
int __real_mui_peer_kill(struct mui_peer *peer);
int __wrap_mui_peer_kill(struct mui_peer *peer);
void __real_mui_board_call(struct mui_board *board, uint32_t place);
void __wrap_mui_board_call(struct mui_board *board, uint32_t place);

int __wrap_mui_peer_kill(struct mui_peer *peer)
{
    atomic_fetch_add(&n_killed, 1);
    return __real_mui_peer_kill(peer);
}

/* Called for who is to take orders. */
void __wrap_mui_board_call(struct mui_board *board, uint32_t place)
{
    if (atomic_load(&gate->crashes) && !atomic_load(&n_killed))
        atomic_fetch_add(&n_too_early, 1);
    __real_mui_board_call(board, place);
}
/* NOLINTEND(readability-identifier-naming) */

static int run_beside(struct mu_task *t)
{
    (void)t;
    if (atomic_exchange(&gate->runs_beside, true))
        return 0;
    for (;;)
        (void)sched_yield();
}

static int crash_beside(struct mu_task *t)
{
    (void)t;
    while (!atomic_load(&gate->runs_beside))
        (void)sched_yield();
    atomic_store(&gate->crashes, true);
    abort();
}

static void worker_is_killed_before_its_place_is_filled(void **state)
{
    enum { N = 10 }; /* the first has no spare yet */
    struct mu_pool *pool = test_pool(model, NULL);

    (void)state;
    for (int i = 0; i < N; i++) {
        unsigned n_done = 0;

        atomic_store(&gate->runs_beside, false);
        atomic_store(&gate->crashes, false);
        atomic_store(&n_killed, 0);
        test_submit(pool, run_beside, 0);
        test_submit(pool, crash_beside, 0);
        for (int k = 0; k < 2; k++) {
            struct mu_outcome *o = test_take(pool);

            n_done += o->status == MU_DONE;
            mu_outcome_free(o);
        }
        assert_int_equal(n_done, 1);
        assert_int_equal(atomic_load(&n_too_early), 0);
    }
    mu_pool_close(pool);
}

static int hang(struct mu_task *t)
{
    (void)t;
    atomic_store(&gate->crashes, true);
    for (;;)
        (void)sched_yield();
}

static void worker_that_hangs_is_killed_before(void **state)
{
    enum { N = 10 };
    const struct mu_submit how = {.timeout_ns = 1000000};
    struct mu_pool *pool = test_pool("processes:1", NULL);

    (void)state;
    for (int i = 0; i < N; i++) {
        struct mu_outcome *o;

        atomic_store(&gate->crashes, false);
        atomic_store(&n_killed, 0);
        assert_int_equal(mu_pool_submit(pool, hang, NULL, 0, &how, NULL), 0);
        o = test_take(pool);
        assert_int_equal(o->status, MU_TIMED_OUT);
        mu_outcome_free(o);
        assert_int_equal(atomic_load(&n_too_early), 0);
    }
    mu_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worker_is_killed_before_its_place_is_filled),
        cmocka_unit_test(worker_that_hangs_is_killed_before),
    };

    /* the kernel ends the threads of one that dumps core, and then it is not killed */
    const struct rlimit no_core = {0, 0};

    gate = test_shared(sizeof *gate);
    if (setrlimit(RLIMIT_CORE, &no_core) < 0 || mu_init(NULL) < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
