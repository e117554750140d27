/* test_brood.c: a signal reaches a child and all that descends from it, at once. */
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>

#include "process/brood.h"
#include "support/check.h"
#include "sys/pidfd.h"

enum { N_GENERATIONS = 5 };

static _Atomic int *pids; /* of each generation */

/* A chain, each but the first in a session of its own. */
static _Noreturn void live(unsigned generation)
{
    if (generation > 0)
        (void)setsid();
    if (generation + 1 < N_GENERATIONS && fork() == 0)
        live(generation + 1);
    atomic_store(&pids[generation], getpid());
    for (;;)
        (void)pause();
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_generations_are_signalled),
    };

    /* orphans come to us, as to all who use it: else they are taken for strangers */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return 1;
    pids = test_shared(N_GENERATIONS * sizeof *pids);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
