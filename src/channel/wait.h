/* wait.h: waiting for descriptors until a deadline, and small things that the
 * transports made of descriptors share. */
#ifndef MUI_CHANNEL_WAIT_H
#define MUI_CHANNEL_WAIT_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "muster/channel.h"

#include "sys/clock.h"

/* Until when a call that waits from now on watches before it sleeps. */
static inline int64_t mui_spin_until(const struct mu_chan_options *o,
                                     int64_t deadline)
{
    int64_t until = mui_clock_add(mu_now_ns(), o->spin_ns);

    return until < deadline ? until : deadline;
}

/* Wait until one of `fds` is ready. 0; MU_TIMEOUT; -errno. Goes on after EINTR. */
int mui_wait_fds(struct pollfd *fds, nfds_t n, int64_t deadline);
/* The same for one. */
int mui_wait_fd(int fd, short events, int64_t deadline);

/* Send one byte that means "look", never waiting and without SIGPIPE. It does not
 * matter whether it arrives: then others wait there already, or nobody is left. */
void mui_bell_ring(int sock);
/* Take such bytes away. 1: the other side is gone; 0. */
int mui_bell_drain(int sock);

/* Let a descriptor's calls wait. 0 or -errno. */
int mui_fd_set_blocking(int fd);

/* Take one connection from a listening socket that does not block. 0; MU_TIMEOUT;
 * MU_CLOSED: mui_listener_close() was called, in any process; -errno. The new
 * descriptor blocks, and is closed on exec. */
int mui_accept(int listen_sock, int64_t deadline, int *ret_sock);

/* Let nobody connect any more, and hang up on those who were not taken. Returns 0. */
int mui_listener_close(int listen_sock);

/* Connect a Unix socket that blocks. While the listener's queue is full it waits.
 * 0; MU_TIMEOUT; -errno. */
int mui_unix_connect(int sock, const struct sockaddr_un *at, socklen_t size,
                     int64_t deadline);

/* Whether the peer of a Unix socket is allowed by the options. 0; -EACCES. */
int mui_peer_check(int sock, const struct mu_chan_options *options);

/* Where copies are fast, the kernel's too. */
#define MUI_BUFFER_ALIGN 64

/* Memory that grows as bytes arrive. Zeroed is empty. */
struct mui_buffer {
    char *data; /* [capacity], aligned */
    size_t capacity;
    char *base; /* as it was allocated */
};
/* Make room for `size` bytes, keeping those there; at least doubles. 0; -ENOMEM. */
int mui_buffer_grow(struct mui_buffer *b, size_t size);
/* Give a large one back, so that one large message is not paid for ever. */
void mui_buffer_trim(struct mui_buffer *b);
void mui_buffer_fini(struct mui_buffer *b);

#endif
