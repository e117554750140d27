/* test_brood.c: a signal reaches a child and all that descends from it, at once; and who ends
 * all that he has ends those too that become his meanwhile. The looks for children pass here by
 * the linker's help (--wrap, CMakeLists.txt). */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#include "process/brood.h"
#include "support/check.h"
#include "sys/census.h"
#include "sys/pidfd.h"

enum { N_GENERATIONS = 5 };

static _Atomic int *pids; /* of each generation */

/* Another child comes before the so manieth look for children; 0: none does. */
static unsigned n_to_late;

/* A chain, each but the first in a session of its own. */
static _Noreturn void live(unsigned generation)
{
    /* where nobody kills it */
    (void)alarm((unsigned)(TEST_HANG_NS / 1000000000));
    if (generation > 0)
        (void)setsid();
    if (generation + 1 < N_GENERATIONS && fork() == 0)
        live(generation + 1);
    atomic_store(&pids[generation], getpid());
    for (;;)
        (void)pause();
}

/* The child has ended, and what nobody saw below it is ours. */
static void come_late(void)
{
    siginfo_t info;
    pid_t late;

    (void)waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
    late = fork();
    if (late == 0)
        live(N_GENERATIONS - 1);
    atomic_store(&pids[0], late);
}

/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
int __real_mui_census_children(void (*each)(void *ctx, pid_t child), void *ctx);
int __wrap_mui_census_children(void (*each)(void *ctx, pid_t child), void *ctx);

int __wrap_mui_census_children(void (*each)(void *ctx, pid_t child), void *ctx)
{
    if (n_to_late > 0 && --n_to_late == 0)
        come_late();
    return __real_mui_census_children(each, ctx);
}
/* NOLINTEND(readability-identifier-naming) */

static void await_ends(const int *pidfds)
{
    for (unsigned i = 0; i < N_GENERATIONS; i++) {
        struct pollfd end = {.fd = pidfds[i], .events = POLLIN};

        assert_int_equal(poll(&end, 1, (int)(TEST_HANG_NS / 1000000)), 1);
        (void)close(pidfds[i]);
    }
}

static void all_generations_are_signalled(void **state)
{
    const int64_t deadline = test_deadline();
    int pidfds[N_GENERATIONS];
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0)
        live(0);
    for (unsigned i = 0; i < N_GENERATIONS; i++) {
        while (atomic_load(&pids[i]) == 0)
            assert_true(mu_now_ns() < deadline);
        pidfds[i] = mui_pidfd_open(atomic_load(&pids[i]));
        assert_true(pidfds[i] >= 0);
    }
    mui_brood_signal(child, SIGKILL);
    await_ends(pidfds);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* In a process of its own, since it ends that. To stop them is a look, to kill them another,
 * to see who is left the third. */
static _Noreturn void end_with_a_latecomer(void)
{
    (void)alarm((unsigned)(TEST_HANG_NS / 1000000000));
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (fork() == 0)
        live(N_GENERATIONS - 1);
    n_to_late = 3;
    mui_brood_end();
}

static void all_end_that_come_meanwhile(void **state)
{
    pid_t child;
    int status;

    (void)state;
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        end_with_a_latecomer();
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(test_kill(atomic_load(&pids[0]), 0), -1);
}

/* As above. */
static _Noreturn void end_without_proc(void)
{
    (void)alarm((unsigned)(TEST_HANG_NS / 1000000000));
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/proc", "tmpfs", 0, NULL) != 0)
        _exit(77);
    if (fork() == 0)
        live(N_GENERATIONS - 2); /* a look takes a second for each */
    while (atomic_load(&pids[N_GENERATIONS - 1]) == 0)
        (void)sched_yield();
    mui_brood_end();
}

static void all_end_where_proc_is_gone(void **state)
{
    pid_t child;
    int status;

    (void)state;
    for (unsigned i = 0; i < N_GENERATIONS; i++)
        atomic_store(&pids[i], 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        end_without_proc();
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(); /* who may not mount */
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (unsigned i = N_GENERATIONS - 2; i < N_GENERATIONS; i++)
        assert_int_equal(test_kill(atomic_load(&pids[i]), 0), -1);
}

static void count_child(void *n, pid_t child)
{
    (void)child;
    ++*(unsigned *)n;
}

/* Whether it knows the only child that it has, or knows that it does not. */
static bool is_known_or_refused(pid_t child)
{
    unsigned n = 0;
    pid_t known = child;

    if (mui_census_children(count_child, &n) == 0 && n != 1)
        return false;
    (void)mui_census_children_of(getpid(), &known, 1);
    return known == child;
}

/* The first process of a PID namespace, whose /proc is that of the one above; in a process of
 * its own, as above. */
static _Noreturn void end_with_another_proc(void)
{
    pid_t first;
    pid_t child;
    int status;

    if (unshare(CLONE_NEWPID) != 0 &&
        unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
        _exit(77);
    first = fork();
    if (first < 0)
        _exit(77);
    if (first > 0) {
        (void)waitpid(first, &status, 0);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
    child = fork();
    if (child == 0)
        live(N_GENERATIONS - 1);
    while (atomic_load(&pids[N_GENERATIONS - 1]) == 0)
        (void)sched_yield();
    if (!is_known_or_refused(child))
        _exit(1); /* nor would it end */
    mui_brood_end();
}

static void all_end_where_proc_is_of_another_namespace(void **state)
{
    pid_t child;
    int status;

    (void)state;
    atomic_store(&pids[N_GENERATIONS - 1], 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        end_with_another_proc();
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(); /* who may not have one */
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_generations_are_signalled),
        cmocka_unit_test(all_end_that_come_meanwhile),
        cmocka_unit_test(all_end_where_proc_is_gone),
        cmocka_unit_test(all_end_where_proc_is_of_another_namespace),
    };

    /* orphans come to us, as to all who use it: else they are taken for strangers */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return 1;
    pids = test_shared(N_GENERATIONS * sizeof *pids);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
