/* suite.h: what every transport has to keep. A test program says which transport it is
 * and includes this; the same tests are stamped out for each.
 *
 *     #define SUITE_ADDRESS "pipe:"
 *     #define SUITE_CAPS    (SUITE_DUPLEX | SUITE_ENDS | SUITE_PROCESS | SUITE_FD)
 *     static void suite_hostile(struct mu_chan *from, uint64_t *seed) ...
 *     #include "channel/suite.h" */
#ifndef TEST_CHANNEL_SUITE_H
#define TEST_CHANNEL_SUITE_H

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

static void messages_keep_order_and_bytes(void **state)
{
    struct mu_chan *ends[2];

    (void)state;
    ends_open(ends);
    run_between_threads(ends[0], ends[1],
                        (struct run){.n = 20000, .seed = 1, .size_max = 300});
    ends_free(ends);
}

static void messages_keep_their_boundaries(void **state)
{
    static const size_t sizes[] = {
        0,      1,      7,    8,    9,      63,      64,      65,    4087,
        4096,   4097,   8176, 8192, 16384,  65519,   65520,   65536, 131072,
        131073, 262128, 0,    3,    262144, 1048579, 5000000, 0,     1};
    struct mu_chan *ends[2];

    (void)state;
    ends_open(ends);
    run_between_threads(ends[0], ends[1],
                        (struct run){.n = sizeof sizes / sizeof sizes[0],
                                     .sizes = sizes,
                                     .size_max = 5000000});
    ends_free(ends);
}

static void large_messages_go_through_a_small_ring(void **state)
{
    struct mu_chan_options options = {.ring_bytes = 16384, .queue_messages = 2};
    struct mu_chan *ends[2];

    (void)state;
    ends_open_with(ends, &options);
    run_between_threads(ends[0], ends[1],
                        (struct run){.n = 300, .seed = 5, .size_max = 100000});
    ends_free(ends);
}

static void both_directions_at_once(void **state)
{
    struct mu_chan *ends[2];
    struct run runs[4];
    pthread_t threads[4];

    NEED(SUITE_DUPLEX);
    ends_open(ends);
    for (int i = 0; i < 4; i++) {
        runs[i] = (struct run){
            .chan = ends[i & 1], .n = 5000, .seed = 3, .size_max = 2000};
        assert_int_equal(
            pthread_create(&threads[i], NULL,
                           i < 2 ? run_send_thread : run_recv_thread, &runs[i]),
            0);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    ends_free(ends);
}

static void full_says_so_and_loses_nothing(void **state)
{
    struct mu_chan_options options = {.queue_messages = 4};
    struct mu_chan *ends[2];
    unsigned char bytes[1000];
    uint64_t n = 0;
    size_t size;

    NEED(SUITE_FULL);
    ends_open_with(ends, &options);
    for (int rc = 0; rc == 0; n += rc == 0) {
        message_fill(bytes, sizeof bytes, n);
        rc = mu_chan_send(ends[0], bytes, sizeof bytes, MU_NOW);
        assert_true(rc == 0 || rc == MU_TIMEOUT);
    }
    assert_true(n > 0);
    assert_int_equal(mu_chan_send(ends[0], bytes, sizeof bytes, mu_now_ns()),
                     MU_TIMEOUT);
    for (uint64_t i = 0; i < n; i++) {
        if (HAS(SUITE_STREAM)) /* the last one may be on its way only in part */
            assert_true(mu_chan_drain(ends[0], MU_NOW) >= 0);
        assert_int_equal(
            mu_chan_recv(ends[1], bytes, sizeof bytes, test_deadline(), &size),
            0);
        assert_int_equal(size, sizeof bytes);
        assert_true(message_is(bytes, size, i));
    }
    assert_int_equal(mu_chan_recv(ends[1], bytes, sizeof bytes, MU_NOW, &size),
                     MU_TIMEOUT);
    run_between_threads(ends[0], ends[1],
                        (struct run){.n = 100, .seed = 4, .size_max = 300});
    ends_free(ends);
}

static void empty_keeps_the_deadline(void **state)
{
    struct mu_chan *ends[2];
    char byte;
    size_t size;

    (void)state;
    ends_open(ends);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, MU_NOW, &size),
                     MU_TIMEOUT);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, mu_now_ns(), &size),
                     MU_TIMEOUT);
    assert_int_equal(
        mu_chan_recv(ends[1], &byte, 1, mu_after_ns(100000), &size),
        MU_TIMEOUT);
    assert_int_equal(mu_chan_send(ends[0], "x", 1, test_deadline()), 0);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size),
                     0);
    assert_int_equal(byte, 'x');
    ends_free(ends);
}

/* A deadline that passes inside a large message leaves no half of it. */
static void deadline_inside_a_message_leaves_no_half(void **state)
{
    enum { LARGE = 12 << 20 };
    struct mu_chan *ends[2];
    unsigned char *bytes;
    struct mu_chan_message m;
    struct run after;
    pthread_t thread;
    int rc;

    NEED(SUITE_FULL);
    ends_open(ends);
    bytes = malloc(LARGE);
    message_fill(bytes, LARGE, 1);
    rc = mu_chan_send(ends[0], bytes, LARGE, mu_after_ns(2000000));
    assert_true(rc == MU_TIMEOUT || rc == 0);
    after = (struct run){.chan = ends[0], .n = 1, .seed = 9, .size_max = 50};
    assert_int_equal(pthread_create(&thread, NULL, run_send_thread, &after), 0);
    if (rc == 0) {
        assert_int_equal(mu_chan_borrow(ends[1], test_deadline(), &m), 0);
        assert_int_equal(m.size, LARGE);
        assert_true(message_is(m.data, LARGE, 1));
        mu_chan_release(ends[1]);
    }
    run_recv(&(struct run){.chan = ends[1], .n = 1, .seed = 9, .size_max = 50});
    assert_int_equal(pthread_join(thread, NULL), 0);
    free(bytes);
    ends_free(ends);
}

static void buffer_too_small_keeps_the_message(void **state)
{
    struct mu_chan *ends[2];
    char bytes[8];
    size_t size = 0;

    (void)state;
    ends_open(ends);
    assert_int_equal(mu_chan_send(ends[0], "12345678", 8, test_deadline()), 0);
    assert_int_equal(mu_chan_recv(ends[1], bytes, 7, test_deadline(), &size),
                     -EMSGSIZE);
    assert_int_equal(size, 8);
    assert_int_equal(mu_chan_recv(ends[1], bytes, 8, MU_NOW, &size), 0);
    assert_memory_equal(bytes, "12345678", 8);
    ends_free(ends);
}

static void borrow_lends_one_at_a_time(void **state)
{
    struct mu_chan *ends[2];
    struct mu_chan_message m;
    char byte;
    size_t size;

    (void)state;
    ends_open(ends);
    assert_int_equal(mu_chan_send(ends[0], "a", 1, test_deadline()), 0);
    assert_int_equal(mu_chan_send(ends[0], "b", 1, test_deadline()), 0);
    assert_int_equal(mu_chan_borrow(ends[1], test_deadline(), &m), 0);
    assert_int_equal(*(const char *)m.data, 'a');
    assert_int_equal(mu_chan_borrow(ends[1], MU_NOW, &m), -EBUSY);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, MU_NOW, &size), -EBUSY);
    mu_chan_release(ends[1]);
    mu_chan_release(ends[1]);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size),
                     0);
    assert_int_equal(byte, 'b');
    ends_free(ends);
}

static void reserve_fill_commit_arrives(void **state)
{
    struct mu_chan *ends[2];
    struct mu_chan_message m;
    void *room;

    (void)state;
    ends_open(ends);
    if (!HAS(SUITE_RESERVE)) {
        assert_int_equal(mu_chan_reserve(ends[0], 8, MU_NOW, &room),
                         -EOPNOTSUPP);
        ends_free(ends);
        return;
    }
    assert_int_equal(mu_chan_commit(ends[0], 0), -EINVAL);
    for (uint64_t i = 0; i < 1000; i++) {
        size_t size = i * 13 % 5000;

        assert_int_equal(mu_chan_reserve(ends[0], 5000, test_deadline(), &room),
                         0);
        assert_int_equal(mu_chan_send(ends[0], "x", 1, MU_NOW), -EBUSY);
        assert_int_equal(mu_chan_commit(ends[0], 5001), -EINVAL);
        message_fill(room, size, i);
        assert_int_equal(mu_chan_commit(ends[0], size), 0);
        assert_int_equal(mu_chan_borrow(ends[1], test_deadline(), &m), 0);
        assert_int_equal(m.size, size);
        assert_true(message_is(m.data, size, i));
        mu_chan_release(ends[1]);
    }
    /* one that is never committed harms nobody */
    assert_int_equal(mu_chan_reserve(ends[0], 100, test_deadline(), &room), 0);
    ends_free(ends);
}

static void batches_arrive_in_order(void **state)
{
    enum { N = 500 };
    struct mu_chan *ends[2];
    struct mu_chan_bytes messages[N];
    unsigned char bytes[N][40];
    unsigned char got[4096];
    size_t sizes[64];
    uint64_t next = 0;
    size_t n;

    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        message_fill(bytes[i], i % 40, i);
        messages[i] = (struct mu_chan_bytes){bytes[i], i % 40};
    }
    ends_open(ends);
    for (size_t at = 0; at < N;) {
        size_t part = N - at < 50 ? N - at : 50;
        int rc = mu_chan_send_batch(ends[0], messages + at, part, MU_NOW, &n);

        assert_true(rc == 0 ? n == part : rc == MU_TIMEOUT);
        at += n;
        while (next < at) {
            size_t from = 0;

            assert_int_equal(mu_chan_recv_batch(ends[1], got, sizeof got, 64,
                                                test_deadline(), sizes, &n),
                             0);
            assert_true(n > 0 && n <= 64);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(sizes[i], next % 40);
                assert_true(message_is(got + from, sizes[i], next));
                from += (sizes[i] + 7) / 8 * 8;
                next++;
            }
        }
    }
    ends_free(ends);
}

static void priorities_only_where_they_exist(void **state)
{
    struct mu_chan *ends[2];
    char byte;
    size_t size;

    (void)state;
    ends_open(ends);
    if (strcmp(SUITE_ADDRESS, "mq:") != 0) {
        assert_int_equal(mu_chan_send_priority(ends[0], "a", 1, 1, MU_NOW),
                         -EOPNOTSUPP);
    } else {
        for (unsigned p = 0; p < 3; p++)
            assert_int_equal(
                mu_chan_send_priority(ends[0], &"abc"[p], 1, p, MU_NOW), 0);
        for (int p = 2; p >= 0; p--) {
            assert_int_equal(mu_chan_recv(ends[1], &byte, 1, MU_NOW, &size), 0);
            assert_int_equal(byte, "abc"[p]);
        }
    }
    ends_free(ends);
}

static void close_delivers_and_then_says_so(void **state)
{
    struct mu_chan *ends[2];
    char byte;
    size_t size;
    int rc;

    NEED(SUITE_ENDS);
    ends_open(ends);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mu_chan_send(ends[0], &"abc"[i], 1, test_deadline()),
                         0);
    assert_int_equal(mu_chan_close(ends[0]), 0);
    assert_int_equal(mu_chan_close(ends[0]), 0);
    assert_int_equal(mu_chan_send(ends[0], "x", 1, MU_NOW), MU_CLOSED);
    assert_int_equal(mu_chan_recv(ends[0], &byte, 1, MU_NOW, &size), MU_CLOSED);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size), 0);
        assert_int_equal(byte, "abc"[i]);
    }
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size),
                     MU_CLOSED);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, MU_NOW, &size), MU_CLOSED);
    mu_chan_free(ends[0]);
    do
        rc = mu_chan_send(ends[1], "x", 1, test_deadline());
    while (rc == 0);
    assert_true(rc == MU_CLOSED || rc == MU_ECRASHED);
    mu_chan_free(ends[1]);
}

static void *close_soon(void *arg)
{
    CHECK_CHILD(mu_chan_close(arg) == 0);
    return NULL;
}

static void close_wakes_a_waiting_receiver(void **state)
{
    NEED(SUITE_ENDS);
    for (int i = 0; i < 50; i++) {
        struct mu_chan *ends[2];
        pthread_t thread;
        char byte;
        size_t size;

        ends_open(ends);
        assert_int_equal(pthread_create(&thread, NULL, close_soon, ends[0]), 0);
        assert_int_equal(
            mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size), MU_CLOSED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        ends_free(ends);
    }
}

static void free_without_goodbye_is_a_crash(void **state)
{
    struct mu_chan *ends[2];
    char byte;
    size_t size;

    NEED(SUITE_ENDS);
    ends_open(ends);
    assert_int_equal(mu_chan_send(ends[0], "a", 1, test_deadline()), 0);
    mu_chan_free(ends[0]);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size),
                     0);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size),
                     MU_ECRASHED);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, MU_NOW, &size),
                     MU_ECRASHED);
    mu_chan_free(ends[1]);
}

/* ---- between processes ------------------------------------------------------ */

static pid_t fork_with_end(struct mu_chan *ends[2],
                           void (*fn)(struct mu_chan *))
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        mu_chan_free(ends[0]);
        fn(ends[1]);
        _exit(0);
    }
    mu_chan_free(ends[1]);
    ends[1] = NULL;
    return pid;
}

static void echo(struct mu_chan *c)
{
    struct mu_chan_message m;
    int rc;

    while ((rc = mu_chan_borrow(c, test_deadline(), &m)) == 0) {
        CHECK_CHILD(mu_chan_send(c, m.data, m.size, test_deadline()) == 0);
        mu_chan_release(c);
    }
    CHECK_CHILD(rc == MU_CLOSED);
    CHECK_CHILD(mu_chan_close(c) == 0);
}

static void process_echoes_every_message(void **state)
{
    struct mu_chan_options options = {.spin_ns = -1};
    static unsigned char bytes[30000];
    struct mu_chan *ends[2];
    uint64_t seed = 8;
    char byte;
    size_t size;
    pid_t pid;

    NEED(SUITE_PROCESS);
    if (!HAS(SUITE_DUPLEX))
        skip();
    ends_open_with(ends, &options);
    /* used before the fork, in both directions */
    run_between_threads(ends[0], ends[1],
                        (struct run){.n = 100, .seed = 2, .size_max = 300});
    run_between_threads(ends[1], ends[0],
                        (struct run){.n = 100, .seed = 2, .size_max = 300});
    pid = fork_with_end(ends, echo);
    for (uint64_t i = 0; i < 1000; i++) {
        size_t n = next_random(&seed) % sizeof bytes;

        message_fill(bytes, n, i);
        assert_int_equal(mu_chan_send(ends[0], bytes, n, test_deadline()), 0);
        assert_int_equal(
            mu_chan_recv(ends[0], bytes, sizeof bytes, test_deadline(), &size),
            0);
        assert_int_equal(size, n);
        assert_true(message_is(bytes, n, i));
    }
    assert_int_equal(mu_chan_close(ends[0]), 0);
    assert_int_equal(test_wait(pid), 0);
    (void)byte;
    mu_chan_free(ends[0]);
    SUITE_AFTER();
}

static void send_and_die(struct mu_chan *c)
{
    for (int i = 0; i < 3; i++)
        CHECK_CHILD(mu_chan_send(c, &"abc"[i], 1, test_deadline()) == 0);
    (void)raise(SIGKILL);
}

static void dead_sender_is_reported_after_its_messages(void **state)
{
    struct mu_chan *ends[2];
    char byte;
    size_t size;
    pid_t pid;

    NEED(SUITE_PROCESS | SUITE_ENDS);
    if (!HAS(SUITE_DUPLEX))
        skip();
    ends_open(ends);
    pid = fork_with_end(ends, send_and_die);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            mu_chan_recv(ends[0], &byte, 1, test_deadline(), &size), 0);
        assert_int_equal(byte, "abc"[i]);
    }
    assert_int_equal(mu_chan_recv(ends[0], &byte, 1, test_deadline(), &size),
                     MU_ECRASHED);
    assert_true(WIFSIGNALED(test_wait(pid)));
    mu_chan_free(ends[0]);
}

static void just_die(struct mu_chan *c)
{
    (void)c;
    (void)raise(SIGKILL);
}

static void dead_receiver_is_reported_to_the_sender(void **state)
{
    static char bytes[1000];
    struct mu_chan *ends[2];
    pid_t pid;
    int rc;

    NEED(SUITE_PROCESS | SUITE_ENDS);
    ends_open(ends);
    pid = fork_with_end(ends, just_die);
    do
        rc = mu_chan_send(ends[0], bytes, sizeof bytes, test_deadline());
    while (rc == 0);
    assert_int_equal(rc, MU_ECRASHED);
    assert_true(WIFSIGNALED(test_wait(pid)));
    mu_chan_free(ends[0]);
}

static void flood(struct mu_chan *c)
{
    static char bytes[3000];

    while (mu_chan_send(c, bytes, sizeof bytes, test_deadline()) == 0)
        ;
}

/* A peer killed at any moment while it sends: each message is whole, then the end. */
static void killed_sender_leaves_whole_messages(void **state)
{
    uint64_t seed = 77;

    NEED(SUITE_PROCESS | SUITE_ENDS);
    if (!HAS(SUITE_DUPLEX))
        skip();
    for (int i = 0; i < 20; i++) {
        struct mu_chan *ends[2];
        struct mu_chan_message m;
        uint64_t n = next_random(&seed) % 300;
        pid_t pid;
        int rc;

        ends_open(ends);
        pid = fork_with_end(ends, flood);
        while ((rc = mu_chan_borrow(ends[0], test_deadline(), &m)) == 0) {
            assert_int_equal(m.size, 3000);
            mu_chan_release(ends[0]);
            if (n-- == 0)
                (void)kill(pid, SIGKILL);
        }
        assert_int_equal(rc, MU_ECRASHED);
        assert_true(WIFSIGNALED(test_wait(pid)));
        mu_chan_free(ends[0]);
    }
}

/* ---- sleeping --------------------------------------------------------------- */

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
    for (int i = 0; i < 3000; i++) {
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
    run_between_threads(ends[0], ends[1],
                        (struct run){.n = 3000, .seed = 6, .size_max = 3000});
    ends_free(ends);
}

static void descriptor_is_readable_when_a_message_is_there(void **state)
{
    struct mu_chan *ends[2];
    struct pollfd p = {.events = POLLIN};
    struct run out = {.n = 2000, .seed = 11, .size_max = 100};
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
    while (n < 2000) {
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

/* ---- a peer that lies ------------------------------------------------------- */

static void too_large_for_the_receiver_ends_the_channel(void **state)
{
    struct mu_chan *ends[2];
    char bytes[400] = {0};
    size_t size;

    (void)state;
    ends_open(ends);
    assert_int_equal(mu_chan_send(ends[0], bytes, 400, test_deadline()), 0);
    ends[1]->options.message_bytes = 100;
    if (strcmp(SUITE_ADDRESS, "mem:") != 0 && strcmp(SUITE_ADDRESS, "mq:") != 0)
        assert_int_equal(
            mu_chan_recv(ends[1], bytes, 400, test_deadline(), &size),
            MU_ECORRUPT);
    assert_int_equal(mu_chan_send(ends[1], bytes, 101, MU_NOW),
                     HAS(SUITE_DUPLEX) ? -EMSGSIZE : -EOPNOTSUPP);
    ends_free(ends);
}

/* Any bytes from a peer: each call answers, and none reads outside. */
static void hostile_bytes_are_survived(void **state)
{
    uint64_t seed = 4711;

    (void)state;
    for (int i = 0; i < 200; i++) {
        struct mu_chan_options options = {.message_bytes = 100000,
                                          .ring_bytes = 16384};
        struct mu_chan *ends[2];
        struct mu_chan_message m;
        int rc;

        ends_open_with(ends, &options);
        suite_hostile(ends[0], &seed);
        for (int k = 0; k < 100; k++) {
            rc = mu_chan_borrow(ends[1], MU_NOW, &m);
            if (rc != 0)
                break;
            for (size_t j = 0; j < m.size; j += 97)
                (void)((const volatile char *)m.data)[j];
            mu_chan_release(ends[1]);
        }
        ends_free(ends);
    }
}

static void addresses_are_checked(void **state)
{
    struct mu_chan *ends[2];
    struct mu_error err;

    (void)state;
    assert_int_equal(mu_chan_pair("nothing", NULL, ends, &err), -EINVAL);
    assert_int_equal(mu_chan_pair("bogus:", NULL, ends, &err), -EINVAL);
    assert_non_null(strstr(err.text, "shm"));
    assert_int_equal(mu_chan_open("mpi:", NULL, ends, &err), MU_EMODEL);
    assert_int_equal(mu_chan_pair(NULL, NULL, ends, &err), -EINVAL);
    mu_chan_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_keep_order_and_bytes),
        cmocka_unit_test(messages_keep_their_boundaries),
        cmocka_unit_test(large_messages_go_through_a_small_ring),
        cmocka_unit_test(both_directions_at_once),
        cmocka_unit_test(full_says_so_and_loses_nothing),
        cmocka_unit_test(empty_keeps_the_deadline),
        cmocka_unit_test(deadline_inside_a_message_leaves_no_half),
        cmocka_unit_test(buffer_too_small_keeps_the_message),
        cmocka_unit_test(borrow_lends_one_at_a_time),
        cmocka_unit_test(reserve_fill_commit_arrives),
        cmocka_unit_test(batches_arrive_in_order),
        cmocka_unit_test(priorities_only_where_they_exist),
        cmocka_unit_test(close_delivers_and_then_says_so),
        cmocka_unit_test(close_wakes_a_waiting_receiver),
        cmocka_unit_test(free_without_goodbye_is_a_crash),
        cmocka_unit_test(process_echoes_every_message),
        cmocka_unit_test(dead_sender_is_reported_after_its_messages),
        cmocka_unit_test(dead_receiver_is_reported_to_the_sender),
        cmocka_unit_test(killed_sender_leaves_whole_messages),
        cmocka_unit_test(sleepers_are_always_woken),
        cmocka_unit_test(senders_sleep_until_there_is_room),
        cmocka_unit_test(descriptor_is_readable_when_a_message_is_there),
        cmocka_unit_test(drain_waits_for_what_was_sent),
        cmocka_unit_test(too_large_for_the_receiver_ends_the_channel),
        cmocka_unit_test(hostile_bytes_are_survived),
        cmocka_unit_test(addresses_are_checked),
    };

    return cmocka_run_group_tests_name(SUITE_ADDRESS, tests, NULL, NULL);
}

#endif
