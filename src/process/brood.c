/* brood.c: killing descendants.
 *
 * A child that is killed leaves its own children to the nearest subreaper above it,
 * which is us, also when they began a session of their own. So killing children and
 * waiting for them, until there are none, gets all. Those below are looked up besides
 * and killed with them, for a generation at a time takes long: a chain of 200 that
 * forked one another took seconds. Stopping each first keeps a child from forking
 * while its brothers are being killed. */
#include "process/brood.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "process/confine.h"
#include "sys/census.h"
#include "sys/pidfd.h"

/* So often in a row, with such a pause, and it will not work: a filter of system calls
 * that the program had as it forked us refuses it, whatever errno says. */
enum { FAILURES_MAX = 100, FAILURE_PAUSE_NS = 1000 * 1000 };

/* Between looks at one that is killed and has not ended. */
enum { LOOK_MS = 10 };

/* Descendants of one child that are signalled at a time. */
enum { TREE_MAX = 4096 };

static struct {
    pid_t pids[TREE_MAX];
    pid_t parents[TREE_MAX];
} tree;

/* Not whoever got its number meanwhile: its parent may have waited for it. */
static void signal_descendant(pid_t pid, pid_t parent, int signal)
{
    int fd = mui_pidfd_open(pid);
    pid_t now;

    if (fd < 0)
        return;
    now = mui_census_parent(pid);
    if (now == parent || now == getpid())
        (void)mui_pidfd_kill(fd, signal);
    (void)close(fd);
}

void mui_brood_signal(pid_t child, int signal)
{
    unsigned n = 1;

    tree.pids[0] = child;
    for (unsigned i = 0; i < n; i++) {
        unsigned n_more =
            mui_census_children_of(tree.pids[i], &tree.pids[n], TREE_MAX - n);

        for (unsigned j = n; j < n + n_more; j++)
            tree.parents[j] = tree.pids[i];
        n += n_more;
    }
    /* ours, and not waited for: the number is its own */
    (void)kill(child, signal);
    for (unsigned i = 1; i < n; i++)
        signal_descendant(tree.pids[i], tree.parents[i], signal);
}

static bool is_of_use(int rc, unsigned *n_failures)
{
    const struct timespec pause = {.tv_nsec = FAILURE_PAUSE_NS};

    if (rc >= 0) {
        *n_failures = 0;
        return true;
    }
    if (++*n_failures >= FAILURES_MAX)
        mui_brood_end();
    (void)nanosleep(&pause, NULL);
    return false;
}

bool mui_brood_heard(int rc)
{
    static unsigned n_failures;

    return is_of_use(rc, &n_failures);
}

int mui_brood_receive(int fd, struct mui_message *message)
{
    static unsigned n_failures;
    int rc = mui_message_receive(fd, message);

    /* of what did not fit, the rest was received */
    (void)is_of_use(rc == -EMSGSIZE ? 0 : rc, &n_failures);
    return rc;
}

bool mui_brood_wait(siginfo_t *ret_info, int64_t *ret_cpu_ns)
{
    siginfo_t ended = {.si_pid = 0};

    /* while it can still be asked */
    (void)waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT | __WALL);
    *ret_cpu_ns = ended.si_pid != 0 ? mui_census_cpu_ns(ended.si_pid) : 0;
    ret_info->si_pid = 0;
    if (waitid(ended.si_pid != 0 ? P_PID : P_ALL, (id_t)ended.si_pid, ret_info,
               WEXITED | WSTOPPED | WNOHANG | __WALL) < 0 &&
        errno != ECHILD)
        mui_brood_end();
    return ret_info->si_pid != 0;
}

static void stop_child(void *ctx, pid_t child)
{
    (void)ctx;
    mui_brood_signal(child, SIGSTOP);
}

static void kill_child(void *ctx, pid_t child)
{
    (void)ctx;
    mui_brood_signal(child, SIGKILL);
}

static void kill_children(void)
{
    if (mui_census_children(stop_child, NULL) < 0 ||
        mui_census_children(kill_child, NULL) < 0)
        mui_census_try_children(kill_child, NULL);
}

struct look {
    int alive_fd; /* of the first that has not ended; -1: none was found */
    pid_t alive;
    bool is_blind;
};

static void find_alive(void *ctx, pid_t child)
{
    struct look *look = ctx;
    struct pollfd end = {.events = POLLIN};

    if (look->alive_fd >= 0 || look->is_blind)
        return;
    end.fd = mui_pidfd_open(child);
    if (end.fd < 0) {
        look->is_blind = true;
        return;
    }
    /* it may have become ours since the others were killed */
    (void)mui_pidfd_kill(end.fd, SIGKILL);
    if (poll(&end, 1, 0) == 0 && !mui_census_is_over(child, true)) {
        look->alive_fd = end.fd;
        look->alive = child;
    } else {
        (void)close(end.fd);
    }
}

/* Wait for one, and for those that have ended too. False: there is none, but for such of whose
 * end another has to hear first, who traces them, perhaps for ever: they run no more. */
static bool wait_for_some(void)
{
    struct look look = {.alive_fd = -1};
    int options = WEXITED | __WALL;
    bool any = false;
    siginfo_t info;

    if (mui_census_children(find_alive, &look) == 0 && !look.is_blind)
        options |= WNOHANG;
    if (look.alive_fd >= 0) {
        struct pollfd end = {.fd = look.alive_fd, .events = POLLIN};

        /* of a traced thread that is not the first it does not tell */
        while (poll(&end, 1, LOOK_MS) == 0 &&
               !mui_census_is_over(look.alive, true))
            continue;
        (void)close(look.alive_fd);
        any = true;
    }
    for (;;) {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, options) < 0)
            return errno == EINTR;
        if (info.si_pid == 0)
            return any;
        any = true;
        options |= WNOHANG;
    }
}

void mui_brood_clear(void)
{
    do
        kill_children();
    while (wait_for_some());
    mui_confine_fini();
}

void mui_brood_end(void)
{
    mui_brood_clear();
    _exit(0);
}
