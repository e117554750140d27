/* kill.h: a channel between processes whose peer is killed before each of its
 * instructions, as sender and as receiver: what was sent is whole, what was not is
 * absent, and the survivor is told. For each transport that tells. */
#ifndef TEST_CHANNEL_KILL_H
#define TEST_CHANNEL_KILL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "muster/channel.h"

#include "support/check.h"
#include "support/step.h"

#ifndef KILL_SIZE
#    define KILL_SIZE 100
#endif
/* To be done with both ends before they are used. */
#ifndef KILL_READY
#    define KILL_READY(chan) ((void)(chan))
#endif
enum { N_BEFORE = 3, SIZE = KILL_SIZE };

static struct mu_chan *ends[2]; /* the second is the child's */

static const struct mu_chan_options options = {
    .ring_bytes = 16384, .queue_messages = 8, .spin_ns = -1};

struct call {
    const char *address;
    struct mu_chan *chan;
    _Atomic int is_done;
};

static void *call_thread(void *arg)
{
    struct call *c = arg;

    CHECK_CHILD(mu_chan_connect(c->address, &options, test_deadline(), &c->chan,
                                NULL) == 0);
    atomic_store(&c->is_done, 1);
    return NULL;
}

/* Ends of a name: who opens it receives, and lets in who connects by receiving. */
static void named_make(const char *format, int i_sender)
{
    struct call call = {.address = NULL};
    char address[64];
    char byte;
    size_t size;
    pthread_t thread;

    (void)snprintf(address, sizeof address, format, (int)getpid());
    call.address = address;
    assert_int_equal(mu_chan_open(address, &options, &ends[1 - i_sender], NULL),
                     0);
    assert_int_equal(pthread_create(&thread, NULL, call_thread, &call), 0);
    /* asleep in between: who spins keeps the other end off a crowded CPU */
    while (!atomic_load(&call.is_done))
        assert_int_equal(mu_chan_recv(ends[1 - i_sender], &byte, 1,
                                      mu_after_ns(1000 * 1000), &size),
                         MU_TIMEOUT);
    assert_int_equal(pthread_join(thread, NULL), 0);
    ends[i_sender] = call.chan;
    if (strncmp(address, "fifo:", 5) == 0)
        (void)unlink(address + 5);
}

/* address   of a pair, or of a name, with %d for the process
 * i_sender  which end will send */
static void ends_make(const char *address, int i_sender)
{
    if (strchr(address, '%'))
        named_make(address, i_sender);
    else
        assert_int_equal(mu_chan_pair(address, &options, ends, NULL), 0);
    KILL_READY(ends[0]);
    KILL_READY(ends[1]);
}

static void message_send(struct mu_chan *c, unsigned char i)
{
    unsigned char bytes[SIZE];

    memset(bytes, i, sizeof bytes);
    CHECK_CHILD(mu_chan_send(c, bytes, sizeof bytes, test_deadline()) == 0);
}

static int message_recv(struct mu_chan *c, unsigned char i)
{
    unsigned char bytes[SIZE];
    size_t size;
    int rc = mu_chan_recv(c, bytes, sizeof bytes, test_deadline(), &size);

    if (rc != 0)
        return rc;
    assert_int_equal(size, SIZE);
    for (int k = 0; k < SIZE; k++)
        assert_int_equal(bytes[k], i);
    return 0;
}

static void keep_one_end(void *arg)
{
    (void)arg;
    mu_chan_free(ends[0]);
    ends[0] = NULL;
}

static void send_one(void *arg)
{
    (void)arg;
    message_send(ends[1], N_BEFORE);
    (void)mu_chan_close(ends[1]);
}

static void send_some_before(void *arg)
{
    keep_one_end(arg);
    for (unsigned char i = 0; i < N_BEFORE; i++)
        message_send(ends[1], i);
}

static pid_t start(const char *address, step_fn before, step_fn act)
{
    pid_t pid;

    ends_make(address, 1);
    pid = step_start(before, act, NULL);
    mu_chan_free(ends[1]);
    return pid;
}

static void sender_killed_leaves_whole_or_nothing(void **state)
{
    struct step_trace t;
    int n_whole = 0;
    int n_closed = 0;

    step_need();
    t = step_record(start(*state, send_some_before, send_one));
    mu_chan_free(ends[0]);
    for (long i = 0; i < t.n; i += step_stride(&t)) {
        pid_t pid = start(*state, send_some_before, send_one);
        int rc;

        step_finish(pid, &t, i);
        for (unsigned char k = 0; k < N_BEFORE; k++)
            assert_int_equal(message_recv(ends[0], k), 0);
        rc = message_recv(ends[0], N_BEFORE);
        if (rc == 0) {
            n_whole++;
            rc = message_recv(ends[0], 0);
        }
        assert_true(rc == MU_ECRASHED || rc == MU_CLOSED);
        n_closed += rc == MU_CLOSED;
        mu_chan_free(ends[0]);
    }
    assert_true(n_whole > 0 && n_whole < t.n);
    assert_true(n_closed < n_whole);
    free(t.pc);
}

static void recv_two(void *arg)
{
    (void)arg;
    for (unsigned char i = 0; i < 2; i++) {
        unsigned char bytes[SIZE];
        size_t size;

        CHECK_CHILD(mu_chan_recv(ends[1], bytes, sizeof bytes, test_deadline(),
                                 &size) == 0);
        CHECK_CHILD(bytes[0] == i && bytes[SIZE - 1] == i);
    }
}

/* The sender fills the ring, sleeps, and is told of the end. */
static void receiver_killed_wakes_a_full_sender(void **state)
{
    struct step_trace t = {.n = 1}; /* until it is known */

    step_need();
    for (long i = 0; i < t.n; i += step_stride(&t)) {
        unsigned char next = 2;
        unsigned char bytes[SIZE] = {0};
        pid_t pid;
        int rc;

        ends_make(*state, 0);
        for (unsigned char k = 0; k < 2; k++)
            message_send(ends[0], k);
        pid = step_start(keep_one_end, recv_two, NULL);
        mu_chan_free(ends[1]);
        if (!t.pc) {
            t = step_record(pid);
            i = -step_stride(&t);
        } else {
            step_finish(pid, &t, i);
        }
        do {
            memset(bytes, next++, sizeof bytes);
            rc = mu_chan_send(ends[0], bytes, sizeof bytes, test_deadline());
        } while (rc == 0);
        assert_int_equal(rc, MU_ECRASHED);
        mu_chan_free(ends[0]);
    }
    free(t.pc);
}

/* Both roles, over one transport. */
#define KILLED(address)                                                        \
    {"sender_killed " address, sender_killed_leaves_whole_or_nothing, NULL,    \
     NULL, (void *)(uintptr_t)(address)},                                      \
    {                                                                          \
        "receiver_killed " address, receiver_killed_wakes_a_full_sender, NULL, \
            NULL, (void *)(uintptr_t)(address)                                 \
    }

#endif
