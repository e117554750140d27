/* stream.c: frames over a pipe or a socket.
 *
 * A waiting call with MU_NEVER makes the plain blocking system call and nothing
 * else. With a deadline it tries and polls. A frame of which a part is on its way
 * when the deadline passes counts as sent: the rest is kept and goes out before
 * anything else.
 *
 * Who says goodbye and keeps its end receives nothing more, and its peer, who may only
 * send, has to hear of it. Behind the goodbye a pipe is read no more, so that writing to
 * it fails; a socket is shut down, which poll() tells. So a blocking call on a socket
 * ends after SEND_NS without room, or with a signal, and the wait goes on in poll(). */
#include "channel/stream.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sys/pipe.h"

#define FRAME_DATA  UINT32_C(0x6d750001)
#define FRAME_BYE   UINT32_C(0x6d750002)
#define IN_BYTES    ((size_t)65536) /* of the buffer that small frames share */
#define BATCH_BYTES ((size_t)65536)
#define SEND_NS     100000000 /* of a call on a socket that has no room */
#define ASK_NS_MIN  20000     /* between looks at what a socket has sent */
#define ASK_NS_MAX  5000000
#define CALLS_A_LOOK                                                           \
    16 /* of one message, and the clock is looked at: each may do a little */

static const char zeros[8];

struct frame_header {
    uint32_t size;
    uint32_t kind;
};

static struct frame_header header_make(size_t size, uint32_t kind)
{
    return (struct frame_header){.size = htole32((uint32_t)size),
                                 .kind = htole32(kind)};
}

static size_t padding(size_t size)
{
    return (8 - size % 8) % 8;
}

void mui_stream_init(struct mui_stream *s, const struct mu_chan_options *o,
                     int in_fd, int out_fd, bool is_socket)
{
    static const struct timeval limit = {.tv_usec = SEND_NS / 1000};

    *s = (struct mui_stream){
        .options = o, .in_fd = in_fd, .out_fd = out_fd, .is_socket = is_socket};
    if (is_socket)
        (void)setsockopt(out_fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

void mui_stream_fini(struct mui_stream *s)
{
    if (!s->options)
        return;
    if (s->in_fd >= 0)
        (void)close(s->in_fd);
    if (s->out_fd >= 0 && s->out_fd != s->in_fd)
        (void)close(s->out_fd);
    mui_buffer_fini(&s->rest);
    mui_buffer_fini(&s->sealed);
    mui_buffer_fini(&s->in);
}

/* ---- sending ---------------------------------------------------------------- */

static ssize_t stream_write(const struct mui_stream *s, struct iovec *iov,
                            int n, bool waits)
{
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)n};
    ssize_t rc;

    if (!s->is_socket)
        return mui_pipe_write(s->out_fd, iov, n, waits);
    rc = sendmsg(s->out_fd, &m, MSG_NOSIGNAL | (waits ? 0 : MSG_DONTWAIT));
    if (rc < 0) /* begun again for each signal it would never end */
        rc = errno == EINTR ? -EAGAIN : -errno;
    return rc;
}

/* Step `done` bytes forward. The number of pieces that are left. */
static int iov_advance(struct iovec **iov, int n, size_t done)
{
    while (n > 0 && done >= (*iov)->iov_len) {
        done -= (*iov)->iov_len;
        (*iov)++;
        n--;
    }
    if (n > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + done;
        (*iov)->iov_len -= done;
    }
    return n;
}

/* Whether these bytes end in a goodbye, which is a frame without payload, sealed or
 * not. Data that is not sealed may end in the same bytes: a crash is taken for a goodbye
 * then. */
static bool ends_in_bye(const struct mui_stream *s, const char *bytes,
                        size_t size)
{
    for (size_t n = MUI_FRAME_HEADER;
         n <= size && n <= MUI_FRAME_HEADER + MUI_CODER_MORE; n += 8) {
        struct frame_header header;
        size_t payload;

        memcpy(&header, bytes + size - n, sizeof header);
        payload = le32toh(header.size);
        if (le32toh(header.kind) == FRAME_BYE && payload <= MUI_CODER_MORE &&
            MUI_FRAME_HEADER + payload + padding(payload) == n &&
            (!s->coder ||
             s->coder->is_bye(s->coder_ctx, bytes + size - n + MUI_FRAME_HEADER,
                              payload)))
            return true;
    }
    return false;
}

/* Whether a goodbye of the peer has come: read, or still with the kernel. */
static bool bye_came(struct mui_stream *s)
{
    int size = 0;
    ssize_t n = 0;
    char *bytes;
    bool came = false;

    if (s->in_fd >= 0 && ioctl(s->in_fd, FIONREAD, &size) == 0 && size > 0 &&
        (bytes = malloc((size_t)size)) != NULL) {
        n = s->is_socket
                ? recv(s->in_fd, bytes, (size_t)size, MSG_PEEK | MSG_DONTWAIT)
                : mui_pipe_peek(s->in_fd, bytes, (size_t)size);
        came = n > 0 && ends_in_bye(s, bytes, (size_t)n);
        free(bytes);
    }
    /* last: the receiver may just have read it. relaxed: nothing follows from it */
    return came || atomic_load_explicit(&s->has_bye, memory_order_relaxed);
}

static int write_error(struct mui_stream *s, int rc)
{
    if (rc == -EPIPE || rc == -ECONNRESET)
        rc = bye_came(s) ? MU_CLOSED : MU_ECRASHED;
    if (rc != 0)
        s->out_error = rc;
    return rc;
}

/* Wait for room, or for the end of a peer whom we do not hear because we only send. */
static int room_wait(struct mui_stream *s, int64_t deadline)
{
    struct pollfd p = {.fd = s->out_fd,
                       .events =
                           (short)(POLLOUT | (s->is_socket ? POLLRDHUP : 0))};
    int rc = mui_wait_fds(&p, 1, deadline);

    if (rc == 0 && (p.revents & POLLRDHUP) && !(p.revents & POLLOUT))
        return write_error(s, -EPIPE);
    return rc;
}

/* Write all of it. 0; MU_TIMEOUT, with *ret_done bytes written; errors. */
static int iov_write(struct mui_stream *s, struct iovec *iov, int n,
                     int64_t deadline, size_t *ret_done)
{
    unsigned n_calls = 0;

    *ret_done = 0;
    n = iov_advance(&iov, n, 0);
    while (n > 0) {
        ssize_t rc = stream_write(s, iov, n, deadline == MU_NEVER);

        if (rc > 0) {
            *ret_done += (size_t)rc;
            n = iov_advance(&iov, n, (size_t)rc);
        } else if (rc != -EAGAIN) {
            return write_error(s, (int)rc);
        } else {
            rc = room_wait(s, deadline);
            if (rc == 0 && deadline == MU_NOW)
                rc = MU_TIMEOUT; /* tried once */
            if (rc != 0)
                return (int)rc;
        }
        if (n > 0 && ++n_calls % CALLS_A_LOOK == 0 && mu_now_ns() >= deadline)
            return MU_TIMEOUT;
    }
    return 0;
}

/* Send what is left of an earlier frame. */
static int rest_flush(struct mui_stream *s, int64_t deadline)
{
    struct iovec iov = {.iov_base = s->rest.data + s->rest_at,
                        .iov_len = s->rest_end - s->rest_at};
    size_t done;
    int rc;

    if (iov.iov_len == 0)
        return 0;
    rc = iov_write(s, &iov, 1, deadline, &done);
    s->rest_at += done;
    if (rc == 0)
        mui_buffer_trim(&s->rest);
    return rc;
}

/* Keep what follows the first `done` bytes. */
static int rest_keep(struct mui_stream *s, struct iovec *iov, int n,
                     size_t done)
{
    size_t size = 0;

    n = iov_advance(&iov, n, done);
    for (int i = 0; i < n; i++)
        size += iov[i].iov_len;
    if (mui_buffer_grow(&s->rest, size) != 0)
        return s->out_error = -ENOMEM; /* the stream is cut in a frame */
    s->rest_at = s->rest_end = 0;
    for (int i = 0; i < n; i++) {
        memcpy(s->rest.data + s->rest_end, iov[i].iov_base, iov[i].iov_len);
        s->rest_end += iov[i].iov_len;
    }
    return 0;
}

static int frames_write(struct mui_stream *s, struct iovec *iov, int n,
                        int64_t deadline)
{
    struct iovec copy[3];
    size_t done;
    int rc;

    memcpy(copy, iov, (size_t)n * sizeof *iov);
    rc = iov_write(s, iov, n, deadline, &done);
    if (rc == MU_TIMEOUT && done > 0)
        return rest_keep(s, copy, n, done);
    return rc;
}

static int frame_send(struct mui_stream *s, const void *bytes, size_t size,
                      uint32_t kind, int64_t deadline)
{
    struct frame_header header;
    struct iovec iov[3];

    if (s->coder) {
        int rc = mui_buffer_grow(&s->sealed, size + MUI_CODER_MORE);

        if (rc != 0)
            return rc;
        size = s->coder->seal(s->coder_ctx, kind == FRAME_BYE, bytes, size,
                              s->sealed.data);
        bytes = s->sealed.data;
        if (deadline == MU_NOW)
            deadline = mu_now_ns(); /* what is sealed has to go out in order */
    }
    header = header_make(size, kind);
    iov[0] = (struct iovec){.iov_base = &header, .iov_len = sizeof header};
    iov[1] =
        (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    iov[2] = (struct iovec){.iov_base = (void *)(uintptr_t)zeros,
                            .iov_len = padding(size)};
    if (s->coder) {
        int rc = frames_write(s, iov, 3, deadline);

        if (rc == MU_TIMEOUT)
            rc = rest_keep(s, iov, 3, 0);
        mui_buffer_trim(&s->sealed);
        return rc;
    }
    return frames_write(s, iov, 3, deadline);
}

static int send_begin(struct mui_stream *s, int64_t deadline)
{
    if (s->out_error || s->said_bye)
        return s->out_error ? s->out_error : MU_CLOSED;
    return rest_flush(s, deadline);
}

int mui_stream_send(struct mu_chan *c, const void *bytes, size_t size,
                    unsigned priority, int64_t deadline)
{
    struct mui_stream *s = mui_stream_of(c);
    int rc = priority != 0 ? -EOPNOTSUPP : send_begin(s, deadline);

    return rc != 0 ? rc : frame_send(s, bytes, size, FRAME_DATA, deadline);
}

int mui_stream_send_batch(struct mu_chan *c,
                          const struct mu_chan_bytes *messages, size_t n,
                          int64_t deadline, size_t *ret_n)
{
    struct mui_stream *s = mui_stream_of(c);
    char buffer[BATCH_BYTES];
    size_t i = 0;

    while (i < n) {
        size_t at = 0;
        size_t first = i;
        struct iovec iov;
        int rc = send_begin(s, deadline);

        if (rc != 0)
            return rc;
        for (; !s->coder && i < n; i++) {
            size_t size = messages[i].size;
            struct frame_header header = header_make(size, FRAME_DATA);

            if (size + 16 > sizeof buffer - at)
                break;
            memcpy(buffer + at, &header, sizeof header);
            at += sizeof header;
            if (size > 0)
                memcpy(buffer + at, messages[i].data, size);
            memset(buffer + at + size, 0, padding(size));
            at += size + padding(size);
        }
        if (i == first) { /* too large to share a buffer */
            rc = frame_send(s, messages[i].data, messages[i].size, FRAME_DATA,
                            deadline);
            i++;
        } else {
            iov = (struct iovec){.iov_base = buffer, .iov_len = at};
            rc = frames_write(s, &iov, 1, deadline);
        }
        if (rc != 0)
            return rc;
        *ret_n = i;
    }
    return 0;
}

/* Nothing more is received. The descriptor stays, for somebody may watch it, and is
 * readable from now on. */
void mui_stream_stop_reading(struct mui_stream *s)
{
    int over = eventfd(1, EFD_CLOEXEC);

    /* without a descriptor for that, anything else will do */
    (void)dup3(over >= 0 ? over : s->out_fd, s->in_fd, O_CLOEXEC);
    if (over >= 0)
        (void)close(over);
}

int mui_stream_close(struct mu_chan *c)
{
    struct mui_stream *s = mui_stream_of(c);
    int rc = MU_OK;

    if (s->out_fd < 0 || s->out_error)
        return 0;
    rc = rest_flush(s, MU_NOW);
    /* a sealed goodbye without room is kept, for the order of seals counts */
    if (rc == 0 && !s->said_bye) {
        rc = frame_send(s, NULL, 0, FRAME_BYE, MU_NOW);
        s->said_bye = rc == 0;
    }
    if (rc == MU_TIMEOUT)
        return rc;
    if (rc == 0 && s->rest_at < s->rest_end)
        return MU_TIMEOUT;
    if (s->is_socket)
        (void)shutdown(s->out_fd, SHUT_WR);
    else if (s->in_fd >= 0)
        mui_stream_stop_reading(s);
    return 0;
}

/* Of a socket: wait until the peer's kernel has all. What is still with ours is dropped
 * when something comes from the peer after our end was given back, for that is answered
 * by a reset; what is with the peer's is received in spite of one. The kernel does not
 * tell when it has gone: it is asked again and again, less and less often. */
static int acknowledged_wait(struct mui_stream *s, int64_t deadline)
{
    struct pollfd p = {.fd = s->out_fd, .events = POLLRDHUP};
    int64_t slice = ASK_NS_MIN;
    int64_t until = MU_NOW;

    for (;;) {
        int rc = mui_wait_fds(&p, 1, until);
        int64_t now;
        int left;

        if (rc < 0)
            return rc;
        if (ioctl(s->out_fd, SIOCOUTQ, &left) < 0)
            return -errno;
        if (left == 0)
            return 0;
        if (rc == 0) /* behind its own goodbye the peer receives nothing */
            return write_error(s, -EPIPE);
        now = mu_now_ns();
        if (now >= deadline)
            return MU_TIMEOUT;
        until = now + slice < deadline ? now + slice : deadline;
        slice = slice < ASK_NS_MAX ? 2 * slice : slice;
    }
}

/* With room for the goodbye: a close after it succeeds. */
int mui_stream_drain(struct mu_chan *c, int64_t deadline)
{
    struct mui_stream *s = mui_stream_of(c);
    int rc = s->out_error ? s->out_error : rest_flush(s, deadline);

    if (rc == 0 && !s->said_bye)
        rc = room_wait(s, deadline);
    if (rc == 0 && s->is_socket)
        rc = acknowledged_wait(s, deadline);
    return rc;
}

/* ---- receiving -------------------------------------------------------------- */

/* Receive some bytes behind `end`. 0; MU_TIMEOUT; the end. */
static int bytes_read(struct mui_stream *s, int64_t deadline)
{
    char *to = s->in.data + s->end;
    size_t room = s->in.capacity - s->end;
    ssize_t n;

    for (;;) {
        bool waits = deadline == MU_NEVER;
        int rc;

        if (s->is_socket) {
            n = recv(s->in_fd, to, room, waits ? 0 : MSG_DONTWAIT);
            if (n < 0)
                n = -errno;
        } else {
            n = mui_pipe_read(s->in_fd, to, room, waits);
        }
        if (n > 0) {
            s->end += (size_t)n;
            /* relaxed: see bye_came() */
            atomic_store_explicit(
                &s->has_bye, ends_in_bye(s, s->in.data + s->at, s->end - s->at),
                memory_order_relaxed);
            return 0;
        }
        if (n == 0 || n == -ECONNRESET || n == -EPIPE)
            return MU_ECRASHED;
        if (n == -EINTR)
            continue;
        if (n != -EAGAIN)
            return (int)n;
        if (deadline == MU_NOW)
            return MU_TIMEOUT;
        rc = mui_wait_fd(s->in_fd, POLLIN, deadline);
        if (rc != 0)
            return rc;
    }
}

/* Have `need` bytes at `at`. Memory grows with what has arrived. */
static int bytes_have(struct mui_stream *s, size_t need, int64_t deadline)
{
    unsigned n_calls = 0;

    while (s->end - s->at < need) {
        size_t have = s->end - s->at;
        size_t room = need;
        int rc;

        if (room > 2 * have)
            room = 2 * have;
        if (room < IN_BYTES)
            room = IN_BYTES;
        if (s->in.capacity - s->at < room && s->at > 0) {
            memmove(s->in.data, s->in.data + s->at, have);
            s->at = 0;
            s->end = have;
        }
        if (s->in.capacity < room || s->in.capacity == s->end) {
            rc = mui_buffer_grow(&s->in, room > s->end ? room : s->end + 1);
            if (rc != 0)
                return rc;
        }
        if (++n_calls % CALLS_A_LOOK == 0 && mu_now_ns() >= deadline)
            return MU_TIMEOUT;
        rc = bytes_read(s, deadline);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* One frame. 0: its payload is in *ret; MU_EMPTY: it was a goodbye. */
static int frame_take(struct mui_stream *s, int64_t deadline,
                      struct mu_chan_message *ret)
{
    struct frame_header header;
    uint32_t size;
    uint32_t kind;
    int64_t opened;
    char *payload;
    int rc = bytes_have(s, sizeof header, deadline);

    if (rc != 0)
        return rc;
    memcpy(&header, s->in.data + s->at, sizeof header);
    size = le32toh(header.size);
    kind = le32toh(header.kind);
    if ((kind != FRAME_DATA && kind != FRAME_BYE) ||
        size > s->options->message_bytes + MUI_CODER_MORE)
        return MU_ECORRUPT;
    rc = bytes_have(s, sizeof header + size + padding(size), deadline);
    if (rc != 0)
        return rc;
    payload = s->in.data + s->at + sizeof header;
    opened = s->coder ? s->coder->open(s->coder_ctx, kind == FRAME_BYE, payload,
                                       size)
                      : size;
    if (opened < 0 || (uint64_t)opened > s->options->message_bytes)
        return MU_ECORRUPT;
    if (kind == FRAME_BYE)
        return MU_CLOSED;
    s->lent = sizeof header + size + padding(size);
    *ret = (struct mu_chan_message){.data = payload, .size = (size_t)opened};
    return 0;
}

int mui_stream_borrow(struct mu_chan *c, int64_t deadline,
                      struct mu_chan_message *ret)
{
    struct mui_stream *s = mui_stream_of(c);
    int rc;

    if (s->in_error)
        return s->in_error;
    rc = frame_take(s, deadline, ret);
    /* memory may be there again: what has arrived is kept */
    if ((rc < 0 && rc != -ENOMEM) || rc == MU_CLOSED)
        s->in_error = rc;
    return rc;
}

void mui_stream_release(struct mu_chan *c)
{
    struct mui_stream *s = mui_stream_of(c);

    s->at += s->lent;
    if (s->at == s->end) {
        s->at = s->end = 0;
        mui_buffer_trim(&s->in);
    }
}

int mui_stream_fd(struct mu_chan *c)
{
    return mui_stream_of(c)->in_fd;
}

void mui_stream_slot_fini(struct mu_chan *c)
{
    mui_stream_fini(mui_stream_of(c));
}
