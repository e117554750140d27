/* state.c: comparing what a task can change of its process. */
#include "process/state.h"

#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "sys/arithmetic.h"
#include "sys/descriptor.h"

/* N_GROUPS: of somebody who is in more than these none is looked at. */
enum { N_LIMITS = RLIM_NLIMITS, TEXT = 2048, N_GROUPS = 256 };

/* Of /proc/self, which a sandbox may not let us open later. */
static struct mui_kept_file status = {.fd = -1};
static struct mui_kept_file timers = {.fd = -1};

void mui_state_init(void)
{
    status = mui_kept_file_open("/proc/self/status");
    timers = mui_kept_file_open("/proc/self/timers");
}

/* As FNV-1a, public domain, but by words: enough to notice a change that hides from
 * nobody. */
static uint64_t add_word(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(1099511628211);
    return hash ^ hash >> 32; /* upper bytes matter as much as lower ones */
}

static uint64_t add_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const char *at = bytes;
    uint64_t word = 0;

    hash = add_word(hash, size);
    for (; size > sizeof word; at += sizeof word, size -= sizeof word) {
        memcpy(&word, at, sizeof word);
        hash = add_word(hash, word);
    }
    /* the last of several is a whole one: it begins in the one before */
    if (at != bytes)
        memcpy(&word, at + size - sizeof word, sizeof word);
    else
        memcpy(&word, at, size);
    return add_word(hash, word);
}

static const uint64_t hash_start = UINT64_C(14695981039346656037);

static uint64_t hash_environment(void)
{
    uint64_t hash = hash_start;

    /* each on its own: the processor is at several of them at once */
    for (char **at = environ; at && *at; at++)
        hash = add_word(hash, add_bytes(hash_start, *at, strlen(*at) + 1));
    return hash;
}

/* Those that system() ignores as long as its command runs. */
static bool is_system(int s)
{
    return s == SIGINT || s == SIGQUIT;
}

/* What it asks for besides counts where there is a handler; what becomes of children,
 * everywhere. */
static uint64_t add_handler(uint64_t hash, const struct sigaction *action,
                            bool handles)
{
    enum { OF_CHILDREN = SA_NOCLDSTOP | SA_NOCLDWAIT };
    int flags = action->sa_flags;
    uint64_t blocks = 0;

    if (handles)
        /* the kernel fills a part of it */
        memcpy(&blocks, &action->sa_mask, sizeof blocks);
    else
        flags &= OF_CHILDREN;
    hash = add_bytes(hash, &action->sa_sigaction, sizeof action->sa_sigaction);
    hash = add_word(hash, blocks);
    return add_word(hash, (unsigned)flags);
}

static void take_handlers(struct mui_state *state)
{
    struct sigaction action;

    state->handlers = hash_start;
    state->passing.handlers = hash_start;
    for (int s = 1; s <= SIGRTMAX; s++) {
        uint64_t *hash =
            is_system(s) ? &state->passing.handlers : &state->handlers;
        bool handles;

        if (sigaction(s, NULL, &action) < 0)
            continue;
        handles = action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN;
        *hash = add_handler(*hash, &action, handles);
        state->passing.holds_sigsys |=
            handles && sigismember(&action.sa_mask, SIGSYS);
    }
}

static uint64_t hash_limits(void)
{
    uint64_t hash = hash_start;
    struct rlimit limit;

    for (int i = 0; i < N_LIMITS; i++)
        /* of CPU time: mui_limits_cpu_is_changed() */
        if (i != RLIMIT_CPU && getrlimit((__rlimit_resource_t)i, &limit) == 0)
            hash = add_bytes(hash, &limit, sizeof limit);
    return hash;
}

/* umask() can only be read by setting it, which other threads would see: then by
 * way of a file, which costs a hundred times as much. */
static unsigned read_mask(enum mui_state_threads threads)
{
    char text[TEXT];
    const char *line;

    if (threads == MUI_STATE_ONE) {
        mode_t mask = umask(0);

        (void)umask(mask);
        return mask;
    }
    /* lost, it is no mask that there is */
    (void)mui_kept_file_read(&status, text, sizeof text);
    line = strstr(text, "\nUmask:");
    return line ? (unsigned)strtoul(line + 7, NULL, 8) : UINT_MAX;
}

/* Which files they are, how they were opened, and whether exec() closes them. Not what
 * the host and others who share a terminal switch at any time, nor would another worker
 * have otherwise. */
static uint64_t hash_streams(void)
{
    enum { OTHERS_SWITCH = O_NONBLOCK | O_ASYNC };
    uint64_t hash = hash_start;
    struct stat st;

    for (int fd = 0; fd <= 2; fd++) {
        bool open = fstat(fd, &st) == 0;

        hash = add_bytes(hash, &open, sizeof open);
        if (open) {
            hash = add_bytes(hash, &st.st_dev, sizeof st.st_dev);
            hash = add_bytes(hash, &st.st_ino, sizeof st.st_ino);
            hash = add_word(hash, (unsigned)fcntl(fd, F_GETFL) &
                                      ~(unsigned)OTHERS_SWITCH);
            hash = add_word(hash, (unsigned)fcntl(fd, F_GETFD));
        }
    }
    return hash;
}

uint64_t mui_state_user(void)
{
    gid_t more[N_GROUPS];
    uid_t users[3] = {0};
    gid_t groups[3] = {0};
    int n = getgroups(N_GROUPS, more);
    uint64_t hash = hash_start;

    (void)getresuid(&users[0], &users[1], &users[2]);
    (void)getresgid(&groups[0], &groups[1], &groups[2]);
    hash = add_bytes(hash, users, sizeof users);
    hash = add_bytes(hash, groups, sizeof groups);
    return add_bytes(hash, more, n > 0 ? (size_t)n * sizeof *more : 0);
}

/* And as whom the calling thread opens files: nobody has the number -1, so these only
 * say. */
static uint64_t hash_user(void)
{
    uint64_t hash = mui_state_user();

    hash = add_word(hash, (unsigned)setfsuid((uid_t)-1));
    return add_word(hash, (unsigned)setfsgid((gid_t)-1));
}

/* alarm() and setitimer(); timer_create(), where the kernel lists them. */
static uint64_t which_timers(void)
{
    static const __itimer_which_t kinds[] = {ITIMER_REAL, ITIMER_VIRTUAL,
                                             ITIMER_PROF};
    uint64_t set = 0;
    struct itimerval timer;
    char first[2];

    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (getitimer(kinds[i], &timer) == 0 &&
            (timer.it_value.tv_sec || timer.it_value.tv_usec))
            set |= UINT64_C(1) << i;
    /* there are some, or the file is lost; or there never was one */
    if (mui_kept_file_read(&timers, first, sizeof first) != 0)
        set |= UINT64_C(1) << 63;
    return set;
}

static uint64_t hash_schedule(void)
{
    int now[2] = {sched_getscheduler(0), getpriority(PRIO_PROCESS, 0)};

    return add_bytes(hash_start, now, sizeof now);
}

/* Other threads have others from the start. */
static uint64_t hash_thread(void)
{
    stack_t of_handlers = {.ss_flags = 0};
    uint64_t stack[3];
    sigset_t blocked;
    cpu_set_t cpus;
    uint64_t hash;

    (void)sigaltstack(NULL, &of_handlers);
    stack[0] = (uint64_t)(uintptr_t)of_handlers.ss_sp;
    stack[1] = of_handlers.ss_size;
    stack[2] = (unsigned)of_handlers.ss_flags;
    memset(&blocked, 0, sizeof blocked); /* the kernel fills a part of it */
    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    CPU_ZERO(&cpus);
    (void)sched_getaffinity(0, sizeof cpus, &cpus);
    hash = add_bytes(hash_start, stack, sizeof stack);
    hash = add_bytes(hash, &blocked, sizeof blocked);
    return add_bytes(hash, &cpus, sizeof cpus);
}

void mui_state_take_memory(struct mui_state_memory *ret_memory)
{
    const char *locale = setlocale(LC_ALL, NULL);

    ret_memory->environment = hash_environment();
    ret_memory->locale =
        locale ? add_bytes(hash_start, locale, strlen(locale)) : 0;
    ret_memory->thread_locale = (uintptr_t)uselocale((locale_t)0);
    ret_memory->arithmetic = mui_arithmetic();
}

bool mui_state_memory_equals(const struct mui_state_memory *a,
                             const struct mui_state_memory *b)
{
    return a->environment == b->environment && a->locale == b->locale &&
           a->thread_locale == b->thread_locale &&
           a->arithmetic == b->arithmetic;
}

void mui_state_take(enum mui_state_threads threads, struct mui_state *ret_state)
{
    const bool alone = threads != MUI_STATE_MANY;
    struct stat st = {.st_dev = 0};

    memset(ret_state, 0, sizeof *ret_state);
    (void)stat(".", &st);
    ret_state->device = st.st_dev;
    ret_state->inode = st.st_ino;
    mui_state_take_memory(&ret_state->memory);
    take_handlers(ret_state);
    ret_state->limits = hash_limits();
    ret_state->schedule = hash_schedule();
    ret_state->alone = alone ? hash_thread() : 0;
    ret_state->mask = read_mask(threads);
    ret_state->passing.streams = hash_streams();
    ret_state->passing.user = hash_user();
    ret_state->passing.timers = which_timers();
}

void mui_state_take_pure(enum mui_state_threads threads,
                         struct mui_state *ret_state)
{
    const bool alone = threads != MUI_STATE_MANY;

    memset(ret_state, 0, sizeof *ret_state);
    mui_state_take_memory(&ret_state->memory);
    ret_state->alone = alone ? hash_thread() : 0;
}

void mui_state_take_thread(struct mui_state *state)
{
    if (state->alone)
        state->alone = hash_thread();
}

bool mui_state_equals(const struct mui_state *a, const struct mui_state *b,
                      bool beside)
{
    struct mui_state like_a = *b;

    if (beside)
        like_a.passing = a->passing;
    /* padding is zeroed too: NOLINTNEXTLINE(bugprone-*, cert-exp42-c) */
    return memcmp(a, &like_a, sizeof *a) == 0;
}
