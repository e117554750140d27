/* gate.h: tasks that say that they have begun, and end when the test lets them. */
#ifndef TEST_GATE_H
#define TEST_GATE_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "support/pool.h"

/* What tasks and test share; made by main(), before there are workers. */
static struct test_gate {
    _Atomic unsigned n_begun; /* tasks that tell */
    _Atomic bool is_open;
} * gate;

static inline void test_gate_make(void)
{
    gate = test_shared(sizeof *gate);
}

static inline void test_gate_shut(void)
{
    atomic_store(&gate->n_begun, 0);
    atomic_store(&gate->is_open, false);
}

static inline void test_gate_open(void)
{
    atomic_store(&gate->is_open, true);
}

/* A task that begins, and ends when the gate is open. */
static inline int test_gate_pass(struct mu_task *t)
{
    (void)t;
    atomic_fetch_add(&gate->n_begun, 1);
    while (!atomic_load(&gate->is_open))
        (void)sched_yield();
    return 0;
}

/* Wait until so many have begun, without a call of the pool. */
static inline void test_gate_await(unsigned n)
{
    const int64_t deadline = test_deadline();

    while (atomic_load(&gate->n_begun) < n) {
        assert_true(mu_now_ns() < deadline);
        (void)sched_yield();
    }
}

/* The same by calls of it: no task ends meanwhile. */
static inline void test_gate_await_by(struct mu_pool *pool, unsigned n)
{
    const int64_t deadline = test_deadline();
    struct mu_outcome *o;

    while (atomic_load(&gate->n_begun) < n) {
        assert_int_equal(mu_pool_next(pool, MU_NOW, &o), MU_TIMEOUT);
        assert_true(mu_now_ns() < deadline);
    }
}

#endif
