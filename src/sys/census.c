/* census.c: threads and children of this process, from /proc. See proc(5). */
#include "sys/census.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sys/sanitize.h"

/* threads of the sanitizer's own */
enum { N_FOREIGN = MUI_TSAN };

unsigned mui_census_files(void)
{
    struct stat st;

    return stat("/proc/self/fd", &st) < 0 ? 0 : (unsigned)st.st_size;
}

int64_t mui_census_cpu_ns(pid_t pid)
{
    /* of the clocks of a process: by ticks, not as the scheduler has it */
    enum { KINDS = 3 };
    struct timespec used;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 ||
        clock_gettime(clock & ~KINDS, &used) < 0)
        return 0;
    return used.tv_sec * INT64_C(1000000000) + used.tv_nsec;
}

bool mui_census_has_children(void)
{
    siginfo_t info;

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

uint64_t mui_census_waited(void)
{
    struct rusage used = {.ru_minflt = 0};

    (void)getrusage(RUSAGE_CHILDREN, &used);
    return (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec +
                      used.ru_minflt + used.ru_majflt);
}

/* Whether processes have the numbers there that they have here. In a PID namespace that still
 * has the /proc of one above they do not, and what it says of a number is another's. (Of
 * /proc/self it says what is ours.) */
static bool has_our_numbers(void)
{
    char text[32];
    ssize_t length = readlink("/proc/self", text, sizeof text - 1);

    if (length <= 0)
        return false;
    text[length] = '\0';
    return strtol(text, NULL, 10) == (long)getpid();
}

enum { STAT_TEXT = 512 };

/* What is told of a process or thread behind "PID (NAME)", from " STATE PPID ..." on. NULL: it
 * has gone. */
static const char *read_stat(const char *path, char text[STAT_TEXT])
{
    ssize_t length;
    char *name_end;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return NULL;
    length = read(fd, text, STAT_TEXT - 1);
    (void)close(fd);
    if (length <= 0)
        return NULL;
    text[length] = '\0';
    name_end = strrchr(text, ')'); /* the name may hold any character */
    return name_end ? name_end + 1 : NULL;
}

/* A field of it, counted from 1 as in proc(5), not one of the first three. -1: it has gone. */
static long long stat_field(const char *path, int i_field)
{
    char text[STAT_TEXT];
    const char *at = read_stat(path, text);

    for (int i = 3; at && i < i_field; i++)
        at = strchr(at + 1, ' ');
    return at ? strtoll(at, NULL, 10) : -1;
}

static long long process_field(pid_t pid, int i_field)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    return stat_field(path, i_field);
}

int mui_census_end_status(pid_t pid)
{
    return (int)process_field(pid, 52);
}

pid_t mui_census_parent(pid_t pid)
{
    return (pid_t)process_field(pid, 4);
}

/* -- threads -- */

/* How many there are to be seen, those that end among them; 0: there is no /proc to ask. */
static unsigned count_seen(void)
{
    struct stat st;

    /* a directory has two links of its own and one for each below it */
    if (stat("/proc/self/task", &st) < 0 || st.st_nlink < 3 + N_FOREIGN)
        return 0;
    return (unsigned)st.st_nlink - 2 - N_FOREIGN;
}

/* The kernel lets a thread leave its process where it is the only one: nothing happens then.
 * See unshare(2), CLONE_THREAD. */
static bool is_alone(void)
{
    return N_FOREIGN > 0 || unshare(CLONE_THREAD) == 0 || errno != EINVAL;
}

/* Whether it runs nothing of the program's any more: it is gone, or was joined. The
 * kernel says so before it wakes who waits, and takes it off the list after that; the
 * first thread of a process stays on it as long as there are others. */
static bool has_ended(const char *thread)
{
    enum { PF_EXITING = 4 }; /* proc(5): stat, flags */
    char path[300];

    (void)snprintf(path, sizeof path, "/proc/self/task/%s/stat", thread);
    return (stat_field(path, 9) & PF_EXITING) != 0; /* all bits of -1 are set */
}

unsigned mui_census_threads(void)
{
    unsigned n = count_seen();
    DIR *threads = n > 1 ? opendir("/proc/self/task") : NULL;
    struct dirent *entry;

    if (n == 0)
        return is_alone() ? 1 : 2;
    if (!threads)
        return n;
    for (n = 0; (entry = readdir(threads)) != NULL;)
        n += isdigit((unsigned char)entry->d_name[0]) &&
             !has_ended(entry->d_name);
    (void)closedir(threads);
    return n > 1 + N_FOREIGN ? n - N_FOREIGN : 1;
}

bool mui_census_has_threads_beyond(unsigned n)
{
    return count_seen() > n && mui_census_threads() > n;
}

/* -- who was there before -- */

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Whether it started before, by the time since boot in ticks of the kernel's. */
static bool is_older(const char *path, int64_t then_ticks)
{
    long long start = stat_field(path, 22);

    return start >= 0 && start < then_ticks;
}

/* Children of one thread of this process. -1: the kernel does not tell. */
static int has_older_child(const char *thread, int64_t then_ticks)
{
    char path[300];
    FILE *file;
    bool found = false;
    int pid;

    (void)snprintf(path, sizeof path, "/proc/self/task/%s/children", thread);
    file = fopen(path, "re");
    if (!file)
        return errno == ENOENT && access("/proc/thread-self/children", F_OK)
                   ? -1
                   : 0; /* the thread has ended */
    while (!found && fscanf(file, "%d", &pid) == 1) {
        (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
        found = is_older(path, then_ticks);
    }
    (void)fclose(file);
    return found;
}

bool mui_census_has_older(unsigned n_own, int64_t then_ns)
{
    const int64_t tick_ns = INT64_C(1000000000) / sysconf(_SC_CLK_TCK);
    const int64_t then_ticks =
        (then_ns + clock_ns(CLOCK_BOOTTIME) - clock_ns(CLOCK_MONOTONIC)) /
        tick_ns;
    DIR *threads = opendir("/proc/self/task");
    unsigned n_older = 0;
    struct dirent *entry;
    bool found = !threads;

    while (!found && (entry = readdir(threads)) != NULL) {
        char path[300];

        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/stat",
                       entry->d_name);
        n_older += is_older(path, then_ticks) && !has_ended(entry->d_name);
        found = has_older_child(entry->d_name, then_ticks) != 0;
    }
    if (threads)
        (void)closedir(threads);
    return found || n_older > n_own + N_FOREIGN;
}

/* What follows a name in the status of a process or thread; -1: it is not there. */
static long status_field(pid_t pid, const char *name)
{
    char text[4096];
    const char *at;
    ssize_t length;
    int fd;

    (void)snprintf(text, sizeof text, "/proc/%d/status", (int)pid);
    fd = open(text, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    length = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[length > 0 ? length : 0] = '\0';
    at = strstr(text, name);
    return at ? strtol(at + strlen(name), NULL, 10) : -1;
}

bool mui_census_dumps_core(pid_t pid)
{
    return status_field(pid, "\nCoreDumping:\t") == 1;
}

pid_t mui_census_process_of(pid_t thread)
{
    return (pid_t)status_field(thread, "\nTgid:\t");
}

/* Whether a thread can run no more; one that has gone meanwhile cannot. */
static bool is_over(const char *path, bool was_killed)
{
    char text[STAT_TEXT];
    const char *stat = read_stat(path, text);

    /* zombie, dead; stopped by a tracer: see proc(5) */
    return !stat || strchr(was_killed ? "ZXt" : "ZX", stat[1]);
}

bool mui_census_is_over(pid_t pid, bool was_killed)
{
    char path[300];
    DIR *threads;
    struct dirent *entry;
    bool any_left = false;

    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    threads = has_our_numbers() ? opendir(path) : NULL;
    if (!threads)
        return false;
    while (!any_left && (entry = readdir(threads)) != NULL) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        (void)snprintf(path, sizeof path, "/proc/%d/task/%s/stat", (int)pid,
                       entry->d_name);
        any_left = !is_over(path, was_killed);
    }
    (void)closedir(threads);
    return !any_left;
}

/* -- children -- */

static int walk_all(void (*each)(void *ctx, pid_t child), void *ctx)
{
    DIR *proc = opendir("/proc");
    pid_t self = getpid();
    struct dirent *entry;

    if (!proc)
        return -errno;
    while ((entry = readdir(proc)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

        if (pid > 0 && mui_census_parent(pid) == self)
            each(ctx, pid);
    }
    (void)closedir(proc);
    return 0;
}

int mui_census_children(void (*each)(void *ctx, pid_t child), void *ctx)
{
    char path[64];
    FILE *file;
    int pid;

    if (!has_our_numbers())
        return -ENOENT;
    /* of the calling thread only: enough where there is one */
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children",
                   (int)gettid());
    file = fopen(path, "re");
    if (!file) /* not in every kernel */
        return walk_all(each, ctx);
    while (fscanf(file, "%d", &pid) == 1)
        each(ctx, (pid_t)pid);
    (void)fclose(file);
    return 0;
}

void mui_census_try_children(void (*each)(void *ctx, pid_t child), void *ctx)
{
    enum { PID_END = 4 * 1024 * 1024 }; /* the kernel's PID_MAX_LIMIT */
    siginfo_t info;

    for (pid_t pid = 1; pid < PID_END; pid++)
        if (waitid(P_PID, (id_t)pid, &info,
                   WEXITED | WNOHANG | WNOWAIT | __WALL) == 0)
            each(ctx, pid);
}

unsigned mui_census_children_of(pid_t pid, pid_t *ret_pids, unsigned n_max)
{
    char path[300];
    DIR *threads;
    struct dirent *entry;
    unsigned n = 0;

    if (!has_our_numbers())
        return 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    threads = opendir(path);
    while (threads && (entry = readdir(threads)) != NULL) {
        FILE *file;

        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        (void)snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)pid,
                       entry->d_name);
        file = fopen(path, "re");
        while (file && n < n_max && fscanf(file, "%d", &ret_pids[n]) == 1)
            n++;
        if (file)
            (void)fclose(file);
    }
    if (threads)
        (void)closedir(threads);
    return n;
}
