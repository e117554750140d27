/* test_team_system.c: the team and the system it lives in: fork(), little address
 * space, binding, more threads than CPUs. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "muster/muster.h"

#include "team_works.h"

/* What a child of fork() does with the team of its parent: everything. */
static int use_team_in_child(struct mu_team *team)
{
    struct mu_ticket ticket = {0};
    struct mu_job *j = mu_team_enter(team);
    long result = 0;

    if (!j || mu_team_width(team) != 1)
        return 1;
    if (fib(j, 18) != fib_serial(18) || mu_team_leave(j) != 0)
        return 2;
    if (mu_team_submit(team, &ticket, fib, 12) != 0 ||
        mu_team_wait(&ticket, fib, &result) != 0 || result != fib_serial(12))
        return 3;
    mu_team_close(team);
    return 0;
}

static void expect_exit(pid_t child, int expected)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), expected);
}

static void child_has_a_serial_team(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct mu_team *team = team_of(4);
        struct mu_job *j = team_enter(team);
        pid_t child;

        (void)fib(j, 10 + round);
        assert_int_equal(mu_team_leave(j), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            alarm(300);
            _exit(use_team_in_child(team));
        }
        expect_exit(child, 0);
        mu_team_close(team);
    }
}

/* fork() amid a region, whose jobs the lost threads may have been running: the child
 * comes out of its joins, with the right result or an error. */
static long fork_at(struct mu_job *j, int n, _Atomic long *countdown,
                    pid_t *ret_child);
MU_FORKABLE(long, fork_at, int, _Atomic long *, pid_t *)
static long fork_at(struct mu_job *j, int n, _Atomic long *countdown,
                    pid_t *ret_child)
{
    static pid_t main_process;
    long a;
    long b;

    if (main_process == 0)
        main_process = getpid();
    if (n < 2)
        return n;
    mu_fork(j, fork_at, n - 1, countdown, ret_child);
    b = fork_at(j, n - 2, countdown, ret_child);
    if (getpid() == main_process && gettid() == main_process &&
        atomic_fetch_sub_explicit(countdown, 1, memory_order_relaxed) == 0)
        *ret_child = fork();
    a = mu_join(j, fork_at);
    return a + b;
}

static void child_leaves_a_region_it_was_born_in(void **state)
{
    enum { N_ROUNDS = TEAM_IS_SLOW ? 10 : 100, N = 16 };
    uint64_t seed = team_seed();

    (void)state;
    for (int round = 0; round < N_ROUNDS; round++) {
        struct mu_team *team = team_of(4);
        struct mu_job *j = team_enter(team);
        _Atomic long countdown = (long)(team_random(&seed) % 200);
        pid_t parent = getpid();
        pid_t child = -1;
        long result = fork_at(j, N, &countdown, &child);
        int status = mu_team_leave(j);

        if (getpid() != parent) {
            alarm(300);
            if (status != 0 ? status != -EOWNERDEAD : result != fib_serial(N))
                _exit(10);
            _exit(use_team_in_child(team));
        }
        assert_int_equal(status, 0);
        assert_int_equal(result, fib_serial(N));
        if (child > 0)
            expect_exit(child, 0);
        mu_team_close(team);
    }
}

static void team_opens_in_little_address_space(void **state)
{
    pid_t child;

    (void)state;
    if (TEAM_IS_SLOW)
        return; /* the sanitizers need more than that themselves */
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit limit = {.rlim_cur = (rlim_t)1 << 29,
                               .rlim_max = (rlim_t)1 << 29};
        struct mu_team_options options = {.n_threads = 3};
        struct mu_team *team;
        struct mu_job *j;

        if (setrlimit(RLIMIT_AS, &limit) < 0 ||
            mu_team_open(&options, &team, NULL) != 0)
            _exit(1);
        j = mu_team_enter(team);
        if (!j || fib(j, 20) != fib_serial(20) || mu_team_leave(j) != 0)
            _exit(2);
        mu_team_close(team);
        _exit(0);
    }
    expect_exit(child, 0);
}

static int own_cpus(struct mu_job *j, int unused);
MU_FORKABLE(int, own_cpus, int)
static int own_cpus(struct mu_job *j, int unused)
{
    cpu_set_t set;

    (void)j;
    (void)unused;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : -1;
}

static void pinned_threads_have_one_cpu(void **state)
{
    struct mu_team_options options = {.n_threads = 3, .pin = 1};
    struct mu_ticket ticket = {0};
    struct mu_team *team;
    int n = 0;

    (void)state;
    assert_int_equal(mu_team_open(&options, &team, NULL), 0);
    assert_int_equal(mu_team_submit(team, &ticket, own_cpus, 0), 0);
    while (__atomic_load_n(&ticket.job.state, __ATOMIC_ACQUIRE) == 0)
        ; /* let one of the team take it, not this thread */
    assert_int_equal(mu_team_wait(&ticket, own_cpus, &n), 0);
    assert_int_equal(n, 1);
    mu_team_close(team);
}

/* Eight threads on one CPU: every region still ends. */
static void crowded_team_ends_every_region(void **state)
{
    enum { N_ROUNDS = TEAM_IS_SLOW ? 5 : 50 };
    cpu_set_t before;
    cpu_set_t one;
    struct mu_team *team;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    team = team_of(8);
    for (int round = 0; round < N_ROUNDS; round++) {
        struct mu_job *j = team_enter(team);

        assert_int_equal(fib(j, 20), fib_serial(20));
        assert_int_equal(mu_team_leave(j), 0);
    }
    mu_team_close(team);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

static void teams_come_and_go(void **state)
{
    (void)state;
    for (int round = 0; round < (TEAM_IS_SLOW ? 20 : 200); round++) {
        struct mu_team *a = team_of(1 + round % 5);
        struct mu_team *b = team_of(1 + round % 3);
        struct mu_job *in_a = team_enter(a);
        struct mu_job *in_b = team_enter(b);

        assert_int_equal(fib(in_a, 8), 21);
        assert_int_equal(fib(in_b, 9), 34);
        assert_int_equal(mu_team_leave(in_b), 0);
        assert_int_equal(mu_team_leave(in_a), 0);
        mu_team_close(a);
        mu_team_close(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(child_has_a_serial_team),
        cmocka_unit_test(child_leaves_a_region_it_was_born_in),
        cmocka_unit_test(team_opens_in_little_address_space),
        cmocka_unit_test(pinned_threads_have_one_cpu),
        cmocka_unit_test(crowded_team_ends_every_region),
        cmocka_unit_test(teams_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
