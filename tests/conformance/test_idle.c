/* test_idle.c: a pool with nothing to do uses no CPU: its threads and workers sleep,
 * and nothing wakes them. */
#include <dirent.h>
#include <stdbool.h>
#include <time.h>

#include "conformance/models.h"
#include "support/check.h"

enum { WORKERS_MAX = 8 };

/* Add how often a thread has gone to sleep. Whether it sleeps now. */
static bool look_at_thread(const char *pid, const char *tid, long *n_sleeps)
{
    char path[600];
    char line[256];
    char state = '\0';
    long n = 0;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%s/task/%s/status", pid, tid);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        (void)sscanf(line, "State: %c", &state);
        if (sscanf(line, "voluntary_ctxt_switches: %ld", &n) == 1)
            *n_sleeps += n;
    }
    if (file)
        (void)fclose(file);
    return state == 'S';
}

/* The same for all threads of a process but its first, which may be ours. */
static bool look_at_process(const char *pid, bool but_first, long *n_sleeps)
{
    char path[64];
    struct dirent *entry;
    bool asleep = true;
    DIR *dir;

    (void)snprintf(path, sizeof path, "/proc/%s/task", pid);
    dir = opendir(path);
    while (dir && (entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.' &&
            !(but_first && atoi(entry->d_name) == getpid()))
            asleep &= look_at_thread(pid, entry->d_name, n_sleeps);
    if (dir)
        (void)closedir(dir);
    return asleep;
}

static bool look(struct mu_pool *pool, long *n_sleeps)
{
    int pids[WORKERS_MAX];
    size_t n = mu_pool_pids(pool, pids, WORKERS_MAX);
    bool asleep;
    char pid[16];

    *n_sleeps = 0;
    asleep = look_at_process("self", true, n_sleeps);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(pid, sizeof pid, "%d", pids[i]);
        asleep &= look_at_process(pid, false, n_sleeps);
    }
    return asleep;
}

/* From some time on: what follows the last task takes some, and more on a busy machine. */
static void idle_pool_sleeps(void **state)
{
    const struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
    const int64_t end = test_deadline();
    struct mu_pool *pool = models_open(state, NULL);
    long before;
    long after;
    bool asleep;

    for (int i = 0; i < 100; i++)
        assert_int_equal(mu_pool_submit(pool, models_echo, "x", 1, NULL, NULL),
                         0);
    for (int i = 0; i < 100; i++)
        mu_outcome_free(test_take(pool));
    do {
        assert_true(mu_now_ns() < end);
        asleep = look(pool, &before);
        (void)nanosleep(&pause, NULL);
        asleep &= look(pool, &after);
    } while (!asleep || after != before);
    mu_pool_close(pool);
}

int main(void)
{
    const struct model_test tests[] = {MODEL_TEST(idle_pool_sleeps)};

#if defined(__has_feature)
#    if __has_feature(thread_sanitizer)
    return 0; /* its runtime has a thread that wakes up, and lets none sleep for long */
#    endif
#endif
    if (mu_init(NULL) != 0)
        return 1;
    return models_run(tests, sizeof tests / sizeof *tests);
}
