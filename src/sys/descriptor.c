/* descriptor.c: marking, moving, finding and dropping descriptors. */
#include "sys/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct mui_descriptor_mark mui_descriptor_mark(int fd)
{
    struct mui_descriptor_mark mark = {.inode = 0};
    struct stat st;

    if (fstat(fd, &st) == 0) {
        mark.device = st.st_dev;
        mark.inode = st.st_ino;
    }
    return mark;
}

bool mui_descriptor_is(int fd, const struct mui_descriptor_mark *mark)
{
    int saved = errno;
    struct mui_descriptor_mark now = mui_descriptor_mark(fd);

    errno = saved;
    return now.inode != 0 && now.inode == mark->inode &&
           now.device == mark->device;
}

int mui_descriptor_above_stdio(int fd)
{
    int high;
    int rc;

    if (fd < 0)
        return -errno;
    if (fd > 2)
        return fd;
    high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    rc = high < 0 ? -errno : high;
    (void)close(fd);
    return rc;
}

int mui_descriptors_above_stdio(int rc, int fds[2])
{
    if (rc < 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        fds[i] = mui_descriptor_above_stdio(fds[i]);
        if (fds[i] < 0) {
            (void)close(fds[1 - i]);
            return fds[i];
        }
    }
    return 0;
}

int mui_descriptor_high(int fd)
{
    /* tables of that many descriptors are small still; no host with a lower limit is left
     * out */
    enum { HIGH = 200 };
    int high = -1;

    for (int from = HIGH; fd >= 0 && high < 0 && from > 3; from /= 2)
        high = fcntl(fd, F_DUPFD_CLOEXEC, from);
    if (high < 0)
        return fd;
    (void)close(fd);
    return high;
}

struct mui_kept_file mui_kept_file_open(const char *path)
{
    struct mui_kept_file file = {
        .fd = mui_descriptor_high(open(path, O_RDONLY | O_CLOEXEC))};

    if (file.fd >= 0)
        file.mark = mui_descriptor_mark(file.fd);
    return file;
}

ssize_t mui_kept_file_read(const struct mui_kept_file *file, char *ret_text,
                           size_t size)
{
    int saved = errno;
    ssize_t length = -1;

    if (file->fd >= 0 && mui_descriptor_is(file->fd, &file->mark))
        length = pread(file->fd, ret_text, size - 1, 0);
    ret_text[length > 0 ? length : 0] = '\0';
    errno = saved;
    return length;
}

struct mui_descriptor_path mui_descriptor_path(int fd)
{
    struct mui_descriptor_path path;

    (void)snprintf(path.text, sizeof path.text, "/proc/thread-self/fd/%d", fd);
    return path;
}

static int by_number(const void *a, const void *b)
{
    int x = *(const int *)a;
    int y = *(const int *)b;

    return (x > y) - (x < y);
}

static void close_from_to(unsigned first, unsigned last)
{
    struct rlimit limit;

    if (first > last || close_range(first, last, 0) == 0)
        return;
    /* a kernel before 5.9 */
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    for (unsigned fd = first; fd <= last && fd < limit.rlim_cur; fd++)
        (void)close((int)fd);
}

_Atomic uint32_t mui_n_descriptors_kept;

void mui_descriptors_keep(int *keep, unsigned n)
{
    unsigned first = 3;

    /* relaxed: a process that is set up has one thread */
    (void)atomic_fetch_add_explicit(&mui_n_descriptors_kept, 1,
                                    memory_order_relaxed);
    qsort(keep, n, sizeof *keep, by_number);
    for (unsigned i = 0; i < n; i++) {
        if (keep[i] < (int)first)
            continue;
        if (keep[i] > (int)first)
            close_from_to(first, (unsigned)keep[i] - 1);
        first = (unsigned)keep[i] + 1;
    }
    close_from_to(first, UINT_MAX);
}

/* What reads as an empty file, also where /dev/null is missing, or for readers only. */
static int open_nothing(void)
{
    int fd = open("/dev/null", O_RDWR);
    int ends[2];

    if (fd < 0)
        fd = open("/dev/null", O_RDONLY);
    if (fd >= 0 || pipe(ends) < 0)
        return fd;
    (void)close(ends[1]);
    return ends[0];
}

void mui_descriptors_detach_input(void)
{
    int fd = open_nothing();

    while (fd >= 0 && fd < 3) /* it took the place of a closed one */
        fd = open_nothing();
    if (fd < 0)
        return;
    (void)dup2(fd, STDIN_FILENO);
    (void)close(fd);
}
