/* test_logs.c: the joblog there and back, quoting, tags, names of results, the
 * table of tasks under way, what a C file wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flight.h"
#include "joblog.h"
#include "output.h"
#include "results.h"
#include "text.h"
#include "wanted.h"

#define HEADER                                                                 \
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\t"       \
    "Command\n"
#define LINE(seq, exit, signal)                                                \
#    seq "\t:\t1.000\t     0.000\t0\t2\t" #    exit "\t" #    signal "\techo\n"

static void line_has_the_columns_of_parallel(void **state)
{
    struct ended e = {
        .seq = 3,
        .line = "echo a\nb",
        .line_size = 8,
        .status = MU_FAILED,
        .code = 2,
        .out_size = 5,
        .start_ns = INT64_C(1795228194179000000),
        .run_ns = 3456789,
    };
    struct text line = {0};

    (void)state;
    joblog_format(&e, &line);
    assert_int_equal(line.size, sizeof "3\t:\t1795228194.179\t     0.003\t0\t5"
                                       "\t2\t0\techo a\0b\n" -
                                    1);
    assert_memory_equal(line.data,
                        "3\t:\t1795228194.179\t     0.003\t0\t5\t2\t0"
                        "\techo a\0b\n",
                        line.size);
    text_fini(&line);
}

static void resume_counts_every_whole_record(void **state)
{
    static const char log[] =
        HEADER LINE(1, 0, 0) LINE(3, 1, 0) LINE(4, 0, 9) "5\t:\t1.000";
    struct seq_set run = {0};

    (void)state;
    assert_int_equal(
        joblog_parse("log", log, sizeof log - 1, RESUME_UNFINISHED, &run),
        sizeof log - 1 - strlen("5\t:\t1.000"));
    assert_true(seq_set_has(&run, 1));
    assert_false(seq_set_has(&run, 2));
    assert_true(seq_set_has(&run, 3));
    assert_true(seq_set_has(&run, 4));
    assert_false(seq_set_has(&run, 5));
    seq_set_fini(&run);
}

static void resume_failed_counts_the_last_word(void **state)
{
    static const char log[] = HEADER LINE(900, 1, 0) LINE(1, 0, 0) LINE(2, 1, 0)
        LINE(3, 0, 11) LINE(2, 0, 0) LINE(4, 0, 0) LINE(4, 5, 0);
    struct seq_set run = {0};

    (void)state;
    assert_true(joblog_parse("log", log, sizeof log - 1, RESUME_FAILED, &run) >
                0);
    assert_true(seq_set_has(&run, 1));
    assert_true(seq_set_has(&run, 2));
    assert_false(seq_set_has(&run, 3));
    assert_false(seq_set_has(&run, 4));
    assert_false(seq_set_has(&run, 900));
    seq_set_fini(&run);
}

static void lines_of_something_else_are_refused(void **state)
{
    static const char *const logs[] = {
        HEADER "hello\n",
        HEADER "1\t2\n",
        HEADER "0\t:\t1\t1\t1\t1\t0\t0\tx\n",
        HEADER "1x\t:\t1\t1\t1\t1\t0\t0\tx\n",
        HEADER " 1\t:\t1\t1\t1\t1\t0\t0\tx\n",
        HEADER "-1\t:\t1\t1\t1\t1\t0\t0\tx\n",
        HEADER "/\t:\t1\t1\t1\t1\t0\t0\tx\n",
        HEADER "1000000001\t:\t1\t1\t1\t1\t0\t0\tx\n", /* JOBLOG_SEQ_MAX + 1 */
        HEADER "99999999999999999999999\t:\t1\t1\t1\t1\t0\t0\tx\n",
        "root:x:0:0\n",
    };
    struct seq_set run = {0};

    (void)state;
    for (size_t i = 0; i < sizeof logs / sizeof logs[0]; i++)
        assert_int_equal(joblog_parse("log", logs[i], strlen(logs[i]),
                                      RESUME_UNFINISHED, &run),
                         -1);
    seq_set_fini(&run);
}

static void check_shell(const char *bytes, const char *expected)
{
    struct text t = {0};

    text_put_shell(&t, bytes, strlen(bytes));
    assert_string_equal(text_string(&t), expected);
    text_fini(&t);
}

static void shell_quotes_are_those_of_parallel(void **state)
{
    (void)state;
    check_shell("", "''");
    check_shell("a-b_c.d+e/F9", "a-b_c.d+e/F9");
    check_shell("a b", "'a b'");
    check_shell("c'd", "'c'\"'\"'d'");
    check_shell("'", "\"'\"");
    check_shell("''", "\"'\"''\"'\"");
    check_shell("'a'", "\"'\"'a'\"'\"");
}

static void json_is_always_unicode(void **state)
{
    struct text t = {0};
    static const char bytes[] = "a\"\\\n\x01\xc3\xa9\xff\xe2\x82";

    (void)state;
    text_put_json(&t, bytes, sizeof bytes - 1);
    assert_string_equal(
        t.data, "\"a\\\"\\\\\\u000a\\u0001\xc3\xa9\\ufffd\\ufffd\\ufffd\"");
    text_fini(&t);
}

static void tag_stands_before_each_line(void **state)
{
    struct text t = {0};

    (void)state;
    output_put_tagged(&t, "x", 1, "a\n\nb", 4);
    assert_string_equal(t.data, "x\ta\nx\t\nx\tb");
    text_clear(&t);
    output_put_tagged(&t, "x", 1, "", 0);
    assert_string_equal(t.data, "");
    text_fini(&t);
}

static void names_of_results_are_escaped(void **state)
{
    struct text t = {0};

    (void)state;
    results_put_directory(&t, "a/b\\c\td\0e", 9);
    assert_string_equal(t.data, "a\\_b\\\\c\\td\\0e");
    text_fini(&t);
}

/* Random arrivals and departures against the plain truth of an array. */
static void flights_are_found_until_they_are_removed(void **state)
{
    enum { N = 5000 };
    static struct flight *here[N];
    struct flights f = {0};
    unsigned seed = 1;
    size_t next = 0;

    (void)state;
    while (next < N) {
        size_t i;

        seed = seed * 1103515245 + 12345;
        i = (seed >> 8) % N;
        if (seed >> 28 < 9 || i >= next || !here[i]) {
            here[next] = flights_add(&f, next);
            next++;
        } else {
            flights_remove(&f, here[i]);
            here[i] = NULL;
        }
    }
    for (size_t i = 0; i < N; i++)
        assert_ptr_equal(flights_find(&f, i), here[i]);
    for (struct flight *l = f.first; l && l->next; l = l->next)
        assert_true(l->seq < l->next->seq);
    flights_fini(&f);
}

static void c_file_says_what_it_wants(void **state)
{
    static const char source[] =
        "// muster: pkg-config=libcrypto link=-lm\n"
        "int x; /* muster:\n * cflags=\"-O3 -DX\" pkg-config=zlib */\n"
        "/* no muster: here=1 */\n";
    struct wanted w;

    (void)state;
    assert_int_equal(wanted_read("f.c", source, sizeof source - 1, &w), 0);
    assert_string_equal(w.pkg_config.data, "libcrypto zlib ");
    assert_string_equal(w.link.data, "-lm ");
    assert_string_equal(w.cflags.data, "-O3 -DX ");
    wanted_fini(&w);
}

/* A program may print what would be a wish in a comment. */
static void literals_hold_no_wish(void **state)
{
    static const char source[] =
        "const char *a = \"// muster: no=1\", *b = \"/* muster: no=2\";\n"
        "char c = '\"'; /* muster: link=-lc */\n"
        "char d = '\\''; // muster: link=-ld\n"
        "const char *e = \"\\\"// muster: no=3\"; // muster: link=-le\n"
        "const char *f = R\"x(\" // muster: no=4\n"
        ")\" /* muster: no=5 */ )x\"; // muster: link=-lf\n"
        "int g = 1'000; // muster: link=-lg\n"
        "#error don't\n// muster: link=-lh\n"
        "const char *i = u8\"http://x\"; /* a *//* muster: link=-li */\n"
        "const char *j = \"muster: no=6 \\\n /* muster: no=7\";\n"
        "// muster: link=-lj\n"
        "#error can't /* muster: link=-lk */\n"
        "const char *l = R\"x(";
    struct wanted w;

    (void)state;
    assert_int_equal(wanted_read("f.c", source, sizeof source - 1, &w), 0);
    assert_string_equal(w.link.data, "-lc -ld -le -lf -lg -lh -li -lj -lk ");
    wanted_fini(&w);
}

static void unknown_wish_is_refused(void **state)
{
    static const char source[] = "/* muster: libs=-lm */";
    struct wanted w;

    (void)state;
    assert_int_equal(wanted_read("f.c", source, sizeof source - 1, &w), -1);
    wanted_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_has_the_columns_of_parallel),
        cmocka_unit_test(resume_counts_every_whole_record),
        cmocka_unit_test(resume_failed_counts_the_last_word),
        cmocka_unit_test(lines_of_something_else_are_refused),
        cmocka_unit_test(shell_quotes_are_those_of_parallel),
        cmocka_unit_test(json_is_always_unicode),
        cmocka_unit_test(tag_stands_before_each_line),
        cmocka_unit_test(names_of_results_are_escaped),
        cmocka_unit_test(flights_are_found_until_they_are_removed),
        cmocka_unit_test(c_file_says_what_it_wants),
        cmocka_unit_test(literals_hold_no_wish),
        cmocka_unit_test(unknown_wish_is_refused),
    };

    return cmocka_run_group_tests_name("logs", tests, NULL, NULL);
}
