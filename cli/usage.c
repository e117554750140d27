/* usage.c: what a pool costs, read from /proc. */
#include "usage.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "muster/pool.h"

#include "text.h"

enum { PIDS_MAX = 4096, LINE_BYTES = 512, STAT_COLUMN_CUTIME = 16 };
#define SAMPLE_NS (INT64_C(50) * 1000 * 1000)
#define NS_PER_S  INT64_C(1000000000)

struct counters {
    double cpu_seconds;
    uint64_t n_switches;
};

struct usage {
    struct mu_pool *pool;
    struct counters before;
    pthread_t sampler;
    pthread_mutex_t lock;
    pthread_cond_t ends;
    int has_ended;       /* under lock */
    uint64_t peak_bytes; /* sampler; the stopper once that has been joined */
    int pids[PIDS_MAX];  /* sampler, then stopper */
};

/* Call `visit` with each line of a file of /proc; nothing when it is gone. */
static void each_line(const char *path, void (*visit)(void *, const char *),
                      void *ctx)
{
    char line[LINE_BYTES];
    FILE *f = fopen(path, "re");

    if (!f)
        return;
    while (fgets(line, sizeof line, f))
        visit(ctx, line);
    (void)fclose(f);
}

static void add_pss(void *ctx, const char *line)
{
    uint64_t *bytes = ctx;

    if (strncmp(line, "Pss:", 4) == 0)
        *bytes += strtoull(line + 4, NULL, 10) * 1024;
}

static uint64_t pss_of_all(struct usage *u)
{
    size_t n = mu_pool_pids(u->pool, u->pids, PIDS_MAX);
    uint64_t bytes = 0;

    each_line("/proc/self/smaps_rollup", add_pss, &bytes);
    for (size_t i = 0; i < n && i < PIDS_MAX; i++) {
        char path[64];

        (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", u->pids[i]);
        each_line(path, add_pss, &bytes);
    }
    return bytes;
}

static void add_run_time(void *ctx, const char *line)
{
    struct counters *c = ctx;

    c->cpu_seconds += (double)strtoull(line, NULL, 10) / 1e9;
}

static void add_switches(void *ctx, const char *line)
{
    struct counters *c = ctx;
    const char *colon = strchr(line, ':');

    if (colon && strstr(line, "voluntary_ctxt_switches"))
        c->n_switches += strtoull(colon + 1, NULL, 10);
}

/* The CPU time of children that ended: columns 16 and 17, counted behind the name
 * in parentheses, which may hold blanks. */
static void add_children(void *ctx, const char *line)
{
    struct counters *c = ctx;
    const char *at = strrchr(line, ')');
    double ticks = 0;

    for (int column = 3; at && column <= STAT_COLUMN_CUTIME + 1; column++) {
        at = strchr(at + 1, ' ');
        if (at && column >= STAT_COLUMN_CUTIME)
            ticks += strtod(at, NULL);
    }
    c->cpu_seconds += ticks / (double)sysconf(_SC_CLK_TCK);
}

/* A worker process, with the precise clocks of its threads. */
static void add_process(struct counters *c, int pid)
{
    char path[320];
    const struct dirent *entry;
    DIR *tasks;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    each_line(path, add_children, c);
    (void)snprintf(path, sizeof path, "/proc/%d/task", pid);
    tasks = opendir(path);
    if (!tasks)
        return;
    while ((entry = readdir(tasks))) { // NOLINT(concurrency-mt-unsafe): own DIR
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid,
                       entry->d_name);
        each_line(path, add_run_time, c);
        (void)snprintf(path, sizeof path, "/proc/%d/task/%s/status", pid,
                       entry->d_name);
        each_line(path, add_switches, c);
    }
    (void)closedir(tasks);
}

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void add_rusage(struct counters *c, int who)
{
    struct rusage r;

    if (getrusage(who, &r) < 0)
        return;
    c->cpu_seconds += seconds_of(r.ru_utime) + seconds_of(r.ru_stime);
    c->n_switches += (uint64_t)r.ru_nvcsw + (uint64_t)r.ru_nivcsw;
}

static struct counters count(struct usage *u)
{
    struct counters c = {0};
    size_t n = mu_pool_pids(u->pool, u->pids, PIDS_MAX);

    add_rusage(&c, RUSAGE_SELF);
    add_rusage(&c, RUSAGE_CHILDREN);
    for (size_t i = 0; i < n && i < PIDS_MAX; i++)
        add_process(&c, u->pids[i]);
    return c;
}

static void *sampler_main(void *arg)
{
    struct usage *u = arg;
    int has_ended = 0;

    while (!has_ended) {
        uint64_t bytes = pss_of_all(u);
        struct timespec until;

        if (bytes > u->peak_bytes)
            u->peak_bytes = bytes;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += SAMPLE_NS;
        if (until.tv_nsec >= NS_PER_S) {
            until.tv_nsec -= NS_PER_S;
            until.tv_sec++;
        }
        (void)pthread_mutex_lock(&u->lock);
        if (!u->has_ended)
            (void)pthread_cond_timedwait(&u->ends, &u->lock, &until);
        has_ended = u->has_ended;
        (void)pthread_mutex_unlock(&u->lock);
    }
    return NULL;
}

struct usage *usage_start(struct mu_pool *pool)
{
    struct usage *u = text_alloc(1, sizeof *u);
    pthread_condattr_t attr;
    sigset_t all;
    sigset_t before;
    int rc;

    u->pool = pool;
    u->before = count(u);
    (void)pthread_mutex_init(&u->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&u->ends, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&u->sampler, NULL, sampler_main, u);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc) {
        free(u);
        return NULL;
    }
    return u;
}

void usage_stop(struct usage *u, struct usage_figures *ret_figures)
{
    struct counters after;
    uint64_t bytes;

    *ret_figures = (struct usage_figures){0};
    if (!u)
        return;
    (void)pthread_mutex_lock(&u->lock);
    u->has_ended = 1;
    (void)pthread_cond_signal(&u->ends);
    (void)pthread_mutex_unlock(&u->lock);
    (void)pthread_join(u->sampler, NULL);

    after = count(u);
    bytes = pss_of_all(u);
    if (bytes > u->peak_bytes)
        u->peak_bytes = bytes;
    /* a worker that was replaced took its counters with it */
    if (after.cpu_seconds > u->before.cpu_seconds)
        ret_figures->cpu_seconds = after.cpu_seconds - u->before.cpu_seconds;
    if (after.n_switches > u->before.n_switches)
        ret_figures->n_switches = after.n_switches - u->before.n_switches;
    ret_figures->peak_bytes = u->peak_bytes;
    (void)pthread_mutex_destroy(&u->lock);
    (void)pthread_cond_destroy(&u->ends);
    free(u);
}
