/* test_traced.c: a worker is traced when it ends, by who hears of that first and does nothing:
 * no task waits for him, and no pool. He is a child of the test, and no task left him behind. */
#include <dirent.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

#include "support/pool.h"
#include "support/traced.h"

static struct {
    sem_t wanted; /* to trace `worker` */
    sem_t traced; /* or it cannot be, for `why`, an errno */
    pid_t worker; /* or another thread of it */
    unsigned long options;
    int why;
} * shared;

/* Trace who asks for it, and let no one go. */
static _Noreturn void trace(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        (void)sem_wait(&shared->wanted);
        if (ptrace(PTRACE_SEIZE, shared->worker, NULL, shared->options) < 0)
            shared->why = errno;
        (void)sem_post(&shared->traced);
    }
}

/* One at a time. */
static void be_traced(pid_t thread, unsigned long options)
{
    /* where only ancestors may */
    (void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    shared->worker = thread;
    shared->options = options;
    (void)sem_post(&shared->wanted);
    (void)sem_wait(&shared->traced);
}

/* A thread of this process that is not its first; 0: there is none. */
static pid_t other_thread(void)
{
    DIR *threads = opendir("/proc/self/task");
    struct dirent *entry;
    pid_t other = 0;

    while (threads && (entry = readdir(threads)) != NULL) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);

        if (thread > 0 && thread != getpid())
            other = thread;
    }
    if (threads)
        (void)closedir(threads);
    return other;
}

enum way {
    IS_KILLED,
    EXITS,
    EXITS_WITH_WORD,
    /* the same, traced in another thread */
    EXITS_BESIDE,
    EXITS_BESIDE_WITH_WORD
};

static int end_traced(struct mu_task *task)
{
    enum way way = (enum way)mu_task_tag(task);

    if (mu_task_attempt(task) > 1)
        return 0;
    be_traced(way >= EXITS_BESIDE ? other_thread() : getpid(), 0);
    switch (way) {
    case IS_KILLED:
        return kill(getpid(), SIGKILL);
    case EXITS:
    case EXITS_BESIDE:
        _exit(3);
    case EXITS_WITH_WORD:
    case EXITS_BESIDE_WITH_WORD:
        exit(3);
    }
    return 0;
}

static void how_it_ended_is_told(void **state)
{
    struct mu_pool *pool = test_pool("processes:1", NULL);
    struct mu_outcome *o = test_run_tag(pool, end_traced, IS_KILLED);

    (void)state;
    assert_int_equal(o->status, MU_CRASHED);
    assert_int_equal(o->signal, SIGKILL);
    mu_outcome_free(o);
    o = test_run_tag(pool, end_traced, EXITS);
    assert_int_equal(o->status, MU_EXITED);
    assert_int_equal(o->code, 3);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* For the kernel its process has not ended. */
static void end_is_told_of_who_is_traced_beside(void **state)
{
    struct mu_pool *pool = test_pool("processes:1/threads:2", NULL);
    struct mu_outcome *o = test_run_tag(pool, end_traced, EXITS_BESIDE);

    (void)state;
    assert_int_equal(o->status, MU_EXITED);
    assert_int_equal(o->code, 3);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* A child of the task traces another thread of it, and keeps what would ring as the process
 * ends. */
static int end_traced_by_child(struct mu_task *task)
{
    (void)task;
    if (test_traced_by_child(other_thread()) < 0)
        return 1;
    _exit(3);
}

static void end_is_told_of_who_is_traced_by_his_own(void **state)
{
    struct mu_pool *pool = test_pool("processes:1/threads:2", NULL);
    struct mu_outcome *o = test_run(pool, end_traced_by_child);

    (void)state;
    assert_int_equal(o->status, MU_EXITED);
    assert_int_equal(o->code, 3);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static int wait_traced(struct mu_task *task)
{
    if (mu_task_attempt(task) > 1)
        return 0;
    be_traced(getpid(), PTRACE_O_TRACEEXIT);
    for (;;)
        (void)pause();
}

/* It is killed, and stopped at its end. */
static void task_of_who_is_stopped_at_his_end_is_tried_again(void **state)
{
    const struct mu_pool_options options = {.retries = 1,
                                            .timeout_ns = 100 * 1000 * 1000};
    struct mu_pool *pool = test_pool("processes:1", &options);
    struct mu_outcome *o = test_run(pool, wait_traced);

    (void)state;
    assert_int_equal(o->status, MU_DONE);
    assert_int_equal(o->attempts, 2);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static void task_is_tried_again(void **state)
{
    const struct mu_pool_options options = {.retries = 1};
    struct mu_pool *pool = test_pool("processes:1", &options);
    struct mu_outcome *o = test_run_tag(pool, end_traced, EXITS);

    (void)state;
    assert_int_equal(o->status, MU_DONE);
    assert_int_equal(o->attempts, 2);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* Without mu_init() the last pool that closes waits for the guardian, and that for all that
 * it has. */
struct closing {
    const char *model;
    enum way way;
};

static void close_alone(void *arg)
{
    const struct closing *closing = arg;
    const struct mu_submit how = {.tag = closing->way};
    struct mu_pool *pool;
    struct mu_outcome *o;

    alarm(TEST_HANG_NS / 1000000000);
    CHECK_CHILD(mu_pool_open(closing->model, NULL, &pool, NULL) == MU_OK);
    CHECK_CHILD(mu_pool_submit(pool, end_traced, NULL, 0, &how, NULL) == MU_OK);
    CHECK_CHILD(mu_pool_next(pool, MU_NEVER, &o) == MU_OK);
    CHECK_CHILD(o->status == MU_EXITED);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static void pool_closes(void **state)
{
    struct closing all[] = {
        {"processes:1", EXITS_WITH_WORD},
        {"processes:1/threads:2", EXITS_WITH_WORD},
        {"processes:1/threads:2", EXITS_BESIDE_WITH_WORD},
    };

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_int_equal(test_wait(test_fork(close_alone, &all[i])), 0);
}

static void try_to_be_traced(void *unused)
{
    (void)unused;
    be_traced(getpid(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(how_it_ended_is_told),
        cmocka_unit_test(end_is_told_of_who_is_traced_beside),
        cmocka_unit_test(end_is_told_of_who_is_traced_by_his_own),
        cmocka_unit_test(task_is_tried_again),
        cmocka_unit_test(task_of_who_is_stopped_at_his_end_is_tried_again),
        cmocka_unit_test(pool_closes),
    };
    pid_t tracer;
    int rc = 0;

    shared = test_shared(sizeof *shared);
    if (sem_init(&shared->wanted, 1, 0) < 0 ||
        sem_init(&shared->traced, 1, 0) < 0)
        return 1;
    tracer = fork();
    if (tracer == 0)
        trace();
    test_await_end(test_fork(try_to_be_traced, NULL));
    if (shared->why != 0)
        print_message("skipped: nobody may be traced here: %s\n",
                      strerror(shared->why));
    else
        rc = mu_init(NULL) != 0 || cmocka_run_group_tests(tests, NULL, NULL);
    (void)test_kill(tracer, SIGKILL);
    return rc;
}
