/* test_pin.c: options.pin binds each worker to a CPU of its own, under every model that
 * has workers. */
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "conformance/models.h"
#include "support/check.h"

/* Shared with worker processes. */
static _Atomic unsigned *n_there;

/* The CPU that the caller is bound to, or -1. */
static int bound_to(void)
{
    cpu_set_t cpus;
    int cpu = 0;

    if (sched_getaffinity(0, sizeof cpus, &cpus) < 0 || CPU_COUNT(&cpus) != 1)
        return -1;
    while (!CPU_ISSET(cpu, &cpus))
        cpu++;
    return cpu;
}

/* The i-th of the CPUs that the caller may use, counted round. */
static int cpu_of(unsigned i)
{
    cpu_set_t cpus;
    int cpu = 0;

    assert_int_equal(sched_getaffinity(0, sizeof cpus, &cpus), 0);
    for (i %= (unsigned)CPU_COUNT(&cpus); !CPU_ISSET(cpu, &cpus) || i-- > 0;)
        cpu++;
    return cpu;
}

/* Where it runs; once as many run as the tag says, so that no worker has two. */
static int say_cpu(struct mu_task *t)
{
    const int64_t deadline = test_deadline();

    atomic_fetch_add(n_there, 1);
    while (atomic_load(n_there) < mu_task_tag(t)) {
        if (mu_now_ns() > deadline)
            return 1;
        (void)sched_yield();
    }
    return mu_task_printf(t, "%d", bound_to());
}

static int end_process(struct mu_task *t)
{
    (void)t;
    _exit(3);
}

/* Run a task on every worker at a time. */
static void expect_all_bound(struct mu_pool *pool)
{
    unsigned n = mu_pool_width(pool);
    uint64_t seen = 0;

    atomic_store(n_there, 0);
    for (unsigned i = 0; i < n; i++)
        test_submit(pool, say_cpu, n);
    for (unsigned i = 0; i < n; i++) {
        struct mu_outcome *o = test_take(pool);

        assert_int_equal(o->status, MU_DONE);
        assert_int_equal(atoi(o->output), cpu_of(o->worker));
        seen |= UINT64_C(1) << o->worker;
        mu_outcome_free(o);
    }
    assert_int_equal(seen, (UINT64_C(1) << n) - 1);
}

static void pinned_worker_has_its_cpu(void **state)
{
    const struct mu_pool_options options = {.pin = 1, .window = 1};
    struct mu_error err = {.text = ""};
    struct mu_pool *pool;
    cpu_set_t before;
    cpu_set_t now;

    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    if (strcmp(*state, "serial") == 0) {
        assert_int_equal(mu_pool_open(*state, &options, &pool, &err),
                         MU_EMODEL);
        assert_non_null(strstr(err.text, "caller"));
        return;
    }
    pool = models_open(state, &options);
    expect_all_bound(pool);
    expect_all_bound(pool);
    /* and who comes in their places */
    for (int i = 0; i < 8 && mu_model_isolates(*state); i++) {
        test_run_as(pool, end_process, MU_EXITED);
        if (i % 4 == 3)
            expect_all_bound(pool);
    }
    mu_pool_close(pool);
    assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
    assert_true(CPU_EQUAL(&before, &now));
}

static const struct model_test suite[] = {
    MODEL_TEST(pinned_worker_has_its_cpu),
};

int main(void)
{
    n_there = test_shared(sizeof *n_there);
    return models_run(suite, sizeof suite / sizeof *suite);
}
