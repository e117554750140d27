/* fifo.c: a named pipe, one way, from one sender each time it is opened.
 *
 * Frames of two senders would mix, also those of one behind the half frame that another left
 * who died; and two receivers would share them. So each side holds the pipe: the receiver
 * with flock(), the sender with fcntl(), whose locks know nothing of those. The next sender
 * is refused until the receiver has opened the pipe anew. Where the sender of a receiver
 * before is still there, or what it left, that takes another pipe at the same path: the
 * sender's has nobody then who reads it, which it is told as it sends.
 *
 * Nothing goes back through it, and nothing tells a sender of the one before it. So both
 * sides leave marks at the pipe itself, in bits of its mode that the system does not use
 * there: the receiver its goodbye, the sender that it came. While there is one no sender is
 * let in, so a pipe is made with one and loses it when all is set. Who is not the owner cannot.
 * A receiver is taken for one that died then; and behind a sender that left no mark whoever
 * connects is not heard, and a receiver that opens anew reads on in the middle of it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "channel/channel.h"
#include "channel/stream.h"
#include "sys/descriptor.h"
#include "sys/pipe.h"

/* Open the path and see that it is a pipe. The descriptor or -errno. */
static int fifo_descriptor(const char *path, int flags, struct mu_error *err)
{
    struct stat st;
    int fd;

    if (*path == '\0')
        return mui_fail(err, -EINVAL, "fifo: it needs a path");
    fd = mui_descriptor_above_stdio(open(path, flags | O_CLOEXEC | O_NONBLOCK));
    if (fd < 0)
        return mui_fail(err, fd == -ENXIO ? -ECONNREFUSED : fd, "fifo: open %s",
                        path);
    if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode)) {
        (void)close(fd);
        return mui_fail(err, -EINVAL, "fifo: %s is no pipe", path);
    }
    /* our calls say themselves whether they wait */
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

#define OPENS_MAX    100 /* of pipes that others take away meanwhile */
#define SAID_GOODBYE S_ISVTX
#define HAD_A_SENDER S_ISUID

static mode_t marks_get(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 ? st.st_mode & (SAID_GOODBYE | HAD_A_SENDER) : 0;
}

static void marks_set(int fd, mode_t marks)
{
    struct stat st;

    if (fstat(fd, &st) == 0)
        (void)fchmod(fd, (st.st_mode & 07777 & ~(SAID_GOODBYE | HAD_A_SENDER)) |
                             marks);
}

static bool has_sender(int fd)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* What the marks at the path say to a sender. It is not opened to write for that: who does
 * and goes again is, to a receiver that has just come, a sender that died. 0; -EBUSY;
 * -ECONNREFUSED. */
static int sender_may_come(const char *path)
{
    struct stat st;
    int fd;
    int rc;

    if (stat(path, &st) < 0 || !S_ISFIFO(st.st_mode) ||
        (st.st_mode & (SAID_GOODBYE | HAD_A_SENDER)) == 0)
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    rc = fd >= 0 && has_sender(fd) ? -EBUSY : -ECONNREFUSED;
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* Hold it as the sender. 0; -EBUSY; -ECONNREFUSED: it has got marks; -errno. */
static int sender_hold(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

    if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
        return errno == EAGAIN ? -EBUSY : -errno;
    return marks_get(fd) != 0 ? -ECONNREFUSED : 0;
}

static bool has_bytes(int fd)
{
    int n;

    return ioctl(fd, FIONREAD, &n) < 0 || n > 0;
}

/* Open a pipe at the path that nobody reads, and hold it as the receiver; one that is made
 * for that is marked, and has no sender before it is begun. The descriptor, or -errno;
 * -EAGAIN: it is another by now. */
static int pipe_hold(const char *path, struct mu_error *err)
{
    struct stat held;
    struct stat there;
    int fd;
    int rc;

    if (*path && mkfifo(path, 0600 | SAID_GOODBYE) < 0 && errno != EEXIST)
        return mui_fail(err, -errno, "fifo: make %s", path);
    fd = fifo_descriptor(path, O_RDONLY, err);
    if (fd == -ENOENT && lstat(path, &there) == 0 && S_ISLNK(there.st_mode))
        return mui_fail(err, fd, "fifo: %s is a link to nothing", path);
    if (fd < 0)
        return fd == -ENOENT ? -EAGAIN : fd;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        rc = mui_fail(err, errno == EWOULDBLOCK ? -EADDRINUSE : -errno,
                      "fifo: %s has a receiver", path);
    else
        rc = fstat(fd, &held) == 0 && stat(path, &there) == 0 &&
                     held.st_ino == there.st_ino && held.st_dev == there.st_dev
                 ? 0
                 : -EAGAIN;
    if (rc == 0)
        return fd;
    (void)close(fd);
    return rc;
}

/* Whether nothing is left of the opening before. Marks keep senders away; without any
 * there was none. */
static bool pipe_is_new(int fd)
{
    if (marks_get(fd) == 0)
        return true;
    /* in this order: it may just go */
    return !(has_sender(fd) || has_bytes(fd));
}

/* What the path names from now on has the rights that the pipe before had, and no mark. */
static void rights_set(int fd, const struct stat *before)
{
    (void)!fchown(fd, (uid_t)-1, before->st_gid);
    (void)fchmod(fd, before->st_mode & 0777);
}

/* Let a sender come. One without marks, which somebody else made, may have its own by now,
 * which is to stay.
 * before   that in whose place it is, if its mode is not 0 */
static void pipe_begin(int fd, const struct stat *before)
{
    if (marks_get(fd) == 0)
        return;
    if (before->st_mode != 0)
        rights_set(fd, before);
    else
        marks_set(fd, 0);
}

static int fifo_open(struct mu_chan *c, const char *rest, struct mu_error *err)
{
    struct stat before = {.st_mode = 0};
    int fd = -EAGAIN;

    for (int i = 0; i < OPENS_MAX && fd == -EAGAIN; i++) {
        fd = pipe_hold(rest, err);
        if (fd < 0 || pipe_is_new(fd))
            continue;
        /* Held by us, so nobody else takes it away. Without the right to do so what was
         * left goes with the last descriptor, but a sender does not. */
        if (before.st_mode == 0)
            (void)fstat(fd, &before);
        if (unlink(rest) < 0 && has_sender(fd)) {
            (void)close(fd);
            return mui_fail(err, -EBUSY,
                            "fifo: %s has the sender of a receiver before",
                            rest);
        }
        (void)close(fd);
        fd = -EAGAIN;
    }
    if (fd < 0)
        return fd == -EAGAIN ? mui_fail(err, -EBUSY, "fifo: open %s", rest)
                             : fd;
    pipe_begin(fd, &before);
    mui_pipe_widen(fd);
    mui_stream_init(mui_stream_of(c), &c->options, fd, -1, false);
    c->can_recv = true;
    return 0;
}

static int fifo_connect(struct mu_chan *c, const char *rest, int64_t deadline,
                        struct mu_error *err)
{
    int rc = sender_may_come(rest);
    int fd = -1;

    (void)deadline;
    if (rc == 0) {
        fd = fifo_descriptor(rest, O_WRONLY, err);
        if (fd < 0)
            return fd;
        rc = sender_hold(fd);
    }
    if (rc != 0) {
        if (fd >= 0)
            (void)close(fd);
        return mui_fail(err, rc, "fifo: %s %s", rest,
                        rc == -ECONNREFUSED
                            ? "had its sender, and has to be opened anew"
                            : "has a sender");
    }
    marks_set(fd, HAD_A_SENDER);
    mui_stream_init(mui_stream_of(c), &c->options, -1, fd, false);
    c->can_send = true;
    return 0;
}

/* Nobody reads any more: did he say so? */
static int fifo_sent(struct mui_stream *s, int rc)
{
    if (rc == MU_ECRASHED && (marks_get(s->out_fd) & SAID_GOODBYE))
        s->out_error = rc = MU_CLOSED;
    return rc;
}

static int fifo_send(struct mu_chan *c, const void *bytes, size_t size,
                     unsigned priority, int64_t deadline)
{
    return fifo_sent(mui_stream_of(c),
                     mui_stream_send(c, bytes, size, priority, deadline));
}

static int fifo_send_batch(struct mu_chan *c,
                           const struct mu_chan_bytes *messages, size_t n,
                           int64_t deadline, size_t *ret_n)
{
    return fifo_sent(mui_stream_of(c),
                     mui_stream_send_batch(c, messages, n, deadline, ret_n));
}

static int fifo_drain(struct mu_chan *c, int64_t deadline)
{
    return fifo_sent(mui_stream_of(c), mui_stream_drain(c, deadline));
}

static int fifo_close(struct mu_chan *c)
{
    int fd;

    if (!c->can_recv)
        return mui_stream_close(c);
    fd = mui_stream_of(c)->in_fd;
    marks_set(fd, marks_get(fd) | SAID_GOODBYE);
    (void)flock(fd, LOCK_UN); /* a child by fork() may have a copy */
    mui_stream_stop_reading(mui_stream_of(c));
    return 0;
}

/* Without a sender a read sees the end at once: poll() waits for the first one. */
static int fifo_borrow(struct mu_chan *c, int64_t deadline,
                       struct mu_chan_message *ret)
{
    struct mui_stream *s = mui_stream_of(c);
    int rc;

    if (s->end == s->at) {
        rc = mui_wait_fd(s->in_fd, POLLIN, deadline);
        if (rc != 0)
            return rc;
    }
    return mui_stream_borrow(c, deadline, ret);
}

const struct mui_transport mui_transport_fifo = {
    .scheme = "fifo",
    .size = sizeof(struct mui_stream),
    .open = fifo_open,
    .connect = fifo_connect,
    .send = fifo_send,
    .send_batch = fifo_send_batch,
    .borrow = fifo_borrow,
    .release = mui_stream_release,
    .fd = mui_stream_fd,
    .close = fifo_close,
    .drain = fifo_drain,
    .fini = mui_stream_slot_fini,
};
