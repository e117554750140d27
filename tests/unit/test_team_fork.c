/* test_team_fork.c: fork and join: every fork runs once and gives its result. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "muster/muster.h"

#include "team_works.h"

static void fork_gives_result_at_any_width(void **state)
{
    (void)state;
    for (unsigned width = 1; width <= 8; width++) {
        struct mu_team *team = team_of(width);
        struct mu_job *j = team_enter(team);

        assert_int_equal(mu_team_width(team), width);
        assert_int_equal(fib(j, 25), fib_serial(25));
        assert_int_equal(mu_team_leave(j), 0);
        mu_team_close(team);
    }
}

static void default_team_serves_null(void **state)
{
    struct mu_job *j = team_enter(NULL);

    (void)state;
    assert_int_equal(mu_team_width(NULL), mu_usable_cpus());
    assert_int_equal(fib(j, 20), fib_serial(20));
    assert_int_equal(mu_team_leave(j), 0);
}

/* Arguments and results of all sizes arrive whole. */
struct wide {
    double d[6];
};

static struct wide wide_sum(struct mu_job *j, int depth, char c, double x,
                            long l);
MU_FORKABLE(struct wide, wide_sum, int, char, double, long)
static struct wide wide_sum(struct mu_job *j, int depth, char c, double x,
                            long l)
{
    struct wide w = {{x, (double)c, (double)l, 1, depth, 0}};
    struct wide other;

    if (depth == 0)
        return w;
    mu_fork(j, wide_sum, depth - 1, (char)(c + 1), x / 2, l - 1);
    w = wide_sum(j, depth - 1, c, x, l);
    other = mu_join(j, wide_sum);
    for (int i = 0; i < 6; i++)
        w.d[i] += other.d[i];
    return w;
}

static void fork_passes_many_types(void **state)
{
    struct mu_team *team = team_of(4);
    struct mu_team *alone = team_of(1);
    struct mu_job *j = team_enter(team);
    struct wide w = wide_sum(j, 14, 'a', 1e6, 7);
    struct wide expected;

    (void)state;
    assert_int_equal(mu_team_leave(j), 0);
    j = team_enter(alone);
    expected = wide_sum(j, 14, 'a', 1e6, 7);
    assert_int_equal(mu_team_leave(j), 0);
    assert_memory_equal(&w, &expected, sizeof w);
    mu_team_close(team);
    mu_team_close(alone);
}

/* A tree of random shape, from a seed: each node marks itself once. */
struct marks {
    _Atomic unsigned char *runs;
    size_t n;
};

static uint64_t node_run(struct mu_job *j, struct marks *m, size_t begin,
                         size_t end, uint64_t seed);
MU_FORKABLE(uint64_t, node_run, struct marks *, size_t, size_t, uint64_t)

enum { MAX_CHILDREN = 7 };

/* Node `begin` has the nodes up to `end` below it, cut at random. */
static uint64_t node_run(struct mu_job *j, struct marks *m, size_t begin,
                         size_t end, uint64_t seed)
{
    size_t cuts[MAX_CHILDREN + 1] = {begin + 1};
    uint64_t sum = begin;
    unsigned n = 0;

    atomic_fetch_add_explicit(&m->runs[begin], 1, memory_order_relaxed);
    while (n < MAX_CHILDREN && cuts[n] < end) {
        size_t left = end - cuts[n];

        cuts[n + 1] = n + 1 == MAX_CHILDREN
                          ? end
                          : cuts[n] + 1 + team_random(&seed) % left;
        n++;
    }
    for (unsigned i = 0; i + 1 < n; i++)
        mu_fork(j, node_run, m, cuts[i], cuts[i + 1], team_random(&seed));
    if (n > 0)
        sum += node_run(j, m, cuts[n - 1], cuts[n], team_random(&seed));
    for (unsigned i = 0; i + 1 < n; i++)
        sum += mu_join(j, node_run);
    return sum;
}

static void random_trees_run_every_node_once(void **state)
{
    enum { N_ROUNDS = TEAM_IS_SLOW ? 8 : 60, N_NODES = 40000 };
    uint64_t seed = team_seed();
    struct marks m = {.runs = calloc(N_NODES, 1), .n = N_NODES};

    (void)state;
    assert_non_null(m.runs);
    for (int round = 0; round < N_ROUNDS; round++) {
        uint64_t tree = seed + (uint64_t)round;
        unsigned width = 1 + (unsigned)(team_random(&tree) % 7);
        struct mu_team *team = team_of(width);
        struct mu_job *j = team_enter(team);
        size_t n = 1 + team_random(&tree) % N_NODES;

        memset((void *)m.runs, 0, N_NODES);
        if (node_run(j, &m, 0, n, tree) != (uint64_t)n * (n - 1) / 2)
            fail_msg("wrong sum: TEST_SEED=%llu round %d",
                     (unsigned long long)seed, round);
        assert_int_equal(mu_team_leave(j), 0);
        for (size_t i = 0; i < n; i++)
            if (m.runs[i] != 1)
                fail_msg("node %zu ran %d times: TEST_SEED=%llu round %d", i,
                         m.runs[i], (unsigned long long)seed, round);
        mu_team_close(team);
    }
    free((void *)m.runs);
}

/* As many forks pending as the C stack could never hold. */
static long leaf(struct mu_job *j, long i);
MU_FORKABLE(long, leaf, long)
static long leaf(struct mu_job *j, long i)
{
    (void)j;
    return i;
}

/* Loops that fork their rest: each iteration happens once, whoever takes the rest. */
static long mark_each(struct mu_job *j, _Atomic int *marks, int n);
MU_FORKABLE(long, mark_each, _Atomic int *, int)
static long mark_each(struct mu_job *j, _Atomic int *marks, int n)
{
    long sum = 0;
    long rest;

    for (; n > 0; n--) {
        mu_fork(j, mark_each, marks + 1, n - 1);
        atomic_fetch_add_explicit(marks++, 1, memory_order_relaxed);
        sum++;
        if (!mu_unfork(j, mark_each, &rest))
            return sum + rest;
    }
    return sum;
}

static void mark_all(struct mu_job *j, _Atomic int *marks, int n);
MU_FORKABLE_VOID(mark_all, _Atomic int *, int)
static void mark_all(struct mu_job *j, _Atomic int *marks, int n)
{
    for (; n > 0; n--) {
        mu_fork(j, mark_all, marks + 1, n - 1);
        atomic_fetch_add_explicit(marks++, 1, memory_order_relaxed);
        if (!mu_unfork(j, mark_all, NULL))
            return;
    }
}

static void rest_of_a_loop_runs_once(void **state)
{
    enum { N = 300, N_ROUNDS = TEAM_IS_SLOW ? 20 : 500 };

    (void)state;
    for (unsigned width = 1; width <= 5; width++) {
        struct mu_team *team = team_of(width);
        _Atomic int marks[N] = {0};

        for (int round = 1; round <= N_ROUNDS; round++) {
            struct mu_job *j = team_enter(team);

            assert_int_equal(mark_each(j, marks, N), N);
            mark_all(j, marks, N);
            assert_int_equal(mu_team_leave(j), 0);
            for (int i = 0; i < N; i++)
                assert_int_equal(marks[i], 2 * round);
        }
        mu_team_close(team);
    }
}

/* What nobody took is the caller's; what a team-mate has is waited for. */
static void unfork_tells_who_has_it(void **state)
{
    struct mu_team *alone = team_of(1);
    struct mu_team *team = team_of(2);
    struct mu_job *j = team_enter(alone);
    struct mu_job *first = j;
    long result = 77;

    (void)state;
    mu_fork(j, leaf, 5);
    assert_int_equal(mu_unfork(j, leaf, &result), 1);
    assert_ptr_equal(j, first);
    assert_int_equal(result, 77);
    assert_int_equal(mu_team_leave(j), 0);

    j = team_enter(team);
    do
        mu_fork(j, leaf, 5);
    while (mu_unfork(j, leaf, &result)); /* until the other one is there */
    assert_int_equal(result, 5);
    assert_int_equal(mu_team_leave(j), 0);
    mu_team_close(alone);
    mu_team_close(team);
}

static void million_forks_may_wait(void **state)
{
    enum { N = 1000000 };
    struct mu_team *team = team_of(4);
    struct mu_job *j = team_enter(team);
    long sum = 0;

    (void)state;
    for (long i = 0; i < N; i++)
        mu_fork(j, leaf, i);
    for (long i = 0; i < N; i++)
        sum += mu_join(j, leaf);
    assert_int_equal(sum, (long)N * (N - 1) / 2);
    assert_int_equal(mu_team_leave(j), 0);
    mu_team_close(team);
}

/* Recursion a million forks deep, on a thread of the team, whose stack is ours. */
static long chain(struct mu_job *j, long depth);
MU_FORKABLE(long, chain, long)
static long chain(struct mu_job *j, long depth)
{
    long rest;

    if (depth == 0)
        return 0;
    mu_fork(j, leaf, depth);
    rest = chain(j, depth - 1);
    return rest + mu_join(j, leaf);
}

static void million_forks_deep_recursion(void **state)
{
    /* the thread sanitizer follows 65,536 frames */
    enum { DEPTH = TEAM_IS_SLOW ? 50000 : 1000000 };
    struct mu_team *team = team_of(4);
    struct mu_ticket ticket = {0};
    long sum = 0;

    (void)state;
    assert_int_equal(mu_team_submit(team, &ticket, chain, DEPTH), 0);
    /* the stack of this thread is not deep enough: leave it to the team */
    while (__atomic_load_n(&ticket.job.state, __ATOMIC_ACQUIRE) == 0)
        ;
    assert_int_equal(mu_team_wait(&ticket, chain, &sum), 0);
    assert_int_equal(sum, (long)DEPTH * (DEPTH + 1) / 2);
    mu_team_close(team);
}

static void billion_forks_end_well(void **state)
{
    /* fib(n) forks fib(n + 1) - 1 times: 1.1e9 for n = 43 */
    int n = TEAM_IS_SLOW ? 27 : 43;
    struct mu_job *j = team_enter(NULL);
    long a = 0;
    long b = 1;

    (void)state;
    for (int i = 0; i < n; i++) {
        long c = a + b;

        a = b;
        b = c;
    }
    assert_int_equal(fib(j, n), a);
    assert_int_equal(mu_team_leave(j), 0);
}

/* While a join waits, the thread runs nothing that was forked elsewhere: a job that
 * holds a mark of its thread must not meet another with the same mark, unless it was
 * forked below it. */
static _Thread_local int held_by; /* whose lock this thread holds; 0: none */
static _Atomic int n_intrusions;
static _Atomic int n_ids;

static long holder(struct mu_job *j, int id, int depth);
MU_FORKABLE(long, holder, int, int)
static long holder(struct mu_job *j, int id, int depth)
{
    long sum;
    int outer = held_by;

    if (outer != 0 && outer != id)
        atomic_fetch_add_explicit(&n_intrusions, 1, memory_order_relaxed);
    held_by = id;
    if (depth == 0) {
        sum = 1;
    } else {
        mu_fork(j, holder, id, depth - 1);
        sum = holder(j, id, depth - 1);
        sum += mu_join(j, holder);
    }
    held_by = outer;
    return sum;
}

static long holders(struct mu_job *j, int n);
MU_FORKABLE(long, holders, int)
static long holders(struct mu_job *j, int n)
{
    long sum;

    if (n == 1)
        return holder(
            j, 1 + atomic_fetch_add_explicit(&n_ids, 1, memory_order_relaxed),
            8);
    mu_fork(j, holders, n / 2);
    sum = holders(j, n - n / 2);
    return sum + mu_join(j, holders);
}

static void waiting_join_runs_no_stranger(void **state)
{
    enum { N_ROUNDS = TEAM_IS_SLOW ? 20 : 300, N_HOLDERS = 64 };
    struct mu_team *team = team_of(8);

    (void)state;
    for (int round = 0; round < N_ROUNDS; round++) {
        struct mu_job *j = team_enter(team);

        assert_int_equal(holders(j, N_HOLDERS), N_HOLDERS * 256);
        assert_int_equal(mu_team_leave(j), 0);
    }
    assert_int_equal(n_intrusions, 0);
    mu_team_close(team);
}

/* Regions nest, and many threads enter one team. */
static long nested(struct mu_job *j, struct mu_team *team, int depth);
MU_FORKABLE(long, nested, struct mu_team *, int)
static long nested(struct mu_job *j, struct mu_team *team, int depth)
{
    struct mu_job *inner;
    long sum;

    if (depth == 0)
        return 1;
    inner = mu_team_enter(team);
    mu_fork(inner, nested, team, depth - 1);
    mu_fork(j, nested, team, depth - 1);
    sum = nested(j, team, depth - 1);
    sum += mu_join(j, nested);
    sum += mu_join(inner, nested);
    return mu_team_leave(inner) == 0 ? sum : -1000000;
}

static void *enter_often(void *arg)
{
    enum { N_ROUNDS = TEAM_IS_SLOW ? 5 : 100 };

    for (int i = 0; i < N_ROUNDS; i++) {
        struct mu_job *j = mu_team_enter(arg);

        if (!j || nested(j, arg, 5) != 243 || mu_team_leave(j) != 0)
            return arg;
    }
    return NULL;
}

static void regions_nest_in_many_threads(void **state)
{
    enum { N_THREADS = 6 };
    struct mu_team *team = team_of(3);
    pthread_t threads[N_THREADS];

    (void)state;
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, enter_often, team),
                         0);
    for (int i = 0; i < N_THREADS; i++) {
        void *failed;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    mu_team_close(team);
}

/* Many small regions with pauses that let the team fall asleep in between: each
 * wake-up is a chance to lose one. */
static void sleeping_team_wakes_for_every_region(void **state)
{
    enum { N_ROUNDS = TEAM_IS_SLOW ? 200 : 3000 };
    struct mu_team_options options = {.n_threads = 4, .spin_ns = -1};
    struct mu_team *team;

    (void)state;
    assert_int_equal(mu_team_open(&options, &team, NULL), 0);
    for (int round = 0; round < N_ROUNDS; round++) {
        struct mu_job *j = team_enter(team);

        assert_int_equal(fib(j, 12 + round % 8), fib_serial(12 + round % 8));
        assert_int_equal(mu_team_leave(j), 0);
    }
    mu_team_close(team);
}

static void open_refuses_too_many_threads(void **state)
{
    struct mu_team_options options = {.n_threads = 1000000};
    struct mu_team *team = NULL;
    struct mu_error err;

    (void)state;
    assert_true(mu_team_open(&options, &team, &err) < 0);
    assert_null(team);
    assert_non_null(strstr(err.text, "1000000"));
    mu_team_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fork_gives_result_at_any_width),
        cmocka_unit_test(default_team_serves_null),
        cmocka_unit_test(fork_passes_many_types),
        cmocka_unit_test(random_trees_run_every_node_once),
        cmocka_unit_test(rest_of_a_loop_runs_once),
        cmocka_unit_test(unfork_tells_who_has_it),
        cmocka_unit_test(million_forks_may_wait),
        cmocka_unit_test(million_forks_deep_recursion),
        cmocka_unit_test(billion_forks_end_well),
        cmocka_unit_test(waiting_join_runs_no_stranger),
        cmocka_unit_test(regions_nest_in_many_threads),
        cmocka_unit_test(sleeping_team_wakes_for_every_region),
        cmocka_unit_test(open_refuses_too_many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
