/* fifo.c: a named pipe, one way, from one sender at a time.
 *
 * The pipe is held by the sender with flock(), because frames of two senders would
 * mix. The receiver keeps it open between senders: one that says goodbye or dies is
 * reported, and the next may come. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "channel/channel.h"
#include "channel/stream.h"

/* Open the path and see that it is a pipe. The descriptor or -errno. */
static int fifo_descriptor(const char *path, int flags, struct mu_error *err)
{
    struct stat st;
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return mui_fail(err, errno == ENXIO ? -ECONNREFUSED : -errno,
                        "fifo: open %s", path);
    if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode)) {
        (void)close(fd);
        return mui_fail(err, -EINVAL, "fifo: %s is no pipe", path);
    }
    /* our calls say themselves whether they wait */
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

static int fifo_open(struct mu_chan *c, const char *rest, struct mu_error *err)
{
    int fd;

    if (mkfifo(rest, 0600) < 0 && errno != EEXIST)
        return mui_fail(err, -errno, "fifo: make %s", rest);
    fd = fifo_descriptor(rest, O_RDONLY, err);
    if (fd < 0)
        return fd;
    mui_stream_init(mui_stream_of(c), &c->options, fd, -1, false);
    c->can_recv = true;
    return 0;
}

static int fifo_connect(struct mu_chan *c, const char *rest, int64_t deadline,
                        struct mu_error *err)
{
    int fd = fifo_descriptor(rest, O_WRONLY, err);

    (void)deadline;
    if (fd < 0)
        return fd;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int rc = mui_fail(err, errno == EWOULDBLOCK ? -EBUSY : -errno,
                          "fifo: %s has a sender", rest);

        (void)close(fd);
        return rc;
    }
    mui_stream_init(mui_stream_of(c), &c->options, -1, fd, false);
    c->can_send = true;
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
    .send = mui_stream_send,
    .send_batch = mui_stream_send_batch,
    .borrow = fifo_borrow,
    .release = mui_stream_release,
    .fd = mui_stream_fd,
    .close = mui_stream_close,
    .drain = mui_stream_drain,
    .fini = mui_stream_slot_fini,
};
