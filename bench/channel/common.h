/* common.h: what every program of the suite does: two parties on two CPUs, one figure
 * on standard output. */
#ifndef BENCH_CHANNEL_COMMON_H
#define BENCH_CHANNEL_COMMON_H

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif
#include "harness.h"
#ifdef __cplusplus
}
#endif

/* How many messages of a size make a run of some tenths of a second. */
static inline uint64_t n_stream(size_t size)
{
    if (size <= 256)
        return 10000000;
    return size <= 8192 ? 400000 : size <= 131072 ? 40000 : 3000;
}

static inline uint64_t n_round_trips(size_t size)
{
    return size <= 8192 ? 20000 : 500;
}

static inline void bind_to(unsigned cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

static inline void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    sched_yield();
#endif
}

static inline void need(int ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "%s failed\n", what);
    _exit(1);
}

static inline void *shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    need(memory != MAP_FAILED, "mmap");
    return memory;
}

/* The other party, in a process or a thread of its own. */
typedef void (*party_fn)(void *arg);
struct party {
    party_fn fn;
    void *arg;
    pthread_t thread;
    pid_t pid;
};

static inline void *party_thread(void *arg)
{
    struct party *p = (struct party *)arg;

    bind_to(2);
    p->fn(p->arg);
    return NULL;
}

static inline void party_start(struct party *p, int as_thread)
{
    p->pid = 0;
    if (as_thread) {
        need(pthread_create(&p->thread, NULL, party_thread, p) == 0,
             "pthread_create");
    } else if ((p->pid = fork()) == 0) {
        bind_to(2);
        p->fn(p->arg);
        _exit(0);
    }
    bind_to(1);
}

static inline void party_wait(struct party *p)
{
    int status = 0;

    if (p->pid == 0)
        (void)pthread_join(p->thread, NULL);
    else
        (void)waitpid(p->pid, &status, 0);
    need(status == 0, "the other party");
}

/* The figure of a run that took `ns` for n things of `size` bytes. */
static inline int figure(const char *unit, uint64_t n, size_t size, int64_t ns)
{
    double value = (double)ns / (double)n; /* "ns" */

    if (strcmp(unit, "us") == 0)
        value /= 1e3;
    else if (strcmp(unit, "M/s") == 0)
        value = 1e3 / value;
    else if (strcmp(unit, "GB/s") == 0)
        value = (double)size / value;
    return printf("%.6g\n", value) > 0 ? 0 : 1;
}

/* Locks are measured in the second of two laps: in the first the CPU is still
 * finding its clock, and its branches. */
#define LOCK_PAIRS UINT64_C(20000000)

static inline int lock_laps(const char *unit, void (*lap)(void))
{
    int64_t from;

    lap();
    from = bench_now_ns();
    lap();
    return figure(unit, LOCK_PAIRS, 0, bench_now_ns() - from);
}

#endif
