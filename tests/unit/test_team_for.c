/* test_team_for.c: loops and reductions: every index once, results that do not
 * depend on the number of threads, nesting. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "muster/muster.h"

#include "team_works.h"

static void mark(struct mu_job *j, size_t begin, size_t end,
                 _Atomic unsigned char *runs);
MU_LOOP(mark, _Atomic unsigned char *)
static void mark(struct mu_job *j, size_t begin, size_t end,
                 _Atomic unsigned char *runs)
{
    (void)j;
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add_explicit(&runs[i], 1, memory_order_relaxed);
}

static void assert_all_once(_Atomic unsigned char *runs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (runs[i] != 1)
            fail_msg("index %zu of %zu ran %d times", i, n, runs[i]);
}

static void for_runs_every_index_once(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 3, 4, 7, 64, 1000, 100003};
    static const size_t grains[] = {0, 1, 3, 1000, 1000000};
    enum { N_MOST = 100003 };
    _Atomic unsigned char *runs = calloc(N_MOST + 1, 1);

    (void)state;
    assert_non_null(runs);
    for (unsigned width = 1; width <= 6; width++) {
        struct mu_team *team = team_of(width);
        struct mu_job *j = team_enter(team);

        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
            for (size_t g = 0; g < sizeof grains / sizeof grains[0]; g++) {
                memset((void *)runs, 0, N_MOST + 1);
                mu_for_grain(j, 0, sizes[s], grains[g], mark, runs);
                assert_all_once(runs, sizes[s]);
                assert_int_equal(runs[sizes[s]], 0);
            }
        assert_int_equal(mu_team_leave(j), 0);
        mu_team_close(team);
    }
    free((void *)runs);
}

/* -- nothing but what every one has -- */

static _Atomic long n_bare;

static int bare(struct mu_job *j);
MU_FORKABLE(int, bare)
static int bare(struct mu_job *j)
{
    (void)j;
    return 3;
}

static void bare_void(struct mu_job *j);
MU_FORKABLE_VOID(bare_void)
static void bare_void(struct mu_job *j)
{
    (void)j;
    atomic_fetch_add(&n_bare, 1);
}

static void bare_loop(struct mu_job *j, size_t begin, size_t end);
MU_LOOP(bare_loop)
static void bare_loop(struct mu_job *j, size_t begin, size_t end)
{
    (void)j;
    atomic_fetch_add(&n_bare, (long)(end - begin));
}

static long add_longs(long a, long b)
{
    return a + b;
}
static long bare_leaf(struct mu_job *j, size_t begin, size_t end);
MU_REDUCIBLE(long, bare_leaf, add_longs)
static long bare_leaf(struct mu_job *j, size_t begin, size_t end)
{
    (void)j;
    return (long)(end - begin);
}

static void no_arguments_are_no_exception(void **state)
{
    struct mu_ticket ticket = {0};
    struct mu_job *j = team_enter(NULL);
    int got = 0;

    (void)state;
    mu_fork(j, bare);
    mu_fork(j, bare_void);
    mu_join_void(j, bare_void);
    assert_int_equal(mu_join(j, bare), 3);
    mu_for(j, 0, 1000, bare_loop);
    mu_for_grain(j, 0, 1000, 7, bare_loop);
    assert_int_equal(mu_for_reduce(j, 0, 1000, bare_leaf), 1000);
    assert_int_equal(mu_for_reduce_grain(j, 0, 1000, 7, bare_leaf), 1000);
    assert_int_equal(mu_team_leave(j), 0);
    assert_int_equal(mu_team_submit(NULL, &ticket, bare), 0);
    assert_int_equal(mu_team_wait(&ticket, bare, &got), 0);
    assert_int_equal(got, 3);
    assert_int_equal(mu_team_submit_many(NULL, &ticket, 10, bare_loop), 0);
    assert_int_equal(mu_team_wait_many(&ticket), 0);
    assert_int_equal(n_bare, 2011);
}

static void for_covers_a_range_not_from_zero(void **state)
{
    _Atomic unsigned char runs[100] = {0};
    struct mu_job *j = team_enter(NULL);

    (void)state;
    mu_for(j, 10, 90, mark, runs);
    mu_for(j, 90, 10, mark, runs); /* empty */
    assert_all_once(runs + 10, 80);
    for (int i = 0; i < 10; i++)
        assert_int_equal(runs[i] + runs[90 + i], 0);
    assert_int_equal(mu_team_leave(j), 0);
}

/* More indices than units can be counted; only the ends are looked at. */
static void count(struct mu_job *j, size_t begin, size_t end,
                  _Atomic uint64_t *n, _Atomic uint64_t *sum_of_ends);
MU_LOOP(count, _Atomic uint64_t *, _Atomic uint64_t *)
static void count(struct mu_job *j, size_t begin, size_t end,
                  _Atomic uint64_t *n, _Atomic uint64_t *sum_of_ends)
{
    (void)j;
    assert_true(begin < end);
    atomic_fetch_add_explicit(n, end - begin, memory_order_relaxed);
    atomic_fetch_add_explicit(sum_of_ends, end - begin, memory_order_relaxed);
}

static void for_counts_beyond_32_bits(void **state)
{
    struct mu_job *j = team_enter(NULL);
    _Atomic uint64_t n = 0;
    _Atomic uint64_t sum = 0;

    (void)state;
    mu_for(j, 5, ((size_t)1 << 40) + 5, count, &n, &sum);
    assert_int_equal(n, (uint64_t)1 << 40);
    assert_int_equal(mu_team_leave(j), 0);
}

/* Loops inside loops inside forks, of random sizes. */
static void nest(struct mu_job *j, size_t begin, size_t end, uint64_t seed,
                 int depth, _Atomic uint64_t *n);
MU_LOOP(nest, uint64_t, int, _Atomic uint64_t *)
static void nest_once(struct mu_job *j, uint64_t seed, int depth,
                      _Atomic uint64_t *n);
MU_FORKABLE_VOID(nest_once, uint64_t, int, _Atomic uint64_t *)

static uint64_t nest_size(uint64_t seed)
{
    return team_random(&seed) % 12;
}

static void nest_once(struct mu_job *j, uint64_t seed, int depth,
                      _Atomic uint64_t *n)
{
    atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
    if (depth > 0)
        mu_for(j, 0, nest_size(seed), nest, seed, depth - 1, n);
}

static void nest(struct mu_job *j, size_t begin, size_t end, uint64_t seed,
                 int depth, _Atomic uint64_t *n)
{
    for (size_t i = begin; i < end; i++) {
        mu_fork(j, nest_once, seed + i, depth, n);
        nest_once(j, seed * 31 + i, depth, n);
        mu_join_void(j, nest_once);
    }
}

static uint64_t nest_expected(uint64_t seed, int depth)
{
    uint64_t n = 1;

    if (depth > 0)
        for (uint64_t i = 0; i < nest_size(seed); i++)
            n += nest_expected(seed + i, depth - 1) +
                 nest_expected(seed * 31 + i, depth - 1);
    return n;
}

static void loops_and_forks_nest(void **state)
{
    enum { N_ROUNDS = TEAM_IS_SLOW ? 10 : 100, DEPTH = 4 };
    uint64_t seed = team_seed();

    (void)state;
    for (unsigned round = 0; round < N_ROUNDS; round++) {
        struct mu_team *team = team_of(1 + round % 7);
        struct mu_job *j = team_enter(team);
        _Atomic uint64_t n = 0;

        nest_once(j, seed + round, DEPTH, &n);
        if (n != nest_expected(seed + round, DEPTH))
            fail_msg("%llu calls: TEST_SEED=%llu round %u",
                     (unsigned long long)n, (unsigned long long)seed, round);
        assert_int_equal(mu_team_leave(j), 0);
        mu_team_close(team);
    }
}

/* A sum of floating-point numbers, which tells any other order of adding. */
static double add(double a, double b)
{
    return a + b;
}
static double sum(struct mu_job *j, size_t begin, size_t end, const double *x);
MU_REDUCIBLE(double, sum, add, const double *)
static double sum(struct mu_job *j, size_t begin, size_t end, const double *x)
{
    double s = 0;

    (void)j;
    for (size_t i = begin; i < end; i++)
        s += x[i];
    return s;
}

static void reduce_is_the_same_at_any_width(void **state)
{
    static const size_t sizes[] = {0, 1, 5, 255, 256, 257, 5000, 300001};
    enum { N_MOST = 300001 };
    double *x = calloc(N_MOST, sizeof *x);
    uint64_t seed = team_seed();

    (void)state;
    assert_non_null(x);
    for (int i = 0; i < N_MOST; i++)
        x[i] = ldexp((double)team_random(&seed), (int)(seed % 60) - 90);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (size_t grain = 0; grain < 30; grain += 7) {
            double first = 0;

            for (unsigned width = 1; width <= 5; width++) {
                struct mu_team *team = team_of(width);
                struct mu_job *j = team_enter(team);
                double total =
                    mu_for_reduce_grain(j, 0, sizes[s], grain, sum, x);

                if (width == 1)
                    first = total;
                assert_memory_equal(&total, &first, sizeof total);
                assert_int_equal(mu_team_leave(j), 0);
                mu_team_close(team);
            }
        }
    free(x);
}

/* Neighbours, in order: joining words is associative and not commutative. */
struct text {
    size_t begin;
    size_t end;
    int is_broken;
};
static struct text text_join(struct text a, struct text b)
{
    return (struct text){a.begin, b.end,
                         a.is_broken || b.is_broken || a.end != b.begin};
}
static struct text text_of(struct mu_job *j, size_t begin, size_t end,
                           int unused);
MU_REDUCIBLE(struct text, text_of, text_join, int)
static struct text text_of(struct mu_job *j, size_t begin, size_t end,
                           int unused)
{
    (void)j;
    (void)unused;
    return (struct text){begin, end, 0};
}

static void reduce_combines_neighbours_in_order(void **state)
{
    struct mu_job *j = team_enter(NULL);

    (void)state;
    for (size_t n = 1; n < 100000; n = n * 3 + 1)
        for (size_t grain = 0; grain < 4; grain++) {
            struct text t = mu_for_reduce_grain(j, 7, 7 + n, grain, text_of, 0);

            assert_int_equal(t.begin, 7);
            assert_int_equal(t.end, 7 + n);
            assert_int_equal(t.is_broken, 0);
        }
    assert_int_equal(mu_team_leave(j), 0);
}

enum { GRAIN = 10, N_NESTED = 1005 };

static void count_short(struct mu_job *j, size_t begin, size_t end,
                        _Atomic int *n_short);
MU_LOOP(count_short, _Atomic int *)
static void count_short(struct mu_job *j, size_t begin, size_t end,
                        _Atomic int *n_short)
{
    (void)j;
    if (end - begin < GRAIN && end != N_NESTED)
        atomic_fetch_add(n_short, 1);
}

static void loop_with_a_grain(struct mu_job *j, size_t begin, size_t end,
                              _Atomic int *n_short);
MU_LOOP(loop_with_a_grain, _Atomic int *)
static void loop_with_a_grain(struct mu_job *j, size_t begin, size_t end,
                              _Atomic int *n_short)
{
    for (size_t i = begin; i < end; i++)
        mu_for_grain(j, 0, N_NESTED, GRAIN, count_short, n_short);
}

/* A body that works on whole blocks relies on it, but for the last. */
static void nested_loop_keeps_its_grain(void **state)
{
    struct mu_team *team = team_of(4);
    struct mu_job *j = team_enter(team);
    _Atomic int n_short = 0;

    (void)state;
    mu_for(j, 0, 16, loop_with_a_grain, &n_short);
    assert_int_equal(mu_team_leave(j), 0);
    assert_int_equal(n_short, 0);
    mu_team_close(team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(for_runs_every_index_once),
        cmocka_unit_test(no_arguments_are_no_exception),
        cmocka_unit_test(for_covers_a_range_not_from_zero),
        cmocka_unit_test(for_counts_beyond_32_bits),
        cmocka_unit_test(loops_and_forks_nest),
        cmocka_unit_test(nested_loop_keeps_its_grain),
        cmocka_unit_test(reduce_is_the_same_at_any_width),
        cmocka_unit_test(reduce_combines_neighbours_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
