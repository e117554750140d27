/* process.c: a worker in a process of its own.
 *
 * While this program has one thread the child is forked from it directly, so it has
 * what was made before: arenas, channels, pointers. With more threads the nursery
 * forks it: then it has its page, and connects to the rest by name.
 *
 * Its end is seen by a descriptor, its pidfd or its channel to the nursery; the host
 * gets no handler and loses no SIGCHLD of its own. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "process/nursery.h"
#include "sys/census.h"
#include "sys/memfd.h"
#include "sys/module.h"
#include "sys/pidfd.h"
#include "sys/pipe.h"
#include "worker/worker.h"

/* ---- forked from here ------------------------------------------------------- */

static _Noreturn void be_child(struct mu_worker *w, pid_t parent,
                               const int gate[2])
{
    char none;
    int code;

    /* Not to end before the parent holds our pidfd: where it ignores SIGCHLD the
     * number is free for another process as soon as we have. */
    (void)close(gate[1]);
    (void)mui_pipe_read(gate[0], &none, 1, true);
    (void)close(gate[0]);
    /* We were forked by the only thread there is, so "parent" means the process. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    (void)prctl(PR_SET_NAME, w->name);
    (void)setpgid(0, 0); /* kill(0, ...) in it is not for us */
    code = mui_worker_body(w->fn, w->page);
    (void)fflush(NULL);
    _exit(code & 0xff);
}

static int fork_here(struct mu_worker *w, struct mu_error *err)
{
    pid_t parent = getpid();
    int gate[2];
    pid_t pid;

    if (pipe2(gate, O_CLOEXEC) < 0)
        return mui_fail(err, -errno, "worker: pipe2");
    (void)fflush(NULL); /* or the child would write it a second time */
    pid = fork();
    if (pid == 0)
        be_child(w, parent, gate);
    w->pid = pid;
    w->pidfd = pid < 0 ? -errno : mui_pidfd_open(pid);
    if (pid > 0 && w->pidfd < 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    (void)close(gate[0]);
    (void)close(gate[1]);
    if (w->pidfd < 0)
        return mui_fail(err, w->pidfd,
                        pid < 0 ? "worker: fork" : "worker: pidfd_open");
    w->fd = w->pidfd;
    return 0;
}

/* ---- forked by the nursery -------------------------------------------------- */

static int nursery_entry(const struct mui_nursery_start *start)
{
    const uint64_t *bytes = start->plan;
    void *address;
    void *base;
    int code;

    if (start->plan_bytes != sizeof *bytes ||
        mui_memfd_map(start->plan_fds[0], *bytes, PROT_READ | PROT_WRITE, 0,
                      &base) != 0 ||
        mui_module_decode(((struct mui_worker_page *)base)->fn_code,
                          &address) != 0)
        return 126;
    (void)prctl(PR_SET_NAME, ((struct mui_worker_page *)base)->name);
    code = mui_worker_body((mu_worker_fn)(uintptr_t)address, base);
    (void)fflush(NULL); /* it ends by _exit() */
    return code & 0xff;
}

/* A nursery that has just been killed hangs up, and another takes its place: so long is
 * tried, with such pauses. One that has too many channels may yet have seen others close. */
enum { CLOSED_NS = 1000 * 1000 * 1000, CLOSED_PAUSE_NS = 5 * 1000 * 1000 };

/* Have it forked. 0; MU_FULL when the nursery said so; MU_CLOSED when it hung up before it
 * said that it has; or an error. */
static int order_there(struct mu_worker *w, struct mu_error *err)
{
    uint64_t bytes = w->page_bytes;
    struct mui_nursery_report report;
    int rc = mui_nursery_connect(nursery_entry, &bytes, sizeof bytes,
                                 &w->page_fd, 1, &w->fd, err);

    if (rc != 0)
        return rc;
    rc = mui_nursery_order(w->fd, 0, 0, &w->page_fd, 0); /* none of it */
    if (rc == -EPIPE) /* it has hung up: it may have said why */
        rc = 0;
    while (rc == 0 && (rc = mui_nursery_report(w->fd, &report)) == MU_EMPTY) {
        struct pollfd p = {.fd = w->fd, .events = POLLIN};

        (void)poll(&p, 1, MUI_ROUSE_NS / 1000000);
        mui_nursery_rouse();
        rc = 0;
    }
    if (rc == 0 && report.news == MUI_NURSERY_FULL)
        rc = MU_FULL;
    if (rc == 0 && report.news == MUI_NURSERY_FAILED)
        rc = report.value;
    if (rc != 0) {
        mui_nursery_disconnect(w->fd);
        if (rc == MU_FULL || rc == MU_CLOSED)
            return rc;
        return mui_fail(err, rc, "worker: fork in the nursery");
    }
    w->pid = report.pid;
    w->pidfd = report.pidfd;
    w->is_of_nursery = true;
    return 0;
}

static int fork_there(struct mu_worker *w, struct mu_error *err)
{
    const struct timespec pause = {.tv_nsec = CLOSED_PAUSE_NS};
    const int64_t end_ns = mu_after_ns(CLOSED_NS);
    int rc = mui_module_encode((void *)(uintptr_t)w->fn, &w->page->fn_code);

    if (rc != 0)
        return mui_fail(err, rc,
                        rc == -EINVAL
                            ? "worker: its function lies in no loaded module, "
                              "and other threads run"
                            : "worker: its function");
    do {
        rc = order_there(w, err);
        if (rc != MU_CLOSED && rc != MU_FULL)
            return rc;
        (void)nanosleep(&pause, NULL);
    } while (mu_now_ns() < end_ns);
    if (rc == MU_FULL)
        return mui_nursery_say_full(err);
    return mui_fail(err, -EMFILE,
                    "worker: the nursery hangs up: files and processes are "
                    "limited");
}

/* ---- both ------------------------------------------------------------------- */

static int process_start(struct mu_worker *w, struct mu_error *err)
{
    int rc;

    if (mui_census_threads() == 1)
        return fork_here(w, err);
    if (w->inherits)
        return mui_fail(err, MU_EMODEL,
                        "worker: other threads run, so a process gets no copy "
                        "of this program: start it before them, or let it "
                        "connect to channels and arenas by name");
    rc = mui_nursery_ref(err);
    if (rc != 0)
        return rc;
    rc = fork_there(w, err);
    if (rc != 0)
        mui_nursery_unref();
    return rc;
}

/* What an end means. `is_signal`: by signal `value`, else with status `value`. */
static void end_judge(const struct mu_worker *w, bool is_signal, int value,
                      struct mu_worker_exit *ret)
{
    /* acquire, pairs with mui_worker_body() */
    bool has_returned =
        atomic_load_explicit(&w->page->has_returned, memory_order_acquire) == 1;
    int code = atomic_load_explicit(&w->page->code, memory_order_relaxed);

    *ret = (struct mu_worker_exit){.end = MU_WORKER_EXITED, .code = value};
    if (is_signal)
        *ret = (struct mu_worker_exit){
            .end = value == SIGKILL ? MU_WORKER_KILLED : MU_WORKER_CRASHED,
            .signal = value};
    else if (has_returned && (code & 0xff) == value)
        *ret = (struct mu_worker_exit){.end = MU_WORKER_RETURNED, .code = code};
}

/* The same when the host waited for it, or ignores SIGCHLD: what it wrote down is
 * all there is. */
static void end_guess(const struct mu_worker *w, struct mu_worker_exit *ret)
{
    *ret = (struct mu_worker_exit){.end = MU_WORKER_LOST};
    /* acquire, pairs with mui_worker_body() */
    if (atomic_load_explicit(&w->page->has_returned, memory_order_acquire) == 1)
        *ret = (struct mu_worker_exit){
            .end = MU_WORKER_RETURNED,
            .code = atomic_load_explicit(&w->page->code, memory_order_relaxed)};
}

/* For a process that was killed to be dead; only what hangs in the kernel takes so long. */
enum { DYING_MS = 1000 };

static int process_kill(struct mu_worker *w);

static int collect_there(struct mu_worker *w, struct mu_worker_exit *ret_exit)
{
    struct mui_nursery_report report;
    int rc = mui_nursery_report(w->fd, &report);

    if (rc == MU_EMPTY)
        return rc;
    if (rc != 0) { /* the nursery has gone, and its workers die with it */
        struct pollfd ended = {.fd = w->pidfd, .events = POLLIN};

        if (process_kill(w) == 0)
            (void)poll(&ended, 1, DYING_MS);
        end_judge(w, true, SIGKILL, ret_exit);
        return 0;
    }
    if (report.pidfd >= 0)
        (void)close(report.pidfd);
    if (report.news != MUI_NURSERY_EXITED && report.news != MUI_NURSERY_KILLED)
        return MU_EMPTY;
    /* the report is taken: from now on the descriptor is readable for its end */
    (void)shutdown(w->fd, SHUT_RD);
    end_judge(w, report.news == MUI_NURSERY_KILLED, report.value, ret_exit);
    return 0;
}

static int process_collect(struct mu_worker *w, struct mu_worker_exit *ret_exit)
{
    siginfo_t info = {.si_pid = 0};

    if (w->is_of_nursery)
        return collect_there(w, ret_exit);
    if (waitid(P_PIDFD, (id_t)w->pidfd, &info, WEXITED | WNOHANG) < 0) {
        if (errno == EINTR)
            return MU_EMPTY;
        end_guess(w, ret_exit);
        return 0;
    }
    if (info.si_pid == 0)
        return MU_EMPTY;
    end_judge(w, info.si_code != CLD_EXITED, info.si_status, ret_exit);
    return 0;
}

static int process_kill(struct mu_worker *w)
{
    int rc = w->pidfd >= 0 ? mui_pidfd_kill(w->pidfd, SIGKILL) : -ESRCH;

    if (rc == -EPERM && w->is_of_nursery)
        rc = mui_nursery_kill(w->fd,
                              0); /* we gave up the right to, it did not */
    /* or the nursery has gone, and its workers with it */
    return rc == -ESRCH || rc == -EPIPE ? 0 : rc;
}

static void process_fini(struct mu_worker *w)
{
    if (w->is_of_nursery) {
        mui_nursery_disconnect(w->fd);
        mui_nursery_unref();
    }
    if (w->pidfd >= 0)
        (void)close(w->pidfd);
}

const struct mui_worker_kind mui_worker_process = {
    .start = process_start,
    .collect = process_collect,
    .kill = process_kill,
    .fini = process_fini,
};
