/* test_peer.c: a worker that rings without end is heard out bit by bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/peer.h"
#include "sys/message.h"

static void many_rings_are_answered_in_parts(void **state)
{
    enum { N = 100 };
    int fds[2];
    struct mui_peer peer = {.pidfd = -1};
    unsigned n = 1;
    char byte;

    (void)state;
    assert_int_equal(mui_message_pair(fds), 0);
    peer.bell = fds[0];
    for (int i = 0; i < N; i++)
        assert_int_equal(send(fds[1], "", 1, MSG_DONTWAIT), 1);
    assert_true(mui_peer_answer(&peer));
    assert_int_equal(recv(fds[0], &byte, 1, MSG_DONTWAIT | MSG_PEEK), 1);
    while (mui_peer_answer(&peer) &&
           recv(fds[0], &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1)
        n++;
    assert_in_range(n, 1, N);
    (void)close(fds[1]);
    assert_false(mui_peer_answer(&peer)); /* it has gone */
    (void)close(fds[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_rings_are_answered_in_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
