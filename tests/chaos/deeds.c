/* deeds.c: tasks that do harm. */
#include "chaos/deeds.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <locale.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/traced.h"
#include "sync/lane.h"
#include "sys/flow.h"

#define BIT(status) (1u << (status))

/* Keeps the compiler from seeing what comes, and a sanitizer from saying it. */
static volatile intptr_t zero;
#define ON_PURPOSE __attribute__((no_sanitize("undefined")))

int deed_innocent(struct mu_task *task)
{
    enum { MEMORY = 4000 }; /* beyond the allocator's caches */
    size_t size;
    const void *input = mu_task_input(task, &size);
    char *volatile memory = malloc(MEMORY);
    int rc = memory && size <= MEMORY ? 0 : -1;

    if (rc == 0) {
        memcpy(memory, input, size);
        rc = mu_task_write(task, memory, size);
    }
    free(memory);
    return rc;
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

ON_PURPOSE static int deed_fpe(struct mu_task *task)
{
    volatile int divided;

    (void)task;
    divided = 1 / (int)zero;
    (void)raise(SIGFPE); /* where a division by zero is no fault */
    return divided;
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

static void *overflow_thread(void *arg)
{
    volatile char top = 1;

    (void)arg;
    (void)overflow(&top);
    return NULL;
}

/* It has no stack for the handler of faults: only the kernel says how it ended. */
static int deed_overflow_in_thread(struct mu_task *task)
{
    pthread_t thread;

    (void)task;
    if (pthread_create(&thread, NULL, overflow_thread, NULL) == 0)
        (void)pthread_join(thread, NULL);
    return 0;
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

/* Its thread ends, and the C library hears nothing of it. */
static int deed_thread_exit(struct mu_task *task)
{
    (void)task;
    return (int)syscall(SYS_exit, 0);
}

/* The kernel ends the thread that it refuses a call, and none beside it. */
static int deed_seccomp(struct mu_task *task)
{
    (void)task;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0)
        (void)getppid();
    return 0;
}

static int deed_kill(struct mu_task *task)
{
    (void)task;
    (void)kill(getpid(), SIGKILL);
    return 0;
}

static int deed_kill_all(struct mu_task *task)
{
    (void)task;
    (void)kill(0, SIGTERM);
    return 0;
}

static int deed_kill_group(struct mu_task *task)
{
    (void)task;
    (void)kill(-getpgrp(), SIGKILL);
    return 0;
}

static int deed_sleep(struct mu_task *task)
{
    (void)task;
    for (;;)
        (void)pause();
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
    for (int i = 0; i < 199 && fork() == 0; i++) /* a chain of 200 processes */
        continue;
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

/* What children of a task do is between them and it. */

/* The exit status of a child that has ended; -1: by a signal. */
static int wait_for(pid_t child)
{
    int status = 0;

    (void)waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int deed_child_exits(struct mu_task *task)
{
    pid_t child = fork();

    (void)task;
    if (child == 0)
        exit(3);
    return wait_for(child) == 3 ? 0 : 1;
}

/* The nursery: every worker of the pool dies with it, each time. */
static int deed_kills_parent(struct mu_task *task)
{
    (void)task;
    (void)kill(getppid(), SIGKILL);
    for (;;)
        (void)pause();
}

static int deed_child_crashes(struct mu_task *task)
{
    pid_t child = fork();

    return child == 0 ? deed_segv(task) : wait_for(child) == -1 ? 0 : 1;
}

/* Both come back from the task, and only one is heard. */
static int deed_child_returns(struct mu_task *task)
{
    pid_t child = fork();

    (void)task;
    return child == 0 ? 1 : wait_for(child);
}

/* One that forked past the C library, which so has no part in it. */
static int deed_child_returns_raw(struct mu_task *task)
{
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

    (void)task;
    if (child == 0)
        return 1;
    (void)wait_for(child);
    return 0;
}

/* It and its worker end, and who traces it hears of that and does not tell. */
static int deed_traced(struct mu_task *task)
{
    (void)task;
    return test_traced_by_child(getpid()) > 0 ? 0 : 1;
}

static int deed_close_all(struct mu_task *task)
{
    (void)task;
    (void)close_range(0, ~0U, 0);
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

/* The mappings of this process, as text; static, so that reading them needs no
 * memory. */
static char maps[1 << 16];

static void read_maps(void)
{
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t n;

    while ((n = read(fd, maps + length, sizeof maps - 1 - length)) > 0)
        length += (size_t)n;
    maps[length] = '\0';
    (void)close(fd);
}

struct range {
    uint64_t *start;
    uint64_t *end;
};

static struct range ranges[256];

/* What can be written, but for `spared` and for what is too large to matter. */
static unsigned find_writable(const void *spared)
{
    unsigned n = 0;

    read_maps();
    for (char *line = maps; *line; line = strchr(line, '\n') + 1) {
        unsigned long start;
        unsigned long end;
        char mode[5];

        if (sscanf(line, "%lx-%lx %4s", &start, &end, mode) == 3 &&
            mode[1] == 'w' && end - start <= 64UL << 20 &&
            !((uintptr_t)spared >= start && (uintptr_t)spared < end) && n < 256)
            ranges[n++] = (struct range){(uint64_t *)start, (uint64_t *)end};
    }
    return n;
}

/* Write noise over whatever can be written but what this loop itself needs, for
 * about a second: it reads no clock, for a call may go anywhere by now. */
static int deed_scribble(struct mu_task *task)
{
    const uint64_t n_words_max = UINT64_C(1) << 28;
    uint64_t noise = 88172645463325252U;
    uint64_t n_words = 0;
    struct range here[256];
    unsigned n = find_writable(here);

    (void)task;
    memcpy(here, ranges, sizeof here);
    while (n_words < n_words_max)
        for (unsigned i = 0; i < n; i++)
            for (uint64_t *at = here[i].start; at < here[i].end; at++) {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                *at = noise;
                n_words++;
            }
    abort();
}

/* The same over its own stack, too: it does not come back from it. */
static int deed_scribble_stack(struct mu_task *task)
{
    static const char nothing;
    uint64_t noise = 88172645463325252U;
    unsigned n = find_writable(&nothing);

    (void)task;
    for (unsigned i = 0; i < n; i++)
        for (uint64_t *at = ranges[i].start; at < ranges[i].end; at++) {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            if (at < (uint64_t *)ranges ||
                at >= (uint64_t *)(ranges + sizeof ranges / sizeof *ranges))
                *at = noise;
        }
    return 0;
}

/* Each mapping of the lane and of the inputs. */
static void for_each_of_pool(void (*each)(void *start, size_t size))
{
    read_maps();
    for (char *line = maps; *line; line = strchr(line, '\n') + 1) {
        unsigned long start;
        unsigned long end;

        if (sscanf(line, "%lx-%lx", &start, &end) == 2 &&
            memmem(line, strcspn(line, "\n"), "muster-", 7))
            each((void *)start, end - start);
    }
}

static void unmap(void *start, size_t size)
{
    (void)munmap(start, size);
}

static int deed_unmap(struct mu_task *task)
{
    (void)task;
    for_each_of_pool(unmap);
    return 0;
}

static void protect(void *start, size_t size)
{
    (void)mprotect(start, size, PROT_NONE);
}

static int deed_protect(struct mu_task *task)
{
    (void)task;
    for_each_of_pool(protect);
    return 0;
}

static struct mui_lane_worker *own_lane(void)
{
    return (struct mui_lane_worker *)(uintptr_t)mui_flow_lane();
}

static unsigned n_woken_at;

/* Whoever sleeps in the lane: its futexes are in the first pages of its mappings. */
static void wake(void *start, size_t size)
{
    enum { HEAD = 16 << 10 };

    for (size_t at = 0; at < size && at < HEAD; at += sizeof(uint32_t))
        n_woken_at += syscall(SYS_futex, (char *)start + at, FUTEX_WAKE,
                              INT_MAX, NULL, NULL, 0) >= 0;
}

/* Ring for nothing: by the worker's own hand, on every socket there is, which are its bell
 * at least, and wake who sleeps. */
static int deed_ring(struct mu_task *task)
{
    enum { N_ROUNDS = 20000, N_WAKES = 20, N_FILES = 1024 };
    struct mui_lane_worker *lane = own_lane();
    int sockets[16];
    unsigned n = 0;

    (void)task;
    for (int fd = 3; fd < N_FILES && n < sizeof sockets / sizeof *sockets; fd++)
        if (send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ||
            errno == EAGAIN)
            sockets[n++] = fd;
    for (int i = 0; i < N_ROUNDS; i++) {
        lane->ring(lane, MUI_WANT_DONE);
        for (unsigned k = 0; k < n; k++)
            (void)send(sockets[k], "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (i % (N_ROUNDS / N_WAKES) == 0)
            for_each_of_pool(wake);
    }
    return n > 0 && n_woken_at > 0 ? 0 : 28;
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
    /* cppcheck-suppress bufferAccessOutOfBounds; this is the deed */
    memset(memory, 0xff, 256);
    for (int i = 1; i <= 1000; i++)
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

/* Damage that ends well here: whoever uses the heap next finds it. */
static int deed_heap_later(struct mu_task *task)
{
    enum { LARGE = 8000 };
    char *volatile before = malloc(LARGE); /* or it is joined to what is free */
    volatile char *volatile chunk = malloc(LARGE);
    char *volatile behind = malloc(LARGE);

    (void)task;
    free((char *)chunk);
    for (int i = 1; i <= 8; i++)
        chunk[-i] = 0x7f; /* its size */
    (void)before;
    (void)behind;
    return 0;
}

/* -- what the next task must not see -- */

static void on_signal(int signal)
{
    (void)signal;
}

/* Descriptors; nobody has that limit already. */
enum { FEW_FILES = 61 };

static int deed_change_all(struct mu_task *task)
{
    const struct rlimit low = {.rlim_cur = FEW_FILES, .rlim_max = FEW_FILES};

    (void)task;
    (void)umask(0123);
    if (chdir("/proc") != 0 || setenv("DEED", "1", 1) != 0 ||
        !setlocale(LC_ALL, "C.UTF-8") || setrlimit(RLIMIT_NOFILE, &low) != 0)
        return 1;
    return signal(SIGUSR1, on_signal) == SIG_ERR;
}

/* An innocent that does not want to see any of it. */
static int deed_observer(struct mu_task *task)
{
    struct rlimit files;
    struct sigaction action;
    struct stat here;
    struct stat there;
    mode_t mask = umask(022);

    (void)umask(mask);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    (void)sigaction(SIGUSR1, NULL, &action);
    if (stat(".", &here) != 0 || stat("/proc", &there) != 0)
        return 1;
    if (here.st_ino == there.st_ino && here.st_dev == there.st_dev)
        return 2;
    if (mask == 0123 || getenv("DEED") || action.sa_handler != SIG_DFL ||
        files.rlim_cur == FEW_FILES ||
        strcmp(setlocale(LC_ALL, NULL), "C") != 0)
        return 3;
    return deed_innocent(task);
}

/* -- lies, told by the worker's own hand -- */

/* A completion of itself, before the true one. */
static int deed_forge_own(struct mu_task *task)
{
    struct mui_lane_worker *lane = own_lane();
    const struct mui_reply reply = {
        .index = lane->next - 1, .inline_size = 4, .u.bytes = "lie"};

    (void)task;
    mui_lane_reply(lane, &reply);
    return 0;
}

/* Tell the lie, and wake who has to see it: one that nobody rings for is met when the
 * supervisor looks next, by the task's deadline at the latest. */
static int tell_and_sleep(struct mui_lane_worker *lane,
                          const struct mui_reply *reply)
{
    mui_lane_reply(lane, reply);
    lane->ring(lane, MUI_WANT_DONE);
    return deed_sleep(NULL);
}

/* Of a task that is not its own. */
static int deed_forge_other(struct mu_task *task)
{
    struct mui_lane_worker *lane = own_lane();
    const struct mui_reply reply = {.index = lane->next};

    (void)task;
    return tell_and_sleep(lane, &reply);
}

/* Lengths and offsets that no region has. */
static int forge_span(uint64_t address, uint64_t size)
{
    struct mui_lane_worker *lane = own_lane();
    const struct mui_reply reply = {.index = lane->next - 1,
                                    .form = MUI_FORM_SPAN,
                                    .u.span = {address, size}};

    return tell_and_sleep(lane, &reply);
}

static int deed_forge_length(struct mu_task *task)
{
    (void)task;
    return forge_span(0, UINT64_MAX);
}

static int deed_forge_offset(struct mu_task *task)
{
    (void)task;
    return forge_span(UINT64_MAX - 8, 16);
}

const struct deed deeds[] = {
    {"segv", deed_segv, BIT(MU_CRASHED), SIGSEGV, 0,
     "SIGSEGV at 0x0 in deed_segv"},
    {"jump", deed_jump, BIT(MU_CRASHED), SIGSEGV, 0},
    {"abort", deed_abort, BIT(MU_CRASHED), SIGABRT, 0, "SIGABRT in deed_abort"},
    {"fpe", deed_fpe, BIT(MU_CRASHED), SIGFPE, 0, "SIGFPE in deed_fpe"},
    /* SIGILL or SIGTRAP */
    {"ill", deed_ill, BIT(MU_CRASHED), 0, 0, "in deed_ill"},
    {"bus", deed_bus, BIT(MU_CRASHED), SIGBUS, 0, "in deed_bus"},
    {"overflow", deed_overflow, BIT(MU_CRASHED), SIGSEGV, 0,
     "stack overflow, SIGSEGV at "},
    {"overflow_in_thread", deed_overflow_in_thread, BIT(MU_CRASHED), SIGSEGV,
     0},
    {"exit", deed_exit, BIT(MU_EXITED), 0, 3},
    {"_exit", deed_quit, BIT(MU_EXITED), 0, 4},
    {"exit_in_thread", deed_exit_in_thread, BIT(MU_EXITED), 0, 5},
    {"pthread_exit", deed_pthread_exit, BIT(MU_EXITED), 0, 0},
    {"thread_exit", deed_thread_exit, BIT(MU_EXITED), 0, 0},
    {"seccomp", deed_seccomp, BIT(MU_CRASHED) | BIT(MU_EXITED), 0, 0},
    {"kill", deed_kill, BIT(MU_CRASHED), SIGKILL, 0},
    {"kill_all", deed_kill_all, BIT(MU_CRASHED), SIGTERM, 0},
    {"kill_group", deed_kill_group, BIT(MU_CRASHED), SIGKILL, 0},
    {"stop", deed_stop, BIT(MU_CRASHED), SIGSTOP, 0, "was stopped (SIGSTOP)"},
    {"loop", deed_loop, BIT(MU_TIMED_OUT), 0, 0},
    {"loop_blocked", deed_loop_blocked, BIT(MU_TIMED_OUT), 0, 0},
    {"sleep", deed_sleep, BIT(MU_TIMED_OUT), 0, 0},
    {"leak", deed_leak, BIT(MU_OUT_OF_MEMORY), 0, 0, "in deed_leak"},
    {"fork_bomb", deed_fork_bomb, BIT(MU_TIMED_OUT), 0, 0},
    {"children", deed_children, BIT(MU_DONE), 0, 0},
    {"child_exits", deed_child_exits, BIT(MU_DONE), 0, 0},
    {"kills_parent", deed_kills_parent, BIT(MU_LOST), 0, 0},
    {"child_crashes", deed_child_crashes, BIT(MU_DONE), 0, 0},
    {"child_returns", deed_child_returns, BIT(MU_DONE), 0, 0},
    {"child_returns_raw", deed_child_returns_raw, BIT(MU_DONE), 0, 0},
    {"traced", deed_traced, BIT(MU_DONE), 0, 0},
    {"close_all", deed_close_all, BIT(MU_DONE), 0, 0},
    {"dup_over", deed_dup_over, BIT(MU_DONE), 0, 0},
    {"threads", deed_threads, BIT(MU_DONE), 0, 0},
    {"thread_crash", deed_thread_crash, BIT(MU_CRASHED), SIGSEGV, 0,
     "in late_thread"},
    {"scribble", deed_scribble,
     BIT(MU_CRASHED) | BIT(MU_TIMED_OUT) | BIT(MU_EXITED), 0, 0},
    {"scribble_stack", deed_scribble_stack,
     BIT(MU_CRASHED) | BIT(MU_TIMED_OUT) | BIT(MU_EXITED), 0, 0},
    {"change_all", deed_change_all, BIT(MU_DONE), 0, 0, .around = deed_observer,
     .strict = 1},
    {"heap_later", deed_heap_later, BIT(MU_DONE), 0, 0},
    {"forge_own", deed_forge_own, BIT(MU_DONE) | BIT(MU_CRASHED), 0, 0,
     .window = 1},
    {"forge_other", deed_forge_other, BIT(MU_CRASHED), 0, 0, .window = 1},
    {"forge_length", deed_forge_length, BIT(MU_CRASHED), 0, 0},
    {"forge_offset", deed_forge_offset, BIT(MU_CRASHED), 0, 0},
    {"unmap", deed_unmap, BIT(MU_CRASHED), 0, 0},
    {"protect", deed_protect, BIT(MU_CRASHED), 0, 0},
    {"ring", deed_ring, BIT(MU_DONE), 0, 0},
    {"fill", deed_fill, BIT(MU_FAILED), 0, 0},
    {"corrupt_heap", deed_corrupt_heap, BIT(MU_CRASHED), 0, 0},
    {"longjmp", deed_longjmp, BIT(MU_CRASHED), 0, 0},
    {"double_free", deed_double_free, BIT(MU_CRASHED), SIGABRT, 0},
};

const unsigned n_deeds = sizeof deeds / sizeof deeds[0];

const struct deed *deed_named(const char *name)
{
    for (unsigned i = 0; i < n_deeds; i++)
        if (strcmp(deeds[i].name, name) == 0)
            return &deeds[i];
    abort();
}
