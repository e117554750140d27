/* nursery_main.c: the nursery itself: forks workers, reports how they end, kills
 * what they leave behind.
 *
 * One thread, every signal blocked, sleeps in poll(). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "muster/base.h"

#include "process/brood.h"
#include "process/confine.h"
#include "process/crash.h"
#include "process/own_limits.h"
#include "process/wire.h"
#include "sys/census.h"
#include "sys/descriptor.h"
#include "sys/message.h"
#include "sys/module.h"
#include "sys/pidfd.h"

enum { N_FIXED = 4 };

/* Between two looks for what the dead left behind: each reads files, and workers can
 * die thousands of times a second. */
enum { SWEEP_MIN_NS = 2 * 1000 * 1000, SWEEP_MAX_NS = 500 * 1000 * 1000 };

/* Who traces a worker that has ended lets go of it within so much, or we tell its end without
 * having waited for it. */
enum { TRACED_NS = 1000 * 1000 * 1000 };

/* To load what the program has loaded since. Nobody hears of workers meanwhile. */
enum { LOAD_MAX_S = 10 };

struct channel {
    int fd;
    unsigned n_fds;
    int fds[MUI_NURSERY_PLAN_FDS];
    struct mui_wire_open open;
};

struct worker {
    pid_t pid;
    int pidfd; /* in gone_fd; -1: could not be opened */
    uint32_t id;
    struct channel *channel; /* NULL: it closed; the worker is being killed */
    int rc; /* below 0: the pool cannot have it, for this; it is being killed */
    bool has_ended; /* and another has to hear of it before us */
};

static struct {
    int main_fd;
    int supervisor_pidfd;
    int guard_fd;
    int child_fd;
    int gone_fd; /* epoll: pidfds of workers that we have not heard to end */
    pid_t pid;
    bool careful; /* the nursery before us died: load nothing ahead */
    struct channel *channels[MUI_NURSERY_CHANNELS_MAX];
    unsigned n_channels;
    struct worker *workers;
    unsigned n_workers;
    unsigned n_workers_max;
    int64_t sweep_ns; /* when to look again; MU_NEVER: after the next death */
    int64_t swept_ns; /* when it last did */
    int64_t pause_ns; /* then after this, while something is left */
    int64_t tell_ns;  /* when to tell of the dead; MU_NEVER: there are none */
} the;

static struct worker *find_worker(pid_t pid)
{
    for (unsigned i = 0; i < the.n_workers; i++)
        if (the.workers[i].pid == pid)
            return &the.workers[i];
    return NULL;
}

/* -- reports -- */

/* 0, or -errno when the pidfd in it cannot be sent. */
static int send_report(struct channel *channel,
                       const struct mui_nursery_report *report)
{
    struct mui_nursery_report text = *report;
    struct mui_message message = {.bytes = &text, .size = sizeof text};
    int rc;

    text.pidfd = -1;
    if (report->pidfd >= 0) {
        message.n_fds = 1;
        message.fds[0] = report->pidfd;
    }
    rc = mui_message_send(channel->fd, &message, 1);
    /* a pool that does not hear of an end would wait for it: it hears a nursery's
     * instead; poll() sees that, and a pool that has gone */
    if (rc < 0 && message.n_fds == 0)
        (void)shutdown(channel->fd, SHUT_RDWR);
    return rc;
}

static int report(struct channel *channel, uint32_t news, uint32_t id,
                  pid_t pid, int value, int pidfd)
{
    return send_report(channel, &(struct mui_nursery_report){.news = news,
                                                             .id = id,
                                                             .pid = pid,
                                                             .value = value,
                                                             .pidfd = pidfd});
}

static void kill_orphan(void *ctx, pid_t pid)
{
    (void)ctx;
    if (!find_worker(pid))
        mui_brood_signal(pid, SIGKILL);
}

static bool is_worker(pid_t pid)
{
    return find_worker(pid) != NULL;
}

/* Its end is known. The supervisor has the same description: closing ours is not
 * enough. */
static void unwatch(int pidfd)
{
    if (pidfd < 0)
        return;
    (void)epoll_ctl(the.gone_fd, EPOLL_CTL_DEL, pidfd, NULL);
    (void)close(pidfd);
}

static void note_end(const siginfo_t *info, int64_t cpu_ns)
{
    struct worker *worker = find_worker(info->si_pid);
    struct mui_nursery_report news = {.news = info->si_code == CLD_EXITED
                                                  ? MUI_NURSERY_EXITED
                                                  : MUI_NURSERY_KILLED,
                                      .pid = info->si_pid,
                                      .value = info->si_status,
                                      .cpu_ns = cpu_ns,
                                      .pidfd = -1};

    if (!worker)
        return;
    news.id = worker->id;
    news.starved = mui_confine_end(worker->pid);
    if (worker->rc < 0) {
        news.news = MUI_NURSERY_FAILED;
        news.value = worker->rc;
    }
    if (worker->channel)
        (void)send_report(worker->channel, &news);
    unwatch(worker->pidfd);
    *worker = the.workers[--the.n_workers];
}

static void note_stop(const siginfo_t *info)
{
    const struct worker *worker = find_worker(info->si_pid);

    if (!worker) /* a thread of one, which made us its tracer */
        worker = find_worker(mui_census_process_of(info->si_pid));
    if (worker && worker->channel)
        (void)report(worker->channel, MUI_NURSERY_STOPPED, worker->id,
                     worker->pid, info->si_status, -1);
}

static void sweep_soon(void)
{
    the.pause_ns = SWEEP_MIN_NS;
    the.sweep_ns = the.swept_ns + SWEEP_MIN_NS;
}

static void reap(void)
{
    struct signalfd_siginfo infos[16];
    siginfo_t info;
    /* a worker sends one when a task may have left orphans, and of two that wait the
     * kernel keeps one: each may be that */
    int64_t cpu_ns;
    bool ended = read(the.child_fd, infos, sizeof infos) > 0;

    while (mui_brood_wait(&info, &cpu_ns)) {
        if (info.si_code == CLD_STOPPED || info.si_code == CLD_TRAPPED) {
            note_stop(&info);
        } else {
            note_end(&info, cpu_ns);
            ended = true;
        }
    }
    if (ended)
        sweep_soon();
}

/* A worker has ended. When somebody traces it he hears of it, and we do not until he has
 * waited for it or ended: were he what a task of it left behind, that would be never. */
static void await_tracer(struct worker *worker)
{
    sweep_soon();
    worker->has_ended = true;
    if (the.tell_ns == MU_NEVER)
        the.tell_ns = mu_after_ns(TRACED_NS);
}

static void look_for_tracers(void)
{
    struct epoll_event event;
    struct worker *worker;

    if (epoll_wait(the.gone_fd, &event, 1, 0) != 1)
        return;
    worker = find_worker((pid_t)event.data.u32);
    if (worker)
        await_tracer(worker);
}

/* Others trace them, debuggers above all, for as long as they like. The dead hold nothing that
 * a task could need, and their tasks are not to wait. */
static void tell_traced(void)
{
    the.tell_ns = MU_NEVER;
    for (unsigned i = the.n_workers; i-- > 0;) {
        pid_t pid = the.workers[i].pid;
        siginfo_t info = {.si_pid = 0};
        int status;

        if (!the.workers[i].has_ended)
            continue;
        status = mui_census_end_status(pid);
        if (status < 0)
            status = SIGKILL; /* nobody knows */
        info.si_pid = pid;
        info.si_code = WIFSIGNALED(status) ? CLD_KILLED : CLD_EXITED;
        info.si_status =
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
        note_end(&info, mui_census_cpu_ns(pid));
    }
}

/* Kill what the dead left behind, and remove their groups. What has just been killed
 * may still be in one: then again. */
static void sweep(void)
{
    (void)mui_census_children(kill_orphan, NULL);
    the.swept_ns = mu_now_ns();
    the.sweep_ns = MU_NEVER;
    if (!mui_confine_sweep(is_worker))
        return;
    the.sweep_ns = the.swept_ns + the.pause_ns;
    if (the.pause_ns < SWEEP_MAX_NS)
        the.pause_ns *= 2;
}

/* -- forking -- */

/* SIGCHLD may not have reached us: what was pending is gone, and for workers that ended
 * while it was ignored nobody can wait. How they did, unless they left word, nobody
 * knows. */
static void note_unheard(void)
{
    siginfo_t info;

    reap();
    for (unsigned i = the.n_workers; i-- > 0;) {
        if (waitid(P_PID, (id_t)the.workers[i].pid, &info,
                   WEXITED | WNOHANG | WNOWAIT | __WALL) == 0)
            continue;
        info.si_pid = the.workers[i].pid;
        info.si_code = CLD_KILLED;
        info.si_status = SIGKILL;
        note_end(&info, 0);
    }
}

/* All signals blocked, so that no handler runs; and of SIGCHLD we have to hear. To set it
 * drops one that is pending: only where it was changed. */
static void own_signals(void)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    struct sigaction now;
    sigset_t all;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)sigaction(SIGCHLD, NULL, &now);
    if (now.sa_handler == SIG_DFL &&
        !(now.sa_flags & (SA_NOCLDWAIT | SA_NOCLDSTOP)))
        return;
    (void)sigaction(SIGCHLD, &standard, NULL);
    note_unheard();
}

/* Every worker would have to, at its first task. Constructors of libraries run, which
 * may do all there is, and take for ever: then the kernel kills us, whatever they block,
 * and the nursery after us is careful. Without such a timer it is left to the workers,
 * whose tasks have their own. */
static void load_ahead(void)
{
    const struct itimerspec patience = {.it_value = {.tv_sec = LOAD_MAX_S}};
    struct sigevent killing = {.sigev_notify = SIGEV_SIGNAL,
                               .sigev_signo = SIGKILL};
    timer_t timer;

    if (timer_create(CLOCK_MONOTONIC, &killing, &timer) < 0)
        return;
    if (timer_settime(timer, 0, &patience, NULL) == 0)
        mui_module_load_all();
    (void)timer_delete(timer);
    own_signals();
}

/* Who unwinds the stack finds its end here: an exception that leaves a task is caught by
 * nobody, and neither that nor pthread_exit() cleans up for the functions of the host whose
 * frames lie below, and which go on there. */
static _Noreturn __attribute__((noinline)) void run_worker(
    const struct channel *channel, const struct mui_nursery_start *start)
{
#ifdef __GCC_HAVE_DWARF2_CFI_ASM
#    if defined(__x86_64__)
    __asm__ volatile(".cfi_undefined rip");
#    elif defined(__aarch64__)
    __asm__ volatile(".cfi_undefined x30");
#    endif
#endif
    _exit(channel->open.entry(start));
}

/* Where memory runs out, in a control group above all, the kernel kills the largest process:
 * a worker first, which costs a task, and not the program. This needs no rights. */
static void be_first_to_be_killed(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, "1000", 4) < 0)
        errno = 0; /* then as any other process */
    (void)close(fd);
}

static _Noreturn void be_worker(const struct channel *channel,
                                const struct mui_message *message)
{
    const struct mui_wire_order *order = message->bytes;
    struct mui_nursery_start start = {.plan = channel->open.plan,
                                      .plan_bytes = channel->open.plan_bytes,
                                      .place = order->place};
    int keep[MUI_NURSERY_PLAN_FDS + MUI_MESSAGE_FDS];
    unsigned n = 0;
    sigset_t none;

    /* sent when the thread that forked us ends: it has no other */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != the.pid)
        _exit(1);
    mui_own_limits_keep(); /* changed since our parent looked */
    (void)prctl(PR_SET_NAME, "muster-worker");
    be_first_to_be_killed();
    /* what a task sends to its group, by kill(0, ...), is for its own children */
    (void)setpgid(0, 0);
    for (unsigned i = 0; i < channel->n_fds; i++)
        keep[n++] = start.plan_fds[i] = channel->fds[i];
    for (unsigned i = 0; i < message->n_fds && i < MUI_NURSERY_WORKER_FDS; i++)
        keep[n++] = start.fds[i] = message->fds[i];
    mui_descriptors_keep(keep, n);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    run_worker(channel, &start);
}

static bool room_for_worker(void)
{
    unsigned n_max = the.n_workers_max ? the.n_workers_max * 2 : 16;
    struct worker *more;

    if (the.n_workers < the.n_workers_max)
        return true;
    more = realloc(the.workers, n_max * sizeof *more);
    if (!more)
        return false;
    the.workers = more;
    the.n_workers_max = n_max;
    return true;
}

static void fork_worker(struct channel *channel,
                        const struct mui_message *message, uint32_t id)
{
    /* once: one that does not end by a sweep is not to keep us awake */
    struct epoll_event gone = {.events = EPOLLIN | EPOLLONESHOT};
    pid_t pid = -1;
    int pidfd;
    int rc;

    if (!the.careful)
        load_ahead();
    errno = ENOMEM;
    if (room_for_worker())
        pid = fork();
    if (pid == 0)
        be_worker(channel, message);
    if (pid < 0) {
        (void)report(channel, MUI_NURSERY_FAILED, id, 0, -errno, -1);
        return;
    }
    /* we are its parent and have not waited for it: the number is still its own */
    pidfd = mui_pidfd_open(pid);
    rc = pidfd < 0 ? pidfd
                   : report(channel, MUI_NURSERY_FORKED, id, pid, 0, pidfd);
    if (rc < 0)
        (void)kill(pid, SIGKILL); /* nobody but us could, ever */
    the.workers[the.n_workers++] = (struct worker){
        .pid = pid, .pidfd = pidfd, .id = id, .channel = channel, .rc = rc};
    gone.data.u32 = (uint32_t)pid;
    if (pidfd >= 0)
        (void)epoll_ctl(the.gone_fd, EPOLL_CTL_ADD, pidfd, &gone);
}

/* Its host may not kill it, or waits for it in vain: of a traced thread that is not its first
 * no descriptor tells the end. Who traces it may be a child of its own. One whose end is told
 * is not in the table. */
static void see_worker(const struct channel *channel, uint32_t id, bool kills)
{
    for (unsigned i = 0; i < the.n_workers; i++) {
        struct worker *worker = &the.workers[i];

        if (worker->channel != channel || worker->id != id)
            continue;
        if (kills)
            mui_brood_signal(worker->pid, SIGKILL);
        if (mui_census_is_over(worker->pid, kills))
            await_tracer(worker);
    }
}

/* -- channels -- */

static void open_channel(struct mui_message *message)
{
    struct channel *channel = NULL;

    if (message->n_fds >= 1 && message->n_fds <= 1 + MUI_NURSERY_PLAN_FDS) {
        if (the.n_channels < MUI_NURSERY_CHANNELS_MAX)
            channel = calloc(1, sizeof *channel);
        else
            (void)report(&(struct channel){.fd = message->fds[0]},
                         MUI_NURSERY_FULL, 0, 0, 0, -1);
    }
    if (!channel) {
        for (unsigned i = 0; i < message->n_fds; i++)
            (void)close(message->fds[i]);
        return;
    }
    memcpy(&channel->open, message->bytes, sizeof channel->open);
    channel->fd = message->fds[0];
    channel->n_fds = message->n_fds - 1;
    memcpy(channel->fds, message->fds + 1,
           channel->n_fds * sizeof *channel->fds);
    the.channels[the.n_channels++] = channel;
}

static void close_channel(unsigned i)
{
    struct channel *channel = the.channels[i];

    for (unsigned j = 0; j < the.n_workers; j++)
        if (the.workers[j].channel == channel) {
            (void)kill(the.workers[j].pid, SIGKILL);
            the.workers[j].channel = NULL;
        }
    (void)close(channel->fd);
    for (unsigned j = 0; j < channel->n_fds; j++)
        (void)close(channel->fds[j]);
    free(channel);
    the.channels[i] = the.channels[--the.n_channels];
}

/* Returns whether the channel is still open. */
static bool serve_channel(struct channel *channel)
{
    struct mui_wire_order order = {.id = UINT32_MAX};
    struct mui_message message = {.bytes = &order, .size = sizeof order};
    int rc = mui_brood_receive(channel->fd, &message);

    if (rc == 0 && order.deed != MUI_WIRE_FORK) {
        see_worker(channel, order.id, order.deed == MUI_WIRE_KILL);
    } else if (rc == 0) {
        fork_worker(channel, &message, order.id);
        for (unsigned i = 0; i < message.n_fds; i++)
            (void)close(message.fds[i]);
    } else if (rc < 0) {
        /* or what came with it did not fit into this process */
        (void)report(channel, MUI_NURSERY_FAILED, order.id, 0,
                     rc == -EMSGSIZE ? -EMFILE : rc, -1);
    }
    return rc != MU_CLOSED;
}

/* The guardian was killed. Only an ancestor of the nursery can be one, so this process
 * becomes it, and forks a nursery. The workers could not be handed over: they end
 * first, so that none of their tasks runs twice at a time; then the pools see their
 * channels close, as when a nursery is killed. */
static _Noreturn void succeed_guardian(void)
{
    const int careful = the.careful;

    mui_brood_clear();
    while (the.n_workers > 0)
        unwatch(the.workers[--the.n_workers].pidfd);
    (void)close(the.gone_fd);
    while (the.n_channels > 0)
        close_channel(the.n_channels - 1);
    free(the.workers);
    (void)close(the.child_fd);
    (void)close(the.guard_fd);
    mui_guardian_succeed(the.main_fd, the.supervisor_pidfd, careful);
}

/* From the guardian. */
static void serve_front(void)
{
    struct mui_wire_open open;
    struct mui_message message = {.bytes = &open, .size = sizeof open};
    int rc = mui_brood_receive(the.guard_fd, &message);

    if (rc == 0)
        open_channel(&message);
    if (rc == MU_CLOSED)
        succeed_guardian();
}

static int timeout_ms(void)
{
    int64_t next = the.sweep_ns < the.tell_ns ? the.sweep_ns : the.tell_ns;
    int64_t left;

    if (next == MU_NEVER)
        return -1;
    left = next - mu_now_ns();
    return left <= 0 ? 0 : (int)((left + 999999) / 1000000);
}

static void turn(void)
{
    struct pollfd polls[N_FIXED + MUI_NURSERY_CHANNELS_MAX] = {
        {.fd = the.supervisor_pidfd, .events = POLLIN},
        {.fd = the.child_fd, .events = POLLIN},
        {.fd = the.guard_fd, .events = POLLIN},
        {.fd = the.gone_fd, .events = POLLIN},
    };
    unsigned n = the.n_channels;
    int rc;

    for (unsigned i = 0; i < n; i++)
        polls[N_FIXED + i] =
            (struct pollfd){.fd = the.channels[i]->fd, .events = POLLIN};
    rc = poll(polls, N_FIXED + n, timeout_ms());
    mui_own_limits_keep(); /* poll() has one, too */
    if (!mui_brood_heard(rc))
        return;
    if (polls[0].revents)
        mui_brood_end();
    if (polls[1].revents)
        reap();
    if (polls[3].revents)
        look_for_tracers();
    if (the.tell_ns <= mu_now_ns())
        tell_traced();
    if (the.sweep_ns <= mu_now_ns())
        sweep();
    for (unsigned i = n; i-- > 0;) /* closing moves the last into the gap */
        if (polls[N_FIXED + i].revents && !serve_channel(the.channels[i]))
            close_channel(i);
    if (polls[2].revents)
        serve_front();
}

void mui_nursery_main(int main_fd, int supervisor_pidfd, int guard_fd,
                      int careful)
{
    sigset_t child;

    (void)prctl(PR_SET_NAME, "muster-nursery");
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    /* below a worker the channels of the nursery that forked it came along */
    memset(&the, 0, sizeof the);
    the.main_fd = main_fd;
    the.supervisor_pidfd = supervisor_pidfd;
    the.guard_fd = guard_fd;
    the.careful = careful != 0;
    the.sweep_ns = MU_NEVER;
    the.tell_ns = MU_NEVER;
    the.pid = getpid();
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    the.child_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    the.gone_fd = epoll_create1(EPOLL_CLOEXEC);
    if (the.child_fd < 0 || the.gone_fd < 0)
        _exit(1);
    mui_crash_warm_up();
    for (;;)
        turn();
}
