/* test_asleep.c: the nursery sleeps when there is nothing to be done, also beside what it
 * can do nothing about. Its poll() passes here by the linker's help (--wrap,
 * CMakeLists.txt). */
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <time.h>

#include "support/pool.h"

static pid_t host;

/* In memory that all processes share. */
static struct {
    _Atomic unsigned n_idle; /* so often the nursery had nothing to do */
    _Atomic int attached;    /* 1: the tracer is, or a negative errno */
} * shared;

/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);

/* Of those that hear as many as the nursery does, the guardian, our child, is none. */
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    if (n > 4 && getpid() != host && getppid() != host &&
        __real_poll(fds, n, 0) == 0)
        atomic_fetch_add(&shared->n_idle, 1);
    return __real_poll(fds, n, timeout_ms);
}
/* NOLINTEND(readability-identifier-naming) */

static void trace(void *worker)
{
    const pid_t *pid = worker;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    atomic_store(&shared->attached,
                 ptrace(PTRACE_SEIZE, *pid, NULL, NULL) == 0 ? 1 : -errno);
    for (;;)
        (void)pause();
}

static pid_t start_tracer(pid_t worker)
{
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    pid_t tracer;

    atomic_store(&shared->attached, 0);
    tracer = test_fork(trace, &worker);
    while (atomic_load(&shared->attached) == 0)
        (void)nanosleep(&pause, NULL);
    return tracer;
}

static void end_tracer(pid_t tracer)
{
    (void)test_kill(tracer, SIGKILL);
    (void)test_wait(tracer);
}

static int crash(struct mu_task *task)
{
    (void)task;
    return raise(SIGKILL);
}

/* A worker that has ended, and whose tracer, a stranger, does not wait for it: nobody else
 * can. Another pool keeps the nursery busy, and then it sleeps. */
static void dead_worker_with_a_tracer_keeps_nobody_awake(void **state)
{
    const int64_t end_ns = test_deadline();
    struct mu_pool *pool = test_pool("processes:1", NULL);
    struct mu_pool *other = test_pool("processes:1", NULL);
    struct mu_outcome *o = test_run(pool, test_say_pid);
    const pid_t worker = (pid_t)atoi(o->output);
    const pid_t tracer = start_tracer(worker);
    unsigned n;

    (void)state;
    mu_outcome_free(o);
    if (atomic_load(&shared->attached) < 0) {
        end_tracer(tracer);
        mu_pool_close(other);
        mu_pool_close(pool);
        skip(); /* it may not trace here */
    }
    assert_int_equal(test_kill(worker, SIGKILL), 0);
    test_await_end(worker);
    n = atomic_load(&shared->n_idle);
    /* the first may have been before the end */
    while (atomic_load(&shared->n_idle) < n + 3) {
        assert_true(mu_now_ns() < end_ns);
        test_run_as(other, crash, MU_CRASHED);
    }
    mu_pool_close(other);
    end_tracer(tracer);
    mu_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dead_worker_with_a_tracer_keeps_nobody_awake),
    };

    host = getpid();
    shared = test_shared(sizeof *shared);
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
