/* suite_ends.h: what the suite asks of ends: goodbyes, deaths at any step, forks. */
#ifndef TEST_CHANNEL_SUITE_ENDS_H
#define TEST_CHANNEL_SUITE_ENDS_H

#include "channel/suite_run.h"

static void close_delivers_and_then_says_so(void **state)
{
    struct mu_chan *ends[2];
    char byte;
    size_t size;
    int rc;

    NEED(SUITE_ENDS);
    ends_open(ends);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mu_chan_send(ends[0], &"abc"[i], 1, test_deadline()),
                         0);
    assert_int_equal(mu_chan_close(ends[0]), 0);
    assert_int_equal(mu_chan_close(ends[0]), 0);
    assert_int_equal(mu_chan_send(ends[0], "x", 1, MU_NOW), MU_CLOSED);
    assert_int_equal(mu_chan_recv(ends[0], &byte, 1, MU_NOW, &size),
                     suite_inner[0]->can_recv ? MU_CLOSED : -EOPNOTSUPP);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size), 0);
        assert_int_equal(byte, "abc"[i]);
    }
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size),
                     MU_CLOSED);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, MU_NOW, &size),
                     HAS(SUITE_HUB) ? MU_TIMEOUT : MU_CLOSED);
    mu_chan_free(ends[0]);
    if (HAS(SUITE_DUPLEX)) {
        do
            rc = mu_chan_send(ends[1], "x", 1, test_deadline());
        while (rc == 0);
        assert_int_equal(rc, MU_CLOSED);
    }
    mu_chan_free(ends[1]);
    SUITE_AFTER();
}

/* Who said goodbye had messages of ours unread; we have some of its. Whichever we look
 * at first, it did not crash. */
static void goodbye_is_told_to_sender_and_receiver(void **state)
{
    NEED(SUITE_ENDS);
    if (!HAS(SUITE_DUPLEX))
        skip();
    for (int n_read = 0; n_read <= 3; n_read++) {
        struct mu_chan_options options = {.queue_messages = 4};
        struct mu_chan *ends[2];
        char byte;
        size_t size;
        int rc;

        ends_open_with(ends, &options);
        assert_int_equal(mu_chan_send(ends[1], "x", 1, test_deadline()), 0);
        for (int i = 0; i < 3; i++)
            assert_int_equal(
                mu_chan_send(ends[0], &"abc"[i], 1, test_deadline()), 0);
        assert_int_equal(mu_chan_close(ends[0]), 0);
        mu_chan_free(ends[0]);
        for (int i = 0; i < 3; i++) {
            if (i == n_read) {
                do
                    rc = mu_chan_send(ends[1], "x", 1, test_deadline());
                while (rc == 0);
                assert_int_equal(rc, MU_CLOSED);
            }
            assert_int_equal(
                mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size), 0);
            assert_int_equal(byte, "abc"[i]);
        }
        assert_int_equal(
            mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size), MU_CLOSED);
        do
            rc = mu_chan_send(ends[1], "x", 1, test_deadline());
        while (rc == 0);
        assert_int_equal(rc, MU_CLOSED);
        mu_chan_free(ends[1]);
        SUITE_AFTER();
    }
}

static void *send_until_the_end(void *arg)
{
    static const char bytes[3000];
    struct mu_chan *c = arg;
    int rc;

    do
        rc = mu_chan_send(c, bytes, sizeof bytes, MU_NEVER);
    while (rc == 0);
    CHECK_CHILD(rc == MU_CLOSED);
    CHECK_CHILD(mu_chan_send(c, "x", 1, MU_NOW) == MU_CLOSED);
    return NULL;
}

/* An end that said goodbye, and is kept: who sends to it, and never receives, is told,
 * whether it waits already or not. */
static void goodbye_is_told_to_who_only_sends(void **state)
{
    static const char bytes[3000];

    NEED(SUITE_ENDS | SUITE_FULL);
    for (int waits = 0; waits < 2; waits++) {
        struct mu_chan_options options = {.ring_bytes = 16384,
                                          .queue_messages = 4};
        struct mu_chan *ends[2];
        pthread_t thread;
        int rc;

        ends_open_with(ends, &options);
        while (waits && mu_chan_send(ends[0], bytes, sizeof bytes, MU_NOW) == 0)
            ;
        if (waits)
            assert_int_equal(
                pthread_create(&thread, NULL, send_until_the_end, ends[0]), 0);
        assert_int_equal(mu_chan_close(ends[1]), 0);
        if (waits) {
            assert_int_equal(pthread_join(thread, NULL), 0);
        } else {
            do
                rc =
                    mu_chan_send(ends[0], bytes, sizeof bytes, test_deadline());
            while (rc == 0);
            assert_int_equal(rc, MU_CLOSED);
        }
        ends_free(ends);
    }
}

static void *close_soon(void *arg)
{
    CHECK_CHILD(mu_chan_close(arg) == 0);
    return NULL;
}

static void close_wakes_a_waiting_receiver(void **state)
{
    NEED(SUITE_ENDS);
    for (int i = 0; i < 50; i++) {
        struct mu_chan *ends[2];
        pthread_t thread;
        char byte;
        size_t size;

        ends_open(ends);
        assert_int_equal(pthread_create(&thread, NULL, close_soon, ends[0]), 0);
        assert_int_equal(
            mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size), MU_CLOSED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        ends_free(ends);
    }
}

static void free_without_goodbye_is_a_crash(void **state)
{
    struct mu_chan *ends[2];
    char byte;
    size_t size;

    NEED(SUITE_ENDS);
    ends_open(ends);
    assert_int_equal(mu_chan_send(ends[0], "a", 1, test_deadline()), 0);
    mu_chan_free(ends[0]);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size),
                     0);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size),
                     MU_ECRASHED);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, MU_NOW, &size),
                     HAS(SUITE_HUB) ? MU_CLOSED : MU_ECRASHED);
    mu_chan_free(ends[1]);
    SUITE_AFTER();
}

/* ---- between processes ------------------------------------------------------ */

static pid_t fork_with_end(struct mu_chan *ends[2],
                           void (*fn)(struct mu_chan *))
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        mu_chan_free(ends[0]);
        fn(ends[1]);
        _exit(0);
    }
    mu_chan_free(ends[1]);
    ends[1] = NULL;
    return pid;
}

/* The same of the end that also one-way channels send through. */
static pid_t fork_sender(struct mu_chan *ends[2], void (*fn)(struct mu_chan *))
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        mu_chan_free(ends[1]);
        fn(ends[0]);
        _exit(0);
    }
    mu_chan_free(ends[0]);
    ends[0] = NULL;
    return pid;
}

static void echo(struct mu_chan *c)
{
    struct mu_chan_message m;
    int rc;

    while ((rc = mu_chan_borrow(c, test_deadline(), &m)) == 0) {
        CHECK_CHILD(mu_chan_send(c, m.data, m.size, test_deadline()) == 0);
        mu_chan_release(c);
    }
    CHECK_CHILD(rc == MU_CLOSED);
    CHECK_CHILD(mu_chan_close(c) == 0);
}

static void process_echoes_every_message(void **state)
{
    struct mu_chan_options options = {.spin_ns = -1};
    static unsigned char bytes[30000];
    struct mu_chan *ends[2];
    uint64_t seed = 8;
    char byte;
    size_t size;
    pid_t pid;

    NEED(SUITE_PROCESS);
    if (!HAS(SUITE_DUPLEX))
        skip();
    ends_open_with(ends, &options);
    /* used before the fork, in both directions */
    run_between_threads(ends[0], ends[1],
                        (struct run){.n = 100, .seed = 2, .size_max = 300});
    run_between_threads(ends[1], ends[0],
                        (struct run){.n = 100, .seed = 2, .size_max = 300});
    pid = fork_with_end(ends, echo);
    for (uint64_t i = 0; i < SUITE_MANY(1000U); i++) {
        size_t n = next_random(&seed) % sizeof bytes;

        message_fill(bytes, n, i);
        assert_int_equal(mu_chan_send(ends[0], bytes, n, test_deadline()), 0);
        assert_int_equal(
            mu_chan_recv(ends[0], bytes, sizeof bytes, test_deadline(), &size),
            0);
        assert_int_equal(size, n);
        assert_true(message_is(bytes, n, i));
    }
    assert_int_equal(mu_chan_close(ends[0]), 0);
    assert_int_equal(test_wait(pid), 0);
    (void)byte;
    mu_chan_free(ends[0]);
    SUITE_AFTER();
}

/* Open both ends, run between them, leave a message under way, and fork. */
static pid_t fork_after(struct run run, struct mu_chan *ret_ends[2])
{
    pid_t pid;

    ends_open(ret_ends);
    run_between_threads(ret_ends[0], ret_ends[1], run);
    assert_int_equal(mu_chan_send(ret_ends[0], "x", 1, test_deadline()), 0);
    pid = fork();
    assert_true(pid >= 0);
    return pid;
}

/* A fork in between: what was sent before and what the child sends is one stream. */
static void forked_sender_goes_on(void **state)
{
    struct run run = {.n = 300, .seed = 13, .size_max = 3000};
    struct mu_chan *ends[2];
    pid_t pid;

    NEED(SUITE_PROCESS);
    pid = fork_after(run, ends);
    run.chan = ends[0];
    if (pid == 0) {
        run_send(&run);
        _exit(0);
    }
    run.chan = ends[1];
    run_recv_one(ends[1], "x", 1);
    run_recv(&run);
    assert_int_equal(test_wait(pid), 0);
    ends_free(ends);
}

/* The same of who receives, with a message under way. */
static void forked_receiver_goes_on(void **state)
{
    struct run run = {.n = 300, .seed = 13, .size_max = 3000};
    struct mu_chan *ends[2];
    pid_t pid;

    NEED(SUITE_PROCESS);
    pid = fork_after(run, ends);
    if (pid == 0) {
        struct mu_chan_message m;

        CHECK_CHILD(mu_chan_borrow(ends[1], test_deadline(), &m) == 0);
        CHECK_CHILD(m.size == 1);
        mu_chan_release(ends[1]);
        run.chan = ends[1];
        run_recv(&run);
        _exit(0);
    }
    run.chan = ends[0];
    run_send(&run);
    assert_int_equal(test_wait(pid), 0);
    ends_free(ends);
}

static void send_and_die(struct mu_chan *c)
{
    for (int i = 0; i < 3; i++)
        CHECK_CHILD(mu_chan_send(c, &"abc"[i], 1, test_deadline()) == 0);
    (void)raise(SIGKILL);
}

static void dead_sender_is_reported_after_its_messages(void **state)
{
    struct mu_chan *ends[2];
    char byte;
    size_t size;
    pid_t pid;

    NEED(SUITE_PROCESS | SUITE_ENDS);
    ends_open(ends);
    pid = fork_sender(ends, send_and_die);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size), 0);
        assert_int_equal(byte, "abc"[i]);
    }
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, test_deadline(), &size),
                     MU_ECRASHED);
    assert_true(WIFSIGNALED(test_wait(pid)));
    mu_chan_free(ends[1]);
    SUITE_AFTER();
}

static void just_die(struct mu_chan *c)
{
    (void)c;
    (void)raise(SIGKILL);
}

static void dead_receiver_is_reported_to_the_sender(void **state)
{
    static char bytes[1000];
    struct mu_chan *ends[2];
    pid_t pid;
    int rc;

    NEED(SUITE_PROCESS | SUITE_ENDS);
    ends_open(ends);
    pid = fork_with_end(ends, just_die);
    do
        rc = mu_chan_send(ends[0], bytes, sizeof bytes, test_deadline());
    while (rc == 0);
    assert_int_equal(rc, MU_ECRASHED);
    assert_true(WIFSIGNALED(test_wait(pid)));
    mu_chan_free(ends[0]);
    SUITE_AFTER();
}

static void flood(struct mu_chan *c)
{
    static char bytes[3000];

    while (mu_chan_send(c, bytes, sizeof bytes, test_deadline()) == 0)
        ;
}

/* A peer killed at any moment while it sends: each message is whole, then the end. */
static void killed_sender_leaves_whole_messages(void **state)
{
    uint64_t seed = 77;

    NEED(SUITE_PROCESS | SUITE_ENDS);
    for (int i = 0; i < 20; i++) {
        struct mu_chan *ends[2];
        struct mu_chan_message m;
        uint64_t n = next_random(&seed) % 300;
        pid_t pid;
        int rc;

        ends_open(ends);
        pid = fork_sender(ends, flood);
        while ((rc = mu_chan_borrow(ends[1], test_deadline(), &m)) == 0) {
            assert_int_equal(m.size, 3000);
            mu_chan_release(ends[1]);
            if (n-- == 0)
                (void)test_kill(pid, SIGKILL);
        }
        assert_int_equal(rc, MU_ECRASHED);
        assert_true(WIFSIGNALED(test_wait(pid)));
        mu_chan_free(ends[1]);
        SUITE_AFTER();
    }
}

#endif
