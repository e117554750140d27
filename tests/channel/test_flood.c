/* test_flood.c: a peer that sends without end what is no message does not hold a receiver
 * beyond its deadline, and a message behind all that still arrives. */
#include <sys/socket.h>

#include "channel/channel.h"
#include "channel/flood.h"
#include "channel/shm_end.h"

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
        cmocka_unit_test(records_of_nothing_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
