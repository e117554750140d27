/* test_census.c: what a process finds of itself. */
#include <signal.h>
#include <sys/prctl.h>

#include "support/check.h"
#include "sys/census.h"

/* Start a child whose end sends `signal`; 0: none. */
static pid_t start_child(unsigned long signal)
{
    const pid_t parent = getpid();
    pid_t pid = (pid_t)syscall(SYS_clone, signal, NULL, NULL, NULL, NULL);

    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (getppid() == parent)
            (void)pause();
        _exit(0);
    }
    return pid;
}

/* wait() passes over those that announce their end by no SIGCHLD. */
static void children_of_any_kind_are_seen(void **state)
{
    static const unsigned long signals[] = {SIGCHLD, 0, SIGUSR1};

    (void)state;
    (void)signal(SIGUSR1, SIG_IGN);
    for (int i = 0; i < 3; i++) {
        pid_t pid;
        int status;

        assert_false(mui_census_has_children());
        pid = start_child(signals[i]);
        assert_true(pid > 0);
        assert_true(mui_census_has_children());
        assert_int_equal(test_kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, __WALL), pid);
    }
    assert_false(mui_census_has_children());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_of_any_kind_are_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
