/* test_visible.c: control characters in what is said to people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "visible.h"

static void control_characters_are_shown(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *shown;
    } cases[] = {
        {"", 0, ""},
        {"plain 'text' \\n {}", 18, "plain 'text' \\n {}"},
        {"a\nb\tc\r", 6, "a\\nb\\tc\\r"},
        {"\033[1m\x7f\a", 6, "\\033[1m\\177\\a"},
        {"a\0b", 3, "a\\000b"},
        /* U+009F, U+00A0, a letter, a face */
        {"\xc2\x9f", 2, "\\302\\237"},
        {"\xc2\xa0\xc3\xa4\xf0\x9f\x98\x80", 8,
         "\xc2\xa0\xc3\xa4\xf0\x9f\x98\x80"},
        /* no UTF-8, and one that is cut */
        {"\x9b\xff", 2, "\\233\\377"},
        {"\xc3", 1, "\\303"},
        {"\xf0\x9f\x98", 3, "\\360\\237\\230"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct text t = {0};

        visible_put(&t, cases[i].bytes, cases[i].size);
        assert_string_equal(text_string(&t), cases[i].shown);
        text_fini(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_characters_are_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
