/* test_team_cancel.c: a cancelled region starts nothing more, and says so. */
#include <errno.h>
#include <stdatomic.h>

#include "muster/muster.h"

#include "team_works.h"

enum { MY_ERROR = -5555 };

static int one(struct mu_job *j, _Atomic int *n);
MU_FORKABLE(int, one, _Atomic int *)
static int one(struct mu_job *j, _Atomic int *n)
{
    (void)j;
    atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
    return 1;
}

static void cancelled_fork_does_not_run(void **state)
{
    (void)state;
    for (unsigned width = 1; width <= 3; width++) {
        struct mu_team *team = team_of(width);
        struct mu_job *j = team_enter(team);
        _Atomic int n = 0;
        int result = 77;

        assert_int_equal(mu_job_status(j), 0);
        mu_fork(j, one, &n);
        assert_int_equal(mu_join_status(j, one, &result), 0);
        assert_int_equal(result, 1);

        mu_job_cancel(j, MY_ERROR);
        mu_job_cancel(j, -1); /* the first wins */
        result = 77;
        mu_fork(j, one, &n);
        mu_fork(j, one, &n);
        assert_int_equal(mu_join_status(j, one, &result), MY_ERROR);
        assert_int_equal(result, 77);
        assert_int_equal(mu_join(j, one), 0);
        mu_fork(j, one, &n);
        assert_int_equal(mu_unfork(j, one, &result), 0); /* nor by the caller */
        assert_int_equal(result, 0);
        assert_int_equal(n, 1);
        assert_int_equal(mu_job_status(j), MY_ERROR);
        assert_int_equal(mu_team_leave(j), MY_ERROR);

        /* the next region begins anew */
        j = team_enter(team);
        mu_fork(j, one, &n);
        assert_int_equal(mu_join(j, one), 1);
        assert_int_equal(mu_team_leave(j), 0);
        mu_team_close(team);
    }
}

static void count(struct mu_job *j, _Atomic int *n);
MU_FORKABLE_VOID(count, _Atomic int *)
static void count(struct mu_job *j, _Atomic int *n)
{
    (void)j;
    atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

/* One that returns nothing is told of as well. */
static void join_tells_whether_it_ran_without_result(void **state)
{
    struct mu_team *team = team_of(2);
    struct mu_job *j = team_enter(team);
    _Atomic int n = 0;

    (void)state;
    mu_fork(j, count, &n);
    assert_int_equal(mu_join_status(j, count, NULL), 0);
    assert_int_equal(n, 1);
    mu_job_cancel(j, MY_ERROR); /* before it: the other thread may be quick */
    mu_fork(j, count, &n);
    assert_int_equal(mu_join_status(j, count, NULL), MY_ERROR);
    assert_int_equal(n, 1);
    assert_int_equal(mu_team_leave(j), MY_ERROR);
    mu_team_close(team);
}

/* A search: the node with the number `wanted` cancels the rest. */
static int search(struct mu_job *j, long begin, long end, long wanted,
                  _Atomic long *n);
MU_FORKABLE(int, search, long, long, long, _Atomic long *)
static int search(struct mu_job *j, long begin, long end, long wanted,
                  _Atomic long *n)
{
    long middle = begin + (end - begin) / 2;
    int is_found;

    atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
    if (end - begin == 1) {
        if (begin == wanted)
            mu_job_cancel(j, MY_ERROR);
        return begin == wanted;
    }
    mu_fork(j, search, middle, end, wanted, n);
    is_found = search(j, begin, middle, wanted, n);
    return mu_join(j, search) + is_found;
}

static void search_ends_early_at_any_time(void **state)
{
    enum { N_ROUNDS = TEAM_IS_SLOW ? 20 : 300, N = 1 << 15 };
    struct mu_team *team = team_of(4);
    uint64_t seed = team_seed();
    long n_early = 0;

    (void)state;
    for (int round = 0; round < N_ROUNDS; round++) {
        long wanted = (long)(team_random(&seed) % N);
        struct mu_job *j = team_enter(team);
        _Atomic long n = 0;

        (void)search(j, 0, N, wanted, &n);
        assert_int_equal(mu_team_leave(j), MY_ERROR);
        assert_true(n <= 2 * N - 1);
        n_early += n < 2 * N - 1;
    }
    assert_true(n_early > 0);
    mu_team_close(team);
}

static void stop_at(struct mu_job *j, size_t begin, size_t end, size_t wanted,
                    _Atomic size_t *n);
MU_LOOP(stop_at, size_t, _Atomic size_t *)
static void stop_at(struct mu_job *j, size_t begin, size_t end, size_t wanted,
                    _Atomic size_t *n)
{
    atomic_fetch_add_explicit(n, end - begin, memory_order_relaxed);
    if (begin <= wanted && wanted < end)
        mu_job_cancel(j, MY_ERROR);
    /* chunks begin in order, so the one that cancels runs already */
    while (mu_job_status(j) == 0)
        ;
}

static void cancelled_loop_stops(void **state)
{
    enum { N = 1000000, GRAIN = 10 };

    (void)state;
    for (unsigned width = 1; width <= 4; width++) {
        struct mu_team *team = team_of(width);
        struct mu_job *j = team_enter(team);
        _Atomic size_t n = 0;

        mu_for_grain(j, 0, N, GRAIN, stop_at, 0, &n);
        assert_true(n < N);
        n = 0;
        mu_for_grain(j, 0, N, GRAIN, stop_at, 0, &n);
        assert_int_equal(n, 0);
        assert_int_equal(mu_team_leave(j), MY_ERROR);
        mu_team_close(team);
    }
}

static long stop_first(struct mu_job *j, size_t begin, size_t end,
                       _Atomic long *n);
static long add(long a, long b)
{
    return a + b;
}
MU_REDUCIBLE(long, stop_first, add, _Atomic long *)
static long stop_first(struct mu_job *j, size_t begin, size_t end,
                       _Atomic long *n)
{
    (void)begin;
    (void)end;
    atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
    mu_job_cancel(j, MY_ERROR);
    return 7;
}

/* However many blocks lie behind the first: each thread begins one at most. */
static void cancelled_reduction_stops(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 1000, 1 << 20};

    (void)state;
    for (long width = 1; width <= 4; width++) {
        struct mu_team *team = team_of((unsigned)width);

        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct mu_job *j = team_enter(team);
            _Atomic long n = 0;

            assert_int_equal(
                mu_for_reduce_grain(j, 0, sizes[i], 1, stop_first, &n), 0);
            assert_in_range(n, 1, width);
            n = 0;
            for (size_t grain = 0; grain < 3; grain++)
                assert_int_equal(
                    mu_for_reduce_grain(j, 0, sizes[i], grain, stop_first, &n),
                    0);
            assert_int_equal(n, 0);
            assert_int_equal(mu_team_leave(j), MY_ERROR);
        }
        mu_team_close(team);
    }
}

/* Cancelling an inner region leaves the outer one alone. */
static void regions_are_cancelled_one_by_one(void **state)
{
    struct mu_team *team = team_of(3);
    struct mu_job *outer = team_enter(team);
    struct mu_job *inner = team_enter(team);
    _Atomic int n = 0;

    (void)state;
    mu_fork(outer, one, &n);
    mu_fork(inner, one, &n);
    mu_job_cancel(inner, MY_ERROR);
    (void)mu_join(inner, one);
    assert_int_equal(mu_team_leave(inner), MY_ERROR);
    assert_int_equal(mu_join(outer, one), 1);
    assert_int_equal(mu_team_leave(outer), 0);
    mu_team_close(team);
}

static long spin(struct mu_job *j, _Atomic int *has_started);
MU_FORKABLE(long, spin, _Atomic int *)
static long spin(struct mu_job *j, _Atomic int *has_started)
{
    atomic_store_explicit(has_started, 1, memory_order_release);
    while (mu_job_status(j) == 0)
        ;
    return 3;
}

static void cancelled_ticket_is_told_or_does_not_run(void **state)
{
    struct mu_team *team = team_of(2);
    struct mu_team *alone = team_of(1);
    struct mu_ticket ticket = {0};
    _Atomic int has_started = 0;
    _Atomic int n = 0;

    (void)state;
    assert_int_equal(mu_team_submit(team, &ticket, spin, &has_started), 0);
    while (!atomic_load_explicit(&has_started, memory_order_acquire))
        ;
    mu_ticket_cancel(&ticket, MY_ERROR);
    assert_int_equal(mu_team_wait(&ticket, spin, NULL), MY_ERROR);

    assert_int_equal(mu_team_submit(alone, &ticket, one, &n), 0);
    mu_ticket_cancel(&ticket, MY_ERROR);
    assert_int_equal(mu_team_wait(&ticket, one, NULL), MY_ERROR);
    assert_int_equal(n, 0);
    mu_team_close(alone);
    mu_team_close(team);
}

/* Nobody takes the tasks of a team of one: they wait in its queue until that is full, and
 * the next has run when its submit returns. */
static void cancelled_ticket_that_has_ended_keeps_its_result(void **state)
{
    enum { N_MOST = 10000 };
    struct mu_team *alone = team_of(1);
    struct mu_ticket *tickets = calloc(N_MOST, sizeof *tickets);
    _Atomic int n = 0;
    int n_tickets = 0;
    int result = 0;

    (void)state;
    assert_non_null(tickets);
    while (n == 0 && n_tickets < N_MOST)
        assert_int_equal(mu_team_submit(alone, &tickets[n_tickets++], one, &n),
                         0);
    for (int i = 0; i < n_tickets; i++)
        mu_ticket_cancel(&tickets[i], MY_ERROR);
    assert_int_equal(mu_team_wait(&tickets[--n_tickets], one, &result), 0);
    assert_int_equal(result, 1);
    while (n_tickets > 0)
        assert_int_equal(mu_team_wait(&tickets[--n_tickets], one, NULL),
                         MY_ERROR);
    assert_int_equal(n, 1);
    free(tickets);
    mu_team_close(alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancelled_fork_does_not_run),
        cmocka_unit_test(join_tells_whether_it_ran_without_result),
        cmocka_unit_test(search_ends_early_at_any_time),
        cmocka_unit_test(cancelled_loop_stops),
        cmocka_unit_test(cancelled_reduction_stops),
        cmocka_unit_test(regions_are_cancelled_one_by_one),
        cmocka_unit_test(cancelled_ticket_is_told_or_does_not_run),
        cmocka_unit_test(cancelled_ticket_that_has_ended_keeps_its_result),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
