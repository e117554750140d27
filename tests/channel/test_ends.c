/* test_ends.c: how ends are told where it is not plain: goodbyes without room, and several
 * producers and consumers of one name. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "muster/channel.h"

#include "open.h"
#include "support/check.h"

/* ---- goodbyes --------------------------------------------------------------- */

/* Receive on one side until a drain of the other says that what was sent is there. How
 * many were received. */
static int drain_by_receiving(struct mu_chan *from, struct mu_chan *to)
{
    int n_got = 0;
    int rc;

    while ((rc = mu_chan_drain(from, MU_NOW)) == MU_TIMEOUT) {
        rc = recv_now(to); /* acknowledged late, it may have been the last */
        assert_true(rc >= 0);
        n_got += rc == 0;
    }
    assert_int_equal(rc, 0);
    return n_got;
}

/* Fill it, and go: what a drain and a close answered with 0 is told as an end. */
static void goodbye_follows(struct mu_chan *from, struct mu_chan *to,
                            size_t size)
{
    int n_sent = 0;
    int n_got;
    int rc;

    while ((rc = mu_chan_send(from, bytes, size, MU_NOW)) == 0)
        n_sent++;
    assert_int_equal(rc, MU_TIMEOUT);
    n_got = drain_by_receiving(from, to);
    assert_int_equal(mu_chan_close(from), 0);
    assert_int_equal(mu_chan_send(from, bytes, 1, MU_NOW), MU_CLOSED);
    mu_chan_free(from);
    while ((rc = recv_some_time(to)) == 0)
        n_got++;
    assert_int_equal(rc, MU_CLOSED);
    assert_int_equal(n_got, n_sent);
    mu_chan_free(to);
}

static void drain_makes_room_for_the_goodbye(void **state)
{
    static const char *const schemes[] = {"pipe:", "unix:", "tcp:", "mq:"};
    static const size_t sizes[] = {0, 8, 3000, sizeof bytes};

    (void)state;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            struct mu_chan_options options = {.queue_messages = 4};
            struct mu_chan *ends[2];

            assert_int_equal(mu_chan_pair(schemes[i], &options, ends, NULL), 0);
            goodbye_follows(ends[0], ends[1], sizes[k]);
        }
    }
}

static void drain_makes_room_in_a_fifo(void **state)
{
    char address[64];
    struct mu_chan *to;

    (void)state;
    (void)snprintf(address, sizeof address, "fifo:/tmp/muster-test-%d.fifo",
                   (int)getpid());
    to = open_or_fail(address, NULL);
    goodbye_follows(connect_or_fail(address, NULL), to, 8);
    (void)unlink(address + strlen("fifo:"));
}

/* What is sealed keeps its order: a goodbye that has no room is the next to go. */
static void drain_makes_room_for_a_sealed_goodbye(void **state)
{
    struct caller a = {
        .options = {.secret = "0123456789abcdef", .secret_size = 16}};
    struct mu_chan *listener;
    struct mu_chan *to;
    pthread_t thread;
    int n_sent = 0;
    int n_got = 0;
    int rc;

    (void)state;
    if (mu_chan_open("tcp:127.0.0.1:0", &a.options, &listener, NULL) != 0)
        skip();
    a.address = mu_chan_address(listener);
    assert_int_equal(pthread_create(&thread, NULL, call, &a), 0);
    assert_int_equal(mu_chan_accept(listener, test_deadline(), &to, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(a.rc, 0);
    while ((rc = mu_chan_send(a.chan, bytes, 1000, MU_NOW)) == 0)
        n_sent++;
    assert_int_equal(rc, MU_TIMEOUT);
    while ((rc = mu_chan_close(a.chan)) == MU_TIMEOUT) {
        assert_int_equal(recv_some_time(to), 0);
        n_got++;
    }
    assert_int_equal(rc, 0);
    mu_chan_free(a.chan);
    while ((rc = recv_some_time(to)) == 0)
        n_got++;
    assert_int_equal(rc, MU_CLOSED);
    assert_int_equal(n_got, n_sent);
    mu_chan_free(to);
    mu_chan_free(listener);
}

/* Two ends, of which the first has two messages, and no room for its goodbye. */
static void full_ends_open(const char *scheme, struct mu_chan *ends[2])
{
    int rc;

    assert_int_equal(mu_chan_pair(scheme, NULL, ends, NULL), 0);
    assert_int_equal(mu_chan_send(ends[1], "first", 5, MU_NOW), 0);
    assert_int_equal(mu_chan_send(ends[1], "second", 6, MU_NOW), 0);
    while ((rc = mu_chan_send(ends[0], bytes, 0, MU_NOW)) == 0)
        ;
    assert_int_equal(rc, MU_TIMEOUT);
}

/* A goodbye that had no room takes no message from who has yet to receive or release it;
 * the one that was said does. */
static void goodbye_without_room_drops_nothing(void **state)
{
    static const char *const schemes[] = {"pipe:", "unix:"};

    (void)state;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        struct mu_chan_message m;
        struct mu_chan *ends[2];
        char got[8];
        size_t size;

        full_ends_open(schemes[i], ends);
        assert_int_equal(mu_chan_recv(ends[0], got, 1, MU_NOW, &size),
                         -EMSGSIZE);
        assert_int_equal(mu_chan_close(ends[0]), MU_TIMEOUT);
        assert_int_equal(mu_chan_recv(ends[0], got, sizeof got, MU_NOW, &size),
                         0);
        assert_int_equal(size, 5);
        assert_memory_equal(got, "first", 5);
        assert_int_equal(mu_chan_borrow(ends[0], MU_NOW, &m), 0);
        assert_int_equal(mu_chan_close(ends[0]), MU_TIMEOUT);
        assert_int_equal(mu_chan_recv(ends[0], got, sizeof got, MU_NOW, &size),
                         -EBUSY);
        assert_int_equal(m.size, 6);
        assert_memory_equal(m.data, "second", 6);
        while (mu_chan_close(ends[0]) == MU_TIMEOUT)
            assert_int_equal(recv_some_time(ends[1]), 0);
        assert_int_equal(mu_chan_recv(ends[0], got, sizeof got, MU_NOW, &size),
                         MU_CLOSED);
        mu_chan_free(ends[0]);
        mu_chan_free(ends[1]);
    }
}

/* Asked of it when a bell rings, once, while the other side says goodbye. */
static _Thread_local struct mu_chan *drained;
static _Thread_local int drained_rc;

static void drain_once(void)
{
    struct mu_chan *c = drained;

    drained = NULL;
    if (c)
        drained_rc = mu_chan_drain(c, MU_NOW);
}

/* The library's too: the bell of a ring. */
ssize_t send(int fd, const void *buf, size_t n, int flags)
{
    drain_once();
    return syscall(SYS_sendto, fd, buf, n, flags, NULL, 0);
}

/* The library's too: that of a queue in memory. */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
ssize_t write(int fd, const void *buf, size_t n)
{
    drain_once();
    return syscall(SYS_write, fd, buf, n);
}

/* What is lent to who says goodbye has been received: whoever hears of the goodbye finds
 * it so. */
static void goodbye_gives_back_first(void **state)
{
    static const char *const schemes[] = {"shm:", "mem:"};

    (void)state;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        struct mu_chan_message m;
        struct mu_chan *ends[2];

        assert_int_equal(mu_chan_pair(schemes[i], NULL, ends, NULL), 0);
        assert_true(mu_chan_fd(ends[0]) >= 0); /* a bell to ring */
        assert_int_equal(mu_chan_send(ends[0], "x", 1, MU_NOW), 0);
        assert_int_equal(mu_chan_borrow(ends[1], MU_NOW, &m), 0);
        drained_rc = -1;
        drained = ends[0];
        assert_int_equal(mu_chan_close(ends[1]), 0);
        assert_null(drained);
        assert_int_equal(drained_rc, 0);
        mu_chan_free(ends[0]);
        mu_chan_free(ends[1]);
    }
}

/* Over TCP what comes to an end that was given back is answered by a reset. What was
 * drained is received in spite of it, and the goodbye when it was, too. */
static void what_was_drained_outlives_a_reset(void **state)
{
    struct mu_chan *ends[2];
    struct pollfd p = {.events = 0};
    int n_sent = 0;
    int n_got;
    int rc;

    (void)state;
    assert_int_equal(mu_chan_pair("tcp:", NULL, ends, NULL), 0);
    while ((rc = mu_chan_send(ends[0], bytes, 3000, MU_NOW)) == 0)
        n_sent++;
    assert_int_equal(rc, MU_TIMEOUT);
    n_got = drain_by_receiving(ends[0], ends[1]);
    assert_int_equal(mu_chan_close(ends[0]), 0);
    n_got += drain_by_receiving(ends[0], ends[1]);
    mu_chan_free(ends[0]);
    assert_int_equal(mu_chan_send(ends[1], "x", 1, MU_NOW), 0);
    p.fd = mu_chan_fd(ends[1]); /* POLLHUP: the reset is there */
    assert_int_equal(poll(&p, 1, TEST_HANG_NS / 1000000), 1);
    while ((rc = recv_some_time(ends[1])) == 0)
        n_got++;
    assert_int_equal(rc, MU_CLOSED);
    assert_int_equal(n_got, n_sent);
    mu_chan_free(ends[1]);
}

/* Nobody is waited for who receives no more, also where a goodbye would have room. */
static void drain_ends_with_the_other_side(void **state)
{
    (void)state;
    for (int says_goodbye = 0; says_goodbye < 2; says_goodbye++) {
        struct mu_chan *ends[2];
        struct pollfd p = {.events = POLLOUT};
        int rc;

        assert_int_equal(mu_chan_pair("tcp:", NULL, ends, NULL), 0);
        p.fd = mu_chan_fd(ends[0]);
        while ((rc = mu_chan_send(ends[0], bytes, 3000, MU_NOW)) == 0)
            ;
        assert_int_equal(rc, MU_TIMEOUT);
        while (poll(&p, 1, 0) == 0)
            assert_true(recv_now(ends[1]) >= 0);
        if (says_goodbye)
            assert_int_equal(mu_chan_close(ends[1]), 0);
        else
            mu_chan_free(ends[1]);
        assert_int_equal(mu_chan_drain(ends[0], test_deadline()),
                         says_goodbye ? MU_CLOSED : MU_ECRASHED);
        if (says_goodbye)
            mu_chan_free(ends[1]);
        mu_chan_free(ends[0]);
    }
}

/* A queue has its goodbye beside it: full, and in the middle of a message. */
static void full_queue_takes_a_goodbye(void **state)
{
    struct mu_chan_options options = {.queue_messages = 2};
    struct mu_chan *ends[2];

    (void)state;
    assert_int_equal(mu_chan_pair("mq:", &options, ends, NULL), 0);
    assert_int_equal(mu_chan_send(ends[0], "x", 1, MU_NOW), 0);
    assert_int_equal(mu_chan_send(ends[0], bytes, sizeof bytes, MU_NOW),
                     MU_TIMEOUT);
    assert_int_equal(mu_chan_close(ends[0]), 0);
    mu_chan_free(ends[0]);
    assert_int_equal(recv_now(ends[1]), 0);
    assert_int_equal(recv_now(ends[1]), MU_CLOSED);
    assert_int_equal(recv_now(ends[1]), MU_CLOSED);
    mu_chan_free(ends[1]);
}

/* ---- names in memory -------------------------------------------------------- */

static void producers_goodbye_ends_all_consumers(void **state)
{
    (void)state;
    for (int says_goodbye = 0; says_goodbye < 2; says_goodbye++) {
        int expected = says_goodbye ? MU_CLOSED : MU_ECRASHED;
        struct mu_chan *producer = open_or_fail("mem:work", NULL);
        struct mu_chan *consumers[2];

        for (int i = 0; i < 2; i++) {
            consumers[i] = connect_or_fail("mem:work", NULL);
            assert_int_equal(recv_now(consumers[i]), MU_TIMEOUT);
        }
        for (int i = 0; i < 3; i++)
            assert_int_equal(mu_chan_send(producer, "x", 1, MU_NOW), 0);
        if (says_goodbye)
            assert_int_equal(mu_chan_close(producer), 0);
        mu_chan_free(producer);
        assert_int_equal(recv_now(consumers[0]), 0);
        assert_int_equal(recv_now(consumers[1]), 0);
        assert_int_equal(recv_now(consumers[0]), 0);
        for (int i = 0; i < 2; i++)
            assert_int_equal(recv_now(consumers[i]), expected);
        mu_chan_free(consumers[0]);
        assert_int_equal(recv_now(consumers[1]), expected);
        mu_chan_free(consumers[1]);
    }
}

static void consumers_goodbye_ends_all_producers(void **state)
{
    struct mu_chan_options options = {.queue_messages = 2};
    struct mu_chan *producers[2] = {open_or_fail("mem:work", &options)};
    struct mu_chan *consumer = connect_or_fail("mem:work", NULL);

    (void)state;
    producers[1] = connect_or_fail("mem:work", NULL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(mu_chan_send(producers[i], "x", 1, MU_NOW), 0);
    assert_int_equal(mu_chan_send(producers[0], "x", 1, MU_NOW), MU_TIMEOUT);
    assert_int_equal(recv_now(consumer), 0);
    assert_int_equal(mu_chan_close(consumer), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(mu_chan_send(producers[i], "x", 1, MU_NOW), MU_CLOSED);
    mu_chan_free(consumer);
    consumer = connect_or_fail("mem:work", NULL); /* the next */
    assert_int_equal(mu_chan_send(producers[1], "x", 1, MU_NOW), 0);
    assert_int_equal(recv_now(consumer), 0);
    mu_chan_free(consumer);
    mu_chan_free(producers[0]);
    mu_chan_free(producers[1]);
}

/* What was reserved ends with the goodbye: others go on. */
static void goodbye_drops_what_was_reserved(void **state)
{
    struct mu_chan_options options = {.queue_messages = 2};
    struct mu_chan *consumer = open_or_fail("mem:work", &options);
    struct mu_chan *leaves = connect_or_fail("mem:work", NULL);
    struct mu_chan *stays = connect_or_fail("mem:work", NULL);
    void *room;

    (void)state;
    assert_int_equal(mu_chan_send(stays, "x", 1, MU_NOW), 0);
    assert_int_equal(mu_chan_reserve(leaves, 1, MU_NOW, &room), 0);
    assert_int_equal(mu_chan_close(leaves), 0);
    assert_int_equal(recv_now(consumer), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(mu_chan_commit(leaves, 1), -EINVAL);
        assert_int_equal(mu_chan_send(stays, "x", 1, MU_NOW), 0);
        assert_int_equal(recv_now(consumer), 0);
    }
    mu_chan_free(leaves);
    mu_chan_free(stays);
    mu_chan_free(consumer);
}

/* Who has not been used may do both yet. */
static void unused_handle_keeps_a_name_open(void **state)
{
    struct mu_chan *unused = open_or_fail("mem:work", NULL);
    struct mu_chan *producer = connect_or_fail("mem:work", NULL);
    struct mu_chan *consumer = connect_or_fail("mem:work", NULL);

    (void)state;
    assert_int_equal(mu_chan_send(producer, "x", 1, MU_NOW), 0);
    assert_int_equal(mu_chan_close(producer), 0);
    assert_int_equal(recv_now(consumer), 0);
    assert_int_equal(recv_now(consumer), MU_TIMEOUT);
    assert_int_equal(mu_chan_send(unused, "x", 1, MU_NOW), 0);
    assert_int_equal(recv_now(consumer), 0);
    assert_int_equal(mu_chan_close(unused), 0);
    assert_int_equal(recv_now(consumer), MU_CLOSED);
    mu_chan_free(unused);
    mu_chan_free(producer);
    mu_chan_free(consumer);
}

/* Who comes to where nobody is begins anew: each end is that of those since. */
static void death_is_over_once_told(void **state)
{
    struct mu_chan *opener = open_or_fail("mem:work", NULL);
    struct mu_chan *other = connect_or_fail("mem:work", NULL);

    (void)state;
    mu_chan_free(other); /* it was neither yet, as who is left still is */
    for (int i = 0; i < 4; i++) {
        bool dies = i % 2 != 0;

        other = connect_or_fail("mem:work", NULL);
        assert_int_equal(mu_chan_send(other, "x", 1, MU_NOW), 0);
        if (!dies)
            assert_int_equal(mu_chan_close(other), 0);
        mu_chan_free(other);
        assert_int_equal(recv_now(opener), 0);
        assert_int_equal(recv_now(opener),
                         dies || i == 0 ? MU_ECRASHED : MU_CLOSED);
    }
    mu_chan_free(opener);
}

/* But not before one is left of those among whom it happened, had it begun or not. */
static void death_before_another_begins_is_told(void **state)
{
    struct mu_chan *consumer = open_or_fail("mem:work", NULL);
    struct mu_chan *producers[2];

    (void)state;
    assert_int_equal(recv_now(consumer), MU_TIMEOUT);
    for (int i = 0; i < 2; i++)
        producers[i] = connect_or_fail("mem:work", NULL);
    assert_int_equal(mu_chan_send(producers[0], "x", 1, MU_NOW), 0);
    mu_chan_free(producers[0]);
    assert_int_equal(mu_chan_send(producers[1], "x", 1, MU_NOW), 0);
    assert_int_equal(mu_chan_close(producers[1]), 0);
    mu_chan_free(producers[1]);
    for (int i = 0; i < 2; i++)
        assert_int_equal(recv_now(consumer), 0);
    assert_int_equal(recv_now(consumer), MU_ECRASHED);
    mu_chan_free(consumer);
}

static void death_among_others_is_told_with_the_last(void **state)
{
    struct mu_chan *consumer = open_or_fail("mem:work", NULL);
    struct mu_chan *producers[3];

    (void)state;
    assert_int_equal(recv_now(consumer), MU_TIMEOUT);
    for (int i = 0; i < 3; i++) {
        producers[i] = connect_or_fail("mem:work", NULL);
        assert_int_equal(mu_chan_send(producers[i], "x", 1, MU_NOW), 0);
        assert_int_equal(recv_now(consumer), 0);
        if (i == 1)
            mu_chan_free(producers[0]);
    }
    assert_int_equal(mu_chan_close(producers[1]), 0);
    assert_int_equal(recv_now(consumer), MU_TIMEOUT);
    assert_int_equal(mu_chan_close(producers[2]), 0);
    assert_int_equal(recv_now(consumer), MU_ECRASHED);
    mu_chan_free(producers[1]);
    mu_chan_free(producers[2]);
    mu_chan_free(consumer);
}

/* The opener's goodbye closes the name, as does the last one's; who is there goes on. */
static void name_ends_with_a_goodbye(void **state)
{
    struct mu_chan *opener = open_or_fail("mem:work", NULL);
    struct mu_chan *a = connect_or_fail("mem:work", NULL);
    struct mu_chan *b = connect_or_fail("mem:work", NULL);
    struct mu_chan *none;

    (void)state;
    assert_int_equal(mu_chan_close(opener), 0);
    assert_int_equal(mu_chan_connect("mem:work", NULL, MU_NOW, &none, NULL),
                     -ENOENT);
    assert_int_equal(mu_chan_send(a, "x", 1, MU_NOW), 0);
    assert_int_equal(recv_now(b), 0);
    mu_chan_free(opener);
    mu_chan_free(a);
    mu_chan_free(b);
    opener = open_or_fail("mem:work", NULL);
    a = connect_or_fail("mem:work", NULL);
    mu_chan_free(opener);
    b = connect_or_fail("mem:work", NULL);
    assert_int_equal(mu_chan_close(b), 0);
    assert_int_equal(mu_chan_close(a), 0);
    assert_int_equal(mu_chan_connect("mem:work", NULL, MU_NOW, &none, NULL),
                     -ENOENT);
    mu_chan_free(a);
    mu_chan_free(b);
}

/* Who is both and has said goodbye is not the one that receives. */
static void drain_behind_a_goodbye_waits_for_others(void **state)
{
    struct mu_chan *both = open_or_fail("mem:work", NULL);
    struct mu_chan *consumer = connect_or_fail("mem:work", NULL);

    (void)state;
    assert_int_equal(recv_now(consumer), MU_TIMEOUT);
    assert_int_equal(recv_now(both), MU_TIMEOUT);
    assert_int_equal(mu_chan_send(both, "x", 1, MU_NOW), 0);
    assert_int_equal(mu_chan_close(both), 0);
    assert_int_equal(mu_chan_drain(both, MU_NOW), MU_TIMEOUT);
    assert_int_equal(recv_now(consumer), 0);
    assert_int_equal(mu_chan_drain(both, MU_NOW), 0);
    mu_chan_free(both);
    mu_chan_free(consumer);
}

/* What others have sent or reserved is theirs. */
static void drain_is_of_what_the_handle_sent(void **state)
{
    struct mu_chan *consumer = open_or_fail("mem:work", NULL);
    struct mu_chan *a = connect_or_fail("mem:work", NULL);
    struct mu_chan *b = connect_or_fail("mem:work", NULL);
    void *room;

    (void)state;
    assert_int_equal(mu_chan_send(a, "x", 1, MU_NOW), 0);
    assert_int_equal(mu_chan_reserve(b, 1, MU_NOW, &room), 0);
    assert_int_equal(mu_chan_drain(b, MU_NOW), 0);
    assert_int_equal(mu_chan_drain(a, MU_NOW), MU_TIMEOUT);
    assert_int_equal(recv_now(consumer), 0);
    assert_int_equal(mu_chan_drain(a, MU_NOW), 0);
    assert_int_equal(mu_chan_commit(b, 1), 0);
    assert_int_equal(mu_chan_drain(b, MU_NOW), MU_TIMEOUT);
    assert_int_equal(mu_chan_drain(a, MU_NOW), 0);
    assert_int_equal(recv_now(consumer), 0);
    assert_int_equal(mu_chan_drain(b, MU_NOW), 0);
    mu_chan_free(a);
    mu_chan_free(b);
    mu_chan_free(consumer);
}

static void *recv_until_the_end(void *arg)
{
    struct mu_chan *c = connect_or_fail(arg, NULL);
    char byte;
    size_t size;
    int rc;

    while ((rc = mu_chan_recv(c, &byte, 1, test_deadline(), &size)) == 0)
        ;
    mu_chan_free(c);
    return rc == MU_CLOSED ? NULL : arg;
}

/* Those who sleep are woken, whether the last sender leaves or turns out to be none. */
static void sleeping_consumers_are_told(void **state)
{
    enum { N = 3 };

    (void)state;
    for (int round = 0; round < 100; round++) {
        struct mu_chan *main_end = open_or_fail("mem:work", NULL);
        struct mu_chan *producer = connect_or_fail("mem:work", NULL);
        pthread_t threads[N];

        for (int i = 0; i < N; i++)
            assert_int_equal(pthread_create(&threads[i], NULL,
                                            recv_until_the_end, "mem:work"),
                             0);
        for (int i = 0; i < 10; i++)
            assert_int_equal(mu_chan_send(producer, "x", 1, test_deadline()),
                             0);
        assert_int_equal(mu_chan_close(producer), 0);
        while (recv_now(main_end) == 0)
            ;
        for (int i = 0; i < N; i++) {
            void *told;

            assert_int_equal(pthread_join(threads[i], &told), 0);
            assert_null(told);
        }
        mu_chan_free(producer);
        mu_chan_free(main_end);
    }
}

static void memory_keeps_the_receivers_limit(void **state)
{
    struct mu_chan_options small = {.message_bytes = 10};
    struct mu_chan *to = open_or_fail("mem:work", &small);
    struct mu_chan *from = connect_or_fail("mem:work", NULL);

    (void)state;
    assert_int_equal(mu_chan_send(from, bytes, 11, MU_NOW), 0);
    assert_int_equal(mu_chan_send(from, bytes, 10, MU_NOW), 0);
    assert_int_equal(recv_now(to), MU_ECORRUPT);
    assert_int_equal(recv_now(to), 0);
    mu_chan_free(from);
    mu_chan_free(to);
}

/* A child by fork() has a copy of the memory: what it asks of that is refused, and what was
 * sent before is not waited for. */
static void use_the_copy(void *arg)
{
    struct mu_chan **ends = arg;
    struct mu_chan_bytes one = {.data = "x", .size = 1};
    struct mu_chan_message m;
    void *room;
    size_t n;

    CHECK_CHILD(mu_chan_send(ends[0], "x", 1, MU_NOW) == -EINVAL);
    CHECK_CHILD(mu_chan_send_batch(ends[0], &one, 1, MU_NOW, &n) == -EINVAL);
    CHECK_CHILD(mu_chan_reserve(ends[0], 1, MU_NOW, &room) == -EINVAL);
    CHECK_CHILD(mu_chan_drain(ends[0], MU_NEVER) == -EINVAL);
    CHECK_CHILD(recv_now(ends[1]) == -EINVAL);
    CHECK_CHILD(mu_chan_borrow(ends[1], MU_NEVER, &m) == -EINVAL);
    CHECK_CHILD(mu_chan_close(ends[0]) == 0);
    mu_chan_free(ends[0]);
    mu_chan_free(ends[1]);
}

static void memory_is_of_one_process(void **state)
{
    struct mu_chan *ends[2];

    (void)state;
    assert_int_equal(mu_chan_pair("mem:", NULL, ends, NULL), 0);
    assert_int_equal(mu_chan_send(ends[0], "x", 1, MU_NOW), 0);
    assert_int_equal(test_wait(test_fork(use_the_copy, ends)), 0);
    assert_int_equal(recv_now(ends[1]), 0);
    assert_int_equal(recv_now(ends[1]), MU_TIMEOUT);
    assert_int_equal(mu_chan_send(ends[1], "x", 1, MU_NOW), 0);
    assert_int_equal(recv_now(ends[0]), 0);
    mu_chan_free(ends[0]);
    mu_chan_free(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drain_makes_room_for_the_goodbye),
        cmocka_unit_test(drain_makes_room_in_a_fifo),
        cmocka_unit_test(drain_makes_room_for_a_sealed_goodbye),
        cmocka_unit_test(goodbye_without_room_drops_nothing),
        cmocka_unit_test(goodbye_gives_back_first),
        cmocka_unit_test(what_was_drained_outlives_a_reset),
        cmocka_unit_test(drain_ends_with_the_other_side),
        cmocka_unit_test(full_queue_takes_a_goodbye),
        cmocka_unit_test(producers_goodbye_ends_all_consumers),
        cmocka_unit_test(consumers_goodbye_ends_all_producers),
        cmocka_unit_test(goodbye_drops_what_was_reserved),
        cmocka_unit_test(unused_handle_keeps_a_name_open),
        cmocka_unit_test(death_is_over_once_told),
        cmocka_unit_test(death_before_another_begins_is_told),
        cmocka_unit_test(death_among_others_is_told_with_the_last),
        cmocka_unit_test(name_ends_with_a_goodbye),
        cmocka_unit_test(drain_behind_a_goodbye_waits_for_others),
        cmocka_unit_test(drain_is_of_what_the_handle_sent),
        cmocka_unit_test(sleeping_consumers_are_told),
        cmocka_unit_test(memory_keeps_the_receivers_limit),
        cmocka_unit_test(memory_is_of_one_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
