/* test_team_idle.c: who searches, who sleeps, who is woken; and that nobody waits for a
 * thread that has not begun. */
#include <dirent.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "team/team.h"
#include "team_works.h"

#define AN_HOUR_NS INT64_C(3600000000000)

static struct mu_team *team_spinning(unsigned n_threads, int64_t spin_ns)
{
    struct mu_team_options options = {.n_threads = n_threads,
                                      .spin_ns = spin_ns};
    struct mu_team *team = NULL;

    assert_int_equal(mu_team_open(&options, &team, NULL), 0);
    return team;
}

static uint64_t idle_of(struct mu_team *team)
{
    return atomic_load_explicit(&team->idle, memory_order_seq_cst);
}

static void await_idle(struct mu_team *team, uint32_t searching,
                       uint32_t sleeping)
{
    while (idle_of(team) != mui_pair(searching, sleeping))
        (void)sched_yield();
}

/* A task that holds a thread of the team. */
struct gate {
    _Atomic int n_inside;
    _Atomic int is_open;
};

static void pass(struct mu_job *j, struct gate *gate);
MU_FORKABLE_VOID(pass, struct gate *)
static void pass(struct mu_job *j, struct gate *gate)
{
    (void)j;
    atomic_fetch_add_explicit(&gate->n_inside, 1, memory_order_seq_cst);
    while (!atomic_load_explicit(&gate->is_open, memory_order_seq_cst))
        (void)sched_yield();
}

static void hold_one(struct mu_team *team, struct gate *gate,
                     struct mu_ticket *ticket)
{
    int n = atomic_load_explicit(&gate->n_inside, memory_order_seq_cst);

    assert_int_equal(mu_team_submit(team, ticket, pass, gate), 0);
    while (atomic_load_explicit(&gate->n_inside, memory_order_seq_cst) == n)
        (void)sched_yield();
}

static void let_go(struct gate *gate, struct mu_ticket *tickets, int n)
{
    atomic_store_explicit(&gate->is_open, 1, memory_order_seq_cst);
    for (int i = 0; i < n; i++)
        assert_int_equal(mu_team_wait(&tickets[i], pass, NULL), 0);
}

/* -- sleeping and waking -- */

static void everybody_falls_asleep(void **state)
{
    struct mu_team *team = team_of(4);

    (void)state;
    for (int round = 0; round < 3; round++) {
        struct mu_job *j = team_enter(team);

        assert_int_equal(fib(j, 20), fib_serial(20));
        assert_int_equal(mu_team_leave(j), 0);
        await_idle(team, 0, 3);
    }
    mu_team_close(team);
}

/* Threads search for an hour here, so that who was woken stays awake to be counted. */
static void call_wakes_one_at_most(void **state)
{
    struct mu_team *team = team_spinning(4, AN_HOUR_NS);
    struct mu_ticket ticket = {0};
    struct gate gate = {0};

    (void)state;
    await_idle(team, 1, 2); /* the last one stays */
    mui_team_wake(team);
    assert_int_equal(idle_of(team), mui_pair(1, 2)); /* it looks already */
    hold_one(team, &gate, &ticket);
    /* nobody looks now, unless the submitter saw that first and woke one */
    mui_team_wake(team);
    assert_int_equal(idle_of(team), mui_pair(1, 1));
    mui_team_wake(team);
    assert_int_equal(idle_of(team), mui_pair(1, 1));
    let_go(&gate, &ticket, 1);
    mu_team_close(team);
}

/* Each piece goes on when as many run as there are threads. */
static void meet(struct mu_job *j, _Atomic int *n_here);
MU_FORKABLE_VOID(meet, _Atomic int *)
static void meet(struct mu_job *j, _Atomic int *n_here)
{
    (void)j;
    atomic_fetch_add_explicit(n_here, 1, memory_order_seq_cst);
    while (atomic_load_explicit(n_here, memory_order_seq_cst) % 4 != 0)
        (void)sched_yield();
}

static void meet_all(struct mu_job *j, size_t begin, size_t end,
                     _Atomic int *n_here);
MU_LOOP(meet_all, _Atomic int *)
static void meet_all(struct mu_job *j, size_t begin, size_t end,
                     _Atomic int *n_here)
{
    for (; begin < end; begin++)
        meet(j, n_here);
}

/* Four pieces that take long, on four threads that sleep: whoever comes wakes the next,
 * though nobody forks or joins meanwhile. A team expects its first work to be coarse. */
static void coarse_loop_wakes_all(void **state)
{
    struct mu_team *team = team_of(4);
    _Atomic int n_here = 0;
    struct mu_job *j;

    (void)state;
    await_idle(team, 0, 3);
    j = team_enter(team);
    mu_for(j, 0, 4, meet_all, &n_here);
    assert_int_equal(mu_team_leave(j), 0);
    mu_team_close(team);
}

static void coarse_forks_wake_all(void **state)
{
    struct mu_team *team = team_of(4);
    _Atomic int n_here = 0;
    struct mu_job *j;

    (void)state;
    await_idle(team, 0, 3);
    j = team_enter(team);
    for (int i = 0; i < 3; i++)
        mu_fork(j, meet, &n_here);
    meet(j, &n_here);
    for (int i = 0; i < 3; i++)
        mu_join_void(j, meet);
    assert_int_equal(mu_team_leave(j), 0);
    mu_team_close(team);
}

/* -- nobody waits for who has not begun -- */

static void mark(struct mu_job *j, size_t begin, size_t end, long *runs);
MU_LOOP(mark, long *)
static void mark(struct mu_job *j, size_t begin, size_t end, long *runs)
{
    (void)j;
    for (size_t i = begin; i < end; i++)
        runs[i]++;
}

/* All that one thread can do alone with a team. */
static void work_alone(struct mu_team *team)
{
    enum { N = 5000 };
    static long runs[N];
    struct mu_ticket ticket = {0};

    memset(runs, 0, sizeof runs);
    for (long round = 1; round <= 10; round++) {
        struct mu_job *j = team_enter(team);
        long result = 0;

        assert_int_equal(fib(j, 18), fib_serial(18));
        mu_for(j, 0, N, mark, runs);
        mu_for(j, 0, 8, mark, runs);
        for (size_t i = 0; i < N; i++)
            assert_int_equal(runs[i], i < 8 ? 2 * round : round);
        assert_int_equal(mu_team_leave(j), 0);
        assert_int_equal(mu_team_submit(team, &ticket, fib, 10), 0);
        assert_int_equal(mu_team_wait(&ticket, fib, &result), 0);
        assert_int_equal(result, fib_serial(10));
    }
}

/* Eight threads on two CPUs, all of them elsewhere. */
static void busy_thread_is_not_waited_for(void **state)
{
    enum { WIDTH = 8 };
    struct mu_ticket tickets[WIDTH - 1] = {0};
    struct gate gate = {0};
    cpu_set_t before;
    cpu_set_t two = {0};
    struct mu_team *team;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&two) < 2; i++)
        if (CPU_ISSET(i, &before))
            CPU_SET(i, &two);
    assert_int_equal(sched_setaffinity(0, sizeof two, &two), 0);
    team = team_of(WIDTH);
    for (int i = 0; i < WIDTH - 1; i++)
        hold_one(team, &gate, &tickets[i]);
    work_alone(team);
    let_go(&gate, tickets, WIDTH - 1);
    mu_team_close(team);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

/* A thread that has lost its CPU, wherever it was: this process stops those of a team
 * in a child, as a debugger does, while the child works on. */
struct link {
    int to_child[2];
    int to_parent[2];
};

static void say(const int ends[2])
{
    assert_int_equal(write(ends[1], "", 1), 1);
}

static void hear(const int ends[2])
{
    char c;

    assert_int_equal(read(ends[0], &c, 1), 1);
}

static void work_while_others_are_stopped(struct link *link, int64_t spin_ns,
                                          bool is_settled)
{
    struct mu_team *team;

    alarm(60);
    (void)close(link->to_child[1]);
    (void)close(link->to_parent[0]);
    team = team_spinning(4, spin_ns);
    if (is_settled)
        await_idle(team, spin_ns == AN_HOUR_NS, spin_ns == AN_HOUR_NS ? 2 : 3);
    say(link->to_parent);
    hear(link->to_child); /* they are stopped */
    work_alone(team);
    say(link->to_parent);
    hear(link->to_child); /* they run */
    mu_team_close(team);
    _exit(0);
}

/* Stop all threads of a process but the first. Returns how many; -1: not allowed. */
static int stop_threads(pid_t process, pid_t *ret_threads, int n_most)
{
    char path[64];
    struct dirent *entry;
    DIR *threads;
    int n = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/task", process);
    threads = opendir(path);
    assert_non_null(threads);
    while (n >= 0 && n < n_most && (entry = readdir(threads))) {
        pid_t thread = (pid_t)atoi(entry->d_name);

        if (thread <= 0 || thread == process)
            continue;
        if (ptrace(PTRACE_SEIZE, thread, NULL, NULL) < 0) {
            n = -1;
        } else {
            assert_int_equal(ptrace(PTRACE_INTERRUPT, thread, NULL, NULL), 0);
            assert_int_equal(waitpid(thread, NULL, __WALL), thread);
            ret_threads[n++] = thread;
        }
    }
    (void)closedir(threads);
    return n;
}

static void stopped_thread_is_not_waited_for(void **state)
{
    static const int64_t spins[] = {AN_HOUR_NS, 0, -1};

    (void)state;
    if (TEAM_IS_SLOW)
        return; /* a sanitizer's own locks may be held where a thread stops */
    for (int round = 0; round < 24; round++) {
        struct link link;
        pid_t threads[3];
        pid_t child;
        int status;
        int n;

        assert_int_equal(pipe(link.to_child), 0);
        assert_int_equal(pipe(link.to_parent), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0)
            work_while_others_are_stopped(&link, spins[round % 3],
                                          round % 2 == 0);
        (void)close(link.to_child[0]);
        (void)close(link.to_parent[1]);
        hear(link.to_parent);
        n = stop_threads(child, threads, 3);
        if (n < 0)
            print_message("not allowed to stop threads\n");
        else
            assert_int_equal(n, 3);
        say(link.to_child);
        hear(link.to_parent);
        for (int i = 0; i < n; i++)
            assert_int_equal(ptrace(PTRACE_DETACH, threads[i], NULL, NULL), 0);
        say(link.to_child);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        (void)close(link.to_child[1]);
        (void)close(link.to_parent[0]);
    }
}

/* -- offering the CPU: sched_yield() of the library is this one -- */

static _Atomic(pid_t) watcher; /* not counted */
static _Atomic long n_yields;

int sched_yield(void)
{
    if (gettid() != atomic_load_explicit(&watcher, memory_order_relaxed))
        atomic_fetch_add_explicit(&n_yields, 1, memory_order_relaxed);
    return (int)syscall(SYS_sched_yield);
}

static void searching_thread_offers_its_cpu(void **state)
{
    struct mu_team *team;
    long n;

    (void)state;
    atomic_store_explicit(&watcher, gettid(), memory_order_relaxed);
    team = team_spinning(2, AN_HOUR_NS);
    n = atomic_load_explicit(&n_yields, memory_order_relaxed);
    while (atomic_load_explicit(&n_yields, memory_order_relaxed) < n + 3)
        (void)sched_yield();
    mu_team_close(team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_falls_asleep),
        cmocka_unit_test(call_wakes_one_at_most),
        cmocka_unit_test(coarse_loop_wakes_all),
        cmocka_unit_test(coarse_forks_wake_all),
        cmocka_unit_test(busy_thread_is_not_waited_for),
        cmocka_unit_test(stopped_thread_is_not_waited_for),
        cmocka_unit_test(searching_thread_offers_its_cpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
