/* test_copy.c: the copy past the caches is a copy, wherever it begins and ends. */
#include <string.h>

#include "support/check.h"
#include "sys/copy.h"

enum { LINE = 64, SIZES = 5 * LINE, ROOM = SIZES + 4 * LINE };

static void every_size_from_every_place(void **state)
{
    static _Alignas(LINE) unsigned char to[ROOM];
    static unsigned char from[ROOM];

    (void)state;
    for (size_t k = 0; k < ROOM; k++)
        from[k] = (unsigned char)(k * 7 + 1);
    for (size_t size = 0; size < SIZES; size++) {
        for (size_t at = 0; at < LINE; at++) {
            size_t i_from = (at * 5 + size) % LINE;
            unsigned char *t = to + LINE + at;

            memset(to, 0xee, sizeof to);
            mui_copy_to_memory(t, from + i_from, size);
            assert_memory_equal(t, from + i_from, size);
            assert_int_equal(t[-1], 0xee);
            assert_int_equal(t[size], 0xee);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_from_every_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
