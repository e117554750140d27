/* test_close.c: a pool is closed, or robbed, while a thread of it is about to order a spare
 * worker, held there by the linker's help (--wrap, CMakeLists.txt). */
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "layer/processes.h"
#include "pool/pool.h"
#include "support/pool.h"

/* Set by the main thread, but for HELD. */
enum { OPEN, SHUT, HELD, CLOSING };
static _Atomic int gate;

static pid_t host;
static _Atomic unsigned *n_forks; /* of the nursery; shared */

static bool main_thread_sleeps(void)
{
    char path[64];
    char line[512] = "";
    FILE *stat;

    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)host);
    stat = fopen(path, "re");
    CHECK_CHILD(stat && fgets(line, sizeof line, stat));
    (void)fclose(stat);
    return strstr(line, ") S ") != NULL;
}

/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
int __real_fork(void);
int __wrap_fork(void);

/* Memory for a worker. Who comes first when the gate is shut, but for the main thread,
 * stays until that sleeps in mu_pool_close(). */
int __wrap_memfd_create(const char *name, unsigned flags)
{
    int is_shut = SHUT;

    if (getpid() == host && gettid() != host &&
        atomic_compare_exchange_strong(&gate, &is_shut, HELD))
        while (atomic_load(&gate) != CLOSING || !main_thread_sleeps())
            (void)sched_yield();
    return __real_memfd_create(name, flags);
}

int __wrap_fork(void)
{
    /* not of the guardian, our child, which forks the nursery */
    if (getpid() != host && getppid() != host)
        atomic_fetch_add(n_forks, 1);
    return __real_fork();
}
/* NOLINTEND(readability-identifier-naming) */

static int do_nothing(struct mu_task *t)
{
    (void)t;
    return 0;
}

static int stay(struct mu_task *t)
{
    (void)t;
    for (;;)
        (void)pause();
}

/* Its thread is held. */
static struct mu_pool *open_held(void)
{
    const int64_t deadline = test_deadline();
    struct mu_pool *pool;

    atomic_store(n_forks, 0);
    atomic_store(&gate, SHUT);
    pool = test_pool("processes:1", NULL);
    test_run_as(pool, do_nothing, MU_DONE);
    while (atomic_load(&gate) != HELD) {
        assert_true(mu_now_ns() < deadline);
        (void)sched_yield();
    }
    return pool;
}

/* Its thread goes on when this one waits for it. */
static void close_held(struct mu_pool *pool)
{
    atomic_store(&gate, CLOSING);
    mu_pool_close(pool);
    atomic_store(&gate, OPEN);
}

/* Nobody would send it home: until it was killed, after a second, the pool would not be
 * closed. */
static void no_worker_is_ordered_by_then(void **state)
{
    (void)state;
    close_held(open_held());
    assert_int_equal(atomic_load(n_forks), 1);
}

/* What it sends on may not be another's by then. */
static void channel_is_not_closed_before_that_ends(void **state)
{
    struct mu_pool *pool = open_held();
    struct mui_processes *p = (struct mui_processes *)pool->layer;
    struct mui_descriptor_mark mark;
    struct mu_outcome *o;
    int channel;

    (void)state;
    (void)pthread_mutex_lock(&pool->lock);
    channel = p->channel;
    mark = p->channel_mark;
    (void)pthread_mutex_unlock(&pool->lock);
    assert_true(mui_descriptor_is(channel, &mark));
    assert_int_equal(close(p->board_fd), 0); /* no other */
    o = test_run(pool, stay);
    assert_int_equal(o->status, MU_LOST);
    mu_outcome_free(o);
    assert_true(mui_descriptor_is(channel, &mark));
    close_held(pool);
    assert_false(mui_descriptor_is(channel, &mark));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_worker_is_ordered_by_then),
        cmocka_unit_test(channel_is_not_closed_before_that_ends),
    };

    host = getpid();
    n_forks = test_shared(sizeof *n_forks);
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
