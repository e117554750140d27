/* suite_messages.h: what the suite asks of messages: order, boundaries, sizes,
 * back-pressure, deadlines, lending, batches. */
#ifndef TEST_CHANNEL_SUITE_MESSAGES_H
#define TEST_CHANNEL_SUITE_MESSAGES_H

#include "channel/suite_run.h"

static void messages_keep_order_and_bytes(void **state)
{
    struct mu_chan *ends[2];

    (void)state;
    ends_open(ends);
    run_between_threads(
        ends[0], ends[1],
        (struct run){.n = SUITE_MANY(20000), .seed = 1, .size_max = 300});
    ends_free(ends);
}

static void messages_keep_their_boundaries(void **state)
{
    static const size_t sizes[] = {
        0,     1,      7,       8,       9,      63,     64,     65,
        4087,  4096,   4097,    8176,    8192,   16384,  65519,  65520,
        65536, 98240,  98304,   98305,   131072, 131073, 262128, 0,
        3,     262144, 1048579, 5000000, 0,      1};
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
        runs[i] = (struct run){.chan = ends[i & 1],
                               .n = SUITE_MANY(5000),
                               .seed = 3,
                               .size_max = 2000};
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

/* One of 0 bytes is one, and has a place like any other; there is nothing of it to give. */
static void message_of_nothing_is_one(void **state)
{
    struct mu_chan *ends[2];
    struct mu_chan_message m;

    (void)state;
    ends_open(ends);
    mu_chan_release(ends[1]);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mu_chan_send(ends[0], NULL, 0, test_deadline()), 0);
        assert_int_equal(mu_chan_borrow(ends[1], test_deadline(), &m), 0);
        assert_int_equal(m.size, 0);
        assert_int_equal(m.priority, 0);
        assert_non_null(m.data);
        assert_int_equal((uintptr_t)m.data % 8, 0);
        for (int k = 0; k < 2; k++)
            mu_chan_release(ends[1]);
    }
    assert_int_equal(mu_chan_send(ends[0], "x", 1, test_deadline()), 0);
    run_recv_one(ends[1], "x", 1);
    ends_free(ends);
}

/* Who did not open takes no connections. */
static void connection_takes_none(void **state)
{
    struct mu_chan *ends[2];
    struct mu_chan *c;
    struct mu_error err;

    (void)state;
    ends_open(ends);
    for (int i = 0; i < 2; i++) {
        if (i == 1 && HAS(SUITE_HUB))
            continue;
        assert_int_equal(mu_chan_accept(ends[i], MU_NOW, &c, &err),
                         -EOPNOTSUPP);
        assert_non_null(strstr(err.text, "unix:PATH"));
    }
    ends_free(ends);
}

static void reserve_fill_commit_arrives(void **state)
{
    struct mu_chan *ends[2];
    struct mu_chan_message m;
    void *other;
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
        assert_int_equal((uintptr_t)room % 8, 0);
        assert_int_equal(mu_chan_send(ends[0], "x", 1, MU_NOW), -EBUSY);
        assert_int_equal(mu_chan_reserve(ends[0], 1, MU_NOW, &other), -EBUSY);
        assert_int_equal(mu_chan_commit(ends[0], 5001), -EINVAL);
        message_fill(room, size, i);
        assert_int_equal(mu_chan_commit(ends[0], size), 0);
        assert_int_equal(mu_chan_commit(ends[0], 0), -EINVAL);
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

/* A message that is too large stops a batch where it stands. */
static void batch_ends_at_what_is_too_large(void **state)
{
    static const char large[200];
    struct mu_chan_options options = {.message_bytes = 100};
    struct mu_chan_bytes messages[] = {
        {"a", 1}, {"b", 1}, {large, sizeof large}, {"c", 1}};
    struct mu_chan *ends[2];
    char byte;
    size_t size;
    size_t n = 4;

    (void)state;
    ends_open_with(ends, &options);
    assert_int_equal(
        mu_chan_send_batch(ends[0], messages, 4, test_deadline(), &n),
        -EMSGSIZE);
    assert_int_equal(n, 2);
    assert_int_equal(
        mu_chan_send_batch(ends[0], messages + 2, 2, test_deadline(), &n),
        -EMSGSIZE);
    assert_int_equal(n, 0);
    assert_int_equal(
        mu_chan_send_batch(ends[0], messages + 3, 1, test_deadline(), &n), 0);
    assert_int_equal(n, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size), 0);
        assert_int_equal(byte, "abc"[i]);
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
    if (!HAS(SUITE_PRIORITY)) {
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

#endif
