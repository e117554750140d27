/* test_rights.c: a program gives up its privileges below an open pool: what it may not kill
 * any more the nursery kills for it, also when that is behind with its orders: messages
 * pass here by the linker's help (--wrap, CMakeLists.txt). Each case runs in a process of
 * its own. */
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "muster/worker.h"

#include "process/block.h"
#include "process/wire.h"
#include "support/pool.h"

enum { NOBODY = 65534 };

static pid_t host;
static _Atomic int n_again; /* so many orders to kill do not fit */

/* Of the task that has begun; in memory that all processes share. */
static _Atomic pid_t *shared_pid;

/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    const struct mui_wire_order *order = message->msg_iov->iov_base;

    if (getpid() == host && message->msg_iov->iov_len == sizeof *order &&
        order->deed == MUI_WIRE_KILL && atomic_load(&n_again) > 0) {
        atomic_fetch_sub(&n_again, 1);
        errno = EAGAIN;
        return -1;
    }
    return __real_sendmsg(fd, message, flags);
}
/* NOLINTEND(readability-identifier-naming) */

static void run_case(void (*body)(void *))
{
    if (geteuid() != 0)
        skip();
    assert_int_equal(test_wait(test_fork(body, NULL)), 0);
}

static struct mu_pool *open_and_give_up(void)
{
    struct mu_pool *pool;

    host = getpid();
    CHECK_CHILD(mu_init(NULL) == 0);
    CHECK_CHILD(mu_pool_open("processes:1", NULL, &pool, NULL) == 0);
    CHECK_CHILD(setresuid(NOBODY, NOBODY, NOBODY) == 0);
    return pool;
}

/* Run it, kill it if it is to be cancelled, and wait until its process has ended, while
 * the pool is open. */
static void run_to_its_end(struct mu_pool *pool, mu_task_fn fn,
                           enum mu_status status)
{
    const int64_t deadline = test_deadline();
    struct mu_outcome *o;

    atomic_store(shared_pid, 0);
    CHECK_CHILD(mu_pool_submit(pool, fn, NULL, 0, NULL, NULL) == 0);
    while (atomic_load(shared_pid) == 0) {
        CHECK_CHILD(mu_now_ns() < deadline);
        (void)sched_yield();
    }
    if (status == MU_CANCELLED)
        CHECK_CHILD(mu_pool_cancel_all(pool, 1) == 0);
    CHECK_CHILD(mu_pool_next(pool, MU_NEVER, &o) == 0);
    CHECK_CHILD(o->status == status);
    mu_outcome_free(o);
    test_await_end(atomic_load(shared_pid));
}

static int stay(struct mu_task *task)
{
    (void)task;
    atomic_store(shared_pid, getpid());
    for (;;)
        (void)pause();
}

static void end_cancelled(void *unused)
{
    struct mu_pool *pool = open_and_give_up();

    (void)unused;
    run_to_its_end(pool, stay, MU_CANCELLED);
    atomic_store(&n_again, 3);
    run_to_its_end(pool, stay, MU_CANCELLED);
    CHECK_CHILD(atomic_load(&n_again) == 0);
    mu_pool_close(pool);
}

static void who_is_to_be_killed_is(void **state)
{
    (void)state;
    run_case(end_cancelled);
}

/* -- until the kill arrives -- */

enum { N_BEHIND = 8 };

static _Atomic int *shared_n_run; /* tasks behind the first */
static _Atomic int *shared_go;

static int stay_until_told(struct mu_task *task)
{
    (void)task;
    atomic_store(shared_pid, getpid());
    while (!atomic_load(shared_go))
        (void)sched_yield();
    return 0;
}

static int count(struct mu_task *task)
{
    (void)task;
    atomic_fetch_add(shared_n_run, 1);
    return 0;
}

static void end_late(void *unused)
{
    const int64_t deadline = test_deadline();
    struct mu_pool *pool = open_and_give_up();
    struct mu_outcome *o;
    uint64_t id;

    (void)unused;
    atomic_store(&n_again, INT_MAX);
    atomic_store(shared_pid, 0);
    CHECK_CHILD(mu_pool_submit(pool, stay_until_told, NULL, 0, NULL, &id) == 0);
    for (int i = 0; i < N_BEHIND; i++)
        CHECK_CHILD(mu_pool_submit(pool, count, NULL, 0, NULL, NULL) == 0);
    while (atomic_load(shared_pid) == 0) {
        CHECK_CHILD(mu_pool_next(pool, MU_NOW, &o) == MU_TIMEOUT);
        CHECK_CHILD(mu_now_ns() < deadline);
    }
    CHECK_CHILD(mu_pool_cancel(pool, id, 1) == 0);
    CHECK_CHILD(mu_pool_next(pool, MU_NEVER, &o) == 0);
    CHECK_CHILD(o->status == MU_CANCELLED);
    mu_outcome_free(o);
    atomic_store(shared_go, 1); /* now it could go on */
    for (int i = 0; i < N_BEHIND; i++) {
        CHECK_CHILD(mu_pool_next(pool, MU_NEVER, &o) == 0);
        CHECK_CHILD(o->status == MU_DONE);
        mu_outcome_free(o);
    }
    atomic_store(&n_again, 0);
    test_await_end(atomic_load(shared_pid));
    CHECK_CHILD(atomic_load(shared_n_run) == N_BEHIND);
    mu_pool_close(pool);
}

static void who_is_to_be_killed_begins_nothing(void **state)
{
    (void)state;
    run_case(end_late);
}

/* Of this worker: it begins what the supervisor reads. */
static struct mui_worker_head *find_head(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long start = 0;
    char line[512];

    while (maps && start == 0 && fgets(line, sizeof line, maps))
        if (strstr(line, "muster-up"))
            (void)sscanf(line, "%lx-", &start);
    if (maps)
        (void)fclose(maps);
    return (struct mui_worker_head *)start;
}

/* Leave a whole crash record, and live on. */
static int leave_word(struct mu_task *task)
{
    struct mui_worker_head *head = find_head();

    atomic_store(shared_pid, getpid());
    head->crash.kind = MUI_CRASH_SIGNAL;
    head->crash.signal = SIGILL;
    head->crash.i_lane = 0;
    atomic_store_explicit(&head->crash.stage, MUI_CRASH_WHOLE,
                          memory_order_release);
    for (int fd = 3; fd < 16; fd++) /* one of them is the bell */
        (void)send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    return stay(task);
}

static void end_after_words(void *unused)
{
    struct mu_pool *pool = open_and_give_up();

    (void)unused;
    run_to_its_end(pool, leave_word, MU_CRASHED);
    mu_pool_close(pool);
}

static void who_leaves_word_and_stays_is_ended(void **state)
{
    (void)state;
    run_case(end_after_words);
}

/* -- a worker without a pool, forked by the nursery -- */

static int work_for_ever(void *arg, size_t size)
{
    (void)arg;
    (void)size;
    for (;;)
        (void)pause();
}

static void *idle(void *arg)
{
    (void)arg;
    for (;;)
        (void)pause();
}

static void end_a_worker(void *unused)
{
    const struct mu_worker_options how = {.kind = MU_WORKER_PROCESS};
    struct mu_worker_exit end;
    struct mu_worker *w;
    pthread_t thread;

    (void)unused;
    host = getpid();
    CHECK_CHILD(mu_init(NULL) == 0);
    CHECK_CHILD(pthread_create(&thread, NULL, idle, NULL) == 0);
    CHECK_CHILD(mu_worker_start(&how, work_for_ever, NULL, 0, &w, NULL) == 0);
    CHECK_CHILD(setresuid(NOBODY, NOBODY, NOBODY) == 0);
    CHECK_CHILD(mu_worker_kill(w, NULL) == 0);
    CHECK_CHILD(mu_worker_join(w, MU_NEVER, &end) == 0);
    CHECK_CHILD(end.end == MU_WORKER_KILLED);
    mu_worker_free(w);
}

static void worker_of_its_own_is_ended(void **state)
{
    (void)state;
    run_case(end_a_worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_to_be_killed_is),
        cmocka_unit_test(who_is_to_be_killed_begins_nothing),
        cmocka_unit_test(who_leaves_word_and_stays_is_ended),
        cmocka_unit_test(worker_of_its_own_is_ended),
    };

    shared_pid = test_shared(sizeof *shared_pid);
    shared_n_run = test_shared(sizeof *shared_n_run);
    shared_go = test_shared(sizeof *shared_go);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
