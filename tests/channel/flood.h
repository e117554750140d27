/* flood.h: a message behind much that is none. */
#ifndef TEST_CHANNEL_FLOOD_H
#define TEST_CHANNEL_FLOOD_H

#include <poll.h>

#include "muster/channel.h"

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

#endif
