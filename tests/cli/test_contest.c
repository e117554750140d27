/* test_contest.c: the table of `muster compare`, of figures that are given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "contest.h"

enum { N_ROUNDS = 3 };

static struct contender *add(struct contest *c, const char *model, double rate)
{
    struct contender *m = contest_add(c, model, N_ROUNDS);

    for (size_t i = 0; i < N_ROUNDS; i++) {
        m->rates[i] = rate;
        m->cpu_seconds[i] = 1;
        m->peak_bytes[i] = 3 << 20;
        m->switches[i] = 1325060;
    }
    m->full = text_copy(model);
    return m;
}

static struct contest contest_of_rounds(void)
{
    return (struct contest){.n_rounds = N_ROUNDS, .n_tasks = 10};
}

/* What the table, or the JSON, is. Takes *c. */
static const char *shown(struct contest *c, int is_json)
{
    static char page[4096];
    struct text t = {0};

    if (is_json)
        contest_put_json(&t, c);
    else
        contest_put(&t, c, 1);
    assert_in_range(t.size, 1, sizeof page - 1);
    memcpy(page, t.data, t.size + 1);
    text_fini(&t);
    contest_fini(c);
    return page;
}

static void has(const char *page, const char *part)
{
    if (!strstr(page, part))
        fail_msg("no '%s' in:\n%s", part, page);
}

static void counts_are_whole_numbers(void **state)
{
    struct contest c = contest_of_rounds();
    struct contender *m = add(&c, "serial", 100);
    const char *page;

    (void)state;
    m->peak_bytes[0] = 1325060;
    page = shown(&c, 1);
    has(page, "\"peak_pss_bytes\":{\"median\":3145728,\"min\":1325060,"
              "\"max\":3145728}");
    has(page, "\"context_switches\":{\"median\":1325060,\"min\":1325060,");
}

/* Rounds that were over before there was a look at their memory. */
static void memory_is_of_rounds_that_know(void **state)
{
    struct contest c = contest_of_rounds();
    struct contender *m = add(&c, "serial", 100);

    (void)state;
    m->peak_bytes[0] = m->peak_bytes[2] = 0;
    has(shown(&c, 0), "    1.00    3.00 1,325,060\n");
    c = contest_of_rounds();
    m = add(&c, "serial", 100);
    m->peak_bytes[0] = m->peak_bytes[1] = m->peak_bytes[2] = 0;
    has(shown(&c, 0), "    1.00       - 1,325,060\n");
    c = contest_of_rounds();
    m = add(&c, "serial", 100);
    m->peak_bytes[0] = m->peak_bytes[1] = m->peak_bytes[2] = 0;
    has(shown(&c, 1), "\"peak_pss_bytes\":null,");
}

static void one_model_has_no_verdict(void **state)
{
    struct contest c = contest_of_rounds();

    (void)state;
    (void)add(&c, "serial", 100);
    has(shown(&c, 0), "\nNo verdict: no other model was run.\n");
}

/* Nor is it called the fastest. */
static void last_model_is_not_compared(void **state)
{
    struct contest c = contest_of_rounds();

    (void)state;
    (void)add(&c, "serial", 100);
    text_put(&add(&c, "threads:2", 900)->broke, "broke off in round 1: x");
    has(shown(&c, 0), "\nthreads:2             broke off in round 1: x\n"
                      "Take serial: it is the only one that is left.\n");
}

/* Its rounds before that count for nothing. */
static void model_that_broke_has_no_figures(void **state)
{
    struct contest c = contest_of_rounds();
    const char *page;

    (void)state;
    text_put(&add(&c, "serial", 900)->broke, "broke off in round 3: x");
    (void)add(&c, "threads:2", 100);
    (void)add(&c, "processes:2", 50);
    page = shown(&c, 1);
    has(page, "{\"model\":\"serial\",\"per_second\":null,\"cpu_seconds\":null,"
              "\"peak_pss_bytes\":null,\"context_switches\":null,\"failed\":0,"
              "\"error\":\"broke off in round 3: x\"}");
    has(page, "\"take\":\"threads:2\",\"why\":\"Take threads:2: it is the "
              "fastest;");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_whole_numbers),
        cmocka_unit_test(memory_is_of_rounds_that_know),
        cmocka_unit_test(one_model_has_no_verdict),
        cmocka_unit_test(last_model_is_not_compared),
        cmocka_unit_test(model_that_broke_has_no_figures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
