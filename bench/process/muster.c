/* muster.c: muster at the works of the suite `process`. Prints one figure.
 * Usage: muster WORK [MODEL] */
#include "muster/muster.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

/* In memory that every process of this program shares. */
static struct {
    _Atomic int64_t crash_ns;
    _Atomic int64_t next_ns;
    _Alignas(64) _Atomic unsigned there;
    _Alignas(64) _Atomic unsigned back;
} * shared;

static void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void must(int rc)
{
    if (rc == 0)
        return;
    (void)fprintf(stderr, "%s\n", mu_status_text(rc));
    exit(1);
}

static struct mu_pool *open_pool(const char *model)
{
    struct mu_pool *pool;

    must(mu_pool_open(model, NULL, &pool, NULL));
    return pool;
}

static enum mu_status take(struct mu_pool *pool)
{
    struct mu_outcome *o;
    enum mu_status status;

    must(mu_pool_next(pool, MU_NEVER, &o));
    status = o->status;
    mu_outcome_free(o);
    return status;
}

/* -- tasks -- */

static int nothing(struct mu_task *task)
{
    (void)task;
    return 0;
}

static int call_kernel(struct mu_task *task)
{
    (void)task;
    (void)getppid();
    return 0;
}

static int touch(struct mu_task *task)
{
    size_t size;
    const volatile char *input = mu_task_input(task, &size);

    return size ? input[0] & 0 : 0;
}

static int echo(struct mu_task *task)
{
    size_t size;
    const void *input = mu_task_input(task, &size);

    return mu_task_write(task, input, size);
}

static int *volatile nowhere; /* NULL */

static int crash(struct mu_task *task)
{
    size_t size;
    const size_t *bytes = mu_task_input(task, &size);

    if (size && *bytes)
        memset(malloc(*bytes), 1, *bytes);
    atomic_store_explicit(&shared->crash_ns, mu_now_ns(), memory_order_relaxed);
    *(volatile int *)nowhere = 1;
    return 0;
}

static int nap(struct mu_task *task)
{
    (void)task;
    return usleep(10000);
}

static int note_time(struct mu_task *task)
{
    (void)task;
    atomic_store_explicit(&shared->next_ns, mu_now_ns(), memory_order_relaxed);
    return 0;
}

/* Send a cache line back as often as the input says. */
static int send_back(struct mu_task *task)
{
    unsigned n = *(const unsigned *)mu_task_input(task, NULL);

    for (unsigned i = 1; i <= n; i++) {
        while (atomic_load_explicit(&shared->there, memory_order_acquire) != i)
            pause_cpu();
        atomic_store_explicit(&shared->back, i, memory_order_release);
    }
    return 0;
}

/* For orphans.c: says that it has begun, and goes on until it is killed. */
static int busy(struct mu_task *task)
{
    (void)task;
    (void)!write(STDOUT_FILENO, "b", 1);
    while (atomic_load_explicit(&shared->next_ns, memory_order_relaxed) == 0)
        continue;
    return 0;
}

static int crash_if_told(struct mu_task *task)
{
    const char *told = mu_task_input(task, NULL);

    if (*told)
        (void)raise(SIGSEGV);
    return 0;
}

/* -- works -- */

/* n empty tasks, one after the other, behind some that warm up. */
static double round_trips_ns(struct mu_pool *pool, int n_before, int n)
{
    int64_t begin = 0;

    for (int i = -n_before; i < n; i++) {
        if (i == 0)
            begin = bench_now_ns();
        must(mu_pool_submit(pool, nothing, NULL, 0, NULL, NULL));
        (void)take(pool);
    }
    return (double)(bench_now_ns() - begin) / n;
}

static double round_trip_us(const char *model)
{
    return round_trips_ns(open_pool(model), 1000, 50000) / 1e3;
}

/* A cache line there and back between caller and worker, wherever they run just now. */
static double line_ns(struct mu_pool *pool, unsigned n)
{
    int64_t begin = 0;
    double ns;

    atomic_store(&shared->there, 0);
    atomic_store(&shared->back, 0);
    must(mu_pool_submit(pool, send_back, &n, sizeof n, NULL, NULL));
    for (unsigned i = 1; i <= n; i++) {
        atomic_store_explicit(&shared->there, i, memory_order_release);
        while (atomic_load_explicit(&shared->back, memory_order_acquire) != i)
            pause_cpu();
        if (i == 1) /* it has begun */
            begin = bench_now_ns();
    }
    ns = (double)(bench_now_ns() - begin) / (n - 1);
    (void)take(pool);
    return ns;
}

/* How many times a cache line could go there and back meanwhile: between the same two CPUs, a
 * moment later, for how long it takes depends on which they are. */
static double round_trip_lines(const char *model)
{
    enum { N = 200, TRIPS = 300, WARM = 100 };
    struct mu_pool *pool = open_pool(model);
    double lines[N];

    for (int i = 0; i < N; i++)
        lines[i] = round_trips_ns(pool, WARM, TRIPS) / line_ns(pool, TRIPS);
    return bench_median(lines, N);
}

struct feed {
    const char *input;
    size_t size;
    unsigned flags;
    unsigned n;
    unsigned every; /* a task that is told to crash; 0: none */
    unsigned i;
    unsigned n_done;
    struct mu_pool *pool;
};

static int feed_next(void *ctx, struct mu_span *ret_input,
                     struct mu_submit *ret_how)
{
    struct feed *f = ctx;
    static char told[16];

    if (f->i == f->n)
        return MU_EMPTY;
    f->i++;
    *ret_input = (struct mu_span){f->input, f->size};
    ret_how->flags = f->flags;
    told[0] = f->every && f->i % f->every == 0;
    if (!f->input)
        ret_input->data = told;
    return 0;
}

static int feed_outcome(void *ctx, const struct mu_outcome *outcome)
{
    struct feed *f = ctx;

    f->n_done += outcome->status == MU_DONE;
    return 0;
}

static double run_feed_s(const char *model, mu_task_fn fn, struct feed feed)
{
    struct mu_pool *pool = feed.pool ? feed.pool : open_pool(model);
    struct feed warm = feed;
    int64_t begin;
    int64_t end;

    warm.n = warm.n < 10000 ? warm.n : 10000;
    warm.every = 0;
    must(mu_map(pool, fn, 0, feed_next, feed_outcome, &warm, NULL));
    begin = bench_now_ns();
    must(mu_map(pool, fn, 0, feed_next, feed_outcome, &feed, NULL));
    end = bench_now_ns();
    mu_pool_close(pool);
    return (double)(end - begin) / 1e9;
}

/* Empty tasks in batches, with at most WINDOW under way. */
static void run_batches(struct mu_pool *pool, mu_task_fn fn, size_t n_tasks)
{
    enum { BATCH = 64, WINDOW = 1024 };
    const struct mu_submit how = {.flags = MU_SUBMIT_NO_WAIT};
    struct mu_outcome *outcomes[BATCH];
    struct mu_span spans[BATCH];
    char input[16] = "";
    size_t n_sent = 0;
    size_t n;

    for (size_t i = 0; i < BATCH; i++)
        spans[i] = (struct mu_span){input, sizeof input};
    for (size_t n_taken = 0; n_taken < n_tasks; n_taken += n) {
        while (n_sent < n_tasks && n_sent - n_taken <= WINDOW - BATCH) {
            size_t left = n_tasks - n_sent;
            int rc = mu_pool_submit_many(pool, fn, spans,
                                         left < BATCH ? left : BATCH, &how, &n);

            n_sent += n;
            if (rc == MU_FULL)
                break;
            must(rc);
        }
        must(mu_pool_next_many(pool, MU_NEVER, outcomes, BATCH, &n));
        for (size_t i = 0; i < n; i++) {
            if (outcomes[i]->status != MU_DONE)
                exit(1);
        }
        mu_outcome_free_many(outcomes, n);
    }
}

/* In M/s. */
static double rate(const char *model)
{
    enum { N = 1000000, WARM = 50000 };
    struct mu_pool *pool = open_pool(model);
    int64_t begin;

    run_batches(pool, nothing, WARM);
    begin = bench_now_ns();
    run_batches(pool, nothing, N);
    return N / ((double)(bench_now_ns() - begin) / 1e9) / 1e6;
}

/* What a task takes, in us, where none sees what another changed of its process. */
static double strict_us(const char *model, mu_task_fn fn, size_t n)
{
    const struct mu_pool_options options = {.strict = 1};
    struct mu_pool *pool;
    int64_t begin;

    must(mu_pool_open(model, &options, &pool, NULL));
    run_batches(pool, fn, n / 20);
    begin = bench_now_ns();
    run_batches(pool, fn, n);
    return (double)(bench_now_ns() - begin) / (double)n / 1e3;
}

/* The same one by one, by mu_map(), outcomes in order. */
static double map_rate(const char *model)
{
    return 1.0 /
           run_feed_s(model, nothing, (struct feed){.size = 16, .n = 1000000});
}

static double crashes_s(const char *model, unsigned every)
{
    return run_feed_s(model, crash_if_told,
                      (struct feed){.size = 16, .n = 1000000, .every = every});
}

/* Rate of tasks whose input lies in shared memory, in thousands a second. */
static double borrowed(const char *model, size_t size)
{
    enum { N = 300000 };
    struct mu_pool *pool = open_pool(model);
    char *input = mu_pool_alloc(pool, size);

    memset(input, 1, size);
    return N / 1e3 /
           run_feed_s(model, touch,
                      (struct feed){.input = input,
                                    .size = size,
                                    .flags = MU_SUBMIT_BORROW,
                                    .n = N,
                                    .pool = pool});
}

/* GB/s of payload copied in and out: what is copied twice counts twice. */
static double copied(const char *model, size_t size)
{
    unsigned n = (unsigned)((512 << 20) / size);
    char *input = malloc(size);

    memset(input, 1, size);
    return (double)size * n * 2 / 1e9 /
           run_feed_s(model, echo,
                      (struct feed){.input = input, .size = size, .n = n});
}

static double open_ms(size_t ballast)
{
    int64_t begin;

    if (ballast)
        memset(malloc(ballast), 1, ballast);
    begin = bench_now_ns();
    (void)open_pool("processes:4");
    return (double)(bench_now_ns() - begin) / 1e6;
}

/* From the crash, in the dying worker, to the next task, in its replacement. */
static double hand_over_us(size_t bytes)
{
    enum { N = 9 };
    struct mu_pool *pool = open_pool("processes:1");
    double us[N];

    for (int i = 0; i < N; i++) {
        must(mu_pool_submit(pool, nothing, NULL, 0, NULL, NULL));
        (void)take(pool);
        (void)usleep(bytes ? 500000 : 50000); /* a spare is ready again */
        must(mu_pool_submit(pool, crash, &bytes, sizeof bytes, NULL, NULL));
        must(mu_pool_submit(pool, note_time, NULL, 0, NULL, NULL));
        (void)take(pool);
        (void)take(pool);
        us[i] = (double)(atomic_load(&shared->next_ns) -
                         atomic_load(&shared->crash_ns)) /
                1e3;
    }
    return bench_median(us, N);
}

/* -- idle -- */

static long read_number(const char *path, const char *key)
{
    char line[256];
    FILE *file = fopen(path, "r");
    long sum = 0;

    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0)
            sum += strtol(line + strlen(key), NULL, 10);
    if (file)
        (void)fclose(file);
    return sum;
}

/* Unique memory of an idle worker that has run tasks, KiB. */
static double idle_uss_kib(void)
{
    struct mu_pool *pool = open_pool("processes:4");
    char path[64];
    int pids[4];
    double kib = 0;

    /* tasks may be done before the last worker is up */
    do {
        for (int i = 0; i < 10000; i++)
            must(mu_pool_submit(pool, nothing, NULL, 0, NULL, NULL));
        for (int i = 0; i < 10000; i++)
            (void)take(pool);
    } while (mu_pool_pids(pool, pids, 4) != 4);
    for (int i = 0; i < 4; i++) {
        double own;

        (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pids[i]);
        own = (double)(read_number(path, "Private_Clean:") +
                       read_number(path, "Private_Dirty:"));
        kib = own > kib ? own : kib;
    }
    return kib;
}

/* CPU time, ns, of a process, or of all threads of this one but the caller, and of
 * what descends from it: guardian, nursery, workers and spares. */
static long long family_cpu_ns(int pid)
{
    char path[64];
    long long sum = 0;
    struct dirent *entry;
    DIR *tasks;

    (void)snprintf(path, sizeof path, "/proc/%d/task", pid);
    tasks = opendir(path);
    while (tasks && (entry = readdir(tasks)) != NULL) {
        int tid = atoi(entry->d_name);
        long long ns;
        FILE *file;
        int child;

        if (tid <= 0)
            continue;
        (void)snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", pid,
                       tid);
        file = fopen(path, "r");
        /* measuring costs the caller some */
        if (file && fscanf(file, "%lld", &ns) == 1 && tid != getpid())
            sum += ns;
        if (file)
            (void)fclose(file);
        (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid,
                       tid);
        file = fopen(path, "r");
        while (file && fscanf(file, "%d", &child) == 1)
            sum += family_cpu_ns(child);
        if (file)
            (void)fclose(file);
    }
    if (tasks)
        (void)closedir(tasks);
    return sum;
}

/* CPU time of all that belongs to a pool over 5 idle seconds, ms. The caller's is
 * that of its sleep, 0 when nothing wakes it. */
static double idle_cpu_ms(void)
{
    struct mu_pool *pool = open_pool("processes:4");
    long long before;

    must(mu_pool_submit(pool, nothing, NULL, 0, NULL, NULL));
    (void)take(pool);
    (void)usleep(100000);
    before = family_cpu_ns(getpid());
    (void)sleep(5);
    return (double)(family_cpu_ns(getpid()) - before) / 1e6;
}

/* Of 40 tasks, one of which crashes: those that do not end well. */
static double lost(const char *model)
{
    struct mu_pool *pool = open_pool(model);
    int n = 0;

    for (int i = 0; i < 40; i++)
        must(mu_pool_submit(pool, i == 20 ? crash : nap, NULL, 0, NULL, NULL));
    for (int i = 0; i < 40; i++)
        n += take(pool) != MU_DONE;
    return n;
}

/* For orphans.c: a supervisor to be killed. Returns what nobody reads. */
static double stay_busy(const char *model)
{
    struct mu_pool *pool = open_pool(model);

    for (int i = 0; i < 4; i++)
        must(mu_pool_submit(pool, busy, NULL, 0, NULL, NULL));
    return take(pool);
}

int main(int argc, char **argv)
{
    const char *work = argc > 1 ? argv[1] : "";
    const char *model = argc > 2 ? argv[2] : "processes:4";
    double figure;

    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(mu_init(NULL));
    if (strcmp(work, "round-trip") == 0)
        figure = round_trip_us(model);
    else if (strcmp(work, "round-trip-lines") == 0)
        figure = round_trip_lines(model);
    else if (strcmp(work, "rate") == 0)
        figure = rate(model);
    else if (strcmp(work, "map-rate") == 0)
        figure = map_rate(model);
    else if (strcmp(work, "strict") == 0)
        figure = strict_us(model, nothing, 300000);
    else if (strcmp(work, "strict-call") == 0)
        figure = strict_us(model, call_kernel, 20000);
    else if (strcmp(work, "borrowed-64") == 0)
        figure = borrowed(model, 64);
    else if (strcmp(work, "borrowed-64k") == 0)
        figure = borrowed(model, 64 << 10);
    else if (strcmp(work, "copied-4k") == 0)
        figure = copied(model, 4096);
    else if (strcmp(work, "copied-1m") == 0)
        figure = copied(model, 1 << 20);
    else if (strcmp(work, "open") == 0)
        figure = open_ms(0);
    else if (strcmp(work, "open-4g") == 0)
        figure = open_ms((size_t)4 << 30);
    else if (strcmp(work, "hand-over") == 0)
        figure = hand_over_us(0);
    else if (strcmp(work, "hand-over-1g") == 0)
        figure = hand_over_us((size_t)1 << 30);
    else if (strcmp(work, "no-crashes") == 0)
        figure = crashes_s(model, 0);
    else if (strcmp(work, "crashes") == 0)
        figure = crashes_s(model, 1000);
    else if (strcmp(work, "idle-uss") == 0)
        figure = idle_uss_kib();
    else if (strcmp(work, "idle-cpu") == 0)
        figure = idle_cpu_ms();
    else if (strcmp(work, "lost") == 0)
        figure = lost(model);
    else if (strcmp(work, "busy") == 0)
        figure = stay_busy(model);
    else
        return 2;
    (void)printf("%g\n", figure);
    return 0;
}
