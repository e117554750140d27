/* works.c: measure one work with one runtime: `team_RUNTIME WORK` prints a figure,
 * the median (crowded: the mean) of some repetitions, or exits with BENCH_SKIPPED. */
#include "works.h"

#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

enum { MOST_REPEATS = 2000 };
#define BUDGET_NS INT64_C(300000000)

typedef int64_t (*measure_fn)(const struct runtime *r, const void *arg);

static int n_threads = 4;
static int is_crowded; /* other programs or too many threads: see repeat() */
static volatile long sink; /* what a compiler must not throw away */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static double mean(const double *times, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += times[i];
    return sum / (double)n;
}

/* The median time of repetitions that take up the budget, 3 at least; the first, which
 * warms up, does not count unless it takes seconds. The mean where CPUs are fought for:
 * who waits for a thread that has lost its CPU does so for milliseconds, a few times,
 * and is done with hundreds of regions between; a median would hide just that. */
static double repeat(measure_fn measure, const struct runtime *r,
                     const void *arg)
{
    static double times[MOST_REPEATS];
    double first = (double)measure(r, arg);
    int64_t until = bench_now_ns() + BUDGET_NS;
    size_t n = 0;

    if (first > 5.0 * BUDGET_NS)
        return first;
    while (n < MOST_REPEATS && (n < 3 || bench_now_ns() < until))
        times[n++] = (double)measure(r, arg);
    if (is_crowded)
        return mean(times, n);
    qsort(times, n, sizeof times[0], compare);
    return times[n / 2];
}

/* ------------------------------------------------------------ fork and join */

static double n_forks(int n)
{
    double a = 1;
    double b = 1;

    for (int i = 0; i < n; i++) {
        double c = a + b;

        a = b;
        b = c;
    }
    return a - 1; /* fib(n + 1) - 1 */
}

static int64_t time_fib(const struct runtime *r, const void *arg)
{
    int64_t begin = bench_now_ns();

    sink = r->fib(*(const int *)arg);
    return bench_now_ns() - begin;
}

static int64_t time_serial_fib(const struct runtime *r, const void *arg)
{
    int64_t begin = bench_now_ns();

    (void)r;
    sink = serial_fib(*(const int *)arg);
    return bench_now_ns() - begin;
}

static int64_t time_calls_fib(const struct runtime *r, const void *arg)
{
    int64_t begin = bench_now_ns();

    (void)r;
    sink = calls_fib(*(const int *)arg);
    return bench_now_ns() - begin;
}

static int64_t time_tree(const struct runtime *r, const void *arg)
{
    int64_t begin = bench_now_ns();

    sink = r->tree_sum(arg);
    return bench_now_ns() - begin;
}

static int64_t time_serial_tree(const struct runtime *r, const void *arg)
{
    int64_t begin = bench_now_ns();

    (void)r;
    sink = serial_tree_sum(arg);
    return bench_now_ns() - begin;
}

static int64_t time_calls_tree(const struct runtime *r, const void *arg)
{
    int64_t begin = bench_now_ns();

    (void)r;
    sink = calls_tree_sum(arg);
    return bench_now_ns() - begin;
}

static int64_t time_queens(const struct runtime *r, const void *arg)
{
    int64_t begin = bench_now_ns();

    sink = r->queens(*(const int *)arg);
    return bench_now_ns() - begin;
}

static int64_t time_serial_queens(const struct runtime *r, const void *arg)
{
    int64_t begin = bench_now_ns();

    (void)r;
    sink = serial_queens(*(const int *)arg);
    return bench_now_ns() - begin;
}

static int64_t time_uts(const struct runtime *r, const void *arg)
{
    int64_t begin = bench_now_ns();

    (void)arg;
    sink = r->uts();
    if (sink != UTS_NODES) /* figures of another tree say nothing */
        exit(1);
    return bench_now_ns() - begin;
}

static int64_t time_serial_uts(const struct runtime *r, const void *arg)
{
    int64_t begin = bench_now_ns();

    (void)r;
    (void)arg;
    sink = serial_uts();
    if (sink != UTS_NODES)
        exit(1);
    return bench_now_ns() - begin;
}

static struct node *tree_build(struct node **next, int depth)
{
    struct node *node = (*next)++;

    node->value = depth;
    if (depth > 1) {
        node->left = tree_build(next, depth - 1);
        node->right = tree_build(next, depth - 1);
    }
    return node;
}

/* A complete tree of 2^depth - 1 nodes. */
static struct node *tree_new(int depth)
{
    struct node *nodes = calloc((size_t)1 << depth, sizeof *nodes);
    struct node *next = nodes;

    if (!nodes)
        exit(1);
    return tree_build(&next, depth);
}

/* ------------------------------------------------------------------- loops */

static void nothing(long i, void *arg)
{
    (void)i;
    (void)arg;
}

static void burn(int64_t ns)
{
    int64_t end = bench_now_ns() + ns;

    while (bench_now_ns() < end)
        ;
}

static void burn_chunk(long i, void *arg)
{
    (void)i;
    (void)arg;
    burn(10000);
}

static int64_t time_empty_loop(const struct runtime *r, const void *arg)
{
    enum { N = 100 };
    int64_t begin = bench_now_ns();

    (void)arg;
    for (int i = 0; i < N; i++)
        r->chunks(n_threads, nothing, NULL);
    return (bench_now_ns() - begin) / N;
}

static void sleep_ns(long ns)
{
    struct timespec ts = {.tv_nsec = ns};

    (void)nanosleep(&ts, NULL);
}

static int64_t time_loop_after_idle(const struct runtime *r, const void *arg)
{
    int64_t begin;

    (void)arg;
    sleep_ns(1000000);
    begin = bench_now_ns();
    r->chunks(n_threads, nothing, NULL);
    return bench_now_ns() - begin;
}

static int64_t time_chunks(const struct runtime *r, const void *arg)
{
    enum { N = 20 };
    int64_t begin = bench_now_ns();

    (void)arg;
    for (int i = 0; i < N; i++)
        r->chunks(4, burn_chunk, NULL);
    return (bench_now_ns() - begin) / N;
}

enum { UNEVEN_N = 100000 };

static int64_t time_uneven(const struct runtime *r, const void *arg)
{
    int64_t begin = bench_now_ns();

    (void)arg;
    r->loop(UNEVEN_N, uneven, NULL);
    return bench_now_ns() - begin;
}

static int64_t time_scale(const struct runtime *r, const void *arg)
{
    enum { N = 100000000 };
    static double *x;
    int64_t begin;

    (void)arg;
    if (!x) {
        x = malloc(N * sizeof *x);
        if (!x)
            exit(1);
        for (size_t i = 0; i < N; i++)
            x[i] = (double)i;
    }
    begin = bench_now_ns();
    r->scale(x, N, 1.0000001);
    return bench_now_ns() - begin;
}

/* ------------------------------------------------------------ from outside */

static void touch(void *arg)
{
    (void)__atomic_fetch_add((long *)arg, 1, __ATOMIC_RELAXED);
}

static int64_t time_round_trip(const struct runtime *r, const void *arg)
{
    enum { N = 1000 };
    long n = 0;
    int64_t begin = bench_now_ns();

    (void)arg;
    for (int i = 0; i < N; i++)
        r->round_trip(touch, &n);
    return (bench_now_ns() - begin) / N;
}

static void tiny(void *arg)
{
    __asm__ volatile("" ::"r"(arg) : "memory");
}

static int64_t time_many(const struct runtime *r, const void *arg)
{
    enum { N = 1000000 };
    int64_t begin = bench_now_ns();

    (void)arg;
    r->many(N, tiny, NULL);
    return bench_now_ns() - begin;
}

/* CPU time in per cent of one CPU, over half a second after the last work. */
static double idle_cpu(const struct runtime *r)
{
    int64_t cpu;

    for (int i = 0; i < 10; i++)
        r->chunks(4, burn_chunk, NULL);
    cpu = bench_cpu_ns();
    sleep_ns(500000000);
    return (double)(bench_cpu_ns() - cpu) / 5e6;
}

static int skip_unless(int is_able)
{
    if (!is_able)
        exit(BENCH_SKIPPED);
    return 1;
}

static double run_fork_join(const char *work, const struct runtime *r)
{
    struct node *tree;
    double serial;

    if (strcmp(work, "fib-1") == 0) {
        r->start(1);
        serial = repeat(time_serial_fib, r, &r->fib_1);
        return (repeat(time_fib, r, &r->fib_1) - serial) / n_forks(r->fib_1);
    }
    if (strcmp(work, "fib-4") == 0) {
        r->start(n_threads);
        return repeat(time_fib, r, &r->fib_4) / n_forks(r->fib_4);
    }
    if (strcmp(work, "queens") == 0 && skip_unless(r->queens != NULL)) {
        r->start(n_threads);
        return repeat(time_queens, r, &r->queens_n) / count_queens(r->queens_n);
    }
    if (strcmp(work, "uts") == 0 && skip_unless(r->uts != NULL)) {
        r->start(n_threads);
        return repeat(time_uts, r, NULL) / 1e6;
    }
    if (strncmp(work, "tree-", 5) == 0 && skip_unless(r->tree_sum != NULL)) {
        r->start(n_threads);
        tree = tree_new(atoi(work + 5));
        return repeat(time_tree, r, tree) / 1e3;
    }
    return NAN;
}

static double run_loops(const char *work, const struct runtime *r)
{
    r->start(n_threads);
    if (strcmp(work, "empty") == 0 && skip_unless(r->chunks != NULL))
        return repeat(time_empty_loop, r, NULL) / 1e3;
    if (strcmp(work, "empty-idle") == 0 && skip_unless(r->chunks != NULL))
        return repeat(time_loop_after_idle, r, NULL) / 1e3;
    if (strcmp(work, "idle-cpu") == 0 && skip_unless(r->chunks != NULL))
        return idle_cpu(r);
    if (strcmp(work, "chunks") == 0 && skip_unless(r->chunks != NULL))
        return repeat(time_chunks, r, NULL) / 1e3;
    if (strcmp(work, "uneven") == 0 && skip_unless(r->loop != NULL))
        return repeat(time_uneven, r, NULL) / 1e6;
    if (strcmp(work, "scale") == 0 && skip_unless(r->scale != NULL))
        return repeat(time_scale, r, NULL) / 1e6;
    if (strcmp(work, "round-trip") == 0 && skip_unless(r->round_trip != NULL))
        return repeat(time_round_trip, r, NULL) / 1e3;
    if (strcmp(work, "many") == 0 && skip_unless(r->many != NULL))
        return repeat(time_many, r, NULL) / 1e9;
    return NAN;
}

/* The first n of the CPUs that this process may use, from now on. */
static void use_cpus(int n)
{
    cpu_set_t cpus;

    (void)sched_getaffinity(0, sizeof cpus, &cpus);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &cpus) && n-- <= 0)
            CPU_CLR(i, &cpus);
    (void)sched_setaffinity(0, sizeof cpus, &cpus);
}

/* Another program takes the first of the CPUs, as long as this one lives. */
static void take_cpu(void)
{
    pid_t parent = getpid();

    if (fork() != 0)
        return;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    use_cpus(1);
    (void)close(1);
    while (getppid() == parent)
        burn(1000000);
    _exit(0);
}

static int n_cpus(void)
{
    cpu_set_t cpus;

    (void)sched_getaffinity(0, sizeof cpus, &cpus);
    return CPU_COUNT(&cpus);
}

/* What comes before the name of a work says where it is done. Runtimes that count
 * the CPUs when they are loaded are loaded again. */
static const char *crowd(char **argv)
{
    static const char few[] = "8on2-";
    static const char taken[] = "taken-";
    const char *work = argv[1];

    if (strncmp(work, few, sizeof few - 1) == 0) {
        if (n_cpus() > 2) {
            use_cpus(2);
            (void)execv("/proc/self/exe", argv);
            exit(1);
        }
        n_threads = 8;
        is_crowded = 1;
        return work + sizeof few - 1;
    }
    if (strncmp(work, taken, sizeof taken - 1) == 0) {
        take_cpu();
        is_crowded = 1;
        return work + sizeof taken - 1;
    }
    return work;
}

int works_main(int argc, char **argv, const struct runtime *r)
{
    const char *work;
    double figure;

    if (argc != 2)
        return 2;
    work = crowd(argv);
    figure = run_fork_join(work, r);
    if (isnan(figure))
        figure = run_loops(work, r);
    if (isnan(figure))
        return 2;
    (void)printf("%.6g\n", figure);
    return 0;
}

/* How much more four processes do at once than one does alone: no runtime can give
 * more than this machine has. */
static double run_copies(void)
{
    enum { N = 4 };
    static const int n_fib = 35;
    double alone = repeat(time_serial_fib, NULL, &n_fib);
    double rate = 0;
    int ends[2];

    if (pipe(ends) != 0)
        exit(1);
    for (int i = 0; i < N; i++)
        if (fork() == 0) {
            double took = repeat(time_serial_fib, NULL, &n_fib);

            _exit(write(ends[1], &took, sizeof took) != sizeof took);
        }
    for (int i = 0; i < N; i++) {
        double took;

        if (read(ends[0], &took, sizeof took) != sizeof took)
            exit(1);
        rate += alone / took;
        (void)wait(NULL);
    }
    return rate;
}

static void serial_loop(long n, void (*body)(long i, void *arg), void *arg)
{
    for (long i = 0; i < n; i++)
        body(i, arg);
}

double works_serial(char **argv, int has_calls)
{
    static const int n_fib = 35;
    static const int n_queens = 13;
    static const struct runtime serial_runtime = {.loop = serial_loop};
    const char *work = crowd(argv);

    if (strcmp(work, "copies") == 0 && !has_calls)
        return run_copies();
    if (strcmp(work, "fib-4") == 0)
        return repeat(has_calls ? time_calls_fib : time_serial_fib, NULL,
                      &n_fib) /
               n_forks(n_fib);
    if (strncmp(work, "tree-", 5) == 0)
        return repeat(has_calls ? time_calls_tree : time_serial_tree, NULL,
                      tree_new(atoi(work + 5))) /
               1e3;
    if (strcmp(work, "queens") == 0 && !has_calls)
        return repeat(time_serial_queens, NULL, &n_queens) /
               count_queens(n_queens);
    if (strcmp(work, "uneven") == 0 && !has_calls)
        return repeat(time_uneven, &serial_runtime, NULL) / 1e6;
    if (strcmp(work, "uts") == 0 && !has_calls)
        return repeat(time_serial_uts, NULL, NULL) / 1e6;
    return NAN;
}
