/* guardian.c: watches the nursery, and outlives it: see nursery.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "muster/base.h"

#include "process/brood.h"
#include "process/confine.h"
#include "process/own_limits.h"
#include "process/wire.h"
#include "sys/census.h"
#include "sys/descriptor.h"
#include "sys/message.h"
#include "sys/module.h"

/* A nursery that ended by itself, and lived shorter than this, was stillborn; so many in
 * a row, and there is no use in going on. One that was killed is replaced always, for a
 * task that kills its parent does so again when it is tried again; after a pause. */
enum {
    SHORT_LIFE_NS = 20 * 1000 * 1000,
    SHORT_LIVES_MAX = 5,
    KILLED_PAUSE_NS = 1000 * 1000,
    /* for the end of what it left: one can hang in the kernel, or have a debugger */
    STRAYS_NS = 1000 * 1000 * 1000,
    STRAYS_LOOK_MS = 10
};

struct guardian {
    int main_fd;
    int supervisor_pidfd;
    int child_fd;  /* signalfd of SIGCHLD */
    int guard_fd;  /* to the nursery */
    pid_t nursery; /* 0: there is none */
    int64_t born_ns;
    unsigned n_short_lives;
    bool was_killed; /* the last nursery, or stopped */
};

/* The host's memory, descriptors and signals are not ours. */
static void leave_host_behind(struct guardian *g)
{
    int keep[] = {g->main_fd, g->supervisor_pidfd};

    (void)setpgid(0, 0);
    mui_own_limits_note();
    for (int s = 1; s <= SIGRTMAX; s++)
        (void)signal(s, SIG_DFL);
    /* before its descriptor is closed: workers inherit what we can write */
    if (mui_module_seal_in_child() < 0)
        _exit(1);
    mui_nursery_forget_in_child();
    mui_descriptors_keep(keep, 2);
    mui_descriptors_detach_input();
    /* what the host has printed and not flushed is the host's to flush */
    __fpurge(stdin);
    __fpurge(stdout);
    __fpurge(stderr);
}

/* When there can be none now, the next pool that asks is another try: a task of the same
 * user can take all processes, or the system's files, and lose them again. */
static void fork_nursery(struct guardian *g, int careful)
{
    int fds[2];
    pid_t pid;

    if (mui_message_pair(fds) < 0)
        return;
    pid = fork();
    if (pid == 0) {
        (void)close(fds[0]);
        (void)close(g->child_fd);
        mui_nursery_main(g->main_fd, g->supervisor_pidfd, fds[1], careful);
    }
    (void)close(fds[1]);
    if (pid < 0) {
        (void)close(fds[0]);
        return;
    }
    g->nursery = pid;
    g->guard_fd = fds[0];
    g->born_ns = mu_now_ns();
}

/* A pool wants a channel: the nursery's business. */
static void forward(struct guardian *g)
{
    struct mui_wire_open open;
    struct mui_message message = {.bytes = &open, .size = sizeof open};
    int rc = mui_brood_receive(g->main_fd, &message);

    if (rc == MU_CLOSED)
        mui_brood_end();
    if (rc != 0)
        return;
    if (g->nursery == 0)
        fork_nursery(g, 1);
    /* when the nursery is dead, or there is none, the channel's end is closed with our
     * copy, and the pool sees that and asks again, after pauses, for a while */
    if (g->nursery > 0)
        (void)mui_message_send(g->guard_fd, &message, 1);
    for (unsigned i = 0; i < message.n_fds; i++)
        (void)close(message.fds[i]);
}

static void kill_stray(void *ctx, pid_t child)
{
    const struct guardian *g = ctx;

    if (child != g->nursery)
        mui_brood_signal(child, SIGKILL);
}

static bool is_stop(const siginfo_t *info)
{
    return info->si_code == CLD_STOPPED || info->si_code == CLD_TRAPPED;
}

/* Wait for the dead; kill what a dead nursery left to us. Returns whether the nursery
 * is among the dead, or was stopped: pools would wait for it, so it is killed too. */
static bool reap(struct guardian *g)
{
    struct signalfd_siginfo infos[16];
    siginfo_t info;
    int64_t cpu_ns;
    bool lost = false;

    (void)!read(g->child_fd, infos, sizeof infos);
    while (mui_brood_wait(&info, &cpu_ns)) {
        if (info.si_pid != g->nursery)
            continue;
        lost = true;
        g->was_killed = is_stop(&info) || (info.si_code == CLD_KILLED &&
                                           info.si_status == SIGKILL);
    }
    if (lost)
        g->nursery = 0;
    (void)mui_census_children(kill_stray, g);
    return lost;
}

/* What its workers had begun runs again in the next one's: not before they have ended. */
static void await_strays(struct guardian *g)
{
    const int64_t end_ns = mu_after_ns(STRAYS_NS);
    struct pollfd ended = {.fd = g->child_fd, .events = POLLIN};

    while (mui_census_has_children() && mu_now_ns() < end_ns) {
        (void)poll(&ended, 1, STRAYS_LOOK_MS);
        (void)reap(g);
    }
}

static void replace_nursery(struct guardian *g)
{
    const struct timespec pause = {.tv_nsec = KILLED_PAUSE_NS};

    (void)close(g->guard_fd);
    await_strays(g);
    if (mu_now_ns() - g->born_ns > SHORT_LIFE_NS)
        g->n_short_lives = 0;
    if (g->was_killed)
        (void)nanosleep(&pause, NULL);
    else if (++g->n_short_lives > SHORT_LIVES_MAX)
        mui_brood_end();
    fork_nursery(g, 1);
}

static _Noreturn void guard(struct guardian *g, int careful)
{
    sigset_t child;

    (void)prctl(PR_SET_NAME, "muster-guardian");
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    g->child_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (g->child_fd < 0)
        _exit(1);
    mui_confine_init("");
    fork_nursery(g, careful);
    for (;;) {
        struct pollfd polls[] = {{.fd = g->main_fd, .events = POLLIN},
                                 {.fd = g->supervisor_pidfd, .events = POLLIN},
                                 {.fd = g->child_fd, .events = POLLIN}};
        int rc = poll(polls, 3, -1);

        mui_own_limits_keep();
        if (!mui_brood_heard(rc))
            continue;
        if (polls[1].revents)
            mui_brood_end();
        if (polls[2].revents && reap(g))
            replace_nursery(g);
        if (polls[0].revents)
            forward(g);
    }
}

void mui_guardian_main(int main_fd, int supervisor_pidfd)
{
    struct guardian g = {.main_fd = main_fd,
                         .supervisor_pidfd = supervisor_pidfd};

    leave_host_behind(&g);
    guard(&g, 0);
}

void mui_guardian_succeed(int main_fd, int supervisor_pidfd, int careful)
{
    struct guardian g = {.main_fd = main_fd,
                         .supervisor_pidfd = supervisor_pidfd};

    guard(&g, careful);
}
