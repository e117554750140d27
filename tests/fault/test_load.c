/* test_load.c: guardian and nursery are kept from their work: by a library that the
 * program loaded late, whose constructor runs in them too, and by system calls that are
 * refused. These calls pass here by the linker's help (--wrap, CMakeLists.txt). */
#include <dlfcn.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include "support/pool.h"
#include "sys/census.h"

static pid_t host;

/* In memory that all processes share. */
static struct {
    _Atomic int n_forks;         /* of workers */
    _Atomic int n_nursery_loads; /* of the library */
    _Atomic int refuses;         /* enum call; to guardian and nursery */
    _Atomic int only;            /* or to this process alone; 0: both */
    _Atomic int guardian;        /* the last to which it was */
} * shared;

enum call { NONE, POLL, RECVMSG };

static bool is_called(const char *name)
{
    char own[16] = "";

    (void)prctl(PR_GET_NAME, own);
    return strcmp(own, name) == 0;
}

static bool is_refused(enum call call)
{
    if (!shared || atomic_load(&shared->refuses) != (int)call)
        return false;
    if (atomic_load(&shared->only) && atomic_load(&shared->only) != getpid())
        return false;
    if (is_called("muster-guardian"))
        atomic_store(&shared->guardian, getpid());
    else if (!is_called("muster-nursery"))
        return false;
    errno = EPERM;
    return true;
}

/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
int __real_poll(struct pollfd *polls, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *polls, nfds_t n, int timeout_ms);
ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
int __real_fork(void);
int __wrap_fork(void);
int __real_timer_settime(timer_t timer, int flags,
                         const struct itimerspec *value,
                         struct itimerspec *old);
int __wrap_timer_settime(timer_t timer, int flags,
                         const struct itimerspec *value,
                         struct itimerspec *old);

int __wrap_poll(struct pollfd *polls, nfds_t n, int timeout_ms)
{
    return is_refused(POLL) ? -1 : __real_poll(polls, n, timeout_ms);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
    return is_refused(RECVMSG) ? -1 : __real_recvmsg(fd, message, flags);
}

int __wrap_fork(void)
{
    int rc = __real_fork();

    if (rc > 0 && shared && is_called("muster-nursery"))
        atomic_fetch_add(&shared->n_forks, 1);
    return rc;
}

/* What waits for ever has waited long enough after a hundredth of the time. */
int __wrap_timer_settime(timer_t timer, int flags,
                         const struct itimerspec *value, struct itimerspec *old)
{
    const int64_t ns =
        (value->it_value.tv_sec * 1000000000 + value->it_value.tv_nsec) / 100;
    const struct itimerspec sooner = {
        .it_value = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000}};

    return __real_timer_settime(timer, flags, &sooner, old);
}
/* NOLINTEND(readability-identifier-naming) */

static void kill_child(void *ctx, pid_t child)
{
    (void)ctx;
    (void)test_kill(child, SIGKILL);
    test_await_end(child);
}

/* What the library does as nursery or worker load it. */
static void (*deed)(void);

static void note_nursery(void)
{
    if (is_called("muster-nursery"))
        atomic_fetch_add(&shared->n_nursery_loads, 1);
}

static void hang(void)
{
    note_nursery();
    for (;;)
        (void)pause();
}

/* Workers that end meanwhile nobody can wait for. */
static void ignore_ends(void)
{
    (void)signal(SIGCHLD, SIG_IGN);
    if (is_called("muster-nursery"))
        (void)mui_census_children(kill_child, NULL);
    note_nursery();
}

MU_API void on_load(void);

void on_load(void)
{
    if (getpid() == host)
        return;
    deed();
}

static int kill_worker(struct mu_task *t)
{
    (void)t;
    return raise(SIGKILL);
}

/* However often: a worker that died before it began costs no task. */
static void run_as(struct mu_pool *pool, mu_task_fn fn, int64_t timeout_ns,
                   enum mu_status status)
{
    const struct mu_submit how = {.timeout_ns = timeout_ns};
    struct mu_outcome *o;

    CHECK_CHILD(mu_pool_submit(pool, fn, NULL, 0, &how, NULL) == 0);
    CHECK_CHILD(mu_pool_next(pool, test_deadline(), &o) == 0);
    CHECK_CHILD(o->status == status);
    mu_outcome_free(o);
}

static void await(_Atomic int *count, int n)
{
    const int64_t deadline = test_deadline();

    while (atomic_load(count) < n) {
        CHECK_CHILD(mu_now_ns() < deadline);
        (void)sched_yield();
    }
}

/* In a program of its own, with a nursery that was there before the library. */
static mu_task_fn begin(void (*what)(void), struct mu_pool **ret_pool)
{
    mu_task_fn fn;
    void *library;
    void *address;

    host = getpid();
    deed = what;
    CHECK_CHILD(mu_init(NULL) == 0);
    CHECK_CHILD(mu_pool_open("processes:1", NULL, ret_pool, NULL) == 0);
    await(&shared->n_forks, 2); /* the spare too: now it forks when one ended */
    library = dlopen(LIBRARY, RTLD_NOW);
    address = library ? dlsym(library, "of_library") : NULL;
    CHECK_CHILD(address);
    memcpy(&fn, &address, sizeof fn);
    return fn;
}

/* The task of the library has its own time, of which nobody else's comes. */
static void meet_one_that_hangs(void *arg)
{
    enum { SOON_NS = 50 * 1000 * 1000 };
    struct mu_pool *pool;
    mu_task_fn of_library = begin(hang, &pool);

    (void)arg;
    for (int i = 0; i < 2; i++) {
        run_as(pool, of_library, SOON_NS, MU_TIMED_OUT);
        await(&shared->n_nursery_loads, 1);
        run_as(pool, test_say_pid, 0, MU_DONE);
        run_as(pool, test_say_pid, 0, MU_DONE);
    }
    CHECK_CHILD(atomic_load(&shared->n_nursery_loads) == 1);
    mu_pool_close(pool);
    CHECK_CHILD(mu_pool_open("processes:1", NULL, &pool, NULL) == 0);
    run_as(pool, test_say_pid, 0, MU_DONE);
    mu_pool_close(pool);
}

static void library_that_hangs_costs_only_its_tasks(void **state)
{
    (void)state;
    atomic_store(&shared->n_forks, 0);
    atomic_store(&shared->n_nursery_loads, 0);
    assert_int_equal(test_wait(test_fork(meet_one_that_hangs, NULL)), 0);
}

static void meet_one_that_ignores_ends(void *arg)
{
    /* before the pool looks after those that leave what lies before them */
    enum { SOONER_S = 5 };
    const int64_t sooner_ns = SOONER_S * INT64_C(1000000000);
    struct mu_pool *pool;
    mu_task_fn of_library = begin(ignore_ends, &pool);

    (void)arg;
    run_as(pool, of_library, 0, MU_DONE);
    run_as(pool, kill_worker, sooner_ns, MU_CRASHED);
    await(&shared->n_nursery_loads, 1);
    for (int i = 0; i < 4; i++) {
        run_as(pool, test_say_pid, sooner_ns, MU_DONE);
        run_as(pool, kill_worker, sooner_ns, MU_CRASHED);
    }
    mu_pool_close(pool);
}

static void library_that_ignores_ends_is_no_harm(void **state)
{
    (void)state;
    atomic_store(&shared->n_forks, 0);
    atomic_store(&shared->n_nursery_loads, 0);
    assert_int_equal(test_wait(test_fork(meet_one_that_ignores_ends, NULL)), 0);
}

static void begin_without(void *arg)
{
    struct mu_pool *pool;
    struct mu_error err;

    (void)arg;
    host = getpid();
    CHECK_CHILD(mu_init(NULL) == 0);
    CHECK_CHILD(mu_pool_open("processes:1", NULL, &pool, &err) == MU_EINIT);
}

static void guardian_ends_without(enum call call)
{
    int status;

    atomic_store(&shared->refuses, (int)call);
    status = test_wait(test_fork(begin_without, NULL));
    atomic_store(&shared->refuses, NONE);
    assert_int_equal(status, 0);
    test_await_end(atomic_load(&shared->guardian));
}

/* A filter of system calls, say, that the program has from the start. */
static void guardian_without_poll_ends(void **state)
{
    (void)state;
    guardian_ends_without(POLL);
}

static void guardian_without_messages_ends(void **state)
{
    (void)state;
    guardian_ends_without(RECVMSG);
}

static int tell_nursery(struct mu_task *t)
{
    (void)t;
    atomic_store(&shared->only, getppid());
    return 0;
}

static void go_on_without_messages(void *arg)
{
    struct mu_pool *pool;

    (void)arg;
    host = getpid();
    CHECK_CHILD(mu_init(NULL) == 0);
    CHECK_CHILD(mu_pool_open("processes:1", NULL, &pool, NULL) == 0);
    run_as(pool, tell_nursery, 0, MU_DONE);
    atomic_store(&shared->refuses, RECVMSG);
    for (int i = 0; i < 3; i++)
        run_as(pool, kill_worker, 0, MU_CRASHED);
    run_as(pool, test_say_pid, 0, MU_DONE);
    mu_pool_close(pool);
}

/* Or that a library installs as it is loaded there. */
static void nursery_without_messages_is_replaced(void **state)
{
    int status;

    (void)state;
    status = test_wait(test_fork(go_on_without_messages, NULL));
    atomic_store(&shared->refuses, NONE);
    assert_int_equal(status, 0);
    test_await_end(atomic_load(&shared->only));
    atomic_store(&shared->only, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(library_that_hangs_costs_only_its_tasks),
        cmocka_unit_test(library_that_ignores_ends_is_no_harm),
        cmocka_unit_test(guardian_without_poll_ends),
        cmocka_unit_test(guardian_without_messages_ends),
        cmocka_unit_test(nursery_without_messages_is_replaced),
    };

    host = getpid();
    shared = test_shared(sizeof *shared);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
