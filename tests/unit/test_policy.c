/* test_policy.c: who is guilty, who runs again: decisions, by tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "pool/policy.h"

#define N_OF(array) (sizeof(array) / sizeof(array)[0])

static const struct mui_death segv = {
    .how = MUI_DEATH_CRASHED, .signal = 11, .i_lane = 0, .fresh = true};
static const struct mui_death segv_in_company = {.how = MUI_DEATH_CRASHED,
                                                 .signal = 11,
                                                 .i_lane = 0,
                                                 .fresh = true,
                                                 .in_company = true};
static const struct mui_death sent_in_company = {
    .how = MUI_DEATH_CRASHED, .signal = 15, .i_lane = 0, .in_company = true};
static const struct mui_death killed_from_outside = {
    .how = MUI_DEATH_CRASHED, .signal = 9, .i_lane = MUI_LANE_UNKNOWN};
static const struct mui_death foreign_thread = {
    .how = MUI_DEATH_CRASHED, .signal = 11, .i_lane = MUI_LANE_FOREIGN};
static const struct mui_death exited = {
    .how = MUI_DEATH_EXITED, .code = 3, .i_lane = MUI_LANE_UNKNOWN};
static const struct mui_death exited_among_others = {.how = MUI_DEATH_EXITED,
                                                     .code = 3,
                                                     .i_lane = MUI_LANE_UNKNOWN,
                                                     .neighbours = true};
static const struct mui_death exited_fresh = {.how = MUI_DEATH_EXITED,
                                              .code = 3,
                                              .i_lane = MUI_LANE_UNKNOWN,
                                              .neighbours = true,
                                              .fresh = true};
static const struct mui_death killed_by_us = {.how = MUI_DEATH_KILLED,
                                              .i_lane = MUI_LANE_UNKNOWN};
static const struct mui_death killed_by_us_shared = {
    .how = MUI_DEATH_KILLED, .i_lane = MUI_LANE_UNKNOWN, .shared = true};
static const struct mui_death vanished = {.how = MUI_DEATH_VANISHED,
                                          .i_lane = MUI_LANE_UNKNOWN};
static const struct mui_death corrupt = {.how = MUI_DEATH_CORRUPT,
                                         .i_lane = MUI_LANE_UNKNOWN};
static const struct mui_death leaked = {
    .how = MUI_DEATH_CRASHED, .signal = 11, .i_lane = 0, .out_of_memory = true};
static const struct mui_death leaked_fresh = {.how = MUI_DEATH_CRASHED,
                                              .signal = 11,
                                              .i_lane = 0,
                                              .out_of_memory = true,
                                              .fresh = true};
static const struct mui_death heap = {
    .how = MUI_DEATH_CRASHED, .signal = 6, .i_lane = -1, .in_common = true};
static const struct mui_death heap_fresh = {.how = MUI_DEATH_CRASHED,
                                            .signal = 6,
                                            .i_lane = -1,
                                            .in_common = true,
                                            .fresh = true};

/* Of a job. */
#define HAS_RETRIES(n) .has_extras = true, .extras.retries = (n)

enum { QUEUED = 0, STARTED = 1, ELSEWHERE = 0, CULPRIT = 1 };

static void death_is_judged(void **state)
{
    static const struct {
        const struct mui_death *death;
        struct mui_job job;
        int started;
        int on_culprit;
        unsigned n_suspects;
        struct mui_judgement expect;
    } cases[] = {
        /* never started: as if nothing had happened */
        {&segv, {.index = 0}, QUEUED, CULPRIT, 1, {MUI_AGAIN, MU_LOST}},
        {&corrupt, {.index = 0}, QUEUED, ELSEWHERE, 2, {MUI_AGAIN, MU_LOST}},
        /* what an earlier one left can have done it, where others run beside */
        {&exited, {.index = 0}, STARTED, ELSEWHERE, 1, {MUI_END, MU_EXITED}},
        {&exited_among_others,
         {.index = 0},
         STARTED,
         ELSEWHERE,
         1,
         {MUI_ALONE, MU_LOST}},
        {&exited_among_others,
         {.alone = true},
         STARTED,
         ELSEWHERE,
         1,
         {MUI_END, MU_EXITED}},
        {&exited_fresh,
         {.index = 0},
         STARTED,
         ELSEWHERE,
         1,
         {MUI_END, MU_EXITED}},
        /* the crash report names the lane */
        {&segv, {.index = 0}, STARTED, CULPRIT, 1, {MUI_END, MU_CRASHED}},
        {&segv, {.index = 0}, STARTED, ELSEWHERE, 3, {MUI_AGAIN, MU_LOST}},
        {&segv, {HAS_RETRIES(1)}, STARTED, CULPRIT, 1, {MUI_RETRY, MU_CRASHED}},
        {&segv,
         {HAS_RETRIES(1), .out.attempts = 1},
         STARTED,
         CULPRIT,
         1,
         {MUI_RETRY, MU_CRASHED}},
        {&segv,
         {HAS_RETRIES(1), .out.attempts = 2},
         STARTED,
         CULPRIT,
         1,
         {MUI_END, MU_CRASHED}},
        /* a fault may be the doing of one beside it, a signal is its own */
        {&segv_in_company,
         {.index = 0},
         STARTED,
         CULPRIT,
         1,
         {MUI_ALONE, MU_LOST}},
        {&segv_in_company,
         {.alone = true},
         STARTED,
         CULPRIT,
         1,
         {MUI_END, MU_CRASHED}},
        {&sent_in_company,
         {.index = 0},
         STARTED,
         CULPRIT,
         1,
         {MUI_END, MU_CRASHED}},
        /* two fibers of the lane: either can have done it */
        {&segv, {.index = 0}, STARTED, CULPRIT, 2, {MUI_ALONE, MU_LOST}},
        /* no report: sure only when one ran */
        {&killed_from_outside,
         {.index = 0},
         STARTED,
         ELSEWHERE,
         1,
         {MUI_END, MU_CRASHED}},
        {&killed_from_outside,
         {.index = 0},
         STARTED,
         ELSEWHERE,
         2,
         {MUI_ALONE, MU_LOST}},
        {&exited, {.index = 0}, STARTED, ELSEWHERE, 1, {MUI_END, MU_EXITED}},
        /* a thread that some task left behind */
        {&foreign_thread,
         {.index = 0},
         STARTED,
         ELSEWHERE,
         1,
         {MUI_ALONE, MU_LOST}},
        {&foreign_thread,
         {.alone = true},
         STARTED,
         ELSEWHERE,
         1,
         {MUI_END, MU_CRASHED}},
        /* memory: those before can have leaked it */
        {&leaked, {.index = 0}, STARTED, CULPRIT, 1, {MUI_ALONE, MU_LOST}},
        {&leaked,
         {.alone = true},
         STARTED,
         CULPRIT,
         1,
         {MUI_END, MU_OUT_OF_MEMORY}},
        {&leaked_fresh,
         {.index = 0},
         STARTED,
         CULPRIT,
         1,
         {MUI_END, MU_OUT_OF_MEMORY}},
        /* the heap: those before, or beside, can have damaged it */
        {&heap, {.index = 0}, STARTED, ELSEWHERE, 1, {MUI_ALONE, MU_LOST}},
        {&heap_fresh,
         {.index = 0},
         STARTED,
         ELSEWHERE,
         1,
         {MUI_END, MU_CRASHED}},
        {&heap_fresh,
         {.index = 0},
         STARTED,
         ELSEWHERE,
         2,
         {MUI_ALONE, MU_LOST}},
        {&heap_fresh,
         {.alone = true},
         STARTED,
         ELSEWHERE,
         1,
         {MUI_END, MU_CRASHED}},
        /* a forged lane: any task of the process */
        {&corrupt, {.index = 0}, STARTED, ELSEWHERE, 1, {MUI_ALONE, MU_LOST}},
        {&corrupt,
         {.alone = true},
         STARTED,
         ELSEWHERE,
         1,
         {MUI_END, MU_CRASHED}},
        /* killed for the sake of another, or with the nursery */
        {&killed_by_us,
         {.index = 0},
         STARTED,
         ELSEWHERE,
         2,
         {MUI_AGAIN, MU_LOST}},
        {&vanished, {.index = 0}, STARTED, ELSEWHERE, 1, {MUI_AGAIN, MU_LOST}},
        {&vanished,
         {.n_reruns = 20},
         STARTED,
         ELSEWHERE,
         1,
         {MUI_END, MU_LOST}},
        /* killed for its own sake */
        {&killed_by_us,
         {.doom = MU_TIMED_OUT},
         STARTED,
         ELSEWHERE,
         2,
         {MUI_END, MU_TIMED_OUT}},
        {&killed_by_us,
         {.doom = MU_TIMED_OUT, HAS_RETRIES(2)},
         STARTED,
         ELSEWHERE,
         2,
         {MUI_RETRY, MU_TIMED_OUT}},
        /* its deadline: another on the same worker may hold it up */
        {&killed_by_us_shared,
         {.doom = MU_TIMED_OUT, HAS_RETRIES(2)},
         STARTED,
         ELSEWHERE,
         1,
         {MUI_ALONE, MU_LOST}},
        {&killed_by_us_shared,
         {.doom = MU_TIMED_OUT, .n_reruns = 20},
         STARTED,
         ELSEWHERE,
         1,
         {MUI_END, MU_LOST}},
        {&killed_by_us_shared,
         {.doom = MU_TIMED_OUT, .alone = true},
         STARTED,
         ELSEWHERE,
         1,
         {MUI_END, MU_TIMED_OUT}},
        {&killed_by_us_shared,
         {.doom = MU_CANCELLED, .cancelled = true},
         STARTED,
         ELSEWHERE,
         1,
         {MUI_END, MU_CANCELLED}},
        {&killed_by_us,
         {.doom = MU_CANCELLED, .cancelled = true, HAS_RETRIES(2)},
         STARTED,
         ELSEWHERE,
         1,
         {MUI_END, MU_CANCELLED}},
        /* cancelled, and the worker died of something else */
        {&segv,
         {.cancelled = true},
         QUEUED,
         ELSEWHERE,
         1,
         {MUI_END, MU_CANCELLED}},
        {&segv,
         {.cancelled = true, HAS_RETRIES(3)},
         STARTED,
         CULPRIT,
         1,
         {MUI_END, MU_CRASHED}},
    };

    (void)state;
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct mui_job job = cases[i].job;
        struct mui_judgement j;

        if (!job.out.attempts)
            job.out.attempts = 1;
        j = mui_policy_death(cases[i].death, &job, cases[i].started != 0,
                             cases[i].on_culprit != 0, cases[i].n_suspects);

        if (j.verdict != cases[i].expect.verdict ||
            j.status != cases[i].expect.status)
            fail_msg("case %zu: verdict %d status %d", i, (int)j.verdict,
                     (int)j.status);
    }
}

static void done_and_lost_are_not_retried(void **state)
{
    const struct mui_job eager = {HAS_RETRIES(9), .out.attempts = 1};

    (void)state;
    assert_false(mui_policy_retries(&eager, MU_DONE));
    assert_false(mui_policy_retries(&eager, MU_CANCELLED));
    assert_false(mui_policy_retries(&eager, MU_LOST));
    assert_true(mui_policy_retries(&eager, MU_FAILED));
    assert_true(mui_policy_retries(&eager, MU_OUT_OF_MEMORY));
}

static void window_covers_time_and_shares(void **state)
{
    (void)state;
    /* strict mode is never widened */
    assert_int_equal(mui_policy_window(1, 10, 256, 1000000, 4), 1);
    /* short tasks: many; long ones: one ahead */
    assert_int_equal(mui_policy_window(0, 100, 256, 1000000, 4), 256);
    assert_int_equal(mui_policy_window(0, 100000, 256, 1000000, 4), 10);
    assert_int_equal(mui_policy_window(0, 1000000000, 256, 1000000, 4), 2);
    /* few tasks are dealt out evenly; to two, when they are short */
    assert_int_equal(mui_policy_window(0, 0, 256, 10, 4), 3);
    assert_int_equal(mui_policy_window(0, 50000, 256, 10, 4), 3);
    assert_int_equal(mui_policy_window(0, 100, 256, 10, 4), 5);
    assert_int_equal(mui_policy_window(0, 10000, 256, 10, 4), 5);
    assert_int_equal(mui_policy_window(0, 10000, 256, 40, 4), 10);
    assert_int_equal(mui_policy_window(0, 100, 256, 100, 1), 100);
    assert_int_equal(mui_policy_window(0, 100, 256, 1, 4), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(death_is_judged),
        cmocka_unit_test(done_and_lost_are_not_retried),
        cmocka_unit_test(window_covers_time_and_shares),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
