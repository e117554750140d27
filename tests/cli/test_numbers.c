/* test_numbers.c: sizes, durations, -j, --halt, and which word was meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "halt.h"
#include "parse.h"
#include "say.h"
#include "verdict.h"
#include "width.h"

static void sizes_have_units(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},          {"512", 512},     {"64K", 65536},   {"64k", 64000},
        {"1.5M", 1572864}, {"1Gi", 1 << 30}, {"1gi", 1 << 30}, {"2m", 2000000},
    };
    static const char *const bad[] = {"",  "x",   "1x",        "-1",   "1KB",
                                      "K", "1e9", "99999999P", "0x10", "nan"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t bytes = 1;

        assert_int_equal(parse_size(good[i].text, &bytes), 0);
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t bytes;

        assert_int_equal(parse_size(bad[i], &bytes), -1);
    }
}

static void bytes_have_escapes(void **state)
{
    static const struct {
        const char *text;
        char byte;
    } good[] = {
        {"a", 'a'},     {"\\", '\\'},   {"\\\\", '\\'}, {"\\n", '\n'},
        {"\\t", '\t'},  {"\\a", '\a'},  {"\\0", '\0'},  {"\\000", '\0'},
        {"\\101", 'A'}, {"\\x41", 'A'}, {"\\xA", '\n'}, {"\\377", (char)255},
    };
    static const char *const bad[] = {"",       "ab",     "\\x",   "\\z",
                                      "\\x412", "\\x041", "\\400", "\\08",
                                      "\\nn",   "\\0101", "\\x4g", "\\x-1"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char byte = 'x';

        assert_int_equal(parse_byte(good[i].text, &byte), 0);
        assert_int_equal(byte, good[i].byte);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char byte;

        assert_int_equal(parse_byte(bad[i], &byte), -1);
    }
}

static void durations_are_sums(void **state)
{
    int64_t ns = 0;

    (void)state;
    assert_int_equal(parse_duration("90", &ns), 0);
    assert_int_equal(ns, INT64_C(90000000000));
    assert_int_equal(parse_duration("1d3.5h16.6m4s", &ns), 0);
    assert_int_equal(ns, INT64_C(100000000000000));
    assert_int_equal(parse_duration(".5", &ns), 0);
    assert_int_equal(ns, 500000000);
    assert_int_equal(parse_duration("", &ns), -1);
    assert_int_equal(parse_duration("1w", &ns), -1);
    assert_int_equal(parse_duration("-1", &ns), -1);
    assert_int_equal(parse_duration("s", &ns), -1);
}

static void jobs_count_from_the_cpus(void **state)
{
    static const struct {
        const char *text;
        unsigned jobs;
    } good[] = {{"3", 3},   {"+2", 10}, {"-2", 6},   {"-20", 1},  {"50%", 4},
                {"10%", 1}, {"0", 0},   {"110%", 9}, {"10.5%", 1}};
    unsigned jobs = 0;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(parse_jobs(good[i].text, 8, &jobs), 0);
        assert_int_equal(jobs, good[i].jobs);
    }
    assert_int_equal(parse_jobs("two", 8, &jobs), -1);
    assert_int_equal(parse_jobs("1.5", 8, &jobs), -1);
    assert_int_equal(parse_jobs("", 8, &jobs), -1);
}

static void check_width(const char *model, const char *jobs,
                        const char *expected)
{
    struct text full = {0};

    assert_int_equal(width_apply(model, jobs, 4, 3, &full), 0);
    assert_string_equal(text_string(&full), expected);
    text_fini(&full);
}

static void width_goes_to_the_innermost_open_layer(void **state)
{
    struct text full = {0};

    (void)state;
    check_width("processes", "2", "processes:2");
    check_width("processes/threads", "2", "processes/threads:2");
    check_width("processes/threads:2", "3", "processes:3/threads:2");
    check_width("processes", "0", "processes:3");
    check_width("serial", "1", "serial");
    check_width("threads:2", NULL, "threads:2");
    assert_int_equal(width_apply("threads:2", "3", 4, 0, &full), -1);
    assert_int_equal(width_apply("serial", "2", 4, 0, &full), -1);
    text_fini(&full);
}

static void halt_forms_are_those_of_parallel(void **state)
{
    struct halt_rule rule;

    (void)state;
    assert_int_equal(halt_parse("now,fail=1", &rule), 0);
    assert_int_equal(rule.when, HALT_NOW);
    assert_int_equal(rule.why, HALT_FAIL);
    assert_int_equal(rule.count, 1);
    assert_int_equal(halt_parse("soon,success=30%", &rule), 0);
    assert_int_equal(rule.is_percent, 1);
    assert_int_equal(halt_parse("-2", &rule), 0);
    assert_int_equal(rule.when, HALT_NOW);
    assert_int_equal(rule.why, HALT_SUCCESS);
    assert_int_equal(halt_parse("5%", &rule), 0);
    assert_int_equal(rule.when, HALT_SOON);
    assert_int_equal(halt_parse("0", &rule), 0);
    assert_int_equal(rule.when, HALT_NEVER);
    assert_int_equal(halt_parse("now", &rule), -1);
    assert_int_equal(halt_parse("later,fail=1", &rule), -1);
    assert_int_equal(halt_parse("now,fail=", &rule), -1);
    assert_int_equal(halt_parse("now,fail=200%", &rule), -1);
    assert_int_equal(halt_parse("now,fail=0", &rule), -1);
    assert_int_equal(halt_parse("0%", &rule), -1);
}

static void halt_acts_once_its_count_is_reached(void **state)
{
    struct halt h = {.rule = {HALT_NOW, HALT_FAIL, 0, 2}};

    (void)state;
    assert_int_equal(halt_count(&h, 0, 0), HALT_NEVER);
    assert_int_equal(halt_count(&h, 3, 0), HALT_NEVER);
    assert_int_equal(halt_count(&h, 4, 0), HALT_NOW);
    assert_int_equal(halt_count(&h, 4, 0), HALT_NEVER);
    assert_int_equal(halt_exit_status(&h), 2);
}

static void halt_at_one_exits_with_its_status(void **state)
{
    struct halt h = {.rule = {HALT_SOON, HALT_FAIL, 0, 1}};
    struct halt s = {.rule = {HALT_SOON, HALT_SUCCESS, 0, 1}};

    (void)state;
    assert_int_equal(halt_count(&h, 139, 0), HALT_SOON);
    assert_int_equal(halt_exit_status(&h), 139);
    assert_int_equal(halt_count(&s, 7, 0), HALT_NEVER);
    assert_int_equal(halt_count(&s, 0, 0), HALT_SOON);
    assert_int_equal(halt_exit_status(&s), 0);
}

static void halt_percent_waits_for_the_total(void **state)
{
    struct halt h = {.rule = {HALT_SOON, HALT_FAIL, 1, 50}};

    (void)state;
    assert_int_equal(halt_count(&h, 1, 0), HALT_NEVER);
    assert_int_equal(halt_count(&h, 1, 4), HALT_SOON);
    assert_int_equal(halt_exit_status(&h), 50);
}

static void halt_at_a_share_of_one_exits_with_its_status(void **state)
{
    struct halt h = {.rule = {HALT_NOW, HALT_FAIL, 1, 25}};
    struct halt more = {.rule = {HALT_NOW, HALT_FAIL, 1, 25}};

    (void)state;
    assert_int_equal(halt_count(&h, 7, 4), HALT_NOW);
    assert_int_equal(halt_exit_status(&h), 7);
    assert_int_equal(halt_count(&more, 7, 3), HALT_NOW);
    assert_int_equal(halt_exit_status(&more), 34);
}

static void exit_status_counts_to_101(void **state)
{
    struct halt h = {{0}};

    (void)state;
    for (int i = 0; i < 100; i++)
        (void)halt_count(&h, 1, 0);
    assert_int_equal(halt_exit_status(&h), 100);
    for (int i = 0; i < 100; i++)
        (void)halt_count(&h, 1, 0);
    assert_int_equal(halt_exit_status(&h), 101);
}

static void distance_counts_swaps_as_one(void **state)
{
    (void)state;
    assert_int_equal(say_distance("model", "model"), 0);
    assert_int_equal(say_distance("modle", "model"), 1);
    assert_int_equal(say_distance("", "abc"), 3);
    assert_int_equal(say_distance("kitten", "sitting"), 3);
}

static void nearest_prefers_a_beginning(void **state)
{
    struct say_nearest n = {.typed = "kelp"};
    struct say_nearest far = {.typed = "zzz"};

    (void)state;
    say_nearest_offer(&n, "help");
    say_nearest_offer(&n, "keep-order");
    assert_string_equal(n.best, "help");
    n = (struct say_nearest){.typed = "keep"};
    say_nearest_offer(&n, "help");
    say_nearest_offer(&n, "keep-order");
    assert_string_equal(n.best, "keep-order");
    far = (struct say_nearest){.typed = "env"};
    say_nearest_offer(&far, "eta");
    assert_null(far.best);
    say_nearest_offer(&far, "model");
    assert_null(far.best);
}

static void spread_has_median_and_ends(void **state)
{
    double odd[] = {3, 1, 2};
    double even[] = {4, 1, 3, 2};
    struct verdict_spread s = verdict_spread_of(odd, 3);

    (void)state;
    assert_true(s.median == 2 && s.min == 1 && s.max == 3);
    assert_true(verdict_spread_of(even, 4).median == 2.5);
}

static void check_choice(double serial, double threads, double processes,
                         size_t expected, const char *pattern)
{
    const struct verdict_model models[] = {
        {"serial", 0, {serial, serial, serial}},
        {"threads", 0, {threads, threads, threads}},
        {"processes", 1, {processes, processes, processes}},
    };
    struct text why = {0};

    assert_int_equal(verdict_choose(models, 3, &why), expected);
    if (!strstr(why.data, pattern))
        fail_msg("'%s' lacks '%s'", why.data, pattern);
    text_fini(&why);
}

static void fastest_is_chosen_and_isolation_among_equals(void **state)
{
    (void)state;
    check_choice(100, 300, 400, 2, "Take processes: it is the fastest, and");
    check_choice(100, 400, 392, 2, "within 2 % of the fastest (threads)");
    check_choice(100, 400, 300, 1,
                 "processes, which would survive a crash, has "
                 "75 % of its speed");
    check_choice(400, 390, 100, 0,
                 "at 2,500 us a task more workers gain nothing");
    check_choice(400, 390, 385, 2, "within 4 % of the fastest (serial)");
    check_choice(100, 390, 400, 2, "by a margin that says nothing");
    check_choice(392, 400, 100, 0, "within 2 % of the fastest (threads)");
}

/* Rounds that overlap are too close to call, unless the medians lie far apart. */
static void overlap_is_no_difference(void **state)
{
    const struct verdict_model near[] = {
        {"threads", 0, {100, 80, 120}},
        {"processes", 1, {88, 80, 100}},
    };
    const struct verdict_model far[] = {
        {"threads", 0, {100, 75, 120}},
        {"processes", 1, {70, 60, 80}},
    };
    struct text why = {0};

    (void)state;
    assert_int_equal(verdict_choose(near, 2, &why), 1);
    assert_int_equal(verdict_choose(far, 2, &why), 0);
    text_fini(&why);
}

/* Where rounds vary widely and overlap, nothing is known; what is clear stays so. */
static void noise_has_no_verdict(void **state)
{
    const struct verdict_model noisy[] = {
        {"serial", 0, {100, 75, 1198}},
        {"threads", 0, {110, 100, 115}},
        {"processes", 1, {50, 49, 51}},
    };
    const struct verdict_model clear[] = {
        {"threads", 0, {400, 300, 700}},
        {"processes", 1, {100, 40, 200}},
    };
    struct text why = {0};

    (void)state;
    assert_int_equal(verdict_choose(noisy, 3, &why), 3);
    assert_string_equal(
        why.data, "No verdict: these rounds do not tell threads from serial, "
                  "for they vary and overlap. More inputs or more --rounds "
                  "would.");
    assert_int_equal(verdict_choose(clear, 2, &why), 0);
    text_fini(&why);
}

static void numbers_are_grouped(void **state)
{
    static const struct {
        double number;
        const char *text;
    } cases[] = {{0, "0.00"},         {0.01234, "0.01"},     {12.34, "12.3"},
                 {999.4, "999"},      {999.6, "1,000"},      {12345, "12,345"},
                 {123456, "123,456"}, {1234567, "1,234,567"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct text t = {0};

        text_put_number(&t, cases[i].number);
        assert_string_equal(t.data, cases[i].text);
        text_fini(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_units),
        cmocka_unit_test(bytes_have_escapes),
        cmocka_unit_test(durations_are_sums),
        cmocka_unit_test(jobs_count_from_the_cpus),
        cmocka_unit_test(width_goes_to_the_innermost_open_layer),
        cmocka_unit_test(halt_forms_are_those_of_parallel),
        cmocka_unit_test(halt_at_a_share_of_one_exits_with_its_status),
        cmocka_unit_test(halt_acts_once_its_count_is_reached),
        cmocka_unit_test(halt_at_one_exits_with_its_status),
        cmocka_unit_test(halt_percent_waits_for_the_total),
        cmocka_unit_test(exit_status_counts_to_101),
        cmocka_unit_test(distance_counts_swaps_as_one),
        cmocka_unit_test(nearest_prefers_a_beginning),
        cmocka_unit_test(spread_has_median_and_ends),
        cmocka_unit_test(fastest_is_chosen_and_isolation_among_equals),
        cmocka_unit_test(overlap_is_no_difference),
        cmocka_unit_test(noise_has_no_verdict),
        cmocka_unit_test(numbers_are_grouped),
    };

    return cmocka_run_group_tests_name("numbers", tests, NULL, NULL);
}
