/* test_sealed.c: a channel with a secret, and somebody in between who has none: he can end
 * it, and is not believed. */
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "muster/channel.h"

#include "channel/stream.h"
#include "support/check.h"

static const struct mu_chan_options options = {.secret = "0123456789abcdef",
                                               .secret_size = 16};

/* What each side says before it sends; frames: of no byte, of one, and a goodbye. */
enum { KEY = 32, PROOF = 24 + 16 + 17 };
enum { SEAL = 17, MARK = 16, NONE = 8 + SEAL + 7, ONE = NONE };
enum { BYE = 8 + SEAL + MARK + 7 };

/* Where the header of a frame says its kind, and two that differ in a byte. */
enum { KIND_AT = 4, KIND_DATA = 1, KIND_BYE = 2 };

struct between {
    struct mu_chan *listener;
    struct mu_chan *from;
    struct mu_chan *to;
    char address[64]; /* ours */
    int from_sock;
    int to_sock;
};

static void *call(void *arg)
{
    struct between *b = arg;

    CHECK_CHILD(mu_chan_connect(b->address, &options, test_deadline(), &b->from,
                                NULL) == 0);
    return NULL;
}

static void *take(void *arg)
{
    struct between *b = arg;

    CHECK_CHILD(mu_chan_accept(b->listener, test_deadline(), &b->to, NULL) ==
                0);
    return NULL;
}

static void pass_on(int from, int to, size_t size)
{
    unsigned char bytes[PROOF];

    assert_int_equal(recv(from, bytes, size, MSG_WAITALL), size);
    assert_int_equal(send(to, bytes, size, MSG_NOSIGNAL), size);
}

/* An address that is not the listener's, and both connections through our hands. */
static void between_begin(struct between *b)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int listen_sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pthread_t threads[2];
    socklen_t size = sizeof at;
    const char *port;

    assert_int_equal(
        mu_chan_open("tcp:127.0.0.1:0", &options, &b->listener, NULL), 0);
    assert_int_equal(bind(listen_sock, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(listen_sock, 1), 0);
    assert_int_equal(getsockname(listen_sock, (struct sockaddr *)&at, &size),
                     0);
    (void)snprintf(b->address, sizeof b->address, "tcp:127.0.0.1:%d",
                   ntohs(at.sin_port));
    port = strrchr(mu_chan_address(b->listener), ':') + 1;
    at.sin_port = htons((uint16_t)atoi(port));
    b->to_sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(pthread_create(&threads[0], NULL, call, b), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, take, b), 0);
    assert_int_equal(connect(b->to_sock, (struct sockaddr *)&at, size), 0);
    b->from_sock = accept(listen_sock, NULL, NULL);
    assert_true(b->from_sock >= 0);
    for (int i = 0; i < 2; i++) {
        pass_on(b->from_sock, b->to_sock, i == 0 ? KEY : PROOF);
        pass_on(b->to_sock, b->from_sock, i == 0 ? KEY : PROOF);
    }
    assert_int_equal(pthread_join(threads[0], NULL), 0);
    assert_int_equal(pthread_join(threads[1], NULL), 0);
    (void)close(listen_sock);
}

static void between_end(struct between *b)
{
    mu_chan_free(b->from);
    mu_chan_free(b->to);
    mu_chan_free(b->listener);
    (void)close(b->from_sock);
    (void)close(b->to_sock);
}

/* Hand a frame on, and say that it is of that kind. */
static int frame_pass_on(struct between *b, size_t size, unsigned char kind)
{
    unsigned char bytes[BYE];
    struct mu_chan_message m;

    assert_true(size <= sizeof bytes);
    assert_int_equal(recv(b->from_sock, bytes, size, MSG_WAITALL), size);
    bytes[KIND_AT] = kind;
    assert_int_equal(send(b->to_sock, bytes, size, MSG_NOSIGNAL), size);
    return mu_chan_borrow(b->to, test_deadline(), &m);
}

static void message_passes(struct between *b)
{
    assert_int_equal(mu_chan_send(b->from, "x", 1, test_deadline()), 0);
    assert_int_equal(frame_pass_on(b, ONE, KIND_DATA), 0);
    mu_chan_release(b->to);
}

static void who_only_hands_on_is_not_noticed(void **state)
{
    struct between b;

    (void)state;
    between_begin(&b);
    message_passes(&b);
    assert_int_equal(mu_chan_close(b.from), 0);
    assert_int_equal(frame_pass_on(&b, BYE, KIND_BYE), MU_CLOSED);
    between_end(&b);
}

/* "All was received" is not for him to say. */
static void message_is_not_made_a_goodbye(void **state)
{
    struct between b;

    (void)state;
    between_begin(&b);
    message_passes(&b);
    assert_int_equal(mu_chan_send(b.from, "x", 1, test_deadline()), 0);
    assert_int_equal(frame_pass_on(&b, ONE, KIND_BYE), MU_ECORRUPT);
    between_end(&b);
}

static void goodbye_is_not_made_a_message(void **state)
{
    struct between b;

    (void)state;
    between_begin(&b);
    message_passes(&b);
    assert_int_equal(mu_chan_close(b.from), 0);
    assert_int_equal(frame_pass_on(&b, BYE, KIND_DATA), MU_ECORRUPT);
    between_end(&b);
}

/* Nor is a message without bytes, with the mark of the goodbye behind it; nor, without its
 * mark, the goodbye such a message. */
static void seal_is_of_what_it_was_made_for(void **state)
{
    (void)state;
    for (int has_message = 0; has_message < 2; has_message++) {
        unsigned char none[NONE] = {0};
        unsigned char bye[BYE];
        struct mu_chan_message m;
        struct between b;

        between_begin(&b);
        if (has_message) {
            assert_int_equal(mu_chan_send(b.from, NULL, 0, test_deadline()), 0);
            assert_int_equal(recv(b.from_sock, none, NONE, MSG_WAITALL), NONE);
        }
        assert_int_equal(mu_chan_close(b.from), 0);
        assert_int_equal(recv(b.from_sock, bye, BYE, MSG_WAITALL), BYE);
        if (has_message) {
            memcpy(bye + 8, none + 8, SEAL);
            assert_int_equal(send(b.to_sock, bye, BYE, MSG_NOSIGNAL), BYE);
        } else {
            memcpy(none, bye, 8 + SEAL);
            none[0] = SEAL;
            none[KIND_AT] = KIND_DATA;
            assert_int_equal(send(b.to_sock, none, NONE, MSG_NOSIGNAL), NONE);
        }
        assert_int_equal(mu_chan_borrow(b.to, test_deadline(), &m),
                         MU_ECORRUPT);
        between_end(&b);
    }
}

static void who_cuts_it_off_makes_a_death(void **state)
{
    struct mu_chan_message m;
    struct between b;

    (void)state;
    between_begin(&b);
    message_passes(&b);
    (void)shutdown(b.to_sock, SHUT_WR);
    assert_int_equal(mu_chan_borrow(b.to, test_deadline(), &m), MU_ECRASHED);
    between_end(&b);
}

/* Say that to who only sends, and that there is no more. What it is told. */
static int sender_is_told(struct between *b, const unsigned char *bytes,
                          size_t size)
{
    static const char message[3000];
    int rc;

    assert_int_equal(send(b->from_sock, bytes, size, MSG_NOSIGNAL), size);
    (void)shutdown(b->from_sock, SHUT_WR);
    do
        rc = mu_chan_send(b->from, message, sizeof message, test_deadline());
    while (rc == 0);
    return rc;
}

/* Each byte has to be the peer's but those that only a receiver can open. */
static void goodbye_to_a_sender_is_not_forged(void **state)
{
    static const int i_false[] = {-1, 0, KIND_AT, 8 + SEAL,
                                  8 + SEAL + MARK - 1};

    (void)state;
    for (size_t i = 0; i < sizeof i_false / sizeof i_false[0]; i++) {
        unsigned char bytes[BYE];
        struct between b;

        between_begin(&b);
        assert_int_equal(mu_chan_close(b.to), 0);
        assert_int_equal(recv(b.to_sock, bytes, BYE, MSG_WAITALL), BYE);
        if (i_false[i] >= 0)
            bytes[i_false[i]] ^= 1;
        assert_int_equal(sender_is_told(&b, bytes, BYE),
                         i_false[i] < 0 ? MU_CLOSED : MU_ECRASHED);
        between_end(&b);
    }
}

/* As one without a secret says it; and as one says it that is sealed, and not marked. */
static void goodbye_of_nobody_is_none(void **state)
{
    (void)state;
    for (int size = 0; size <= SEAL; size += SEAL) {
        unsigned char bytes[NONE] = {
            (unsigned char)size, [KIND_AT] = KIND_BYE, [6] = 0x75, [7] = 0x6d};
        struct between b;

        between_begin(&b);
        assert_int_equal(sender_is_told(&b, bytes, size ? sizeof bytes : 8),
                         MU_ECRASHED);
        between_end(&b);
    }
}

enum { LARGE = 16 << 20 };

static void *send_large(void *arg)
{
    struct between *b = arg;
    char *bytes = calloc(1, LARGE);

    CHECK_CHILD(bytes != NULL);
    CHECK_CHILD(mu_chan_connect(b->address, &options, test_deadline(), &b->from,
                                NULL) == 0);
    CHECK_CHILD(mu_chan_send(b->from, bytes, LARGE, test_deadline()) == 0);
    free(bytes);
    return NULL;
}

/* What one large message took to be sealed is given back. */
static void large_message_is_not_paid_for_ever(void **state)
{
    struct mu_chan_message m;
    struct between b;
    pthread_t thread;

    (void)state;
    assert_int_equal(
        mu_chan_open("tcp:127.0.0.1:0", &options, &b.listener, NULL), 0);
    (void)snprintf(b.address, sizeof b.address, "%s",
                   mu_chan_address(b.listener));
    assert_int_equal(pthread_create(&thread, NULL, send_large, &b), 0);
    (void)take(&b);
    assert_int_equal(mu_chan_borrow(b.to, test_deadline(), &m), 0);
    assert_int_equal(m.size, LARGE);
    mu_chan_release(b.to);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(mui_stream_of(b.from)->sealed.capacity < LARGE);
    mu_chan_free(b.from);
    mu_chan_free(b.to);
    mu_chan_free(b.listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_only_hands_on_is_not_noticed),
        cmocka_unit_test(message_is_not_made_a_goodbye),
        cmocka_unit_test(goodbye_is_not_made_a_message),
        cmocka_unit_test(seal_is_of_what_it_was_made_for),
        cmocka_unit_test(who_cuts_it_off_makes_a_death),
        cmocka_unit_test(goodbye_to_a_sender_is_not_forged),
        cmocka_unit_test(goodbye_of_nobody_is_none),
        cmocka_unit_test(large_message_is_not_paid_for_ever),
    };
    struct mu_chan *c;

    if (mu_chan_open("tcp:127.0.0.1:0", &options, &c, NULL) == MU_EMODEL) {
        print_message("skipped: built without libsodium\n");
        return 0;
    }
    mu_chan_free(c);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
