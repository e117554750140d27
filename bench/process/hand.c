/* hand.c: what the machine charges, and pools that somebody would write by hand.
 * Prints one figure. Usage: hand WORK */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* -- a process that sleeps on a futex is woken, us -- */

static double wake_us(void)
{
    enum { N = 25 };
    struct {
        _Atomic int word;
        _Atomic int64_t woken_ns;
    } *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double us[N];
    pid_t pid = fork();

    for (int i = 0; pid == 0 && i < N; i++) {
        while (atomic_load(&shared->word) == i)
            (void)syscall(SYS_futex, &shared->word, FUTEX_WAIT, i, NULL, NULL,
                          0);
        atomic_store(&shared->woken_ns, bench_now_ns());
    }
    if (pid == 0)
        _exit(0);
    for (int i = 0; i < N; i++) {
        int64_t begin;

        (void)usleep(30000); /* it sleeps, and its CPU too */
        begin = bench_now_ns();
        atomic_store(&shared->woken_ns, 0);
        atomic_store(&shared->word, i + 1);
        (void)syscall(SYS_futex, &shared->word, FUTEX_WAKE, 1, NULL, NULL, 0);
        while (atomic_load(&shared->woken_ns) == 0)
            pause_cpu();
        us[i] = (double)(atomic_load(&shared->woken_ns) - begin) / 1e3;
    }
    (void)waitpid(pid, NULL, 0);
    return bench_median(us, N);
}

/* -- a process for each task -- */

static double fork_a_task(void)
{
    enum { N = 2000 };
    int64_t begin = bench_now_ns();

    for (int i = 0; i < N; i++) {
        pid_t pid = fork();

        if (pid == 0)
            _exit(0);
        if (i >= 3) /* four at once */
            (void)wait(NULL);
    }
    while (wait(NULL) > 0)
        continue;
    return N / ((double)(bench_now_ns() - begin) / 1e9) / 1e6;
}

static double fork_round_trip(void)
{
    enum { N = 300 };
    int64_t begin = bench_now_ns();

    for (int i = 0; i < N; i++) {
        pid_t pid = fork();

        if (pid == 0)
            _exit(0);
        (void)waitpid(pid, NULL, 0);
    }
    return (double)(bench_now_ns() - begin) / N / 1e3;
}

/* -- four workers behind pipes, one task at a time each -- */

enum { N_WORKERS = 4 };

static void start_pipe_worker(int ret_to[2], int ret_from[2])
{
    char task[16];

    if (pipe(ret_to) < 0 || pipe(ret_from) < 0)
        exit(1);
    if (fork() == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (read(ret_to[0], task, sizeof task) == sizeof task)
            if (write(ret_from[1], task, 1) != 1)
                break;
        _exit(0);
    }
}

static double pipe_pool(void)
{
    enum { N = 40000 };
    int to[N_WORKERS][2];
    int from[N_WORKERS][2];
    char task[16] = "";
    char reply;
    int64_t begin;

    for (int i = 0; i < N_WORKERS; i++)
        start_pipe_worker(to[i], from[i]);
    begin = bench_now_ns();
    for (int i = 0; i < N; i++) {
        int w = i % N_WORKERS;

        if (i >= N_WORKERS && read(from[w][0], &reply, 1) != 1)
            exit(1);
        if (write(to[w][1], task, sizeof task) != sizeof task)
            exit(1);
    }
    return N / ((double)(bench_now_ns() - begin) / 1e9) / 1e6;
}

static double pipe_round_trip(void)
{
    enum { N = 5000 };
    int to[2];
    int from[2];
    char task[16] = "";
    char reply;
    int64_t begin;

    start_pipe_worker(to, from);
    begin = bench_now_ns();
    for (int i = 0; i < N; i++)
        if (write(to[1], task, sizeof task) != sizeof task ||
            read(from[0], &reply, 1) != 1)
            exit(1);
    return (double)(bench_now_ns() - begin) / N / 1e3;
}

/* -- four workers behind rings in shared memory, and nothing else -- */

enum { RING_SLOTS = 256 };

struct ring_slot {
    _Alignas(64) _Atomic unsigned lap; /* stored last */
    char bytes[16];
};

struct ring {
    struct ring_slot tasks[RING_SLOTS];
    struct ring_slot replies[RING_SLOTS];
};

static void serve_ring(struct ring *ring)
{
    for (unsigned i = 0;; i++) {
        struct ring_slot *task = &ring->tasks[i % RING_SLOTS];
        struct ring_slot *reply = &ring->replies[i % RING_SLOTS];

        while (atomic_load_explicit(&task->lap, memory_order_acquire) != i + 1)
            pause_cpu();
        memcpy(reply->bytes, task->bytes, sizeof reply->bytes);
        atomic_store_explicit(&reply->lap, i + 1, memory_order_release);
    }
}

/* Take the replies from *head on, once half of what is under way is there. */
static unsigned take_replies(struct ring *ring, unsigned *head, unsigned tail)
{
    unsigned last = *head + (tail - *head + 1) / 2 - 1;
    unsigned first = *head;

    if (tail == *head ||
        atomic_load_explicit(&ring->replies[last % RING_SLOTS].lap,
                             memory_order_acquire) != last + 1)
        return 0;
    while (*head != tail &&
           atomic_load_explicit(&ring->replies[*head % RING_SLOTS].lap,
                                memory_order_acquire) == *head + 1)
        ++*head;
    return *head - first;
}

/* What any pool pays for one line down and one line up a task: M/s. */
static double ring_rate(void)
{
    enum { N = 4000000 };
    static const char bytes[16] = "task";
    struct ring *rings =
        mmap(NULL, N_WORKERS * sizeof *rings, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    unsigned tail[N_WORKERS] = {0};
    unsigned head[N_WORKERS] = {0};
    int64_t begin;

    for (int i = 0; i < N_WORKERS; i++)
        if (fork() == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            serve_ring(&rings[i]);
        }
    begin = bench_now_ns();
    for (unsigned n = 0; n < N;)
        for (int i = 0; i < N_WORKERS; i++) {
            n += take_replies(&rings[i], &head[i], tail[i]);
            if (tail[i] - head[i] > RING_SLOTS / 2)
                continue;
            while (tail[i] - head[i] < RING_SLOTS) {
                struct ring_slot *task = &rings[i].tasks[tail[i] % RING_SLOTS];

                memcpy(task->bytes, bytes, sizeof bytes);
                atomic_store_explicit(&task->lap, ++tail[i],
                                      memory_order_release);
            }
        }
    return N / ((double)(bench_now_ns() - begin) / 1e9) / 1e6;
}

/* -- copying: in and out, GB/s of payload -- */

static double copy_twice(size_t size)
{
    size_t n = (size_t)(256 << 20) / size;
    char *from = malloc(size);
    char *middle = malloc(size);
    char *to = malloc(size);
    int64_t begin;

    memset(from, 1, size);
    memset(middle, 1, size);
    memset(to, 1, size);
    begin = bench_now_ns();
    for (size_t i = 0; i < n; i++) {
        memcpy(middle, from, size);
        __asm__ volatile("" ::: "memory");
        memcpy(to, middle, size);
        __asm__ volatile("" ::: "memory");
    }
    return (double)(n * size * 2) / (double)(bench_now_ns() - begin);
}

/* How far each side of copy_across() is. */
struct progress {
    _Alignas(64) _Atomic unsigned there;
    _Alignas(64) _Atomic unsigned back;
};

/* The same handed to and fro, pipelined in a ring of DEPTH buffers: this process
 * copies in; another copies from there into the buffer of results; this one copies
 * the result out. Three copies, as a pool with echoing tasks makes them; counted as
 * above, once in and once out. */
static double copy_across(size_t size)
{
    enum { DEPTH = 8 };
    size_t n = (size_t)(256 << 20) / size;
    struct progress *progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *ring = mmap(NULL, 2 * DEPTH * size, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    char *from = malloc(size);
    char *to = malloc(size);
    int64_t begin;
    int64_t ns;
    unsigned sent = 0;
    pid_t pid = fork();

    if (pid == 0) {
        memset(ring + DEPTH * size, 1, DEPTH * size);
        for (unsigned i = 1; i <= n; i++) {
            while ((int)(atomic_load_explicit(&progress->there,
                                              memory_order_acquire) -
                         i) < 0)
                pause_cpu();
            memcpy(ring + (DEPTH + i % DEPTH) * size, ring + i % DEPTH * size,
                   size);
            atomic_store_explicit(&progress->back, i, memory_order_release);
        }
        _exit(0);
    }
    memset(from, 1, size);
    memset(to, 1, size);
    begin = bench_now_ns();
    for (unsigned done = 1; done <= n; done++) {
        for (; sent < n && sent - (done - 1) < DEPTH; sent++) {
            memcpy(ring + (sent + 1) % DEPTH * size, from, size);
            atomic_store_explicit(&progress->there, sent + 1,
                                  memory_order_release);
        }
        while (
            (int)(atomic_load_explicit(&progress->back, memory_order_acquire) -
                  done) < 0)
            pause_cpu();
        memcpy(to, ring + (DEPTH + done % DEPTH) * size, size);
        __asm__ volatile("" ::: "memory");
    }
    ns = bench_now_ns() - begin;
    (void)waitpid(pid, NULL, 0);
    return (double)(n * size * 2) / (double)ns;
}

static double xargs_rate(void)
{
    int64_t begin = bench_now_ns();

    if (system("seq 2000 | xargs -P4 -n1 true") != 0)
        exit(BENCH_SKIPPED);
    return 2000 / ((double)(bench_now_ns() - begin) / 1e9) / 1e6;
}

int main(int argc, char **argv)
{
    const char *work = argc == 2 ? argv[1] : "";

    if (strcmp(work, "wake") == 0)
        (void)printf("%g\n", wake_us());
    else if (strcmp(work, "fork-rate") == 0)
        (void)printf("%g\n", fork_a_task());
    else if (strcmp(work, "fork-round-trip") == 0)
        (void)printf("%g\n", fork_round_trip());
    else if (strcmp(work, "pipe-rate") == 0)
        (void)printf("%g\n", pipe_pool());
    else if (strcmp(work, "ring-rate") == 0)
        (void)printf("%g\n", ring_rate());
    else if (strcmp(work, "pipe-round-trip") == 0)
        (void)printf("%g\n", pipe_round_trip());
    else if (strcmp(work, "xargs-rate") == 0)
        (void)printf("%g\n", xargs_rate());
    else if (strcmp(work, "copy-4k") == 0)
        (void)printf("%g\n", copy_twice(4096));
    else if (strcmp(work, "copy-across-4k") == 0)
        (void)printf("%g\n", copy_across(4096));
    else if (strcmp(work, "copy-across-1m") == 0)
        (void)printf("%g\n", copy_across(1 << 20));
    else if (strcmp(work, "copy-1m") == 0)
        (void)printf("%g\n", copy_twice(1 << 20));
    else
        return 2;
    return 0;
}
