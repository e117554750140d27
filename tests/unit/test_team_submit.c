/* test_team_submit.c: tickets: each task runs once, whoever submits and waits. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "muster/muster.h"

#include "team_works.h"

static void submit_gives_result(void **state)
{
    (void)state;
    for (unsigned width = 1; width <= 5; width++) {
        struct mu_team *team = team_of(width);
        struct mu_ticket ticket = {0};
        long result = 0;

        for (int i = 0; i < 200; i++) {
            assert_int_equal(mu_team_submit(team, &ticket, fib, i % 12), 0);
            assert_int_equal(mu_team_wait(&ticket, fib, &result), 0);
            assert_int_equal(result, fib_serial(i % 12));
        }
        mu_team_close(team);
    }
}

static long bump(struct mu_job *j, _Atomic long *n);
MU_FORKABLE(long, bump, _Atomic long *)
static long bump(struct mu_job *j, _Atomic long *n)
{
    (void)j;
    return atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

/* Far more tasks than the queues hold, waited for in random order. */
static void more_tasks_than_room_all_run(void **state)
{
    enum { N = TEAM_IS_SLOW ? 5000 : 50000 };
    struct mu_team *team = team_of(4);
    struct mu_ticket *tickets = calloc(N, sizeof *tickets);
    size_t *order = calloc(N, sizeof *order);
    uint64_t seed = team_seed();
    _Atomic long n = 0;
    long sum = 0;

    (void)state;
    assert_non_null(tickets);
    assert_non_null(order);
    for (size_t i = 0; i < N; i++) {
        size_t k = team_random(&seed) % (i + 1);

        order[i] = order[k];
        order[k] = i;
        assert_int_equal(mu_team_submit(team, &tickets[i], bump, &n), 0);
    }
    for (size_t i = 0; i < N; i++) {
        long result;

        assert_int_equal(mu_team_wait(&tickets[order[i]], bump, &result), 0);
        sum += result;
    }
    assert_int_equal(n, N);
    assert_int_equal(sum, (long)N * (N - 1) / 2);
    free(order);
    free(tickets);
    mu_team_close(team);
}

struct submitter {
    struct mu_team *team;
    _Atomic long *n;
    uint64_t seed;
};

static void *submit_often(void *arg)
{
    enum { N_ROUNDS = TEAM_IS_SLOW ? 200 : 4000, N_AT_ONCE = 16 };
    struct submitter *s = arg;
    struct mu_ticket tickets[N_AT_ONCE] = {0};

    for (int round = 0; round < N_ROUNDS; round++) {
        unsigned n = 1 + (unsigned)(team_random(&s->seed) % N_AT_ONCE);

        for (unsigned i = 0; i < n; i++)
            if (mu_team_submit(s->team, &tickets[i], bump, s->n) != 0)
                return arg;
        for (unsigned i = n; i-- > 0;)
            if (mu_team_wait(&tickets[i], bump, NULL) != 0)
                return arg;
        atomic_fetch_sub_explicit(s->n, n, memory_order_relaxed);
    }
    return NULL;
}

static void many_submitters_share_a_team(void **state)
{
    enum { N_THREADS = 6 };
    struct mu_team *team = team_of(3);
    _Atomic long n = 0;
    struct submitter submitters[N_THREADS];
    pthread_t threads[N_THREADS];

    (void)state;
    for (unsigned i = 0; i < N_THREADS; i++) {
        submitters[i] =
            (struct submitter){.team = team, .n = &n, .seed = team_seed() + i};
        assert_int_equal(
            pthread_create(&threads[i], NULL, submit_often, &submitters[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        void *failed;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(n, 0);
    mu_team_close(team);
}

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

static void submit_many_runs_each_once(void **state)
{
    enum { N = 100000 };
    struct mu_team *team = team_of(4);
    _Atomic unsigned char *runs = calloc(N, 1);
    struct mu_ticket ticket = {0};

    (void)state;
    assert_non_null(runs);
    assert_int_equal(mu_team_submit_many(team, &ticket, N, mark, runs), 0);
    assert_int_equal(mu_team_wait_many(&ticket), 0);
    for (int i = 0; i < N; i++)
        assert_int_equal(runs[i], 1);
    free((void *)runs);
    mu_team_close(team);
}

/* A task that submits tasks and waits for them, on the team it runs on. */
static long spread(struct mu_job *j, struct mu_team *team, int depth);
MU_FORKABLE(long, spread, struct mu_team *, int)
static long spread(struct mu_job *j, struct mu_team *team, int depth)
{
    struct mu_ticket ticket = {0};
    long sum;
    long other = 0;

    if (depth == 0)
        return 1;
    if (mu_team_submit(team, &ticket, spread, team, depth - 1) != 0)
        return -1;
    sum = spread(j, team, depth - 1);
    return mu_team_wait(&ticket, spread, &other) == 0 ? sum + other : -1;
}

static void tasks_wait_for_tasks(void **state)
{
    struct mu_team *team = team_of(3);
    struct mu_ticket ticket = {0};
    long sum = 0;

    (void)state;
    for (int round = 0; round < (TEAM_IS_SLOW ? 3 : 30); round++) {
        assert_int_equal(mu_team_submit(team, &ticket, spread, team, 10), 0);
        assert_int_equal(mu_team_wait(&ticket, spread, &sum), 0);
        assert_int_equal(sum, 1024);
    }
    mu_team_close(team);
}

static void meet(struct mu_job *j, _Atomic int *n, int all);
MU_FORKABLE_VOID(meet, _Atomic int *, int)
static void meet(struct mu_job *j, _Atomic int *n, int all)
{
    (void)j;
    atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
    while (atomic_load_explicit(n, memory_order_relaxed) < all)
        ;
}

/* Tasks that wait for each other: each is had by a thread of its own, asleep before,
 * though one submit wakes one thread at most; also behind tasks that were tiny. */
static void tasks_of_one_submitter_run_at_once(void **state)
{
    enum { WIDTH = 4, N_ROUNDS = TEAM_IS_SLOW ? 20 : 200, N_TINY = 200 };
    struct mu_team_options options = {.n_threads = WIDTH, .spin_ns = -1};
    struct mu_ticket tickets[N_TINY] = {0};
    struct mu_team *team;
    _Atomic long n_tiny = 0;

    (void)state;
    assert_int_equal(mu_team_open(&options, &team, NULL), 0);
    for (int round = 0; round < N_ROUNDS; round++) {
        _Atomic int n = 0;

        for (int i = 0; i < WIDTH - 1; i++)
            assert_int_equal(
                mu_team_submit(team, &tickets[i], meet, &n, WIDTH - 1), 0);
        while (atomic_load_explicit(&n, memory_order_relaxed) < WIDTH - 1)
            (void)sched_yield();
        for (int i = 0; i < WIDTH - 1; i++)
            assert_int_equal(mu_team_wait(&tickets[i], meet, NULL), 0);
        for (int i = 0; i < (round % 3 == 0 ? N_TINY : 0); i++)
            assert_int_equal(mu_team_submit(team, &tickets[i], bump, &n_tiny),
                             0);
        for (int i = 0; i < (round % 3 == 0 ? N_TINY : 0); i++)
            assert_int_equal(mu_team_wait(&tickets[i], bump, NULL), 0);
    }
    mu_team_close(team);
}

static void close_runs_what_was_submitted(void **state)
{
    enum { N = 100 };
    struct mu_team *team = team_of(2);
    struct mu_ticket tickets[N] = {0};
    _Atomic long n = 0;

    (void)state;
    for (int i = 0; i < N; i++)
        assert_int_equal(mu_team_submit(team, &tickets[i], bump, &n), 0);
    mu_team_close(team);
    assert_int_equal(n, N);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(submit_gives_result),
        cmocka_unit_test(more_tasks_than_room_all_run),
        cmocka_unit_test(many_submitters_share_a_team),
        cmocka_unit_test(submit_many_runs_each_once),
        cmocka_unit_test(tasks_wait_for_tasks),
        cmocka_unit_test(tasks_of_one_submitter_run_at_once),
        cmocka_unit_test(close_runs_what_was_submitted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
