/* test_template.c: replacement strings mean what they mean to GNU parallel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "template.h"

static struct template *read_words(char **words, size_t n)
{
    struct template *t = NULL;
    size_t size = 0;

    assert_int_equal(template_read(words, n, 0, &t, &size), 0);
    return t;
}

static void check_line(char **words, size_t n, const char *input,
                       const char *expected)
{
    struct template *t = read_words(words, n);
    struct template_values v = {
        .input = input, .input_size = strlen(input), .seq = 7, .slot = 2};
    struct text line = {0};

    template_show(t, &v, &line);
    assert_string_equal(text_string(&line), expected);
    text_fini(&line);
    free(t);
}

#define CHECK(input, expected, ...)                                            \
    do {                                                                       \
        char *words_[] = {__VA_ARGS__};                                        \
        check_line(words_, sizeof words_ / sizeof words_[0], input, expected); \
    } while (0)

static void replacements_are_those_of_parallel(void **state)
{
    (void)state;
    CHECK("a/b.c.d", "echo a/b.c.d a/b.c b.c.d a b.c 7 2", "echo", "{}", "{.}",
          "{/}", "{//}", "{/.}", "{#}", "{%}");
    CHECK("/x", "echo /x /x x / x", "echo", "{}", "{.}", "{/}", "{//}", "{/.}");
    CHECK("/x/y.", "echo /x/y y. /x y", "echo", "{.}", "{/}", "{//}", "{/.}");
    CHECK(".hid", "echo '' .hid . ''", "echo", "{.}", "{/}", "{//}", "{/.}");
    CHECK("x/", "echo x/ '' . ''", "echo", "{.}", "{/}", "{//}", "{/.}");
    CHECK("", "echo '' '' '' . ''", "echo", "{}", "{.}", "{/}", "{//}", "{/.}");
    CHECK("sub.dir/bar", "echo sub.dir/bar", "echo", "{.}");
}

static void input_is_appended_when_it_is_not_named(void **state)
{
    (void)state;
    CHECK("a b", "echo x 'a b'", "echo", "x");
    CHECK("a b", "echo x | cat 'a b'", "echo x | cat");
    CHECK("a b", "echo 7", "echo", "{#}");
}

static void shell_line_has_quoted_values(void **state)
{
    (void)state;
    CHECK("it's", "echo 'it'\"'\"'s' | wc", "echo {} | wc");
    CHECK("a b", "a b", "{}");
}

static void other_braces_stay(void **state)
{
    (void)state;
    CHECK("a", "echo '{x}' '{' '}' a", "echo", "{x}", "{", "}");
    CHECK("a/b.c", "echo b", "echo", "{1/.}");
}

static void what_cannot_be_replaced_is_refused(void **state)
{
    char *perl[] = {"echo", "{= s/a/b/ =}"};
    char *second[] = {"echo", "{2}"};
    struct template *t;
    size_t size;

    (void)state;
    assert_int_equal(template_read(perl, 2, 0, &t, &size), -1);
    assert_int_equal(template_read(second, 2, 0, &t, &size), -1);
}

static void fill_gives_words_with_zeros(void **state)
{
    char *words[] = {"echo", "<{}>", "{#}"};
    struct template *t = read_words(words, 3);
    struct template_values v = {.input = "a b", .input_size = 3, .seq = 12};
    struct text filled = {0};

    (void)state;
    template_fill(t, &v, &filled);
    assert_int_equal(filled.size, sizeof "echo\0<a b>\00012");
    assert_memory_equal(filled.data, "echo\0<a b>\00012", filled.size);
    text_fini(&filled);
    free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replacements_are_those_of_parallel),
        cmocka_unit_test(input_is_appended_when_it_is_not_named),
        cmocka_unit_test(shell_line_has_quoted_values),
        cmocka_unit_test(other_braces_stay),
        cmocka_unit_test(what_cannot_be_replaced_is_refused),
        cmocka_unit_test(fill_gives_words_with_zeros),
    };

    return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
