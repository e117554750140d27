/* owner.c: thread or process id and start time, read from /proc. */
#include "sys/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TID_MASK        UINT64_C(0x3fffff)
#define SPACE_LOW_SHIFT 22
#define SPACE_LOW_BITS  7

/* The first time namespace: PROC_TIME_INIT_INO, which the kernel promises. */
#define TIME_SPACE_FIRST UINT32_C(0xeffffffa)

/* Start times that are apart by no more are one: what a time namespace adds may be no
 * whole number of ticks. */
#define BIRTH_SLACK 2

/* Where a name has what does not fit below the bits of its lock: more of the number of
 * its PID namespace, and the start, to the top. */
struct layout {
    unsigned space_shift;
    unsigned birth_shift;
};
static const struct layout owner_layout = {.space_shift = 32,
                                           .birth_shift = 46};
static const struct layout process_layout = {.space_shift = 42,
                                             .birth_shift = 52};

/* Odd values are marks in use, so neither of these ever equals one: the word
 * before the first call, and the cache of a thread that made no owner yet. */
#define MARK_UNSET       UINT32_C(0)
#define MARK_NEVER_MADE  UINT32_C(2)
#define MARK_FROM_PID(p) (((uint32_t)(p) << 1) | 1)

/* What the kernel says of one thread, or of a process and its first thread. */
struct thread_stat {
    long number; /* in the PID namespace that /proc was mounted for */
    char state;
    long n_threads; /* of the process */
    uint64_t
        birth; /* in ticks, by the clock of this process's time namespace */
};

_Thread_local struct mui_owner_cache mui_owner_cache = {
    .owner = 0, .mark = MARK_NEVER_MADE};

/* Nothing but anonymous memory can be wiped: this is, for it is not initialised and
 * shares its page with nothing. */
union mui_fork_page mui_fork_page __attribute__((aligned(MUI_FORK_PAGE)));
static pthread_once_t mark_once = PTHREAD_ONCE_INIT;

struct mui_process_cache mui_process_cache = {.mark = MARK_NEVER_MADE};

static void mark_reset_in_child(void)
{
    atomic_store_explicit(&mui_fork_page.mark, MARK_UNSET,
                          memory_order_relaxed);
}

static void mark_prepare(void)
{
    /* an old kernel, or larger pages, which others share: sees fork(), but no raw
     * clone() */
    if (sysconf(_SC_PAGESIZE) > MUI_FORK_PAGE ||
        madvise(&mui_fork_page, sizeof mui_fork_page, MADV_WIPEONFORK) != 0)
        (void)pthread_atfork(NULL, NULL, mark_reset_in_child);
}

/* A number that differs between this process and the one it was forked from. */
static uint32_t fork_mark(void)
{
    uint32_t mark;

    (void)pthread_once(&mark_once, mark_prepare);
    /* relaxed: every thread of a process would store the same value */
    mark = atomic_load_explicit(&mui_fork_page.mark, memory_order_relaxed);
    if (mark == MARK_UNSET) {
        mark = MARK_FROM_PID(getpid());
        atomic_store_explicit(&mui_fork_page.mark, mark, memory_order_relaxed);
    }
    return mark;
}

/* 0; -ENOENT when there is no such thread or no /proc; -errno; -EIO for nothing. */
static int text_read(const char *path, char *text, size_t size)
{
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    n = read(fd, text, size - 1);
    (void)close(fd);
    if (n <= 0)
        return n < 0 && errno == ESRCH ? -ENOENT : -EIO;
    text[n] = '\0';
    return 0;
}

/* As text_read(); -EIO for nonsense. */
static int thread_stat_read(const char *path, struct thread_stat *ret)
{
    char text[1024];
    char *field;
    int rc = text_read(path, text, sizeof text);

    if (rc != 0)
        return rc;
    ret->number = strtol(text, NULL, 10);
    field = strrchr(text, ')'); /* the name may hold spaces and brackets */
    if (!field || field[1] == '\0')
        return -EIO;
    field += 2; /* field 3, the state */
    ret->state = *field;
    for (int i = 3; i < 22; i++) {
        field = strchr(field, ' ');
        if (!field)
            return -EIO;
        field++;
        if (i + 1 == 20)
            ret->n_threads = strtol(field, NULL, 10);
    }
    ret->birth = strtoull(field, NULL, 10);
    return 0;
}

/* What this process's time namespace adds to each start that /proc shows it, in ticks.
 * False when that is not known. */
static bool clock_shift(uint64_t *ret_ticks)
{
    int64_t hz = sysconf(_SC_CLK_TCK);
    struct stat own;
    struct stat of_children;
    char text[256];
    char *field;
    int64_t seconds;

    *ret_ticks = 0;
    if (stat("/proc/self/ns/time", &own) < 0)
        return errno == ENOENT; /* a kernel that has none */
    if (own.st_ino == TIME_SPACE_FIRST)
        return true;
    /* the offsets are those that children will have */
    if (stat("/proc/self/ns/time_for_children", &of_children) < 0 ||
        of_children.st_ino != own.st_ino ||
        text_read("/proc/self/timens_offsets", text, sizeof text) != 0)
        return false;
    field = strstr(text, "boottime ");
    if (!field)
        return false;
    seconds = strtoll(field + sizeof "boottime", &field, 10);
    *ret_ticks =
        (uint64_t)(seconds * hz + strtoll(field, NULL, 10) * hz / 1000000000);
    return true;
}

/* ---- names ------------------------------------------------------------------- */

static uint64_t ones(unsigned n_bits)
{
    return (UINT64_C(1) << n_bits) - 1;
}

/* The bits of the PID namespace with this number: none of 0. */
static uint64_t space_bits(uint64_t number, const struct layout *l)
{
    unsigned n_high = l->birth_shift - l->space_shift;

    return (number & ones(SPACE_LOW_BITS)) << SPACE_LOW_SHIFT |
           (number >> SPACE_LOW_BITS & ones(n_high)) << l->space_shift;
}

/* The name of who has this number, and who finds itself at `path`. */
static uint64_t name_make(pid_t number, const char *path,
                          const struct layout *l)
{
    uint64_t name = (uint64_t)number & TID_MASK;
    struct thread_stat ts = {.birth = 0};
    struct stat space;
    uint64_t shift;

    if (stat("/proc/self/ns/pid", &space) == 0)
        name |= space_bits(space.st_ino, l);
    if (thread_stat_read(path, &ts) == 0 && clock_shift(&shift))
        name |= (ts.birth - shift) << l->birth_shift;
    return name;
}

/* Whether it is of another PID namespace than this process, where its number says
 * nothing, or either is not known. */
static bool is_elsewhere(uint64_t name, uint64_t self, const struct layout *l)
{
    uint64_t space = name & space_bits(UINT64_MAX, l);

    return space == 0 || space != (self & space_bits(UINT64_MAX, l));
}

/* Whether the thread that has the number now is another. */
static bool is_another(uint64_t name, const struct thread_stat *ts,
                       const struct layout *l)
{
    uint64_t birth = name >> l->birth_shift;
    uint64_t shift;
    uint64_t apart;

    if (birth == 0 || !clock_shift(&shift))
        return false;
    apart =
        (ts->birth - shift - birth + BIRTH_SLACK) & ones(64 - l->birth_shift);
    return apart > (uint64_t)2 * BIRTH_SLACK;
}

/* 1 when there is no such thread; 0 and *ret when there is; -EIO: nothing is known. */
static int thread_look_up(uint64_t name, struct thread_stat *ret)
{
    char path[48];
    pid_t tid = (pid_t)(name & TID_MASK);
    int rc = thread_stat_read("/proc/thread-self/stat", ret);

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)tid);
    if (rc ==
        0) /* /proc may be that of a namespace above, where others have numbers */
        rc = ret->number == gettid() ? thread_stat_read(path, ret) : -ENOENT;
    if (rc == 0)
        return 0;
    /* Perhaps /proc is not mounted or hides it: only "no such thread" counts. */
    return rc == -ENOENT && kill(tid, 0) < 0 && errno == ESRCH ? 1 : -EIO;
}

static bool has_ended(const struct thread_stat *ts)
{
    return ts->state == 'Z' || ts->state == 'X';
}

/* ---- threads ----------------------------------------------------------------- */

uint64_t mui_owner_make(void)
{
    int saved = errno;
    uint64_t owner =
        name_make(gettid(), "/proc/thread-self/stat", &owner_layout);

    mui_owner_cache.owner = owner;
    mui_owner_cache.mark = fork_mark();
    errno = saved;
    return owner;
}

static int owner_look_up(uint64_t owner)
{
    struct thread_stat ts = {.birth = 0};
    int rc = thread_look_up(owner, &ts);

    return rc == 0 ? has_ended(&ts) || is_another(owner, &ts, &owner_layout)
                   : rc > 0;
}

int mui_owner_is_dead(uint64_t owner)
{
    int saved = errno;
    int dead;

    owner &= MUI_OWNER_MASK;
    if ((owner & TID_MASK) == 0 ||
        is_elsewhere(owner, mui_owner_self(), &owner_layout))
        return 0;
    dead = owner_look_up(owner);
    errno = saved;
    return dead;
}

/* ---- processes -------------------------------------------------------------- */

uint64_t mui_process_make(void)
{
    uint32_t mark = fork_mark();
    int saved = errno;
    uint64_t name = name_make(getpid(), "/proc/self/stat", &process_layout);

    /* relaxed: every thread of a process would store the same value */
    atomic_store_explicit(&mui_process_cache.name, name, memory_order_relaxed);
    /* pairs with mui_process_self() */
    atomic_store_explicit(&mui_process_cache.mark, mark, memory_order_release);
    errno = saved;
    return name;
}

/* The first thread of a process may have ended before the others. */
static int process_look_up(uint64_t process)
{
    struct thread_stat ts = {.birth = 0};
    int rc = thread_look_up(process, &ts);

    if (rc != 0)
        return rc > 0;
    return (has_ended(&ts) && ts.n_threads <= 1) ||
           is_another(process, &ts, &process_layout);
}

int mui_process_is_dead(uint64_t process)
{
    int saved = errno;
    int dead;

    if ((process & TID_MASK) == 0 ||
        is_elsewhere(process, mui_process_self(), &process_layout))
        return 0;
    dead = process_look_up(process);
    errno = saved;
    return dead;
}
