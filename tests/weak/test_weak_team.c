/* test_weak_team.c: enough of every kind of work that a missing order shows: it does in
 * what one thread made and another ran. So whoever has made something for others lets
 * them run, which on a CPU alone they would not before it is done. */
#include <sched.h>

#include "muster/muster.h"

#include "team_works.h"

static void put(struct mu_job *j, size_t begin, size_t end, size_t *into);
MU_LOOP(put, size_t *)
static void put(struct mu_job *j, size_t begin, size_t end, size_t *into)
{
    (void)j;
    for (size_t i = begin; i < end; i++)
        into[i] = i;
    (void)sched_yield();
}

static void put_one(struct mu_job *j, size_t *into);
MU_FORKABLE_VOID(put_one, size_t *)
static void put_one(struct mu_job *j, size_t *into)
{
    (void)j;
    *into = 1;
}

static long slow_fib(struct mu_job *j, int n);
MU_FORKABLE(long, slow_fib, int)
static long slow_fib(struct mu_job *j, int n)
{
    long a;
    long b;

    if (n < 2)
        return n;
    mu_fork(j, slow_fib, n - 1);
    (void)sched_yield();
    b = slow_fib(j, n - 2);
    a = mu_join(j, slow_fib);
    return a + b;
}

static void every_kind_of_work(void **state)
{
    enum { N_ROUNDS = 500, N = 100, N_FIB = 10 };
    static size_t into[N];
    struct mu_team *team = team_of(4);
    struct mu_ticket ticket = {0};

    (void)state;
    for (int round = 0; round < N_ROUNDS; round++) {
        struct mu_job *j = team_enter(team);

        assert_int_equal(slow_fib(j, N_FIB), fib_serial(N_FIB));
        mu_for_grain(j, 0, N, 1, put, into);
        for (size_t i = 0; i < N; i++)
            assert_int_equal(into[i], i);
        assert_int_equal(mu_team_leave(j), 0);
        assert_int_equal(mu_team_submit(team, &ticket, put_one, &into[5]), 0);
        (void)sched_yield();
        assert_int_equal(mu_team_wait(&ticket, put_one, NULL), 0);
        assert_int_equal(into[5], 1);
    }
    mu_team_close(team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_kind_of_work)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
