/* test_stdio.c: in a program that has closed its standard streams no channel takes their
 * numbers: what the program opens next as those, or prints, is not the channel's. */
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <stdbool.h>

#include "channel/open.h"

static void streams_are_closed(void)
{
    for (int fd = 0; fd <= 2; fd++)
        CHECK_CHILD(fcntl(fd, F_GETFD) == -1 && errno == EBADF);
}

/* Receive by way of its descriptor, which stays the same. */
static int watch_and_recv(struct mu_chan *c)
{
    struct pollfd p = {.fd = mu_chan_fd(c), .events = POLLIN};
    int rc;

    CHECK_CHILD(p.fd > 2 && mu_chan_fd(c) == p.fd);
    while ((rc = recv_now(c)) == MU_TIMEOUT)
        CHECK_CHILD(poll(&p, 1, TEST_HANG_NS / 1000000) == 1);
    return rc;
}

static void be_a_pair(void *arg)
{
    struct mu_chan *ends[2];

    (void)close_range(0, 2, 0);
    CHECK_CHILD(mu_chan_pair(arg, NULL, ends, NULL) == 0);
    streams_are_closed();
    CHECK_CHILD(mu_chan_send(ends[0], "?", 1, test_deadline()) == 0);
    CHECK_CHILD(watch_and_recv(ends[1]) == 0);
    streams_are_closed();
    CHECK_CHILD(mu_chan_close(ends[0]) == 0);
    CHECK_CHILD(watch_and_recv(ends[1]) == MU_CLOSED);
    streams_are_closed();
    mu_chan_free(ends[0]);
    mu_chan_free(ends[1]);
    streams_are_closed();
}

/* Gives its channel. */
static void *send_one(void *arg)
{
    struct mu_chan *c = connect_or_fail(arg, NULL);

    CHECK_CHILD(mu_chan_send(c, "?", 1, test_deadline()) == 0);
    return c;
}

/* The streams are looked at while nobody is about to move a descriptor away from them. */
static void be_opener(const char *address, bool accepts)
{
    struct mu_chan *opener;
    struct mu_chan *c;
    pthread_t thread;
    void *sender;

    (void)close_range(0, 2, 0);
    CHECK_CHILD(mu_chan_open(address, NULL, &opener, NULL) == 0);
    c = opener;
    streams_are_closed();
    CHECK_CHILD(pthread_create(&thread, NULL, send_one,
                               (void *)(uintptr_t)mu_chan_address(opener)) ==
                0);
    if (accepts) {
        CHECK_CHILD(mu_chan_fd(opener) > 2);
        CHECK_CHILD(mu_chan_accept(opener, test_deadline(), &c, NULL) == 0);
    }
    CHECK_CHILD(watch_and_recv(c) == 0);
    CHECK_CHILD(pthread_join(thread, &sender) == 0);
    streams_are_closed();
    mu_chan_free(sender);
    if (accepts)
        mu_chan_free(c);
    mu_chan_free(opener);
    streams_are_closed();
}

static void be_receiver(void *arg)
{
    be_opener(arg, false);
}

static void be_listener(void *arg)
{
    be_opener(arg, true);
}

static void runs(void (*fn)(void *), const char *format)
{
    char address[128];

    (void)snprintf(address, sizeof address, format, (int)getpid());
    assert_int_equal(test_wait(test_fork(fn, address)), 0);
}

static void pairs_leave_the_streams_alone(void **state)
{
    (void)state;
    runs(be_a_pair, "mem:");
    runs(be_a_pair, "pipe:");
    runs(be_a_pair, "shm:");
    runs(be_a_pair, "unix:");
    runs(be_a_pair, "mq:");
}

static void receivers_leave_the_streams_alone(void **state)
{
    char path[64];

    (void)state;
    runs(be_receiver, "mem:stdio-%d");
    runs(be_receiver, "shm:stdio-%d");
    (void)snprintf(path, sizeof path, "/muster-stdio-%d", (int)getpid());
    runs(be_receiver, "mq:/muster-stdio-%d");
    (void)mq_unlink(path);
    (void)snprintf(path, sizeof path, "/tmp/muster-stdio-%d", (int)getpid());
    runs(be_receiver, "fifo:/tmp/muster-stdio-%d");
    (void)unlink(path);
    runs(be_receiver, "file:/tmp/muster-stdio-%d");
    (void)unlink(path);
}

static void listeners_leave_the_streams_alone(void **state)
{
    (void)state;
    runs(be_listener, "unix:/tmp/muster-stdio-%d");
    runs(be_listener, "shm:stdio-%d");
    runs(be_listener, "tcp:127.0.0.1:0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_leave_the_streams_alone),
        cmocka_unit_test(receivers_leave_the_streams_alone),
        cmocka_unit_test(listeners_leave_the_streams_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
