/* test_flood.c: a peer that sends without end what is no message does not hold a receiver
 * beyond its deadline, and a message behind all that still arrives. */
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "muster/channel.h"

#include "channel/channel.h"
#include "channel/shm_end.h"
#include "support/check.h"

enum { N_NOTHINGS = 200 };

/* MU_NOW comes back before all of it was looked at; with patience it is passed. */
static void message_is_reached_in_turns(struct mu_chan *to, short events)
{
    struct pollfd p = {.fd = events ? mu_chan_fd(to) : -1, .events = events};
    int n_turns = 0;
    char byte;
    size_t size;
    int rc;

    while ((rc = mu_chan_recv(to, &byte, 1, MU_NOW, &size)) == MU_TIMEOUT) {
        assert_int_equal(poll(&p, 1, 0), events ? 1 : 0); /* and is told of */
        n_turns++;
        assert_true(n_turns < N_NOTHINGS);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(byte, 'x');
    assert_true(n_turns > 0);
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

static void pieces_of_nothing_end(void **state)
{
    struct {
        uint32_t kind;
        uint32_t sender;
        char byte;
    } piece = {.kind = 0x6d750035 /* forget the pieces */, .byte = 'x'};
    struct mu_chan_options options = {.queue_messages = 10};
    char name[64] = "mq:";
    struct mu_chan *to;
    mqd_t out;

    (void)state;
    (void)snprintf(name + 3, sizeof name - 3, "/muster-flood-%d",
                   (int)getpid());
    assert_int_equal(mu_chan_open(name, &options, &to, NULL), 0);
    out = mq_open(name + 3, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(out >= 0);
    for (int i = 0; i < 9; i++)
        assert_int_equal(mq_send(out, (char *)&piece, 8, 0), 0);
    piece.kind = 0x6d750031;
    assert_int_equal(mq_send(out, (char *)&piece, 9, 0), 0);
    message_is_reached_in_turns(to, POLLIN);
    (void)mq_close(out);
    (void)mq_unlink(name + 3);
    mu_chan_free(to);
}

static void records_of_nothing_end(void **state)
{
    struct mu_chan *ends[2];
    struct mui_shm_end *e;
    void *room;

    (void)state;
    assert_int_equal(mu_chan_pair("shm:", NULL, ends, NULL), 0);
    e = (struct mui_shm_end *)(void *)ends[0]->state;
    for (int i = 0; i < N_NOTHINGS; i++) {
        assert_int_equal(mui_ring_reserve(&e->out, 0, &room), 0);
        mui_ring_commit(&e->out, 0, MUI_RING_ABORT);
    }
    assert_int_equal(mu_chan_send(ends[0], "x", 1, MU_NOW), 0);
    message_is_reached_in_turns(ends[1], 0);
    mu_chan_free(ends[0]);
    mu_chan_free(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_of_nothing_end),
        cmocka_unit_test(pieces_of_nothing_end),
        cmocka_unit_test(records_of_nothing_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
