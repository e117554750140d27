/* test_starts.c: when a pool tries to start workers again, and when it gives up: traces,
 * with a clock of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "layer/starts.h"

static const int64_t ms = 1000 * 1000;
static const int64_t begin = 5; /* any time */

/* Fail as soon as it may be tried, until it is hopeless; no more often than n_max. Returns
 * when. */
static int64_t fail_on(struct mui_starts *s, bool any_up, int64_t now,
                       unsigned n_max)
{
    for (unsigned i = 0; i < n_max && !s->hopeless; i++) {
        if (s->not_before_ns > now) {
            assert_false(mui_starts_may(s, s->not_before_ns - 1));
            now = s->not_before_ns;
        }
        assert_true(mui_starts_may(s, now));
        mui_starts_failed(s, any_up, now);
    }
    return now;
}

static void pool_without_a_first_worker_gives_up_soon(void **state)
{
    struct mui_starts s = {.succeeded = false};
    int64_t end;

    (void)state;
    end = fail_on(&s, false, begin, 1000);
    assert_true(s.hopeless);
    assert_int_equal(s.n_failures, 10);
    assert_int_equal(end - begin, 511 * ms); /* 1 + 2 + ... + 256 */
    assert_false(mui_starts_may(&s, INT64_MAX));
}

static void pool_that_had_one_gives_up_late(void **state)
{
    struct mui_starts s = {.succeeded = false};
    int64_t end;

    (void)state;
    (void)fail_on(&s, false, begin, 9);
    assert_false(s.hopeless);
    mui_starts_succeeded(&s);
    assert_true(mui_starts_may(&s, begin));
    end = fail_on(&s, false, begin, 1000);
    assert_true(s.hopeless);
    assert_in_range(end - begin, 30000 * ms, 31000 * ms);
    assert_in_range(s.n_failures, 30, 50); /* the longest pause is a second */
}

static void pool_that_has_one_goes_on(void **state)
{
    struct mui_starts s = {.succeeded = false};
    int64_t alone;
    int64_t end;

    (void)state;
    mui_starts_succeeded(&s);
    alone = fail_on(&s, true, begin, 100000);
    assert_false(s.hopeless);
    end = fail_on(&s, false, alone, 1000); /* now it has none */
    assert_true(s.hopeless);
    assert_in_range(end - alone, 30000 * ms, 31000 * ms);
}

static void success_is_a_new_beginning(void **state)
{
    struct mui_starts s = {.succeeded = false};
    int64_t end = begin;

    (void)state;
    mui_starts_succeeded(&s);
    for (int i = 0; i < 10; i++) {
        end = fail_on(&s, false, end, 35);
        assert_false(s.hopeless);
        mui_starts_succeeded(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool_without_a_first_worker_gives_up_soon),
        cmocka_unit_test(pool_that_had_one_gives_up_late),
        cmocka_unit_test(pool_that_has_one_goes_on),
        cmocka_unit_test(success_is_a_new_beginning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
