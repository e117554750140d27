/* test_lock_signals.c: who is woken by a signal from each of its sleeps sees the death of
 * a holder all the same. Two calls of the library pass here by the linker's help (--wrap,
 * CMakeLists.txt): every sleep ends at once, and time is what the test makes it. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "muster/lock.h"

#include "support/check.h"
#include "sys/futex.h"

/* More sleeps than any waiter needs here, where each look at the clock is a millisecond. */
enum { SLEEPS_MAX = 1000, STEP_NS = 1000000 };

static _Atomic int n_sleeps;
static _Atomic int64_t now_ns = STEP_NS;

/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
int64_t __wrap_mu_now_ns(void);
int64_t __wrap_mu_now_ns(void)
{
    return atomic_fetch_add(&now_ns, STEP_NS);
}

int __wrap_mui_futex_wait(const _Atomic uint32_t *word, uint32_t expected,
                          int shared, int64_t deadline_ns);
int __wrap_mui_futex_wait(const _Atomic uint32_t *word, uint32_t expected,
                          int shared, int64_t deadline_ns)
{
    (void)word, (void)expected, (void)shared, (void)deadline_ns;
    CHECK_CHILD(atomic_fetch_add(&n_sleeps, 1) < SLEEPS_MAX);
    return -EINTR;
}
/* NOLINTEND(readability-identifier-naming) */

struct arena {
    struct mu_mutex mutex;
    struct mu_rwlock rwlock;
    struct mu_once once;
};

/* Memory in which a child has died so. */
static struct arena *after_death(void (*die)(void *arg))
{
    struct arena *a = test_shared(sizeof *a);

    assert_true(WIFSIGNALED(test_wait(test_fork(die, a))));
    atomic_store(&n_sleeps, 0);
    return a;
}

static void die_locked(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_mutex_lock(&a->mutex, MU_NOW) == 0);
    (void)raise(SIGKILL);
}

static void mutex_holder_is_seen_dead(void **state)
{
    struct arena *a = after_death(die_locked);

    (void)state;
    assert_int_equal(mu_mutex_lock(&a->mutex, MU_NEVER), MU_OWNER_DIED);
    munmap(a, sizeof *a);
}

static void die_writing(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_rwlock_write(&a->rwlock, MU_NOW) == 0);
    (void)raise(SIGKILL);
}

static void die_reading(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_rwlock_read(&a->rwlock, MU_NOW) == 0);
    (void)raise(SIGKILL);
}

/* From a seat, while nobody has the word. */
static void die_sitting(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_rwlock_read(&a->rwlock, MU_NOW) == 0);
    CHECK_CHILD(mu_rwlock_read(&a->rwlock, MU_NOW) == 0);
    CHECK_CHILD(mu_rwlock_read_unlock(&a->rwlock) == 0);
    (void)raise(SIGKILL);
}

static void rwlock_holders_are_seen_dead(void **state)
{
    struct arena *a = after_death(die_writing);

    (void)state;
    assert_int_equal(mu_rwlock_read(&a->rwlock, MU_NEVER), MU_OWNER_DIED);
    munmap(a, sizeof *a);
    a = after_death(die_reading);
    assert_int_equal(mu_rwlock_write(&a->rwlock, MU_NEVER), 0);
    munmap(a, sizeof *a);
    a = after_death(die_sitting);
    assert_int_equal(mu_rwlock_write(&a->rwlock, MU_NEVER), 0);
    munmap(a, sizeof *a);
}

/* Nobody is left to make room for a reader of one process more. */
static void readers_are_seen_dead_by_a_reader(void **state)
{
    struct arena *a = after_death(die_reading);

    (void)state;
    for (int i = 0; i < MU_RWLOCK_PROCESSES; i++)
        assert_true(WIFSIGNALED(test_wait(test_fork(die_reading, a))));
    assert_int_equal(mu_rwlock_read(&a->rwlock, MU_NEVER), 0);
    munmap(a, sizeof *a);
}

static int die(void *arg)
{
    (void)arg;
    (void)raise(SIGKILL);
    return 0;
}

static int succeed(void *arg)
{
    (void)arg;
    return 0;
}

static void die_running(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_once_run(&a->once, die, NULL, MU_NOW) == 0);
}

static void once_runner_is_seen_dead(void **state)
{
    struct arena *a = after_death(die_running);

    (void)state;
    assert_int_equal(mu_once_run(&a->once, succeed, NULL, MU_NEVER),
                     MU_OWNER_DIED);
    munmap(a, sizeof *a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutex_holder_is_seen_dead),
        cmocka_unit_test(rwlock_holders_are_seen_dead),
        cmocka_unit_test(readers_are_seen_dead_by_a_reader),
        cmocka_unit_test(once_runner_is_seen_dead),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
