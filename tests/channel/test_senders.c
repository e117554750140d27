/* test_senders.c: one name and many senders, in processes and in threads. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "muster/channel.h"

#include "await_call.h"
#include "open.h"
#include "support/check.h"

struct peer {
    const char *address;
    unsigned long n;
};

enum { N_SENDERS = 5, N_MESSAGES = 2000 };

static void *send_many(void *arg)
{
    struct peer *p = arg;
    struct mu_chan *c;

    CHECK_CHILD(mu_chan_connect(p->address, NULL, test_deadline(), &c, NULL) ==
                0);
    for (unsigned long i = 0; i < N_MESSAGES; i++) {
        unsigned long message[2] = {p->n, i};

        CHECK_CHILD(mu_chan_send(c, message, sizeof message, test_deadline()) ==
                    0);
    }
    CHECK_CHILD(mu_chan_close(c) == 0);
    mu_chan_free(c);
    return NULL;
}

static void send_many_process(void *arg)
{
    (void)send_many(arg);
}

/* Receive from all until the last said goodbye; each one's order holds. */
static void recv_many(struct mu_chan *c, int n_crashed)
{
    unsigned long next[N_SENDERS] = {0};
    unsigned long message[2];
    int n_ended = 0;
    size_t size;

    for (;;) {
        int rc =
            mu_chan_recv(c, message, sizeof message, test_deadline(), &size);

        if (rc == 0) {
            assert_int_equal(size, sizeof message);
            assert_true(message[0] < N_SENDERS);
            assert_int_equal(message[1], next[message[0]]);
            next[message[0]]++;
            n_ended += next[message[0]] == N_MESSAGES;
        } else if (rc == MU_ECRASHED && n_crashed > 0) {
            n_crashed--;
        } else {
            assert_int_equal(rc, MU_CLOSED);
            if (n_ended == N_SENDERS && n_crashed == 0)
                return;
        }
    }
}

static void connect_and_die(void *arg)
{
    struct mu_chan *c;

    CHECK_CHILD(mu_chan_connect(arg, NULL, test_deadline(), &c, NULL) == 0);
    (void)raise(SIGKILL);
}

static void ring_receives_from_many_processes(void **state)
{
    struct mu_chan *c;
    struct peer p[N_SENDERS];
    pid_t pids[N_SENDERS];
    pid_t dying;

    (void)state;
    assert_int_equal(mu_chan_open("shm:", NULL, &c, NULL), 0);
    dying = test_fork(connect_and_die, (void *)(uintptr_t)mu_chan_address(c));
    for (unsigned long i = 0; i < N_SENDERS; i++) {
        p[i] = (struct peer){.address = mu_chan_address(c), .n = i};
        pids[i] = test_fork(send_many_process, &p[i]);
    }
    recv_many(c, 1);
    for (int i = 0; i < N_SENDERS; i++)
        assert_int_equal(test_wait(pids[i]), 0);
    assert_true(WIFSIGNALED(test_wait(dying)));
    mu_chan_free(c);
}

enum { N_LANES = 256 }; /* that a name receives from at once */

static void fill_the_hub(void *arg)
{
    struct mu_chan *c;

    for (int i = 0; i < N_LANES; i++)
        CHECK_CHILD(mu_chan_connect(arg, NULL, test_deadline(), &c, NULL) == 0);
    CHECK_CHILD(mu_chan_send(c, "x", 1, test_deadline()) == 0);
    CHECK_CHILD(mu_chan_connect(arg, NULL, MU_NEVER, &c, NULL) ==
                -ECONNREFUSED);
    for (;;)
        (void)pause();
}

static void free_it(void *arg)
{
    mu_chan_free(arg);
}

static void close_when_it_waits(void *arg)
{
    parent_await_call(SYS_ppoll, SYS_ppoll);
    CHECK_CHILD(mu_chan_close(arg) == 0);
}

static void full_hub_keeps_the_deadline(void **state)
{
    struct mu_chan_options options = {.ring_bytes = 16384};
    struct mu_chan *hub = open_or_fail("shm:", &options);
    struct pollfd p = {.fd = -1, .events = POLLIN};
    struct mu_chan *c;
    char byte;
    size_t size;
    pid_t pid =
        test_fork(fill_the_hub, (void *)(uintptr_t)mu_chan_address(hub));
    pid_t closes;

    (void)state;
    assert_int_equal(mu_chan_recv(hub, &byte, 1, test_deadline(), &size), 0);
    /* one more waits to be accepted, whatever the other process does */
    assert_int_equal(
        mu_chan_connect(mu_chan_address(hub), NULL, MU_NOW, &c, NULL),
        MU_TIMEOUT);
    assert_int_equal(mu_chan_recv(hub, &byte, 1, mu_after_ns(1000000), &size),
                     MU_TIMEOUT);
    p.fd = mu_chan_fd(hub);
    assert_true(p.fd >= 0);
    assert_int_equal(mu_chan_recv(hub, &byte, 1, MU_NOW, &size), MU_TIMEOUT);
    assert_int_equal(poll(&p, 1, 0), 0);
    /* what a child gives back changes nothing here */
    assert_int_equal(test_wait(test_fork(free_it, hub)), 0);
    assert_int_equal(poll(&p, 1, 0), 0);
    /* but for the end of all, though nobody can be let in */
    closes = test_fork(close_when_it_waits, hub);
    assert_int_equal(mu_chan_recv(hub, &byte, 1, test_deadline(), &size),
                     MU_CLOSED);
    assert_int_equal(test_wait(closes), 0);
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_int_equal(test_kill(pid, SIGKILL), 0);
    assert_true(WIFSIGNALED(test_wait(pid)));
    mu_chan_free(hub);
}

static void *recv_some(void *arg)
{
    struct peer *p = arg;
    struct mu_chan *c;
    unsigned long message[2];
    size_t size;
    int rc;

    CHECK_CHILD(mu_chan_connect(p->address, NULL, test_deadline(), &c, NULL) ==
                0);
    while ((rc = mu_chan_recv(c, message, sizeof message, test_deadline(),
                              &size)) == 0) {
        if (message[1] == N_MESSAGES)
            break;
        p->n++;
    }
    CHECK_CHILD(rc == 0);
    mu_chan_free(c);
    return NULL;
}

/* Any number of senders and receivers: every message once. */
static void memory_takes_many_senders_and_receivers(void **state)
{
    struct mu_chan *c;
    struct peer senders[N_SENDERS];
    struct peer receivers[3];
    pthread_t threads[N_SENDERS + 3];
    unsigned long n = 0;

    (void)state;
    assert_int_equal(mu_chan_open("mem:", NULL, &c, NULL), 0);
    for (unsigned long i = 0; i < 3; i++) {
        receivers[i] = (struct peer){.address = mu_chan_address(c)};
        assert_int_equal(pthread_create(&threads[N_SENDERS + i], NULL,
                                        recv_some, &receivers[i]),
                         0);
    }
    for (unsigned long i = 0; i < N_SENDERS; i++) {
        senders[i] = (struct peer){.address = mu_chan_address(c), .n = i};
        assert_int_equal(
            pthread_create(&threads[i], NULL, send_many, &senders[i]), 0);
    }
    for (int i = 0; i < N_SENDERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 3; i++) {
        unsigned long stop[2] = {0, N_MESSAGES};

        assert_int_equal(mu_chan_send(c, stop, sizeof stop, test_deadline()),
                         0);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[N_SENDERS + i], NULL), 0);
        n += receivers[i].n;
    }
    assert_int_equal(n, N_SENDERS * N_MESSAGES);
    mu_chan_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_receives_from_many_processes),
        cmocka_unit_test(full_hub_keeps_the_deadline),
        cmocka_unit_test(memory_takes_many_senders_and_receivers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
