/* nursery.c: the supervisor's side of the nursery. */
#include "process/nursery.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "process/sandbox.h"
#include "process/state.h"
#include "process/wire.h"
#include "sys/census.h"
#include "sys/descriptor.h"
#include "sys/forked.h"
#include "sys/message.h"
#include "sys/module.h"
#include "sys/pidfd.h"

/* The nursery of this process. A fork() of the host waits for the lock, so that a child
 * finds all of it whole, and the lock free, whatever other threads did. Recursive: a signal
 * handler of the host may fork in a thread that has it. */
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct {
    int main_fd; /* -1: none */
    struct mui_descriptor_mark main_mark;
    pid_t guardian;
    pid_t host;      /* whose child that is */
    uint32_t forked; /* whose nursery it is: see sys/forked.h */
    uint64_t user;   /* of whom, and of all below it */
    unsigned n_refs;
    bool for_good; /* made by mu_init() */
} the = {.main_fd = -1};

static void before_fork(void)
{
    (void)pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
    (void)pthread_mutex_unlock(&lock);
}

static void after_fork_in_child(void)
{
    after_fork(); /* refused, but the thread sanitizer wants to hear of it */
    mui_forked_renew_lock(&lock);
}

static void heed_forks(void)
{
    (void)pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

/* fork() without an exit signal. The C library does not hear of it, so the child
 * is only good for what uses no thread identity: the guardian. */
static pid_t fork_unseen(void)
{
    long pid = syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);

    return pid < 0 ? (pid_t)-errno : (pid_t)pid;
}

/* Under `lock`. */
static int start(struct mu_error *err)
{
    sigset_t all;
    sigset_t before;
    unsigned n_threads;
    int fds[2];
    int pidfd;
    pid_t pid;
    int rc;

    /* first: who called mu_init() in vain may have threads by now */
    pidfd = mui_pidfd_open(getpid());
    /* as a container refuses all that it does not know */
    if (pidfd == -EPERM)
        pidfd = -ENOSYS;
    if (pidfd == -ENOSYS)
        return mui_fail(
            err, pidfd,
            "processes: need Linux 5.4 or newer, no valgrind, and no "
            "container that refuses pidfd_open()");
    if (pidfd < 0)
        return mui_fail(err, pidfd, "start worker processes");
    n_threads = mui_census_threads();
    if (n_threads > 1) {
        rc = mui_fail(err, MU_EINIT,
                      "processes: this program runs %u threads: call "
                      "mu_init() first in main(); where a library starts them "
                      "before, set OPENBLAS_NUM_THREADS=1 or the like, or "
                      "dlopen() it later",
                      n_threads);
        goto close_pidfd;
    }
    rc = mui_module_init(err);
    if (rc < 0)
        goto close_pidfd;
    rc = mui_message_pair(fds);
    if (rc < 0) {
        rc = mui_fail(err, rc, "start worker processes");
        goto close_pidfd;
    }
    /* no handler of the host may run in the child */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = fork_unseen();
    if (pid == 0) {
        (void)close(fds[0]);
        mui_guardian_main(fds[1], pidfd);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)close(fds[1]);
    (void)close(pidfd);
    if (pid < 0) {
        (void)close(fds[0]);
        return mui_fail(err, pid, "start worker processes");
    }
    the.main_fd = fds[0];
    the.main_mark = mui_descriptor_mark(fds[0]);
    the.guardian = pid;
    the.host = getpid();
    the.forked = mui_forked();
    the.user = mui_state_user();
    the.n_refs = 0;
    return 0;

close_pidfd:
    (void)close(pidfd);
    return rc;
}

/* The host may close all descriptors that it does not know, and the number of ours be
 * another's by now. Under `lock`. */
static bool is_closed(void)
{
    return the.main_fd >= 0 && !mui_descriptor_is(the.main_fd, &the.main_mark);
}

/* Under `lock`. All in the guardian's process group: one that was killed has been
 * followed by a nursery of it. The number is its own for as long as any is left, and
 * nobody waited for the first. */
static void rouse(void)
{
    if (the.forked == mui_forked() && the.guardian > 0)
        (void)kill(-the.guardian, SIGCONT);
}

void mui_nursery_rouse(void)
{
    (void)pthread_mutex_lock(&lock);
    rouse();
    (void)pthread_mutex_unlock(&lock);
}

/* Under `lock`. The guardian, of this process, sees it, kills all below it and ends. */
static void hang_up(void)
{
    rouse();
    /* a child of the host may hold a copy: closing ours alone ends nothing */
    (void)shutdown(the.main_fd, SHUT_RDWR);
    (void)close(the.main_fd);
    the.main_fd = -1;
    the.for_good = false;
}

/* Under `lock`. Wait until it has ended, but not for ever. */
static void await_guardian(int patience_ms)
{
    const int64_t end_ns = mu_after_ns((int64_t)patience_ms * 1000000);
    struct pollfd ended = {.fd = mui_pidfd_open(the.guardian),
                           .events = POLLIN};
    siginfo_t info;
    int rc = -1;

    if (ended.fd >= 0)
        do
            rc = poll(&ended, 1, patience_ms);
        while (rc < 0 && errno == EINTR && mu_now_ns() < end_ns);
    if (rc == 1) {
        (void)waitid(P_PID, (id_t)the.guardian, &info,
                     WEXITED | WNOHANG | __WALL);
        the.guardian = 0;
    }
    if (ended.fd >= 0)
        (void)close(ended.fd);
}

/* Under `lock`. */
static void end(void)
{
    siginfo_t info;
    int rc;

    if (the.main_fd < 0)
        return;
    if (is_closed()) {
        the.main_fd = -1; /* the guardian saw it, and has ended or will */
        return;
    }
    if (the.forked != mui_forked()) { /* our parent's */
        (void)close(the.main_fd);
        the.main_fd = -1;
        the.for_good = false;
        return;
    }
    hang_up();
    do
        rc = waitid(P_PID, (id_t)the.guardian, &info, WEXITED | __WALL);
    while (rc < 0 && errno == EINTR);
    the.guardian = 0;
}

/* The program ends, with its pools closed. Who adopts its children then need not wait for
 * them, as many a first process of a container: so the guardian is waited for here. Pools
 * that are open are left alone, for destructors that come after this one may use them, or
 * wait for threads that do. A child made past fork() is not told from its parent by what
 * that leaves here. */
__attribute__((destructor(101))) static void leave(void)
{
    enum { PATIENCE_MS = 1000 };

    if (pthread_mutex_trylock(&lock) != 0)
        return; /* another thread is at it, perhaps for long */
    if (the.guardian > 0 && the.host == getpid() && the.n_refs == 0) {
        bool is_up = the.main_fd >= 0 && !is_closed();

        if (is_up)
            hang_up();
        await_guardian(is_up ? PATIENCE_MS : 0);
    }
    (void)pthread_mutex_unlock(&lock);
}

/* Whether guardian and nursery were both killed. Under `lock`. */
static bool is_gone(void)
{
    struct pollfd main_end = {.fd = the.main_fd};

    return poll(&main_end, 1, 0) == 1 && main_end.revents & POLLHUP;
}

void mui_nursery_forget_in_child(void)
{
    after_fork_in_child(); /* our parent held it as it forked */
    the.main_fd = -1;
    the.guardian = 0;
    the.n_refs = 0;
    the.for_good = false;
}

static const char closed_text[] = "processes: descriptors of mu_init() were "
                                  "closed by this program: close before "
                                  "mu_init(), or only what is yours";

/* Under `lock`. */
static int hold(bool for_good, struct mu_error *err)
{
    bool again = the.for_good && the.forked == mui_forked();
    int rc = 0;

    /* others of ours went the same way, which nothing brings back */
    if (is_closed())
        return mui_fail(err, MU_EINIT, "%s", closed_text);
    if (the.main_fd >= 0 && (the.forked != mui_forked() || is_gone()))
        end();
    /* its nursery would load it too, and so on */
    if (mui_module_is_loading())
        return mui_fail(err, MU_EINIT,
                        "processes: not by a library that is being loaded into "
                        "a worker");
    /* the guardian would be refused what it needs */
    if (the.main_fd < 0 && mui_sandbox_keeps_files())
        return mui_fail(err, MU_EMODEL,
                        "processes: not by a task whose files a sandbox keeps "
                        "(MU_SANDBOX_READ_ONLY, read_paths, write_paths)");
    /* tasks would have rights that this program gave up */
    if (the.main_fd >= 0 && the.user != mui_state_user())
        return mui_fail(err, MU_EINIT,
                        "processes: this program changed its user or groups: "
                        "give up privileges before mu_init()");
    if (the.main_fd < 0)
        rc = start(err);
    if (rc < 0)
        return rc;
    if (!for_good)
        the.n_refs++;
    the.for_good |= for_good || again;
    return 0;
}

static int lock_and_hold(bool for_good, struct mu_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int rc;

    (void)pthread_once(&once, heed_forks);
    (void)pthread_mutex_lock(&lock);
    rc = hold(for_good, err);
    (void)pthread_mutex_unlock(&lock);
    return rc;
}

int mui_nursery_init(struct mu_error *err)
{
    struct mu_error why;
    int rc = lock_and_hold(true, &why);

    /* of no concern to who opens no pool of processes */
    if (rc == -ENOSYS || rc == MU_EMODEL)
        return 0;
    if (rc < 0 && err)
        *err = why;
    return rc;
}

int mui_nursery_ref(struct mu_error *err)
{
    return lock_and_hold(false, err);
}

void mui_nursery_unref(void)
{
    (void)pthread_mutex_lock(&lock);
    if (the.n_refs > 0 && --the.n_refs == 0 && !the.for_good)
        end();
    (void)pthread_mutex_unlock(&lock);
}

void mui_nursery_await_end(void)
{
    enum { PATIENCE_MS = 1000 };

    (void)pthread_mutex_lock(&lock);
    rouse();
    if (is_closed() && the.forked == mui_forked() && the.guardian > 0)
        await_guardian(PATIENCE_MS);
    (void)pthread_mutex_unlock(&lock);
}

/* Under `lock`. Hand the nursery's end of a channel over. */
static int send_open(mui_nursery_entry_fn entry, const void *plan,
                     size_t plan_bytes, const int *fds, unsigned n_fds)
{
    struct mui_wire_open open = {.entry = entry, .plan_bytes = plan_bytes};
    struct mui_message message = {
        .bytes = &open, .size = sizeof open, .n_fds = n_fds};

    memcpy(open.plan, plan, plan_bytes);
    if (n_fds)
        memcpy(message.fds, fds, n_fds * sizeof *fds);
    return mui_message_send(the.main_fd, &message, 1);
}

int mui_nursery_connect(mui_nursery_entry_fn entry, const void *plan,
                        size_t plan_bytes, const int *fds, unsigned n_fds,
                        int *ret_channel, struct mu_error *err)
{
    int all[1 + MUI_NURSERY_PLAN_FDS];
    int pair[2];
    bool closed;
    int rc;

    if (plan_bytes > MUI_WIRE_PLAN || n_fds > MUI_NURSERY_PLAN_FDS)
        return mui_fail(err, -E2BIG, "nursery: plan");
    rc = mui_message_pair(pair);
    if (rc < 0)
        return mui_fail(err, rc, "start worker processes");
    all[0] = pair[1];
    if (n_fds)
        memcpy(all + 1, fds, n_fds * sizeof *fds);
    (void)pthread_mutex_lock(&lock);
    rouse();
    closed = is_closed();
    rc = closed || the.main_fd < 0
             ? -EPIPE
             : send_open(entry, plan, plan_bytes, all, 1 + n_fds);
    (void)pthread_mutex_unlock(&lock);
    (void)close(pair[1]);
    if (rc < 0) {
        (void)close(pair[0]);
        if (rc == -EPIPE)
            return mui_fail(
                err, MU_EINIT, "%s",
                closed ? closed_text
                       : "processes: guardian and nursery were killed");
        return mui_fail(err, rc, "nursery: send");
    }
    *ret_channel = pair[0];
    return 0;
}

void mui_nursery_hang_up(int channel)
{
    /* as in end() */
    (void)shutdown(channel, SHUT_RDWR);
}

void mui_nursery_disconnect(int channel)
{
    mui_nursery_hang_up(channel);
    (void)close(channel);
}

int mui_nursery_order(int channel, uint32_t id, uint32_t place, const int *fds,
                      unsigned n_fds)
{
    struct mui_wire_order order = {
        .deed = MUI_WIRE_FORK, .id = id, .place = place};
    struct mui_message message = {
        .bytes = &order, .size = sizeof order, .n_fds = n_fds};

    if (n_fds)
        memcpy(message.fds, fds, n_fds * sizeof *fds);
    return mui_message_send(channel, &message, 0);
}

static int order_deed(int channel, enum mui_wire_deed deed, uint32_t id)
{
    struct mui_wire_order order = {.deed = deed, .id = id};
    const struct mui_message message = {.bytes = &order, .size = sizeof order};

    return mui_message_send(channel, &message, 0);
}

int mui_nursery_kill(int channel, uint32_t id)
{
    return order_deed(channel, MUI_WIRE_KILL, id);
}

int mui_nursery_look(int channel, uint32_t id)
{
    return order_deed(channel, MUI_WIRE_LOOK, id);
}

int mui_nursery_report(int channel, struct mui_nursery_report *ret_report)
{
    struct mui_message message = {.bytes = ret_report,
                                  .size = sizeof *ret_report};
    int rc = mui_message_receive(channel, &message);
    int pidfd;

    if (rc == -EMSGSIZE)
        return -EMFILE;
    if (rc < 0)
        rc = MU_CLOSED;
    if (rc != 0)
        return rc;
    pidfd = message.n_fds ? mui_descriptor_above_stdio(message.fds[0]) : -1;
    if (message.n_fds && pidfd < 0)
        return -EMFILE;
    ret_report->pidfd = pidfd;
    return 0;
}

int mui_nursery_say_full(struct mu_error *err)
{
    /* errno's own text would send the reader to the limit of open files */
    (void)mui_fail(
        err, MU_EMODEL,
        "processes: %d pools and worker processes of this program are "
        "open, more cannot be",
        MUI_NURSERY_CHANNELS_MAX);
    if (err)
        err->code = -EMFILE;
    return -EMFILE;
}
