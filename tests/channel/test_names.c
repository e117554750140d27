/* test_names.c: channels with names: opening, connecting, accepting, who is allowed,
 * the secret, many senders, and the wrappers. */
#include <errno.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "muster/channel.h"

#include "support/check.h"

static char address[128];

static const char *unique(const char *format)
{
    (void)snprintf(address, sizeof address, format, (int)getpid());
    return address;
}

struct peer {
    const char *address;
    struct mu_chan_options options;
    unsigned long n;
};

static int no_peer(void *ctx, int pid, unsigned uid, unsigned gid)
{
    (void)ctx;
    (void)gid;
    CHECK_CHILD(pid > 0 && uid == geteuid());
    return 0;
}

/* Connect, send one, take the answer. */
static void *call(void *arg)
{
    struct peer *p = arg;
    struct mu_chan *c;
    char byte;
    size_t size;

    CHECK_CHILD(mu_chan_connect(p->address, &p->options, test_deadline(), &c,
                                NULL) == 0);
    CHECK_CHILD(mu_chan_send(c, "?", 1, test_deadline()) == 0);
    CHECK_CHILD(mu_chan_recv(c, &byte, 1, test_deadline(), &size) == 0);
    CHECK_CHILD(byte == '!');
    CHECK_CHILD(mu_chan_close(c) == 0);
    mu_chan_free(c);
    return NULL;
}

static void serve_one(const char *name, const struct mu_chan_options *options)
{
    struct mu_error err = {.text = ""};
    struct mu_chan *listener;
    struct mu_chan *c;
    struct peer p = {.options = {.ring_bytes = 0}};
    pthread_t thread;
    char byte;
    size_t size;

    if (options)
        p.options = *options;
    if (mu_chan_open(name, options, &listener, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(mu_chan_accept(listener, MU_NOW, &c, NULL), MU_TIMEOUT);
    p.address = mu_chan_address(listener);
    assert_int_equal(pthread_create(&thread, NULL, call, &p), 0);
    if (mu_chan_accept(listener, test_deadline(), &c, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(mu_chan_recv(c, &byte, 1, test_deadline(), &size), 0);
    assert_int_equal(mu_chan_send(c, "!", 1, test_deadline()), 0);
    assert_int_equal(mu_chan_recv(c, &byte, 1, test_deadline(), &size),
                     MU_CLOSED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    mu_chan_free(c);
    mu_chan_free(listener);
}

static void connections_are_made(void **state)
{
    (void)state;
    serve_one(unique("unix:/tmp/muster-test-%d.sock"), NULL);
    serve_one(unique("shm:muster-test-%d"), NULL);
    serve_one("shm:", NULL);
    serve_one("tcp:127.0.0.1:0", NULL);
    serve_one("tcp:localhost:0", NULL);
}

static void names_in_use_are_refused(void **state)
{
    struct mu_chan *a;
    struct mu_chan *b;

    (void)state;
    assert_int_equal(
        mu_chan_open(unique("unix:/tmp/muster-test-%d.sock"), NULL, &a, NULL),
        0);
    assert_int_equal(mu_chan_open(address, NULL, &b, NULL), -EADDRINUSE);
    mu_chan_free(a);
    assert_int_equal(mu_chan_connect(address, NULL, MU_NOW, &b, NULL), -ENOENT);
    assert_int_equal(mu_chan_open(unique("shm:muster-test-%d"), NULL, &a, NULL),
                     0);
    assert_int_equal(mu_chan_open(address, NULL, &b, NULL), -EADDRINUSE);
    mu_chan_free(a);
    assert_int_equal(mu_chan_connect(address, NULL, MU_NOW, &b, NULL),
                     -ECONNREFUSED);
    assert_int_equal(mu_chan_open("mem:x", NULL, &a, NULL), 0);
    assert_int_equal(mu_chan_open("mem:x", NULL, &b, NULL), -EADDRINUSE);
    mu_chan_free(a);
    assert_int_equal(mu_chan_connect("mem:x", NULL, MU_NOW, &b, NULL), -ENOENT);
}

static void die_listening(void *arg)
{
    struct mu_chan *c;

    CHECK_CHILD(mu_chan_open(arg, NULL, &c, NULL) == 0);
    (void)raise(SIGKILL);
}

static void path_of_a_dead_listener_is_taken_over(void **state)
{
    (void)state;
    (void)unique("unix:/tmp/muster-test-%d.sock");
    assert_true(WIFSIGNALED(test_wait(test_fork(die_listening, address))));
    serve_one(address, NULL);
}

static void peers_not_allowed_are_turned_away(void **state)
{
    static const char *const names[] = {"unix:/tmp/muster-test-%d.sock",
                                        "shm:muster-test-%d"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct mu_chan_options deny = {.allow = no_peer};
        struct mu_chan *listener;
        struct mu_chan *c;

        assert_int_equal(mu_chan_open(unique(names[i]), NULL, &listener, NULL),
                         0);
        assert_int_equal(
            mu_chan_connect(address, &deny, test_deadline(), &c, NULL),
            -EACCES);
        mu_chan_free(listener);
    }
    {
        struct mu_chan_options deny = {.allow = no_peer};
        struct mu_chan *listener;
        struct mu_chan *c;
        struct mu_chan *d;

        assert_int_equal(mu_chan_open(unique("unix:/tmp/muster-test-%d.sock"),
                                      &deny, &listener, NULL),
                         0);
        assert_int_equal(
            mu_chan_connect(address, NULL, test_deadline(), &c, NULL), 0);
        assert_int_equal(mu_chan_accept(listener, test_deadline(), &d, NULL),
                         -EACCES);
        mu_chan_free(c);
        mu_chan_free(listener);
    }
}

static int every_peer(void *ctx, int pid, unsigned uid, unsigned gid)
{
    (void)ctx;
    (void)pid;
    (void)uid;
    (void)gid;
    return 1;
}

static void connect_as_nobody(void *arg)
{
    struct mu_chan_options options = {.allow = every_peer};
    struct mu_chan *c;

    CHECK_CHILD(setresuid(65534, 65534, 65534) == 0);
    /* turned away before the memory is handed over, or just after connecting */
    if (mu_chan_connect(arg, &options, test_deadline(), &c, NULL) == 0)
        mu_chan_free(c);
}

/* The default rule: who runs as our effective user. Only root can be another. */
static void other_users_are_turned_away(void **state)
{
    struct mu_chan *listener;
    struct mu_chan *c;
    pid_t pid;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(
        mu_chan_open(unique("shm:muster-test-%d"), NULL, &listener, NULL), 0);
    pid = test_fork(connect_as_nobody, address);
    assert_int_equal(mu_chan_accept(listener, test_deadline(), &c, NULL),
                     -EACCES);
    mu_chan_free(listener);
    assert_int_equal(test_wait(pid), 0);
}

static void beyond_loopback_needs_a_secret(void **state)
{
    struct mu_chan *c;
    struct mu_error err;

    (void)state;
    assert_int_equal(mu_chan_open("tcp:0.0.0.0:0", NULL, &c, &err), -EACCES);
    assert_non_null(strstr(err.text, "secret"));
    assert_int_equal(mu_chan_connect("tcp:192.0.2.1:9", NULL, MU_NOW, &c, &err),
                     -EACCES);
    assert_int_equal(mu_chan_open("tcp:127.0.0.1:70000", NULL, &c, &err),
                     -EINVAL);
    assert_int_equal(mu_chan_open("tcp:nonsense", NULL, &c, &err), -EINVAL);
}

static void secret_seals_the_connection(void **state)
{
    struct mu_chan_options options = {.secret = "0123456789abcdef",
                                      .secret_size = 16};
    struct mu_chan *c;

    (void)state;
    if (mu_chan_open("tcp:127.0.0.1:0", &options, &c, NULL) != 0)
        skip();
    mu_chan_free(c);
    serve_one("tcp:127.0.0.1:0", &options);
}

static void *call_and_fail(void *arg)
{
    struct peer *p = arg;
    struct mu_chan *c;

    CHECK_CHILD(mu_chan_connect(p->address, &p->options, test_deadline(), &c,
                                NULL) == -EACCES);
    return NULL;
}

static void another_secret_is_refused(void **state)
{
    struct mu_chan_options options = {.secret = "0123456789abcdef",
                                      .secret_size = 16};
    struct peer p = {
        .options = {.secret = "0123456789abcdeF", .secret_size = 16}};
    struct mu_chan *listener;
    struct mu_chan *c;
    pthread_t thread;

    (void)state;
    assert_int_equal(mu_chan_open("tcp:127.0.0.1:0", &options, &listener, NULL),
                     0);
    p.address = mu_chan_address(listener);
    assert_int_equal(pthread_create(&thread, NULL, call_and_fail, &p), 0);
    assert_int_equal(mu_chan_accept(listener, test_deadline(), &c, NULL),
                     -EACCES);
    assert_int_equal(pthread_join(thread, NULL), 0);
    mu_chan_free(listener);
}

static struct mu_chan *open_or_fail(const char *name,
                                    const struct mu_chan_options *options)
{
    struct mu_error err = {.text = ""};
    struct mu_chan *c;

    if (mu_chan_open(name, options, &c, &err) != 0)
        fail_msg("%s", err.text);
    return c;
}

static void connect_times_out(const char *name,
                              const struct mu_chan_options *options)
{
    struct mu_error err = {.text = ""};
    struct mu_chan *c;

    assert_int_equal(mu_chan_connect(name, options, MU_NOW, &c, &err),
                     MU_TIMEOUT);
    assert_int_equal(err.code, MU_TIMEOUT);
    assert_int_equal(
        mu_chan_connect(name, options, mu_after_ns(1000000), &c, &err),
        MU_TIMEOUT);
    assert_non_null(strstr(err.text, name));
}

static void connecting_keeps_the_deadline(void **state)
{
    struct mu_chan_options options = {.secret = "0123456789abcdef",
                                      .secret_size = 16};
    struct mu_chan *listener = open_or_fail("shm:", NULL);
    struct mu_chan *c;

    (void)state;
    for (int i = 0; i < 100; i++) /* the queue gets full on the way */
        connect_times_out(mu_chan_address(listener), NULL);
    assert_int_equal(mu_chan_close(listener), 0);
    assert_int_equal(mu_chan_accept(listener, MU_NOW, &c, NULL), MU_CLOSED);
    mu_chan_free(listener);
    if (mu_chan_open("tcp:127.0.0.1:0", &options, &listener, NULL) == 0) {
        connect_times_out(mu_chan_address(listener), &options);
        mu_chan_free(listener);
    }
}

static void connect_and_hold(void *arg)
{
    struct mu_chan *c;

    CHECK_CHILD(mu_chan_connect(arg, NULL, MU_NEVER, &c, NULL) == 0);
    mu_chan_free(c);
}

/* Who connects while the listener's queue is full waits for room in it. */
static void full_queue_is_waited_for(void **state)
{
    struct mu_chan *listener =
        open_or_fail(unique("unix:/tmp/muster-test-%d.sock"), NULL);
    struct mu_chan *queued[300];
    struct mu_chan *c;
    int n = 0;
    pid_t pid;
    int rc;

    (void)state;
    do
        rc = mu_chan_connect(address, NULL, MU_NOW, &queued[n], NULL);
    while (rc == 0 && ++n < 300);
    assert_int_equal(rc, MU_TIMEOUT);
    connect_times_out(address, NULL);
    pid = test_fork(connect_and_hold, address);
    for (int i = 0; i <= n; i++) {
        assert_int_equal(mu_chan_accept(listener, test_deadline(), &c, NULL),
                         0);
        mu_chan_free(c);
    }
    assert_int_equal(test_wait(pid), 0);
    while (n > 0)
        mu_chan_free(queued[--n]);
    mu_chan_free(listener);
}

/* Who connects and says nothing does not hold up who accepts. */
static void silent_peer_keeps_nobody(void **state)
{
    struct mu_chan_options options = {.secret = "0123456789abcdef",
                                      .secret_size = 16};
    struct peer p = {.options = options};
    struct sockaddr_in at = {.sin_family = AF_INET};
    struct mu_chan *listener;
    struct mu_chan *c;
    int sock;

    (void)state;
    if (mu_chan_open("tcp:127.0.0.1:0", &options, &listener, NULL) != 0)
        skip();
    p.address = mu_chan_address(listener);
    at.sin_port = htons((uint16_t)atoi(strrchr(p.address, ':') + 1));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(sock, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(mu_chan_accept(listener, mu_after_ns(1000000), &c, NULL),
                     MU_TIMEOUT);
    assert_int_equal(close(sock), 0);
    mu_chan_free(listener);
}

/* ---- many senders ----------------------------------------------------------- */

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
    CHECK_CHILD(mu_chan_connect(arg, NULL, MU_NEVER, &c, NULL) == 0);
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
    assert_int_equal(kill(pid, SIGKILL), 0);
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

static void fifo_takes_one_sender(void **state)
{
    struct mu_chan *c;
    struct mu_chan *a;
    struct mu_chan *b;
    char byte;
    size_t size;

    (void)state;
    (void)unique("fifo:/tmp/muster-test-%d.fifo");
    assert_int_equal(mu_chan_connect(address, NULL, MU_NOW, &a, NULL), -ENOENT);
    assert_int_equal(mu_chan_open(address, NULL, &c, NULL), 0);
    assert_int_equal(mu_chan_recv(c, &byte, 1, MU_NOW, &size), MU_TIMEOUT);
    assert_int_equal(mu_chan_connect(address, NULL, MU_NOW, &a, NULL), 0);
    assert_int_equal(mu_chan_connect(address, NULL, MU_NOW, &b, NULL), -EBUSY);
    assert_int_equal(mu_chan_send(c, "x", 1, MU_NOW), -EOPNOTSUPP);
    assert_int_equal(mu_chan_send(a, "x", 1, MU_NOW), 0);
    assert_int_equal(mu_chan_recv(a, &byte, 1, MU_NOW, &size), -EOPNOTSUPP);
    assert_int_equal(mu_chan_recv(c, &byte, 1, test_deadline(), &size), 0);
    mu_chan_free(a);
    mu_chan_free(c);
    (void)unlink(address + strlen("fifo:"));
}

/* Whom nobody would hear is refused, not taken and lost: until it is opened anew. */
static void fifo_ends_with_its_sender(void **state)
{
    (void)state;
    (void)unique("fifo:/tmp/muster-test-%d.fifo");
    for (int says_goodbye = 1; says_goodbye >= 0; says_goodbye--) {
        int expected = says_goodbye ? MU_CLOSED : MU_ECRASHED;
        struct pollfd p = {.events = POLLIN};
        struct mu_chan *c;
        struct mu_chan *a;
        struct mu_chan *early;
        char byte;
        size_t size;

        assert_int_equal(mu_chan_open(address, NULL, &c, NULL), 0);
        p.fd = mu_chan_fd(c);
        assert_int_equal(mu_chan_connect(address, NULL, MU_NOW, &a, NULL), 0);
        assert_int_equal(mu_chan_send(a, "x", 1, MU_NOW), 0);
        assert_int_equal(mu_chan_recv(c, &byte, 1, test_deadline(), &size), 0);
        if (says_goodbye)
            assert_int_equal(mu_chan_close(a), 0);
        mu_chan_free(a);
        assert_int_equal(mu_chan_connect(address, NULL, MU_NOW, &early, NULL),
                         -ECONNREFUSED);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(mu_chan_recv(c, &byte, 1, MU_NOW, &size),
                             expected);
            assert_int_equal(poll(&p, 1, 0), 1);
        }
        mu_chan_free(c);
    }
    (void)unlink(address + strlen("fifo:"));
}

/* The receiver's end of a pipe that has no way back. */
static void fifo_tells_a_goodbye_from_a_death(void **state)
{
    (void)state;
    (void)unique("fifo:/tmp/muster-test-%d.fifo");
    for (int says_goodbye = 1; says_goodbye >= 0; says_goodbye--) {
        int expected = says_goodbye ? MU_CLOSED : MU_ECRASHED;
        struct mu_chan_bytes one = {.data = "x", .size = 1};
        struct mu_chan *c;
        struct mu_chan *a;
        size_t n;

        assert_int_equal(mu_chan_open(address, NULL, &c, NULL), 0);
        assert_int_equal(mu_chan_connect(address, NULL, MU_NOW, &a, NULL), 0);
        assert_int_equal(mu_chan_send(a, "x", 1, MU_NOW), 0);
        if (says_goodbye)
            assert_int_equal(mu_chan_close(c), 0);
        mu_chan_free(c);
        assert_int_equal(mu_chan_send_batch(a, &one, 1, MU_NOW, &n), expected);
        assert_int_equal(mu_chan_send(a, "x", 1, MU_NOW), expected);
        assert_int_equal(mu_chan_drain(a, MU_NOW), expected);
        mu_chan_free(a);
    }
    (void)unlink(address + strlen("fifo:"));
}

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

/* Wait until our parent sleeps in that call, as far as the system tells. */
static void parent_await_call(long number)
{
    char path[64];
    char text[64];

    (void)snprintf(path, sizeof path, "/proc/%d/syscall", (int)getppid());
    for (;;) {
        FILE *f = fopen(path, "re");

        if (!f || !fgets(text, sizeof text, f) ||
            (text[0] != 'r' && atol(text) == number)) {
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
    parent_await_call(SYS_ppoll);
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

static void queue_outlives_its_users(void **state)
{
    struct mu_chan *c;
    char byte;
    size_t size;

    (void)state;
    (void)unique("mq:/muster-test-%d");
    assert_int_equal(mu_chan_open(address, NULL, &c, NULL), 0);
    mu_chan_free(c);
    assert_int_equal(mu_chan_connect(address, NULL, MU_NOW, &c, NULL), 0);
    assert_int_equal(mu_chan_send(c, "x", 1, MU_NOW), 0);
    mu_chan_free(c);
    assert_int_equal(mu_chan_open(address, NULL, &c, NULL), 0);
    assert_int_equal(mu_chan_recv(c, &byte, 1, test_deadline(), &size), 0);
    assert_int_equal(byte, 'x');
    mu_chan_free(c);
    assert_int_equal(mq_unlink(address + strlen("mq:")), 0);
}

/* ---- wrappers --------------------------------------------------------------- */

static void count_calls(void *ctx, const char *call, size_t size, int status)
{
    int *n = ctx;

    (void)call;
    (void)size;
    (void)status;
    (*n)++;
}

static void wrappers_tell_lose_and_delay(void **state)
{
    struct mu_chan *ends[2];
    struct mu_chan *c;
    int64_t from = mu_now_ns();
    int n_calls = 0;
    int n_lost = 0;
    void *room;
    char byte;
    size_t size;

    (void)state;
    assert_int_equal(mu_chan_pair("mem:", NULL, ends, NULL), 0);
    assert_int_equal(mu_chan_wrap("odd", ends[0], NULL, NULL, &c, NULL),
                     -EINVAL);
    assert_int_equal(
        mu_chan_wrap("trace", ends[0], count_calls, &n_calls, &c, NULL), 0);
    ends[0] = c;
    assert_int_equal(mu_chan_wrap("slow:1000", ends[0], NULL, NULL, &c, NULL),
                     0);
    ends[0] = c;
    assert_int_equal(mu_chan_wrap("lossy:4:7", ends[0], NULL, NULL, &c, NULL),
                     0);
    ends[0] = c;
    for (int i = 0; i < 400; i++) {
        assert_int_equal(mu_chan_send(ends[0], "x", 1, test_deadline()), 0);
        n_lost += mu_chan_recv(ends[1], &byte, 1, MU_NOW, &size) == MU_TIMEOUT;
    }
    assert_in_range(n_lost, 50, 200);
    assert_true(mu_now_ns() - from >= 1000 * (400 - n_lost));
    assert_int_equal(mu_chan_reserve(ends[0], 1, MU_NOW, &room), -EOPNOTSUPP);
    assert_int_equal(n_calls, 400 - n_lost);
    assert_int_equal(mu_chan_close(ends[0]), 0);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, MU_NOW, &size), MU_CLOSED);
    mu_chan_free(ends[0]);
    mu_chan_free(ends[1]);
}

/* How late it was. */
static int64_t since(int64_t *from)
{
    int64_t before = *from;

    *from = mu_now_ns();
    return *from - before;
}

static void each_call_of_a_slow_channel_is_late(void **state)
{
    enum { LATE_NS = 100000 };
    struct mu_chan *ends[2];
    struct mu_chan *c;
    int64_t from;
    void *room;
    char byte;
    size_t size;

    (void)state;
    assert_int_equal(mu_chan_pair("mem:", NULL, ends, NULL), 0);
    assert_int_equal(mu_chan_wrap("slow:100000", ends[0], NULL, NULL, &c, NULL),
                     0);
    from = mu_now_ns();
    assert_int_equal(mu_chan_reserve(c, 1, MU_NOW, &room), 0);
    assert_true(since(&from) >= LATE_NS);
    assert_int_equal(mu_chan_commit(c, 1), 0);
    assert_true(since(&from) >= LATE_NS);
    assert_int_equal(mu_chan_recv(ends[1], &byte, 1, MU_NOW, &size), 0);
    from = mu_now_ns();
    assert_int_equal(mu_chan_drain(c, MU_NOW), 0);
    assert_true(since(&from) >= LATE_NS);
    assert_int_equal(mu_chan_recv(c, &byte, 1, MU_NOW, &size), MU_TIMEOUT);
    assert_true(since(&from) >= LATE_NS);
    assert_int_equal(mu_chan_close(c), 0);
    assert_true(since(&from) >= LATE_NS);
    mu_chan_free(c);
    mu_chan_free(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_made),
        cmocka_unit_test(names_in_use_are_refused),
        cmocka_unit_test(path_of_a_dead_listener_is_taken_over),
        cmocka_unit_test(peers_not_allowed_are_turned_away),
        cmocka_unit_test(other_users_are_turned_away),
        cmocka_unit_test(beyond_loopback_needs_a_secret),
        cmocka_unit_test(secret_seals_the_connection),
        cmocka_unit_test(another_secret_is_refused),
        cmocka_unit_test(connecting_keeps_the_deadline),
        cmocka_unit_test(full_queue_is_waited_for),
        cmocka_unit_test(silent_peer_keeps_nobody),
        cmocka_unit_test(ring_receives_from_many_processes),
        cmocka_unit_test(full_hub_keeps_the_deadline),
        cmocka_unit_test(memory_takes_many_senders_and_receivers),
        cmocka_unit_test(fifo_takes_one_sender),
        cmocka_unit_test(fifo_ends_with_its_sender),
        cmocka_unit_test(fifo_tells_a_goodbye_from_a_death),
        cmocka_unit_test(waiting_for_ever_ends_with_the_peer),
        cmocka_unit_test(queue_that_waits_for_long_sees_the_end),
        cmocka_unit_test(queue_outlives_its_users),
        cmocka_unit_test(wrappers_tell_lose_and_delay),
        cmocka_unit_test(each_call_of_a_slow_channel_is_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
