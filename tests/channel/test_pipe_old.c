/* test_pipe_old.c: the suite of channels over pipes on a kernel without RWF_NOSIGNAL
 * (before Linux 6.18), where a signal comes before every second write. */
#include <errno.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "channel/hostile_fd.h"
#include "channel/stream.h"

/* The library's too: as such a kernel answers. */
ssize_t pwritev2(int fd, const struct iovec *iodev, int count, off_t offset,
                 int flags)
{
    (void)fd;
    (void)iodev;
    (void)count;
    (void)offset;
    (void)flags;
    errno = EOPNOTSUPP;
    return -1;
}

/* The library's too: a handler ran before the first byte went. */
ssize_t writev(int fd, const struct iovec *iovec, int count)
{
    static _Thread_local unsigned n_calls;

    if (n_calls++ % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_writev, fd, iovec, count);
}

#define SUITE_ADDRESS "pipe:"
#define SUITE_CAPS                                                             \
    (SUITE_DUPLEX | SUITE_ENDS | SUITE_PROCESS | SUITE_FD | SUITE_FULL |       \
     SUITE_STREAM)

static void suite_hostile(struct mu_chan *from, uint64_t *seed)
{
    hostile_write(mui_stream_of(from)->out_fd, seed, 0x6d750001, 2, 1);
}

#include "channel/suite.h"
