/* watch.c: a run as it is seen from beside it, read from /proc. */
#include "watch.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "muster/map.h"
#include "muster/pool.h"

#include "say.h"
#include "text.h"

enum { PIDS_MAX = 4096, TASKS_MAX = 4096, FILE_BYTES = 4096 };
#define LOOK_NS  (INT64_C(50) * 1000 * 1000)
#define NS_PER_S INT64_C(1000000000)

/* A task that ran at two looks. */
struct seen {
    uint64_t tag;
    int64_t since_ns; /* the first of them */
};

struct watch {
    struct mu_pool *pool;
    struct watch_limit limit;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ends;
    int has_ended;       /* under lock */
    uint64_t peak_bytes; /* of the thread, as all below */
    unsigned n_looks;    /* while tasks ran */
    int pids[PIDS_MAX];
    uint64_t tags[TASKS_MAX];
    struct seen seen[2][TASKS_MAX]; /* at the look before, and at this one */
    size_t n_seen[2];
    unsigned at; /* which of the two is this one */
};

static uint64_t pss_of(const char *path)
{
    static const char name[] = "\nPss:";
    char text[FILE_BYTES];
    const char *at;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return 0;
    n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    at = strstr(text, name);
    return at ? strtoull(at + sizeof name - 1, NULL, 10) * 1024 : 0;
}

static void look_at_memory(struct watch *w)
{
    size_t n = mu_pool_pids(w->pool, w->pids, PIDS_MAX);
    uint64_t bytes = pss_of("/proc/self/smaps_rollup");

    for (size_t i = 0; i < n && i < PIDS_MAX; i++) {
        char path[64];

        (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", w->pids[i]);
        bytes += pss_of(path);
    }
    if (bytes > w->peak_bytes)
        w->peak_bytes = bytes;
}

/* Since when that task has run, for all that is known of it. */
static int64_t seen_since(const struct watch *w, uint64_t tag, int64_t now)
{
    const struct seen *before = w->seen[!w->at];

    for (size_t i = 0; i < w->n_seen[!w->at]; i++)
        if (before[i].tag == tag)
            return before[i].since_ns;
    return now;
}

static void tell(const struct watch *w, uint64_t tag)
{
    char task[32] = "a step of --reduce";

    if (tag < MU_REDUCE_TAGS)
        (void)snprintf(task, sizeof task, "input %llu",
                       (unsigned long long)tag);
    (void)snprintf(w->limit.words, w->limit.size, "%s did not end within %g s",
                   task, (double)w->limit.timeout_ns / NS_PER_S);
}

static void look_at_tasks(struct watch *w)
{
    int64_t now = mu_now_ns();
    int own;
    size_t n;

    if (!w->limit.timeout_ns)
        return;
    w->at = !w->at;
    n = mu_pool_running(w->pool, w->tags, TASKS_MAX, &own);
    w->n_seen[w->at] = n;
    for (size_t i = 0; i < n; i++) {
        int64_t since = seen_since(w, w->tags[i], now);

        w->seen[w->at][i] = (struct seen){w->tags[i], since};
        if (now - since < w->limit.timeout_ns)
            continue;
        tell(w, w->tags[i]);
        _exit(SAY_EXIT_OTHER);
    }
}

/* Returns whether the run has ended. */
static int pause_between_looks(struct watch *w)
{
    struct timespec until;
    int has_ended;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_NS;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_nsec -= NS_PER_S;
        until.tv_sec++;
    }
    (void)pthread_mutex_lock(&w->lock);
    if (!w->has_ended)
        (void)pthread_cond_timedwait(&w->ends, &w->lock, &until);
    has_ended = w->has_ended;
    (void)pthread_mutex_unlock(&w->lock);
    return has_ended;
}

static void *watch_main(void *arg)
{
    struct watch *w = arg;

    look_at_memory(w);
    while (!pause_between_looks(w)) {
        look_at_memory(w);
        look_at_tasks(w);
        w->n_looks++;
    }
    return NULL;
}

/* Signals are for the other threads. */
static int start_thread(struct watch *w)
{
    sigset_t all;
    sigset_t before;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&w->thread, NULL, watch_main, w);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc ? say_refuse("cannot start a thread: %s", say_reason(rc)) : 0;
}

int watch_start(struct mu_pool *pool, const struct watch_limit *limit,
                struct watch **ret_watch)
{
    struct watch *w = text_alloc(1, sizeof *w);
    pthread_condattr_t attr;

    w->pool = pool;
    w->limit = *limit;
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w->ends, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (start_thread(w) < 0) {
        free(w);
        return -1;
    }
    *ret_watch = w;
    return 0;
}

uint64_t watch_stop(struct watch *w)
{
    uint64_t bytes;

    if (!w)
        return 0;
    (void)pthread_mutex_lock(&w->lock);
    w->has_ended = 1;
    (void)pthread_cond_signal(&w->ends);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    look_at_memory(w);
    bytes = w->n_looks ? w->peak_bytes : 0;
    (void)pthread_mutex_destroy(&w->lock);
    (void)pthread_cond_destroy(&w->ends);
    free(w);
    return bytes;
}
