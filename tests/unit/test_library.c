/* test_library.c: libraries that are loaded when they are needed. Loads pass here by the
 * linker's help (--wrap, CMakeLists.txt). */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
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

/* Whether the next load waits until another thread has tried one; whether it has. */
static bool wants_other;
static bool had_other;

static void *load_absent(void *unused)
{
    (void)mui_library_load(&absent_library);
    return unused;
}

/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
__attribute__((weak)) /* not there without --wrap */
void *
__real_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags);

void *__wrap_dlopen(const char *name, int flags)
{
    enum { PATIENCE_S = 10 }; /* only who is never let in takes so long */
    struct timespec end;
    pthread_t thread;

    if (wants_other) {
        wants_other = false;
        (void)clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec += PATIENCE_S;
        assert_int_equal(pthread_create(&thread, NULL, load_absent, NULL), 0);
        had_other = pthread_timedjoin_np(thread, NULL, &end) == 0;
    }
    return __real_dlopen(name, flags);
}
/* NOLINTEND(readability-identifier-naming) */

/* The linker's lock is taken before ours: the constructor of a library that somebody loads
 * meanwhile may want one too. */
static void others_load_during_a_load(void **state)
{
    (void)state;
    if (!__real_dlopen)
        skip();
    wants_other = true;
    (void)mui_library_load(&absent_library);
    assert_true(had_other);
}

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
        cmocka_unit_test(others_load_during_a_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
