/* limit.c: limits of a worker process.
 *
 * Memory is limited by RLIMIT_DATA: it counts private memory only, so inputs and
 * outputs in shared memory are free of it, it works for everybody, and malloc()
 * returns NULL instead of killing. It does not see what a task holds otherwise: shared
 * mappings, files in memory, and what its children have, each of which has a limit
 * of its own. Where a control group can be made, that keeps all of it together. */
#include "process/limit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "muster/pool.h"

#include "base/error.h"
#include "process/confine.h"
#include "process/crash.h"
#include "sys/descriptor.h"

/* What a worker needs beside what it has before its first task, so that no limit ends
 * tasks that ask for nothing: some pages of heap and, in a control group, its own of
 * stack and data; standard streams, bell, and some to open. */
enum { MEMORY_LEAST = 1 << 20, FILES_LEAST = 8 };

/* /proc/self/statm, if it is wanted. */
static struct mui_kept_file statm = {.fd = -1};
static _Atomic uint64_t data_limit; /* RLIMIT_DATA; 0: none of ours */
static bool has_group;              /* for processes */
static uint64_t nproc;              /* RLIMIT_NPROC instead; 0: none */

/* Of this worker, for mui_limits_struck(). */
static struct mui_limits the;

static struct rlimit cpu; /* of CPU time, before the first task */

/* See mui_limits_lacked_files(). */
_Atomic bool mui_limits_lacking_files;

/* -- processes -- */

static bool is_bound_by_nproc(void)
{
    return geteuid() != 0;
}

int mui_limits_check(const struct mui_limits *limits, struct mu_error *err)
{
    if (limits->memory_bytes && limits->memory_bytes < MEMORY_LEAST)
        return mui_fail(err, -EINVAL,
                        "processes: %llu bytes of memory for a worker are too "
                        "few: %u are the least",
                        (unsigned long long)limits->memory_bytes,
                        (unsigned)MEMORY_LEAST);
    if (limits->open_files && limits->open_files < FILES_LEAST)
        return mui_fail(err, -EINVAL,
                        "processes: %u open files for a worker are too few: %u "
                        "are the least",
                        limits->open_files, (unsigned)FILES_LEAST);
    if (!limits->processes || is_bound_by_nproc() ||
        mui_confine_is_possible(MUI_CONFINE_PROCESSES))
        return 0;
    return mui_fail(err, MU_EMODEL,
                    "processes: their children cannot be limited here: no "
                    "control group can be made, and RLIMIT_NPROC does not bind "
                    "root");
}

/* The number in the line of a status file that begins with `key`. */
static uint64_t status_number(const char *text, const char *key)
{
    const char *line = strstr(text, key);

    return line ? strtoull(line + strlen(key), NULL, 10) : 0;
}

/* Threads of a process, 0 when it is not this user's. Its files need not belong to
 * him: see PR_SET_DUMPABLE in prctl(2). */
static uint64_t count_threads_of(const char *pid)
{
    char text[4096];
    ssize_t length;
    int fd;

    (void)snprintf(text, sizeof text, "/proc/%.20s/status", pid);
    fd = open(text, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    length = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[length > 0 ? length : 0] = '\0';
    return status_number(text, "\nUid:") == getuid()
               ? status_number(text, "\nThreads:")
               : 0;
}

/* Threads of this user: what RLIMIT_NPROC is compared with. */
static uint64_t count_threads_of_user(void)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    uint64_t n = 0;

    while (proc && (entry = readdir(proc)) != NULL)
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
            n += count_threads_of(entry->d_name);
    if (proc)
        (void)closedir(proc);
    return n;
}

/* -- memory -- */

int mui_limits_init(const struct mui_limits *limits)
{
    the = *limits;
    /* not those of the worker whose task opened the pool */
    statm.fd = -1;
    /* relaxed: no other thread yet */
    atomic_store_explicit(&data_limit, 0, memory_order_relaxed);
    has_group = false;
    nproc = 0;
    if (limits->memory_bytes || limits->recycle_bytes)
        statm = mui_kept_file_open("/proc/self/statm");
    /* where there can be no group, RLIMIT_DATA has to do alone */
    if (limits->memory_bytes)
        (void)mui_confine_memory(limits->group_bytes);
    if (!limits->processes)
        return 0;
    if (mui_confine_processes() == 0)
        has_group = true;
    else if (is_bound_by_nproc())
        nproc =
            count_threads_of_user() + limits->own_processes + limits->processes;
    else
        return -EPERM; /* mui_limits_check() saw a place */
    return 0;
}

/* The sixth number of "size resident shared text lib data ...", in pages. */
uint64_t mui_limits_data_bytes(void)
{
    char text[128];
    ssize_t length = mui_kept_file_read(&statm, text, sizeof text);
    uint64_t pages = 0;
    int i_word = 0;

    if (length < 0)
        return MUI_LIMITS_UNKNOWN;
    for (ssize_t i = 0; i < length; i++) {
        if (text[i] == ' ')
            i_word++;
        else if (i_word == 5 && text[i] >= '0' && text[i] <= '9')
            pages = pages * 10 + (uint64_t)(text[i] - '0');
    }
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Whether RLIMIT_DATA refuses so much more. It counts what can be written: that there are
 * addresses for it is seen before. */
static bool is_refused(uint64_t bytes)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *room = mmap(NULL, bytes, PROT_NONE, flags, -1, 0);
    bool refused;

    if (room == MAP_FAILED)
        return false;
    refused = mprotect(room, bytes, PROT_READ | PROT_WRITE) < 0;
    (void)munmap(room, bytes);
    return refused;
}

/* To ask takes, for a moment, what others of the process may want: only where it looks as
 * if there were little. That counts the stack too, which the limit does not. */
bool mui_limits_is_short_of_memory(bool was_refused)
{
    /* acquire, pairs with mui_limits_begin() */
    uint64_t limit = atomic_load_explicit(&data_limit, memory_order_acquire);
    uint64_t near = the.memory_bytes / (was_refused ? 2 : 8);
    int saved = errno;
    bool is_short = limit > 0 && mui_limits_data_bytes() >= limit - near &&
                    is_refused(near);

    errno = saved;
    return is_short;
}

uint64_t mui_limits_files(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? RLIM_INFINITY
                                                : limit.rlim_cur;
}

static void set_limit(__rlimit_resource_t resource, uint64_t soft,
                      uint64_t hard)
{
    struct rlimit limit;

    if (getrlimit(resource, &limit) < 0)
        return;
    if (hard < limit.rlim_max)
        limit.rlim_max = hard;
    limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
    (void)setrlimit(resource, &limit);
}

/* RLIMIT_DATA does not count the stack of the first thread: one without any limit, of
 * which overflow takes all memory that there is, has that of the data. */
static void limit_endless_stack(uint64_t bytes)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY)
        set_limit(RLIMIT_STACK, bytes, bytes);
}

int mui_limits_begin(const struct mui_limits *limits)
{
    /* what it has now it does not owe to a task */
    uint64_t now = limits->memory_bytes ? mui_limits_data_bytes() : 0;

    if (now > 0 && now < UINT64_MAX - limits->memory_bytes) {
        uint64_t bytes = now + limits->memory_bytes;

        set_limit(RLIMIT_DATA, bytes, bytes);
        /* release, pairs with mui_limits_is_short_of_memory() */
        atomic_store_explicit(&data_limit, bytes, memory_order_release);
        limit_endless_stack(limits->memory_bytes);
    }
    if (limits->file_bytes)
        set_limit(RLIMIT_FSIZE, limits->file_bytes, limits->file_bytes);
    if (limits->open_files)
        set_limit(RLIMIT_NOFILE, limits->open_files, limits->open_files);
    if (limits->cpu_ns)
        (void)mui_limits_renew_cpu(limits->cpu_ns);
    (void)getrlimit(RLIMIT_CPU, &cpu);
    if (nproc)
        set_limit(RLIMIT_NPROC, nproc, nproc);
    return has_group ? mui_confine_limit_processes(limits->processes) : 0;
}

static bool has_no_descriptor(void)
{
    int fd = open("/", O_PATH | O_CLOEXEC);

    if (fd < 0)
        return errno == EMFILE;
    (void)close(fd);
    return false;
}

/* What else the user has comes and goes between a refusal and our look, those of the
 * pool too: for a task that says itself what fork() has said, close to it is enough. */
static bool is_short_of_processes(int code)
{
    const bool says_so = code == EAGAIN || code == -EAGAIN;

    return count_threads_of_user() + (says_so ? the.own_processes : 0) >= nproc;
}

/* The kernel counts refusals for a group. Else it does not: there is still none left,
 * or the task has given some back and knows itself why it failed. */
static enum mu_limit find_struck(int code)
{
    const bool may_look = !(the.sandbox & MU_SANDBOX_PURE);

    if (has_group && mui_confine_has_struck())
        return MU_LIMIT_GROUP_PROCESSES;
    if (nproc && may_look && is_short_of_processes(code))
        return MU_LIMIT_PROCESSES;
    if (the.open_files && may_look && has_no_descriptor())
        return MU_LIMIT_OPEN_FILES;
    return mui_limits_is_short_of_memory(code == ENOMEM || code == -ENOMEM)
               ? MU_LIMIT_MEMORY
               : MU_LIMIT_NONE;
}

void mui_limits_forget(void)
{
    if (!has_group)
        return;
    mui_crash_excuse(true);
    (void)mui_confine_has_struck();
    mui_crash_excuse(false);
}

enum mu_limit mui_limits_struck(int code)
{
    enum mu_limit struck;

    if (code == EMFILE || code == -EMFILE)
        /* relaxed: see mui_limits_lacked_files() */
        atomic_store_explicit(&mui_limits_lacking_files, true,
                              memory_order_relaxed);
    mui_crash_excuse(true);
    struck = find_struck(code);
    mui_crash_excuse(false);
    return struck;
}

/* The kernel counts whole seconds. */
static uint64_t to_seconds(uint64_t ns)
{
    return (ns + 999999999) / 1000000000;
}

/* The hard limit of CPU time: there the kernel kills who blocks, ignores or has put off
 * SIGXCPU. Nobody may raise it for the next task, so it is some tasks' time; a worker that
 * has not enough left for one ends. */
static uint64_t cpu_hard(int64_t cpu_ns)
{
    /* in nanoseconds, too, it is to be a number of the kernel's */
    const uint64_t hard = 2 * to_seconds((uint64_t)cpu_ns) + 1;

    return hard <= INT32_MAX ? hard : RLIM_INFINITY;
}

bool mui_limits_renew_cpu(int64_t cpu_ns)
{
    const uint64_t hard = cpu_hard(cpu_ns);
    struct timespec used;
    uint64_t seconds;

    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) < 0)
        return true;
    seconds =
        (uint64_t)used.tv_sec + (uint64_t)(cpu_ns / 1000000000) +
        to_seconds((uint64_t)used.tv_nsec + (uint64_t)(cpu_ns % 1000000000));
    set_limit(RLIMIT_CPU, seconds, hard);
    return seconds < hard;
}

bool mui_limits_cpu_was_used(const struct mui_limits *limits, int64_t used_ns)
{
    /* the second before it no task has that is within its limit */
    const int64_t part_ns = 500000000;
    const uint64_t hard =
        limits->cpu_ns ? cpu_hard(limits->cpu_ns) : RLIM_INFINITY;

    return hard != RLIM_INFINITY &&
           used_ns >= (int64_t)hard * 1000000000 - part_ns;
}

bool mui_limits_cpu_is_changed(void)
{
    struct rlimit now;

    return getrlimit(RLIMIT_CPU, &now) == 0 &&
           (now.rlim_max != cpu.rlim_max ||
            (!the.cpu_ns && now.rlim_cur != cpu.rlim_cur));
}
