/* test_error.c: statuses and errors in words. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/signal.h"

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

/* As `kill -l` has them; the C library keeps those between the two kinds. */
static void signals_are_called_what_the_shell_calls_them(void **state)
{
    const struct {
        int signal;
        const char *name;
    } names[] = {
        {SIGSEGV, "SIGSEGV"},
        {SIGRTMIN, "SIGRTMIN"},
        {SIGRTMIN + 1, "SIGRTMIN+1"},
        {SIGRTMIN + 15, "SIGRTMIN+15"},
        {SIGRTMAX - 14, "SIGRTMAX-14"},
        {SIGRTMAX - 1, "SIGRTMAX-1"},
        {SIGRTMAX, "SIGRTMAX"},
        {SIGRTMIN - 1, "SIG33"},
        {SIGRTMAX + 1, "SIG65"},
        {0, "SIG0"},
        {-1, "SIG-1"},
    };
    char text[MUI_SIGNAL_NAME];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_string_equal(mui_signal_name(names[i].signal, text),
                            names[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_text_knows_every_kind),
        cmocka_unit_test(fail_appends_errno_text),
        cmocka_unit_test(fail_cuts_long_text),
        cmocka_unit_test(fail_accepts_no_error),
        cmocka_unit_test(signals_are_called_what_the_shell_calls_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
