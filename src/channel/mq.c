/* mq.c: POSIX message queues.
 *
 * The system limits a message of a queue (8 KiB by default), so each carries a piece,
 * behind a header that names the sender: pieces of several senders may mix. Those of
 * one sender and priority stay in order. A child by fork() is another sender, and takes
 * a new name. Of a sender that was killed in mid-message the pieces lie about until
 * their room is needed; a message that lost its beginning is never handed out.
 *
 * Two receivers would take pieces of each other's messages. So who opens a queue with a
 * name holds it with flock(), and the next is refused. What reads the queue nevertheless,
 * a copy by fork() or another program, takes pieces away: their numbers tell.
 *
 * A queue says nothing of its users. A pair has a socket besides, whose other end the
 * peer holds: the kernel hangs up when it is gone. Waiting for queue and socket costs
 * three system calls a message. So a call that may wait for ever waits in the queue's own
 * call first, for 100 ms, which costs one; only when that was in vain it looks at the
 * socket, and then sleeps on both until there is something. A byte in it is the peer's
 * goodbye, which so needs no room in the queue. A named queue has no socket: it outlives
 * its users, and their end is not seen. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "channel/channel.h"
#include "channel/wait.h"
#include "sys/descriptor.h"
#include "sys/forked.h"

#define MQ_PARTS_MAX    64 /* messages of which only pieces are there */
#define MQ_PIECE_MIN    ((size_t)64)
#define MQ_PIECE_MAX    ((size_t)1 << 20)
#define MQ_PRIORITY_MAX 32767
#define MQ_FIRST_NS     INT64_C(100000000) /* of a wait: in the queue's call */
#define MQ_LOOK                                                                \
    8 /* pieces without a message, and the clock is looked at: there may be no end */

enum mq_kind {
    MQ_WHOLE = 0x6d750041, /* a message in one piece */
    MQ_FIRST,
    MQ_MORE,
    MQ_LAST,
    MQ_ABORT,
    MQ_BYE
};

struct mq_header {
    uint32_t kind;
    uint32_t sender;
    uint32_t message; /* the sender's count of messages */
    uint32_t piece;   /* of the message, from 0 */
};

/* A message that is being received. */
struct mq_part {
    bool is_used;
    uint32_t sender;
    unsigned priority;
    uint32_t message;
    uint32_t n_pieces;
    uint64_t turn; /* when its last piece came */
    size_t size;
    struct mui_buffer bytes;
};

struct mq_state {
    bool is_ready;
    mqd_t out; /* -1: none */
    mqd_t in;
    int live_sock; /* -1: none, a named queue */
    int poll_fd;   /* above 0: made by mq_fd() */
    size_t piece;  /* bytes of a message of the queue, header included */

    /* sender's */
    uint32_t sender;
    uint32_t forked; /* mui_forked() when `sender` was chosen */
    char *out_bytes; /* [piece] */
    bool must_abort;
    unsigned abort_priority;
    uint32_t n_messages; /* begun */

    /* receiver's */
    char *in_bytes; /* [piece] */
    size_t n_kept;  /* bytes of it that were received and found no memory */
    unsigned kept_priority;
    struct mq_part parts[MQ_PARTS_MAX];
    struct mq_part *lent; /* NULL: in_bytes is */
    uint64_t turn;        /* counts pieces */
    bool gave_up;         /* a part, for want of room or of a piece */
    int in_error;         /* of a pair: what every further receive returns */
};

static struct mq_state *mq_state(const struct mu_chan *c)
{
    return (struct mq_state *)(void *)(uintptr_t)c->state;
}

/* Choose the name that tells our pieces from those of others. */
static void sender_choose(struct mq_state *s)
{
    s->forked = mui_forked();
    if (getrandom(&s->sender, sizeof s->sender, 0) < 0)
        s->sender = (uint32_t)getpid();
}

/* Fill a state for two queues, of which one may be missing. */
static int mq_take(struct mu_chan *c, mqd_t out, mqd_t in, int live_sock,
                   struct mu_error *err)
{
    struct mq_state *s = mq_state(c);
    struct mq_attr attr;

    s->is_ready = true;
    s->out = out;
    s->in = in;
    s->live_sock = live_sock;
    if (mq_getattr(out >= 0 ? out : in, &attr) < 0)
        return mui_fail(err, -errno, "mq: attributes");
    if ((size_t)attr.mq_msgsize < MQ_PIECE_MIN ||
        (size_t)attr.mq_msgsize > MQ_PIECE_MAX)
        return mui_fail(err, -EINVAL, "mq: its messages have %ld bytes",
                        attr.mq_msgsize);
    s->piece = (size_t)attr.mq_msgsize;
    s->out_bytes = malloc(s->piece);
    s->in_bytes = malloc(s->piece);
    if (!s->out_bytes || !s->in_bytes)
        return mui_fail(err, -ENOMEM, "mq: open");
    sender_choose(s);
    c->can_send = out >= 0;
    c->can_recv = in >= 0;
    return 0;
}

/* Open a queue, new with its own number of messages where that is asked for. The
 * descriptor, which a queue is here, or -errno. */
static mqd_t mq_make(const char *name, int flags,
                     const struct mu_chan_options *o)
{
    struct mq_attr attr = {.mq_maxmsg = (long)o->queue_messages,
                           .mq_msgsize = 8192};

    return mui_descriptor_above_stdio(mq_open(
        name, flags | O_CLOEXEC, 0600, o->queue_messages ? &attr : NULL));
}

/* Why there is no new queue, by the limit that it met. */
static int mq_refused(int rc, const char *name, const struct mu_chan_options *o,
                      struct mu_error *err)
{
    if (rc == -EINVAL && o->queue_messages > 0)
        return mui_fail(err, rc,
                        "mq: open \"%s\" for %u messages: see "
                        "/proc/sys/fs/mqueue/msg_max",
                        name, o->queue_messages);
    return mui_fail(err, rc, "mq: open \"%s\"%s", name,
                    rc == -EMFILE ? " (all queues of a user share ulimit -q)"
                                  : "");
}

static int mq_pair(struct mu_chan *a, struct mu_chan *b, const char *rest,
                   struct mu_error *err)
{
    static _Atomic unsigned n_pairs;
    mqd_t q[4] = {-1, -1, -1, -1}; /* a's out, a's in, b's out, b's in */
    int socks[2];
    int rc;
    int rc_b;

    if (*rest != '\0')
        return mui_fail(err, -EINVAL, "mq: a pair has no name");
    rc = mui_descriptors_above_stdio(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks), socks);
    if (rc < 0)
        return mui_fail(err, rc, "mq: socketpair");
    for (int i = 0; i < 2 && rc == 0; i++) {
        char name[64];

        (void)snprintf(
            name, sizeof name, "/muster-%d-%u", (int)getpid(),
            atomic_fetch_add_explicit(&n_pairs, 1, memory_order_relaxed));
        q[i == 0 ? 0 : 2] =
            mq_make(name, O_WRONLY | O_CREAT | O_EXCL, &a->options);
        if (q[i == 0 ? 0 : 2] >= 0)
            q[i == 0 ? 3 : 1] = mq_make(name, O_RDONLY, &a->options);
        if (q[i == 0 ? 3 : 1] < 0)
            rc = mq_refused(-errno, name, &a->options, err);
        (void)mq_unlink(name);
    }
    if (rc != 0) {
        for (int i = 0; i < 4; i++) {
            if (q[i] >= 0)
                (void)mq_close(q[i]);
        }
        (void)close(socks[0]);
        (void)close(socks[1]);
        return rc;
    }
    /* both, whatever comes of it: each has its descriptors then, and gives them back */
    rc = mq_take(a, q[0], q[1], socks[0], err);
    rc_b = mq_take(b, q[2], q[3], socks[1], err);
    return rc != 0 ? rc : rc_b;
}

/* The kernel would say EACCES of some. */
static int check_name(const char *rest, struct mu_error *err)
{
    if (rest[0] == '/' && rest[1] != '\0' && !strchr(rest + 1, '/'))
        return 0;
    return mui_fail(err, -EINVAL,
                    "mq: \"%s\": a name is a slash and what has none, as in "
                    "mq:/jobs",
                    rest);
}

static int mq_open_name(struct mu_chan *c, const char *rest,
                        struct mu_error *err)
{
    int rc = check_name(rest, err);
    mqd_t in;

    if (rc < 0)
        return rc;
    in = mq_make(rest, O_RDONLY | O_CREAT, &c->options);
    if (in < 0)
        return mq_refused(in, rest, &c->options, err);
    if (flock(in, LOCK_EX | LOCK_NB) < 0) {
        rc = mui_fail(err, errno == EWOULDBLOCK ? -EADDRINUSE : -errno,
                      "mq: \"%s\" has a receiver", rest);
        (void)mq_close(in);
        return rc;
    }
    return mq_take(c, -1, in, -1, err);
}

static int mq_connect(struct mu_chan *c, const char *rest, int64_t deadline,
                      struct mu_error *err)
{
    int rc = check_name(rest, err);
    mqd_t out;

    (void)deadline;
    if (rc < 0)
        return rc;
    out = mq_make(rest, O_WRONLY, &c->options);
    if (out < 0)
        return mui_fail(err, out, "mq: connect to \"%s\"", rest);
    return mq_take(c, out, -1, -1, err);
}

/* When a call on a queue gives up, on the clock that those calls have; also one that is
 * begun again for a signal. One that has passed makes a call that never waits. */
static struct timespec call_end(bool waits)
{
    struct timespec ts = {0, 0};

    if (!waits)
        return ts;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_nsec += MQ_FIRST_NS;
    ts.tv_sec += ts.tv_nsec / 1000000000;
    ts.tv_nsec %= 1000000000;
    return ts;
}

/* What the socket beside a pair says of the peer: a byte is its goodbye, which stays
 * there. 0: it lives; MU_CLOSED; MU_ECRASHED. */
static int peer_look(const struct mq_state *s)
{
    char byte;
    ssize_t n;

    if (s->live_sock < 0)
        return 0;
    n = recv(s->live_sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0)
        return MU_CLOSED;
    return n == 0 || (errno != EAGAIN && errno != EINTR) ? MU_ECRASHED : 0;
}

/* Sleep until the queue is ready, or the socket has something to say. */
static int mq_await(const struct mq_state *s, mqd_t q, short events,
                    int64_t deadline)
{
    struct pollfd fds[2] = {{.fd = q, .events = events},
                            {.fd = s->live_sock, .events = POLLIN}};

    return deadline == MU_NOW ? MU_TIMEOUT : mui_wait_fds(fds, 2, deadline);
}

/* ---- sending ---------------------------------------------------------------- */

static int piece_send(struct mq_state *s, enum mq_kind kind, uint32_t piece,
                      const void *bytes, size_t size, unsigned priority,
                      int64_t deadline)
{
    struct mq_header header = {.kind = kind,
                               .sender = s->sender,
                               .message = s->n_messages,
                               .piece = piece};
    struct timespec until = call_end(deadline == MU_NEVER);

    memcpy(s->out_bytes, &header, sizeof header);
    if (size > 0)
        memcpy(s->out_bytes + sizeof header, bytes, size);
    for (;;) {
        int rc;

        if (mq_timedsend(s->out, s->out_bytes, sizeof header + size, priority,
                         &until) == 0)
            return 0;
        if (errno == EINTR)
            continue;
        if (errno != ETIMEDOUT)
            return -errno;
        until = call_end(false);
        rc = peer_look(s);
        if (rc == 0)
            rc = mq_await(s, s->out, POLLOUT, deadline);
        if (rc != 0)
            return rc;
    }
}

static int mq_begin(struct mq_state *s, int64_t deadline)
{
    int rc;

    if (s->forked != mui_forked()) {
        sender_choose(s);
        s->must_abort = false; /* the parent's, who does it */
    }
    if (!s->must_abort)
        return 0;
    rc = piece_send(s, MQ_ABORT, 0, NULL, 0, s->abort_priority, deadline);
    s->must_abort = rc != 0;
    return rc;
}

static int mq_send_message(struct mu_chan *c, const void *bytes, size_t size,
                           unsigned priority, int64_t deadline)
{
    struct mq_state *s = mq_state(c);
    size_t max = s->piece - sizeof(struct mq_header);
    const char *at = bytes;
    int rc = priority > MQ_PRIORITY_MAX ? -EINVAL : mq_begin(s, deadline);

    s->n_messages++;
    for (uint32_t piece = 0; rc == 0; piece++) {
        bool is_first = piece == 0;
        bool is_last = size <= max;
        enum mq_kind kind;
        size_t n = is_last ? size : max;

        if (is_first)
            kind = is_last ? MQ_WHOLE : MQ_FIRST;
        else
            kind = is_last ? MQ_LAST : MQ_MORE;
        rc = piece_send(s, kind, piece, at, n, priority, deadline);
        if (rc == 0 && is_last)
            return 0;
        if (rc != 0 && !is_first) {
            s->must_abort = true;
            s->abort_priority = priority;
        }
        at += n;
        size -= n;
    }
    return rc;
}

/* ---- receiving -------------------------------------------------------------- */

/* The message that a piece belongs to. NULL: its beginning is not here. */
static struct mq_part *part_find(struct mq_state *s, uint32_t sender,
                                 unsigned priority)
{
    for (int i = 0; i < MQ_PARTS_MAX; i++) {
        struct mq_part *p = &s->parts[i];

        if (p->is_used && p->sender == sender && p->priority == priority)
            return p;
    }
    return NULL;
}

/* Whether this piece is the next of the message. */
static bool part_is_next(const struct mq_part *p,
                         const struct mq_header *header)
{
    return p->message == header->message && p->n_pieces == header->piece;
}

static void part_drop(struct mq_part *p)
{
    p->is_used = false;
    mui_buffer_trim(&p->bytes);
}

/* Room for a message that begins: without any, that of the one which has been waiting
 * longest for its next piece. Most likely its sender is dead. */
static struct mq_part *part_begin(struct mq_state *s,
                                  const struct mq_header *header,
                                  unsigned priority)
{
    struct mq_part *p = &s->parts[0];

    for (int i = 1; i < MQ_PARTS_MAX && p->is_used; i++) {
        if (!s->parts[i].is_used || s->parts[i].turn < p->turn)
            p = &s->parts[i];
    }
    if (p->is_used) {
        s->gave_up = true;
        part_drop(p);
    }
    p->is_used = true;
    p->sender = header->sender;
    p->priority = priority;
    p->message = header->message;
    p->n_pieces = 0;
    p->size = 0;
    return p;
}

static int part_add(struct mu_chan *c, struct mq_part *p, const char *bytes,
                    size_t size)
{
    int rc;

    if (size > c->options.message_bytes - p->size)
        return MU_ECORRUPT;
    rc = mui_buffer_grow(&p->bytes, p->size + size + 1);
    if (rc != 0)
        return rc;
    memcpy(p->bytes.data + p->size, bytes, size);
    p->size += size;
    p->n_pieces++;
    p->turn = ++mq_state(c)->turn;
    return 0;
}

/* Receive a message of the queue, or the one that was kept, as mq_timedreceive(). */
static ssize_t piece_receive(struct mq_state *s, unsigned *ret_priority,
                             const struct timespec *until)
{
    size_t n = s->n_kept;

    if (n == 0)
        return mq_timedreceive(s->in, s->in_bytes, s->piece, ret_priority,
                               until);
    s->n_kept = 0;
    *ret_priority = s->kept_priority;
    return (ssize_t)n;
}

/* Keep it, to be taken again as if for the first time: the queue does not take it back. */
static void piece_keep(struct mq_state *s, size_t size, unsigned priority)
{
    s->n_kept = size;
    s->kept_priority = priority;
}

/* Add a piece to its message. As piece_take(). */
static int part_take(struct mu_chan *c, struct mq_part *p,
                     const struct mq_header *header, size_t size,
                     struct mu_chan_message *ret)
{
    struct mq_state *s = mq_state(c);
    int rc =
        part_add(c, p, s->in_bytes + sizeof *header, size - sizeof *header);

    if (rc == -ENOMEM) {
        /* there may be some again */
        if (header->kind == MQ_FIRST)
            part_drop(p);
        piece_keep(s, size, p->priority);
        return rc;
    }
    if (rc != 0) {
        part_drop(p);
        return rc;
    }
    if (header->kind != MQ_LAST)
        return MU_EMPTY;
    s->lent = p;
    *ret = (struct mu_chan_message){
        .data = p->bytes.data, .size = p->size, .priority = p->priority};
    return 0;
}

/* One message of the queue. 0: a message is whole; MU_EMPTY: go on; -ENOMEM: it is kept. */
static int piece_take(struct mu_chan *c, size_t size, unsigned priority,
                      struct mu_chan_message *ret)
{
    struct mq_state *s = mq_state(c);
    struct mq_header header;
    struct mq_part *p;

    if (size < sizeof header)
        return MU_ECORRUPT;
    memcpy(&header, s->in_bytes, sizeof header);
    p = part_find(s, header.sender, priority);
    switch (header.kind) {
    case MQ_WHOLE:
    case MQ_FIRST:
        if (!p)
            break;
        /* its last pieces went to somebody else: say so, and then go on */
        part_drop(p);
        piece_keep(s, size, priority);
        return MU_ECORRUPT;
    case MQ_ABORT:
        if (p)
            part_drop(p);
        return MU_EMPTY;
    case MQ_MORE:
    case MQ_LAST:
        if (p && !part_is_next(p, &header)) {
            part_drop(p);
            s->gave_up = true;
            p = NULL;
        }
        break;
    case MQ_BYE:
        return s->live_sock >= 0 ? MU_CLOSED : MU_EMPTY;
    default:
        return MU_ECORRUPT;
    }
    if (header.kind == MQ_WHOLE) {
        size -= sizeof header;
        if (size > c->options.message_bytes)
            return MU_ECORRUPT;
        s->lent = NULL;
        *ret = (struct mu_chan_message){.data = s->in_bytes + sizeof header,
                                        .size = size,
                                        .priority = priority};
        return 0;
    }
    if (header.kind == MQ_FIRST)
        p = part_begin(s, &header, priority);
    /* A receiver before us had the beginning; or we gave it up, and say so. */
    if (!p)
        return header.kind == MQ_LAST && s->gave_up ? MU_ECORRUPT : MU_EMPTY;
    return part_take(c, p, &header, size, ret);
}

static int mq_borrow(struct mu_chan *c, int64_t deadline,
                     struct mu_chan_message *ret)
{
    struct mq_state *s = mq_state(c);
    struct timespec until = call_end(deadline == MU_NEVER);
    int end =
        0; /* the peer's, once it is known: what lies in the queue goes first */
    unsigned n_taken = 0;
    int rc = MU_EMPTY;

    if (s->in_error)
        return s->in_error;
    while (rc == MU_EMPTY) {
        unsigned priority;
        ssize_t n;

        if (++n_taken % MQ_LOOK == 0 && mu_now_ns() >= deadline)
            return MU_TIMEOUT;
        n = piece_receive(s, &priority, &until);
        if (n >= 0) {
            rc = piece_take(c, (size_t)n, priority, ret);
            if (rc == MU_EMPTY)
                until = call_end(deadline == MU_NEVER && end == 0);
        } else if (errno == EINTR) {
            continue;
        } else if (errno != ETIMEDOUT) {
            rc = -errno;
        } else if (end != 0) {
            rc = end;
        } else {
            until = call_end(false);
            end = peer_look(s);
            rc = end == 0 ? mq_await(s, s->in, POLLIN, deadline) : 0;
            if (rc == 0)
                rc = MU_EMPTY;
        }
    }
    /* a queue with a name has other senders too */
    if (s->live_sock >= 0 && (rc == MU_CLOSED || rc == MU_ECORRUPT))
        s->in_error = rc;
    return rc;
}

static void mq_release(struct mu_chan *c)
{
    struct mq_state *s = mq_state(c);

    if (!s->lent)
        return;
    part_drop(s->lent);
    s->lent = NULL;
}

/* Of a pair: the queue, and the socket that tells of the peer's death. */
static int mq_fd(struct mu_chan *c)
{
    struct mq_state *s = mq_state(c);
    struct epoll_event ev = {.events = EPOLLIN};

    if (s->live_sock < 0 || s->poll_fd > 0)
        return s->live_sock < 0 ? s->in : s->poll_fd;
    s->poll_fd = mui_descriptor_above_stdio(epoll_create1(EPOLL_CLOEXEC));
    if (s->poll_fd < 0)
        return s->poll_fd;
    if (epoll_ctl(s->poll_fd, EPOLL_CTL_ADD, s->in, &ev) < 0 ||
        epoll_ctl(s->poll_fd, EPOLL_CTL_ADD, s->live_sock, &ev) < 0) {
        int rc = -errno;

        (void)close(s->poll_fd);
        s->poll_fd = 0; /* or the next call would hand out one that is silent */
        return rc;
    }
    return s->poll_fd;
}

static int mq_close_end(struct mu_chan *c)
{
    struct mq_state *s = mq_state(c);

    if (s->live_sock < 0) {
        if (s->in >= 0)
            (void)flock(s->in, LOCK_UN); /* for the next who opens it */
        return 0;
    }
    mui_bell_ring(s->live_sock);
    /* for who waits in the queue's own call; in a full queue nobody does */
    (void)piece_send(s, MQ_BYE, 0, NULL, 0, 0, MU_NOW);
    return 0;
}

/* The kernel has what was sent, and the goodbye needs no room: nothing to wait for. */
static int mq_drain(struct mu_chan *c, int64_t deadline)
{
    (void)deadline;
    (void)mq_begin(mq_state(c), MU_NOW);
    return 0;
}

static void mq_fini(struct mu_chan *c)
{
    struct mq_state *s = mq_state(c);

    if (!s->is_ready)
        return;
    if (s->out >= 0)
        (void)mq_close(s->out);
    if (s->in >= 0)
        (void)mq_close(s->in);
    if (s->live_sock >= 0)
        (void)close(s->live_sock);
    if (s->poll_fd > 0)
        (void)close(s->poll_fd);
    for (int i = 0; i < MQ_PARTS_MAX; i++)
        mui_buffer_fini(&s->parts[i].bytes);
    free(s->out_bytes);
    free(s->in_bytes);
}

const struct mui_transport mui_transport_mq = {
    .scheme = "mq",
    .size = sizeof(struct mq_state),
    .pair = mq_pair,
    .open = mq_open_name,
    .connect = mq_connect,
    .send = mq_send_message,
    .borrow = mq_borrow,
    .release = mq_release,
    .fd = mq_fd,
    .close = mq_close_end,
    .drain = mq_drain,
    .fini = mq_fini,
};
