/* wait.c: poll with an absolute deadline; bells; growing buffers. */
#include "channel/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sys/descriptor.h"

#define BUFFER_MIN  ((size_t)4096)
#define BUFFER_KEEP ((size_t)4 << 20)

int mui_wait_fds(struct pollfd *fds, nfds_t n, int64_t deadline)
{
    for (;;) {
        struct timespec ts = {0, 0};
        int rc;

        if (deadline != MU_NOW && deadline != MU_NEVER) {
            int64_t left = deadline - mu_now_ns();

            if (left > 0)
                ts = (struct timespec){.tv_sec = left / 1000000000,
                                       .tv_nsec = left % 1000000000};
        }
        rc = ppoll(fds, n, deadline == MU_NEVER ? NULL : &ts, NULL);
        if (rc > 0)
            return 0;
        if (rc == 0)
            return MU_TIMEOUT;
        if (errno != EINTR)
            return -errno;
    }
}

int mui_wait_fd(int fd, short events, int64_t deadline)
{
    struct pollfd p = {.fd = fd, .events = events};

    return mui_wait_fds(&p, 1, deadline);
}

void mui_bell_ring(int sock)
{
    int saved = errno;

    (void)send(sock, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    errno = saved;
}

int mui_bell_drain(int sock)
{
    char bytes[64];
    ssize_t n = recv(sock, bytes, sizeof bytes, MSG_DONTWAIT);

    if (n > 0)
        return 0;
    return n == 0 || (errno != EAGAIN && errno != EINTR);
}

int mui_fd_set_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ? -errno
                                                                    : 0;
}

int mui_accept(int listen_sock, int64_t deadline, int *ret_sock)
{
    struct pollfd p = {.fd = listen_sock, .events = POLLIN};
    int sock;

    do { /* who connected may have gone again */
        int rc = mui_wait_fds(&p, 1, deadline);

        if (rc != 0)
            return rc;
        if (p.revents & POLLHUP)
            return MU_CLOSED;
        sock = mui_descriptor_above_stdio(
            accept4(listen_sock, NULL, NULL, SOCK_CLOEXEC));
    } while (sock == -EAGAIN || sock == -ECONNABORTED);
    if (sock < 0)
        return sock;
    *ret_sock = sock;
    return 0;
}

int mui_listener_close(int listen_sock)
{
    int sock;

    /* a TCP socket forgets who waits; a Unix socket keeps them */
    (void)shutdown(listen_sock, SHUT_RDWR);
    while ((sock = accept4(listen_sock, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        (void)close(sock);
    return 0;
}

/* poll() does not tell when a queue has room again: only a connect() that waits
 * does, for as long as the socket's time to send. */
int mui_unix_connect(int sock, const struct sockaddr_un *at, socklen_t size,
                     int64_t deadline)
{
    struct timeval limit = {.tv_sec = 0};
    int rc;

    do {
        if (deadline != MU_NEVER) {
            int64_t left = (deadline - mu_now_ns()) / 1000;

            if (left < 1) /* 0 would be for ever */
                left = 1;
            limit = (struct timeval){.tv_sec = left / 1000000,
                                     .tv_usec = left % 1000000};
        }
        if (setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0)
            return -errno;
        rc = connect(sock, (const struct sockaddr *)at, size) < 0 ? -errno : 0;
    } while (rc == -EINTR ||
             (rc == -EAGAIN && deadline != MU_NOW && mu_now_ns() < deadline));
    if (rc != 0)
        return rc == -EAGAIN ? MU_TIMEOUT : rc;
    limit = (struct timeval){.tv_sec = 0};
    return setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0
               ? -errno
               : 0;
}

int mui_peer_check(int sock, const struct mu_chan_options *options)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -EACCES;
    if (options->allow)
        return options->allow(options->allow_ctx, (int)peer.pid, peer.uid,
                              peer.gid)
                   ? 0
                   : -EACCES;
    return peer.uid == geteuid() ? 0 : -EACCES;
}

int mui_buffer_grow(struct mui_buffer *b, size_t size)
{
    size_t capacity = b->capacity ? b->capacity : BUFFER_MIN;
    size_t before = b->data ? (size_t)(b->data - b->base) : 0;
    size_t after;
    char *base;

    if (size <= b->capacity)
        return 0;
    while (capacity < size)
        capacity *= 2;
    base = realloc(b->base, capacity + MUI_BUFFER_ALIGN);
    if (!base)
        return -ENOMEM;
    after = -(uintptr_t)base & (MUI_BUFFER_ALIGN - 1);
    if (b->data && after != before)
        memmove(base + after, base + before, b->capacity);
    *b = (struct mui_buffer){
        .data = base + after, .capacity = capacity, .base = base};
    return 0;
}

void mui_buffer_trim(struct mui_buffer *b)
{
    if (b->capacity > BUFFER_KEEP)
        mui_buffer_fini(b);
}

void mui_buffer_fini(struct mui_buffer *b)
{
    free(b->base);
    *b = (struct mui_buffer){.data = NULL};
}
