/* suite_wraps.h: what the suite asks of the wrappers over each transport: that they do
 * what they are for. That they keep what the transport keeps is the rest of the suite. */
#ifndef TEST_CHANNEL_SUITE_WRAPS_H
#define TEST_CHANNEL_SUITE_WRAPS_H

#include "channel/suite_run.h"

/* Put `how` around one end. */
static void end_wrap(struct mu_chan **end, const char *how,
                     mu_chan_trace_fn trace, void *ctx)
{
    struct mu_chan *inner = *end;

    assert_int_equal(mu_chan_wrap(how, inner, trace, ctx, end, NULL), 0);
}

struct told {
    int n_sent, n_received, n_other;
    size_t bytes;
};

static void note_call(void *ctx, const char *call, size_t size, int status)
{
    struct told *t = ctx;

    if (status != 0)
        t->n_other++;
    else if (strcmp(call, "send") == 0)
        t->n_sent++;
    else if (strcmp(call, "receive") == 0)
        t->n_received++;
    t->bytes += size;
}

static void trace_tells_of_each_call(void **state)
{
    struct told out = {0};
    struct told in = {0};
    struct mu_chan *ends[2];
    char bytes[10];
    size_t size;

    (void)state;
    ends_open(ends);
    end_wrap(&ends[0], "trace", note_call, &out);
    end_wrap(&ends[1], "trace", note_call, &in);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(
            mu_chan_send(ends[0], "0123456789", i, test_deadline()), 0);
        assert_int_equal(
            mu_chan_recv(ends[1], bytes, sizeof bytes, test_deadline(), &size),
            0);
        assert_int_equal(size, i);
    }
    assert_int_equal(mu_chan_recv(ends[1], bytes, 1, MU_NOW, &size),
                     MU_TIMEOUT);
    assert_int_equal(out.n_sent, 10);
    assert_int_equal(out.bytes, 45);
    assert_int_equal(out.n_received + out.n_other, 0);
    assert_int_equal(in.n_received, 10);
    assert_int_equal(in.bytes, 45);
    assert_int_equal(in.n_other, 1);
    ends_free(ends);
}

static void lossy_loses_some_and_keeps_the_order(void **state)
{
    struct mu_chan *ends[2];
    struct mu_chan *below;
    unsigned char got;
    size_t size;
    int n_lost = 0;

    (void)state;
    ends_open(ends);
    below = ends[0];
    end_wrap(&ends[0], "lossy:4:7", NULL, NULL);
    for (unsigned char i = 0; i < 200; i++) {
        assert_int_equal(mu_chan_send(ends[0], &i, 1, test_deadline()), 0);
        assert_int_equal(mu_chan_send(below, "\xff", 1, test_deadline()), 0);
        assert_int_equal(mu_chan_recv(ends[1], &got, 1, test_deadline(), &size),
                         0);
        n_lost += got == 0xff;
        if (got != 0xff) {
            assert_int_equal(got, i);
            assert_int_equal(
                mu_chan_recv(ends[1], &got, 1, test_deadline(), &size), 0);
            assert_int_equal(got, 0xff);
        }
    }
    assert_in_range(n_lost, 25, 100);
    ends_free(ends);
}

static void slow_is_slow(void **state)
{
    struct mu_chan *ends[2];
    int64_t from = mu_now_ns();
    char byte;
    size_t size;

    (void)state;
    ends_open(ends);
    end_wrap(&ends[0], "slow:100000", NULL, NULL);
    end_wrap(&ends[1], "slow:200000", NULL, NULL);
    assert_int_equal(mu_chan_send(ends[0], "x", 1, test_deadline()), 0);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size),
                     0);
    assert_true(mu_now_ns() - from >= 300000);
    ends_free(ends);
}

#endif
