/* deeds.c: tasks that do harm. */
#include "chaos/deeds.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIT(status) (1u << (status))

/* Keeps the compiler from seeing what comes, and a sanitizer from saying it. */
static volatile intptr_t zero;
#define ON_PURPOSE __attribute__((no_sanitize("undefined")))

int deed_innocent(struct mu_task *task)
{
    size_t size;
    const void *input = mu_task_input(task, &size);

    return mu_task_write(task, input, size);
}

ON_PURPOSE static int deed_segv(struct mu_task *task)
{
    (void)task;
    *(volatile int *)zero = 1;
    return 0;
}

ON_PURPOSE static int deed_jump(struct mu_task *task)
{
    int (*nowhere)(void) = NULL;
    intptr_t address = zero + 64;

    (void)task;
    memcpy(&nowhere, &address, sizeof nowhere);
    return nowhere();
}

static int deed_abort(struct mu_task *task)
{
    (void)task;
    abort();
}

static int deed_fpe(struct mu_task *task)
{
    (void)task;
    (void)raise(SIGFPE);
    return 0;
}

static int deed_ill(struct mu_task *task)
{
    (void)task;
    __builtin_trap();
}

static int deed_bus(struct mu_task *task)
{
    int fd = memfd_create("deed", MFD_CLOEXEC);
    volatile char *page =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    (void)task;
    *page = 1; /* beyond the end of the file */
    return 0;
}

static int overflow(volatile char *above)
{
    volatile char frame[512];

    frame[0] = *above;
    return overflow(frame) + frame[0];
}

static int deed_overflow(struct mu_task *task)
{
    volatile char top = 1;

    (void)task;
    return overflow(&top);
}

static int deed_exit(struct mu_task *task)
{
    (void)task;
    exit(3);
}

static int deed_quit(struct mu_task *task)
{
    (void)task;
    _exit(4);
}

static void *exit_thread(void *arg)
{
    (void)arg;
    exit(5);
}

static int deed_exit_in_thread(struct mu_task *task)
{
    pthread_t thread;

    (void)task;
    if (pthread_create(&thread, NULL, exit_thread, NULL) == 0)
        (void)pthread_join(thread, NULL);
    return 0;
}

static int deed_pthread_exit(struct mu_task *task)
{
    (void)task;
    pthread_exit(NULL);
}

static int deed_kill(struct mu_task *task)
{
    (void)task;
    (void)kill(getpid(), SIGKILL);
    return 0;
}

static int deed_stop(struct mu_task *task)
{
    (void)task;
    (void)raise(SIGSTOP);
    return 0;
}

static int deed_loop(struct mu_task *task)
{
    (void)task;
    while (!zero)
        continue;
    return 0;
}

static int deed_loop_blocked(struct mu_task *task)
{
    sigset_t all;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, NULL);
    return deed_loop(task);
}

static int deed_sleep(struct mu_task *task)
{
    (void)task;
    for (;;)
        (void)pause();
}

static int deed_leak(struct mu_task *task)
{
    enum { PIECE = 1 << 20 };

    (void)task;
    for (;;) {
        char *volatile piece = malloc(PIECE); /* or clang leaves it out */

        memset(piece, 1, PIECE); /* a crash when there is no more */
    }
}

static int deed_fork_bomb(struct mu_task *task)
{
    (void)task;
    for (int i = 0; i < 4; i++) /* 16 processes */
        (void)fork();
    for (;;)
        (void)pause();
}

static int deed_children(struct mu_task *task)
{
    (void)task;
    for (int i = 0; i < 3; i++)
        if (fork() == 0) {
            (void)setsid();
            (void)!fork();
            for (;;)
                (void)pause();
        }
    return 0;
}

static int deed_close_all(struct mu_task *task)
{
    (void)task;
    (void)close_range(0, ~0u, 0);
    return 0;
}

static int deed_dup_over(struct mu_task *task)
{
    int fd = open("/dev/null", O_RDWR);

    (void)task;
    for (int i = 3; i < 64; i++)
        if (i != fd)
            (void)dup2(fd, i);
    return 0;
}

static void *idle_thread(void *arg)
{
    (void)arg;
    for (;;)
        (void)pause();
}

static int deed_threads(struct mu_task *task)
{
    pthread_t thread;

    (void)task;
    for (int i = 0; i < 3; i++)
        (void)pthread_create(&thread, NULL, idle_thread, NULL);
    return 0;
}

ON_PURPOSE static void *late_thread(void *arg)
{
    (void)arg;
    *(volatile int *)zero = 1;
    return NULL;
}

/* A thread crashes while its task waits: nobody but this task can be to blame. */
static int deed_thread_crash(struct mu_task *task)
{
    pthread_t thread;

    (void)task;
    if (pthread_create(&thread, NULL, late_thread, NULL) == 0)
        (void)pthread_join(thread, NULL);
    return 0;
}

/* Whatever can be written, with noise. Uses no memory but registers and `maps`,
 * and its own stack while that lasts. */
static int deed_scribble(struct mu_task *task)
{
    static char maps[1 << 16];
    int fd = open("/proc/self/maps", O_RDONLY);
    size_t length = 0;
    ssize_t n;
    uint64_t noise = 88172645463325252u;

    (void)task;
    while ((n = read(fd, maps + length, sizeof maps - 1 - length)) > 0)
        length += (size_t)n;
    for (char *line = maps; *line; line = strchr(line, '\n') + 1) {
        unsigned long start;
        unsigned long end;
        char mode[5];

        if (sscanf(line, "%lx-%lx %4s", &start, &end, mode) != 3 ||
            mode[1] != 'w' || end - start > 64ul << 20)
            continue;
        for (uint64_t *at = (uint64_t *)start; at < (uint64_t *)end; at++) {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            if ((char *)at < maps || (char *)at >= maps + sizeof maps)
                *at = noise;
        }
    }
    return 0;
}

static int deed_unmap(struct mu_task *task)
{
    static char maps[1 << 16];
    int fd = open("/proc/self/maps", O_RDONLY);
    size_t length = 0;
    ssize_t n;

    (void)task;
    while ((n = read(fd, maps + length, sizeof maps - 1 - length)) > 0)
        length += (size_t)n;
    for (char *line = maps; *line; line = strchr(line, '\n') + 1) {
        unsigned long start;
        unsigned long end;

        if (sscanf(line, "%lx-%lx", &start, &end) == 2 &&
            memmem(line, strcspn(line, "\n"), "muster-", 7))
            (void)munmap((void *)start, end - start);
    }
    return 0;
}

/* Make every mapping of the lane impossible to use. */
static int deed_protect(struct mu_task *task)
{
    static char maps[1 << 16];
    int fd = open("/proc/self/maps", O_RDONLY);
    size_t length = 0;
    ssize_t n;

    (void)task;
    while ((n = read(fd, maps + length, sizeof maps - 1 - length)) > 0)
        length += (size_t)n;
    for (char *line = maps; *line; line = strchr(line, '\n') + 1) {
        unsigned long start;
        unsigned long end;

        if (sscanf(line, "%lx-%lx", &start, &end) == 2 &&
            memmem(line, strcspn(line, "\n"), "muster-", 7))
            (void)mprotect((void *)start, end - start, PROT_NONE);
    }
    return 0;
}

/* Ring for nothing, on every socket there is. */
static int deed_ring(struct mu_task *task)
{
    (void)task;
    for (int i = 0; i < 20000; i++)
        for (int fd = 3; fd < 16; fd++)
            (void)send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    return 0;
}

/* More output than a task may have. */
static int deed_fill(struct mu_task *task)
{
    static const char bytes[1 << 20];

    while (mu_task_write(task, bytes, sizeof bytes) == 0)
        continue;
    return 27;
}

/* A heap that is found to be corrupt by somebody, some time. */
static int deed_corrupt_heap(struct mu_task *task)
{
    char *volatile memory = malloc(64);

    (void)task;
    memset(memory, 0xff, 256);
    for (int i = 0; i < 1000; i++)
        free(malloc((size_t)i * 16));
    free(memory);
    abort(); /* where the allocator does not notice */
}

static jmp_buf nowhere;

static int leave_buffer(int code)
{
    return setjmp(nowhere) + code;
}

/* To a frame that is gone. */
static int deed_longjmp(struct mu_task *task)
{
    (void)task;
    if (leave_buffer(0) == 0) {
        *(volatile intptr_t *)&nowhere ^= 0x5a5a5a5a;
        longjmp(nowhere, 1);
    }
    abort();
}

static int deed_double_free(struct mu_task *task)
{
    char *volatile memory = malloc(100);
    char *volatile again = memory;

    (void)task;
    free(memory);
    free(again);
    abort(); /* where the allocator does not notice */
}

const struct deed deeds[] = {
    {"segv", deed_segv, BIT(MU_CRASHED), SIGSEGV, 0, "SIGSEGV in deed_segv"},
    {"jump", deed_jump, BIT(MU_CRASHED), SIGSEGV, 0},
    {"abort", deed_abort, BIT(MU_CRASHED), SIGABRT, 0, "SIGABRT in deed_abort"},
    {"fpe", deed_fpe, BIT(MU_CRASHED), SIGFPE, 0, "SIGFPE in deed_fpe"},
    /* SIGILL or SIGTRAP */
    {"ill", deed_ill, BIT(MU_CRASHED), 0, 0, "in deed_ill"},
    {"bus", deed_bus, BIT(MU_CRASHED), SIGBUS, 0, "in deed_bus"},
    {"overflow", deed_overflow, BIT(MU_CRASHED), SIGSEGV, 0,
     "stack overflow, SIGSEGV at "},
    {"exit", deed_exit, BIT(MU_EXITED), 0, 3},
    {"_exit", deed_quit, BIT(MU_EXITED), 0, 4},
    {"exit_in_thread", deed_exit_in_thread, BIT(MU_EXITED), 0, 5},
    {"pthread_exit", deed_pthread_exit, BIT(MU_EXITED), 0, 0},
    {"kill", deed_kill, BIT(MU_CRASHED), SIGKILL, 0},
    {"stop", deed_stop, BIT(MU_CRASHED), SIGSTOP, 0, "stopped itself"},
    {"loop", deed_loop, BIT(MU_TIMED_OUT), 0, 0},
    {"loop_blocked", deed_loop_blocked, BIT(MU_TIMED_OUT), 0, 0},
    {"sleep", deed_sleep, BIT(MU_TIMED_OUT), 0, 0},
    {"leak", deed_leak, BIT(MU_OUT_OF_MEMORY), 0, 0, "in deed_leak"},
    {"fork_bomb", deed_fork_bomb, BIT(MU_TIMED_OUT), 0, 0},
    {"children", deed_children, BIT(MU_DONE), 0, 0},
    {"close_all", deed_close_all, BIT(MU_DONE), 0, 0},
    {"dup_over", deed_dup_over, BIT(MU_DONE), 0, 0},
    {"threads", deed_threads, BIT(MU_DONE), 0, 0},
    {"thread_crash", deed_thread_crash, BIT(MU_CRASHED), SIGSEGV, 0,
     "in late_thread"},
    {"scribble", deed_scribble,
     BIT(MU_CRASHED) | BIT(MU_TIMED_OUT) | BIT(MU_EXITED), 0, 0},
    {"unmap", deed_unmap, BIT(MU_CRASHED), 0, 0},
    {"protect", deed_protect, BIT(MU_CRASHED), 0, 0},
    {"ring", deed_ring, BIT(MU_DONE), 0, 0},
    {"fill", deed_fill, BIT(MU_FAILED), 0, 0},
    {"corrupt_heap", deed_corrupt_heap, BIT(MU_CRASHED), 0, 0},
    {"longjmp", deed_longjmp, BIT(MU_CRASHED), 0, 0},
    {"double_free", deed_double_free, BIT(MU_CRASHED), SIGABRT, 0},
};

const unsigned n_deeds = sizeof deeds / sizeof deeds[0];
