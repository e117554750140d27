/* suite_waits.h: what the suite asks of waiting: wakes, descriptors, drains. */
#ifndef TEST_CHANNEL_SUITE_WAITS_H
#define TEST_CHANNEL_SUITE_WAITS_H

#include "channel/suite_ends.h" /* echo() */
#include "channel/suite_run.h"

static void *echo_thread(void *arg)
{
    echo(arg);
    return NULL;
}

static void sleepers_are_always_woken(void **state)
{
    struct mu_chan_options options = {.spin_ns = -1};
    struct mu_chan *ends[2];
    pthread_t thread;
    char byte;
    size_t size;

    NEED(SUITE_DUPLEX);
    ends_open_with(ends, &options);
    assert_int_equal(pthread_create(&thread, NULL, echo_thread, ends[1]), 0);
    for (int i = 0; i < SUITE_MANY(3000); i++) {
        assert_int_equal(mu_chan_send(ends[0], "x", 1, test_deadline()), 0);
        assert_int_equal(
            mu_chan_recv(ends[0], &byte, 1, test_deadline(), &size), 0);
    }
    assert_int_equal(mu_chan_close(ends[0]), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    ends_free(ends);
}

static void senders_sleep_until_there_is_room(void **state)
{
    struct mu_chan_options options = {
        .spin_ns = -1, .ring_bytes = 16384, .queue_messages = 2};
    struct mu_chan *ends[2];

    (void)state;
    ends_open_with(ends, &options);
    run_between_threads(
        ends[0], ends[1],
        (struct run){.n = SUITE_MANY(3000), .seed = 6, .size_max = 3000});
    ends_free(ends);
}

static void descriptor_is_readable_when_a_message_is_there(void **state)
{
    struct mu_chan *ends[2];
    struct pollfd p = {.events = POLLIN};
    struct run out = {.n = SUITE_MANY(2000), .seed = 11, .size_max = 100};
    pthread_t thread;
    uint64_t n = 0;

    (void)state;
    ends_open(ends);
    p.fd = mu_chan_fd(ends[1]);
    if (!HAS(SUITE_FD)) {
        assert_int_equal(p.fd, -EOPNOTSUPP);
        ends_free(ends);
        return;
    }
    assert_true(p.fd >= 0);
    assert_true(fcntl(p.fd, F_GETFD) & FD_CLOEXEC);
    out.chan = ends[0];
    assert_int_equal(pthread_create(&thread, NULL, run_send_thread, &out), 0);
    while (n < out.n) {
        struct mu_chan_message m;
        int rc = mu_chan_borrow(ends[1], MU_NOW, &m);

        if (rc == MU_TIMEOUT) {
            assert_int_equal(poll(&p, 1, 30000), 1);
            continue;
        }
        assert_int_equal(rc, 0);
        assert_true(message_is(m.data, m.size, n));
        mu_chan_release(ends[1]);
        n++;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    ends_free(ends);
}

static void descriptor_is_readable_when_the_peer_is_gone(void **state)
{
    struct mu_chan *ends[2];
    struct pollfd p = {.events = POLLIN};
    char byte;
    size_t size;
    int rc;

    NEED(SUITE_FD | SUITE_ENDS);
    ends_open(ends);
    p.fd = mu_chan_fd(ends[1]);
    assert_true(p.fd >= 0);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, MU_NOW, &size),
                     MU_TIMEOUT);
    mu_chan_free(ends[0]);
    do {
        assert_int_equal(poll(&p, 1, 30000), 1);
        rc = mu_chan_recv(ends[1], &byte, 1, MU_NOW, &size);
    } while (rc == MU_TIMEOUT);
    assert_int_equal(rc, MU_ECRASHED);
    mu_chan_free(ends[1]);
    SUITE_AFTER();
}

static void *drain_thread(void *arg)
{
    run_recv(arg);
    return NULL;
}

static void drain_waits_for_what_was_sent(void **state)
{
    struct mu_chan *ends[2];
    struct run in = {.n = 500, .seed = 12, .size_max = 100};
    struct run out = in;
    pthread_t thread;

    (void)state;
    ends_open(ends);
    in.chan = ends[1];
    out.chan = ends[0];
    assert_int_equal(pthread_create(&thread, NULL, drain_thread, &in), 0);
    run_send(&out);
    assert_int_equal(mu_chan_drain(ends[0], test_deadline()), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    ends_free(ends);
}

#endif
