/* test_rwlock_wakes.c: on what a writer sleeps that waits for readers, and who wakes it.
 * The library's sleeps and wakes pass here by the linker's help (--wrap, CMakeLists.txt),
 * and find others that the test says there are. */
#include <errno.h>

#include "muster/lock.h"

#include "shared/mutex.h"
#include "support/check.h"
#include "sys/futex.h"
#include "sys/owner.h"

enum { SEAT_TAKEN = 7 };

static struct mu_rwlock l;
static uint64_t word_asleep; /* while the writer slept */
static int n_sleeps;
static int n_wakes; /* of seats */

static int is_seat(const _Atomic uint32_t *futex)
{
    uintptr_t at = (uintptr_t)futex;

    return at >= (uintptr_t)l.readers &&
           at < (uintptr_t)(l.readers + MU_RWLOCK_PROCESSES);
}

/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
int __wrap_mui_futex_wait(const _Atomic uint32_t *word, uint32_t expected,
                          int shared, int64_t deadline_ns);
int __wrap_mui_futex_wait(const _Atomic uint32_t *word, uint32_t expected,
                          int shared, int64_t deadline_ns)
{
    (void)deadline_ns;
    assert_int_not_equal(shared, 0);
    assert_true((uintptr_t)word / sizeof *l.readers ==
                (uintptr_t)&l.readers[SEAT_TAKEN] / sizeof *l.readers);
    assert_int_equal(expected, atomic_load(word));
    word_asleep = l.word;
    n_sleeps++;
    l.readers[SEAT_TAKEN] = 0; /* its reader leaves */
    assert_int_not_equal(expected, atomic_load(word));
    return 0;
}

int __wrap_mui_futex_wake(const _Atomic uint32_t *word, int n_max, int shared);
int __wrap_mui_futex_wake(const _Atomic uint32_t *word, int n_max, int shared)
{
    assert_int_not_equal(shared, 0);
    assert_int_equal(n_max, 1);
    assert_true(is_seat(word));
    assert_int_equal(atomic_load(word), 0);
    n_wakes++;
    return 0;
}
/* NOLINTEND(readability-identifier-naming) */

static void begin(uint64_t word)
{
    l = (struct mu_rwlock){.word = word};
    n_sleeps = 0;
    n_wakes = 0;
}

/* And says in the word that it waits, until it may write. */
static void writer_sleeps_on_a_seat(void **state)
{
    (void)state;
    begin(MUI_SEATS);
    l.readers[SEAT_TAKEN] = mui_process_self() + MUI_PROCESS_ONE;
    assert_int_equal(mu_rwlock_write(&l, test_deadline()), 0);
    assert_int_equal(n_sleeps, 1);
    assert_int_equal(word_asleep, mui_owner_self() | MUI_SEATS);
    assert_int_equal(l.word, mui_owner_self());
}

/* One that was told is reported again if it dies: no mark. */
static void told_writer_does_not_say_that_it_waits(void **state)
{
    (void)state;
    begin(MUI_ORPHAN);
    l.readers[SEAT_TAKEN] = mui_process_self() + MUI_PROCESS_ONE;
    assert_int_equal(mu_rwlock_write(&l, test_deadline()), MU_OWNER_DIED);
    assert_int_equal(n_sleeps, 1);
    assert_int_equal(word_asleep, mui_owner_self() | MUI_WAITERS);
}

/* How many wakes, of who sleeps on a seat, come from the last but one that leaves it, and
 * from the last. */
static void leave_both(uint64_t word, int from_first, int from_last)
{
    begin(MUI_SEATS);
    for (int i = 0; i < 2; i++)
        assert_int_equal(mu_rwlock_read(&l, MU_NOW), 0);
    l.word = word;
    assert_int_equal(mu_rwlock_read_unlock(&l), 0);
    assert_int_equal(n_wakes, from_first);
    assert_int_equal(mu_rwlock_read_unlock(&l), 0);
    assert_int_equal(n_wakes, from_first + from_last);
    assert_int_equal(mu_rwlock_read_unlock(&l), -EPERM);
}

static void last_reader_of_a_seat_wakes_a_writer(void **state)
{
    const uint64_t other = mui_owner_self() ^ 1;

    (void)state;
    leave_both(other | MUI_SEATS, 0, 1);
    leave_both(other | MUI_SEATS | MUI_WAITERS, 0, 1);
    leave_both(other | MUI_WAITERS, 0, 1); /* was told */
    leave_both(other | MUI_READING | MUI_SEATS, 0, 0);
    leave_both(MUI_SEATS, 0, 0);
    leave_both(MUI_ORPHAN, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writer_sleeps_on_a_seat),
        cmocka_unit_test(told_writer_does_not_say_that_it_waits),
        cmocka_unit_test(last_reader_of_a_seat_wakes_a_writer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
