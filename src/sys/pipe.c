/* pipe.c: pipes without signals. */
#include "sys/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#ifndef RWF_NOSIGNAL
#    define RWF_NOSIGNAL 0x00000100 /* Linux 6.18 */
#endif

/* What /proc/sys/fs/pipe-max-size says by default. Pages are taken as they are used. */
#define PIPE_BYTES (1 << 20)

/* Whether the kernel lacks RWF_NOSIGNAL; found at the first write. */
static _Atomic bool lacks_nosignal;

/* Write with SIGPIPE held back, and take away the one that this write made. */
static ssize_t write_masked(int fd, const struct iovec *iov, int n)
{
    static const struct timespec now = {0, 0};
    sigset_t pipe_set;
    sigset_t pending;
    sigset_t before;
    ssize_t rc;

    (void)sigemptyset(&pipe_set);
    (void)sigaddset(&pipe_set, SIGPIPE);
    (void)sigpending(&pending);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_set, &before);
    do
        rc = writev(fd, iov, n);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        rc = -errno;
    if (rc == -EPIPE && !sigismember(&pending, SIGPIPE)) {
        while (sigtimedwait(&pipe_set, NULL, &now) < 0 && errno == EINTR)
            ;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

/* On an old kernel: never more than poll() promises room for. */
static ssize_t write_old(int fd, const struct iovec *iov, int n, bool waits)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    struct iovec one;

    if (waits)
        return write_masked(fd, iov, n);
    if (poll(&p, 1, 0) <= 0)
        return -EAGAIN;
    one = iov[0];
    if (one.iov_len > PIPE_BUF)
        one.iov_len = PIPE_BUF;
    return write_masked(fd, &one, 1);
}

ssize_t mui_pipe_write(int fd, const struct iovec *iov, int n, bool waits)
{
    int flags = RWF_NOSIGNAL | (waits ? 0 : RWF_NOWAIT);
    ssize_t rc;

    /* relaxed: every thread finds the same */
    if (atomic_load_explicit(&lacks_nosignal, memory_order_relaxed))
        return write_old(fd, iov, n, waits);
    do
        rc = pwritev2(fd, iov, n, -1, flags);
    while (rc < 0 && errno == EINTR);
    if (rc >= 0)
        return rc;
    if (errno != EOPNOTSUPP && errno != EINVAL)
        return -errno;
    atomic_store_explicit(&lacks_nosignal, true, memory_order_relaxed);
    return write_old(fd, iov, n, waits);
}

ssize_t mui_pipe_read(int fd, void *buffer, size_t size, bool waits)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t rc;

    if (!waits && poll(&p, 1, 0) <= 0)
        return -EAGAIN;
    do
        rc = read(fd, buffer, size);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : rc;
}

ssize_t mui_pipe_peek(int fd, void *buffer, size_t size)
{
    size_t done = 0;
    ssize_t rc;
    int copy[2];

    if (pipe2(copy, O_CLOEXEC) < 0)
        return -errno;
    /* room for as many buffers as the other may have, however little is in each */
    (void)fcntl(copy[1], F_SETPIPE_SZ, fcntl(fd, F_GETPIPE_SZ));
    rc = tee(fd, copy[1], size, SPLICE_F_NONBLOCK);
    if (rc < 0)
        rc = -errno;
    while (rc > 0 && done < (size_t)rc) {
        ssize_t n = read(copy[0], (char *)buffer + done, (size_t)rc - done);

        if (n <= 0)
            break;
        done += (size_t)n;
    }
    (void)close(copy[0]);
    (void)close(copy[1]);
    return rc < 0 ? rc : (ssize_t)done;
}

void mui_pipe_widen(int fd)
{
    (void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
}
