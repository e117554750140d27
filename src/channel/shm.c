/* shm.c: shared-memory channels: pairs, and names that senders connect to.
 *
 * A name is an abstract Unix socket. Who connects gets, over that connection, a
 * sealed piece of memory with a ring each way and a second socket; the connection
 * itself becomes the first. So nothing lies in a file system, nothing can be cut
 * short, and the kernel tells of a peer's end.
 *
 * Whoever opened the name can take connections one by one, each a channel of two,
 * or receive from all of them: then each sender has a ring of its own here (a
 * lane), and a sender killed at any instruction harms no other. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "channel/channel.h"
#include "channel/shm_end.h"
#include "sys/descriptor.h"

#define SHM_LANES_MAX 256
#define SHM_MAGIC     UINT64_C(0x6e616863756d0001) /* "muchan", version 1 */
#define SHM_BACKLOG   128
#define HUB_SPINS     16
#define HUB_BUSY      1024 /* so many messages, and others are let in */
#define HUB_SLICE_NS                                                           \
    10000000 /* of a sleep without membarrier, or descriptors */

/* What the opener sends to who connects, with memory and second socket. */
struct shm_hello {
    uint64_t magic;
    uint64_t ring_bytes;
};

struct shm_lane {
    struct mui_shm_end end;
    bool is_marked; /* its socket had something to say */
};

/* The receiver of many. */
struct shm_hub {
    int listen_sock;
    int epoll_fd;      /* -1 until the user wants to watch */
    bool is_listening; /* somebody else could be taken in; see hub_listen() */
    bool is_over;      /* mu_chan_close() was called in another process */
    unsigned n_lanes;
    unsigned i_next; /* where the next look begins: lanes take turns */
    unsigned i_lent; /* the lane whose message is lent */
    unsigned n_lent; /* messages since somebody could come in */
    bool had_lanes;  /* one ended since MU_CLOSED was last answered */
    struct shm_lane *lanes[SHM_LANES_MAX];
};

struct shm_state {
    struct mui_shm_end end; /* of a pair or a connection */
    struct shm_hub *hub;    /* of an open name; else NULL */
};

static struct shm_state *shm_state(const struct mu_chan *c)
{
    return (struct shm_state *)(void *)(uintptr_t)c->state;
}

static int stream_pair(int ret_socks[2])
{
    return mui_descriptors_above_stdio(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_socks),
        ret_socks);
}

static int shm_pair(struct mu_chan *a, struct mu_chan *b, const char *rest,
                    struct mu_error *err)
{
    uint64_t ring_bytes = a->options.ring_bytes;
    int data[2];
    int room[2];
    int memfd;
    int rc;

    if (*rest != '\0')
        return mui_fail(err, -EINVAL, "shm: a pair has no name");
    memfd = mui_shm_memory(ring_bytes);
    if (memfd < 0)
        return mui_fail(err, memfd, "shm: memory");
    rc = stream_pair(data);
    if (rc < 0) {
        (void)mui_fail(err, rc, "shm: socketpair");
        goto close_memfd;
    }
    rc = stream_pair(room);
    if (rc < 0) {
        (void)mui_fail(err, rc, "shm: socketpair");
        goto close_data;
    }
    rc = mui_shm_end_init(&shm_state(a)->end, &a->options, memfd, ring_bytes,
                          true, data[0], room[0]);
    if (rc != 0) {
        (void)mui_fail(err, rc, "shm: map");
        goto close_room;
    }
    rc = mui_shm_end_init(&shm_state(b)->end, &b->options, memfd, ring_bytes,
                          false, data[1], room[1]);
    if (rc != 0) { /* a has its sockets already */
        (void)mui_fail(err, rc, "shm: map");
        (void)close(data[1]);
        (void)close(room[1]);
        goto close_memfd;
    }
    (void)close(memfd);
    a->can_send = a->can_recv = b->can_send = b->can_recv = true;
    return 0;

close_room:
    (void)close(room[0]);
    (void)close(room[1]);
close_data:
    (void)close(data[0]);
    (void)close(data[1]);
close_memfd:
    (void)close(memfd);
    return rc;
}

/* The abstract address of a name; an empty name asks for a free one. */
static int shm_address(const char *rest, struct sockaddr_un *ret,
                       socklen_t *ret_size, struct mu_error *err)
{
    int n;

    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    *ret_size = sizeof(sa_family_t);
    if (*rest == '\0')
        return 0;
    if (*rest == '@') /* as mu_chan_address() gives for a name that was free */
        n = snprintf(ret->sun_path + 1, sizeof ret->sun_path - 1, "%s",
                     rest + 1);
    else
        n = snprintf(ret->sun_path + 1, sizeof ret->sun_path - 1,
                     "muster-shm-%s", rest);
    if (n < 0 || (size_t)n >= sizeof ret->sun_path - 1)
        return mui_fail(err, -ENAMETOOLONG, "shm: the name \"%s\"", rest);
    *ret_size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    return 0;
}

/* Keep the name that the kernel chose. */
static int shm_keep_name(struct mu_chan *c, int sock)
{
    struct sockaddr_un at;
    socklen_t size = sizeof at;
    char text[sizeof at.sun_path + 8];
    int n;

    if (getsockname(sock, (struct sockaddr *)&at, &size) < 0)
        return -errno;
    n = (int)(size - offsetof(struct sockaddr_un, sun_path)) - 1;
    if (n <= 0)
        return -EIO;
    (void)snprintf(text, sizeof text, "shm:@%.*s", n, at.sun_path + 1);
    c->address = strdup(text);
    return c->address ? 0 : -ENOMEM;
}

static int shm_open_name(struct mu_chan *c, const char *rest,
                         struct mu_error *err)
{
    struct shm_state *s = shm_state(c);
    struct sockaddr_un at;
    socklen_t size;
    int rc = shm_address(rest, &at, &size, err);

    if (rc != 0)
        return rc;
    s->hub = calloc(1, sizeof *s->hub);
    if (!s->hub)
        return mui_fail(err, -ENOMEM, "shm: open");
    s->hub->epoll_fd = -1;
    s->hub->listen_sock = mui_descriptor_above_stdio(
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (s->hub->listen_sock < 0)
        return mui_fail(err, s->hub->listen_sock, "shm: socket");
    if (bind(s->hub->listen_sock, (struct sockaddr *)&at, size) < 0 ||
        listen(s->hub->listen_sock, SHM_BACKLOG) < 0)
        return mui_fail(err, -errno, "shm: open the name \"%s\"", rest);
    if (*rest == '\0' && (rc = shm_keep_name(c, s->hub->listen_sock)) != 0)
        return mui_fail(err, rc, "shm: its own name");
    s->hub->is_listening = true;
    c->is_listener = c->can_recv = true;
    return 0;
}

/* Send the hello with two descriptors. 0 or -errno. */
static int hello_send(int sock, const struct shm_hello *hello, const int fds[2])
{
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)hello,
                        .iov_len = sizeof *hello};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
    return sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT) ==
                   (ssize_t)sizeof *hello
               ? 0
               : -EPIPE;
}

/* Receive it. Gives two descriptors, or none on failure. */
static int hello_recv(int sock, struct shm_hello *ret_hello, int ret_fds[2])
{
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    struct iovec iov = {.iov_base = ret_hello, .iov_len = sizeof *ret_hello};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m);
    size_t n_fds = 0;
    int fds[2];

    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (n_fds > 2)
            n_fds = 2;
        memcpy(fds, CMSG_DATA(c), n_fds * sizeof(int));
    }
    if (n == (ssize_t)sizeof *ret_hello && n_fds == 2 &&
        ret_hello->magic == SHM_MAGIC) {
        int rc = mui_descriptors_above_stdio(0, fds);

        if (rc < 0)
            return rc;
        ret_fds[0] = fds[0];
        ret_fds[1] = fds[1];
        return 0;
    }
    for (size_t i = 0; i < n_fds; i++)
        (void)close(fds[i]);
    if (n > 0 && n_fds < 2 && (m.msg_flags & MSG_CTRUNC))
        return -EMFILE; /* the kernel drops what it has no number for */
    /* a listener that goes resets whom it did not accept */
    return n == 0 || (n < 0 && errno == ECONNRESET) ? -ECONNREFUSED
                                                    : MU_ECORRUPT;
}

static int shm_connect(struct mu_chan *c, const char *rest, int64_t deadline,
                       struct mu_error *err)
{
    struct sockaddr_un at;
    struct shm_hello hello;
    socklen_t size;
    int fds[2];
    int sock;
    int rc = shm_address(rest, &at, &size, err);

    if (rc != 0)
        return rc;
    sock = mui_descriptor_above_stdio(
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (sock < 0)
        return mui_fail(err, sock, "shm: socket");
    rc = mui_unix_connect(sock, &at, size, deadline);
    if (rc == 0)
        rc = mui_peer_check(sock, &c->options);
    if (rc == 0)
        rc = mui_wait_fd(sock, POLLIN, deadline);
    if (rc == 0)
        rc = hello_recv(sock, &hello, fds);
    if (rc == MU_TIMEOUT)
        goto close_sock;
    if (rc != 0) {
        (void)mui_fail(err, rc, "shm: connect to \"%s\"", rest);
        goto close_sock;
    }
    rc = mui_shm_end_init(&shm_state(c)->end, &c->options, fds[0],
                          hello.ring_bytes, false, sock, fds[1]);
    (void)close(fds[0]);
    if (rc != 0) {
        (void)mui_fail(err, rc, "shm: map the memory of \"%s\"", rest);
        (void)close(fds[1]);
        goto close_sock;
    }
    mui_shm_end_come(&shm_state(c)->end);
    c->can_send = c->can_recv = true;
    return 0;

close_sock:
    (void)close(sock);
    return rc;
}

/* Make an end for one who has still to be taken: gives it without a connection, and what
 * he is to be sent, memory and second socket. */
static int end_make(struct mui_shm_end *e, const struct mu_chan_options *o,
                    int ret_fds[2])
{
    int memfd = mui_shm_memory(o->ring_bytes);
    int room[2];
    int rc;

    if (memfd < 0)
        return memfd;
    rc = stream_pair(room);
    if (rc < 0)
        goto close_memfd;
    rc = mui_shm_end_init(e, o, memfd, o->ring_bytes, true, -1, room[0]);
    if (rc != 0)
        goto close_room;
    ret_fds[0] = memfd;
    ret_fds[1] = room[1];
    return 0;

close_room:
    (void)close(room[0]);
    (void)close(room[1]);
close_memfd:
    (void)close(memfd);
    return rc;
}

/* Take one who connects. All that it takes is made before: for want of memory or
 * descriptors he is not hung up on, and goes on to wait. 0; MU_TIMEOUT; MU_CLOSED;
 * -EACCES, -EPIPE: he was taken, and hung up on; -errno: he waits. */
static int shm_take(int listen_sock, const struct mu_chan_options *o,
                    int64_t deadline, struct mui_shm_end *e)
{
    struct shm_hello hello = {.magic = SHM_MAGIC, .ring_bytes = o->ring_bytes};
    int fds[2] = {-1, -1};
    int rc = mui_wait_fd(listen_sock, POLLIN, deadline);

    if (rc == 0)
        rc = end_make(e, o, fds);
    if (rc != 0)
        return rc;
    rc = mui_accept(listen_sock, deadline, &e->data_sock);
    if (rc == 0)
        rc = mui_peer_check(e->data_sock, o);
    if (rc == 0)
        rc = hello_send(e->data_sock, &hello, fds);
    (void)close(fds[0]);
    (void)close(fds[1]);
    if (rc != 0)
        mui_shm_end_fini(e);
    return rc;
}

static int shm_accept(struct mu_chan *c, struct mu_chan *peer, int64_t deadline,
                      struct mu_error *err)
{
    int rc;

    do /* who was hung up on died while it connected */
        rc = shm_take(shm_state(c)->hub->listen_sock, &peer->options, deadline,
                      &shm_state(peer)->end);
    while (rc == -EPIPE);
    if (rc < 0)
        return mui_fail(err, rc, "shm: accept");
    peer->can_send = peer->can_recv = rc == 0;
    return rc;
}

/* ---- receiving from many ---------------------------------------------------- */

/* Let sleeps and the user's descriptor end with a connection, or not: while nobody can
 * be taken in they would end at once, for nothing, all the time. With the end of the name
 * they do in any case, which poll() tells whatever it is asked. */
static void hub_listen(struct shm_hub *h, bool is_listening)
{
    struct epoll_event ev = {.events = is_listening ? EPOLLIN : 0};

    if (h->epoll_fd >= 0 && h->is_listening != is_listening &&
        epoll_ctl(h->epoll_fd, EPOLL_CTL_MOD, h->listen_sock, &ev) < 0)
        return; /* tried again when somebody is looked for */
    h->is_listening = is_listening;
}

/* Have the user's descriptor, where there is one, tell of this lane. 0 or -errno. */
static int lane_watch(const struct shm_hub *h, struct shm_lane *lane)
{
    struct epoll_event ev = {.events = EPOLLIN};

    if (h->epoll_fd < 0)
        return 0;
    if (epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, lane->end.data_sock, &ev) < 0)
        return -errno;
    lane->end.is_armed = true;
    /* the look that follows makes it doze, or its sender would not ring */
    lane->is_marked = true;
    return 0;
}

/* Take one who waits to connect; who is not allowed is turned away. 0: and look for
 * another; MU_EMPTY: nobody waits; MU_FULL: he goes on to wait, or the name is closed. */
static int hub_take(struct mu_chan *c, struct shm_hub *h)
{
    struct shm_lane *lane = aligned_alloc(64, (sizeof *lane + 63) / 64 * 64);
    int rc;

    if (!lane)
        return MU_FULL;
    memset(lane, 0, sizeof *lane);
    rc = shm_take(h->listen_sock, &c->options, MU_NOW, &lane->end);
    if (rc == 0 && lane_watch(h, lane) != 0) {
        mui_shm_end_fini(&lane->end);
        rc = -EPIPE;
    }
    if (rc == 0) {
        h->lanes[h->n_lanes++] = lane;
        return 0;
    }
    free(lane);
    if (rc == -EACCES || rc == -EPIPE)
        return 0; /* hung up on */
    return rc == MU_TIMEOUT ? MU_EMPTY : MU_FULL;
}

/* Another process said goodbye for all, but only to the senders that it knew. */
static void hub_end(struct shm_hub *h)
{
    h->is_over = true;
    for (unsigned i = 0; i < h->n_lanes; i++)
        mui_shm_end_close(&h->lanes[i]->end);
}

/* Take those who wait to connect, as far as there are lanes; and not without end, for
 * who is turned away can come again at once. Where nobody can be taken, see whether
 * anybody ever will. */
static void hub_accept(struct mu_chan *c, struct shm_hub *h)
{
    int rc = 0;

    h->n_lent = 0;
    if (h->is_over)
        return;
    for (int n = 0; n < SHM_BACKLOG && rc == 0; n++)
        rc = h->n_lanes < SHM_LANES_MAX ? hub_take(c, h) : MU_FULL;
    hub_listen(h, rc != MU_FULL);
    if (rc == MU_FULL && mui_wait_fd(h->listen_sock, 0, MU_NOW) == 0)
        hub_end(h);
}

static void hub_drop(struct shm_hub *h, unsigned i)
{
    mui_shm_end_fini(&h->lanes[i]->end);
    free(h->lanes[i]);
    h->lanes[i] = h->lanes[--h->n_lanes];
}

/* Whether the end of a lane is that of one who gave up, or died, as it was taken. */
static bool lane_is_nobodys(const struct shm_lane *lane, int rc)
{
    return rc == MU_ECRASHED && !mui_shm_end_has_come(&lane->end);
}

/* Look at each lane that may have something. 0; MU_TIMEOUT: nothing there;
 * MU_CLOSED: the last sender said goodbye, or the name is closed; -ENOMEM; another
 * error: of one lane, which is dropped. */
static int hub_look(struct shm_hub *h, struct mu_chan_message *ret)
{
    for (unsigned k = 0; k < h->n_lanes; k++) {
        unsigned i = (h->i_next + k) % h->n_lanes;
        struct shm_lane *lane = h->lanes[i];
        bool is_nobodys;
        int rc;

        if (!lane->is_marked && !mui_shm_end_is_ready(&lane->end))
            continue;
        lane->is_marked = false;
        rc = mui_shm_end_borrow(&lane->end, MU_NOW, ret);
        if (rc == 0) {
            h->i_lent = i;
            h->i_next = i + 1;
            h->n_lent++;
            return 0;
        }
        if (rc == MU_TIMEOUT)
            continue;
        if (rc == -ENOMEM) {
            /* there may be some again: what has arrived is kept */
            h->i_next = i + 1;
            return rc;
        }
        is_nobodys = lane_is_nobodys(lane, rc);
        hub_drop(h, i);
        hub_listen(h, true);
        k--; /* another lane stands there now */
        if (is_nobodys)
            continue;
        h->had_lanes = true;
        if (rc != MU_CLOSED)
            return rc;
    }
    if (h->n_lanes == 0 && h->had_lanes) {
        h->had_lanes = false;
        return MU_CLOSED;
    }
    return h->is_over ? MU_CLOSED : MU_TIMEOUT;
}

static bool hub_is_ready(const struct shm_hub *h)
{
    for (unsigned i = 0; i < h->n_lanes; i++) {
        if (mui_shm_end_is_ready(&h->lanes[i]->end))
            return true;
    }
    return false;
}

/* Watch all lanes for a while. */
static bool hub_spin(const struct shm_hub *h,
                     const struct mu_chan_options *options, int64_t deadline)
{
    int64_t until = mui_spin_until(options, deadline);

    do {
        for (int i = 0; i < HUB_SPINS; i++) {
            if (hub_is_ready(h))
                return true;
            mui_cpu_pause();
        }
    } while (mu_now_ns() < until);
    return false;
}

/* Sleep until a lane has something, or the listener, which is asked for who comes while one
 * more can be taken in, and tells of its end; mark which. Without descriptors it looks now
 * and then whether there are some again. */
static int hub_sleep(struct mu_chan *c, struct shm_hub *h, int64_t deadline)
{
    struct pollfd fds[SHM_LANES_MAX + 1];
    nfds_t n_fds = h->n_lanes;
    int64_t until = deadline;
    int rc = 0;

    for (unsigned i = 0; i < h->n_lanes; i++) {
        mui_shm_end_doze(&h->lanes[i]->end);
        fds[i] =
            (struct pollfd){.fd = h->lanes[i]->end.data_sock, .events = POLLIN};
    }
    fds[n_fds++] = (struct pollfd){.fd = h->listen_sock,
                                   .events = h->is_listening ? POLLIN : 0};
    mui_fence_heavy();
    if ((!mui_fence_join() ||
         (!h->is_listening && h->n_lanes < SHM_LANES_MAX)) &&
        deadline != MU_NOW) {
        int64_t slice = mu_after_ns(HUB_SLICE_NS);

        until = slice < deadline ? slice : deadline;
    }
    if (!hub_is_ready(h))
        rc = mui_wait_fds(fds, n_fds, until);
    if (rc == 0) {
        for (unsigned i = 0; i < h->n_lanes; i++)
            h->lanes[i]->is_marked = fds[i].revents != 0;
    }
    /* watched by the user: they stay asleep, and the next message rings */
    for (unsigned i = 0; i < h->n_lanes && h->epoll_fd < 0; i++)
        mui_shm_end_wake(&h->lanes[i]->end);
    hub_accept(c, h);
    return rc == MU_TIMEOUT && until != deadline ? 0 : rc;
}

static int hub_borrow(struct mu_chan *c, int64_t deadline,
                      struct mu_chan_message *ret)
{
    struct shm_hub *h = shm_state(c)->hub;
    int slept = 0;

    if (h->n_lent >= HUB_BUSY) /* who is never without a message never sleeps */
        hub_accept(c, h);
    for (;;) {
        int rc = hub_look(h, ret);

        if (rc != MU_TIMEOUT)
            return rc;
        if (slept != 0)
            return slept;
        if (deadline == MU_NOW || c->options.spin_ns == 0 ||
            !hub_spin(h, &c->options, deadline))
            slept = hub_sleep(c, h, deadline);
        if (slept == 0 && mu_now_ns() >= deadline)
            slept = MU_TIMEOUT; /* one more look */
    }
}

static void hub_fini(struct shm_hub *h)
{
    while (h->n_lanes > 0)
        hub_drop(h, h->n_lanes - 1);
    if (h->listen_sock > 0)
        (void)close(h->listen_sock);
    if (h->epoll_fd >= 0)
        (void)close(h->epoll_fd);
    free(h);
}

static int hub_fd(struct shm_hub *h)
{
    bool has_room = h->n_lanes < SHM_LANES_MAX;
    struct epoll_event ev = {.events = has_room ? EPOLLIN : 0};
    int rc = 0;

    if (h->epoll_fd >= 0)
        return h->epoll_fd;
    h->epoll_fd = mui_descriptor_above_stdio(epoll_create1(EPOLL_CLOEXEC));
    if (h->epoll_fd < 0)
        return h->epoll_fd;
    h->is_listening = has_room;
    if (epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, h->listen_sock, &ev) < 0)
        rc = -errno;
    for (unsigned i = 0; i < h->n_lanes && rc == 0; i++)
        rc = lane_watch(h, h->lanes[i]);
    if (rc == 0)
        return h->epoll_fd;
    (void)close(h->epoll_fd);
    h->epoll_fd = -1; /* or the next call would hand out one that is silent */
    for (unsigned i = 0; i < h->n_lanes; i++)
        h->lanes[i]->end.is_armed = false;
    return rc;
}

/* ---- the table -------------------------------------------------------------- */

static int shm_send(struct mu_chan *c, const void *bytes, size_t size,
                    unsigned priority, int64_t deadline)
{
    if (priority != 0)
        return -EOPNOTSUPP;
    return mui_shm_end_send(&shm_state(c)->end, bytes, size, deadline);
}

static int shm_reserve(struct mu_chan *c, size_t size, int64_t deadline,
                       void **ret_room)
{
    return mui_shm_end_reserve(&shm_state(c)->end, size, deadline, ret_room);
}

static void shm_commit(struct mu_chan *c, size_t size)
{
    mui_shm_end_commit(&shm_state(c)->end, size);
}

static int shm_borrow(struct mu_chan *c, int64_t deadline,
                      struct mu_chan_message *ret)
{
    if (c->is_listener)
        return hub_borrow(c, deadline, ret);
    return mui_shm_end_borrow(&shm_state(c)->end, deadline, ret);
}

static void shm_release(struct mu_chan *c)
{
    struct shm_state *s = shm_state(c);

    mui_shm_end_release(s->hub ? &s->hub->lanes[s->hub->i_lent]->end : &s->end);
}

static int shm_fd(struct mu_chan *c)
{
    struct shm_state *s = shm_state(c);

    if (s->hub)
        return hub_fd(s->hub);
    s->end.is_armed = true;
    return s->end.data_sock;
}

static int shm_close(struct mu_chan *c)
{
    struct shm_state *s = shm_state(c);

    mui_chan_drop(c);
    if (!s->hub) {
        mui_shm_end_close(&s->end);
        return 0;
    }
    for (unsigned i = 0; i < s->hub->n_lanes; i++)
        mui_shm_end_close(&s->hub->lanes[i]->end);
    return mui_listener_close(s->hub->listen_sock);
}

static int shm_drain(struct mu_chan *c, int64_t deadline)
{
    return mui_shm_end_drain(&shm_state(c)->end, deadline);
}

static void shm_fini(struct mu_chan *c)
{
    struct shm_state *s = shm_state(c);

    mui_shm_end_fini(&s->end);
    if (s->hub)
        hub_fini(s->hub);
}

const struct mui_transport mui_transport_shm = {
    .scheme = "shm",
    .size = sizeof(struct shm_state),
    .pair = shm_pair,
    .open = shm_open_name,
    .connect = shm_connect,
    .accept = shm_accept,
    .send = shm_send,
    .reserve = shm_reserve,
    .commit = shm_commit,
    .borrow = shm_borrow,
    .release = shm_release,
    .fd = shm_fd,
    .close = shm_close,
    .drain = shm_drain,
    .fini = shm_fini,
};
