/* test_lock_steps.c: a lock is tried between two instructions of another who takes it
 * and lets it go, at each of them: never are both inside. */
#include <string.h>

#include "muster/lock.h"

#include "shared/mutex.h"
#include "support/check.h"
#include "support/step.h"
#include "sys/owner.h"

struct scene {
    struct mu_mutex mutex;
    struct mu_rwlock rwlock;
    struct mu_semaphore semaphore;
    _Atomic int was_inside; /* the child that is stopped */
};

/* Try to take the lock, 0 when it was had; and let it go. */
struct side {
    int (*take)(struct scene *s);
    int (*give)(struct scene *s);
};

static const struct side *the_child;

static int mutex_take(struct scene *s)
{
    return mu_mutex_lock(&s->mutex, MU_NOW);
}

static int mutex_give(struct scene *s)
{
    return mu_mutex_unlock(&s->mutex);
}

static int write_take(struct scene *s)
{
    return mu_rwlock_write(&s->rwlock, MU_NOW);
}

static int write_give(struct scene *s)
{
    return mu_rwlock_write_unlock(&s->rwlock);
}

static int read_take(struct scene *s)
{
    return mu_rwlock_read(&s->rwlock, MU_NOW);
}

static int read_give(struct scene *s)
{
    return mu_rwlock_read_unlock(&s->rwlock);
}

static int leave_and_write(struct scene *s)
{
    assert_int_equal(read_give(s), 0);
    return write_take(s);
}

static int semaphore_take(struct scene *s)
{
    return mu_semaphore_take(&s->semaphore, MU_NOW);
}

static int semaphore_give(struct scene *s)
{
    return mu_semaphore_give(&s->semaphore, 1);
}

static const struct side mutex = {mutex_take, mutex_give};
static const struct side writer = {write_take, write_give};
static const struct side reader = {read_take, read_give};
static const struct side reader_then_writer = {leave_and_write, write_give};
static const struct side semaphore = {semaphore_take, semaphore_give};

/* Find out who we are: it is looked up once a process. */
static void know_self(void *arg)
{
    (void)arg;
    (void)mui_owner_self();
}

static void go_in_and_out(void *arg)
{
    struct scene *s = arg;

    if (the_child->take(s) == 0) {
        atomic_store(&s->was_inside, 1);
        CHECK_CHILD(the_child->give(s) == 0);
    }
}

/* A new scene, before the child comes. */
typedef void (*begin_fn)(struct scene *s);

static void begin_new(struct scene *s)
{
    memset(s, 0, sizeof *s);
    mu_semaphore_init(&s->semaphore, 1);
}

/* It was read by two at once. */
static void begin_with_seats(struct scene *s)
{
    begin_new(s);
    s->rwlock.word = MUI_SEATS;
}

/* The parent reads. */
static void begin_reading(struct scene *s)
{
    begin_new(s);
    assert_int_equal(mu_rwlock_read(&s->rwlock, MU_NOW), 0);
}

static void never_both_inside_from(begin_fn begin, const struct side *child,
                                   const struct side *parent)
{
    struct scene *s = test_shared(sizeof *s);
    struct step_trace t;

    the_child = child;
    begin(s);
    t = step_record(step_start(know_self, go_in_and_out, s));
    assert_true(s->was_inside);
    for (long i = 0; i < t.n; i += step_stride(&t)) {
        pid_t pid;
        int was_inside;
        int is_ours;

        begin(s);
        pid = step_start(know_self, go_in_and_out, s);
        if (!step_stop(pid, &t, i))
            continue;
        was_inside = s->was_inside;
        is_ours = parent->take(s) == 0;
        step_go_on(pid);
        if (is_ours) {
            assert_int_equal(s->was_inside, was_inside);
            assert_int_equal(parent->give(s), 0);
        }
        /* and it is free again */
        assert_int_equal(child->take(s), 0);
        assert_int_equal(child->give(s), 0);
    }
    free(t.pc);
    munmap(s, sizeof *s);
}

static void never_both_inside(const struct side *child,
                              const struct side *parent)
{
    never_both_inside_from(begin_new, child, parent);
}

static void mutex_has_one_holder(void **state)
{
    (void)state;
    never_both_inside(&mutex, &mutex);
}

static void rwlock_has_one_writer(void **state)
{
    (void)state;
    never_both_inside(&writer, &writer);
}

static void rwlock_keeps_writers_from_readers(void **state)
{
    (void)state;
    never_both_inside(&reader, &writer);
    never_both_inside(&writer, &reader);
    never_both_inside_from(begin_with_seats, &reader, &writer);
    never_both_inside_from(begin_with_seats, &writer, &reader);
}

/* One who reads beside another stays inside when that one leaves. */
static void rwlock_keeps_writers_from_who_sits(void **state)
{
    (void)state;
    never_both_inside_from(begin_reading, &reader, &reader_then_writer);
}

static void semaphore_of_one_has_one_holder(void **state)
{
    (void)state;
    never_both_inside(&semaphore, &semaphore);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutex_has_one_holder),
        cmocka_unit_test(rwlock_has_one_writer),
        cmocka_unit_test(rwlock_keeps_writers_from_readers),
        cmocka_unit_test(rwlock_keeps_writers_from_who_sits),
        cmocka_unit_test(semaphore_of_one_has_one_holder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
