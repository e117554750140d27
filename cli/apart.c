/* apart.c: work that is done in a process of its own.
 *
 *   we --------> child --------> program, in a process group of its own
 *       SIGTERM         SIGTERM; after GRACE_S, and behind its end, SIGKILL
 * The child is sent our signals, a terminal's by that too, and one by the kernel at our
 * end. It waits for the whole group then, whose reaper it is, so that nobody writes any
 * more to what it removes. Both wait with signals blocked: none is missed, and none cuts
 * short what the child writes itself. */
#include "apart.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "say.h"
#include "wakeup.h"
#include "whole.h"

enum {
    READ_BYTES = 4096,
    GRACE_S = 1 /* for a compiler to remove its temporary files */
};

/* The signals of the child, while it waits, and its mask before. */
static sigset_t heard;
static sigset_t mask;

static void read_all(int fd, struct text *ret)
{
    for (;;) {
        char *room = text_reserve(ret, READ_BYTES);
        ssize_t size = read(fd, room, READ_BYTES);

        if (size > 0)
            ret->size += (size_t)size;
        else if (size == 0 || errno != EINTR)
            break;
    }
    ret->data[ret->size] = '\0';
}

/* Block SIGCHLD and those of the signals that are not ignored. */
static void hear(const int *signals, size_t n, sigset_t *ret_heard,
                 sigset_t *ret_before)
{
    static const struct sigaction by_default = {.sa_handler = SIG_DFL};

    (void)sigemptyset(ret_heard);
    (void)sigaddset(ret_heard, SIGCHLD);
    for (size_t i = 0; i < n; i++)
        if (!wakeup_is_ignored(signals[i]))
            (void)sigaddset(ret_heard, signals[i]);
    (void)sigprocmask(SIG_BLOCK, ret_heard, ret_before);
    /* where it is ignored, the kernel waits for children */
    (void)sigaction(SIGCHLD, &by_default, NULL);
}

static void become_child(pid_t parent)
{
    static const struct sigaction by_default = {.sa_handler = SIG_DFL};
    static const int ends[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    sigset_t before;

    (void)sigaction(SIGTERM, &by_default, NULL); /* it is what we are sent */
    hear(ends, sizeof ends / sizeof ends[0], &heard, &before);
    /* the group is in the background for a terminal that stops who writes from there */
    (void)signal(SIGTTOU, SIG_IGN);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        (void)raise(SIGTERM);
}

static int do_in_child(int fd, pid_t parent,
                       int (*body)(void *ctx, struct text *ret_bytes),
                       void *ctx)
{
    struct text bytes = {0};
    int rc;

    become_child(parent);
    rc = body(ctx, &bytes);
    if (rc == 0)
        rc = whole_write(fd, bytes.data, bytes.size);
    text_fini(&bytes);
    return rc;
}

/* Returns the last signal that was passed on, or 0. */
static int await_child(pid_t pid, const sigset_t *ours, int *ret_status)
{
    int passed = 0;

    while (waitpid(pid, ret_status, WNOHANG) != pid) {
        int signal = sigwaitinfo(ours, NULL);

        if (signal <= 0 || signal == SIGCHLD)
            continue;
        passed = signal;
        (void)kill(pid, SIGTERM);
    }
    return passed;
}

static int judge(int status)
{
    if (WIFSIGNALED(status))
        return say_refuse("a process of ours was ended by signal %d: try again",
                          WTERMSIG(status));
    return WEXITSTATUS(status) ? -1 : 0;
}

int apart_do(int (*body)(void *ctx, struct text *ret_bytes), void *ctx,
             struct text *ret_bytes)
{
    static const int ends[] = {SIGINT, SIGTERM};
    const pid_t parent = getpid();
    int passed = 0;
    int status = 0;
    sigset_t ours;
    int pipes[2];
    pid_t pid;

    if (pipe2(pipes, O_CLOEXEC) < 0)
        return say_refuse("cannot start a process: %s", say_reason(errno));
    hear(ends, sizeof ends / sizeof ends[0], &ours, &mask);
    pid = fork();
    if (pid == 0)
        _exit(do_in_child(pipes[1], parent, body, ctx) ? SAY_EXIT_OTHER : 0);
    (void)close(pipes[1]);
    if (pid > 0) {
        if (wakeup_n_signals()) /* before there was anybody */
            (void)kill(pid, SIGTERM);
        passed = await_child(pid, &ours, &status);
        read_all(pipes[0], ret_bytes);
    }
    (void)close(pipes[0]);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    if (pid < 0)
        return say_refuse("cannot start a process: %s", say_reason(errno));
    if (passed)
        (void)raise(passed);
    return judge(status);
}

/* With `output` standard output goes there. Returns 0 and *ret_pid, or -errno. */
static int start(char *const *argv, int output, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t how;
    int rc;

    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&how);
    if (output >= 0)
        (void)posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    (void)posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP |
                                             POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawnattr_setpgroup(&how, 0);
    (void)posix_spawnattr_setsigmask(&how, &mask);
    rc = posix_spawnp(ret_pid, argv[0], &actions, &how, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&how);
    return -rc;
}

/* Until it has ended; not waited for, its number stands for its group. Returns whether we
 * ended it. */
static int await_end(pid_t pid)
{
    static const struct timespec grace = {.tv_sec = GRACE_S};
    static const struct timespec now = {0};
    siginfo_t info = {0};
    sigset_t ends = heard;
    int is_ending = 0;

    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 &&
           info.si_pid != pid) {
        int signal = is_ending ? sigtimedwait(&heard, NULL, &grace)
                               : sigwaitinfo(&heard, NULL);

        if (signal < 0 && errno == EAGAIN)
            (void)kill(-pid, SIGKILL);
        if (signal <= 0 || signal == SIGCHLD)
            continue;
        is_ending = 1;
        (void)kill(-pid, SIGTERM);
    }
    /* one may have come to both */
    (void)sigdelset(&ends, SIGCHLD);
    return is_ending || sigtimedwait(&ends, NULL, &now) > 0;
}

static int await(pid_t pid)
{
    const int has_ended_it = await_end(pid);
    int status;

    if (has_ended_it)
        (void)kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    if (has_ended_it) {
        while (waitpid(-pid, NULL, 0) > 0 || errno == EINTR)
            ;
        return -EINTR;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int apart_run(char *const *argv, struct text *ret_output)
{
    int output = -1;
    pid_t pid;
    int rc;

    if (ret_output) {
        output = memfd_create("muster-output", MFD_CLOEXEC);
        if (output < 0)
            return -errno;
    }
    rc = start(argv, output, &pid);
    if (rc == 0)
        rc = await(pid);
    if (output >= 0) {
        if (rc == 0 && lseek(output, 0, SEEK_SET) == 0)
            read_all(output, ret_output);
        (void)close(output);
    }
    return rc;
}
