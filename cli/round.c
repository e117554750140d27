/* round.c: one run in a process of its own. That is forked, and not the command again by
 * exec(): it has read the command line, and no more has happened before it. It loads the
 * work and forks its nursery itself, as the command does. */
#include "round.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "muster/init.h"

#include "say.h"
#include "wakeup.h"

#define NS_PER_S INT64_C(1000000000)

int rounds_init(struct rounds *r)
{
    static const int ends[] = {SIGINT, SIGTERM};
    static const struct sigaction by_default = {.sa_handler = SIG_DFL};
    void *shared = mmap(NULL, sizeof *r->shared, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    *r = (struct rounds){.look = r->look, .ctx = r->ctx};
    if (shared == MAP_FAILED)
        return say_refuse("no memory to compare in: %s", say_reason(errno));
    r->shared = shared;
    (void)sigemptyset(&r->heard);
    (void)sigaddset(&r->heard, SIGCHLD);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (!wakeup_is_ignored(ends[i]))
            (void)sigaddset(&r->heard, ends[i]);
    (void)sigprocmask(SIG_BLOCK, &r->heard, &r->before);
    /* where it is ignored, the kernel waits for children and counts nothing */
    (void)sigaction(SIGCHLD, &by_default, NULL);
    return 0;
}

void rounds_fini(struct rounds *r)
{
    if (!r->shared)
        return;
    (void)munmap(r->shared, sizeof *r->shared);
    r->shared = NULL;
    if (r->signal)
        (void)raise(r->signal); /* held back until now */
    (void)sigprocmask(SIG_SETMASK, &r->before, NULL);
}

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void add_used(struct round_used *used, const struct rusage *more)
{
    used->cpu_seconds +=
        seconds_of(more->ru_utime) + seconds_of(more->ru_stime);
    used->n_switches += (uint64_t)more->ru_nvcsw + (uint64_t)more->ru_nivcsw;
}

/* A task of the run can have written over what was used before. */
static struct round_used used_since(const struct round_used *before,
                                    const struct round_used *now)
{
    struct round_used used = {0};

    if (now->cpu_seconds > before->cpu_seconds)
        used.cpu_seconds = now->cpu_seconds - before->cpu_seconds;
    if (now->n_switches > before->n_switches)
        used.n_switches = now->n_switches - before->n_switches;
    return used;
}

void round_begins(struct round_report *report)
{
    static const int whose[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
    struct rusage used;

    report->used = (struct round_used){0};
    for (size_t i = 0; i < sizeof whose / sizeof whose[0]; i++)
        if (getrusage(whose[i], &used) == 0)
            add_used(&report->used, &used);
}

/* The new process. Nobody else is to write the report: not its workers, nor what a task
 * forks. */
static _Noreturn void run_in_child(const struct rounds *r, pid_t parent,
                                   int (*body)(void *ctx,
                                               struct round_report *report),
                                   void *ctx)
{
    struct mu_error err = {0};
    int rc;

    (void)madvise(r->shared, sizeof *r->shared, MADV_DONTFORK);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(SAY_EXIT_OTHER);
    (void)sigprocmask(SIG_SETMASK, &r->before, NULL);
    rc = mu_init(&err);
    rc = rc < 0 ? say_refuse("%s", err.text) : body(ctx, r->shared);
    r->shared->is_whole = rc == 0;
    r->shared->is_refused = rc != 0;
    exit(rc ? SAY_EXIT_OTHER : 0); // NOLINT(concurrency-mt-unsafe): as main()
}

/* Returns the signal that came, or 0. */
static int await_signal(const struct rounds *r)
{
    int64_t deadline = r->look ? r->look(r->ctx) : MU_NEVER;
    int64_t ns = deadline == MU_NEVER ? NS_PER_S : deadline - mu_now_ns();
    struct timespec wait = {0};
    int signal;

    if (ns > 0)
        wait = (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S),
                                 .tv_nsec = (long)(ns % NS_PER_S)};
    signal = deadline == MU_NEVER ? sigwaitinfo(&r->heard, NULL)
                                  : sigtimedwait(&r->heard, NULL, &wait);
    return signal < 0 ? 0 : signal;
}

/* A terminal sends its signal to the run too, which may have ended of it first. */
static void heed_pending(struct rounds *r)
{
    static const struct timespec now = {0};
    sigset_t heard = r->heard;
    int signal;

    (void)sigdelset(&heard, SIGCHLD);
    signal = sigtimedwait(&heard, NULL, &now);
    if (signal > 0)
        r->signal = signal;
}

static int await_end(struct rounds *r, pid_t pid, int *ret_status,
                     struct rusage *ret_used)
{
    for (;;) {
        pid_t ended = wait4(pid, ret_status, WNOHANG, ret_used);
        int signal;

        if (ended == pid) {
            heed_pending(r);
            return 0;
        }
        if (ended < 0 && errno != EINTR)
            return say_refuse("cannot wait for a run: %s", say_reason(errno));
        signal = await_signal(r);
        if (signal == 0 || signal == SIGCHLD)
            continue;
        r->signal = signal;
        (void)kill(pid, SIGKILL);
    }
}

/* How it ended, from its status. */
static enum round_end judge(struct round_report *report, int status)
{
    const char *name = NULL;

    report->model[sizeof report->model - 1] = '\0';
    report->words[sizeof report->words - 1] = '\0';
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && report->is_whole)
        return ROUND_WHOLE;
    if (report->words[0])
        return ROUND_BROKE;
    if (report->is_refused)
        return ROUND_REFUSED;
    if (WIFSIGNALED(status))
        name = sigabbrev_np(WTERMSIG(status));
    if (name)
        (void)snprintf(report->words, sizeof report->words, "SIG%s ended it",
                       name);
    else
        (void)snprintf(report->words, sizeof report->words,
                       WIFSIGNALED(status) ? "signal %d ended it"
                                           : "it ended with status %d",
                       WIFSIGNALED(status) ? WTERMSIG(status)
                                           : WEXITSTATUS(status));
    return ROUND_BROKE;
}

enum round_end round_run(struct rounds *r,
                         int (*body)(void *ctx, struct round_report *report),
                         void *ctx, struct round_report *ret_report)
{
    const pid_t parent = getpid();
    struct round_used used = {0};
    struct rusage all;
    int status;
    pid_t pid;

    *r->shared = (struct round_report){0};
    pid = fork();
    if (pid == 0)
        run_in_child(r, parent, body, ctx);
    if (pid < 0) {
        say("cannot start a process: %s", say_reason(errno));
        return ROUND_REFUSED;
    }
    if (await_end(r, pid, &status, &all) < 0)
        return ROUND_REFUSED;
    *ret_report = *r->shared;
    if (r->signal)
        return ROUND_INTERRUPTED;
    add_used(&used, &all);
    ret_report->used = used_since(&ret_report->used, &used);
    return judge(ret_report, status);
}
