/* test_crash.c: the crash record is a claim: what cannot be is not believed. */
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include "process/crash.h"
#include "process/filter.h"
#include "support/check.h"
#include "sys/thread.h"

enum { N_LANES = 4 };

static struct mui_crash honest(void)
{
    return (struct mui_crash){.stage = MUI_CRASH_WHOLE,
                              .kind = MUI_CRASH_SIGNAL,
                              .signal = SIGSEGV,
                              .i_lane = 3,
                              .address = 8,
                              .n_frames = 2,
                              .frames = {11, 12}};
}

static void honest_record_is_copied(void **state)
{
    const struct mui_crash record = honest();
    struct mui_crash copy;

    (void)state;
    assert_true(mui_crash_read(&record, N_LANES, &copy));
    assert_int_equal(copy.signal, SIGSEGV);
    assert_int_equal(copy.i_lane, 3);
    assert_int_equal(copy.address, 8);
    assert_int_equal(copy.n_frames, 2);
    assert_int_equal(copy.frames[1], 12);
}

static void unfinished_record_is_none(void **state)
{
    struct mui_crash record = honest();
    struct mui_crash copy;

    (void)state;
    record.stage = MUI_CRASH_COMING;
    assert_false(mui_crash_read(&record, N_LANES, &copy));
    record.stage = UINT32_MAX;
    assert_false(mui_crash_read(&record, N_LANES, &copy));
}

static void impossible_record_is_none(void **state)
{
    struct mui_crash record = honest();
    struct mui_crash copy;

    (void)state;
    record.kind = MUI_CRASH_NONE;
    assert_false(mui_crash_read(&record, N_LANES, &copy));
    record.kind = UINT32_MAX;
    assert_false(mui_crash_read(&record, N_LANES, &copy));
    record = honest();
    record.signal = 0;
    assert_false(mui_crash_read(&record, N_LANES, &copy));
    record.signal = INT32_MAX;
    assert_false(mui_crash_read(&record, N_LANES, &copy));
}

static void too_many_frames_are_none(void **state)
{
    struct mui_crash record = honest();
    struct mui_crash copy;

    (void)state;
    record.n_frames = MUI_CRASH_FRAMES + 1;
    assert_true(mui_crash_read(&record, N_LANES, &copy));
    assert_int_equal(copy.n_frames, 0);
    record.n_frames = UINT32_MAX;
    assert_true(mui_crash_read(&record, N_LANES, &copy));
    assert_int_equal(copy.n_frames, 0);
}

static void lane_of_others_is_unknown(void **state)
{
    static const int32_t lanes[] = {N_LANES, INT32_MAX, INT32_MIN, -3};
    struct mui_crash record = honest();
    struct mui_crash copy;

    (void)state;
    for (size_t i = 0; i < sizeof lanes / sizeof *lanes; i++) {
        record.i_lane = lanes[i];
        assert_true(mui_crash_read(&record, N_LANES, &copy));
        assert_int_equal(copy.i_lane, MUI_CRASH_LANE_UNKNOWN);
    }
    record.i_lane = MUI_CRASH_LANE_FOREIGN;
    assert_true(mui_crash_read(&record, N_LANES, &copy));
    assert_int_equal(copy.i_lane, MUI_CRASH_LANE_FOREIGN);
}

static void call_that_cannot_be_is_none(void **state)
{
    struct mui_crash record = honest();
    struct mui_crash copy;

    (void)state;
    record.signal = SIGSYS;
    record.code = INT32_MIN;
    assert_true(mui_crash_read(&record, N_LANES, &copy));
    assert_int_equal(copy.code, 0);
}

/* -- rehearsal -- */

static void say_nothing(void)
{
}

static bool is_attended(void)
{
    return true;
}

static void rehearse(void *no_signals)
{
    struct mui_crash record = {.kind = MUI_CRASH_NONE};
    const struct mui_crash_setup setup = {.record = &record,
                                          .ring = say_nothing,
                                          .wake_next = say_nothing,
                                          .is_attended = is_attended};

    if (no_signals) /* can be queued for this user */
        CHECK_CHILD(setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){0, 0}) == 0);
    mui_crash_install(&setup);
    mui_crash_rehearse();
    _exit(record.stage != MUI_CRASH_SILENT);
}

static void rehearsal_is_no_crash(void **state)
{
    int any;

    (void)state;
    assert_int_equal(test_wait(test_fork(rehearse, NULL)), 0);
    assert_int_equal(test_wait(test_fork(rehearse, &any)), 0);
}

/* -- in a sandbox -- */

/* The supervisor does not kill it, and its handlers cannot be changed: it ends all the
 * same, by its own call and not as its stack runs over. */
static void crash_alone_in_a_sandbox(void *unused)
{
    static struct mui_crash record; /* zeros: not until it is read whole */
    const struct mui_crash_setup setup = {.record = &record,
                                          .ring = say_nothing,
                                          .wake_next = say_nothing,
                                          .is_attended = is_attended};

    (void)unused;
    CHECK_CHILD(mui_filter_load() == 0);
    (void)mui_thread_altstack();
    mui_crash_install(&setup);
    CHECK_CHILD(mui_filter_refuse_all(0) == 0);
    (void)raise(SIGSEGV);
}

static void crash_in_a_sandbox_ends(void **state)
{
    int status;

    (void)state;
#ifdef TEST_IS_SANITIZED
    skip(); /* it takes the signal, and calls what is refused */
#endif
    if (mui_filter_load() < 0)
        skip(); /* no libseccomp */
    status = test_wait(test_fork(crash_alone_in_a_sandbox, NULL));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 128 + SIGSYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honest_record_is_copied),
        cmocka_unit_test(unfinished_record_is_none),
        cmocka_unit_test(impossible_record_is_none),
        cmocka_unit_test(too_many_frames_are_none),
        cmocka_unit_test(lane_of_others_is_unknown),
        cmocka_unit_test(call_that_cannot_be_is_none),
        cmocka_unit_test(rehearsal_is_no_crash),
        cmocka_unit_test(crash_in_a_sandbox_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
