/* test_clock.c: the processor's counter tells the time. */
#include "muster/base.h"

#include "support/check.h"
#include "sys/clock.h"

static void clock_is_near_and_never_ahead(void **state)
{
    /* an interruption lies between `before` and `after` */
    enum { N = 200000, NEAR_NS = 5000 };
    struct mui_clock clock = {0};
    int64_t last = 0;

    (void)state;
    for (int i = 0; i < N; i++) {
        int64_t before = mu_now_ns();
        int64_t now = mui_clock_now(&clock);
        int64_t after = mu_now_ns();

        assert_true(now >= last);
        assert_in_range(now, before - NEAR_NS, after);
        last = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock_is_near_and_never_ahead),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
