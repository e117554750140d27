/* test_nursery.c: what the nursery says of workers is lost on the way, or it cannot have
 * what it needs to say it. Its messages pass here by the linker's help (--wrap,
 * CMakeLists.txt). */
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "layer/processes.h"
#include "layer/starts.h"
#include "pool/pool.h"
#include "process/nursery.h"
#include "process/wire.h"
#include "support/keepers.h"
#include "support/refuse.h"

static pid_t host;

/* Of the nursery's messages; in memory that all processes share. */
static struct {
    _Atomic int n_refuse; /* so many that come with a descriptor */
    _Atomic int refused;  /* the worker that the last of them was about */
    _Atomic bool swallows_ends;
    _Atomic int n_forks;         /* of workers, that went well */
    _Atomic int n_hang;          /* so many of those will never be up */
    _Atomic int n_fork_fails;    /* so many will not */
    _Atomic int forked;          /* the last one */
    _Atomic bool dies_forking;   /* the nursery, when it has forked the next */
    _Atomic int unreported;      /* that next one */
    _Atomic int n_nursery_fails; /* the same of nurseries */
    _Atomic int n_orders_fail;   /* so many of the supervisor's are not sent */
    _Atomic int why;             /* errno of those */
} * shared;

/* Whose orders are not sent, and of whose first worker that has a task it is said before
 * that it was stopped; NULL: nobody's. */
static struct mu_pool *_Atomic disowning;

static int disown_order(struct mu_pool *pool,
                        const struct mui_wire_order *order)
{
    struct mui_processes *p = (struct mui_processes *)pool->layer;
    const struct mui_nursery_report stopped = {.id = order->id,
                                               .news = MUI_NURSERY_STOPPED,
                                               .value = SIGSTOP,
                                               .pidfd = -1};

    (void)pthread_mutex_lock(&pool->lock);
    if (pool->n_given > 0 &&
        mui_processes_peer_by_id(p, order->id)->i_group >= 0) {
        mui_processes_heed_report(p, &stopped);
        atomic_store(&disowning, NULL);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    errno = EAGAIN;
    return -1;
}

/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

int __real_fork(void);
int __wrap_fork(void);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    const struct mui_nursery_report *report = message->msg_iov->iov_base;

    if (getpid() == host &&
        message->msg_iov->iov_len == sizeof(struct mui_wire_order) &&
        atomic_load(&shared->n_orders_fail) > 0) {
        atomic_fetch_sub(&shared->n_orders_fail, 1);
        errno = atomic_load(&shared->why);
        return -1;
    }
    if (getpid() == host &&
        message->msg_iov->iov_len == sizeof(struct mui_wire_order) &&
        atomic_load(&disowning))
        return disown_order(atomic_load(&disowning),
                            message->msg_iov->iov_base);
    /* the guardian, our child, sends nothing but what we sent it */
    if (getpid() == host || getppid() == host ||
        message->msg_iov->iov_len != sizeof *report)
        return __real_sendmsg(fd, message, flags);
    if (report->news == MUI_NURSERY_FORKED &&
        atomic_load(&shared->n_refuse) > 0) {
        atomic_fetch_sub(&shared->n_refuse, 1);
        atomic_store(&shared->refused, report->pid);
        errno = ETOOMANYREFS;
        return -1;
    }
    if (report->news != MUI_NURSERY_FORKED &&
        atomic_load(&shared->swallows_ends))
        return (ssize_t)sizeof *report;
    return __real_sendmsg(fd, message, flags);
}

int __wrap_fork(void)
{
    int rc;

    _Atomic int *n_fails;
    bool is_guardian = getppid() == host;
    bool hangs;

    if (!shared || getpid() == host)
        return __real_fork();
    n_fails = is_guardian ? &shared->n_nursery_fails : &shared->n_fork_fails;
    if (atomic_load(n_fails) > 0) {
        atomic_fetch_sub(n_fails, 1);
        errno = EAGAIN;
        return -1;
    }
    hangs = !is_guardian && atomic_load(&shared->n_hang) > 0;
    if (hangs)
        atomic_fetch_sub(&shared->n_hang, 1);
    rc = __real_fork();
    if (rc > 0 && !is_guardian) {
        atomic_store(&shared->forked, rc);
        atomic_fetch_add(&shared->n_forks, 1);
        if (atomic_exchange(&shared->dies_forking, false)) {
            atomic_store(&shared->unreported, rc);
            (void)raise(SIGKILL);
        }
    }
    if (rc == 0 && hangs)
        for (;;)
            (void)pause();
    return rc;
}
/* NOLINTEND(readability-identifier-naming) */

static int sleep_for_ever(struct mu_task *t)
{
    (void)t;
    for (;;)
        (void)pause();
}

/* Nobody else could kill it: not at a deadline, nor as the pool is closed. */
static void worker_that_no_pool_can_hold_is_killed(void **state)
{
    struct mu_pool *pool;
    struct mu_outcome *o;

    (void)state;
    atomic_store(&shared->n_refuse, 1);
    pool = test_pool("processes:1", NULL);
    o = test_run(pool, test_say_pid);
    assert_int_equal(o->status, MU_DONE);
    assert_int_equal(o->attempts, 1);
    assert_int_not_equal(atomic_load(&shared->refused), 0);
    assert_int_not_equal(atoi(o->output), atomic_load(&shared->refused));
    mu_outcome_free(o);
    test_await_end(atomic_load(&shared->refused));
    mu_pool_close(pool);
}

static void await_forks(int n_workers)
{
    const int64_t deadline = test_deadline();

    while (atomic_load(&shared->n_forks) < n_workers) {
        assert_true(mu_now_ns() < deadline);
        (void)sched_yield();
    }
}

/* One for which so many workers were forked. */
static struct mu_pool *pool_with(const char *model, int n_workers)
{
    struct mu_pool *pool;

    atomic_store(&shared->n_forks, 0);
    pool = test_pool(model, NULL);
    await_forks(n_workers);
    return pool;
}

/* Of more workers than the pool's thread buries at a time, all at once in the end. */
static void pool_closes_that_hears_of_no_end(void **state)
{
    struct mu_pool *pool = pool_with("processes:16", 16);

    (void)state;
    test_run_as(pool, test_say_pid, MU_DONE);
    atomic_store(&shared->swallows_ends, true);
    mu_pool_close(pool);
    atomic_store(&shared->swallows_ends, false);
}

static int kill_worker(struct mu_task *t)
{
    (void)t;
    return raise(SIGKILL);
}

/* One that has a worker and a spare, and no more for so many tries. */
static struct mu_pool *pool_without_forks(int n_fails)
{
    struct mu_pool *pool = pool_with("processes:1", 2);

    atomic_store(&shared->n_fork_fails, n_fails);
    return pool;
}

/* A task of the same user can take all processes that it may have. One more fails than
 * open would put up with, and none of them counts against who waits. */
static void pool_outlives_a_time_without_forks(void **state)
{
    struct mu_pool *pool;

    (void)state;
    pool = pool_without_forks(MUI_STARTS_FAILURES_MAX + 1);
    test_run_as(pool, kill_worker, MU_CRASHED);
    test_run_as(pool, kill_worker, MU_CRASHED);
    test_run_as(pool, test_say_pid, MU_DONE);
    assert_int_equal(atomic_load(&shared->n_fork_fails), 0);
    mu_pool_close(pool);
}

/* One whose worker is at its first system call, and stays there. */
static struct mu_pool *pool_whose_worker_hangs(void)
{
    struct mu_pool *pool = pool_with("processes:1", 2);

    atomic_store(&shared->n_hang, 1);
    test_run_as(pool, kill_worker, MU_CRASHED);
    await_forks(3);
    test_run_as(pool, kill_worker, MU_CRASHED);
    return pool;
}

/* However much time passes: what is looked at here is from an hour later. */
static void task_of_a_worker_that_is_not_up_has_its_time_still(void **state)
{
    const struct mu_submit how = {.timeout_ns = INT64_C(100000000000)};
    const int64_t later_ns = INT64_C(3600000000000);
    struct mu_pool *pool = pool_whose_worker_hangs();

    (void)state;
    assert_int_equal(mu_pool_submit(pool, test_say_pid, NULL, 0, &how, NULL),
                     0);
    (void)pthread_mutex_lock(&pool->lock);
    assert_int_equal(pool->n_given, 1);
    assert_true(mui_pool_deadlines(pool, mu_after_ns(later_ns)) >
                mu_after_ns(later_ns));
    for (int i = 0; i < 10; i++) {
        pool->doubt_ns = 0;
        assert_false(mui_pool_doubt(pool));
    }
    assert_int_equal(pool->n_given, 1);
    assert_int_equal(pool->stats.n_workers_died, 2);
    (void)pthread_mutex_unlock(&pool->lock);
    mu_pool_close(pool);
}

static void worker_that_is_never_up_is_replaced(void **state)
{
    struct mu_pool *pool = pool_whose_worker_hangs();
    struct mui_processes *p = (struct mui_processes *)pool->layer;

    (void)state;
    test_submit(pool, test_say_pid, 0);
    (void)pthread_mutex_lock(&pool->lock);
    p->peers[p->group_peers[0]].ordered_ns -= MUI_STARTS_LATE_NS;
    mui_bells_poke(&p->bells);
    (void)pthread_mutex_unlock(&pool->lock);
    test_take_as(pool, MU_DONE);
    mu_pool_close(pool);
}

/* The same of a nursery that was killed then: there is none for so many tries. */
static void pool_outlives_a_time_without_a_nursery(void **state)
{
    enum { N_FAILS = 4 };
    struct mu_pool *pool = test_pool("processes:1", NULL);
    struct mu_pool *second;
    pid_t nursery = test_nursery(pool);

    (void)state;
    atomic_store(&shared->n_nursery_fails, N_FAILS);
    assert_int_equal(test_kill(nursery, SIGKILL), 0);
    test_await_end(nursery);
    second = test_pool("processes:1", NULL);
    test_run_as(second, test_say_pid, MU_DONE);
    test_run_as(pool, test_say_pid, MU_DONE);
    assert_int_equal(atomic_load(&shared->n_nursery_fails), 0);
    mu_pool_close(second);
    mu_pool_close(pool);
}

/* Nobody has heard of the last worker then, and the pool counts on it. */
static void nursery_may_die_before_it_reports(void **state)
{
    struct mu_pool *pool = pool_with("processes:1", 2);
    pid_t spare = atomic_load(&shared->forked);

    (void)state;
    atomic_store(&shared->dies_forking, true);
    test_run_as(pool, kill_worker, MU_CRASHED);
    /* with the nursery: a task that one of them begins would be lost */
    test_await_end(spare);
    test_await_end(atomic_load(&shared->unreported));
    test_run_as(pool, test_say_pid, MU_DONE);
    mu_pool_close(pool);
}

/* It waits for no worker that will not come. */
static void pool_without_forks_closes(void **state)
{
    struct mu_pool *pool = pool_without_forks(INT_MAX);
    struct mu_outcome *o;

    (void)state;
    test_run_as(pool, kill_worker, MU_CRASHED);
    test_run_as(pool, kill_worker, MU_CRASHED);
    test_submit(pool, test_say_pid, 0);
    assert_int_equal(mu_pool_next(pool, MU_NOW, &o), MU_TIMEOUT);
    assert_int_equal(mu_pool_next(pool, mu_after_ns(1000 * 1000), &o),
                     MU_TIMEOUT);
    mu_pool_close(pool);
    atomic_store(&shared->n_fork_fails, 0);
}

/* The worker is in the pool's table by then, and has tasks, but there is none. */
static void order_that_is_not_sent_is_made_good(void **state)
{
    static const int whys[] = {EAGAIN, ETOOMANYREFS};
    struct mu_pool *pool;

    (void)state;
    for (int i = 0; i < 2; i++) {
        atomic_store(&shared->why, whys[i]);
        if (whys[i] == EAGAIN) /* else it is an error of opening */
            atomic_store(&shared->n_orders_fail, 1);
        pool = pool_without_forks(0);
        assert_int_equal(atomic_load(&shared->n_orders_fail), 0);
        atomic_store(&shared->n_orders_fail, 2);
        for (int j = 0; j < 3; j++)
            test_run_as(pool, kill_worker, MU_CRASHED);
        test_run_as(pool, test_say_pid, MU_DONE);
        assert_int_equal(atomic_load(&shared->n_orders_fail), 0);
        mu_pool_close(pool);
    }
}

/* What a worker has begun, by what is said of it, is held until it has ended: one that was
 * not ordered never was. */
static void who_cannot_be_ordered_holds_no_task(void **state)
{
    struct mu_pool *pool = pool_with("processes:1", 2);

    (void)state;
    atomic_store(&disowning, pool);
    test_run_as(pool, kill_worker, MU_CRASHED);
    test_run_as(pool, kill_worker, MU_CRASHED);
    test_run_as(pool, test_say_pid, MU_DONE);
    assert_null(atomic_load(&disowning));
    mu_pool_close(pool);
}

/* The nursery keeps the limit that it was born with. */
static void work_with_few_files(rlim_t n_files)
{
    static const struct mu_submit hasty = {.timeout_ns = 50 * 1000 * 1000};
    struct rlimit limit;
    struct mu_error err = {.text = ""};
    struct mu_outcome *o;
    struct mu_pool *pool;
    rlim_t before;
    bool has_nursery;

    CHECK_CHILD(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    before = limit.rlim_cur;
    limit.rlim_cur = n_files;
    CHECK_CHILD(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    has_nursery = mu_init(NULL) == 0;
    limit.rlim_cur = before;
    CHECK_CHILD(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (!has_nursery)
        return;
    if (mu_pool_open("processes:2", NULL, &pool, &err) < 0) {
        CHECK_CHILD(strstr(err.text, "open files"));
        return;
    }
    for (int i = 0; i < 4; i++) {
        CHECK_CHILD(mu_pool_submit(pool, i % 2 ? test_say_pid : sleep_for_ever,
                                   NULL, 0, i % 2 ? NULL : &hasty, NULL) == 0);
        CHECK_CHILD(mu_pool_next(pool, MU_NEVER, &o) == 0);
        CHECK_CHILD(o->status == (i % 2 ? MU_DONE : MU_TIMED_OUT));
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

static void nursery_without_files_is_an_error(void **state)
{
    enum { FEWEST = 8, MOST = 30 };
    pid_t pids[MOST];

    (void)state;
    for (int n = FEWEST; n < MOST; n++) {
        pids[n] = fork();
        assert_true(pids[n] >= 0);
        if (pids[n] == 0) {
            host = getpid();
            work_with_few_files((rlim_t)n);
            _exit(0);
        }
    }
    for (int n = FEWEST; n < MOST; n++)
        assert_int_equal(test_wait(pids[n]), 0);
}

static void work_without_pidfd_open(void *arg)
{
    static const char *const models[] = {"serial", "threads:2"};
    struct mu_error err = {.text = ""};
    struct mu_outcome *o;
    struct mu_pool *pool;
    struct mu_pool *none = NULL;

    /* as valgrind and Linux before 5.3 do, by ENOSYS, and old containers, by EPERM */
    test_refuse(SYS_pidfd_open, *(const int *)arg);
    CHECK_CHILD(mu_init(&err) == 0 && err.text[0] == '\0');
    CHECK_CHILD(mu_init(NULL) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK_CHILD(mu_pool_open(models[i], NULL, &pool, NULL) == 0);
        CHECK_CHILD(mu_pool_submit(pool, test_say_pid, NULL, 0, NULL, NULL) ==
                    0);
        CHECK_CHILD(mu_pool_next(pool, MU_NEVER, &o) == 0);
        CHECK_CHILD(o->status == MU_DONE);
        mu_outcome_free(o);
        /* while other threads run, too: they are not why */
        CHECK_CHILD(mu_pool_open("processes:2", NULL, &none, &err) == -ENOSYS);
        CHECK_CHILD(!none && strstr(err.text, "Linux 5.4 or newer") &&
                    strstr(err.text, "pidfd_open()"));
        mu_pool_close(pool);
    }
}

static void other_models_run_without_pidfd_open(void **state)
{
    static int errors[] = {ENOSYS, EPERM};

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            test_wait(test_fork(work_without_pidfd_open, &errors[i])), 0);
}

/* Nor is that an error of mu_init(), but who names a function needs it. */
static void begin_without_memfd_create(void *arg)
{
    struct mu_error err = {.text = ""};
    struct mu_pool *pool;
    struct mu_pool *none = NULL;

    test_refuse(SYS_memfd_create, *(const int *)arg);
    CHECK_CHILD(mu_init(&err) == 0 && err.text[0] == '\0');
    CHECK_CHILD(mu_pool_open("processes:2", NULL, &none, &err) == -ENOSYS);
    CHECK_CHILD(!none && strstr(err.text, "memfd_create()"));
    CHECK_CHILD(mu_pool_open("threads:2", NULL, &pool, NULL) == 0);
    CHECK_CHILD(mu_pool_submit(pool, test_say_pid, NULL, 0, NULL, NULL) ==
                -ENOSYS);
    mu_pool_close(pool);
}

static void refused_memfd_create_is_told_who_needs_it(void **state)
{
    static int errors[] = {ENOSYS, EPERM};

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            test_wait(test_fork(begin_without_memfd_create, &errors[i])), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* first: a child knows the functions that its parent has named */
        cmocka_unit_test(refused_memfd_create_is_told_who_needs_it),
        cmocka_unit_test(worker_that_no_pool_can_hold_is_killed),
        cmocka_unit_test(pool_closes_that_hears_of_no_end),
        cmocka_unit_test(pool_outlives_a_time_without_forks),
        cmocka_unit_test(task_of_a_worker_that_is_not_up_has_its_time_still),
        cmocka_unit_test(worker_that_is_never_up_is_replaced),
        cmocka_unit_test(pool_outlives_a_time_without_a_nursery),
        cmocka_unit_test(nursery_may_die_before_it_reports),
        cmocka_unit_test(pool_without_forks_closes),
        cmocka_unit_test(order_that_is_not_sent_is_made_good),
        cmocka_unit_test(who_cannot_be_ordered_holds_no_task),
        cmocka_unit_test(nursery_without_files_is_an_error),
        cmocka_unit_test(other_models_run_without_pidfd_open),
    };

    host = getpid();
    shared = test_shared(sizeof *shared);
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
