/* test_idle.c: a pool with nothing to do uses no CPU: each of its threads and processes
 * sleeps in a call that has no timeout, and none has set a timer. So nothing in it will
 * ever wake it, however long one watched. */
#include <dirent.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>

#include "conformance/models.h"

enum { WORKERS_MAX = 8, CALL_ARGS = 6 };

/* Calls in which a thread may sleep, and which of their arguments says for how long. */
static const struct {
    long number;
    int arg;            /* -1: it has none */
    unsigned long ever; /* what it has to be for a sleep without end */
} sleeps[] = {
    {SYS_futex, 3, 0},
#ifdef SYS_poll /* newer processors have the next two alone */
    {SYS_epoll_wait, 3, UINT32_MAX},
    {SYS_poll, 2, UINT32_MAX},
#endif
    {SYS_epoll_pwait, 3, UINT32_MAX},
    {SYS_ppoll, 2, 0},
    {SYS_recvmsg, -1, 0},
    {SYS_rt_sigtimedwait, 2, 0},
    {SYS_read, -1, 0},
    {SYS_wait4, -1, 0},
    {SYS_waitid, -1, 0},
    {449, 3, 0}, /* futex_waitv, not in every header */
};

/* Whether it sleeps, and for ever; why not is written to `why`. */
static bool sleeps_for_ever(const char *pid, const char *tid, char why[256])
{
    unsigned long args[CALL_ARGS] = {0};
    char path[600];
    char line[256] = "";
    long number = -1;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%s/task/%s/syscall", pid, tid);
    file = fopen(path, "re");
    if (file && !fgets(line, sizeof line, file))
        line[0] = '\0';
    if (file)
        (void)fclose(file);
    (void)snprintf(why, 256, "thread %s of %s: %s", tid, pid, line);
    if (sscanf(line, "%ld %lx %lx %lx %lx %lx %lx", &number, &args[0], &args[1],
               &args[2], &args[3], &args[4], &args[5]) != 1 + CALL_ARGS)
        return false; /* "running" */
    for (size_t i = 0; i < sizeof sleeps / sizeof *sleeps; i++)
        if (sleeps[i].number == number)
            return sleeps[i].arg < 0 || args[sleeps[i].arg] == sleeps[i].ever;
    return false;
}

/* Whether no timer that its descriptors name will go off. */
static bool has_no_timer(const char *pid, char why[256])
{
    struct dirent *entry;
    bool has_none = true;
    char path[600];
    DIR *dir;

    (void)snprintf(path, sizeof path, "/proc/%s/fdinfo", pid);
    dir = opendir(path);
    while (dir && has_none && (entry = readdir(dir)) != NULL) {
        char line[200];
        FILE *file;

        (void)snprintf(path, sizeof path, "/proc/%s/fdinfo/%s", pid,
                       entry->d_name);
        file = fopen(path, "re");
        while (file && fgets(line, sizeof line, file))
            has_none &= strncmp(line, "it_value:", 9) != 0 ||
                        strcmp(line, "it_value: (0, 0)\n") == 0;
        if (file)
            (void)fclose(file);
        (void)snprintf(why, 256, "descriptor %.20s of %s is a timer",
                       entry->d_name, pid);
    }
    if (dir)
        (void)closedir(dir);
    return has_none;
}

/* How often a thread has gone to sleep. */
static unsigned long count_sleeps(const char *pid, const char *tid)
{
    unsigned long n = 0;
    char path[600];
    char line[256];
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%s/task/%s/status", pid, tid);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        (void)sscanf(line, "voluntary_ctxt_switches: %lu", &n);
    if (file)
        (void)fclose(file);
    return n;
}

/* What was looked at. */
struct look {
    unsigned n_threads;
    unsigned long n_sleeps; /* of all of them */
    char why[256];          /* somebody is awake, or will be */
};

/* All threads of a process but the one that looks. */
static bool process_sleeps(pid_t process, struct look *look)
{
    struct dirent *entry;
    bool asleep = true;
    char pid[16];
    char path[64];
    DIR *dir;

    (void)snprintf(pid, sizeof pid, "%d", (int)process);
    (void)snprintf(path, sizeof path, "/proc/%s/task", pid);
    dir = opendir(path);
    while (dir && asleep && (entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != getpid()) {
            asleep = sleeps_for_ever(pid, entry->d_name, look->why);
            look->n_sleeps += count_sleeps(pid, entry->d_name);
            look->n_threads++;
        }
    if (dir)
        (void)closedir(dir);
    return asleep && has_no_timer(pid, look->why);
}

static pid_t parent_of(pid_t process)
{
    char path[64];
    char line[256];
    int parent = 0;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)process);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        (void)sscanf(line, "PPid: %d", &parent);
    if (file)
        (void)fclose(file);
    return parent;
}

/* This process, the workers, and what stands between: nursery and guardian. */
static bool pool_sleeps(struct mu_pool *pool, struct look *look)
{
    int pids[WORKERS_MAX];
    size_t n = mu_pool_pids(pool, pids, WORKERS_MAX);
    bool asleep;

    *look = (struct look){.n_threads = 0};
    asleep = process_sleeps(getpid(), look);
    for (size_t i = 0; i < n && asleep; i++)
        asleep = process_sleeps(pids[i], look);
    for (pid_t at = n > 0 ? parent_of(pids[0]) : 0;
         asleep && at > 1 && at != getpid(); at = parent_of(at))
        asleep = process_sleeps(at, look);
    return asleep;
}

/* From some time on: what follows the last task takes some, and more on a busy machine.
 * Between two looks that see the same, all of them sleep at once. */
static void idle_pool_sleeps_for_ever(void **state)
{
    const int64_t end = test_deadline();
    struct mu_pool *pool = models_open(state, NULL);
    struct look first;
    struct look second = {.n_threads = 0};

    if (access("/proc/self/syscall", R_OK) != 0) {
        print_message("/proc/self/syscall is not here, or not for us\n");
        skip();
    }
    for (int i = 0; i < 100; i++)
        assert_int_equal(mu_pool_submit(pool, models_echo, "x", 1, NULL, NULL),
                         0);
    for (int i = 0; i < 100; i++)
        mu_outcome_free(test_take(pool));
    while (!pool_sleeps(pool, &first) || !pool_sleeps(pool, &second) ||
           first.n_sleeps != second.n_sleeps) {
        if (mu_now_ns() > end)
            fail_msg("%s, or %s", first.why, second.why);
        (void)sched_yield();
    }
    assert_true(first.n_threads >= models_width(state, pool));
    mu_pool_close(pool);
}

int main(void)
{
    const struct model_test tests[] = {MODEL_TEST(idle_pool_sleeps_for_ever)};

#if defined(__has_feature)
#    if __has_feature(thread_sanitizer)
    return 0; /* its runtime has a thread that wakes up, and lets none sleep for long */
#    endif
#endif
    if (mu_init(NULL) != 0)
        return 1;
    return models_run(tests, sizeof tests / sizeof *tests);
}
