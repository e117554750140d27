/* unix.c: Unix sockets that keep packets whole (SOCK_SEQPACKET).
 *
 * Each packet is a header and a piece of a message: an empty packet alone could not
 * be told from the end, and a packet is limited by the socket's buffer. The header
 * has 64 bytes, so that the piece stays where the kernel's copies are fast: one of 8
 * bytes makes a message of 1 MiB take more than twice as long. Peers of a path are
 * checked by the credentials that the kernel keeps.
 *
 * A socket that nobody listens on is left over, and who opens its path takes it away. But
 * so looks one that is bound and about to be listened on, and between a look and the
 * unlink() behind it the path may have got another. So who binds or unlinks a path holds a
 * file beside it meanwhile, with flock(), and takes that away again: what a kill leaves
 * lies there until the next does. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "channel/channel.h"
#include "channel/wait.h"
#include "sys/descriptor.h"
#include "sys/message.h"

/* The kernel takes 32 KiB in one piece for such a packet, the rest in pages; for more it
 * needs larger pieces, which a machine that has run for long may not have, and is
 * slower up to 192 KiB. */
#define PIECE_BYTES  ((size_t)96 << 10)
#define UNIX_BACKLOG 128
#define PACKETS_A_LOOK                                                         \
    64 /* without a message, and the clock is looked at: they may be without end */
#define UNIX_BUFFER ((int)(512 << 10))

enum unix_kind {
    UNIX_WHOLE = 0x6d750011, /* a message, or its last piece */
    UNIX_MORE,               /* a piece, more follow */
    UNIX_ABORT,              /* forget the pieces so far */
    UNIX_BYE
};

struct unix_header {
    uint32_t kind;
    uint32_t unused[15];
};

struct unix_state {
    int sock;    /* 0: none */
    char *path;  /* of a listener: unlinked at the end */
    ino_t inode; /* what we made there: not what took it over since */
    pid_t maker; /* who made the path: only he unlinks it */
    /* sender's */
    bool must_abort;
    int out_error;
    /* receiver's */
    struct mui_buffer in;
    size_t pieces; /* bytes of the message so far */
    bool saw_end;  /* the look before found the end */
    int in_error;
    /* the receiver sets it, the sender reads */
    _Atomic bool saw_bye;
};

static struct unix_state *unix_state(const struct mu_chan *c)
{
    return (struct unix_state *)(void *)(uintptr_t)c->state;
}

/* Larger buffers than the default carry a large message in fewer turns. */
static void unix_take(struct mu_chan *c, int sock)
{
    int bytes = UNIX_BUFFER;

    (void)setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    unix_state(c)->sock = sock;
    c->can_send = c->can_recv = true;
}

static int unix_pair(struct mu_chan *a, struct mu_chan *b, const char *rest,
                     struct mu_error *err)
{
    int socks[2];
    int rc;

    if (*rest != '\0')
        return mui_fail(err, -EINVAL, "unix: a pair has no path");
    rc = mui_message_pair(socks);
    if (rc < 0)
        return mui_fail(err, rc, "unix: socketpair");
    unix_take(a, socks[0]);
    unix_take(b, socks[1]);
    return 0;
}

static int unix_address(const char *path, struct sockaddr_un *ret,
                        struct mu_error *err)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (*path == '\0' || strlen(path) >= sizeof ret->sun_path)
        return mui_fail(err, -EINVAL,
                        "unix: a path of 1 to %zu bytes is needed, not \"%s\"",
                        sizeof ret->sun_path - 1, path);
    memcpy(ret->sun_path, path, strlen(path) + 1);
    return 0;
}

/* Whether a socket lies there that nobody listens on any more. Who asks has a peer already:
 * the kernel looks for a listener before it refuses him for that (EISCONN), and so he
 * never stands in the queue of one that lives. */
static bool path_is_stale(const struct sockaddr_un *at)
{
    struct stat st;
    bool is_stale;
    int socks[2];

    if (lstat(at->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   socks) < 0)
        return false;
    is_stale = connect(socks[0], (const struct sockaddr *)at, sizeof *at) < 0 &&
               errno == ECONNREFUSED;
    (void)close(socks[0]);
    (void)close(socks[1]);
    return is_stale;
}

/* What lies at the path, 0 for nothing. It is not another's number while our socket is
 * open, which holds it; nor on another disk, for nobody mounts one over a socket. */
static ino_t path_inode(const char *path)
{
    struct stat st;

    return lstat(path, &st) < 0 ? 0 : st.st_ino;
}

#define LOCK_SUFFIX ".opening"
#define HOLD_NS                                                                \
    INT64_C(5000000000) /* to wait for who holds a path: he may be stopped */
#define HOLD_ASK_NS_MIN 100000 /* between looks whether he has let go */
#define HOLD_ASK_NS_MAX 10000000

/* Who holds the path: until path_unlock(). */
struct path_lock {
    int fd; /* or -errno */
    char file[sizeof((struct sockaddr_un *)0)->sun_path + sizeof LOCK_SUFFIX];
};

/* A file of ours that can be waited for: another's could be held without end. And one that
 * can be taken away: none that somebody has written to. 0; -EBUSY: it is held; -errno. */
static int lock_file_hold(int fd, int64_t deadline)
{
    int64_t slice = HOLD_ASK_NS_MIN;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
        return -EACCES;
    if (st.st_size != 0)
        return -EEXIST;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int64_t now = mu_now_ns();

        if (errno != EWOULDBLOCK && errno != EINTR)
            return -errno;
        if (now >= deadline)
            return -EBUSY;
        (void)mui_wait_fds(NULL, 0, now + slice);
        slice = slice < HOLD_ASK_NS_MAX ? 2 * slice : slice;
    }
    return 0;
}

static bool lock_file_is_at(int fd, const char *path)
{
    struct stat held;
    struct stat there;

    return fstat(fd, &held) == 0 && lstat(path, &there) == 0 &&
           held.st_ino == there.st_ino && held.st_dev == there.st_dev;
}

static struct path_lock path_lock(const char *path)
{
    int64_t deadline = mu_after_ns(HOLD_NS);
    struct path_lock l;
    int rc = 0;

    (void)snprintf(l.file, sizeof l.file, "%s" LOCK_SUFFIX, path);
    for (;;) {
        l.fd = mui_descriptor_above_stdio(
            open(l.file, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
                 0600));
        if (l.fd < 0)
            return l;
        rc = lock_file_hold(l.fd, deadline);
        if (rc == 0 && lock_file_is_at(l.fd, l.file))
            return l;
        (void)close(l.fd); /* who held it before took it away */
        if (rc != 0) {
            l.fd = rc;
            return l;
        }
    }
}

static void path_unlock(struct path_lock *l)
{
    if (l->fd < 0)
        return;
    (void)unlink(l->file);
    (void)flock(l->fd, LOCK_UN); /* a child by fork() may have a copy */
    (void)close(l->fd);
}

/* Have the socket listen at the path, which is locked. 0 or -errno. */
static int path_listen(struct unix_state *s, const struct sockaddr_un *at)
{
    const struct sockaddr *address = (const struct sockaddr *)at;
    int rc = bind(s->sock, address, sizeof *at) < 0 ? -errno : 0;

    if (rc == -EADDRINUSE && path_is_stale(at) && unlink(at->sun_path) == 0)
        rc = bind(s->sock, address, sizeof *at) < 0 ? -errno : 0;
    if (rc != 0)
        return rc;
    s->maker = getpid();
    s->inode = path_inode(at->sun_path);
    s->path = strdup(at->sun_path);
    if (s->path && listen(s->sock, UNIX_BACKLOG) == 0)
        return 0;
    rc = s->path ? -errno : -ENOMEM;
    (void)unlink(at->sun_path);
    free(s->path);
    s->path = NULL;
    return rc;
}

static int unix_open(struct mu_chan *c, const char *rest, struct mu_error *err)
{
    struct unix_state *s = unix_state(c);
    struct path_lock lock;
    struct sockaddr_un at;
    int sock;
    int rc = unix_address(rest, &at, err);

    if (rc != 0)
        return rc;
    sock = mui_descriptor_above_stdio(
        socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (sock < 0)
        return mui_fail(err, sock, "unix: socket");
    s->sock = sock;
    lock = path_lock(rest);
    if (lock.fd < 0)
        return mui_fail(err, lock.fd, "unix: open %s: make and hold %s", rest,
                        lock.file);
    rc = path_listen(s, &at);
    path_unlock(&lock);
    if (rc != 0)
        return mui_fail(err, rc, "unix: open %s", rest);
    c->is_listener = true;
    return 0;
}

/* Take the path away, unless somebody else has it by now, or may be about to: then it is
 * left over. */
static void path_remove(const struct unix_state *s)
{
    struct path_lock lock;

    if (s->inode != path_inode(s->path))
        return;
    lock = path_lock(s->path);
    if (lock.fd != -EBUSY && s->inode == path_inode(s->path))
        (void)unlink(s->path);
    path_unlock(&lock);
}

static int unix_connect(struct mu_chan *c, const char *rest, int64_t deadline,
                        struct mu_error *err)
{
    struct sockaddr_un at;
    int sock;
    int rc = unix_address(rest, &at, err);

    if (rc != 0)
        return rc;
    sock = mui_descriptor_above_stdio(
        socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (sock < 0)
        return mui_fail(err, sock, "unix: socket");
    rc = mui_unix_connect(sock, &at, sizeof at, deadline);
    if (rc == 0)
        rc = mui_peer_check(sock, &c->options);
    if (rc != 0) {
        (void)close(sock);
        return rc == MU_TIMEOUT
                   ? rc
                   : mui_fail(err, rc, "unix: connect to %s", rest);
    }
    unix_take(c, sock);
    return 0;
}

static int unix_accept(struct mu_chan *c, struct mu_chan *peer,
                       int64_t deadline, struct mu_error *err)
{
    int sock;
    int rc = mui_accept(unix_state(c)->sock, deadline, &sock);

    if (rc > 0)
        return rc;
    if (rc == 0) {
        rc = mui_peer_check(sock, &c->options);
        if (rc != 0)
            (void)close(sock);
    }
    if (rc != 0)
        return mui_fail(err, rc, "unix: accept");
    unix_take(peer, sock);
    return 0;
}

/* ---- sending ---------------------------------------------------------------- */

/* Whether a goodbye of the peer has come: read, or still with the kernel. */
static bool bye_came(struct unix_state *s)
{
    size_t size = sizeof(struct unix_header) + PIECE_BYTES;
    char *bytes = malloc(size);
    struct unix_header header;
    bool came = false;
    int from = 0;
    ssize_t n;

    /* each look goes behind the packets of the looks before */
    if (bytes &&
        setsockopt(s->sock, SOL_SOCKET, SO_PEEK_OFF, &from, sizeof from) == 0) {
        while (!came &&
               ((n = recv(s->sock, bytes, size, MSG_PEEK | MSG_DONTWAIT)) > 0 ||
                (n < 0 && errno == ECONNRESET))) {
            if (n < (ssize_t)sizeof header)
                continue;
            memcpy(&header, bytes, sizeof header);
            came = header.kind == UNIX_BYE;
        }
        from = -1;
        (void)setsockopt(s->sock, SOL_SOCKET, SO_PEEK_OFF, &from, sizeof from);
    }
    free(bytes);
    /* last: the receiver may just have read it. relaxed: nothing follows from it */
    return came || atomic_load_explicit(&s->saw_bye, memory_order_relaxed);
}

static int unix_packet(struct unix_state *s, enum unix_kind kind,
                       const void *bytes, size_t size, int64_t deadline)
{
    struct unix_header header = {.kind = kind};
    struct iovec iov[2] = {
        {.iov_base = &header, .iov_len = sizeof header},
        {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    int flags = MSG_NOSIGNAL | (deadline == MU_NEVER ? 0 : MSG_DONTWAIT);

    for (;;) {
        int rc;

        if (sendmsg(s->sock, &m, flags) >= 0)
            return 0;
        rc = -errno;
        if (rc == -EINTR)
            continue;
        if (rc == -EAGAIN)
            rc = deadline == MU_NOW ? MU_TIMEOUT
                                    : mui_wait_fd(s->sock, POLLOUT, deadline);
        else if (rc == -EPIPE || rc == -ECONNRESET)
            rc = bye_came(s) ? MU_CLOSED : MU_ECRASHED;
        if (rc < 0 || rc == MU_CLOSED)
            s->out_error = rc;
        if (rc != 0)
            return rc;
    }
}

static int unix_begin(struct unix_state *s, int64_t deadline)
{
    int rc = s->out_error;

    if (rc == 0 && s->must_abort) {
        rc = unix_packet(s, UNIX_ABORT, NULL, 0, deadline);
        s->must_abort = rc != 0;
    }
    return rc;
}

static int unix_send(struct mu_chan *c, const void *bytes, size_t size,
                     unsigned priority, int64_t deadline)
{
    struct unix_state *s = unix_state(c);
    const char *at = bytes;
    int rc = priority != 0 ? -EOPNOTSUPP : unix_begin(s, deadline);

    if (rc != 0)
        return rc;
    while (size > PIECE_BYTES) {
        rc = unix_packet(s, UNIX_MORE, at, PIECE_BYTES, deadline);
        if (rc != 0) {
            s->must_abort = at != (const char *)bytes;
            return rc;
        }
        at += PIECE_BYTES;
        size -= PIECE_BYTES;
    }
    rc = unix_packet(s, UNIX_WHOLE, at, size, deadline);
    if (rc != 0)
        s->must_abort = at != (const char *)bytes;
    return rc;
}

/* ---- receiving -------------------------------------------------------------- */

/* One packet behind the pieces. 0: a message is whole; MU_EMPTY: go on. */
static int packet_take(struct mu_chan *c, int64_t deadline)
{
    struct unix_state *s = unix_state(c);
    struct unix_header header;
    struct iovec iov[2] = {{.iov_base = &header, .iov_len = sizeof header},
                           {.iov_base = NULL}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t n;
    int rc = mui_buffer_grow(&s->in, s->pieces + PIECE_BYTES);

    if (rc != 0)
        return rc;
    iov[1].iov_base = s->in.data + s->pieces;
    iov[1].iov_len = PIECE_BYTES;
    n = recvmsg(s->sock, &m, deadline == MU_NEVER ? 0 : MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
        if (deadline == MU_NOW)
            return MU_TIMEOUT;
        rc = mui_wait_fd(s->sock, POLLIN, deadline);
        return rc == 0 ? MU_EMPTY : rc;
    }
    /* a reset is told once, in front of what was sent before it */
    if (n < 0 && (errno == EINTR || errno == ECONNRESET))
        return MU_EMPTY;
    /* The kernel looks for packets first and for the end then: those between the two
     * are found by looking again. */
    if (n == 0 && !s->saw_end) {
        s->saw_end = true;
        return MU_EMPTY;
    }
    if (n == 0)
        return MU_ECRASHED;
    if (n < 0)
        return -errno;
    s->saw_end = false;
    if ((size_t)n < sizeof header || (m.msg_flags & MSG_TRUNC))
        return MU_ECORRUPT;
    switch (header.kind) {
    case UNIX_ABORT:
        s->pieces = 0;
        return MU_EMPTY;
    case UNIX_BYE:
        atomic_store_explicit(&s->saw_bye, true, memory_order_relaxed);
        return MU_CLOSED;
    case UNIX_WHOLE:
    case UNIX_MORE:
        s->pieces += (size_t)n - sizeof header;
        if (s->pieces > c->options.message_bytes)
            return MU_ECORRUPT;
        return header.kind == UNIX_MORE ? MU_EMPTY : 0;
    default:
        return MU_ECORRUPT;
    }
}

static int unix_borrow(struct mu_chan *c, int64_t deadline,
                       struct mu_chan_message *ret)
{
    struct unix_state *s = unix_state(c);
    unsigned n = 0;
    int rc;

    if (s->in_error)
        return s->in_error;
    do {
        if (++n % PACKETS_A_LOOK == 0 && mu_now_ns() >= deadline)
            return MU_TIMEOUT;
        rc = packet_take(c, deadline);
    } while (rc == MU_EMPTY);
    /* memory may be there again: what has arrived is kept */
    if ((rc < 0 && rc != -ENOMEM) || rc == MU_CLOSED)
        s->in_error = rc;
    if (rc != 0)
        return rc;
    *ret = (struct mu_chan_message){.data = s->in.data, .size = s->pieces};
    return 0;
}

static void unix_release(struct mu_chan *c)
{
    unix_state(c)->pieces = 0;
    mui_buffer_trim(&unix_state(c)->in);
}

static int unix_fd(struct mu_chan *c)
{
    return unix_state(c)->sock;
}

static int unix_close(struct mu_chan *c)
{
    struct unix_state *s = unix_state(c);
    int rc;

    if (c->is_listener)
        return mui_listener_close(s->sock);
    if (s->out_error)
        return 0;
    /* it ends a message in pieces too: that needs no abort before it */
    rc = unix_packet(s, UNIX_BYE, NULL, 0, MU_NOW);
    /* both ways: a peer who only sends fails, and finds the goodbye */
    if (rc == 0)
        (void)shutdown(s->sock, SHUT_RDWR);
    return rc == MU_TIMEOUT ? rc : 0;
}

/* With room for the goodbye: a close after it succeeds. */
static int unix_drain(struct mu_chan *c, int64_t deadline)
{
    struct unix_state *s = unix_state(c);
    if (s->out_error || c->is_closed)
        return s->out_error;
    return mui_wait_fd(s->sock, POLLOUT, deadline);
}

static void unix_fini(struct mu_chan *c)
{
    struct unix_state *s = unix_state(c);

    if (s->path && s->maker == getpid())
        path_remove(s);
    if (s->sock > 0)
        (void)close(s->sock);
    free(s->path);
    mui_buffer_fini(&s->in);
}

const struct mui_transport mui_transport_unix = {
    .scheme = "unix",
    .size = sizeof(struct unix_state),
    .pair = unix_pair,
    .open = unix_open,
    .connect = unix_connect,
    .accept = unix_accept,
    .send = unix_send,
    .borrow = unix_borrow,
    .release = unix_release,
    .fd = unix_fd,
    .close = unix_close,
    .drain = unix_drain,
    .fini = unix_fini,
};
