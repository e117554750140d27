/* test_again.c: a task that is tried again, or runs again with no blame, begins when the
 * worker that had begun it has ended, and what that held is free. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "pool/pool.h"
#include "support/pool.h"

static const char *const models[] = {"processes:1", "processes:2",
                                     "processes:2/threads:2"};
enum { N_MODELS = sizeof models / sizeof *models };

enum { HELD = 1, BROKEN };

static char
    lock_path[64]; /* nobody else has it, and it needs no name on disk */
static struct {
    _Atomic bool runs_beside;
} * gate;

/* Take the lock, which goes with the process. Negative: it was not to be had. */
static int hold(void)
{
    int fd = open(lock_path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return -BROKEN;
    return flock(fd, LOCK_EX | LOCK_NB) < 0 ? -HELD : fd;
}

/* Memory that takes long to give back, before the lock is. */
static void grow(void)
{
    enum { MEMORY = 32 << 20 };
    char *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return;
    (void)madvise(memory, MEMORY, MADV_NOHUGEPAGE);
    memset(memory, 1, MEMORY);
}

/* Let go of it, for the worker goes on. */
static int let_go(int fd)
{
    (void)flock(fd, LOCK_UN);
    return 0;
}

enum way { ABORTS, EXITS, HANGS };

static int fail_once(struct mu_task *task)
{
    int fd = hold();

    if (fd < 0)
        return -fd;
    if (mu_task_attempt(task) > 1)
        return let_go(fd);
    grow();
    switch ((enum way)mu_task_tag(task)) {
    case ABORTS:
        abort();
    case EXITS:
        exit(3);
    case HANGS:
        break;
    }
    for (;;)
        continue;
}

/* The second attempt of one that hangs may be out of time, too. */
static void retry(struct mu_pool *pool, enum way way)
{
    const struct mu_submit how = {.tag = way,
                                  .timeout_ns = way == HANGS ? 20000000 : 0};
    struct mu_outcome *o;

    assert_int_equal(mu_pool_submit(pool, fail_once, NULL, 0, &how, NULL), 0);
    o = test_take(pool);
    assert_int_not_equal(o->status, MU_FAILED);
    assert_int_equal(o->attempts, 2);
    if (way != HANGS)
        assert_int_equal(o->status, MU_DONE);
    mu_outcome_free(o);
}

static void retry_finds_what_the_first_held_free(void **state)
{
    enum { N = 5 };
    const struct mu_pool_options options = {.retries = 1};

    (void)state;
    for (int i = 0; i < N_MODELS; i++) {
        struct mu_pool *pool = test_pool(models[i], &options);

        for (int k = 0; k < N; k++)
            for (enum way way = ABORTS; way <= HANGS; way++)
                retry(pool, way);
        mu_pool_close(pool);
    }
}

/* Whether something was held; the end of another worker does not let go of it. */
static bool end_another(struct mu_pool *pool)
{
    bool was_held;
    bool is_held;

    (void)pthread_mutex_lock(&pool->lock);
    was_held = pool->held.n > 0;
    if (was_held) {
        const uint32_t worker = pool->held.first->index;

        pool->desk.ops->ended(&pool->desk, worker + 1);
        pool->desk.ops->ended(&pool->desk, worker - 1);
    }
    is_held = pool->held.n > 0;
    (void)pthread_mutex_unlock(&pool->lock);
    assert_int_equal(is_held, was_held);
    return was_held;
}

/* How long an end takes is not in our hand: until one was seen in the midst of it. */
static void retry_waits_for_no_other_worker(void **state)
{
    const struct mu_pool_options options = {.retries = 1};
    const int64_t end_ns = test_deadline();
    struct mu_pool *pool = test_pool("processes:2", &options);
    bool found = false;

    (void)state;
    while (!found) {
        struct mu_outcome *o = NULL;

        assert_true(mu_now_ns() < end_ns);
        test_submit(pool, fail_once, ABORTS);
        while (mu_pool_next(pool, MU_NOW, &o) != MU_OK)
            found |= end_another(pool);
        assert_int_equal(o->status, MU_DONE);
        assert_int_equal(o->attempts, 2);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

static int hold_beside(struct mu_task *task)
{
    int fd = hold();

    (void)task;
    if (fd < 0)
        return -fd;
    if (atomic_load(&gate->runs_beside))
        return let_go(fd);
    grow();
    atomic_store(&gate->runs_beside, true);
    for (;;)
        (void)sched_yield();
}

static int crash_beside(struct mu_task *task)
{
    (void)task;
    while (!atomic_load(&gate->runs_beside))
        (void)sched_yield();
    abort();
}

static void who_ran_beside_finds_it_free(void **state)
{
    enum { N = 5 };
    struct mu_pool *pool = test_pool("processes:1/threads:2", NULL);

    (void)state;
    for (int i = 0; i < N; i++) {
        unsigned n_done = 0;

        atomic_store(&gate->runs_beside, false);
        test_submit(pool, hold_beside, 0);
        test_submit(pool, crash_beside, 0);
        for (int k = 0; k < 2; k++) {
            struct mu_outcome *o = test_take(pool);

            n_done += o->status == MU_DONE;
            mu_outcome_free(o);
        }
        assert_int_equal(n_done, 1);
    }
    mu_pool_close(pool);
}

static int kill_parent_once(struct mu_task *task)
{
    int fd = hold();

    (void)task;
    if (fd < 0)
        return -fd;
    if (atomic_exchange(&gate->runs_beside, true))
        return let_go(fd);
    grow();
    (void)kill(getppid(), SIGKILL);
    for (;;)
        continue;
}

/* Its workers go with the nursery, and others come only when they have gone. */
static void who_lost_the_nursery_finds_it_free(void **state)
{
    enum { N = 5 };
    struct mu_pool *pool = test_pool("processes:1", NULL);

    (void)state;
    for (int i = 0; i < N; i++) {
        struct mu_outcome *o;

        atomic_store(&gate->runs_beside, false);
        o = test_run(pool, kill_parent_once);
        assert_int_equal(o->status, MU_DONE);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retry_finds_what_the_first_held_free),
        cmocka_unit_test(retry_waits_for_no_other_worker),
        cmocka_unit_test(who_ran_beside_finds_it_free),
        cmocka_unit_test(who_lost_the_nursery_finds_it_free),
    };
    const struct rlimit no_core = {0, 0};
    int fd = memfd_create("lock", MFD_CLOEXEC);

    gate = test_shared(sizeof *gate);
    (void)snprintf(lock_path, sizeof lock_path, "/proc/%d/fd/%d", (int)getpid(),
                   fd);
    if (fd < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0 || mu_init(NULL) < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
