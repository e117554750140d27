/* test_listeners.c: who listens: what its path may be and whose it is, what closing it does,
 * and whom it takes in when something lacks or a caller dies. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "muster/channel.h"

#include "open.h"
#include "support/check.h"

/* ---- paths and secrets ------------------------------------------------------ */

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

/* What comes to a listener comes to its connections: it gives neither message nor batch. */
static void listener_receives_nothing(void **state)
{
    static const char *const names[] = {"unix:/tmp/muster-ends-%d.sock",
                                        "tcp:127.0.0.1:0"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct mu_chan_message m;
        struct mu_chan *listener;
        struct mu_chan *c;
        char name[64];
        size_t size;
        size_t n;

        (void)snprintf(name, sizeof name, names[i], (int)getpid());
        listener = open_or_fail(name, NULL);
        c = connect_or_fail(mu_chan_address(listener), NULL);
        assert_int_equal(mu_chan_send(c, "x", 1, test_deadline()), 0);
        assert_int_equal(recv_now(listener), -EOPNOTSUPP);
        assert_int_equal(mu_chan_borrow(listener, MU_NOW, &m), -EOPNOTSUPP);
        assert_int_equal(mu_chan_recv_batch(listener, bytes, sizeof bytes, 1,
                                            MU_NOW, &size, &n),
                         -EOPNOTSUPP);
        assert_int_equal(n, 0);
        assert_int_equal(mu_chan_send(listener, "x", 1, MU_NOW), -EOPNOTSUPP);
        mu_chan_free(c);
        mu_chan_free(listener);
    }
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

/* ---- ends ------------------------------------------------------------------- */

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

struct closer {
    struct mu_chan *listener;
    int told[2];
};

static void *call_and_send(void *arg)
{
    struct caller *a = arg;

    (void)call(arg);
    CHECK_CHILD(a->rc == 0 &&
                mu_chan_send(a->chan, "x", 1, test_deadline()) == 0);
    return NULL;
}

/* As the one above, when it is told to. */
static void close_it_when_told(void *arg)
{
    struct closer *closer = arg;
    char byte;

    CHECK_CHILD(read(closer->told[0], &byte, 1) == 1);
    CHECK_CHILD(mu_chan_close(closer->listener) == 0);
}

/* Who receives from all gets what was sent, and is told each time; and so are its senders,
 * also those that the other process did not know. */
static void hub_closed_elsewhere_is_closed(void **state)
{
    (void)state;
    for (int is_watched = 0; is_watched < 2; is_watched++) {
        struct closer closer = {.listener = open_or_fail("shm:", NULL)};
        struct mu_chan *hub = closer.listener;
        struct caller a = {.address = mu_chan_address(hub)};
        struct pollfd p = {.fd = -1, .events = POLLIN};
        struct mu_chan *c;
        pthread_t thread;
        pid_t pid;

        if (is_watched)
            p.fd = mu_chan_fd(hub);
        assert_int_equal(pipe(closer.told), 0);
        pid = test_fork(close_it_when_told, &closer);
        assert_int_equal(pthread_create(&thread, NULL, call_and_send, &a), 0);
        assert_int_equal(recv_some_time(hub), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(recv_now(hub), MU_TIMEOUT);
        assert_int_equal(poll(&p, 1, 0), 0);
        assert_int_equal(mu_chan_send(a.chan, "x", 1, MU_NOW), 0);
        assert_int_equal(write(closer.told[1], "x", 1), 1);
        assert_int_equal(test_wait(pid), 0);
        assert_int_equal(recv_now(hub), 0);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(poll(&p, 1, 0), is_watched);
            assert_int_equal(recv_now(hub), MU_CLOSED);
        }
        assert_int_equal(recv_some_time(hub), MU_CLOSED);
        assert_int_equal(mu_chan_accept(hub, MU_NEVER, &c, NULL), MU_CLOSED);
        assert_int_equal(mu_chan_send(a.chan, "x", 1, MU_NOW), MU_CLOSED);
        assert_int_equal(recv_now(a.chan), MU_CLOSED);
        (void)close(closer.told[0]);
        (void)close(closer.told[1]);
        mu_chan_free(a.chan);
        mu_chan_free(hub);
    }
}

static void send_one(void *arg)
{
    struct mu_chan *c = connect_or_fail(arg, NULL);

    CHECK_CHILD(mu_chan_send(c, "x", 1, test_deadline()) == 0);
    CHECK_CHILD(mu_chan_close(c) == 0);
    mu_chan_free(c);
}

static void connect_and_stay(void *arg)
{
    (void)connect_or_fail(arg, NULL);
    for (;;)
        (void)pause();
}

/* Who dies while it connects does not keep the next from being taken. Where it is taken
 * itself, for the kernel had connected it, the first receive tells. */
static void caller_that_died_is_passed_over(void **state)
{
    (void)state;
    for (int i = 0; i < N_LISTENERS; i++) {
        struct mu_chan *listener;
        struct mu_chan *c;
        struct pollfd p = {.events = POLLIN};
        char name[64];
        pid_t pid;

        (void)snprintf(name, sizeof name, listeners[i], (int)getpid());
        listener = open_or_fail(name, NULL);
        p.fd = mu_chan_fd(listener);
        pid = test_fork(connect_and_stay,
                        (void *)(uintptr_t)mu_chan_address(listener));
        assert_int_equal(poll(&p, 1, 30000), 1);
        (void)test_kill(pid, SIGKILL);
        (void)test_wait(pid);
        pid = test_fork(send_one, (void *)(uintptr_t)mu_chan_address(listener));
        assert_int_equal(mu_chan_accept(listener, test_deadline(), &c, NULL),
                         0);
        if (i > 0) {
            assert_int_equal(recv_some_time(c), MU_ECRASHED);
            mu_chan_free(c);
            assert_int_equal(
                mu_chan_accept(listener, test_deadline(), &c, NULL), 0);
        }
        assert_int_equal(recv_some_time(c), 0);
        assert_int_equal(recv_some_time(c), MU_CLOSED);
        assert_int_equal(test_wait(pid), 0);
        mu_chan_free(c);
        mu_chan_free(listener);
    }
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

static void accept_until_one_speaks(void *arg)
{
    int rc;

    do {
        struct mu_chan *c;

        CHECK_CHILD(mu_chan_accept(arg, test_deadline(), &c, NULL) == 0);
        rc = recv_some_time(c);
        CHECK_CHILD(rc == 0 || rc == MU_ECRASHED);
        mu_chan_free(c);
    } while (rc != 0);
}

/* Nor is it nonsense of the other side, when who connects has no descriptor for what it is
 * sent. */
static void who_connects_without_descriptors_is_told(void **state)
{
    struct mu_chan *listener = open_or_fail("shm:", NULL);
    const char *address = mu_chan_address(listener);
    pid_t pid = test_fork(accept_until_one_speaks, listener);
    int next = descriptor_next();
    struct mu_chan *c;

    (void)state;
    for (rlim_t n_free = 0; n_free < 3; n_free++) {
        struct rlimit before;
        struct rlimit none;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = before;
        none.rlim_cur = (rlim_t)next + n_free;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        assert_int_equal(
            mu_chan_connect(address, NULL, test_deadline(), &c, NULL), -EMFILE);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(descriptor_next(), next);
    }
    c = connect_or_fail(address, NULL);
    assert_int_equal(mu_chan_send(c, "x", 1, test_deadline()), 0);
    assert_int_equal(test_wait(pid), 0);
    mu_chan_free(c);
    mu_chan_free(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(child_leaves_the_path),
        cmocka_unit_test(path_taken_over_is_left),
        cmocka_unit_test(impossible_paths_are_refused),
        cmocka_unit_test(long_packet_is_no_message),
        cmocka_unit_test(listener_receives_nothing),
        cmocka_unit_test(short_secret_is_refused),
        cmocka_unit_test(closed_listener_refuses),
        cmocka_unit_test(listener_closed_elsewhere_is_closed),
        cmocka_unit_test(hub_closed_elsewhere_is_closed),
        cmocka_unit_test(caller_that_died_is_passed_over),
        cmocka_unit_test(hub_without_descriptors_sleeps),
        cmocka_unit_test(who_cannot_be_accepted_waits),
        cmocka_unit_test(who_connects_without_descriptors_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
