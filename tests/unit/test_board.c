/* test_board.c: a parked worker wakes when it is called, and when one that dies says
 * so. */
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "muster/base.h"

#include "process/board.h"
#include "support/process.h"
#include "sys/sanitize.h"

enum { N_PLACES = 3, PARKED = 1 };

static struct {
    struct mui_board *board;
    int fd;
} the;

static int open_board(void **state)
{
    (void)state;
    return mui_board_open(N_PLACES, &the.fd, &the.board);
}

static int close_board(void **state)
{
    (void)state;
    mui_board_close(the.board, N_PLACES, the.fd);
    return 0;
}

/* A worker that parks, and ends when it wakes. */
static pid_t park(void)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        const struct mui_board *board;

        alarm(300);
        if (mui_board_join(N_PLACES, the.fd, &board) < 0)
            _exit(1);
        mui_board_park(board, PARKED);
        _exit(0);
    }
    return pid;
}

/* What a worker does that dies, which can only read the board. Returns whether `pid`
 * woke: nobody says when it sleeps, so it is done again and again. */
static bool is_woken(pid_t pid)
{
    const int64_t end = mu_after_ns(INT64_C(60000000000));
    const struct mui_board *board;
    int status;
    int fd = dup(the.fd);

    assert_int_equal(mui_board_join(N_PLACES, fd, &board), 0);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (mu_now_ns() > end) {
            (void)test_kill(pid, SIGKILL);
            (void)waitpid(pid, &status, 0);
            return false;
        }
        mui_board_wake_next(board, N_PLACES);
        (void)sched_yield();
    }
    return status == 0;
}

/* Nobody calls: the supervisor still sleeps. */
static void the_dying_wake_who_is_next(void **state)
{
    (void)state;
    mui_board_clear(the.board, PARKED);
    mui_board_set_next(the.board, PARKED + 1);
    assert_true(is_woken(park()));
}

static void who_is_called_wakes(void **state)
{
    int status;
    char now;
    pid_t pid;

    (void)state;
    mui_board_clear(the.board, PARKED);
    mui_board_set_next(the.board, 0);
    pid = park();
    while ((now = test_state(pid)) != 'S' && now != 'Z')
        (void)sched_yield();
    /* there it wakes now and then for no reason: see mui_futex_wait() */
    assert_true(now == 'S' || MUI_TSAN);
    mui_board_call(the.board, PARKED);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    /* nor does one sleep who was called before */
    pid = park();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* Who is woken without a call stays awake for a while, and then gives up. */
static void who_lingers_is_called_or_gives_up(void **state)
{
    const int64_t least = 100 * 1000;
    int64_t from;

    (void)state;
    mui_board_clear(the.board, PARKED);
    from = mu_now_ns();
    mui_board_linger(the.board, PARKED);
    assert_true(mu_now_ns() - from >= least);
    mui_board_call(the.board, PARKED);
    mui_board_linger(the.board, PARKED);
}

/* `next` is read from memory: beyond the board there is nobody. */
static void nobody_is_next(void **state)
{
    (void)state;
    mui_board_set_next(the.board, 0);
    mui_board_wake_next(the.board, N_PLACES);
    mui_board_set_next(the.board, UINT32_MAX);
    mui_board_wake_next(the.board, N_PLACES);
}

static void attention_is_told(void **state)
{
    (void)state;
    assert_false(mui_board_is_attended(the.board));
    mui_board_set_attended(the.board, true);
    assert_true(mui_board_is_attended(the.board));
    mui_board_set_attended(the.board, false);
    assert_false(mui_board_is_attended(the.board));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_dying_wake_who_is_next, open_board,
                                        close_board),
        cmocka_unit_test_setup_teardown(who_is_called_wakes, open_board,
                                        close_board),
        cmocka_unit_test_setup_teardown(who_lingers_is_called_or_gives_up,
                                        open_board, close_board),
        cmocka_unit_test_setup_teardown(nobody_is_next, open_board,
                                        close_board),
        cmocka_unit_test_setup_teardown(attention_is_told, open_board,
                                        close_board),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
