/* test_arrivals.c: who connects over TCP proves the secret beside all others: one that
 * says nothing, or not all, costs nobody else anything. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "channel/tcp_arrivals.h"
#include "support/check.h"

static const char secret[] = "0123456789abcdef";

/* What each side says: its key; when it has the other's, its proof. */
enum { KEY = 32, PROOF = 24 + 16 + 17 };

struct house {
    int listen_sock;
    struct sockaddr_in at;
    struct mui_arrivals *arrivals;
};

static void house_open(struct house *h, int64_t proof_ns, int64_t grace_ns)
{
    struct mui_arrivals_terms terms = {.secret = secret,
                                       .secret_size = strlen(secret),
                                       .proof_ns = proof_ns,
                                       .grace_ns = grace_ns};
    socklen_t size = sizeof h->at;

    *h = (struct house){.at = {.sin_family = AF_INET}};
    h->at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    h->listen_sock =
        socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(h->listen_sock >= 0);
    assert_int_equal(bind(h->listen_sock, (struct sockaddr *)&h->at, size), 0);
    assert_int_equal(listen(h->listen_sock, 2 * MUI_ARRIVALS_MAX), 0);
    assert_int_equal(
        getsockname(h->listen_sock, (struct sockaddr *)&h->at, &size), 0);
    terms.listen_sock = h->listen_sock;
    assert_int_equal(mui_arrivals_new(&terms, &h->arrivals), 0);
}

static void house_close(struct house *h)
{
    mui_arrivals_free(h->arrivals);
    (void)close(h->listen_sock);
}

static int come(const struct house *h)
{
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(sock >= 0);
    assert_int_equal(
        connect(sock, (const struct sockaddr *)&h->at, sizeof h->at), 0);
    return sock;
}

/* Come and say nothing, or a byte of what is to be said. */
static void come_silently(const struct house *h, int *ret_socks, int n)
{
    for (int i = 0; i < n; i++) {
        ret_socks[i] = come(h);
        if (i % 2)
            assert_int_equal(send(ret_socks[i], "x", 1, 0), 1);
    }
}

static void leave(const int *socks, int n)
{
    for (int i = 0; i < n; i++)
        (void)close(socks[i]);
}

/* One who has the secret, in a thread. */
struct honest {
    pthread_t thread;
    int sock;
    int rc;
};

static void *prove(void *arg)
{
    struct honest *peer = arg;
    struct mui_secret *proven = NULL;

    peer->rc = mui_secret_open(peer->sock, false, secret, strlen(secret),
                               test_deadline(), &proven);
    mui_secret_free(proven);
    return NULL;
}

static void honest_come(const struct house *h, struct honest *peer)
{
    peer->sock = come(h);
    assert_int_equal(pthread_create(&peer->thread, NULL, prove, peer), 0);
}

static void honest_leave(struct honest *peer)
{
    assert_int_equal(pthread_join(peer->thread, NULL), 0);
    assert_int_equal(peer->rc, 0);
    (void)close(peer->sock);
}

static int take(struct house *h, int64_t deadline)
{
    struct mui_secret *proven = NULL;
    int sock = -1;
    int rc = mui_arrivals_take(h->arrivals, deadline, &sock, &proven);

    if (rc == 0)
        (void)close(sock);
    mui_secret_free(proven);
    return rc;
}

/* Whether the listener has said that much. */
static bool has_said(int sock, ssize_t size)
{
    char bytes[KEY + PROOF];

    return recv(sock, bytes, (size_t)size, MSG_PEEK | MSG_DONTWAIT) == size;
}

/* Whether it has let it in: then it says its key. */
static bool is_let_in(int sock)
{
    return has_said(sock, KEY);
}

/* Whether it has hung up, or does so in that time. */
static bool is_hung_up_on(int sock, int timeout_ms)
{
    char bytes[2 * KEY];
    struct pollfd p = {.fd = sock, .events = POLLRDHUP};

    (void)recv(sock, bytes, sizeof bytes, MSG_DONTWAIT);
    return poll(&p, 1, timeout_ms) == 1;
}

static void silent_and_slow_cost_nobody_anything(void **state)
{
    enum { N = 20 };
    struct honest peer;
    struct house h;
    int socks[N];

    (void)state;
    house_open(&h, INT64_MAX, INT64_MAX);
    come_silently(&h, socks, N);
    honest_come(&h, &peer);
    assert_int_equal(take(&h, test_deadline()), 0);
    honest_leave(&peer);
    for (int i = 0; i < N; i++)
        assert_false(is_hung_up_on(socks[i], 0));
    leave(socks, N);
    house_close(&h);
}

static void each_has_its_time(void **state)
{
    struct house h;
    int sock;

    (void)state;
    house_open(&h, 1, 1);
    come_silently(&h, &sock, 1);
    assert_int_equal(take(&h, test_deadline()), -EACCES);
    assert_true(is_hung_up_on(sock, 30000));
    leave(&sock, 1);
    house_close(&h);
}

static void others_wait_for_a_place(void **state)
{
    enum { N = MUI_ARRIVALS_MAX + 1 };
    struct house h;
    int socks[N];

    (void)state;
    house_open(&h, INT64_MAX, INT64_MAX);
    come_silently(&h, socks, N);
    for (int i = 0; i < MUI_ARRIVALS_MAX; i++)
        while (!is_let_in(socks[i]))
            assert_int_equal(take(&h, MU_NOW), MU_TIMEOUT);
    for (int i = 0; i < 10; i++)
        assert_int_equal(take(&h, MU_NOW), MU_TIMEOUT);
    assert_false(is_let_in(socks[N - 1]));
    /* one goes: there is a place */
    (void)close(socks[0]);
    assert_int_equal(take(&h, test_deadline()), -EACCES);
    while (!is_let_in(socks[N - 1]))
        assert_int_equal(take(&h, MU_NOW), MU_TIMEOUT);
    leave(socks + 1, N - 1);
    house_close(&h);
}

static void full_house_lets_an_honest_one_in(void **state)
{
    struct honest peer;
    struct house h;
    int socks[MUI_ARRIVALS_MAX];
    int rc;

    (void)state;
    house_open(&h, INT64_MAX, 1);
    come_silently(&h, socks, MUI_ARRIVALS_MAX);
    honest_come(&h, &peer);
    do
        rc = take(&h, test_deadline());
    while (rc == -EACCES);
    assert_int_equal(rc, 0);
    honest_leave(&peer);
    assert_true(is_hung_up_on(socks[0], 30000));
    assert_false(is_hung_up_on(socks[MUI_ARRIVALS_MAX - 1], 0));
    leave(socks, MUI_ARRIVALS_MAX);
    house_close(&h);
}

static void poll_tells_of_each_step(void **state)
{
    struct pollfd p = {.events = POLLIN};
    struct honest peer;
    struct house h;
    int rc;

    (void)state;
    house_open(&h, INT64_MAX, INT64_MAX);
    honest_come(&h, &peer);
    do {
        p.fd = mui_arrivals_fd(h.arrivals);
        assert_int_equal(poll(&p, 1, 30000), 1);
        rc = take(&h, MU_NOW);
    } while (rc == MU_TIMEOUT);
    assert_int_equal(rc, 0);
    honest_leave(&peer);
    house_close(&h);
}

static void who_comes_after_fork_is_the_childs(void *arg)
{
    struct house *h = arg;

    CHECK_CHILD(take(h, MU_NOW) == MU_TIMEOUT);
}

/* The last step of a proof is there to be made: by the process that began it. */
static void child_takes_none_of_its_parents(void **state)
{
    struct mui_secret *proven = NULL;
    struct mui_proof *proof;
    struct house h;
    int sock;

    (void)state;
    house_open(&h, INT64_MAX, INT64_MAX);
    sock = come(&h);
    assert_int_equal(mui_proof_new(false, secret, strlen(secret), &proof), 0);
    assert_int_equal(mui_proof_step(proof, sock, &proven), MU_EMPTY);
    while (!has_said(sock, KEY + PROOF))
        assert_int_equal(take(&h, MU_NOW), MU_TIMEOUT);
    assert_int_equal(mui_proof_step(proof, sock, &proven), 0);
    assert_int_equal(
        test_wait(test_fork(who_comes_after_fork_is_the_childs, &h)), 0);
    assert_int_equal(take(&h, test_deadline()), 0);
    mui_secret_free(proven);
    mui_proof_free(proof);
    (void)close(sock);
    house_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_and_slow_cost_nobody_anything),
        cmocka_unit_test(each_has_its_time),
        cmocka_unit_test(others_wait_for_a_place),
        cmocka_unit_test(full_house_lets_an_honest_one_in),
        cmocka_unit_test(poll_tells_of_each_step),
        cmocka_unit_test(child_takes_none_of_its_parents),
    };
    struct mui_proof *proof;

    if (mui_proof_new(false, secret, strlen(secret), &proof) == MU_EMODEL) {
        print_message("skipped: built without libsodium\n");
        return 0;
    }
    mui_proof_free(proof);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
