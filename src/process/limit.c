/* limit.c: limits of a worker process.
 *
 * Memory is limited by RLIMIT_DATA: it counts private memory only, so inputs and
 * outputs in shared memory are free of it, and it works for everybody. */
#include "process/limit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "process/crash.h"

enum { PAGE = 4096 };

/* /proc/self/statm, open for the life of the process; -1: not wanted. */
static int statm_fd = -1;

void mui_limits_init(const struct mui_limits *limits)
{
    if (limits->memory_bytes || limits->recycle_bytes)
        statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

/* The sixth number of "size resident shared text lib data ...", in pages. */
uint64_t mui_limits_data_bytes(void)
{
    char text[128];
    int saved = errno;
    ssize_t length = pread(statm_fd, text, sizeof text - 1, 0);
    uint64_t pages = 0;
    int i_word = 0;

    errno = saved;
    for (ssize_t i = 0; i < length; i++) {
        if (text[i] == ' ')
            i_word++;
        else if (i_word == 5 && text[i] >= '0' && text[i] <= '9')
            pages = pages * 10 + (uint64_t)(text[i] - '0');
    }
    return pages * PAGE;
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

void mui_limits_begin(const struct mui_limits *limits)
{
    /* what it has now it does not owe to a task */
    uint64_t now = limits->memory_bytes ? mui_limits_data_bytes() : 0;

    if (now > 0 && now < UINT64_MAX - limits->memory_bytes) {
        set_limit(RLIMIT_DATA, now + limits->memory_bytes,
                  now + limits->memory_bytes);
        mui_crash_set_memory(now + limits->memory_bytes, limits->memory_bytes);
    }
    if (limits->file_bytes)
        set_limit(RLIMIT_FSIZE, limits->file_bytes, limits->file_bytes);
    if (limits->open_files)
        set_limit(RLIMIT_NOFILE, limits->open_files, limits->open_files);
    if (limits->cpu_ns)
        mui_limits_renew_cpu(limits->cpu_ns);
}

void mui_limits_renew_cpu(int64_t cpu_ns)
{
    struct timespec used;
    uint64_t seconds;

    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) < 0)
        return;
    /* the kernel counts whole seconds */
    seconds = (uint64_t)used.tv_sec +
              (uint64_t)(used.tv_nsec + cpu_ns % 1000000000 + 999999999) /
                  1000000000 +
              (uint64_t)(cpu_ns / 1000000000);
    set_limit(RLIMIT_CPU, seconds, RLIM_INFINITY);
}
