/* test_distance.c: what the times of loads say of where the other side runs. */
#include "support/check.h"
#include "sync/distance.h"

enum { SHORT_NS = MUI_DISTANCE_FAR_NS, LONG_NS = MUI_DISTANCE_FAR_NS + 1 };

static void note(struct mui_distance *d, int n, int64_t ns)
{
    for (int i = 0; i < n; i++)
        mui_distance_note(d, ns);
}

static void near_until_enough_loads_took_long(void **state)
{
    struct mui_distance d = {.is_far = false};

    (void)state;
    note(&d, MUI_DISTANCE_VOTES - 1, LONG_NS);
    assert_false(d.is_far);
    note(&d, 1, LONG_NS);
    assert_true(d.is_far);
}

static void far_until_as_many_were_short(void **state)
{
    struct mui_distance d = {.is_far = false};

    (void)state;
    note(&d, 1000, LONG_NS);
    note(&d, MUI_DISTANCE_VOTES - 1, SHORT_NS);
    assert_true(d.is_far);
    note(&d, 1, SHORT_NS);
    assert_false(d.is_far);
}

/* A thread that is taken off its CPU in the midst of a load, or finds the line there by
 * luck, is not taken for another place. */
static void one_that_is_out_of_line_changes_nothing(void **state)
{
    struct mui_distance d = {.is_far = false};

    (void)state;
    for (int i = 0; i < 1000; i++) {
        note(&d, 2, SHORT_NS);
        note(&d, 1, INT64_C(1000000000));
        assert_false(d.is_far);
    }
    note(&d, 1000, LONG_NS);
    for (int i = 0; i < 1000; i++) {
        note(&d, 1, SHORT_NS - 1000); /* the clock took longer than the load */
        note(&d, 2, LONG_NS);
        assert_true(d.is_far);
    }
}

static void load_tells_of_changed_words_alone(void **state)
{
    struct mui_distance d = {.is_far = false};
    _Atomic uint64_t word = 7;

    (void)state;
    d.n_votes = 2; /* neither way is at its end */
    assert_int_equal(mui_distance_load(&d, &word, 7), 7);
    assert_int_equal(d.n_votes, 2);
    assert_int_equal(mui_distance_load(&d, &word, 6), 7);
    assert_int_not_equal(d.n_votes, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(near_until_enough_loads_took_long),
        cmocka_unit_test(far_until_as_many_were_short),
        cmocka_unit_test(one_that_is_out_of_line_changes_nothing),
        cmocka_unit_test(load_tells_of_changed_words_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
