/* test_crash.c: the crash record is a claim: what cannot be is not believed. */
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include "process/crash.h"
#include "support/check.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honest_record_is_copied),
        cmocka_unit_test(unfinished_record_is_none),
        cmocka_unit_test(impossible_record_is_none),
        cmocka_unit_test(too_many_frames_are_none),
        cmocka_unit_test(lane_of_others_is_unknown),
        cmocka_unit_test(rehearsal_is_no_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
