/* test_bell.c: the descriptor of a name in memory is one for all its consumers. */
#include <poll.h>
#include <stdbool.h>

#include "muster/channel.h"

#include "open.h"
#include "support/check.h"

/* What happens between a look at the queue and the emptying of its bell. */
static struct mu_chan *sends_two;
static bool says_goodbye;

ssize_t read(int fd, void *buf, size_t nbytes)
{
    struct mu_chan *from = sends_two;

    sends_two = NULL;
    for (int i = 0; from && i < 2; i++)
        assert_int_equal(mu_chan_send(from, "x", 1, MU_NOW), 0);
    if (from && says_goodbye)
        assert_int_equal(mu_chan_close(from), 0);
    return syscall(SYS_read, fd, buf, nbytes);
}

static int bell_is_rung(struct mu_chan *c)
{
    struct pollfd p = {.fd = mu_chan_fd(c), .events = POLLIN};

    return poll(&p, 1, 0);
}

/* Who empties it takes one message, and the others hear of the rest, or of the end. */
static void bell_rings_on_for_the_others(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct mu_chan *producer = open_or_fail("mem:work", NULL);
        struct mu_chan *consumers[2];

        assert_int_equal(mu_chan_send(producer, "x", 1, MU_NOW), 0);
        for (int k = 0; k < 2; k++) {
            consumers[k] = connect_or_fail("mem:work", NULL);
            assert_true(mu_chan_fd(consumers[k]) >= 0);
        }
        assert_int_equal(recv_now(consumers[0]), 0);
        for (int k = 0; k < 2; k++)
            assert_int_equal(recv_now(consumers[k]), MU_TIMEOUT);
        assert_int_equal(bell_is_rung(consumers[1]), 0);
        assert_int_equal(mu_chan_send(producer, "x", 1, MU_NOW), 0);
        assert_int_equal(recv_now(consumers[0]), 0);
        says_goodbye = i != 0;
        sends_two = producer;
        assert_int_equal(recv_now(consumers[0]), 0);
        assert_int_equal(bell_is_rung(consumers[1]), 1);
        assert_int_equal(recv_now(consumers[1]), 0);
        assert_int_equal(recv_now(consumers[1]),
                         says_goodbye ? MU_CLOSED : MU_TIMEOUT);
        assert_int_equal(bell_is_rung(consumers[0]), says_goodbye);
        for (int k = 0; k < 2; k++)
            mu_chan_free(consumers[k]);
        mu_chan_free(producer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bell_rings_on_for_the_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
