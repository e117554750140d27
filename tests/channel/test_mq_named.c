/* test_mq_named.c: several senders of one queue, forked and killed. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "muster/channel.h"

#include "support/check.h"

enum { LARGE = 100000, N_EACH = 20 };

static char name[64];
static char address[80];
static char bytes[LARGE];

static int queue_begin(void **state)
{
    (void)state;
    (void)snprintf(name, sizeof name, "/muster-test-%d", (int)getpid());
    (void)snprintf(address, sizeof address, "mq:%s", name);
    (void)mq_unlink(name);
    return 0;
}

static int queue_end(void **state)
{
    (void)state;
    (void)mq_unlink(name);
    return 0;
}

static struct mu_chan *receiver_open(void)
{
    struct mu_chan_options options = {.queue_messages = 2};
    struct mu_chan *c;

    assert_int_equal(mu_chan_open(address, &options, &c, NULL), 0);
    return c;
}

static struct mu_chan *sender_open(void)
{
    struct mu_chan *c;

    CHECK_CHILD(mu_chan_connect(address, NULL, MU_NOW, &c, NULL) == 0);
    return c;
}

/* The children of one handle: `*own` is theirs by inheritance. */
struct inherited {
    struct mu_chan *own;
    char fill;
};

static void send_inherited(void *arg)
{
    struct inherited *in = arg;

    memset(bytes, in->fill, sizeof bytes);
    for (int i = 0; i < N_EACH; i++)
        CHECK_CHILD(
            mu_chan_send(in->own, bytes, sizeof bytes, test_deadline()) == 0);
}

static void forked_senders_of_one_handle_do_not_mix(void **state)
{
    struct mu_chan *r = receiver_open();
    struct inherited in = {.own = sender_open(), .fill = 'a'};
    pid_t a = test_fork(send_inherited, &in);
    pid_t b;

    (void)state;
    in.fill = 'b';
    b = test_fork(send_inherited, &in);
    for (int i = 0; i < 2 * N_EACH; i++) {
        struct mu_chan_message m;
        const char *got;

        assert_int_equal(mu_chan_borrow(r, test_deadline(), &m), 0);
        assert_int_equal(m.size, LARGE);
        got = m.data;
        assert_memory_equal(got, got + 1, LARGE - 1);
        mu_chan_release(r);
    }
    assert_int_equal(test_wait(a), 0);
    assert_int_equal(test_wait(b), 0);
    mu_chan_free(in.own);
    mu_chan_free(r);
}

/* Begin a message and never end it. The queue takes two pieces, and this has more: the
 * deadline passes in its middle, and nobody sends the rest. */
static void begin_and_leave(void)
{
    struct mu_chan *w = sender_open();

    assert_int_equal(mu_chan_send(w, bytes, sizeof bytes, MU_NOW), MU_TIMEOUT);
    mu_chan_free(w);
}

static void nothing_expect(struct mu_chan *r)
{
    size_t size;

    assert_int_equal(mu_chan_recv(r, bytes, sizeof bytes, MU_NOW, &size),
                     MU_TIMEOUT);
}

static void begun_messages_of_the_dead_make_room(void **state)
{
    struct mu_chan *r = receiver_open();
    struct mu_chan *w = sender_open();
    size_t size;

    (void)state;
    for (int i = 0; i < 200; i++) {
        begin_and_leave();
        nothing_expect(r);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mu_chan_send(w, bytes, 16000, MU_NOW), 0);
        assert_int_equal(mu_chan_recv(r, bytes, sizeof bytes, MU_NOW, &size),
                         0);
        assert_int_equal(size, 16000);
    }
    mu_chan_free(w);
    mu_chan_free(r);
}

/* Who comes when the beginning was taken already gets none of the rest. */
static void tail_is_no_message(void **state)
{
    struct mu_chan *r = receiver_open();
    struct mu_chan *w = sender_open();
    mqd_t thief = mq_open(name, O_RDONLY);
    size_t size;

    (void)state;
    assert_true(thief >= 0);
    assert_int_equal(mu_chan_send(w, bytes, 16000, MU_NOW), 0);
    assert_true(mq_receive(thief, bytes, sizeof bytes, NULL) > 0);
    nothing_expect(r);
    assert_int_equal(mu_chan_send(w, "x", 1, MU_NOW), 0);
    assert_int_equal(mu_chan_recv(r, bytes, sizeof bytes, MU_NOW, &size), 0);
    assert_int_equal(size, 1);
    (void)mq_close(thief);
    mu_chan_free(w);
    mu_chan_free(r);
}

/* Of what a thief leaves of several messages none is made, and the loss is told. */
static void parts_of_two_messages_are_not_joined(void **state)
{
    static const size_t sizes[] = {20000, 12000, 100}; /* 3 pieces, 2, 1 */
    /* which pieces are stolen, and what comes of the others */
    static const struct {
        const char *stolen;
        int n_whole;
        int n_told; /* not what lost its beginning: another may have it all */
    } cases[] = {
        {"------", 3, 0}, {"-x----", 2, 1}, {"-xxx--", 1, 1},
        {"--x---", 2, 1}, {"--x-x-", 1, 2}, {"x--x--", 1, 0},
    };
    struct mu_chan_options options = {.queue_messages = 6};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mu_chan *r;
        struct mu_chan *w;
        mqd_t thief;
        mqd_t queue;
        size_t size;
        int n_whole = 0;
        int n_told = 0;
        int rc;

        (void)mq_unlink(name);
        assert_int_equal(mu_chan_open(address, &options, &r, NULL), 0);
        w = sender_open();
        thief = mq_open(name, O_RDONLY);
        queue = mq_open(name, O_WRONLY);
        assert_true(thief >= 0 && queue >= 0);
        for (int k = 0; k < 3; k++) {
            memset(bytes, 'a' + k, sizeof bytes);
            assert_int_equal(mu_chan_send(w, bytes, sizes[k], MU_NOW), 0);
        }
        /* once round the queue, which keeps the order of what it is given again */
        for (int k = 0; k < 6; k++) {
            static char piece[8192];
            ssize_t n = mq_receive(thief, piece, sizeof piece, NULL);

            assert_true(n > 0);
            if (cases[i].stolen[k] != 'x')
                assert_int_equal(mq_send(queue, piece, (size_t)n, 0), 0);
        }
        while ((rc = mu_chan_recv(r, bytes, sizeof bytes, MU_NOW, &size)) !=
               MU_TIMEOUT) {
            n_told += rc == MU_ECORRUPT;
            n_whole += rc == 0;
            assert_true(rc == 0 || rc == MU_ECORRUPT);
            if (rc == 0) {
                assert_int_equal(size, sizes[*bytes - 'a']);
                assert_memory_equal(bytes, bytes + 1, size - 1);
            }
        }
        assert_int_equal(n_whole, cases[i].n_whole);
        assert_int_equal(n_told, cases[i].n_told);
        (void)mq_close(thief);
        (void)mq_close(queue);
        mu_chan_free(w);
        mu_chan_free(r);
    }
}

static void receiver_dies_in_child(void *arg)
{
    (void)arg;
    (void)receiver_open();
}

/* Two would take pieces of each other's messages. */
static void second_receiver_is_refused(void **state)
{
    struct mu_chan *r = receiver_open();
    struct mu_chan *other;
    struct mu_error err;

    (void)state;
    assert_int_equal(mu_chan_open(address, NULL, &other, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, name));
    /* until the first has said goodbye, */
    assert_int_equal(mu_chan_close(r), 0);
    other = receiver_open();
    mu_chan_free(r);
    assert_int_equal(mu_chan_open(address, NULL, &r, NULL), -EADDRINUSE);
    /* is gone, */
    mu_chan_free(other);
    /* or died */
    assert_int_equal(test_wait(test_fork(receiver_dies_in_child, NULL)), 0);
    mu_chan_free(receiver_open());
}

/* A message above the receiver's limit is refused, in one piece or in several, and that
 * of the next sender is taken. */
static void limit_of_the_receiver_is_kept(void **state)
{
    static const size_t sizes[] = {101, 16000};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct mu_chan_options small = {.message_bytes = 100,
                                        .queue_messages = 4};
        struct mu_chan *r;
        struct mu_chan *w = NULL;
        size_t size;

        assert_int_equal(mu_chan_open(address, &small, &r, NULL), 0);
        w = sender_open();
        assert_int_equal(mu_chan_send(w, bytes, sizes[i], MU_NOW), 0);
        assert_int_equal(mu_chan_send(w, bytes, 100, MU_NOW), 0);
        assert_int_equal(mu_chan_recv(r, bytes, sizeof bytes, MU_NOW, &size),
                         MU_ECORRUPT);
        assert_int_equal(mu_chan_recv(r, bytes, sizeof bytes, MU_NOW, &size),
                         0);
        assert_int_equal(size, 100);
        nothing_expect(r);
        mu_chan_free(w);
        mu_chan_free(r);
    }
}

int main(void)
{
#define QUEUE_TEST(fn)                                                         \
    cmocka_unit_test_setup_teardown(fn, queue_begin, queue_end)
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(forked_senders_of_one_handle_do_not_mix),
        QUEUE_TEST(begun_messages_of_the_dead_make_room),
        QUEUE_TEST(tail_is_no_message),
        QUEUE_TEST(parts_of_two_messages_are_not_joined),
        QUEUE_TEST(second_receiver_is_refused),
        QUEUE_TEST(limit_of_the_receiver_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
