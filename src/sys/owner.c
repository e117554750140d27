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

#define TID_MASK            UINT64_C(0x3fffff)
#define NAMESPACE_SHIFT     22
#define NAMESPACE_MASK      UINT64_C(0x7f)
#define BIRTH_SHIFT         32

#define PROCESS_BIRTH_SHIFT 42
#define PROCESS_BIRTH_MASK  ((UINT32_C(1) << 22) - 1)

/* Odd values are marks in use, so neither of these ever equals one: the word
 * before the first call, and the cache of a thread that made no owner yet. */
#define MARK_UNSET       UINT32_C(0)
#define MARK_NEVER_MADE  UINT32_C(2)
#define MARK_FROM_PID(p) (((uint32_t)(p) << 1) | 1)

/* What the kernel says of one thread, or of a process and its first thread. */
struct thread_stat {
    char state;
    long n_threads; /* of the process */
    uint32_t birth;
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

/* 0; -ENOENT when there is no such thread or no /proc; -EIO for nonsense. */
static int thread_stat_read(const char *path, struct thread_stat *ret)
{
    char text[1024];
    char *field;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (n <= 0)
        return n < 0 && errno == ESRCH ? -ENOENT : -EIO;
    text[n] = '\0';
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
    ret->birth = (uint32_t)strtoull(field, NULL, 10);
    return 0;
}

static uint64_t own_namespace(void)
{
    struct stat st;

    if (stat("/proc/self/ns/pid", &st) < 0)
        return 0;
    return (uint64_t)st.st_ino & NAMESPACE_MASK;
}

uint64_t mui_owner_make(void)
{
    struct thread_stat ts = {.birth = 0};
    int saved = errno;
    uint64_t owner = (uint64_t)gettid() & TID_MASK;

    (void)thread_stat_read("/proc/thread-self/stat", &ts);
    owner |= own_namespace() << NAMESPACE_SHIFT;
    owner |= (uint64_t)ts.birth << BIRTH_SHIFT;
    mui_owner_cache.owner = owner;
    mui_owner_cache.mark = fork_mark();
    errno = saved;
    return owner;
}

/* Whether a thread with this number is of another namespace, where it says nothing. */
static int is_elsewhere(uint64_t name)
{
    return ((name ^ mui_owner_self()) >> NAMESPACE_SHIFT & NAMESPACE_MASK) != 0;
}

/* 1 when there is no such thread; 0 and *ret when there is; -EIO: nothing is known. */
static int thread_look_up(uint64_t name, struct thread_stat *ret)
{
    char path[48];
    pid_t tid = (pid_t)(name & TID_MASK);
    int rc;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)tid);
    rc = thread_stat_read(path, ret);
    if (rc == 0)
        return 0;
    /* Perhaps /proc is not mounted or hides it: only "no such thread" counts. */
    return rc == -ENOENT && kill(tid, 0) < 0 && errno == ESRCH ? 1 : -EIO;
}

static int has_ended(const struct thread_stat *ts)
{
    return ts->state == 'Z' || ts->state == 'X';
}

static int owner_look_up(uint64_t owner)
{
    struct thread_stat ts = {.birth = 0};
    uint32_t birth = (uint32_t)(owner >> BIRTH_SHIFT);
    int rc = thread_look_up(owner, &ts);

    return rc == 0 ? has_ended(&ts) || (birth != 0 && ts.birth != birth)
                   : rc > 0;
}

int mui_owner_is_dead(uint64_t owner)
{
    int saved = errno;
    int dead;

    owner &= MUI_OWNER_MASK;
    if (owner == 0 || is_elsewhere(owner))
        return 0;
    dead = owner_look_up(owner);
    errno = saved;
    return dead;
}

/* ---- processes -------------------------------------------------------------- */

uint64_t mui_process_make(void)
{
    uint32_t mark = fork_mark();
    struct thread_stat ts = {.birth = 0};
    int saved = errno;
    uint64_t name = (uint64_t)getpid() & TID_MASK;

    (void)thread_stat_read("/proc/self/stat", &ts);
    name |= own_namespace() << NAMESPACE_SHIFT;
    name |= (uint64_t)(ts.birth & PROCESS_BIRTH_MASK) << PROCESS_BIRTH_SHIFT;
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
    uint32_t birth = (uint32_t)(process >> PROCESS_BIRTH_SHIFT);
    int rc = thread_look_up(process, &ts);

    if (rc != 0)
        return rc > 0;
    return (has_ended(&ts) && ts.n_threads <= 1) ||
           (birth != 0 && (ts.birth & PROCESS_BIRTH_MASK) != birth);
}

int mui_process_is_dead(uint64_t process)
{
    int saved = errno;
    int dead;

    if ((process & TID_MASK) == 0 || is_elsewhere(process))
        return 0;
    dead = process_look_up(process);
    errno = saved;
    return dead;
}
