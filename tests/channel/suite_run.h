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

#define SUITE_DUPLEX   0x1u   /* both ends send */
#define SUITE_ENDS     0x2u   /* tells a goodbye from a death */
#define SUITE_PROCESS  0x4u   /* works between processes */
#define SUITE_FD       0x8u   /* has a descriptor to poll */
#define SUITE_RESERVE  0x10u  /* lends room */
#define SUITE_FULL     0x20u  /* has back-pressure */
#define SUITE_STREAM   0x40u  /* a message that began counts as sent */
#define SUITE_PRIORITY 0x80u  /* has priorities */
#define SUITE_TRUSTS   0x100u /* the receiver has no limit of its own */
#define SUITE_ACCEPT   0x200u /* named: whoever connects is accepted */
#define SUITE_HUB                                                              \
    0x400u /* tells each end once, and MU_CLOSED behind the last */

/* What stands between the channel and the suite; NULL: nothing. What "lossy" may lose
 * is less than one message in all of a run. */
static const char *suite_wrap;
static const char *const suite_wraps[] = {NULL, "trace", "slow:1",
                                          "lossy:1000000000000:1"};
#ifdef TEST_IS_SANITIZED
#    define SUITE_N_WRAPS 1
#else
#    define SUITE_N_WRAPS (sizeof suite_wraps / sizeof suite_wraps[0])
#endif

static unsigned suite_caps(void)
{
    if (suite_wrap && strncmp(suite_wrap, "lossy", 5) == 0)
        return SUITE_CAPS & ~SUITE_RESERVE;
    return SUITE_CAPS;
}

/* Long runs are there for the transport: less of them is enough for a wrapper. */
#define SUITE_MANY(n) (suite_wrap ? (n) / 20 : (n))

#define HAS(cap)      ((suite_caps() & (cap)) == (cap))
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
/* To be done with each end before it is used. */
#ifndef SUITE_READY
#    define SUITE_READY(chan) ((void)(chan))
#endif

#if defined(SUITE_NAME) || defined(SUITE_FREE_NAME)

/* Ends of a name: who connects sends, who opened it receives, or who was accepted. */
struct suite_connect {
    const char *address;
    const struct mu_chan_options *options;
    struct mu_chan *chan;
    _Atomic int is_done;
};

static void *suite_connect_thread(void *arg)
{
    struct suite_connect *s = arg;
    struct mu_error err = {.text = ""};

    if (mu_chan_connect(s->address, s->options, test_deadline(), &s->chan,
                        &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    atomic_store(&s->is_done, 1);
    return NULL;
}

static void suite_pair(struct mu_chan *ends[2],
                       const struct mu_chan_options *options)
{
    struct suite_connect s = {.options = options};
    struct mu_error err = {.text = ""};
    char name[128];
    pthread_t thread;
    struct mu_chan *listener;
    char byte;
    size_t size;

#    ifdef SUITE_FREE_NAME
    (void)snprintf(name, sizeof name, "%s", SUITE_FREE_NAME);
#    else
    (void)snprintf(name, sizeof name, SUITE_NAME, (int)getpid());
#    endif
    if (mu_chan_open(name, options, &listener, &err) != 0)
        fail_msg("%s", err.text);
    s.address = mu_chan_address(listener);
    assert_int_equal(pthread_create(&thread, NULL, suite_connect_thread, &s),
                     0);
    ends[1] = listener;
    if (HAS(SUITE_ACCEPT)) {
        if (mu_chan_accept(listener, test_deadline(), &ends[1], &err) != 0)
            fail_msg("%s", err.text);
    } else {
        while (!atomic_load(&s.is_done)) /* a receiver lets its senders in */
            assert_int_equal(mu_chan_recv(listener, &byte, 1, MU_NOW, &size),
                             MU_TIMEOUT);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    ends[0] = s.chan;
    if (HAS(SUITE_ACCEPT))
        mu_chan_free(listener);
}

#    ifdef SUITE_FREE_NAME
#        define SUITE_ADDRESS SUITE_FREE_NAME
#    else
#        define SUITE_ADDRESS SUITE_NAME
#    endif

#else

static void suite_pair(struct mu_chan *ends[2],
                       const struct mu_chan_options *options)
{
    struct mu_error err = {.text = ""};

    if (mu_chan_pair(SUITE_ADDRESS, options, ends, &err) != 0)
        fail_msg("%s", err.text);
}

#endif

/* The ends themselves, without what is wrapped around them. */
static struct mu_chan *suite_inner[2];

static void suite_trace(void *ctx, const char *call, size_t size, int status)
{
    (void)ctx;
    (void)call;
    (void)size;
    (void)status;
}

static void ends_open_with(struct mu_chan *ends[2],
                           const struct mu_chan_options *options)
{
    SUITE_BEFORE();
#ifdef SUITE_OPTIONS
    static const struct mu_chan_options defaults;
    struct mu_chan_options own = options ? *options : defaults;

    SUITE_OPTIONS(own);
    options = &own;
#endif
    suite_pair(ends, options);
    for (int i = 0; i < 2; i++) {
        suite_inner[i] = ends[i];
        SUITE_READY(suite_inner[i]);
        if (suite_wrap)
            assert_int_equal(mu_chan_wrap(suite_wrap, suite_inner[i],
                                          suite_trace, NULL, &ends[i], NULL),
                             0);
    }
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
