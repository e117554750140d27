/* test_names.c: channels with names: opening, connecting, accepting, who is allowed,
 * the secret, and how those end whose peers come and go. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "muster/channel.h"

#include "open.h"
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
};

static int no_peer(void *ctx, int pid, unsigned uid, unsigned gid)
{
    (void)ctx;
    (void)gid;
    CHECK_CHILD(pid > 0 && uid == geteuid());
    return 0;
}

/* Connect, send one, take the answer. */
static void *ask(void *arg)
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
    listener = open_or_fail(name, options);
    assert_int_equal(mu_chan_accept(listener, MU_NOW, &c, NULL), MU_TIMEOUT);
    p.address = mu_chan_address(listener);
    assert_int_equal(pthread_create(&thread, NULL, ask, &p), 0);
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

/* Who opens anew while the sender of a receiver before is there begins with a message, and
 * hears the next sender. */
static void fifo_opened_anew_begins_with_a_message(void **state)
{
    static char large[5000];
    struct mu_chan *c;
    struct mu_chan *a;
    struct mu_chan *b;
    struct stat pipe;
    size_t size;

    (void)state;
    (void)unique("fifo:/tmp/muster-test-%d.fifo");
    assert_int_equal(mu_chan_open(address, NULL, &c, NULL), 0);
    assert_int_equal(chmod(address + strlen("fifo:"), 0640), 0);
    assert_int_equal(mu_chan_connect(address, NULL, MU_NOW, &a, NULL), 0);
    /* until it is full: what is read at once ends in the middle of one */
    while (mu_chan_send(a, large, sizeof large, MU_NOW) == 0)
        ;
    assert_int_equal(
        mu_chan_recv(c, large, sizeof large, test_deadline(), &size), 0);
    mu_chan_free(c);
    assert_int_equal(mu_chan_open(address, NULL, &c, NULL), 0);
    assert_int_equal(mu_chan_recv(c, large, sizeof large, MU_NOW, &size),
                     MU_TIMEOUT);
    assert_int_equal(mu_chan_send(a, "x", 1, MU_NOW), MU_ECRASHED);
    assert_int_equal(mu_chan_connect(address, NULL, MU_NOW, &b, NULL), 0);
    mu_chan_free(a);
    assert_int_equal(mu_chan_send(b, "anew", 4, MU_NOW), 0);
    assert_int_equal(
        mu_chan_recv(c, large, sizeof large, test_deadline(), &size), 0);
    assert_int_equal(size, 4);
    assert_memory_equal(large, "anew", 4);
    assert_int_equal(stat(address + strlen("fifo:"), &pipe), 0);
    assert_int_equal(pipe.st_mode & 0777, 0640);
    mu_chan_free(b);
    mu_chan_free(c);
    (void)unlink(address + strlen("fifo:"));
}

/* Nor is there anything of a sender that has gone, if somebody has kept the pipe. */
static void fifo_opened_anew_has_nothing_left(void **state)
{
    struct mu_chan *c;
    struct mu_chan *a;
    size_t size;
    char byte;
    int kept;

    (void)state;
    (void)unique("fifo:/tmp/muster-test-%d.fifo");
    assert_int_equal(mu_chan_open(address, NULL, &c, NULL), 0);
    assert_int_equal(mu_chan_connect(address, NULL, MU_NOW, &a, NULL), 0);
    kept = open(address + strlen("fifo:"), O_RDONLY | O_CLOEXEC);
    assert_true(kept >= 0);
    assert_int_equal(mu_chan_send(a, "x", 1, MU_NOW), 0);
    mu_chan_free(c);
    mu_chan_free(a);
    assert_int_equal(mu_chan_open(address, NULL, &c, NULL), 0);
    assert_int_equal(mu_chan_recv(c, &byte, 1, MU_NOW, &size), MU_TIMEOUT);
    assert_int_equal(mu_chan_connect(address, NULL, MU_NOW, &a, NULL), 0);
    mu_chan_free(a);
    mu_chan_free(c);
    assert_int_equal(close(kept), 0);
    (void)unlink(address + strlen("fifo:"));
}

static void fifo_takes_one_receiver(void **state)
{
    struct mu_error err;
    struct mu_chan *c;
    struct mu_chan *other;
    int copy; /* as a child by fork() has it */

    (void)state;
    (void)unique("fifo:/tmp/muster-test-%d.fifo");
    for (int says_goodbye = 1; says_goodbye >= 0; says_goodbye--) {
        assert_int_equal(mu_chan_open(address, NULL, &c, NULL), 0);
        assert_int_equal(mu_chan_open(address, NULL, &other, &err),
                         -EADDRINUSE);
        assert_non_null(strstr(err.text, "has a receiver"));
        if (says_goodbye) {
            copy = dup(mu_chan_fd(c));
            assert_true(copy >= 0);
            assert_int_equal(mu_chan_close(c), 0);
            assert_int_equal(mu_chan_open(address, NULL, &other, NULL), 0);
            mu_chan_free(other);
            assert_int_equal(close(copy), 0);
        }
        mu_chan_free(c);
    }
    (void)unlink(address + strlen("fifo:"));
}

/* It is not tried in vain, and the error says what the path is. */
static void fifo_link_to_nothing_is_named(void **state)
{
    struct mu_error err;
    struct mu_chan *c;

    (void)state;
    (void)unique("fifo:/tmp/muster-test-%d.fifo");
    assert_int_equal(symlink("/tmp/muster-none", address + strlen("fifo:")), 0);
    assert_int_equal(mu_chan_open(address, NULL, &c, &err), -ENOENT);
    assert_non_null(strstr(err.text, "link to nothing"));
    assert_int_equal(mu_chan_connect(address, NULL, MU_NOW, &c, NULL), -ENOENT);
    (void)unlink(address + strlen("fifo:"));
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
        cmocka_unit_test(fifo_takes_one_sender),
        cmocka_unit_test(fifo_ends_with_its_sender),
        cmocka_unit_test(fifo_tells_a_goodbye_from_a_death),
        cmocka_unit_test(fifo_opened_anew_begins_with_a_message),
        cmocka_unit_test(fifo_opened_anew_has_nothing_left),
        cmocka_unit_test(fifo_takes_one_receiver),
        cmocka_unit_test(fifo_link_to_nothing_is_named),
        cmocka_unit_test(queue_outlives_its_users),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
