/* test_lock_kill.c: what a kill at any instruction leaves of each lock: those that name
 * their holder report it, and nobody sleeps for ever. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "muster/lock.h"

#include "shared/mutex.h"
#include "support/check.h"
#include "support/step.h"
#include "sys/owner.h"

struct arena {
    struct mu_mutex mutex;
    struct mu_semaphore semaphore;
    struct mu_condition condition;
    struct mu_barrier barrier;
    struct mu_once once;
    struct mu_latch latch;
    struct mu_counter counter;
    struct mu_rwlock rwlock;
    long first; /* plain: protected by the lock under test */
    long second;
    long n_runs;
};

static void warm_up(void *arg)
{
    (void)arg;
    (void)mui_owner_self();
    (void)mui_process_self();
}

/* ---- those that name their holder ------------------------------------------- */

/* Change both numbers, with the lock held. */
static void change_both(struct arena *a)
{
    a->first++;
    atomic_signal_fence(memory_order_seq_cst);
    a->second++;
}

static void mutex_step(void *arg)
{
    struct arena *a = arg;

    if (mu_mutex_lock(&a->mutex, MU_NEVER) < 0)
        abort();
    change_both(a);
    (void)mu_mutex_unlock(&a->mutex);
}

static int mutex_hold(struct arena *a)
{
    return mu_mutex_lock(&a->mutex, MU_NOW);
}

static int mutex_free(struct arena *a)
{
    return mu_mutex_unlock(&a->mutex);
}

static void rwlock_step(void *arg)
{
    struct arena *a = arg;

    if (mu_rwlock_read(&a->rwlock, MU_NEVER) < 0)
        abort();
    (void)mu_rwlock_read_unlock(&a->rwlock);
    if (mu_rwlock_write(&a->rwlock, MU_NEVER) < 0)
        abort();
    change_both(a);
    (void)mu_rwlock_write_unlock(&a->rwlock);
}

static int rwlock_hold(struct arena *a)
{
    return mu_rwlock_write(&a->rwlock, MU_NOW);
}

static int rwlock_free(struct arena *a)
{
    int rc = mu_rwlock_write_unlock(&a->rwlock);

    return rc != 0 || mu_rwlock_read(&a->rwlock, test_deadline()) != 0 ||
           mu_rwlock_read_unlock(&a->rwlock) != 0;
}

/* Kill the steps at each instruction; who then holds the lock finds both numbers
 * changed or none, or is told. */
static void holder_is_killed(step_fn step, int (*hold)(struct arena *),
                             int (*let_go)(struct arena *))
{
    struct arena *a = test_shared(sizeof *a);
    struct step_trace t = step_record(step_start(warm_up, step, a));
    int n_died = 0;

    for (long n = 0; n < t.n; n += step_stride(&t)) {
        int rc;

        a->first = a->second = 0;
        step_finish(step_start(warm_up, step, a), &t, n);
        rc = hold(a);
        if (rc == 0)
            assert_int_equal(a->first, a->second);
        else
            assert_int_equal(rc, MU_OWNER_DIED);
        n_died += rc == MU_OWNER_DIED;
        assert_int_equal(let_go(a), 0);
        assert_int_equal(hold(a), 0);
        assert_int_equal(let_go(a), 0);
    }
    assert_true(n_died > 0);
    free(t.pc);
    munmap(a, sizeof *a);
}

static void mutex_holder_is_killed(void **state)
{
    (void)state;
    holder_is_killed(mutex_step, mutex_hold, mutex_free);
}

static void rwlock_holder_is_killed(void **state)
{
    (void)state;
    holder_is_killed(rwlock_step, rwlock_hold, rwlock_free);
}

/* A reader takes over from a dead writer and is killed in it: the next writer is told. */
static void rwlock_die_writing(void *arg)
{
    struct arena *a = arg;

    if (mu_rwlock_write(&a->rwlock, MU_NEVER) < 0)
        abort();
    (void)raise(SIGKILL);
}

static void rwlock_read_step(void *arg)
{
    struct arena *a = arg;

    if (mu_rwlock_read(&a->rwlock, MU_NOW) < 0)
        abort();
    (void)mu_rwlock_read_unlock(&a->rwlock);
}

static void rwlock_reader_is_killed_taking_over(void **state)
{
    struct arena *a = test_shared(sizeof *a);
    struct step_trace t = {.n = 1}; /* until it is known */

    (void)state;
    for (long n = 0; n < t.n; n += step_stride(&t)) {
        assert_true(WIFSIGNALED(test_wait(test_fork(rwlock_die_writing, a))));
        if (!t.pc) {
            t = step_record(step_start(warm_up, rwlock_read_step, a));
            n = -step_stride(&t);
        } else {
            step_finish(step_start(warm_up, rwlock_read_step, a), &t, n);
        }
        assert_int_equal(mu_rwlock_write(&a->rwlock, MU_NOW), MU_OWNER_DIED);
        assert_int_equal(mu_rwlock_write_unlock(&a->rwlock), 0);
        assert_int_equal(mu_rwlock_read(&a->rwlock, MU_NOW), 0);
        assert_int_equal(mu_rwlock_read_unlock(&a->rwlock), 0);
    }
    free(t.pc);
    munmap(a, sizeof *a);
}

/* ---- those who wait --------------------------------------------------------- */

static void mutex_try_step(void *arg)
{
    struct arena *a = arg;

    /* passed already: it spins, says that it sleeps, and gives up */
    if (mu_mutex_lock(&a->mutex, 1) != MU_TIMEOUT)
        abort();
}

/* A reader beside one that has the word is killed: a writer gets in, and is told
 * nothing. */
static void rwlock_sit_step(void *arg)
{
    struct arena *a = arg;

    if (mu_rwlock_read(&a->rwlock, MU_NOW) < 0)
        abort();
    (void)mu_rwlock_read_unlock(&a->rwlock);
}

static void rwlock_reader_beside_is_killed(void **state)
{
    struct arena *a = test_shared(sizeof *a);
    struct step_trace t;

    (void)state;
    assert_int_equal(mu_rwlock_read(&a->rwlock, MU_NOW), 0);
    t = step_record(step_start(warm_up, rwlock_sit_step, a));
    assert_int_equal(mu_rwlock_read_unlock(&a->rwlock), 0);
    for (long n = 0; n < t.n; n += step_stride(&t)) {
        memset(&a->rwlock, 0, sizeof a->rwlock);
        assert_int_equal(mu_rwlock_read(&a->rwlock, MU_NOW), 0);
        step_finish(step_start(warm_up, rwlock_sit_step, a), &t, n);
        assert_int_equal(mu_rwlock_write(&a->rwlock, MU_NOW), -EDEADLK);
        assert_int_equal(mu_rwlock_read_unlock(&a->rwlock), 0);
        assert_int_equal(mu_rwlock_write(&a->rwlock, MU_NOW), 0);
        assert_int_equal(mu_rwlock_write_unlock(&a->rwlock), 0);
        assert_int_equal(mu_rwlock_read(&a->rwlock, MU_NOW), 0);
        assert_int_equal(mu_rwlock_read_unlock(&a->rwlock), 0);
    }
    free(t.pc);
    munmap(a, sizeof *a);
}

static void rwlock_try_step(void *arg)
{
    struct arena *a = arg;

    if (mu_rwlock_write(&a->rwlock, MU_NOW) != MU_TIMEOUT)
        abort();
}

static void mutex_waiter_is_killed(void **state)
{
    struct arena *a = test_shared(sizeof *a);
    struct step_trace t;

    (void)state;
    assert_int_equal(mu_mutex_lock(&a->mutex, MU_NOW), 0);
    t = step_record(step_start(warm_up, mutex_try_step, a));
    /* the spinning is a loop of many rounds: some of them are enough */
    for (long n = 0; n < t.n;
         n += step_stride(&t) * (n < 200 || n > t.n - 200 ? 1 : 17)) {
        step_finish(step_start(warm_up, mutex_try_step, a), &t, n);
        assert_int_equal(mu_mutex_unlock(&a->mutex), 0);
        assert_int_equal(mu_mutex_lock(&a->mutex, MU_NOW), 0);
    }
    free(t.pc);
    munmap(a, sizeof *a);
}

/* A writer that waits for a reader, who has the word or a seat: it wrote nothing, and is
 * not reported. */
static void read_from(struct arena *a, uint64_t word)
{
    memset(&a->rwlock, 0, sizeof a->rwlock);
    a->rwlock.word = word;
    assert_int_equal(mu_rwlock_read(&a->rwlock, MU_NOW), 0);
    assert_true(word == 0 || a->rwlock.word == word);
}

static void writer_is_killed_waiting(uint64_t word)
{
    struct arena *a = test_shared(sizeof *a);
    struct step_trace t;

    read_from(a, word);
    t = step_record(step_start(warm_up, rwlock_try_step, a));
    for (long n = 0; n < t.n; n += step_stride(&t)) {
        step_finish(step_start(warm_up, rwlock_try_step, a), &t, n);
        assert_int_equal(mu_rwlock_read(&a->rwlock, MU_NOW), 0);
        for (int i = 0; i < 2; i++)
            assert_int_equal(mu_rwlock_read_unlock(&a->rwlock), 0);
        assert_int_equal(mu_rwlock_write(&a->rwlock, MU_NOW), 0);
        assert_int_equal(mu_rwlock_write_unlock(&a->rwlock), 0);
        read_from(a, word);
    }
    free(t.pc);
    munmap(a, sizeof *a);
}

static void rwlock_waiter_is_killed(void **state)
{
    (void)state;
    writer_is_killed_waiting(0);
    writer_is_killed_waiting(MUI_SEATS);
}

/* ---- a kill between the change and the wake --------------------------------- */

/* A thread sleeps on a lock; a child, killed at each instruction of `act`, or else
 * `instead`, does what it waits for. */
struct wake_case {
    void (*begin)(struct arena *a);
    void (*before)(void *a); /* optional: in the child, not killed */
    void *(*wait)(void *a);
    int (*is_waited_for)(struct arena *a);
    void (*act)(void *a);
    void (*instead)(void *a);
};

static void sleeper_wakes(const struct wake_case *c)
{
    struct arena *a = test_shared(sizeof *a);
    struct step_trace t = {.n = 1}; /* until it is known */

    for (long n = 0; n < t.n; n += step_stride(&t)) {
        pthread_t thread;
        pid_t pid;

        memset(a, 0, sizeof *a);
        c->begin(a);
        pid = step_start(c->before ? c->before : warm_up, c->act, a);
        assert_int_equal(pthread_create(&thread, NULL, c->wait, a), 0);
        while (!c->is_waited_for(a))
            (void)sched_yield();
        if (!t.pc) {
            t = step_record(pid);
            n = -step_stride(&t);
        } else {
            step_finish(pid, &t, n);
            c->instead(a);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    free(t.pc);
    munmap(a, sizeof *a);
}

static uint32_t load32(uint32_t *word)
{
    return atomic_load((_Atomic uint32_t *)word);
}

static uint64_t load64(uint64_t *word)
{
    return atomic_load((_Atomic uint64_t *)word);
}

static void nothing_begin(struct arena *a)
{
    (void)a;
}

static void nothing_instead(void *arg)
{
    (void)arg;
}

static void mutex_before(void *arg)
{
    struct arena *a = arg;

    warm_up(a);
    if (mu_mutex_lock(&a->mutex, MU_NEVER) < 0)
        abort();
}

static void *mutex_wait(void *arg)
{
    struct arena *a = arg;
    int rc = mu_mutex_lock(&a->mutex, test_deadline());

    CHECK_CHILD(rc == 0 || rc == MU_OWNER_DIED);
    CHECK_CHILD(mu_mutex_unlock(&a->mutex) == 0);
    return NULL;
}

static int mutex_is_waited_for(struct arena *a)
{
    return (load64(&a->mutex.word) & MUI_WAITERS) != 0;
}

static void mutex_act(void *arg)
{
    struct arena *a = arg;

    (void)mu_mutex_unlock(&a->mutex);
}

static void seat_begin(struct arena *a)
{
    a->rwlock.word = MUI_SEATS;
}

static void reader_before(void *arg)
{
    struct arena *a = arg;

    warm_up(a);
    if (mu_rwlock_read(&a->rwlock, MU_NEVER) < 0)
        abort();
}

static void *writer_wait(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_rwlock_write(&a->rwlock, test_deadline()) == 0);
    CHECK_CHILD(mu_rwlock_write_unlock(&a->rwlock) == 0);
    return NULL;
}

static int reader_is_waited_for(struct arena *a)
{
    return (load64(&a->rwlock.word) & MUI_WAITERS) != 0;
}

static int seat_is_waited_for(struct arena *a)
{
    uint64_t word = load64(&a->rwlock.word);

    return (word & MUI_SEATS) && word != MUI_SEATS;
}

static void reader_act(void *arg)
{
    struct arena *a = arg;

    (void)mu_rwlock_read_unlock(&a->rwlock);
}

static void *semaphore_wait(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_semaphore_take(&a->semaphore, test_deadline()) == 0);
    return NULL;
}

static int semaphore_is_waited_for(struct arena *a)
{
    return load32(&a->semaphore.word) == UINT32_C(0x80000000);
}

static void semaphore_act(void *arg)
{
    struct arena *a = arg;

    (void)mu_semaphore_give(&a->semaphore, 1);
}

static void semaphore_instead(void *arg)
{
    struct arena *a = arg;

    if (mu_semaphore_value(&a->semaphore) == 0)
        semaphore_act(a);
}

static void *condition_wait(void *arg)
{
    struct arena *a = arg;
    int rc = mu_mutex_lock(&a->mutex, test_deadline());

    CHECK_CHILD(rc == 0);
    while (a->first == 0) {
        rc = mu_condition_wait(&a->condition, &a->mutex, test_deadline());
        CHECK_CHILD(rc == 0 || rc == MU_OWNER_DIED);
    }
    CHECK_CHILD(mu_mutex_unlock(&a->mutex) == 0);
    return NULL;
}

static int condition_is_waited_for(struct arena *a)
{
    return (load32(&a->condition.word) & 1) != 0 && load64(&a->mutex.word) == 0;
}

static void condition_act(void *arg)
{
    struct arena *a = arg;

    (void)!mu_mutex_lock(&a->mutex, MU_NEVER);
    a->first = 1;
    mu_condition_signal(&a->condition);
    (void)mu_mutex_unlock(&a->mutex);
}

/* Who is told that the signaller died signals in its place. */
static void condition_instead(void *arg)
{
    struct arena *a = arg;
    int rc = mu_mutex_lock(&a->mutex, test_deadline());

    assert_true(rc == 0 || rc == MU_OWNER_DIED);
    if (rc == MU_OWNER_DIED || a->first == 0) {
        a->first = 1;
        mu_condition_broadcast(&a->condition);
    }
    assert_int_equal(mu_mutex_unlock(&a->mutex), 0);
}

static void barrier_begin(struct arena *a)
{
    assert_int_equal(mu_barrier_init(&a->barrier, 2), 0);
}

static void *barrier_wait(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_barrier_wait(&a->barrier, test_deadline(), NULL) == 0);
    return NULL;
}

static int barrier_is_waited_for(struct arena *a)
{
    return load32(&a->barrier.word) == (2 | 1U << 12);
}

static void barrier_act(void *arg)
{
    struct arena *a = arg;

    (void)!mu_barrier_wait(&a->barrier, MU_NEVER, NULL);
}

static void barrier_instead(void *arg)
{
    struct arena *a = arg;

    if (barrier_is_waited_for(a))
        barrier_act(a);
}

static void latch_begin(struct arena *a)
{
    mu_latch_init(&a->latch, 1);
}

static void *latch_wait(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_latch_wait(&a->latch, test_deadline()) == 0);
    return NULL;
}

static int latch_is_waited_for(struct arena *a)
{
    return load32(&a->latch.word) == (1 | UINT32_C(0x80000000));
}

static void latch_act(void *arg)
{
    struct arena *a = arg;

    (void)mu_latch_count_down(&a->latch, 1);
}

static void *counter_wait(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_counter_wait(&a->counter, 1, test_deadline()) == 0);
    return NULL;
}

static int counter_is_waited_for(struct arena *a)
{
    return (load64(&a->counter.word) & 1) != 0;
}

static void counter_act(void *arg)
{
    struct arena *a = arg;

    (void)mu_counter_add(&a->counter, 1);
}

static void counter_instead(void *arg)
{
    struct arena *a = arg;

    if (mu_counter_value(&a->counter) == 0)
        counter_act(a);
}

#define latch_instead    latch_act
#define mutex_begin      nothing_begin
#define mutex_instead    nothing_instead
#define semaphore_begin  nothing_begin
#define semaphore_before NULL
#define condition_begin  nothing_begin
#define condition_before NULL
#define barrier_before   NULL
#define latch_before     NULL
#define counter_begin    nothing_begin
#define counter_before   NULL
#define reader_begin     nothing_begin
#define reader_instead   nothing_instead
#define reader_wait      writer_wait
#define seat_before      reader_before
#define seat_wait        writer_wait
#define seat_act         reader_act
#define seat_instead     nothing_instead

#define WAKES(name)                                                            \
    static void name##_killed_wakes_sleeper(void **state)                      \
    {                                                                          \
        static const struct wake_case c = {name##_begin, name##_before,        \
                                           name##_wait,  name##_is_waited_for, \
                                           name##_act,   name##_instead};      \
                                                                               \
        (void)state;                                                           \
        sleeper_wakes(&c);                                                     \
    }

WAKES(mutex)
WAKES(reader)
WAKES(seat)
WAKES(semaphore)
WAKES(condition)
WAKES(barrier)
WAKES(latch)
WAKES(counter)

/* ---- the once ---------------------------------------------------------------- */

static int once_fn(void *arg)
{
    struct arena *a = arg;

    a->n_runs++;
    return 0;
}

static void once_step(void *arg)
{
    struct arena *a = arg;

    if (mu_once_run(&a->once, once_fn, a, MU_NEVER) < 0)
        abort();
}

static void once_runner_is_killed(void **state)
{
    struct arena *a = test_shared(sizeof *a);
    struct step_trace t = step_record(step_start(warm_up, once_step, a));
    int n_died = 0;

    (void)state;
    for (long n = 0; n < t.n; n += step_stride(&t)) {
        long n_before;
        int rc;

        a->once.word = 0;
        a->n_runs = 0;
        step_finish(step_start(warm_up, once_step, a), &t, n);
        n_before = a->n_runs;
        rc = mu_once_run(&a->once, once_fn, a, test_deadline());
        assert_true(rc == 0 || rc == MU_OWNER_DIED);
        n_died += rc == MU_OWNER_DIED;
        assert_in_range(a->n_runs, 1, rc == MU_OWNER_DIED ? n_before + 1 : 1);
        assert_int_equal(mu_once_run(&a->once, once_fn, a, MU_NOW), 0);
    }
    assert_true(n_died > 0);
    free(t.pc);
    munmap(a, sizeof *a);
}

static int once_die(void *arg)
{
    struct arena *a = arg;

    a->n_runs++;
    (void)raise(SIGKILL);
    return 0;
}

static void once_run_and_die(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_once_run(&a->once, once_die, a, MU_NEVER) == 0);
}

static int once_fails(void *arg)
{
    (void)arg;
    return -EIO;
}

static void once_runs_again_after_death_and_failure(void **state)
{
    struct arena *a = test_shared(sizeof *a);

    (void)state;
    assert_true(WIFSIGNALED(test_wait(test_fork(once_run_and_die, a))));
    assert_int_equal(mu_once_run(&a->once, once_fails, a, test_deadline()),
                     -EIO);
    assert_int_equal(mu_once_run(&a->once, once_fails, a, MU_NOW), -EIO);
    assert_int_equal(mu_once_run(&a->once, once_fn, a, MU_NOW), MU_OWNER_DIED);
    assert_int_equal(mu_once_run(&a->once, once_fn, a, MU_NOW), 0);
    assert_int_equal(a->n_runs, 2);
    munmap(a, sizeof *a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutex_holder_is_killed),
        cmocka_unit_test(rwlock_holder_is_killed),
        cmocka_unit_test(rwlock_reader_is_killed_taking_over),
        cmocka_unit_test(mutex_waiter_is_killed),
        cmocka_unit_test(rwlock_reader_beside_is_killed),
        cmocka_unit_test(rwlock_waiter_is_killed),
        cmocka_unit_test(mutex_killed_wakes_sleeper),
        cmocka_unit_test(reader_killed_wakes_sleeper),
        cmocka_unit_test(seat_killed_wakes_sleeper),
        cmocka_unit_test(semaphore_killed_wakes_sleeper),
        cmocka_unit_test(condition_killed_wakes_sleeper),
        cmocka_unit_test(barrier_killed_wakes_sleeper),
        cmocka_unit_test(latch_killed_wakes_sleeper),
        cmocka_unit_test(counter_killed_wakes_sleeper),
        cmocka_unit_test(once_runner_is_killed),
        cmocka_unit_test(once_runs_again_after_death_and_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
