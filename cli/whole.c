/* whole.c: whole files read, whole runs of bytes written. */
#include "whole.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"
#include "standard.h"
#include "wakeup.h"

enum {
    READ_BYTES = 64 * 1024,
    PATIENCE_MS = 2000 /* with who reads what we write, behind a signal */
};

static int read_to_end(int fd, size_t size_max, struct text *ret)
{
    struct stat st;
    size_t room;
    ssize_t n = 0;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if ((uint64_t)st.st_size > size_max)
        return -EFBIG;
    room = (size_t)st.st_size + 1;
    /* one byte more than expected shows the end without a second buffer */
    do {
        ret->size += (size_t)n;
        n = read(fd, text_reserve(ret, room), room);
        room = READ_BYTES; /* it grows, or has no size: files of /proc */
    } while (n > 0 && ret->size + (size_t)n <= size_max);
    if (n < 0)
        return -errno;
    if (n > 0)
        return -EFBIG;
    ret->data[ret->size] = '\0';
    return 0;
}

int whole_read(const char *path, size_t size_max, struct text *ret)
{
    int fd = open(standard_path(path), O_RDONLY | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return -errno;
    rc = read_to_end(fd, size_max, ret);
    (void)close(fd);
    return rc;
}

/* Wait until `fd` takes up to PIPE_BUF bytes; behind a signal for a while only. One that
 * comes just before the wait is seen at its end. 0, -EINTR: nobody takes them; -errno */
static int wait_for_room(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    for (;;) {
        int n_signals = wakeup_n_signals();
        int rc = poll(&p, 1, PATIENCE_MS);

        if (rc > 0)
            return 0; /* or an error, which write() tells */
        if (rc < 0 && errno != EINTR)
            return -errno;
        if (rc == 0 && n_signals)
            return -EINTR;
    }
}

int whole_write(int fd, const char *bytes, size_t size)
{
    struct stat st;
    int waits = fstat(fd, &st) == 0 && !S_ISREG(st.st_mode);

    while (size) {
        int rc = waits ? wait_for_room(fd) : 0;
        ssize_t n;

        if (rc)
            return rc;
        n = write(fd, bytes, waits && size > PIPE_BUF ? PIPE_BUF : size);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return -errno;
        bytes += n;
        size -= (size_t)n;
    }
    return 0;
}

void whole_write_or_die(int fd, const char *what, const char *path,
                        const char *bytes, size_t size)
{
    int rc = whole_write(fd, bytes, size);

    if (rc < 0)
        say_fatal("cannot write to %s%s: %s", what, path, say_reason(-rc));
}

/* It is told to whoever closes any copy of the descriptor. */
int whole_settle(int fd)
{
    int rc;

    do {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        /* to have no room for a copy says nothing of the file */
        if (copy < 0)
            return errno == EMFILE || errno == ENFILE ? 0 : -errno;
        rc = close(copy) < 0 ? -errno : 0;
    } while (rc == -EINTR);
    return rc;
}

int whole_close(int fd)
{
    return close(fd) < 0 ? -errno : 0;
}
