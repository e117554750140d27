/* test_rwlock.c: the read-write lock: who gets in, and what the dead leave of it. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "muster/lock.h"

#include "shared/mutex.h"
#include "support/process.h"
#include "sys/owner.h"

struct arena {
    struct mu_rwlock lock;
    struct mu_semaphore inside; /* a child is */
    struct mu_semaphore go_on;  /* and may leave */
};

static void hold_reading(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_rwlock_read(&a->lock, test_deadline()) == 0);
    (void)mu_semaphore_give(&a->inside, 1);
    CHECK_CHILD(mu_semaphore_take(&a->go_on, test_deadline()) == 0);
    CHECK_CHILD(mu_rwlock_read_unlock(&a->lock) == 0);
}

static void die_reading(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_rwlock_read(&a->lock, MU_NEVER) == 0);
    (void)raise(SIGKILL);
}

/* From a seat. */
static void die_reading_beside(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_rwlock_read(&a->lock, MU_NEVER) == 0);
    CHECK_CHILD(mu_rwlock_read(&a->lock, MU_NEVER) == 0);
    CHECK_CHILD(mu_rwlock_read_unlock(&a->lock) == 0);
    (void)raise(SIGKILL);
}

static void die_writing(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_rwlock_write(&a->lock, MU_NEVER) == 0);
    (void)raise(SIGKILL);
}

/* In a thread: what the lock answers to another than its holder. */
struct
try {
    struct arena *arena;
    int (*take)(struct mu_rwlock * l, int64_t deadline);
    int64_t deadline;
    int answer;
};

static void *try_thread(void *arg)
{
    struct try *t = arg;

    t->answer = t->take(&t->arena->lock, t->deadline);
    if (t->answer == 0 || t->answer == MU_OWNER_DIED)
        CHECK_CHILD((t->take == mu_rwlock_read
                         ? mu_rwlock_read_unlock
                         : mu_rwlock_write_unlock)(&t->arena->lock) == 0);
    return NULL;
}

static int another_takes(struct arena *a,
                         int (*take)(struct mu_rwlock *, int64_t),
                         int64_t deadline)
{
    struct try t = {.arena = a, .take = take, .deadline = deadline};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, try_thread, &t), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return t.answer;
}

static void readers_of_a_process_are_counted(void **state)
{
    enum { N = 60 };
    struct arena *a = test_shared(sizeof *a);

    (void)state;
    for (int i = 0; i < N; i++)
        assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(another_takes(a, mu_rwlock_write, MU_NOW), MU_TIMEOUT);
        assert_int_equal(another_takes(a, mu_rwlock_write, mu_after_ns(1)),
                         MU_TIMEOUT);
        assert_int_equal(another_takes(a, mu_rwlock_read, MU_NOW), 0);
        assert_int_equal(mu_rwlock_read_unlock(&a->lock), 0);
    }
    assert_int_equal(mu_rwlock_read_unlock(&a->lock), -EPERM);
    assert_int_equal(another_takes(a, mu_rwlock_write, MU_NOW), 0);
    assert_int_equal(a->lock.word, 0);
    munmap(a, sizeof *a);
}

/* As many threads as one word of a process can count, and one more. */
static void process_takes_another_seat(void **state)
{
    struct arena *a = test_shared(sizeof *a);
    uint64_t n = 2 * MUI_PROCESS_MAX + 1;

    (void)state;
    for (uint64_t i = 0; i < n; i++)
        assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), 0);
    for (uint64_t i = 0; i < n; i++) {
        if (i % 1000 == 0 || i == n - 1)
            assert_int_equal(another_takes(a, mu_rwlock_write, MU_NOW),
                             MU_TIMEOUT);
        assert_int_equal(mu_rwlock_read_unlock(&a->lock), 0);
    }
    assert_int_equal(mu_rwlock_write(&a->lock, MU_NOW), 0);
    munmap(a, sizeof *a);
}

/* A thread that reads twice and once lets go has a seat; who reads by the word lets go of
 * nothing by the writer's call. */
static void reader_moves_to_a_seat(void **state)
{
    struct arena *a = test_shared(sizeof *a);

    (void)state;
    assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), 0);
    assert_int_equal(a->lock.word, mui_owner_self() | MUI_READING);
    assert_int_equal(mu_rwlock_write_unlock(&a->lock), -EPERM);
    assert_int_equal(mu_rwlock_write(&a->lock, MU_NEVER), -EDEADLK);
    assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), 0);
    assert_int_equal(mu_rwlock_read_unlock(&a->lock), 0);
    assert_int_equal(a->lock.word, MUI_SEATS);
    assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), 0);
    assert_int_equal(a->lock.word, MUI_SEATS);
    assert_int_equal(mu_rwlock_read_unlock(&a->lock), 0);
    assert_int_equal(mu_rwlock_write(&a->lock, MU_NOW), MU_TIMEOUT);
    assert_int_equal(mu_rwlock_read_unlock(&a->lock), 0);
    assert_int_equal(mu_rwlock_read_unlock(&a->lock), -EPERM);
    assert_int_equal(mu_rwlock_write(&a->lock, MU_NOW), 0);
    assert_int_equal(mu_rwlock_write_unlock(&a->lock), 0);
    assert_int_equal(a->lock.word, 0);
    munmap(a, sizeof *a);
}

/* Readers are told until a writer, who is told as well, has let go. */
static void readers_learn_of_dead_writer(void **state)
{
    struct arena *a = test_shared(sizeof *a);

    (void)state;
    assert_true(WIFSIGNALED(test_wait(test_fork(die_writing, a))));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), MU_OWNER_DIED);
        assert_int_equal(another_takes(a, mu_rwlock_read, MU_NOW),
                         MU_OWNER_DIED);
        assert_int_equal(another_takes(a, mu_rwlock_write, MU_NOW), MU_TIMEOUT);
        assert_int_equal(mu_rwlock_read_unlock(&a->lock), 0);
    }
    assert_int_equal(mu_rwlock_write(&a->lock, MU_NOW), MU_OWNER_DIED);
    assert_int_equal(mu_rwlock_write_unlock(&a->lock), 0);
    assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), 0);
    assert_int_equal(mu_rwlock_read_unlock(&a->lock), 0);
    munmap(a, sizeof *a);
}

/* A writer that takes over from a dead one and then gives up passes it on. */
static void report_is_not_lost(void **state)
{
    struct arena *a = test_shared(sizeof *a);

    (void)state;
    a->lock.word = MUI_SEATS;
    assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), 0);
    a->lock.word = MUI_ORPHAN;
    assert_int_equal(another_takes(a, mu_rwlock_write, mu_after_ns(1)),
                     MU_TIMEOUT);
    assert_int_equal(mu_rwlock_read_unlock(&a->lock), 0);
    assert_int_equal(mu_rwlock_write(&a->lock, test_deadline()), MU_OWNER_DIED);
    assert_int_equal(mu_rwlock_write_unlock(&a->lock), 0);
    munmap(a, sizeof *a);
}

static void hold_word(void *arg)
{
    struct arena *a = arg;

    atomic_store((_Atomic uint64_t *)&a->lock.word, mui_owner_self());
    CHECK_CHILD(mu_semaphore_take(&a->go_on, test_deadline()) == 0);
}

/* Another reader holds the word: it keeps writers out, not readers, and when it dies
 * nobody has to repair anything. */
static void reader_with_the_word_keeps_no_reader(void **state)
{
    struct arena *a = test_shared(sizeof *a);
    pid_t pid = test_fork(hold_word, a);
    uint64_t word;

    (void)state;
    while ((word = atomic_load((_Atomic uint64_t *)&a->lock.word)) == 0)
        ;
    a->lock.word = word | MUI_READING;
    assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), 0);
    assert_int_equal(mu_rwlock_read_unlock(&a->lock), 0);
    assert_int_equal(mu_rwlock_write(&a->lock, MU_NOW), MU_TIMEOUT);
    a->lock.word = word;
    assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), MU_TIMEOUT);
    a->lock.word = word | MUI_READING;
    (void)test_kill(pid, SIGKILL);
    (void)test_wait(pid);
    assert_int_equal(mu_rwlock_write(&a->lock, test_deadline()), 0);
    assert_int_equal(mu_rwlock_write_unlock(&a->lock), 0);
    a->lock.word = word;
    assert_int_equal(mu_rwlock_write(&a->lock, test_deadline()), MU_OWNER_DIED);
    munmap(a, sizeof *a);
}

/* The word and every seat are other processes': one reader more waits, until its deadline
 * or until one has left, and when all are dead. */
enum { N_FULL = MU_RWLOCK_PROCESSES + 1 };

static void full(struct arena *a, pid_t pids[N_FULL])
{
    for (int i = 0; i < N_FULL; i++)
        pids[i] = test_fork(hold_reading, a);
    for (int i = 0; i < N_FULL; i++)
        assert_int_equal(mu_semaphore_take(&a->inside, test_deadline()), 0);
    assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), MU_TIMEOUT);
    assert_int_equal(mu_rwlock_read(&a->lock, mu_after_ns(1000)), MU_TIMEOUT);
    assert_int_equal(mu_rwlock_read_unlock(&a->lock), -EPERM);
    assert_int_equal(mu_rwlock_write_unlock(&a->lock), -EPERM);
    assert_true(a->lock.word & MUI_READING);
}

static void *read_when_there_is_room(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_rwlock_read(&a->lock, test_deadline()) == 0);
    CHECK_CHILD(mu_rwlock_read_unlock(&a->lock) == 0);
    return NULL;
}

static void reader_of_one_process_more_waits(void **state)
{
    struct arena *a = test_shared(sizeof *a);
    pid_t pids[N_FULL];
    pthread_t thread;

    (void)state;
    full(a, pids);
    assert_int_equal(pthread_create(&thread, NULL, read_when_there_is_room, a),
                     0);
    while (!(atomic_load((_Atomic uint64_t *)&a->lock.word) & MUI_WAITERS))
        ;
    assert_int_equal(mu_semaphore_give(&a->go_on, 1), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(mu_semaphore_give(&a->go_on, N_FULL - 1), 0);
    for (int i = 0; i < N_FULL; i++)
        assert_int_equal(test_wait(pids[i]), 0);
    munmap(a, sizeof *a);
}

static void *read_after_the_dead(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_rwlock_read(&a->lock, test_deadline()) == MU_OWNER_DIED);
    CHECK_CHILD(mu_rwlock_read_unlock(&a->lock) == 0);
    return NULL;
}

/* A writer died, and all seats are taken: who is told sits down once one is free. */
static void who_is_told_waits_for_one_seat(void **state)
{
    struct arena *a = test_shared(sizeof *a);
    pid_t pids[MU_RWLOCK_PROCESSES];
    _Atomic uint64_t *word = (_Atomic uint64_t *)&a->lock.word;
    pthread_t thread;

    (void)state;
    assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), 0);
    for (int i = 0; i < MU_RWLOCK_PROCESSES; i++)
        pids[i] = test_fork(hold_reading, a);
    for (int i = 0; i < MU_RWLOCK_PROCESSES; i++)
        assert_int_equal(mu_semaphore_take(&a->inside, test_deadline()), 0);
    assert_int_equal(mu_rwlock_read_unlock(&a->lock), 0);
    assert_int_equal(atomic_exchange(word, MUI_ORPHAN), MUI_SEATS);
    assert_int_equal(pthread_create(&thread, NULL, read_after_the_dead, a), 0);
    while (atomic_load(word) == MUI_ORPHAN)
        (void)sched_yield(); /* until it has taken over */
    assert_int_equal(mu_semaphore_give(&a->go_on, 1), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(mu_semaphore_give(&a->go_on, MU_RWLOCK_PROCESSES - 1), 0);
    for (int i = 0; i < MU_RWLOCK_PROCESSES; i++)
        assert_int_equal(test_wait(pids[i]), 0);
    munmap(a, sizeof *a);
}

/* ---- a writer that waits ------------------------------------------------------ */

static void wait_to_write(void *arg)
{
    struct arena *a = arg;

    CHECK_CHILD(mu_rwlock_write(&a->lock, test_deadline()) == 0);
    CHECK_CHILD(mu_rwlock_write_unlock(&a->lock) == 0);
}

/* A child reads from a seat, and the word names nobody. */
static pid_t somebody_sits(struct arena *a)
{
    pid_t pid;

    assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), 0);
    pid = test_fork(hold_reading, a);
    assert_int_equal(mu_semaphore_take(&a->inside, test_deadline()), 0);
    return pid;
}

static void wait_for_mark(struct arena *a, uint64_t mark)
{
    while (!(atomic_load((_Atomic uint64_t *)&a->lock.word) & mark))
        (void)sched_yield();
}

/* A writer waits until the reader has left that the word names; then nobody gets in
 * before it, though others are still inside. */
static void waiting_writer_comes_after_one_reader(void **state)
{
    struct arena *a = test_shared(sizeof *a);
    pid_t reader = somebody_sits(a);
    pid_t writer = test_fork(wait_to_write, a);

    (void)state;
    wait_for_mark(a, MUI_WAITERS);
    assert_int_equal(another_takes(a, mu_rwlock_read, MU_NOW), 0);
    assert_int_equal(mu_rwlock_read_unlock(&a->lock), 0);
    wait_for_mark(a, MUI_OWNER_MASK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), MU_TIMEOUT);
    assert_int_equal(mu_semaphore_give(&a->go_on, 1), 0);
    assert_int_equal(test_wait(reader), 0);
    assert_int_equal(test_wait(writer), 0);
    munmap(a, sizeof *a);
}

/* It had the word, and waited for who sat. */
static void writer_killed_waiting_is_not_reported(void **state)
{
    struct arena *a = test_shared(sizeof *a);
    pid_t reader = somebody_sits(a);
    pid_t writer = test_fork(wait_to_write, a);

    (void)state;
    wait_for_mark(a, MUI_WAITERS);
    assert_int_equal(mu_rwlock_read_unlock(&a->lock), 0);
    wait_for_mark(a, MUI_OWNER_MASK);
    (void)test_kill(writer, SIGKILL);
    (void)test_wait(writer);
    assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), 0);
    assert_int_equal(mu_rwlock_read_unlock(&a->lock), 0);
    assert_int_equal(mu_semaphore_give(&a->go_on, 1), 0);
    assert_int_equal(test_wait(reader), 0);
    assert_int_equal(mu_rwlock_write(&a->lock, MU_NOW), 0);
    assert_int_equal(mu_rwlock_write_unlock(&a->lock), 0);
    assert_int_equal(a->lock.word, 0);
    munmap(a, sizeof *a);
}

/* But the death of which it was told is. */
static void wait_to_repair(void *arg)
{
    struct arena *a = arg;

    (void)!mu_rwlock_write(&a->lock, test_deadline());
}

static void writer_killed_waiting_passes_its_report_on(void **state)
{
    struct arena *a = test_shared(sizeof *a);
    _Atomic uint64_t *word = (_Atomic uint64_t *)&a->lock.word;
    pid_t reader = somebody_sits(a);
    pid_t writer;

    (void)state;
    assert_int_equal(mu_rwlock_read_unlock(&a->lock), 0);
    assert_int_equal(atomic_exchange(word, MUI_ORPHAN), MUI_SEATS);
    writer = test_fork(wait_to_repair, a);
    while (atomic_load(word) == MUI_ORPHAN)
        (void)sched_yield();
    (void)test_kill(writer, SIGKILL);
    (void)test_wait(writer);
    assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), MU_OWNER_DIED);
    assert_int_equal(mu_rwlock_read_unlock(&a->lock), 0);
    assert_int_equal(mu_semaphore_give(&a->go_on, 1), 0);
    assert_int_equal(test_wait(reader), 0);
    assert_int_equal(mu_rwlock_write(&a->lock, MU_NOW), MU_OWNER_DIED);
    assert_int_equal(mu_rwlock_write_unlock(&a->lock), 0);
    munmap(a, sizeof *a);
}

/* ---- the dead ------------------------------------------------------------------ */

static void dead_readers_make_room(void **state)
{
    struct arena *a = test_shared(sizeof *a);
    pid_t pids[N_FULL];

    (void)state;
    full(a, pids);
    for (int i = 0; i < N_FULL; i++)
        (void)test_kill(pids[i], SIGKILL);
    for (int i = 0; i < N_FULL; i++)
        (void)test_wait(pids[i]);
    assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), 0);
    assert_int_equal(mu_rwlock_read_unlock(&a->lock), 0);
    assert_int_equal(mu_rwlock_write(&a->lock, MU_NOW), 0);
    munmap(a, sizeof *a);
}

static void dead_reader_keeps_no_writer(void **state)
{
    struct arena *a = test_shared(sizeof *a);

    (void)state;
    assert_true(WIFSIGNALED(test_wait(test_fork(die_reading, a))));
    assert_int_equal(mu_rwlock_write(&a->lock, test_deadline()), 0);
    assert_int_equal(mu_rwlock_write_unlock(&a->lock), 0);
    assert_true(WIFSIGNALED(test_wait(test_fork(die_reading_beside, a))));
    assert_int_equal(mu_rwlock_write(&a->lock, test_deadline()), 0);
    assert_int_equal(mu_rwlock_write_unlock(&a->lock), 0);
    munmap(a, sizeof *a);
}

/* The first thread of a process ends, another goes on reading: it is not dead. */
static void *read_on(void *arg)
{
    hold_reading(arg);
    _exit(0);
}

static void leave_a_thread(void *arg)
{
    pthread_t thread;

    CHECK_CHILD(pthread_create(&thread, NULL, read_on, arg) == 0);
    pthread_exit(NULL);
}

/* As the one that has the word, or beside it in a seat. */
static void live_without_first_thread(bool beside)
{
    struct arena *a = test_shared(sizeof *a);
    pid_t pid;

    if (beside)
        assert_int_equal(mu_rwlock_read(&a->lock, MU_NOW), 0);
    pid = test_fork(leave_a_thread, a);
    assert_int_equal(mu_semaphore_take(&a->inside, test_deadline()), 0);
    if (beside)
        assert_int_equal(mu_rwlock_read_unlock(&a->lock), 0);
    while (test_state(pid) != 'Z')
        (void)sched_yield();
    assert_int_equal(mu_rwlock_write(&a->lock, MU_NOW), MU_TIMEOUT);
    assert_int_equal(mu_semaphore_give(&a->go_on, 1), 0);
    assert_int_equal(mu_rwlock_write(&a->lock, test_deadline()), 0);
    assert_int_equal(test_wait(pid), 0);
    munmap(a, sizeof *a);
}

static void process_lives_without_its_first_thread(void **state)
{
    (void)state;
    live_without_first_thread(false);
    live_without_first_thread(true);
}

/* ---- nobody starves ---------------------------------------------------------- */

/* Each thread goes on until the others have had their turns. */
enum { N_TURNS = 200, N_READERS = 3 };

struct crowd {
    struct mu_rwlock lock;
    _Atomic int n_left; /* who still has turns to take */
};

static void crowd_turns(struct crowd *c,
                        int (*take)(struct mu_rwlock *, int64_t),
                        int (*leave)(struct mu_rwlock *))
{
    for (int i = 0; atomic_load(&c->n_left) > 0; i++) {
        CHECK_CHILD(take(&c->lock, test_deadline()) == 0);
        CHECK_CHILD(leave(&c->lock) == 0);
        if (i == N_TURNS)
            atomic_fetch_sub(&c->n_left, 1);
    }
}

static void *crowd_read(void *arg)
{
    crowd_turns(arg, mu_rwlock_read, mu_rwlock_read_unlock);
    return NULL;
}

static void *crowd_write(void *arg)
{
    crowd_turns(arg, mu_rwlock_write, mu_rwlock_write_unlock);
    return NULL;
}

static void crowd_read_process(void *arg)
{
    (void)crowd_read(arg);
}

static void nobody_starves(void **state)
{
    struct crowd *c = test_shared(sizeof *c);
    pthread_t readers[N_READERS];
    pthread_t writer;
    pid_t pid;

    (void)state;
    atomic_store(&c->n_left, N_READERS + 2);
    pid = test_fork(crowd_read_process, c);
    for (int i = 0; i < N_READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, crowd_read, c), 0);
    assert_int_equal(pthread_create(&writer, NULL, crowd_write, c), 0);
    for (int i = 0; i < N_READERS; i++)
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(test_wait(pid), 0);
    assert_int_equal(c->lock.word & ~MUI_SEATS, 0);
    munmap(c, sizeof *c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_of_a_process_are_counted),
        cmocka_unit_test(process_takes_another_seat),
        cmocka_unit_test(reader_moves_to_a_seat),
        cmocka_unit_test(readers_learn_of_dead_writer),
        cmocka_unit_test(report_is_not_lost),
        cmocka_unit_test(reader_with_the_word_keeps_no_reader),
        cmocka_unit_test(reader_of_one_process_more_waits),
        cmocka_unit_test(dead_readers_make_room),
        cmocka_unit_test(who_is_told_waits_for_one_seat),
        cmocka_unit_test(waiting_writer_comes_after_one_reader),
        cmocka_unit_test(writer_killed_waiting_is_not_reported),
        cmocka_unit_test(writer_killed_waiting_passes_its_report_on),
        cmocka_unit_test(dead_reader_keeps_no_writer),
        cmocka_unit_test(process_lives_without_its_first_thread),
        cmocka_unit_test(nobody_starves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
