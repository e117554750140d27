/* suite_lies.h: what the suite asks of a receiver whose peer lies. */
#ifndef TEST_CHANNEL_SUITE_LIES_H
#define TEST_CHANNEL_SUITE_LIES_H

#include "channel/suite_run.h"

static void too_large_for_the_receiver_ends_the_channel(void **state)
{
    struct mu_chan *ends[2];
    char bytes[400] = {0};
    size_t size;

    (void)state;
    ends_open(ends);
    assert_int_equal(mu_chan_send(ends[0], bytes, 400, test_deadline()), 0);
    ends[1]->options.message_bytes = 100;
    suite_inner[1]->options.message_bytes = 100;
    if (!HAS(SUITE_TRUSTS))
        assert_int_equal(
            mu_chan_recv(ends[1], bytes, 400, test_deadline(), &size),
            SUITE_TOO_LARGE);
    assert_int_equal(mu_chan_send(ends[1], bytes, 101, MU_NOW),
                     suite_inner[1]->can_send ? -EMSGSIZE : -EOPNOTSUPP);
    ends_free(ends);
}

#ifndef SUITE_ONE_PROCESS
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
        suite_hostile(suite_inner[0], &seed);
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
#endif

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

#endif
