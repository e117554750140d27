/* test_lock.c: each lock between threads and between processes, and its deadlines. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "muster/lock.h"

#include "shared/mutex.h"
#include "support/check.h"
#include "sys/owner.h"

enum { N_WORKERS = 4, N_ROUNDS = 3000 };

struct arena {
    struct mu_mutex mutex;
    struct mu_rwlock rwlock;
    struct mu_semaphore semaphore;
    struct mu_condition condition;
    struct mu_barrier barrier;
    struct mu_once once;
    struct mu_latch latch;
    struct mu_counter counter;
    long first; /* plain: protected by the lock under test */
    long second;
    long n_runs;
    _Atomic int n_last;
    _Atomic int is_locked;
};

/* Run one function on N_WORKERS threads, then on as many processes. */
static void run_everywhere(void (*fn)(void *), void *(*thread_fn)(void *),
                           void (*reset)(struct arena *),
                           void (*check)(struct arena *))
{
    struct arena *a = test_shared(sizeof *a);
    pthread_t threads[N_WORKERS];
    pid_t pids[N_WORKERS];

    reset(a);
    for (int i = 0; i < N_WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread_fn, a), 0);
    for (int i = 0; i < N_WORKERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    check(a);
    memset(a, 0, sizeof *a);
    reset(a);
    for (int i = 0; i < N_WORKERS; i++)
        pids[i] = test_fork(fn, a);
    for (int i = 0; i < N_WORKERS; i++)
        assert_int_equal(test_wait(pids[i]), 0);
    check(a);
    munmap(a, sizeof *a);
}

#define EVERYWHERE(name)                                                       \
    static void *name##_thread(void *arg)                                      \
    {                                                                          \
        name##_work(arg);                                                      \
        return NULL;                                                           \
    }                                                                          \
    static void name##_keeps_its_promise(void **state)                         \
    {                                                                          \
        (void)state;                                                           \
        run_everywhere(name##_work, name##_thread, name##_reset,               \
                       name##_check);                                          \
    }

static void nothing_reset(struct arena *a)
{
    (void)a;
}

#define mutex_reset nothing_reset
static void mutex_work(void *arg)
{
    struct arena *a = arg;

    for (int i = 0; i < N_ROUNDS; i++) {
        CHECK_CHILD(mu_mutex_lock(&a->mutex, test_deadline()) == 0);
        a->first++;
        CHECK_CHILD(mu_mutex_unlock(&a->mutex) == 0);
    }
}
static void mutex_check(struct arena *a)
{
    assert_int_equal(a->first, N_WORKERS * N_ROUNDS);
    assert_int_equal(a->mutex.word, 0);
}
EVERYWHERE(mutex)

#define rwlock_reset nothing_reset
static void rwlock_work(void *arg)
{
    struct arena *a = arg;

    for (int i = 0; i < N_ROUNDS; i++) {
        if (i % 4 == 0) {
            CHECK_CHILD(mu_rwlock_write(&a->rwlock, test_deadline()) == 0);
            a->first++;
            a->second++;
            CHECK_CHILD(mu_rwlock_write_unlock(&a->rwlock) == 0);
        } else {
            CHECK_CHILD(mu_rwlock_read(&a->rwlock, test_deadline()) == 0);
            CHECK_CHILD(a->first == a->second);
            CHECK_CHILD(mu_rwlock_read_unlock(&a->rwlock) == 0);
        }
    }
}
static void rwlock_check(struct arena *a)
{
    assert_int_equal(a->first, N_WORKERS * N_ROUNDS / 4);
    assert_int_equal(a->rwlock.word, 0);
    for (int i = 0; i < MU_RWLOCK_PROCESSES; i++)
        assert_int_equal(a->rwlock.readers[i] & ~MUI_PROCESS_MASK, 0);
}
EVERYWHERE(rwlock)

static void semaphore_reset(struct arena *a)
{
    mu_semaphore_init(&a->semaphore, 1);
}
static void semaphore_work(void *arg)
{
    struct arena *a = arg;

    for (int i = 0; i < N_ROUNDS; i++) {
        CHECK_CHILD(mu_semaphore_take(&a->semaphore, test_deadline()) == 0);
        a->first++;
        CHECK_CHILD(mu_semaphore_give(&a->semaphore, 1) == 0);
    }
}
static void semaphore_check(struct arena *a)
{
    assert_int_equal(a->first, N_WORKERS * N_ROUNDS);
    assert_int_equal(mu_semaphore_value(&a->semaphore), 1);
}
EVERYWHERE(semaphore)

/* Each waits for its turn, then passes it on: first is whose turn it is. */
#define condition_reset nothing_reset
static void condition_work(void *arg)
{
    struct arena *a = arg;
    long me;

    CHECK_CHILD(mu_mutex_lock(&a->mutex, test_deadline()) == 0);
    me = a->second++;
    for (int i = 0; i < N_ROUNDS / 10; i++) {
        while (a->first % N_WORKERS != me)
            CHECK_CHILD(mu_condition_wait(&a->condition, &a->mutex,
                                          test_deadline()) == 0);
        a->first++;
        mu_condition_broadcast(&a->condition);
    }
    CHECK_CHILD(mu_mutex_unlock(&a->mutex) == 0);
}
static void condition_check(struct arena *a)
{
    assert_int_equal(a->first, N_WORKERS * (N_ROUNDS / 10));
}
EVERYWHERE(condition)

static void barrier_reset(struct arena *a)
{
    assert_int_equal(mu_barrier_init(&a->barrier, N_WORKERS), 0);
}
static void barrier_work(void *arg)
{
    struct arena *a = arg;

    for (int i = 0; i < N_ROUNDS / 10; i++) {
        int is_last;

        CHECK_CHILD(mu_barrier_wait(&a->barrier, test_deadline(), &is_last) ==
                    0);
        if (is_last) {
            a->first++; /* plain: the next barrier orders it */
            atomic_fetch_add(&a->n_last, 1);
        }
        CHECK_CHILD(mu_barrier_wait(&a->barrier, test_deadline(), NULL) == 0);
        CHECK_CHILD(a->first == i + 1);
        CHECK_CHILD(mu_barrier_wait(&a->barrier, test_deadline(), NULL) == 0);
    }
}
static void barrier_check(struct arena *a)
{
    assert_int_equal(a->n_last, N_ROUNDS / 10);
}
EVERYWHERE(barrier)

#define once_reset nothing_reset
static int once_fn(void *arg)
{
    struct arena *a = arg;

    a->n_runs++;
    return 0;
}
static void once_work(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_once_run(&a->once, once_fn, a, test_deadline()) == 0);
    CHECK_CHILD(a->n_runs == 1);
}
static void once_check(struct arena *a)
{
    assert_int_equal(a->n_runs, 1);
}
EVERYWHERE(once)

static void latch_reset(struct arena *a)
{
    mu_latch_init(&a->latch, N_WORKERS);
}
static void latch_work(void *arg)
{
    struct arena *a = arg;

    atomic_fetch_add(&a->n_last, 1);
    CHECK_CHILD(mu_latch_count_down(&a->latch, 1) == 0);
    CHECK_CHILD(mu_latch_wait(&a->latch, test_deadline()) == 0);
    CHECK_CHILD(atomic_load(&a->n_last) == N_WORKERS);
}
static void latch_check(struct arena *a)
{
    assert_int_equal(mu_latch_count_down(&a->latch, 1), -EOVERFLOW);
}
EVERYWHERE(latch)

#define counter_reset nothing_reset
static void counter_work(void *arg)
{
    struct arena *a = arg;

    for (uint64_t i = 1; i <= N_ROUNDS / 10; i++) {
        (void)mu_counter_add(&a->counter, 1);
        CHECK_CHILD(
            mu_counter_wait(&a->counter, i * N_WORKERS, test_deadline()) == 0);
    }
}
static void counter_check(struct arena *a)
{
    assert_int_equal(mu_counter_value(&a->counter),
                     N_WORKERS * (N_ROUNDS / 10));
}
EVERYWHERE(counter)

/* Deadlines: MU_NOW tries, one that has passed does not wait. */
static void *try_all(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_mutex_lock(&a->mutex, MU_NOW) == MU_TIMEOUT);
    CHECK_CHILD(mu_mutex_lock(&a->mutex, mu_now_ns()) == MU_TIMEOUT);
    CHECK_CHILD(mu_mutex_unlock(&a->mutex) == -EPERM);
    CHECK_CHILD(mu_rwlock_read(&a->rwlock, MU_NOW) == MU_TIMEOUT);
    CHECK_CHILD(mu_rwlock_write(&a->rwlock, MU_NOW) == MU_TIMEOUT);
    CHECK_CHILD(mu_rwlock_read_unlock(&a->rwlock) == -EPERM);
    CHECK_CHILD(mu_rwlock_write_unlock(&a->rwlock) == -EPERM);
    return NULL;
}

static void deadlines_are_kept(void **state)
{
    struct arena a = {.first = 0};
    pthread_t thread;

    (void)state;
    assert_int_equal(mu_mutex_lock(&a.mutex, MU_NOW), 0);
    assert_int_equal(mu_mutex_lock(&a.mutex, MU_NEVER), -EDEADLK);
    assert_int_equal(mu_rwlock_write(&a.rwlock, MU_NOW), 0);
    assert_int_equal(mu_rwlock_read(&a.rwlock, MU_NEVER), -EDEADLK);
    assert_int_equal(pthread_create(&thread, NULL, try_all, &a), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(mu_semaphore_take(&a.semaphore, MU_NOW), MU_TIMEOUT);
    assert_int_equal(mu_semaphore_take(&a.semaphore, mu_now_ns()), MU_TIMEOUT);
    mu_latch_init(&a.latch, 1);
    assert_int_equal(mu_latch_wait(&a.latch, mu_now_ns()), MU_TIMEOUT);
    assert_int_equal(mu_counter_wait(&a.counter, 1, mu_now_ns()), MU_TIMEOUT);
    assert_int_equal(mu_barrier_init(&a.barrier, 0), -EINVAL);
    assert_int_equal(mu_barrier_init(&a.barrier, 2), 0);
    assert_int_equal(mu_barrier_wait(&a.barrier, mu_now_ns(), NULL),
                     MU_TIMEOUT);
    assert_int_equal(a.barrier.word, 2);
    assert_int_equal(mu_barrier_init(&a.barrier, MU_BARRIER_MAX + 1), -EINVAL);
    assert_int_equal(mu_condition_wait(&a.condition, &a.mutex, mu_now_ns()),
                     MU_TIMEOUT);
    assert_int_equal(mu_mutex_unlock(&a.mutex), 0);
    assert_int_equal(mu_condition_wait(&a.condition, &a.mutex, mu_now_ns()),
                     -EPERM);
    assert_int_equal(mu_semaphore_give(&a.semaphore, MU_SEMAPHORE_MAX), 0);
    assert_int_equal(mu_semaphore_give(&a.semaphore, 1), -EOVERFLOW);
}

/* One futex word each; the read-write lock has its readers beside it. */
static void each_is_one_word(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct mu_semaphore), 4);
    assert_int_equal(sizeof(struct mu_condition), 4);
    assert_int_equal(sizeof(struct mu_barrier), 4);
    assert_int_equal(sizeof(struct mu_latch), 4);
    assert_int_equal(sizeof(struct mu_mutex), 8);
    assert_int_equal(sizeof(struct mu_once), 8);
    assert_int_equal(sizeof(struct mu_counter), 8);
    assert_int_equal(sizeof(struct mu_rwlock), 256);
}

/* Take the mutex when its holder waits for a signal, and keep it. */
static void *condition_thief(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_mutex_lock(&a->mutex, test_deadline()) == 0);
    mu_condition_signal(&a->condition);
    CHECK_CHILD(mu_semaphore_take(&a->semaphore, test_deadline()) == 0);
    CHECK_CHILD(mu_mutex_unlock(&a->mutex) == 0);
    return NULL;
}

static void condition_takes_the_mutex_again_within_a_deadline(void **state)
{
    struct arena a = {.first = 0};
    pthread_t thread;

    (void)state;
    assert_int_equal(mu_mutex_lock(&a.mutex, MU_NOW), 0);
    /* free by then: held */
    assert_int_equal(
        mu_condition_wait_within(&a.condition, &a.mutex, MU_NOW, MU_NOW),
        MU_TIMEOUT);
    assert_int_equal(pthread_create(&thread, NULL, condition_thief, &a), 0);
    assert_int_equal(mu_condition_wait_within(&a.condition, &a.mutex,
                                              test_deadline(),
                                              mu_after_ns(1000000)),
                     -ETIMEDOUT);
    assert_int_equal(mu_mutex_unlock(&a.mutex), -EPERM);
    assert_int_equal(mu_semaphore_give(&a.semaphore, 1), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(mu_mutex_lock(&a.mutex, MU_NOW), 0);
    assert_int_equal(mu_mutex_unlock(&a.mutex), 0);
}

/* More generations than its word can tell apart, of the most threads, who arrive here
 * one after the other, and none twice. */
static void barrier_goes_round(void **state)
{
    struct mu_barrier b;
    int is_last;

    (void)state;
    assert_int_equal(mu_barrier_init(&b, MU_BARRIER_MAX), 0);
    b.word += MU_BARRIER_MAX << 12; /* as if all but the last were there */
    b.word -= 1U << 12;
    assert_int_equal(mu_barrier_wait(&b, MU_NOW, &is_last), 0);
    assert_int_equal(is_last, 1);
    assert_int_equal(mu_barrier_init(&b, 1), 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(mu_barrier_wait(&b, MU_NOW, &is_last), 0);
        assert_int_equal(is_last, 1);
        assert_int_equal(b.word & 0xffffff, 1);
    }
}

static void barrier_of_nobody_is_refused(void **state)
{
    struct mu_barrier b = {0};
    int is_last = 7;

    (void)state;
    assert_int_equal(mu_barrier_wait(&b, MU_NOW, &is_last), -EINVAL);
    assert_int_equal(is_last, 7);
    assert_int_equal(b.word, 0);
}

/* A forked child is another owner than its parent. */
static void fork_check_owner(void *arg)
{
    uint64_t *parent = arg;

    CHECK_CHILD(mui_owner_self() != *parent);
    CHECK_CHILD(!mui_owner_is_dead(*parent));
    CHECK_CHILD(!mui_owner_is_dead(mui_owner_self()));
    *parent = mui_owner_self();
}

static void owner_changes_with_fork(void **state)
{
    uint64_t *owner = test_shared(sizeof *owner);

    (void)state;
    *owner = mui_owner_self();
    assert_int_equal(test_wait(test_fork(fork_check_owner, owner)), 0);
    assert_int_equal(mui_owner_is_dead(*owner), 1);
    assert_int_equal(mui_owner_is_dead(0), 0);
    /* the same thread id with another start is another, dead thread */
    assert_int_equal(mui_owner_is_dead(mui_owner_self() ^ (UINT64_C(1) << 60)),
                     1);
    munmap(owner, sizeof *owner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutex_keeps_its_promise),
        cmocka_unit_test(rwlock_keeps_its_promise),
        cmocka_unit_test(semaphore_keeps_its_promise),
        cmocka_unit_test(condition_keeps_its_promise),
        cmocka_unit_test(barrier_keeps_its_promise),
        cmocka_unit_test(once_keeps_its_promise),
        cmocka_unit_test(latch_keeps_its_promise),
        cmocka_unit_test(counter_keeps_its_promise),
        cmocka_unit_test(deadlines_are_kept),
        cmocka_unit_test(each_is_one_word),
        cmocka_unit_test(condition_takes_the_mutex_again_within_a_deadline),
        cmocka_unit_test(barrier_goes_round),
        cmocka_unit_test(barrier_of_nobody_is_refused),
        cmocka_unit_test(owner_changes_with_fork),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
