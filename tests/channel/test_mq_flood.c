/* test_mq_flood.c: pieces without end that are no message, as test_flood.c. */
#include <fcntl.h>
#include <mqueue.h>

#include "channel/flood.h"

static void pieces_of_nothing_end(void **state)
{
    struct {
        uint32_t kind;
        uint32_t sender;
        uint32_t message;
        uint32_t piece;
        char byte;
    } piece = {.kind = 0x6d750045 /* forget the pieces */, .byte = 'x'};
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
        assert_int_equal(mq_send(out, (char *)&piece, 16, 0), 0);
    piece.kind = 0x6d750041;
    assert_int_equal(mq_send(out, (char *)&piece, 17, 0), 0);
    message_is_reached_in_turns(to, POLLIN);
    (void)mq_close(out);
    (void)mq_unlink(name + 3);
    mu_chan_free(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_nothing_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
