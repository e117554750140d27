/* test_processes.c: what the processes layer makes of what it sees of a worker. */
#include <stdatomic.h>
#include <unistd.h>

#include "layer/processes.h"
#include "support/check.h"

/* It says so itself, and that can come before its pidfd: the nursery may fail to send
 * that, and nobody could kill it. */
static void worker_is_up_when_it_can_be_killed(void **state)
{
    struct mui_worker_head head = {.stage = MUI_STAGE_UP};
    struct mui_processes_peer peer = {
        .state = MUI_PEER_ORDERED,
        .i_group = -1,
        .peer = {.pidfd = -1, .bell = -1, .block.up = (uint8_t *)&head}};
    struct mui_processes p = {.peers = &peer, .n_peers = 1};
    uint64_t n_pokes;
    int pidfd;

    (void)state;
    assert_int_equal(mui_bells_init(&p.bells), 0);
    assert_int_equal(mui_board_open(1, &p.board_fd, &p.board), 0);
    pidfd = p.board_fd; /* any */
    mui_processes_see_stage(&p, &peer);
    assert_false(peer.up);
    assert_int_equal(atomic_load(&p.board->next), 0);
    assert_int_equal(atomic_load(&p.first), 0);
    peer.peer.pidfd = pidfd;
    mui_processes_see_stage(&p, &peer);
    assert_true(peer.up);
    assert_int_equal(atomic_load(&p.board->next), 1);
    assert_int_equal(atomic_load(&p.first), 1);
    /* the monitor, or it would sleep no longer than until this one is late */
    assert_int_equal(read(p.bells.poke_fd, &n_pokes, sizeof n_pokes),
                     sizeof n_pokes);
    mui_bells_fini(&p.bells);
    mui_board_close(p.board, 1, p.board_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worker_is_up_when_it_can_be_killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
