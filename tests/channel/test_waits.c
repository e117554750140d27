/* test_waits.c: who waits for ever on a pair is told of its end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "muster/channel.h"

#include "await_call.h"
#include "open.h"
#include "support/check.h"

static void die_when_it_hears(void *arg)
{
    struct mu_chan **ends = arg;
    char byte;
    size_t size;

    mu_chan_free(ends[0]);
    CHECK_CHILD(mu_chan_recv(ends[1], &byte, 1, MU_NEVER, &size) == 0);
    (void)raise(SIGKILL);
}

/* Who waits for ever sees the other's end too, on each kind of pair. */
static void waiting_for_ever_ends_with_the_peer(void **state)
{
    static const char *const schemes[] = {
        "shm:", "pipe:", "unix:", "tcp:", "mq:"};

    (void)state;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        struct mu_chan_options options = {.queue_messages = 2};
        struct mu_chan *ends[2];
        char byte;
        size_t size;
        pid_t pid;
        int rc;

        assert_int_equal(mu_chan_pair(schemes[i], &options, ends, NULL), 0);
        pid = test_fork(die_when_it_hears, ends);
        mu_chan_free(ends[1]);
        assert_int_equal(mu_chan_send(ends[0], "x", 1, MU_NEVER), 0);
        assert_int_equal(mu_chan_recv(ends[0], &byte, 1, MU_NEVER, &size),
                         MU_ECRASHED);
        do
            rc = mu_chan_send(ends[0], "x", 1, MU_NEVER);
        while (rc == 0);
        assert_int_equal(rc, MU_ECRASHED);
        assert_true(WIFSIGNALED(test_wait(pid)));
        mu_chan_free(ends[0]);
    }
}

static void die_when_it_is_polled(void *arg)
{
    struct mu_chan **ends = arg;

    mu_chan_free(ends[0]);
    parent_await_call(SYS_ppoll, SYS_ppoll);
    (void)raise(SIGKILL);
}

/* A queue waits in two ways, one after the other: the second sees the end too. */
static void queue_that_waits_for_long_sees_the_end(void **state)
{
    /* small: what all queues of a user may hold is bounded */
    struct mu_chan_options options = {.queue_messages = 2};
    struct mu_chan *ends[2];
    char byte;
    size_t size;
    pid_t pid;

    (void)state;
    assert_int_equal(mu_chan_pair("mq:", &options, ends, NULL), 0);
    pid = test_fork(die_when_it_is_polled, ends);
    mu_chan_free(ends[1]);
    assert_int_equal(mu_chan_recv(ends[0], &byte, 1, MU_NEVER, &size),
                     MU_ECRASHED);
    assert_true(WIFSIGNALED(test_wait(pid)));
    mu_chan_free(ends[0]);
}

struct watcher {
    struct mu_chan **ends;
    long call;
    int says_goodbye;
};

/* Say goodbye and stay, or die, when our parent waits. */
static void end_when_it_waits(void *arg)
{
    const struct watcher *w = arg;

    mu_chan_free(w->ends[0]);
    parent_await_call(w->call, SYS_ppoll); /* which it goes on to */
    if (!w->says_goodbye)
        (void)raise(SIGKILL);
    CHECK_CHILD(mu_chan_close(w->ends[1]) == 0);
    for (;;)
        (void)pause();
}

static void interrupt(int number)
{
    (void)number;
}

/* Each wait is cut short by a signal, again and again. */
static void signals_do_not_hide_the_end(void **state)
{
    static const struct {
        const char *scheme;
        long call;
        int says_goodbye;
    } waits[] = {{"mq:", SYS_mq_timedreceive, 0},
                 {"mq:", SYS_mq_timedsend, 0},
                 {"tcp:", SYS_sendmsg, 1}};
    const struct sigaction cut = {.sa_handler = interrupt};
    const struct itimerval often = {.it_interval.tv_usec = 5000,
                                    .it_value.tv_usec = 5000};
    const struct itimerval never = {.it_interval.tv_usec = 0};
    struct sigaction before;

    (void)state;
    assert_int_equal(sigaction(SIGALRM, &cut, &before), 0);
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        struct mu_chan_options options = {.queue_messages = 2};
        struct mu_chan *ends[2];
        struct watcher w = {.ends = ends,
                            .call = waits[i].call,
                            .says_goodbye = waits[i].says_goodbye};
        size_t size;
        pid_t pid;
        int rc;

        assert_int_equal(mu_chan_pair(waits[i].scheme, &options, ends, NULL),
                         0);
        pid = test_fork(end_when_it_waits, &w);
        mu_chan_free(ends[1]);
        assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
        if (waits[i].call == SYS_mq_timedreceive)
            rc = mu_chan_recv(ends[0], bytes, sizeof bytes, MU_NEVER, &size);
        else
            do
                rc = mu_chan_send(ends[0], bytes, 3000, MU_NEVER);
            while (rc == 0);
        assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
        assert_int_equal(rc, w.says_goodbye ? MU_CLOSED : MU_ECRASHED);
        (void)test_kill(pid, SIGKILL);
        (void)test_wait(pid);
        mu_chan_free(ends[0]);
    }
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
}

/* A call that watches before it sleeps comes back at its deadline, however long it may
 * watch. */
static void watching_ends_at_the_deadline(void **state)
{
    static const char *const schemes[] = {"mem:", "shm:"};
    static const int64_t long_times[] = {INT64_MAX / 2, INT64_MAX};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct mu_chan_options options = {
            .queue_messages = 2, .ring_bytes = 1, .spin_ns = long_times[i / 2]};
        struct mu_chan *ends[2];
        struct mu_chan *hub;
        size_t size;

        assert_int_equal(mu_chan_pair(schemes[i % 2], &options, ends, NULL), 0);
        assert_int_equal(
            mu_chan_recv(ends[1], bytes, 1, mu_after_ns(1000000), &size),
            MU_TIMEOUT);
        while (mu_chan_send(ends[0], bytes, 3000, MU_NOW) == 0)
            ;
        assert_int_equal(
            mu_chan_send(ends[0], bytes, 3000, mu_after_ns(1000000)),
            MU_TIMEOUT);
        mu_chan_free(ends[0]);
        mu_chan_free(ends[1]);
        hub = open_or_fail("shm:", &options);
        assert_int_equal(
            mu_chan_recv(hub, bytes, 1, mu_after_ns(1000000), &size),
            MU_TIMEOUT);
        mu_chan_free(hub);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_for_ever_ends_with_the_peer),
        cmocka_unit_test(queue_that_waits_for_long_sees_the_end),
        cmocka_unit_test(signals_do_not_hide_the_end),
        cmocka_unit_test(watching_ends_at_the_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
