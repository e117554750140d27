/* test_bells.c: waiting for bells. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/bells.h"
#include "support/check.h"
#include "support/refuse.h"

enum { ID = 7, N_IDS = 8 };

/* Bells of which one rings, until its descriptor is closed. */
static int open_ringing(struct mui_bells *b)
{
    int fd = eventfd(1, EFD_CLOEXEC);

    memset(b, 0, sizeof *b);
    CHECK_CHILD(fd >= 0 && mui_bells_init(b) == 0 &&
                mui_bells_add(b, fd, ID) == 0);
    return fd;
}

static void close_ringing(struct mui_bells *b, int fd)
{
    mui_bells_fini(b);
    (void)close(fd);
}

/* What a profile does that is older than the call. */
static void refuse_epoll_pwait2(int error)
{
    enum { EPOLL_PWAIT2 = 441 };

    test_refuse(EPOLL_PWAIT2, error);
    errno = 0;
    CHECK_CHILD(syscall(EPOLL_PWAIT2, -1, NULL, 0, NULL, NULL, 0) == -1 &&
                errno == error);
}

static void hear_without_the_call(void *error)
{
    struct mui_bells b;
    uint64_t id = 0;
    int fd;

    refuse_epoll_pwait2(*(int *)error);
    fd = open_ringing(&b);
    CHECK_CHILD(mui_bells_watch(&b, test_deadline(), &id, 1) == 1);
    CHECK_CHILD(id == ID);
    close_ringing(&b, fd);
}

/* Else a pool would look again and again, for ever, and hear nothing. */
static void bells_are_heard_without_epoll_pwait2(void **state)
{
    int errors[] = {ENOSYS, EPERM};

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            test_wait(test_fork(hear_without_the_call, &errors[i])), 0);
}

/* Whether one who is about to sleep is kept from it by a kick. */
static bool is_kicked(struct mui_bells *b)
{
    uint64_t ids[N_IDS];
    unsigned n = mui_bells_sleep(b, test_deadline(), ids, N_IDS);

    mui_bells_rise(b);
    return n == 0; /* the bell that rings is looked for by who sleeps */
}

/* Bells of another pool that lie where those of one lay that was closed. */
static void kick_of_new_bells_is_seen(void **state)
{
    struct mui_bells b;
    uint64_t ids[N_IDS];
    int fd = open_ringing(&b);

    (void)state;
    mui_bells_kick(&b);
    assert_true(is_kicked(&b));
    assert_false(is_kicked(&b));
    close_ringing(&b, fd);
    fd = open_ringing(&b);
    mui_bells_kick(&b);
    (void)mui_bells_watch(&b, test_deadline(), ids, N_IDS); /* clears it */
    assert_true(is_kicked(&b));
    assert_false(is_kicked(&b));
    close_ringing(&b, fd);
}

/* Bells none of which rings. */
static void open_silent(struct mui_bells *b)
{
    memset(b, 0, sizeof *b);
    assert_int_equal(mui_bells_init(b), 0);
}

static bool kick_is_heard(const struct mui_bells *b)
{
    struct pollfd poll_fd = {.fd = b->kick_fd, .events = POLLIN};

    return poll(&poll_fd, 1, 0) == 1;
}

static void *sleep_and_rise(void *bells)
{
    struct mui_bells *b = bells;
    uint64_t ids[N_IDS];

    (void)mui_bells_sleep(b, MU_NEVER, ids, N_IDS);
    mui_bells_rise(b);
    return NULL;
}

/* Else who waits anew is disturbed again and again, until for once nobody is up. */
static void kick_is_silenced_though_somebody_is_up(void **state)
{
    struct mui_bells b;
    uint64_t ids[N_IDS];
    pthread_t other;

    (void)state;
    open_silent(&b);
    mui_bells_kick(&b);
    (void)mui_bells_sleep(&b, MU_NEVER, ids, N_IDS);
    assert_int_equal(pthread_create(&other, NULL, sleep_and_rise, &b), 0);
    assert_int_equal(pthread_join(other, NULL), 0);
    assert_false(kick_is_heard(&b));
    mui_bells_rise(&b);
    mui_bells_fini(&b);
}

static void kick_is_heard_until_all_have_returned(void **state)
{
    struct mui_bells b;
    uint64_t ids[N_IDS];

    (void)state;
    open_silent(&b);
    (void)mui_bells_sleep(&b, MU_NOW, ids, N_IDS);
    b.n_sleepers++; /* one who is about to wait, and is slow */
    b.n_inside++;
    mui_bells_kick(&b);
    mui_bells_rise(&b); /* before anybody has noted it */
    assert_true(kick_is_heard(&b));
    mui_bells_kick(&b);
    (void)sleep_and_rise(&b);
    assert_true(kick_is_heard(&b));
    mui_bells_kick(&b);
    (void)sleep_and_rise(&b);
    assert_true(kick_is_heard(&b));
    mui_bells_fini(&b);
}

/* -- many who wait, and each of whom has to hear of each round -- */

enum { N_THREADS = 8, N_ROUNDS = 500 };

static struct mui_bells crowd;
static _Atomic unsigned n_rounds;
static _Atomic unsigned n_heard;

static void *hear_each_round(void *unused)
{
    unsigned round = 0;

    while (round < N_ROUNDS) {
        unsigned now;

        (void)sleep_and_rise(&crowd);
        now = atomic_load(&n_rounds);
        if (now != round)
            atomic_fetch_add(&n_heard, 1);
        round = now;
    }
    return unused;
}

static void each_of_many_returns_for_each_kick(void **state)
{
    const int64_t deadline = test_deadline();
    pthread_t threads[N_THREADS];

    (void)state;
    open_silent(&crowd);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, hear_each_round, NULL), 0);
    for (unsigned round = 1; round <= N_ROUNDS; round++) {
        atomic_store(&n_rounds, round);
        mui_bells_kick(&crowd);
        while (atomic_load(&n_heard) < round * N_THREADS) {
            assert_true(mu_now_ns() < deadline);
            (void)sched_yield();
        }
    }
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    mui_bells_fini(&crowd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bells_are_heard_without_epoll_pwait2),
        cmocka_unit_test(kick_of_new_bells_is_seen),
        cmocka_unit_test(kick_is_silenced_though_somebody_is_up),
        cmocka_unit_test(kick_is_heard_until_all_have_returned),
        cmocka_unit_test(each_of_many_returns_for_each_kick),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
