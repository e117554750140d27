/* suite_run.h: what the tests of the suite are made of: ends, messages whose bytes follow
 * from their number, and streams of them between threads. */
#ifndef TEST_CHANNEL_SUITE_RUN_H
#define TEST_CHANNEL_SUITE_RUN_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "muster/channel.h"

#include "channel/channel.h"
#include "support/check.h"

#define SUITE_DUPLEX  0x1u  /* both ends send */
#define SUITE_ENDS    0x2u  /* tells a goodbye from a death */
#define SUITE_PROCESS 0x4u  /* works between processes */
#define SUITE_FD      0x8u  /* has a descriptor to poll */
#define SUITE_RESERVE 0x10u /* lends room */
#define SUITE_FULL    0x20u /* has back-pressure */
#define SUITE_STREAM  0x40u /* a message that began counts as sent */

#define HAS(cap)      ((SUITE_CAPS & (cap)) == (cap))
#define NEED(cap)                                                              \
    do {                                                                       \
        (void)state;                                                           \
        if (!HAS(cap))                                                         \
            skip();                                                            \
    } while (0)

static uint64_t next_random(uint64_t *seed)
{
    *seed =
        *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

/* What a receiver is told of a message above its limit. */
#ifndef SUITE_TOO_LARGE
#    define SUITE_TOO_LARGE MU_ECORRUPT
#endif
#ifndef SUITE_BEFORE
#    define SUITE_BEFORE()
#    define SUITE_AFTER()
#endif

static void ends_open_with(struct mu_chan *ends[2],
                           const struct mu_chan_options *options)
{
    struct mu_error err = {.text = ""};

    SUITE_BEFORE();
    if (mu_chan_pair(SUITE_ADDRESS, options, ends, &err) != 0)
        fail_msg("%s", err.text);
}

static void ends_open(struct mu_chan *ends[2])
{
    ends_open_with(ends, NULL);
}

static void ends_free(struct mu_chan *ends[2])
{
    mu_chan_free(ends[0]);
    mu_chan_free(ends[1]);
    SUITE_AFTER();
}

/* The i-th message of a stream of sizes: its bytes follow from i. */
static void message_fill(unsigned char *bytes, size_t size, uint64_t i)
{
    for (size_t k = 0; k < size; k++)
        bytes[k] = (unsigned char)(i * 31 + k * 7 + (k >> 8));
}

static int message_is(const unsigned char *bytes, size_t size, uint64_t i)
{
    for (size_t k = 0; k < size; k++) {
        if (bytes[k] != (unsigned char)(i * 31 + k * 7 + (k >> 8)))
            return 0;
    }
    return 1;
}

struct run {
    struct mu_chan *chan;
    uint64_t n;
    uint64_t seed;
    size_t size_max;
    const size_t *sizes; /* else random below size_max */
};

static size_t run_size(struct run *r, uint64_t i)
{
    return r->sizes ? r->sizes[i] : next_random(&r->seed) % r->size_max;
}

static void run_send(void *arg)
{
    struct run *r = arg;
    unsigned char *bytes = malloc(r->size_max + 1);

    for (uint64_t i = 0; i < r->n; i++) {
        size_t size = run_size(r, i);

        message_fill(bytes, size, i);
        CHECK_CHILD(mu_chan_send(r->chan, bytes, size, test_deadline()) == 0);
    }
    free(bytes);
}

static void run_recv(void *arg)
{
    struct run *r = arg;

    for (uint64_t i = 0; i < r->n; i++) {
        size_t size = run_size(r, i);
        struct mu_chan_message m;

        CHECK_CHILD(mu_chan_borrow(r->chan, test_deadline(), &m) == 0);
        CHECK_CHILD(m.size == size);
        CHECK_CHILD((uintptr_t)m.data % 8 == 0);
        CHECK_CHILD(message_is(m.data, size, i));
        mu_chan_release(r->chan);
    }
}

static void run_recv_one(struct mu_chan *chan, const char *bytes, size_t size)
{
    struct mu_chan_message m;

    assert_int_equal(mu_chan_borrow(chan, test_deadline(), &m), 0);
    assert_int_equal(m.size, size);
    assert_memory_equal(m.data, bytes, size);
    mu_chan_release(chan);
}

static void *run_send_thread(void *arg)
{
    run_send(arg);
    return NULL;
}

static void *run_recv_thread(void *arg)
{
    run_recv(arg);
    return NULL;
}

static void run_between_threads(struct mu_chan *from, struct mu_chan *to,
                                struct run how)
{
    struct run out = how;
    struct run in = how;
    pthread_t thread;

    out.chan = from;
    in.chan = to;
    assert_int_equal(pthread_create(&thread, NULL, run_send_thread, &out), 0);
    run_recv(&in);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

#endif
