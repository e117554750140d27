/* test_team_system.c: the team and the system it lives in: fork(), limits of address
 * space, binding, more threads than CPUs. */
#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
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

/* fork() in a job that a thread of the team runs: the child works on alone, and when
 * the job returns it ends; it does not take the parent's other work, nor stay. */
enum { LAST_WORDS = 7 };

static void end_quietly(void)
{
    _exit(LAST_WORDS); /* before a sanitizer counts what the parent holds */
}

static long fork_here(struct mu_job *j, _Atomic int *n_after);
MU_FORKABLE(long, fork_here, _Atomic int *)
static long fork_here(struct mu_job *j, _Atomic int *n_after)
{
    pid_t child = fork();

    if (child == 0) {
        alarm(60);
        if (atexit(end_quietly) != 0 || fib(j, 18) != fib_serial(18))
            _exit(1);
    }
    atomic_fetch_add_explicit(n_after, 1, memory_order_relaxed);
    return child;
}

/* Runs after it, on the same thread; in the parent alone. */
static long after_fork(struct mu_job *j, pid_t parent);
MU_FORKABLE(long, after_fork, pid_t)
static long after_fork(struct mu_job *j, pid_t parent)
{
    (void)j;
    if (getpid() != parent)
        _exit(2);
    return 1;
}

static void child_of_a_job_ends_with_it(void **state)
{
    enum { N_AFTER = 8 };
    struct mu_team *team;

    (void)state;
    if (TEAM_IS_SLOW)
        return; /* sanitizers cannot exit from a thread that has ended */
    team = team_of(2);
    for (int round = 0; round < 5; round++) {
        struct mu_ticket first = {0};
        struct mu_ticket after[N_AFTER] = {0};
        _Atomic int n = 0;
        long child = -1;

        assert_int_equal(mu_team_submit(team, &first, fork_here, &n), 0);
        for (int i = 0; i < N_AFTER; i++)
            assert_int_equal(
                mu_team_submit(team, &after[i], after_fork, getpid()), 0);
        while (atomic_load_explicit(&n, memory_order_relaxed) == 0)
            (void)sched_yield(); /* the thread of the team has it */
        assert_int_equal(mu_team_wait(&first, fork_here, &child), 0);
        assert_true(child > 0);
        for (int i = 0; i < N_AFTER; i++)
            assert_int_equal(mu_team_wait(&after[i], after_fork, NULL), 0);
        expect_exit((pid_t)child, LAST_WORDS);
    }
    mu_team_close(team);
}

static void fork_in_chunk(struct mu_job *j, size_t begin, size_t end,
                          pid_t parent, _Atomic int *ret_child);
MU_LOOP(fork_in_chunk, pid_t, _Atomic int *)
static void fork_in_chunk(struct mu_job *j, size_t begin, size_t end,
                          pid_t parent, _Atomic int *ret_child)
{
    static _Thread_local int is_child;
    (void)j;
    (void)begin;
    (void)end;
    if (is_child)
        _exit(3); /* a chunk of the parent's */
    if (gettid() != parent && atomic_load(ret_child) == 0) {
        pid_t child = fork();

        if (child == 0) {
            alarm(60);
            is_child = 1;
            if (atexit(end_quietly) != 0)
                _exit(1);
            return;
        }
        atomic_store(ret_child, child);
    }
    while (gettid() == parent && atomic_load(ret_child) == 0)
        (void)sched_yield();
}

static void child_of_a_chunk_ends_with_it(void **state)
{
    struct mu_team *team;

    (void)state;
    if (TEAM_IS_SLOW)
        return; /* sanitizers cannot exit from a thread that has ended */
    team = team_of(2);
    for (int round = 0; round < 5; round++) {
        struct mu_job *j = team_enter(team);
        _Atomic int child = 0;

        mu_for_grain(j, 0, 1000, 1, fork_in_chunk, getpid(), &child);
        assert_int_equal(mu_team_leave(j), 0);
        assert_true(child > 0);
        expect_exit(child, LAST_WORDS);
    }
    mu_team_close(team);
}

/* A team of 4 that works, many who enter it at once, and room for the rest. */
static int use_team_within(int resource, rlim_t bytes)
{
    enum { N_ENTERED = 100 };
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = bytes};
    struct mu_team_options options = {.n_threads = 4};
    struct mu_job *entered[N_ENTERED];
    struct mu_team *team;
    void *rest;

    if (setrlimit((__rlimit_resource_t)resource, &limit) < 0 ||
        mu_team_open(&options, &team, NULL) != 0 || mu_team_width(team) != 4)
        return 1;
    for (int i = 0; i < N_ENTERED; i++) {
        entered[i] = mu_team_enter(team);
        if (!entered[i] || fib(entered[i], 12) != fib_serial(12))
            return 2;
    }
    rest = mmap(NULL, bytes / 4, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (rest == MAP_FAILED)
        return 3;
    for (int i = 0; i < N_ENTERED; i++)
        if (mu_team_leave(entered[i]) != 0)
            return 4;
    mu_team_close(team);
    return 0;
}

static void team_leaves_room_in_a_limited_process(void **state)
{
    static const int resources[] = {RLIMIT_AS, RLIMIT_DATA};
    static const int bits[] = {30, 32, 35, 38};

    (void)state;
    if (TEAM_IS_SLOW)
        return; /* the sanitizers need more than that themselves */
    for (int i = 0; i < 8; i++) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0)
            _exit(use_team_within(resources[i / 4], (rlim_t)1 << bits[i % 4]));
        expect_exit(child, 0);
    }
}

static int one(struct mu_job *j, int *n);
MU_FORKABLE(int, one, int *)
static int one(struct mu_job *j, int *n)
{
    (void)j;
    ++*n;
    return 1;
}

/* A task that its submitter or waiter has to run, and cannot, has ended: so it is told at
 * each wait, and its ticket is as good as any. */
static void task_without_address_space_is_cancelled(void **state)
{
    enum { N_MOST = 10000 };
    static struct mu_ticket tickets[N_MOST];
    struct mu_team *alone;
    struct rlimit limit;
    struct rlimit none;
    int n_tickets = 0;
    int n = 0;
    int rc = 0;

    (void)state;
    if (TEAM_IS_SLOW)
        return; /* as above */
    alone = team_of(1);
    assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
    none = limit;
    none.rlim_cur = 1;
    assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
    while (rc == 0 && n_tickets < N_MOST) /* until the queue is full */
        rc = mu_team_submit(alone, &tickets[n_tickets++], one, &n);
    assert_int_equal(rc, -ENOMEM);
    for (int i = 0; i < n_tickets; i++)
        for (int k = 0; k < 2; k++)
            assert_int_equal(mu_team_wait(&tickets[i], one, NULL), -ENOMEM);
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    assert_int_equal(n, 0);
    for (int i = 0; i < n_tickets; i++)
        assert_int_equal(mu_team_submit(alone, &tickets[i], one, &n), 0);
    for (int i = 0; i < n_tickets; i++)
        assert_int_equal(mu_team_wait(&tickets[i], one, NULL), 0);
    assert_int_equal(n, n_tickets);
    mu_team_close(alone);
}

static int cpus_among(struct mu_job *j, const cpu_set_t *cpus);
MU_FORKABLE(int, cpus_among, const cpu_set_t *)
static int cpus_among(struct mu_job *j, const cpu_set_t *cpus)
{
    cpu_set_t both;

    (void)j;
    if (sched_getaffinity(0, sizeof both, &both) < 0)
        return -1;
    CPU_AND(&both, &both, cpus);
    return CPU_COUNT(&both);
}

/* How many of these CPUs a thread of a pinned team may use. */
static int pinned_among(const cpu_set_t *cpus)
{
    struct mu_team_options options = {.n_threads = 3, .pin = 1};
    struct mu_ticket ticket = {0};
    struct mu_team *team;
    int n = 0;

    assert_int_equal(mu_team_open(&options, &team, NULL), 0);
    assert_int_equal(mu_team_submit(team, &ticket, cpus_among, cpus), 0);
    while (__atomic_load_n(&ticket.job.state, __ATOMIC_ACQUIRE) == 0)
        (void)sched_yield(); /* let one of the team take it, not this thread */
    assert_int_equal(mu_team_wait(&ticket, cpus_among, &n), 0);
    mu_team_close(team);
    return n;
}

/* Bind this thread to one CPU. */
static void bind_to(int cpu, cpu_set_t *ret_before)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_getaffinity(0, sizeof *ret_before, ret_before), 0);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
}

static void pinned_threads_have_one_cpu(void **state)
{
    cpu_set_t all;

    (void)state;
    memset(&all, 0xff, sizeof all);
    assert_int_equal(pinned_among(&all), 1);
}

/* Bound to the CPUs that taskset left, and not to the first ones of the machine. */
static void pinning_keeps_to_the_usable_cpus(void **state)
{
    int last = CPU_SETSIZE - 1;
    cpu_set_t before;
    cpu_set_t now;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    while (!CPU_ISSET(last, &before))
        last--;
    bind_to(last, &before);
    assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
    assert_int_equal(pinned_among(&now), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

/* Eight threads on one CPU: every region still ends. */
static void crowded_team_ends_every_region(void **state)
{
    enum { N_ROUNDS = TEAM_IS_SLOW ? 5 : 50 };
    cpu_set_t before;
    struct mu_team *team;

    (void)state;
    bind_to(sched_getcpu(), &before);
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

/* How many arenas malloc() has made, for threads that came to it. */
static int count_arenas(void)
{
    int n = 0;
#ifdef __GLIBC__
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    assert_non_null(file);
    assert_int_equal(malloc_info(0, file), 0);
    assert_int_equal(fclose(file), 0);
    for (const char *at = text; (at = strstr(at, "<heap nr")) != NULL; at++)
        n++;
    free(text);
#endif
    return n;
}

/* Each would be 64 MiB of address space. The first test, for one that was made is used again. */
static void threads_make_no_arenas(void **state)
{
    int n = count_arenas();

    (void)state;
    mu_team_close(team_of(4));
    assert_int_equal(count_arenas(), n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_make_no_arenas),
        cmocka_unit_test(child_has_a_serial_team),
        cmocka_unit_test(child_leaves_a_region_it_was_born_in),
        cmocka_unit_test(child_of_a_job_ends_with_it),
        cmocka_unit_test(child_of_a_chunk_ends_with_it),
        cmocka_unit_test(team_leaves_room_in_a_limited_process),
        cmocka_unit_test(task_without_address_space_is_cancelled),
        cmocka_unit_test(pinned_threads_have_one_cpu),
        cmocka_unit_test(pinning_keeps_to_the_usable_cpus),
        cmocka_unit_test(crowded_team_ends_every_region),
        cmocka_unit_test(teams_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
