/* test_error.c: statuses and errors in words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static void status_text_knows_every_kind(void **state)
{
    (void)state;
    assert_string_equal(mu_status_text(MU_FULL), "no room now");
    assert_string_equal(mu_status_text(-EACCES), "Permission denied");
    assert_string_equal(mu_status_text(MU_EINIT),
                        "mu_init() was not called in time");
    assert_string_equal(mu_status_text(99), "unknown status");
    assert_string_equal(mu_status_text(-5000), "unknown status");
}

static void fail_appends_errno_text(void **state)
{
    struct mu_error err;

    (void)state;
    assert_int_equal(mui_fail(&err, -ENOENT, "open %s", "x"), -ENOENT);
    assert_string_equal(err.text, "open x: No such file or directory");
    assert_int_equal(err.code, -ENOENT);
}

static void fail_cuts_long_text(void **state)
{
    struct mu_error err;
    char text[1000];

    (void)state;
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(mui_fail(&err, -ENOENT, "%s", text), -ENOENT);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void fail_accepts_no_error(void **state)
{
    (void)state;
    assert_int_equal(mui_fail(NULL, MU_EMODEL, "x"), MU_EMODEL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_text_knows_every_kind),
        cmocka_unit_test(fail_appends_errno_text),
        cmocka_unit_test(fail_cuts_long_text),
        cmocka_unit_test(fail_accepts_no_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
