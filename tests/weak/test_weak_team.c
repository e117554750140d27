/* test_weak_team.c: enough of every kind of work that a missing order shows. */
#include "muster/muster.h"

#include "team_works.h"

static void put(struct mu_job *j, size_t begin, size_t end, size_t *into);
MU_LOOP(put, size_t *)
static void put(struct mu_job *j, size_t begin, size_t end, size_t *into)
{
    (void)j;
    for (size_t i = begin; i < end; i++)
        into[i] = i;
}

static void put_one(struct mu_job *j, size_t *into);
MU_FORKABLE_VOID(put_one, size_t *)
static void put_one(struct mu_job *j, size_t *into)
{
    (void)j;
    *into = 1;
}

static void every_kind_of_work(void **state)
{
    enum { N_ROUNDS = 3000, N = 100 };
    static size_t into[N];
    struct mu_team *team = team_of(4);
    struct mu_ticket ticket = {0};

    (void)state;
    for (int round = 0; round < N_ROUNDS; round++) {
        struct mu_job *j = team_enter(team);

        assert_int_equal(fib(j, 16), fib_serial(16));
        mu_for_grain(j, 0, N, 1, put, into);
        for (size_t i = 0; i < N; i++)
            assert_int_equal(into[i], i);
        assert_int_equal(mu_team_leave(j), 0);
        assert_int_equal(mu_team_submit(team, &ticket, put_one, &into[5]), 0);
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
