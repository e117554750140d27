/* only.c: TEST_ONLY=PATTERN, with * and ?, runs the tests of such names alone. It is
 * linked into every test program. */
#include "support/check.h"

__attribute__((constructor)) static void run_only_these(void)
{
    const char *pattern = getenv("TEST_ONLY");

    if (pattern)
        cmocka_set_test_filter(pattern);
}
