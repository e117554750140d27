/* open.h: open, connect and receive, or fail the test. */
#ifndef TEST_CHANNEL_OPEN_H
#define TEST_CHANNEL_OPEN_H

#include "muster/channel.h"

#include "support/check.h"

static char bytes[65536];

static inline struct mu_chan *open_or_fail(
    const char *address, const struct mu_chan_options *options)
{
    struct mu_error err = {.text = ""};
    struct mu_chan *c;

    if (mu_chan_open(address, options, &c, &err) != 0)
        fail_msg("%s", err.text);
    return c;
}

static inline struct mu_chan *connect_or_fail(
    const char *address, const struct mu_chan_options *options)
{
    struct mu_chan *c;

    CHECK_CHILD(mu_chan_connect(address, options, test_deadline(), &c, NULL) ==
                0);
    return c;
}

static inline int recv_now(struct mu_chan *c)
{
    size_t size;

    return mu_chan_recv(c, bytes, sizeof bytes, MU_NOW, &size);
}

static inline int recv_some_time(struct mu_chan *c)
{
    size_t size;

    return mu_chan_recv(c, bytes, sizeof bytes, test_deadline(), &size);
}

struct caller {
    const char *address;
    struct mu_chan_options options;
    struct mu_chan *chan;
    int rc;
};

static inline void *call(void *arg)
{
    struct caller *a = arg;

    a->rc = mu_chan_connect(a->address, &a->options, test_deadline(), &a->chan,
                            NULL);
    return NULL;
}

#endif
