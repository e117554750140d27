/* test_team_expose.c: how much an owner exposes when it is asked for work. The test is
 * the thief: a team of one thread has no other. */
#include "team/team.h"
#include "team_works.h"

static long leaf(struct mu_job *j, long i);
MU_FORKABLE(long, leaf, long)
static long leaf(struct mu_job *j, long i)
{
    (void)j;
    return i;
}

static struct mui_range range_of(struct mui_seat *seat)
{
    return mui_range_of(
        atomic_load_explicit(&seat->range, memory_order_relaxed));
}

/* Take all that is exposed, and have the owner run it at its joins. */
static uint32_t take_exposed(struct mui_seat *seat)
{
    struct mui_range r = range_of(seat);
    struct mu_job *job;

    while ((job = mui_seat_steal(seat, 0)))
        mui_job_return(job);
    return r.split - r.tail;
}

/* Fork a hundred times; then be asked before every second fork. */
static void expect_shares(struct mu_team *team, const uint32_t *expected,
                          int n_expected)
{
    struct mu_job *j = team_enter(team);
    struct mui_seat *seat = mui_seat_of(j);
    long n_forks = 0;
    long sum = 0;

    assert_int_equal(take_exposed(seat), 0);
    while (n_forks < 100)
        mu_fork(j, leaf, n_forks++);
    assert_int_equal(take_exposed(seat), 0); /* nobody has asked */
    for (int i = 0; i < n_expected; i++) {
        mui_seat_ask(seat);
        mu_fork(j, leaf, n_forks++);
        assert_int_equal(take_exposed(seat), expected[i]);
        mu_fork(j, leaf, n_forks++);
        assert_int_equal(take_exposed(seat), 0); /* once a request */
    }
    for (long i = 0; i < n_forks; i++)
        sum += mu_join(j, leaf);
    assert_int_equal(sum, n_forks * (n_forks - 1) / 2);
    assert_int_equal(mu_team_leave(j), 0);
}

/* One, the oldest, the first eight times of a piece of work; then twice as many each
 * eight times, and never more than half. Each piece of work begins anew. */
static void exposure_doubles_up_to_half(void **state)
{
    static const uint32_t shares[] = {1, 1, 1, 1, 1, 1, 1, 1, 2,  2,  2, 2,
                                      2, 2, 2, 2, 4, 4, 4, 4, 4,  4,  4, 4,
                                      8, 8, 8, 8, 8, 8, 8, 8, 16, 16, 9, 5};
    struct mu_team *team = team_of(1);

    (void)state;
    for (int round = 0; round < 3; round++)
        expect_shares(team, shares, sizeof shares / sizeof shares[0]);
    mu_team_close(team);
}

/* What was exposed and not taken comes back half at a time. */
static void owner_takes_back_half(void **state)
{
    enum { N = 20 };
    struct mu_team *team = team_of(1);
    struct mu_job *j = team_enter(team);
    struct mui_seat *seat = mui_seat_of(j);
    long n_forks = 0;
    long sum = 0;

    (void)state;
    while (n_forks < N - 1)
        mu_fork(j, leaf, n_forks++);
    seat->n_exposed = 100; /* as in work that was asked often */
    mui_seat_ask(seat);
    mu_fork(j, leaf, n_forks++);
    assert_int_equal(range_of(seat).split - MUI_FIRST_SLOT, N / 2);
    for (int i = 0; i < N / 2; i++)
        sum += mu_join(j, leaf);
    assert_int_equal(range_of(seat).split - MUI_FIRST_SLOT, N / 2);
    sum += mu_join(j, leaf); /* slot 9 of 0 to 9 */
    assert_int_equal(range_of(seat).split - MUI_FIRST_SLOT, 4);
    while (j != mui_slot(seat, MUI_FIRST_SLOT))
        sum += mu_join(j, leaf);
    assert_int_equal(sum, N * (N - 1) / 2);
    assert_int_equal(mu_team_leave(j), 0);
    mu_team_close(team);
}

/* Forked later is exposed later: a thief gets the oldest. */
static void thief_gets_the_oldest(void **state)
{
    struct mu_team *team = team_of(1);
    struct mu_job *j = team_enter(team);
    struct mui_seat *seat = mui_seat_of(j);
    struct mu_job *job;
    long sum = 0;

    (void)state;
    seat->n_exposed = 100; /* as in work that was asked often */
    mu_fork(j, leaf, 1);
    mu_fork(j, leaf, 2);
    mui_seat_ask(seat);
    mu_fork(j, leaf, 3);
    assert_int_equal(range_of(seat).split, MUI_FIRST_SLOT + 2);
    mui_seat_ask(seat);
    mu_fork(j, leaf, 4); /* those are still exposed: nothing more is */
    assert_int_equal(range_of(seat).split, MUI_FIRST_SLOT + 2);
    assert_null(mui_seat_steal(seat, MUI_FIRST_SLOT + 1));
    job = mui_seat_steal(seat, MUI_FIRST_SLOT);
    assert_ptr_equal(job, mui_slot(seat, MUI_FIRST_SLOT));
    mui_job_return(job);
    for (int i = 0; i < 4; i++)
        sum += mu_join(j, leaf);
    assert_int_equal(sum, 10);
    assert_int_equal(mu_team_leave(j), 0);
    mu_team_close(team);
}

/* Work that lived long lets its successor begin with an exposed fork, though nobody
 * asked for any of it. */
static void long_work_is_expected_after_long_work(void **state)
{
    struct mu_team *team = team_of(1);

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct mu_job *j = team_enter(team);
        int64_t until = mu_now_ns() + MUI_LONG_WORK_NS;

        assert_true(mui_seat_of(j)->expects_long);
        while (mu_now_ns() < until)
            ;
        assert_int_equal(mu_team_leave(j), 0);
    }
    mu_team_close(team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exposure_doubles_up_to_half),
        cmocka_unit_test(owner_takes_back_half),
        cmocka_unit_test(thief_gets_the_oldest),
        cmocka_unit_test(long_work_is_expected_after_long_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
