/* test_robbed.c: the program closes all descriptors, those of an open pool among them,
 * and puts others in their place: no call hangs, and what is not the pool's is left
 * alone. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "muster/muster.h"

#include "chaos/deeds.h"
#include "layer/processes.h"
#include "pool/pool.h"
#include "process/nursery.h"
#include "support/check.h"

/* What is called first. */
enum call { CLOSE, TAKE, POLL, SUBMIT, KILL, OPEN, N_CALLS };

/* What stands in the place of the pool's descriptors: sockets, event counters, pidfds of
 * a child that nobody is to kill, sets of epoll whose event is there once. */
enum stranger { SOCKET, COUNTER, PIDFD, SET, N_STRANGERS };
enum { FIRST = 3, LAST = 60 };

static pid_t start_child(void)
{
    pid_t child = fork();

    CHECK_CHILD(child >= 0);
    if (child == 0)
        for (;;)
            (void)pause();
    return child;
}

/* An event that who waits here takes away. */
static int make_set(void)
{
    struct epoll_event once = {.events = EPOLLIN | EPOLLONESHOT};
    int set = epoll_create1(0);
    int counter = eventfd(1, 0);

    /* out of the way of the strangers */
    CHECK_CHILD(epoll_ctl(set, EPOLL_CTL_ADD, fcntl(counter, F_DUPFD, LAST + 1),
                          &once) == 0);
    CHECK_CHILD(close(counter) == 0);
    return set;
}

static int make_stranger(enum stranger kind, pid_t child)
{
    int pair[2];

    switch (kind) {
    case SOCKET:
        return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0
                   ? -1
                   : pair[1];
    case COUNTER:
        return eventfd(0, EFD_NONBLOCK);
    case PIDFD:
        return (int)syscall(SYS_pidfd_open, child, 0);
    case SET:
        return make_set();
    case N_STRANGERS:
        break;
    }
    return -1;
}

static void put_strangers(enum stranger kind, pid_t child)
{
    int fd;

    CHECK_CHILD(close_range(FIRST, ~0U, 0) == 0);
    do {
        fd = make_stranger(kind, child);
        CHECK_CHILD(fd >= FIRST);
    } while (fd < LAST);
}

static void strangers_are_untouched(enum stranger kind, pid_t child)
{
    siginfo_t info = {.si_pid = 0};
    struct epoll_event event;
    uint64_t value;

    for (int fd = FIRST; fd <= LAST; fd++)
        if (kind == SET)
            CHECK_CHILD(epoll_wait(fd, &event, 1, 0) == 1);
        else if (kind == PIDFD)
            CHECK_CHILD(fcntl(fd, F_GETFD) != -1);
        else
            CHECK_CHILD(read(fd, &value, sizeof value) == -1 &&
                        errno == EAGAIN);
    CHECK_CHILD(waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG) == 0);
    CHECK_CHILD(info.si_pid == 0);
}

static int sleep_for_ever(struct mu_task *task)
{
    (void)task;
    for (;;)
        (void)pause();
}

/* All outcomes that are owed; at least one is lost. */
static void take_lost(struct mu_pool *pool, int64_t deadline_ns)
{
    struct mu_outcome *o;
    unsigned n = 0;
    int rc;

    while ((rc = mu_pool_next(pool, deadline_ns, &o)) != MU_EMPTY) {
        if (rc == MU_TIMEOUT && deadline_ns == MU_NOW)
            continue;
        CHECK_CHILD(rc == MU_OK);
        n += o->status == MU_LOST;
        mu_outcome_free(o);
    }
    CHECK_CHILD(n > 0);
}

static void make_call(struct mu_pool *pool, enum call call)
{
    struct mu_pool *other;
    struct mu_error err;
    int rc;

    switch (call) {
    case TAKE:
        take_lost(pool, MU_NEVER);
        break;
    case POLL:
        take_lost(pool, MU_NOW);
        break;
    case SUBMIT:
        do
            rc = mu_pool_submit(pool, sleep_for_ever, NULL, 0, NULL, NULL);
        while (rc == 0);
        CHECK_CHILD(rc == MU_ECRASHED);
        take_lost(pool, MU_NEVER);
        break;
    case KILL:
        (void)mu_pool_cancel_all(pool, 1);
        break;
    case OPEN:
        CHECK_CHILD(mu_pool_open("processes:2", NULL, &other, &err) ==
                    MU_EINIT);
        CHECK_CHILD(strstr(err.text, "were closed"));
        break;
    case CLOSE:
    case N_CALLS:
        break;
    }
    mu_pool_close(pool);
}

/* Whether every worker and spare of the pool is up, and its thread has heard so and
 * finds nothing to do. One that is in the middle of its work when the descriptors are
 * closed may close one of those that stand there next, as any thread of the program
 * may. */
static bool is_settled(struct mu_pool *pool)
{
    struct mui_processes *p = (struct mui_processes *)pool->layer;
    struct pollfd news = {.fd = p->bells.monitor_fd, .events = POLLIN};
    unsigned n_up = 0;
    bool settled;

    (void)pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < p->n_peers; i++)
        n_up += p->peers[i].state == MUI_PEER_ORDERED && p->peers[i].up &&
                p->peers[i].peer.pid > 0;
    settled = n_up == 2 + p->n_spares && poll(&news, 1, 0) == 0;
    (void)pthread_mutex_unlock(&pool->lock);
    return settled;
}

/* The state of the pool's thread; '?': there is none. */
static char monitor_state(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    char state = '?';

    while (tasks && (entry = readdir(tasks)) != NULL) {
        char path[64];
        char text[256] = "";
        int fd;

        (void)snprintf(path, sizeof path, "/proc/self/task/%.20s/stat",
                       entry->d_name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        (void)!read(fd, text, sizeof text - 1);
        (void)close(fd);
        if (strstr(text, "(muster-monitor) "))
            state = strstr(text, ") ")[2];
    }
    if (tasks)
        (void)closedir(tasks);
    return state;
}

/* Asleep, and with nothing to wake it, before and after: so it stays asleep. */
static void await_quiet(struct mu_pool *pool)
{
    int n_quiet = 0;

    while (n_quiet < 3) {
        n_quiet = is_settled(pool) && monitor_state() == 'S' ? n_quiet + 1 : 0;
        (void)sched_yield();
    }
}

static void rob(enum call call, enum stranger kind)
{
    const struct mu_pool_options options = {.timeout_ns = TEST_HANG_NS};
    pid_t child = start_child();
    struct mu_pool *pool;
    struct mu_outcome *o;
    int pids[2];

    CHECK_CHILD(mu_init(NULL) == 0);
    CHECK_CHILD(mu_pool_open("processes:2", &options, &pool, NULL) == 0);
    CHECK_CHILD(mu_pool_submit(pool, deed_innocent, "", 0, NULL, NULL) == 0);
    CHECK_CHILD(mu_pool_next(pool, MU_NEVER, &o) == 0);
    mu_outcome_free(o);
    for (int i = 0; i < 3; i++)
        CHECK_CHILD(mu_pool_submit(pool, sleep_for_ever, NULL, 0, NULL, NULL) ==
                    0);
    await_quiet(pool);
    CHECK_CHILD(mu_pool_pids(pool, pids, 2) == 2);
    put_strangers(kind, child);
    make_call(pool, call);
    strangers_are_untouched(kind, child);
    CHECK_CHILD(test_kill(child, SIGKILL) == 0);
    for (int i = 0; i < 2; i++)
        test_await_end(pids[i]);
}

static void robbed_pool_ends(enum call call)
{
    for (int kind = 0; kind < N_STRANGERS; kind++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
            alarm(300);
            rob(call, (enum stranger)kind);
            _exit(0);
        }
        assert_int_equal(test_wait(pid), 0);
    }
}

#define CASE(name, call)                                                       \
    static void name(void **state)                                             \
    {                                                                          \
        (void)state;                                                           \
        robbed_pool_ends(call);                                                \
    }

CASE(close_returns, CLOSE)
CASE(next_says_lost, TAKE)
CASE(polling_says_lost, POLL)
CASE(submit_says_no, SUBMIT)
CASE(cancel_kills_no_stranger, KILL)
CASE(open_says_why, OPEN)

/* The socket to the guardian, which nothing else is like; -1: there is none. */
static int find_main(void)
{
    for (int fd = FIRST; fd <= LAST; fd++) {
        int type = 0;
        socklen_t size = sizeof type;

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
            type == SOCK_SEQPACKET)
            return fd;
    }
    return -1;
}

static int never_called(const struct mui_nursery_start *start)
{
    (void)start;
    return 1;
}

/* Who is connected again, as a pool is whose nursery was killed, is not by a stranger. */
static void connect_by_a_stranger(void *unused)
{
    struct mu_error err;
    int strangers[2];
    int channel;
    int main_fd;
    char byte;

    (void)unused;
    CHECK_CHILD(close_range(FIRST, ~0U, 0) == 0);
    CHECK_CHILD(mu_init(&err) == 0);
    main_fd = find_main();
    CHECK_CHILD(main_fd >= FIRST);
    CHECK_CHILD(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, strangers) == 0);
    CHECK_CHILD(dup2(strangers[0], main_fd) == main_fd);
    CHECK_CHILD(mui_nursery_connect(never_called, "", 1, NULL, 0, &channel,
                                    &err) == MU_EINIT);
    CHECK_CHILD(recv(strangers[1], &byte, 1, MSG_DONTWAIT) == -1 &&
                errno == EAGAIN);
}

static void plan_is_not_sent_to_a_stranger(void **state)
{
    (void)state;
    assert_int_equal(test_wait(test_fork(connect_by_a_stranger, NULL)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_returns),
        cmocka_unit_test(next_says_lost),
        cmocka_unit_test(polling_says_lost),
        cmocka_unit_test(submit_says_no),
        cmocka_unit_test(cancel_kills_no_stranger),
        cmocka_unit_test(open_says_why),
        cmocka_unit_test(plan_is_not_sent_to_a_stranger),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
