/* test_library.c: libraries that are loaded when they are needed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/library.h"

int in_no_library(void);

#define C_FUNCTIONS(F)                                                         \
    F(getppid)                                                                 \
    F(getpid)
#define OTHER_FUNCTIONS(F)                                                     \
    F(getpid)                                                                  \
    F(in_no_library)
MUI_LIBRARY(c_library, c, "libc.so.6", C_FUNCTIONS);
MUI_LIBRARY(absent_library, absent, "libmuster-absent.so.1", C_FUNCTIONS);
MUI_LIBRARY(other_library, other, "libc.so.6", OTHER_FUNCTIONS);

static void functions_are_found_by_name(void **state)
{
    (void)state;
    assert_int_equal(mui_library_load(&c_library), 0);
    assert_int_equal(c.getpid(), getpid());
    assert_int_equal(c.getppid(), getppid());
    assert_int_equal(mui_library_load(&c_library), 0);
}

static void absent_one_is_said(void **state)
{
    (void)state;
    assert_int_equal(mui_library_load(&absent_library), -ELIBACC);
    assert_int_equal(mui_library_load(&absent_library), -ELIBACC);
    assert_null(absent.getpid);
}

static void one_that_lacks_a_function_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mui_library_load(&other_library), -ELIBACC);
    assert_false(atomic_load(&other_library.loaded));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_found_by_name),
        cmocka_unit_test(absent_one_is_said),
        cmocka_unit_test(one_that_lacks_a_function_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
