/* channel.c: addresses, checks and what all transports have in common. */
#include "channel/channel.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "sys/descriptor.h"

/* What the default comes to, where a core's second-level cache is this small or its
 * size is not known. */
#define RING_BYTES_DEFAULT (UINT64_C(1) << 22)
#define RING_BYTES_MIN     (UINT64_C(1) << 14)
#define RING_BYTES_MAX     (UINT64_C(1) << 32)
#define SPIN_NS_DEFAULT    30000

static const struct mui_transport *const transports[] = {
    &mui_transport_mem,  &mui_transport_shm,  &mui_transport_pipe,
    &mui_transport_fifo, &mui_transport_unix, &mui_transport_tcp,
    &mui_transport_mq,   &mui_transport_file,
};

#define N_TRANSPORTS (sizeof transports / sizeof transports[0])

/* The transport of an address, and what stands behind its colon. */
static int transport_find(const char *address,
                          const struct mui_transport **ret_ops,
                          const char **ret_rest, struct mu_error *err)
{
    const char *colon = address ? strchr(address, ':') : NULL;

    if (!colon)
        return mui_fail(err, -EINVAL,
                        "channel: an address is SCHEME:REST, as in shm:name");
    for (size_t i = 0; i < N_TRANSPORTS; i++) {
        size_t length = strlen(transports[i]->scheme);

        if (length == (size_t)(colon - address) &&
            memcmp(address, transports[i]->scheme, length) == 0) {
            *ret_ops = transports[i];
            *ret_rest = colon + 1;
            return 0;
        }
    }
    if (strncmp(address, "mpi:", 4) == 0)
        return mui_fail(
            err, MU_EMODEL,
            "channel: this build has no transport \"mpi\": take tcp "
            "from host to host");
    return mui_fail(err, -EINVAL,
                    "channel: \"%s\": the transports are mem, shm, pipe, fifo, "
                    "unix, tcp, mq, file",
                    address);
}

static uint64_t power_of_two(uint64_t n)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t p = page > RING_BYTES_MIN ? page : RING_BYTES_MIN;

    while (p < n && p < RING_BYTES_MAX)
        p *= 2;
    return p;
}

/* A ring that fits in the receiver's second-level cache stays there, and each line
 * that the sender writes is fetched from it, core to core. One of four times that size
 * lives in the cache that both share: four times as many bytes a second. Of twice the
 * size it is too, but then half of what the sender writes to is still with the receiver,
 * and a message of 1 MiB travels in pieces, at half the speed. */
static uint64_t ring_bytes_default(void)
{
    static _Atomic uint64_t known; /* the question traps under a hypervisor */
    uint64_t bytes = atomic_load_explicit(&known, memory_order_relaxed);
    long cache;

    if (bytes != 0)
        return bytes;
    cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
    bytes = cache > 0 ? 4 * (uint64_t)cache : 0;
    if (bytes < RING_BYTES_DEFAULT)
        bytes = RING_BYTES_DEFAULT;
    if (bytes > 2 * RING_BYTES_DEFAULT)
        bytes = 2 * RING_BYTES_DEFAULT;
    /* relaxed: everybody would store the same */
    atomic_store_explicit(&known, bytes, memory_order_relaxed);
    return bytes;
}

static struct mu_chan_options options_fill(const struct mu_chan_options *given)
{
    struct mu_chan_options o = {.ring_bytes = 0};

    if (given)
        o = *given;
    o.ring_bytes = (size_t)power_of_two(o.ring_bytes ? o.ring_bytes
                                                     : ring_bytes_default());
    if (o.message_bytes == 0 || o.message_bytes > MU_CHAN_MESSAGE_MAX)
        o.message_bytes = MU_CHAN_MESSAGE_MAX;
    if (o.spin_ns == 0)
        o.spin_ns = SPIN_NS_DEFAULT;
    else if (o.spin_ns < 0)
        o.spin_ns = 0;
    return o;
}

struct mu_chan *mui_chan_new(const struct mui_transport *ops,
                             const struct mu_chan_options *options)
{
    size_t size = (sizeof(struct mu_chan) + ops->size + 63) / 64 * 64;
    struct mu_chan *c = aligned_alloc(64, size);

    if (!c)
        return NULL;
    memset(c, 0, size);
    c->ops = ops;
    c->options = *options;
    c->n_descriptors_kept = mui_descriptors_kept();
    return c;
}

/* Whether this process has what the handle is made of. A worker of a pool has a copy of the
 * program's memory, and none of its descriptors: its peer would seem to be gone, and what
 * is sent could go to whom it is not for. */
static inline bool is_here(const struct mu_chan *c)
{
    return __builtin_expect(c->n_descriptors_kept == mui_descriptors_kept(), 1);
}

static int address_keep(struct mu_chan *c, const char *address)
{
    if (!c->address)
        c->address = strdup(address);
    return c->address ? 0 : -ENOMEM;
}

/* The end of a set-up that answered `rc`: give the handle, or free what is left of it. */
static int set_up(struct mu_chan *c, const char *address, int rc,
                  struct mu_chan **ret_chan, struct mu_error *err)
{
    if (rc == 0 && address_keep(c, address))
        rc = mui_fail(err, -ENOMEM, "channel: open %s", address);
    if (rc == 0)
        *ret_chan = c;
    else
        mu_chan_free(c);
    return rc;
}

int mu_chan_pair(const char *address, const struct mu_chan_options *options,
                 struct mu_chan *ret_ends[2], struct mu_error *err)
{
    struct mu_chan_options o = options_fill(options);
    const struct mui_transport *ops;
    struct mu_chan *a;
    struct mu_chan *b;
    const char *rest;
    int rc = transport_find(address, &ops, &rest, err);

    if (rc != 0)
        return rc;
    if (!ops->pair)
        return mui_fail(err, -EINVAL, "channel: \"%s\" makes no pair", address);
    a = mui_chan_new(ops, &o);
    b = mui_chan_new(ops, &o);
    rc = a && b ? ops->pair(a, b, rest, err)
                : mui_fail(err, -ENOMEM, "channel: open %s", address);
    if (rc == 0 && (address_keep(a, address) || address_keep(b, address)))
        rc = mui_fail(err, -ENOMEM, "channel: open %s", address);
    if (rc != 0) {
        mu_chan_free(a);
        mu_chan_free(b);
        return rc;
    }
    ret_ends[0] = a;
    ret_ends[1] = b;
    return 0;
}

int mu_chan_open(const char *address, const struct mu_chan_options *options,
                 struct mu_chan **ret_chan, struct mu_error *err)
{
    struct mu_chan_options o = options_fill(options);
    const struct mui_transport *ops;
    struct mu_chan *c;
    const char *rest;
    int rc = transport_find(address, &ops, &rest, err);

    if (rc != 0)
        return rc;
    if (!ops->open)
        return mui_fail(err, -EINVAL,
                        "channel: \"%s\" has no name to open: use "
                        "mu_chan_pair()",
                        address);
    c = mui_chan_new(ops, &o);
    rc = c ? ops->open(c, rest, err)
           : mui_fail(err, -ENOMEM, "channel: open %s", address);
    return set_up(c, address, rc, ret_chan, err);
}

int mu_chan_connect(const char *address, const struct mu_chan_options *options,
                    int64_t deadline, struct mu_chan **ret_chan,
                    struct mu_error *err)
{
    struct mu_chan_options o = options_fill(options);
    const struct mui_transport *ops;
    struct mu_chan *c;
    const char *rest;
    int rc = transport_find(address, &ops, &rest, err);

    if (rc != 0)
        return rc;
    if (!ops->connect)
        return mui_fail(err, -EINVAL,
                        "channel: \"%s\" has no name to connect to", address);
    c = mui_chan_new(ops, &o);
    rc = c ? ops->connect(c, rest, deadline, err)
           : mui_fail(err, -ENOMEM, "channel: connect to %s", address);
    if (rc == MU_TIMEOUT)
        mui_error_say(err, rc, "channel: connect to %s: %s", address,
                      mu_status_text(rc));
    return set_up(c, address, rc, ret_chan, err);
}

int mu_chan_accept(struct mu_chan *chan, int64_t deadline,
                   struct mu_chan **ret_chan, struct mu_error *err)
{
    struct mu_chan *peer;
    int rc;

    if (!is_here(chan))
        return mui_fail(err, -EINVAL,
                        "channel: \"%s\" was opened in another process, whose "
                        "descriptors this one has not",
                        chan->address);
    if (!chan->is_listener || !chan->ops->accept)
        return mui_fail(
            err, -EOPNOTSUPP,
            "channel: no connections come to \"%s\": accept is for who "
            "opened shm:NAME, unix:PATH or tcp:HOST:PORT",
            chan->address ? chan->address : "");
    peer = mui_chan_new(chan->ops, &chan->options);
    if (!peer)
        return mui_fail(err, -ENOMEM, "channel: accept");
    rc = chan->is_closed ? MU_CLOSED
                         : chan->ops->accept(chan, peer, deadline, err);
    if (rc > 0)
        mui_error_say(err, rc, "channel: accept: %s", mu_status_text(rc));
    return set_up(peer, chan->address, rc, ret_chan, err);
}

/* What every send checks first. */
static int send_check(const struct mu_chan *c, size_t size)
{
    if (!is_here(c))
        return -EINVAL;
    if (!c->can_send)
        return -EOPNOTSUPP;
    if (c->is_closed)
        return MU_CLOSED;
    if (size > c->options.message_bytes)
        return -EMSGSIZE;
    return c->is_reserved ? -EBUSY : 0;
}

int mu_chan_send(struct mu_chan *chan, const void *bytes, size_t size,
                 int64_t deadline)
{
    int rc = send_check(chan, size);

    if (rc != 0)
        return rc;
    return chan->ops->send(chan, bytes, size, 0, deadline);
}

int mu_chan_send_priority(struct mu_chan *chan, const void *bytes, size_t size,
                          unsigned priority, int64_t deadline)
{
    int rc = send_check(chan, size);

    if (rc != 0)
        return rc;
    return chan->ops->send(chan, bytes, size, priority, deadline);
}

/* What was checked. */
static int batch_send(struct mu_chan *c, const struct mu_chan_bytes *messages,
                      size_t n, int64_t deadline, size_t *ret_n_sent)
{
    if (c->ops->send_batch)
        return c->ops->send_batch(c, messages, n, deadline, ret_n_sent);
    for (size_t i = 0; i < n; i++) {
        int rc =
            c->ops->send(c, messages[i].data, messages[i].size, 0, deadline);

        if (rc != 0)
            return rc;
        (*ret_n_sent)++;
    }
    return 0;
}

int mu_chan_send_batch(struct mu_chan *chan,
                       const struct mu_chan_bytes *messages, size_t n,
                       int64_t deadline, size_t *ret_n_sent)
{
    size_t n_good = 0;
    int refused = 0;
    int rc = 0;

    *ret_n_sent = 0;
    while (n_good < n &&
           (refused = send_check(chan, messages[n_good].size)) == 0)
        n_good++;
    if (n_good > 0)
        rc = batch_send(chan, messages, n_good, deadline, ret_n_sent);
    return rc != 0 ? rc : refused;
}

int mu_chan_reserve(struct mu_chan *chan, size_t size, int64_t deadline,
                    void **ret_room)
{
    int rc = send_check(chan, size);

    if (rc != 0)
        return rc;
    if (!chan->ops->reserve)
        return -EOPNOTSUPP;
    rc = chan->ops->reserve(chan, size, deadline, ret_room);
    if (rc == 0) {
        chan->is_reserved = true;
        chan->reserved = size;
    }
    return rc;
}

int mu_chan_commit(struct mu_chan *chan, size_t size)
{
    if (!chan->is_reserved || size > chan->reserved || !is_here(chan))
        return -EINVAL;
    chan->ops->commit(chan, size);
    chan->is_reserved = false;
    return 0;
}

/* Put the next message into *ret: the one that was too large, or a new one. It is not
 * passed through the handle: a copy of fields just stored would wait for the stores. */
static int message_next(struct mu_chan *c, int64_t deadline,
                        struct mu_chan_message *ret)
{
    if (!is_here(c))
        return -EINVAL;
    if (c->is_borrowed)
        return -EBUSY;
    if (c->is_kept) {
        c->is_kept = false;
        *ret = c->kept;
        return 0;
    }
    if (!c->can_recv)
        return -EOPNOTSUPP;
    if (c->is_closed)
        return MU_CLOSED;
    return c->ops->borrow(c, deadline, ret);
}

int mu_chan_borrow(struct mu_chan *chan, int64_t deadline,
                   struct mu_chan_message *ret_message)
{
    int rc = message_next(chan, deadline, ret_message);

    if (rc == 0)
        chan->is_borrowed = true;
    return rc;
}

void mu_chan_release(struct mu_chan *chan)
{
    if (!chan->is_borrowed || !is_here(chan))
        return;
    chan->is_borrowed = false;
    chan->ops->release(chan);
}

int mu_chan_recv(struct mu_chan *chan, void *buffer, size_t buffer_size,
                 int64_t deadline, size_t *ret_size)
{
    struct mu_chan_message m = {.size = 0};
    int rc = message_next(chan, deadline, &m);

    if (rc == 0 || rc == -EMSGSIZE)
        *ret_size = m.size;
    if (rc != 0)
        return rc;
    if (m.size > buffer_size) {
        chan->kept = m;
        chan->is_kept = true;
        return -EMSGSIZE;
    }
    if (m.size > 0)
        memcpy(buffer, m.data, m.size);
    chan->ops->release(chan);
    return 0;
}

int mu_chan_recv_batch(struct mu_chan *chan, void *buffer, size_t buffer_size,
                       size_t n_max, int64_t deadline, size_t *ret_sizes,
                       size_t *ret_n)
{
    size_t at = 0;
    size_t n = 0;
    int rc = 0;

    while (n < n_max && at <= buffer_size) {
        rc = mu_chan_recv(chan, (char *)buffer + at, buffer_size - at,
                          n == 0 ? deadline : MU_NOW, &ret_sizes[n]);
        if (rc != 0)
            break;
        at += (ret_sizes[n] + 7) / 8 * 8;
        n++;
    }
    *ret_n = n;
    return n > 0 ? 0 : rc;
}

int mu_chan_fd(struct mu_chan *chan)
{
    if (!is_here(chan))
        return -EINVAL;
    if (!chan->can_recv && !chan->is_listener)
        return -EOPNOTSUPP;
    return chan->ops->fd(chan);
}

void mui_chan_drop(struct mu_chan *c)
{
    mu_chan_release(c);
    if (c->is_kept) {
        c->is_kept = false;
        c->ops->release(c);
    }
}

int mu_chan_close(struct mu_chan *chan)
{
    int rc;

    if (!is_here(chan))
        return -EINVAL;
    if (chan->is_closed)
        return 0;
    rc = chan->ops->close(chan);
    if (rc != 0)
        return rc;
    chan->is_closed = true;
    chan->is_reserved = false;
    mui_chan_drop(chan);
    return 0;
}

int mu_chan_drain(struct mu_chan *chan, int64_t deadline)
{
    if (!is_here(chan))
        return -EINVAL;
    return chan->can_send ? chan->ops->drain(chan, deadline) : 0;
}

void mu_chan_free(struct mu_chan *chan)
{
    if (!chan)
        return;
    if (is_here(chan))
        chan->ops->fini(chan);
    free(chan->address);
    free(chan);
}

const char *mu_chan_address(const struct mu_chan *chan)
{
    return chan->address;
}

uint64_t mu_chan_position(const struct mu_chan *chan)
{
    return chan->ops->position ? chan->ops->position(chan) : 0;
}
