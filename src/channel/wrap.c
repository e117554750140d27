/* wrap.c: something between a channel and its user: it tells, loses or delays. Each is
 * a transport of its own over the calls that every channel has. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "channel/channel.h"

struct wrap_state {
    struct mu_chan *inner;
    mu_chan_trace_fn trace; /* optional */
    void *trace_ctx;
    uint64_t lose_one_in; /* 0: none */
    uint64_t seed;        /* sender's */
    int64_t delay_ns;
};

static struct wrap_state *wrap_state(const struct mu_chan *c)
{
    return (struct wrap_state *)(void *)(uintptr_t)c->state;
}

/* Before a call: be late. */
static void wrap_delay(const struct wrap_state *s)
{
    struct timespec left = {.tv_sec = s->delay_ns / 1000000000,
                            .tv_nsec = s->delay_ns % 1000000000};

    while (s->delay_ns > 0 && nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

/* After a call: tell. */
static int wrap_tell(const struct wrap_state *s, const char *call, size_t size,
                     int rc)
{
    if (s->trace)
        s->trace(s->trace_ctx, call, size, rc);
    return rc;
}

/* Whether this message is to be lost. */
static bool wrap_loses(struct wrap_state *s)
{
    if (s->lose_one_in == 0)
        return false;
    s->seed =
        s->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (s->seed >> 33) % s->lose_one_in == 0;
}

static int wrap_send(struct mu_chan *c, const void *bytes, size_t size,
                     unsigned priority, int64_t deadline)
{
    struct wrap_state *s = wrap_state(c);
    int rc = 0;

    wrap_delay(s);
    if (!wrap_loses(s))
        rc = mu_chan_send_priority(s->inner, bytes, size, priority, deadline);
    return wrap_tell(s, "send", size, rc);
}

static int wrap_reserve(struct mu_chan *c, size_t size, int64_t deadline,
                        void **ret_room)
{
    struct wrap_state *s = wrap_state(c);

    if (s->lose_one_in != 0)
        return -EOPNOTSUPP; /* what lies in the ring cannot be lost */
    wrap_delay(s);
    return wrap_tell(s, "reserve", size,
                     mu_chan_reserve(s->inner, size, deadline, ret_room));
}

static void wrap_commit(struct mu_chan *c, size_t size)
{
    struct wrap_state *s = wrap_state(c);

    wrap_delay(s);
    (void)wrap_tell(s, "commit", size, mu_chan_commit(s->inner, size));
}

static int wrap_borrow(struct mu_chan *c, int64_t deadline,
                       struct mu_chan_message *ret)
{
    struct wrap_state *s = wrap_state(c);
    int rc;

    wrap_delay(s);
    rc = mu_chan_borrow(s->inner, deadline, ret);
    return wrap_tell(s, "receive", rc == 0 ? ret->size : 0, rc);
}

static void wrap_release(struct mu_chan *c)
{
    mu_chan_release(wrap_state(c)->inner);
}

static int wrap_accept(struct mu_chan *c, struct mu_chan *peer,
                       int64_t deadline, struct mu_error *err)
{
    struct wrap_state *s = wrap_state(c);
    struct wrap_state *p = wrap_state(peer);
    int rc;

    wrap_delay(s);
    *p = *s;
    p->inner = NULL;
    rc = mu_chan_accept(s->inner, deadline, &p->inner, err);
    peer->can_send = rc == 0 && p->inner->can_send;
    peer->can_recv = rc == 0 && p->inner->can_recv;
    return wrap_tell(s, "accept", 0, rc);
}

static int wrap_fd(struct mu_chan *c)
{
    return mu_chan_fd(wrap_state(c)->inner);
}

static int wrap_close(struct mu_chan *c)
{
    struct wrap_state *s = wrap_state(c);

    wrap_delay(s);
    return wrap_tell(s, "close", 0, mu_chan_close(s->inner));
}

static int wrap_drain(struct mu_chan *c, int64_t deadline)
{
    struct wrap_state *s = wrap_state(c);

    wrap_delay(s);
    return wrap_tell(s, "drain", 0, mu_chan_drain(s->inner, deadline));
}

static uint64_t wrap_position(const struct mu_chan *c)
{
    return mu_chan_position(wrap_state(c)->inner);
}

static void wrap_fini(struct mu_chan *c)
{
    mu_chan_free(wrap_state(c)->inner);
}

static const struct mui_transport transport_wrap = {
    .scheme = "wrap",
    .size = sizeof(struct wrap_state),
    .accept = wrap_accept,
    .send = wrap_send,
    .reserve = wrap_reserve,
    .commit = wrap_commit,
    .borrow = wrap_borrow,
    .release = wrap_release,
    .fd = wrap_fd,
    .close = wrap_close,
    .drain = wrap_drain,
    .fini = wrap_fini,
    .position = wrap_position,
};

/* "trace", "lossy:N:SEED", "slow:NS". */
static int wrap_parse(const char *how, struct wrap_state *ret)
{
    char *end;

    if (strcmp(how, "trace") == 0)
        return ret->trace ? 0 : -EINVAL;
    if (strncmp(how, "slow:", 5) == 0) {
        ret->delay_ns = strtoll(how + 5, &end, 10);
        return *end == '\0' && ret->delay_ns > 0 ? 0 : -EINVAL;
    }
    if (strncmp(how, "lossy:", 6) != 0)
        return -EINVAL;
    ret->lose_one_in = strtoull(how + 6, &end, 10);
    if (*end != ':' || ret->lose_one_in == 0)
        return -EINVAL;
    ret->seed = strtoull(end + 1, &end, 10);
    return *end == '\0' ? 0 : -EINVAL;
}

int mu_chan_wrap(const char *how, struct mu_chan *inner, mu_chan_trace_fn trace,
                 void *trace_ctx, struct mu_chan **ret_chan,
                 struct mu_error *err)
{
    struct wrap_state parsed = {.trace = trace, .trace_ctx = trace_ctx};
    struct mu_chan *c;
    int rc = wrap_parse(how, &parsed);

    if (rc != 0)
        return mui_fail(err, rc,
                        "channel: \"%s\": the wrappers are trace, "
                        "lossy:N:SEED, slow:NS",
                        how);
    c = mui_chan_new(&transport_wrap, &inner->options);
    if (!c)
        return mui_fail(err, -ENOMEM, "channel: wrap");
    c->address = strdup(inner->address);
    if (!c->address) {
        mu_chan_free(c);
        return mui_fail(err, -ENOMEM, "channel: wrap");
    }
    parsed.inner = inner;
    *wrap_state(c) = parsed;
    c->can_send = inner->can_send;
    c->can_recv = inner->can_recv;
    c->is_listener = inner->is_listener;
    *ret_chan = c;
    return 0;
}
