/* test_ends.c: how ends are told where it is not plain: goodbyes without room, who
 * waits for ever, several producers and consumers of one name, listeners that are closed
 * or out of descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "muster/channel.h"

#include "support/check.h"

static char bytes[65536];

static struct mu_chan *open_or_fail(const char *address,
                                    const struct mu_chan_options *options)
{
    struct mu_error err = {.text = ""};
    struct mu_chan *c;

    if (mu_chan_open(address, options, &c, &err) != 0)
        fail_msg("%s", err.text);
    return c;
}

static struct mu_chan *connect_or_fail(const char *address,
                                       const struct mu_chan_options *options)
{
    struct mu_chan *c;

    CHECK_CHILD(mu_chan_connect(address, options, test_deadline(), &c, NULL) ==
                0);
    return c;
}

static int recv_now(struct mu_chan *c)
{
    size_t size;

    return mu_chan_recv(c, bytes, sizeof bytes, MU_NOW, &size);
}

static int recv_some_time(struct mu_chan *c)
{
    size_t size;

    return mu_chan_recv(c, bytes, sizeof bytes, test_deadline(), &size);
}

/* ---- unix ------------------------------------------------------------------- */

static void free_it(void *arg)
{
    mu_chan_free(arg);
}

/* Only who made the path takes it away. */
static void child_leaves_the_path(void **state)
{
    struct mu_chan *listener;
    struct mu_chan *c;
    char name[64];

    (void)state;
    (void)snprintf(name, sizeof name, "unix:/tmp/muster-ends-%d.sock",
                   (int)getpid());
    listener = open_or_fail(name, NULL);
    assert_int_equal(test_wait(test_fork(free_it, listener)), 0);
    c = connect_or_fail(name, NULL);
    mu_chan_free(c);
    mu_chan_free(listener);
}

/* Nor does he who made it, when another has taken it over since. */
static void path_taken_over_is_left(void **state)
{
    struct mu_chan *old;
    struct mu_chan *now;
    struct mu_chan *c;
    char name[64];

    (void)state;
    (void)snprintf(name, sizeof name, "unix:/tmp/muster-ends-%d.sock",
                   (int)getpid());
    old = open_or_fail(name, NULL);
    assert_int_equal(mu_chan_close(old), 0);
    now = open_or_fail(name, NULL);
    mu_chan_free(old);
    c = connect_or_fail(name, NULL);
    mu_chan_free(c);
    mu_chan_free(now);
    assert_int_equal(mu_chan_connect(name, NULL, MU_NOW, &c, NULL), -ENOENT);
}

static void impossible_paths_are_refused(void **state)
{
    struct mu_chan *ends[2];
    char name[200] = "unix:/tmp/";

    (void)state;
    memset(name + strlen(name), 'x', sizeof name - strlen(name) - 1);
    assert_int_equal(mu_chan_open(name, NULL, ends, NULL), -EINVAL);
    assert_int_equal(mu_chan_connect(name, NULL, MU_NOW, ends, NULL), -EINVAL);
    assert_int_equal(mu_chan_pair("unix:/tmp/x", NULL, ends, NULL), -EINVAL);
}

/* A packet that is longer than any piece is not taken for its beginning. */
static void long_packet_is_no_message(void **state)
{
    static struct {
        uint32_t kind;
        uint32_t unused[15];
        char piece[(96 << 10) + 1];
    } packet = {.kind = 0x6d750011};
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct mu_chan *listener;
    struct mu_chan *c;
    char name[64];
    int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void)state;
    (void)snprintf(at.sun_path, sizeof at.sun_path, "/tmp/muster-ends-%d.sock",
                   (int)getpid());
    (void)snprintf(name, sizeof name, "unix:/tmp/muster-ends-%d.sock",
                   (int)getpid());
    listener = open_or_fail(name, NULL);
    assert_int_equal(connect(sock, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(mu_chan_accept(listener, test_deadline(), &c, NULL), 0);
    assert_int_equal(send(sock, &packet, sizeof packet, 0), sizeof packet);
    assert_int_equal(recv_some_time(c), MU_ECORRUPT);
    (void)close(sock);
    mu_chan_free(c);
    mu_chan_free(listener);
}

/* ---- goodbyes --------------------------------------------------------------- */

/* Fill it, and go: what a drain and a close answered with 0 is told as an end. */
static void goodbye_follows(struct mu_chan *from, struct mu_chan *to,
                            size_t size)
{
    int n_sent = 0;
    int n_got = 0;
    int rc;

    while ((rc = mu_chan_send(from, bytes, size, MU_NOW)) == 0)
        n_sent++;
    assert_int_equal(rc, MU_TIMEOUT);
    while ((rc = mu_chan_drain(from, MU_NOW)) == MU_TIMEOUT) {
        assert_int_equal(recv_some_time(to), 0);
        n_got++;
    }
    assert_int_equal(rc, 0);
    assert_int_equal(mu_chan_close(from), 0);
    assert_int_equal(mu_chan_send(from, bytes, 1, MU_NOW), MU_CLOSED);
    mu_chan_free(from);
    while ((rc = recv_some_time(to)) == 0)
        n_got++;
    assert_int_equal(rc, MU_CLOSED);
    assert_int_equal(n_got, n_sent);
    mu_chan_free(to);
}

static void drain_makes_room_for_the_goodbye(void **state)
{
    static const char *const schemes[] = {"pipe:", "unix:", "tcp:", "mq:"};
    static const size_t sizes[] = {0, 8, 3000, sizeof bytes};

    (void)state;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            struct mu_chan_options options = {.queue_messages = 4};
            struct mu_chan *ends[2];

            assert_int_equal(mu_chan_pair(schemes[i], &options, ends, NULL), 0);
            goodbye_follows(ends[0], ends[1], sizes[k]);
        }
    }
}

static void drain_makes_room_in_a_fifo(void **state)
{
    char address[64];
    struct mu_chan *to;

    (void)state;
    (void)snprintf(address, sizeof address, "fifo:/tmp/muster-test-%d.fifo",
                   (int)getpid());
    to = open_or_fail(address, NULL);
    goodbye_follows(connect_or_fail(address, NULL), to, 8);
    (void)unlink(address + strlen("fifo:"));
}

struct caller {
    const char *address;
    struct mu_chan_options options;
    struct mu_chan *chan;
    int rc;
};

static void *call(void *arg)
{
    struct caller *a = arg;

    a->rc = mu_chan_connect(a->address, &a->options, test_deadline(), &a->chan,
                            NULL);
    return NULL;
}

/* One that is too short is refused by who has it, not later by its peers. */
static void short_secret_is_refused(void **state)
{
    struct mu_chan_options options = {.secret = "0123456789abcde",
                                      .secret_size = 15};
    struct mu_chan *c;

    (void)state;
    assert_int_equal(mu_chan_open("tcp:127.0.0.1:0", &options, &c, NULL),
                     -EINVAL);
    assert_int_equal(
        mu_chan_connect("tcp:127.0.0.1:9", &options, MU_NOW, &c, NULL),
        -EINVAL);
}

/* What is sealed keeps its order: a goodbye that has no room is the next to go. */
static void drain_makes_room_for_a_sealed_goodbye(void **state)
{
    struct caller a = {
        .options = {.secret = "0123456789abcdef", .secret_size = 16}};
    struct mu_chan *listener;
    struct mu_chan *to;
    pthread_t thread;
    int n_sent = 0;
    int n_got = 0;
    int rc;

    (void)state;
    if (mu_chan_open("tcp:127.0.0.1:0", &a.options, &listener, NULL) != 0)
        skip();
    a.address = mu_chan_address(listener);
    assert_int_equal(pthread_create(&thread, NULL, call, &a), 0);
    assert_int_equal(mu_chan_accept(listener, test_deadline(), &to, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(a.rc, 0);
    while ((rc = mu_chan_send(a.chan, bytes, 1000, MU_NOW)) == 0)
        n_sent++;
    assert_int_equal(rc, MU_TIMEOUT);
    while ((rc = mu_chan_close(a.chan)) == MU_TIMEOUT) {
        assert_int_equal(recv_some_time(to), 0);
        n_got++;
    }
    assert_int_equal(rc, 0);
    mu_chan_free(a.chan);
    while ((rc = recv_some_time(to)) == 0)
        n_got++;
    assert_int_equal(rc, MU_CLOSED);
    assert_int_equal(n_got, n_sent);
    mu_chan_free(to);
    mu_chan_free(listener);
}

/* A queue has its goodbye beside it: full, and in the middle of a message. */
static void full_queue_takes_a_goodbye(void **state)
{
    struct mu_chan_options options = {.queue_messages = 2};
    struct mu_chan *ends[2];

    (void)state;
    assert_int_equal(mu_chan_pair("mq:", &options, ends, NULL), 0);
    assert_int_equal(mu_chan_send(ends[0], "x", 1, MU_NOW), 0);
    assert_int_equal(mu_chan_send(ends[0], bytes, sizeof bytes, MU_NOW),
                     MU_TIMEOUT);
    assert_int_equal(mu_chan_close(ends[0]), 0);
    mu_chan_free(ends[0]);
    assert_int_equal(recv_now(ends[1]), 0);
    assert_int_equal(recv_now(ends[1]), MU_CLOSED);
    assert_int_equal(recv_now(ends[1]), MU_CLOSED);
    mu_chan_free(ends[1]);
}

/* ---- deaths ----------------------------------------------------------------- */

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

/* Wait until our parent sleeps in one of those calls, as far as the system tells. */
static void parent_await_call(long number, long other)
{
    char path[64];
    char text[64];

    (void)snprintf(path, sizeof path, "/proc/%d/syscall", (int)getppid());
    for (;;) {
        FILE *f = fopen(path, "re");

        if (!f || !fgets(text, sizeof text, f) ||
            (text[0] != 'r' && (atol(text) == number || atol(text) == other))) {
            if (f)
                (void)fclose(f);
            return;
        }
        (void)fclose(f);
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
    struct mu_chan *ends[2];
    char byte;
    size_t size;
    pid_t pid;

    (void)state;
    assert_int_equal(mu_chan_pair("mq:", NULL, ends, NULL), 0);
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
        (void)kill(pid, SIGKILL);
        (void)test_wait(pid);
        mu_chan_free(ends[0]);
    }
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
}

/* ---- names in memory -------------------------------------------------------- */

static void producers_goodbye_ends_all_consumers(void **state)
{
    (void)state;
    for (int says_goodbye = 0; says_goodbye < 2; says_goodbye++) {
        int expected = says_goodbye ? MU_CLOSED : MU_ECRASHED;
        struct mu_chan *producer = open_or_fail("mem:work", NULL);
        struct mu_chan *consumers[2];

        for (int i = 0; i < 2; i++) {
            consumers[i] = connect_or_fail("mem:work", NULL);
            assert_int_equal(recv_now(consumers[i]), MU_TIMEOUT);
        }
        for (int i = 0; i < 3; i++)
            assert_int_equal(mu_chan_send(producer, "x", 1, MU_NOW), 0);
        if (says_goodbye)
            assert_int_equal(mu_chan_close(producer), 0);
        mu_chan_free(producer);
        assert_int_equal(recv_now(consumers[0]), 0);
        assert_int_equal(recv_now(consumers[1]), 0);
        assert_int_equal(recv_now(consumers[0]), 0);
        for (int i = 0; i < 2; i++)
            assert_int_equal(recv_now(consumers[i]), expected);
        mu_chan_free(consumers[0]);
        assert_int_equal(recv_now(consumers[1]), expected);
        mu_chan_free(consumers[1]);
    }
}

static void consumers_goodbye_ends_all_producers(void **state)
{
    struct mu_chan_options options = {.queue_messages = 2};
    struct mu_chan *producers[2] = {open_or_fail("mem:work", &options)};
    struct mu_chan *consumer = connect_or_fail("mem:work", NULL);

    (void)state;
    producers[1] = connect_or_fail("mem:work", NULL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(mu_chan_send(producers[i], "x", 1, MU_NOW), 0);
    assert_int_equal(mu_chan_send(producers[0], "x", 1, MU_NOW), MU_TIMEOUT);
    assert_int_equal(recv_now(consumer), 0);
    assert_int_equal(mu_chan_close(consumer), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(mu_chan_send(producers[i], "x", 1, MU_NOW), MU_CLOSED);
    mu_chan_free(consumer);
    consumer = connect_or_fail("mem:work", NULL); /* the next */
    assert_int_equal(mu_chan_send(producers[1], "x", 1, MU_NOW), 0);
    assert_int_equal(recv_now(consumer), 0);
    mu_chan_free(consumer);
    mu_chan_free(producers[0]);
    mu_chan_free(producers[1]);
}

/* What was reserved ends with the goodbye: others go on. */
static void goodbye_drops_what_was_reserved(void **state)
{
    struct mu_chan_options options = {.queue_messages = 2};
    struct mu_chan *consumer = open_or_fail("mem:work", &options);
    struct mu_chan *leaves = connect_or_fail("mem:work", NULL);
    struct mu_chan *stays = connect_or_fail("mem:work", NULL);
    void *room;

    (void)state;
    assert_int_equal(mu_chan_send(stays, "x", 1, MU_NOW), 0);
    assert_int_equal(mu_chan_reserve(leaves, 1, MU_NOW, &room), 0);
    assert_int_equal(mu_chan_close(leaves), 0);
    assert_int_equal(recv_now(consumer), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(mu_chan_commit(leaves, 1), -EINVAL);
        assert_int_equal(mu_chan_send(stays, "x", 1, MU_NOW), 0);
        assert_int_equal(recv_now(consumer), 0);
    }
    mu_chan_free(leaves);
    mu_chan_free(stays);
    mu_chan_free(consumer);
}

/* Who has not been used may do both yet. */
static void unused_handle_keeps_a_name_open(void **state)
{
    struct mu_chan *unused = open_or_fail("mem:work", NULL);
    struct mu_chan *producer = connect_or_fail("mem:work", NULL);
    struct mu_chan *consumer = connect_or_fail("mem:work", NULL);

    (void)state;
    assert_int_equal(mu_chan_send(producer, "x", 1, MU_NOW), 0);
    assert_int_equal(mu_chan_close(producer), 0);
    assert_int_equal(recv_now(consumer), 0);
    assert_int_equal(recv_now(consumer), MU_TIMEOUT);
    assert_int_equal(mu_chan_send(unused, "x", 1, MU_NOW), 0);
    assert_int_equal(recv_now(consumer), 0);
    assert_int_equal(mu_chan_close(unused), 0);
    assert_int_equal(recv_now(consumer), MU_CLOSED);
    mu_chan_free(unused);
    mu_chan_free(producer);
    mu_chan_free(consumer);
}

static void *recv_until_the_end(void *arg)
{
    struct mu_chan *c = connect_or_fail(arg, NULL);
    char byte;
    size_t size;
    int rc;

    while ((rc = mu_chan_recv(c, &byte, 1, test_deadline(), &size)) == 0)
        ;
    mu_chan_free(c);
    return rc == MU_CLOSED ? NULL : arg;
}

/* Those who sleep are woken, whether the last sender leaves or turns out to be none. */
static void sleeping_consumers_are_told(void **state)
{
    enum { N = 3 };

    (void)state;
    for (int round = 0; round < 100; round++) {
        struct mu_chan *main_end = open_or_fail("mem:work", NULL);
        struct mu_chan *producer = connect_or_fail("mem:work", NULL);
        pthread_t threads[N];

        for (int i = 0; i < N; i++)
            assert_int_equal(pthread_create(&threads[i], NULL,
                                            recv_until_the_end, "mem:work"),
                             0);
        for (int i = 0; i < 10; i++)
            assert_int_equal(mu_chan_send(producer, "x", 1, test_deadline()),
                             0);
        assert_int_equal(mu_chan_close(producer), 0);
        while (recv_now(main_end) == 0)
            ;
        for (int i = 0; i < N; i++) {
            void *told;

            assert_int_equal(pthread_join(threads[i], &told), 0);
            assert_null(told);
        }
        mu_chan_free(producer);
        mu_chan_free(main_end);
    }
}

static void memory_keeps_the_receivers_limit(void **state)
{
    struct mu_chan_options small = {.message_bytes = 10};
    struct mu_chan *to = open_or_fail("mem:work", &small);
    struct mu_chan *from = connect_or_fail("mem:work", NULL);

    (void)state;
    assert_int_equal(mu_chan_send(from, bytes, 11, MU_NOW), 0);
    assert_int_equal(mu_chan_send(from, bytes, 10, MU_NOW), 0);
    assert_int_equal(recv_now(to), MU_ECORRUPT);
    assert_int_equal(recv_now(to), 0);
    mu_chan_free(from);
    mu_chan_free(to);
}

/* ---- listeners -------------------------------------------------------------- */

static const char *const listeners[] = {"shm:", "unix:/tmp/muster-test-%d.sock",
                                        "tcp:127.0.0.1:0"};

enum { N_LISTENERS = sizeof listeners / sizeof listeners[0] };

/* Who waits to be taken is hung up on, with a goodbye of the listener and without. */
static void closed_listener_refuses(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * N_LISTENERS; i++) {
        struct caller a = {.address = NULL};
        struct pollfd p = {.events = POLLIN};
        struct mu_chan *listener;
        struct mu_chan *c;
        pthread_t thread;
        char address[64];
        char name[64];

        (void)snprintf(name, sizeof name, listeners[i / 2], (int)getpid());
        listener = open_or_fail(name, NULL);
        (void)snprintf(address, sizeof address, "%s",
                       mu_chan_address(listener));
        a.address = address;
        p.fd = mu_chan_fd(listener);
        assert_int_equal(pthread_create(&thread, NULL, call, &a), 0);
        assert_int_equal(poll(&p, 1, 30000), 1);
        if (i % 2 == 0)
            assert_int_equal(mu_chan_close(listener), 0);
        else
            mu_chan_free(listener);
        assert_int_equal(pthread_join(thread, NULL), 0);
        if (a.rc == 0) { /* that was before, and nobody took it */
            assert_int_equal(recv_some_time(a.chan), MU_ECRASHED);
            mu_chan_free(a.chan);
        } else {
            assert_int_equal(a.rc, -ECONNREFUSED);
        }
        if (i % 2 != 0)
            continue;
        assert_int_equal(
            mu_chan_connect(a.address, NULL, test_deadline(), &c, NULL),
            -ECONNREFUSED);
        assert_int_equal(mu_chan_accept(listener, MU_NEVER, &c, NULL),
                         MU_CLOSED);
        mu_chan_free(listener);
    }
}

static void *close_in_a_child(void *arg)
{
    int status;

    (void)waitpid(*(pid_t *)arg, &status, 0);
    return NULL;
}

static void close_it(void *arg)
{
    CHECK_CHILD(mu_chan_close(arg) == 0);
}

/* A goodbye is that of all processes that have the listener. */
static void listener_closed_elsewhere_is_closed(void **state)
{
    (void)state;
    for (int i = 0; i < N_LISTENERS; i++) {
        struct mu_chan *listener;
        struct mu_chan *c;
        pthread_t thread;
        char name[64];
        pid_t pid;

        (void)snprintf(name, sizeof name, listeners[i], (int)getpid());
        listener = open_or_fail(name, NULL);
        pid = test_fork(close_it, listener);
        assert_int_equal(pthread_create(&thread, NULL, close_in_a_child, &pid),
                         0);
        assert_int_equal(mu_chan_accept(listener, test_deadline(), &c, NULL),
                         MU_CLOSED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        mu_chan_free(listener);
    }
}

static void send_one(void *arg)
{
    struct mu_chan *c = connect_or_fail(arg, NULL);

    CHECK_CHILD(mu_chan_send(c, "x", 1, test_deadline()) == 0);
    CHECK_CHILD(mu_chan_close(c) == 0);
    mu_chan_free(c);
}

/* The first number that is free. */
static int descriptor_next(void)
{
    int fd = dup(STDERR_FILENO);

    assert_true(fd > 0);
    (void)close(fd);
    return fd;
}

/* Who cannot be taken in for want of descriptors waits, and wakes nobody meanwhile: one
 * takes four, one of them its connection. */
static void hub_without_descriptors_sleeps(void **state)
{
    (void)state;
    for (rlim_t n_free = 0; n_free < 4; n_free++) {
        struct mu_chan *hub = open_or_fail("shm:", NULL);
        struct pollfd p = {.fd = mu_chan_fd(hub), .events = POLLIN};
        struct rlimit before;
        struct rlimit none;
        pid_t pid;

        pid = test_fork(send_one, (void *)(uintptr_t)mu_chan_address(hub));
        assert_int_equal(poll(&p, 1, 30000), 1);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = before;
        none.rlim_cur = (rlim_t)descriptor_next() + n_free;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        assert_int_equal(recv_now(hub), MU_TIMEOUT);
        assert_int_equal(poll(&p, 1, 0), 0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(recv_some_time(hub), 0);
        assert_int_equal(recv_some_time(hub), MU_CLOSED);
        assert_int_equal(test_wait(pid), 0);
        mu_chan_free(hub);
    }
}

/* The same of who accepts: it is told, and he is taken later. */
static void who_cannot_be_accepted_waits(void **state)
{
    (void)state;
    for (int i = 0; i < N_LISTENERS; i++) {
        rlim_t n_needed = i == 0 ? 4 : 1;

        for (rlim_t n_free = 0; n_free < n_needed; n_free++) {
            struct mu_chan *listener;
            struct mu_chan *c;
            struct pollfd p = {.events = POLLIN};
            struct rlimit before;
            struct rlimit none;
            char name[64];
            pid_t pid;

            (void)snprintf(name, sizeof name, listeners[i], (int)getpid());
            listener = open_or_fail(name, NULL);
            p.fd = mu_chan_fd(listener);
            pid = test_fork(send_one,
                            (void *)(uintptr_t)mu_chan_address(listener));
            assert_int_equal(poll(&p, 1, 30000), 1);
            assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
            none = before;
            none.rlim_cur = (rlim_t)descriptor_next() + n_free;
            assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
            for (int k = 0; k < 2; k++)
                assert_int_equal(
                    mu_chan_accept(listener, test_deadline(), &c, NULL),
                    -EMFILE);
            assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
            assert_int_equal(
                mu_chan_accept(listener, test_deadline(), &c, NULL), 0);
            assert_int_equal(recv_some_time(c), 0);
            assert_int_equal(recv_some_time(c), MU_CLOSED);
            assert_int_equal(test_wait(pid), 0);
            mu_chan_free(c);
            mu_chan_free(listener);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(child_leaves_the_path),
        cmocka_unit_test(path_taken_over_is_left),
        cmocka_unit_test(impossible_paths_are_refused),
        cmocka_unit_test(long_packet_is_no_message),
        cmocka_unit_test(drain_makes_room_for_the_goodbye),
        cmocka_unit_test(drain_makes_room_in_a_fifo),
        cmocka_unit_test(drain_makes_room_for_a_sealed_goodbye),
        cmocka_unit_test(full_queue_takes_a_goodbye),
        cmocka_unit_test(short_secret_is_refused),
        cmocka_unit_test(waiting_for_ever_ends_with_the_peer),
        cmocka_unit_test(queue_that_waits_for_long_sees_the_end),
        cmocka_unit_test(signals_do_not_hide_the_end),
        cmocka_unit_test(producers_goodbye_ends_all_consumers),
        cmocka_unit_test(consumers_goodbye_ends_all_producers),
        cmocka_unit_test(goodbye_drops_what_was_reserved),
        cmocka_unit_test(unused_handle_keeps_a_name_open),
        cmocka_unit_test(sleeping_consumers_are_told),
        cmocka_unit_test(memory_keeps_the_receivers_limit),
        cmocka_unit_test(closed_listener_refuses),
        cmocka_unit_test(listener_closed_elsewhere_is_closed),
        cmocka_unit_test(hub_without_descriptors_sleeps),
        cmocka_unit_test(who_cannot_be_accepted_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
