/* test_flood.c: a peer that sends without end what is no message does not hold a receiver
 * beyond its deadline, and a message behind all that still arrives. */
#include <stdatomic.h>
#include <sys/socket.h>

#include "channel/channel.h"
#include "channel/flood.h"
#include "channel/hostile_ring.h"
#include "channel/stream.h"

static atomic_bool dribbles; /* each call passes a byte */

ssize_t recv(int fd, void *buf, size_t n, int flags)
{
    return syscall(SYS_recvfrom, fd, buf, dribbles && n > 1 ? 1 : n, flags,
                   NULL, NULL);
}

/* A bell that is rung before each sleep, and until its sleeper is well beyond his deadline. */
static struct {
    bool is_rung;
    int from; /* the ringer's socket */
    int64_t deadline;
    int n_late; /* sleeps that began after it */
} bell;

enum { N_LATE = 100 };

int ppoll(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout,
          const sigset_t *ss)
{
    struct timespec left = timeout ? *timeout : (struct timespec){.tv_sec = 0};

    if (bell.is_rung) {
        bell.n_late += mu_now_ns() >= bell.deadline;
        if (bell.n_late < N_LATE)
            mui_bell_ring(bell.from);
    }
    return (int)syscall(SYS_ppoll, fds, nfds, timeout ? &left : NULL, ss,
                        _NSIG / 8);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct msghdr m = *message;

    if (dribbles)
        return syscall(SYS_sendto, fd, m.msg_iov[0].iov_base, 1, flags, NULL,
                       0);
    return syscall(SYS_sendmsg, fd, &m, flags);
}

/* Nor does a message of which a little more is always there, or has room. */
static void bytes_that_dribble_end(void **state)
{
    char sent[100] = "y";
    char got[sizeof sent];
    struct mu_chan *ends[2];
    struct pollfd p = {.events = POLLIN};
    int n_turns = 0;
    size_t size;
    int rc;

    (void)state;
    assert_int_equal(mu_chan_pair("tcp:", NULL, ends, NULL), 0);
    p.fd = mu_chan_fd(ends[1]);
    dribbles = true;
    /* the rest goes with the next call */
    assert_int_equal(mu_chan_send(ends[0], sent, sizeof sent, MU_NOW), 0);
    dribbles = false;
    assert_true(mui_stream_of(ends[0])->rest_end > 0);
    assert_int_equal(mu_chan_drain(ends[0], test_deadline()), 0);
    dribbles = true;
    assert_int_equal(poll(&p, 1, TEST_HANG_NS / 1000000), 1);
    while ((rc = mu_chan_recv(ends[1], got, sizeof got, MU_NOW, &size)) ==
           MU_TIMEOUT) {
        assert_int_equal(poll(&p, 1, TEST_HANG_NS / 1000000), 1);
        n_turns++;
    }
    dribbles = false;
    assert_int_equal(rc, 0);
    assert_true(n_turns > 0);
    assert_int_equal(size, sizeof sent);
    assert_memory_equal(got, sent, sizeof sent);
    mu_chan_free(ends[0]);
    mu_chan_free(ends[1]);
}

static void packets_of_nothing_end(void **state)
{
    static const uint32_t nothing[16] = {0x6d750013}; /* forget the pieces */
    struct mu_chan *ends[2];
    int sock;

    (void)state;
    assert_int_equal(mu_chan_pair("unix:", NULL, ends, NULL), 0);
    sock = mu_chan_fd(ends[0]);
    for (int i = 0; i < N_NOTHINGS; i++)
        assert_int_equal(send(sock, nothing, sizeof nothing, MSG_DONTWAIT),
                         sizeof nothing);
    assert_int_equal(mu_chan_send(ends[0], "x", 1, MU_NOW), 0);
    message_is_reached_in_turns(ends[1], POLLIN);
    mu_chan_free(ends[0]);
    mu_chan_free(ends[1]);
}

static void records_of_nothing_send(struct mu_chan *from)
{
    struct mui_shm_end *e = (struct mui_shm_end *)(void *)from->state;
    void *room;

    for (int i = 0; i < N_NOTHINGS; i++) {
        assert_int_equal(mui_ring_reserve(&e->out, 0, &room), 0);
        mui_ring_commit(&e->out, 0, MUI_RING_ABORT);
    }
}

static void records_of_nothing_end(void **state)
{
    struct mu_chan *ends[2];

    (void)state;
    assert_int_equal(mu_chan_pair("shm:", NULL, ends, NULL), 0);
    records_of_nothing_send(ends[0]);
    assert_int_equal(mu_chan_send(ends[0], "x", 1, MU_NOW), 0);
    message_is_reached_in_turns(ends[1], 0);
    mu_chan_free(ends[0]);
    mu_chan_free(ends[1]);
}

/* Who watches is not told of what was there when he said that he sleeps. */
static void who_watches_leaves_nothing_that_does_not_ring(void **state)
{
    struct mu_chan *ends[2];
    char byte;
    size_t size;

    (void)state;
    assert_int_equal(mu_chan_pair("shm:", NULL, ends, NULL), 0);
    assert_true(mu_chan_fd(ends[1]) >= 0);
    records_of_nothing_send(ends[0]);
    assert_int_equal(mu_chan_send(ends[0], "x", 1, MU_NOW), 0);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, MU_NOW, &size), 0);
    mu_chan_free(ends[0]);
    mu_chan_free(ends[1]);
}

/* A ring in which each word begins a record has no end. */
static void ring_without_end_is_left(void **state)
{
    (void)state;
    for (int is_watched = 0; is_watched < 2; is_watched++) {
        struct mu_chan *ends[2];
        struct mui_shm_end *e;
        char byte;
        size_t size;

        assert_int_equal(mu_chan_pair("shm:", NULL, ends, NULL), 0);
        e = (struct mui_shm_end *)(void *)ends[0]->state;
        ring_without_end(ends[0]);
        if (is_watched)
            assert_true(mu_chan_fd(ends[1]) >= 0);
        assert_int_equal(mu_chan_recv(ends[1], &byte, 1, MU_NOW, &size),
                         MU_TIMEOUT);
        /* so that what comes rings */
        assert_int_equal(atomic_load(&e->out.words->consumer_asleep),
                         is_watched);
        assert_int_equal(
            mu_chan_recv(ends[1], &byte, 1, mu_after_ns(1000000), &size),
            MU_TIMEOUT);
        mu_chan_free(ends[0]);
        mu_chan_free(ends[1]);
    }
}

enum bell_call { BELL_RECV, BELL_SEND, BELL_DRAIN };

/* The call that sleeps on a bell without end: one sleep may have begun too late. */
static void bell_is_left(struct mu_chan *c, const struct mui_shm_end *peer,
                         enum bell_call call)
{
    int64_t deadline = mu_after_ns(1000000);
    char byte = 0;
    size_t size;
    int rc;

    bell.from = call == BELL_RECV ? peer->data_sock : peer->room_sock;
    bell.deadline = deadline;
    bell.n_late = 0;
    bell.is_rung = true;
    if (call == BELL_RECV)
        rc = mu_chan_recv(c, &byte, 1, deadline, &size);
    else if (call == BELL_SEND)
        rc = mu_chan_send(c, &byte, 1, deadline);
    else
        rc = mu_chan_drain(c, deadline);
    bell.is_rung = false;
    assert_int_equal(rc, MU_TIMEOUT);
    assert_in_range(bell.n_late, 0, 1);
}

/* With a deadline that has passed. */
static int recv_late(struct mu_chan *c)
{
    char byte;
    size_t size;

    return mu_chan_recv(c, &byte, 1, mu_now_ns(), &size);
}

/* A peer that rings for nothing. */
static void bell_without_end_is_left(void **state)
{
    const struct mu_chan_options options = {.ring_bytes = 1, .spin_ns = -1};
    struct mu_chan *ends[2];
    const struct mui_shm_end *peer;

    (void)state;
    assert_int_equal(mu_chan_pair("shm:", &options, ends, NULL), 0);
    peer = (const struct mui_shm_end *)(const void *)ends[1]->state;
    bell_is_left(ends[0], peer, BELL_RECV);
    while (mu_chan_send(ends[0], "", 0, MU_NOW) == 0)
        ;
    bell_is_left(ends[0], peer, BELL_SEND);
    bell_is_left(ends[0], peer, BELL_DRAIN);
    /* and is told of a message, and of the end */
    assert_int_equal(mu_chan_send(ends[1], "x", 1, MU_NOW), 0);
    mu_chan_free(ends[1]);
    assert_int_equal(recv_late(ends[0]), 0);
    assert_int_equal(recv_late(ends[0]), MU_ECRASHED);
    mu_chan_free(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_dribble_end),
        cmocka_unit_test(packets_of_nothing_end),
        cmocka_unit_test(records_of_nothing_end),
        cmocka_unit_test(who_watches_leaves_nothing_that_does_not_ring),
        cmocka_unit_test(ring_without_end_is_left),
        cmocka_unit_test(bell_without_end_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
