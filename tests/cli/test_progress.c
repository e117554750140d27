/* test_progress.c: the line that is drawn while tasks run, of figures that are given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "progress.h"

#define SECONDS(n) (INT64_C(1000000000) * (n))

static const char *line_after(int64_t seconds, const struct progress_state *s)
{
    static char line[PROGRESS_WIDTH_DEFAULT + 1];
    const struct progress p = {.bar = 1, .start_ns = SECONDS(5)};
    struct text t = {0};

    progress_format(&p, s, SECONDS(5 + seconds), PROGRESS_WIDTH_DEFAULT, &t);
    assert_in_range(t.size, 1, sizeof line - 1);
    memcpy(line, t.data, t.size + 1);
    text_fini(&t);
    return line;
}

static void has(const char *line, const char *part)
{
    if (!strstr(line, part))
        fail_msg("no '%s' in: %s", part, line);
}

/* 100 % is all, and a share that can be told is told exactly. */
static void share_is_not_rounded_up(void **state)
{
    struct progress_state s = {.n_total = 1000, .n_ended = 999};

    (void)state;
    has(line_after(10, &s), " 99% [");
    has(line_after(10, &s), "] 999/1000 done, ");
    s.n_ended = 1000;
    has(line_after(10, &s), "100% [");
    for (unsigned percent = 0; percent < 100; percent++) {
        char wanted[8];

        s = (struct progress_state){.n_total = 100, .n_ended = percent};
        (void)snprintf(wanted, sizeof wanted, "%3u%% [", percent);
        has(line_after(10, &s), wanted);
    }
}

/* What an earlier run has done is done, and says nothing of how fast this one is. */
static void rate_is_of_this_run(void **state)
{
    const struct progress_state s = {
        .n_total = 1000, .n_before = 800, .n_ended = 100};
    const struct progress_state just_begun = {.n_total = 1000, .n_before = 800};

    (void)state;
    has(line_after(10, &s), " 90% [");
    has(line_after(10, &s), "] 900/1000 done, 10/s, 10s left");
    has(line_after(10, &just_begun), "] 800/1000 done, 0.0/s");
    assert_null(strstr(line_after(10, &just_begun), "left"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(share_is_not_rounded_up),
        cmocka_unit_test(rate_is_of_this_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
