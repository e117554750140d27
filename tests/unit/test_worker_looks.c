/* test_worker_looks.c: a worker does not look by system calls at tasks that made none, or with
 * strict only such as change nothing, but for one look now and then. That a call is known:
 * test_calls.c. */
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "process/worker.h"
#include "support/calls.h"
#include "support/check.h"
#include "sys/calls.h"
#include "sys/sanitize.h"

enum { N_SLOTS = 8 };

struct peer {
    struct mui_block block;
    struct mui_board *board;
    int board_fd;
    int bell[2];
};

static const struct mui_block_shape shape = {
    .n_lanes = 1, .n_slots = N_SLOTS, .region_bytes = 4096};

static struct mui_lane_worker *be_worker(const struct mui_limits *limits,
                                         const struct peer *peer)
{
    struct mui_worker_setup setup = {.shape = shape,
                                     .down_fd = peer->block.down_fd,
                                     .up_fd = peer->block.up_fd,
                                     .bell_fd = peer->bell[1],
                                     .n_places = 1,
                                     .limits = *limits};
    struct mui_lane_worker *lanes;

    CHECK_CHILD(mui_board_join(1, peer->board_fd, &setup.board) == 0);
    CHECK_CHILD(mui_worker_init(&setup, &lanes) == 0);
    CHECK_CHILD(mui_worker_up(true) == 0);
    return lanes;
}

/* Whether the worker is to end, after a task that did so, by such a look; and whether it
 * knew that from memory alone. */
static bool is_spent_by(struct mui_lane_worker *lane, void (*task)(void),
                        unsigned look, bool *ret_without_calls)
{
    bool spent;

    mui_calls_begin();
    task();
    mui_calls_end();
    *ret_without_calls = mui_calls_were_none();
    if (!*ret_without_calls)
        return mui_lane_is_spent(lane, look);
    mui_calls_begin();
    spent = mui_lane_is_spent(lane, look);
    mui_calls_end();
    *ret_without_calls = mui_calls_were_none();
    return spent;
}

static bool is_spent(struct mui_lane_worker *lane, void (*task)(void),
                     bool *ret_without_calls)
{
    return is_spent_by(lane, task, MUI_LOOK_RAN, ret_without_calls);
}

static void do_nothing(void)
{
}

static void call(void)
{
    (void)getppid();
}

static void call_for_nothing(void)
{
    (void)lseek(-1, 0, SEEK_SET);
}

#ifndef TEST_IS_SANITIZED /* its own code is not aligned */
enum { ALIGNMENT_CHECKS = 1 << 18 };

static void set_flag(void)
{
#    ifdef __x86_64__
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() |
                                   ALIGNMENT_CHECKS);
#    endif
}

/* Inlined into a larger function gcc 12 can read another word of the stack. */
__attribute__((noinline)) static bool has_flag(void)
{
#    ifdef __x86_64__
    return (__builtin_ia32_readeflags_u64() & ALIGNMENT_CHECKS) != 0;
#    else
    return false;
#    endif
}
#endif

static void hide_name(void)
{
    environ[0][0] ^= 1;
}

static void leave_environment(void)
{
    static char *none[] = {NULL};

    environ = none;
}

static void lower_limit(void)
{
    struct rlimit limit;

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur--;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void work(void *arg)
{
    static void (*const changes[])(void) = {hide_name, leave_environment,
                                            lower_limit};
    const struct mui_limits strict = {.strict = 1};

    for (unsigned i = 0; i < sizeof changes / sizeof *changes; i++) {
        pid_t child = fork();
        struct mui_lane_worker *lane;
        bool without;

        if (child > 0) {
            CHECK_CHILD(test_wait(child) == 0);
            continue;
        }
        lane = be_worker(&strict, arg);
        CHECK_CHILD(!is_spent(lane, call, &without) && !without);
        for (int k = 0; k < 3; k++)
            CHECK_CHILD(!is_spent(lane, do_nothing, &without) && without);
        CHECK_CHILD(!is_spent(lane, call, &without) && !without);
        CHECK_CHILD(!is_spent(lane, do_nothing, &without) && without);
        CHECK_CHILD(!is_spent(lane, call_for_nothing, &without) &&
                    without == !MUI_ASAN);
#ifndef TEST_IS_SANITIZED /* its own code is not aligned */
        CHECK_CHILD(!is_spent(lane, set_flag, &without) && without);
        CHECK_CHILD(!has_flag());
#endif
        CHECK_CHILD(is_spent(lane, changes[i], &without));
        CHECK_CHILD(without == (changes[i] != lower_limit));
        _exit(0);
    }
}

static void work_loosely(void *arg)
{
    enum { CLOSELY = MUI_LOOK_RAN | MUI_LOOK_CLOSELY };
    static void (*const changes[])(void) = {hide_name, leave_environment,
                                            lower_limit};
    const struct mui_limits none = {.strict = 0};

    for (unsigned i = 0; i < sizeof changes / sizeof *changes; i++) {
        pid_t child = fork();
        struct mui_lane_worker *lane;
        unsigned n_full = 0;
        bool without;

        if (child > 0) {
            CHECK_CHILD(test_wait(child) == 0);
            continue;
        }
        lane = be_worker(&none, arg);
        CHECK_CHILD(!is_spent(lane, do_nothing, &without) && !without);
        CHECK_CHILD(!is_spent_by(lane, do_nothing, CLOSELY, &without));
        CHECK_CHILD(!without);
        /* the watch was set by that look; no call passes, and it is set anew */
        for (int k = 0; k < 3; k++) {
            CHECK_CHILD(!is_spent_by(lane, do_nothing, CLOSELY, &without));
            CHECK_CHILD(without);
            CHECK_CHILD(
                !is_spent_by(lane, call_for_nothing, CLOSELY, &without));
            CHECK_CHILD(!without);
        }
        /* nothing is believed for ever */
        for (int k = 0; k < 200; k++) {
            /* there is nothing to look at: it does not count */
            CHECK_CHILD(!mui_lane_is_spent(lane, MUI_LOOK_CLOSELY));
            CHECK_CHILD(!is_spent_by(lane, do_nothing, CLOSELY, &without));
            if (without)
                continue;
            n_full++;
            /* what was held were the calls of that look */
            CHECK_CHILD(!mui_lane_is_spent(lane, CLOSELY));
        }
        CHECK_CHILD(n_full == 3);
        /* nor is a task watched that was waited for: it may be long until the next */
        CHECK_CHILD(!is_spent(lane, call, &without) && !without);
        CHECK_CHILD(!mui_lane_is_spent(lane, MUI_LOOK_CLOSELY));
        CHECK_CHILD(!is_spent(lane, do_nothing, &without) && !without);
        CHECK_CHILD(!mui_lane_is_spent(lane, CLOSELY));
        /* not looked at before it is time */
        CHECK_CHILD(!is_spent(lane, changes[i], &without));
        CHECK_CHILD(is_spent_by(lane, do_nothing, CLOSELY, &without));
        CHECK_CHILD(without == (changes[i] != lower_limit));
        _exit(0);
    }
}

#ifndef TEST_IS_SANITIZED /* their stacks are larger */
/* Inlined it would be there before it is called. */
__attribute__((noinline)) static void deepen(void)
{
    char room[4 << 20];

    memset(room, 1, sizeof room);
    __asm__ volatile("" ::"r"(room) : "memory");
}

static void work_deeply(void *arg)
{
    enum { CLOSELY = MUI_LOOK_RAN | MUI_LOOK_CLOSELY };
    const struct mui_limits limits = {.recycle_bytes = 1 << 20};
    struct mui_lane_worker *lane = be_worker(&limits, arg);
    bool without;

    CHECK_CHILD(!is_spent_by(lane, do_nothing, CLOSELY, &without));
    deepen();
    CHECK_CHILD(mui_calls_were_none());
    CHECK_CHILD(mui_lane_is_spent(lane, CLOSELY));
}
#endif

static void on_signal(int signal)
{
    (void)signal;
}

/* The kernel kills who is sent SIGSYS while it is blocked. */
static void work_with_a_handler(void *arg)
{
    const struct mui_limits strict = {.strict = 1};
    struct mui_lane_worker *lane;
    struct sigaction action = {.sa_handler = on_signal};
    bool without;

    (void)sigaddset(&action.sa_mask, SIGSYS);
    CHECK_CHILD(sigaction(SIGTERM, &action, NULL) == 0);
    lane = be_worker(&strict, arg);
    for (int k = 0; k < 3; k++)
        CHECK_CHILD(!is_spent(lane, do_nothing, &without) && !without);
}

static void open_peer(struct peer *peer)
{
    if (!test_tells_calls())
        skip();
    assert_int_equal(mui_block_open(&shape, &peer->block), 0);
    assert_int_equal(mui_board_open(1, &peer->board_fd, &peer->board), 0);
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, peer->bell), 0);
}

static void worker_looks_by_calls_at_who_called(void **state)
{
    struct peer peer;

    (void)state;
    open_peer(&peer);
    assert_int_equal(test_wait(test_fork(work, &peer)), 0);
}

static void worker_does_not_watch_where_the_signal_kills(void **state)
{
    struct peer peer;

    (void)state;
    open_peer(&peer);
    assert_int_equal(test_wait(test_fork(work_with_a_handler, &peer)), 0);
}

static void worker_that_is_not_strict_watches_between_looks(void **state)
{
    struct peer peer;

    (void)state;
    open_peer(&peer);
    assert_int_equal(test_wait(test_fork(work_loosely, &peer)), 0);
}

#ifndef TEST_IS_SANITIZED
static void stack_grows_without_a_call(void **state)
{
    struct peer peer;

    (void)state;
    open_peer(&peer);
    assert_int_equal(test_wait(test_fork(work_deeply, &peer)), 0);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worker_looks_by_calls_at_who_called),
        cmocka_unit_test(worker_does_not_watch_where_the_signal_kills),
        cmocka_unit_test(worker_that_is_not_strict_watches_between_looks),
#ifndef TEST_IS_SANITIZED
        cmocka_unit_test(stack_grows_without_a_call),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
