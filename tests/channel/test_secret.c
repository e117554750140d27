/* test_secret.c: the proof of a shared secret, with somebody in between who has none. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "channel/tcp_secret.h"
#include "support/check.h"

static const char secret[] = "0123456789abcdef";

/* What each side writes: its public key; when it has the other's, its proof. */
enum { KEY = 32, PROOF = 24 + 16 + 17, HELLO = KEY + PROOF };

struct side {
    pthread_t thread;
    int sock; /* its own */
    int ours; /* the other end of it */
    bool is_server;
    const char *secret;
    int rc;
};

static void *prove(void *arg)
{
    struct side *side = arg;
    struct mui_secret *proven = NULL;

    side->rc = mui_secret_open(side->sock, side->is_server, side->secret,
                               strlen(side->secret), test_deadline(), &proven);
    mui_secret_free(proven);
    (void)close(side->sock);
    return NULL;
}

static void side_begin(struct side *side, bool is_server, const char *its)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    *side = (struct side){.sock = pair[0],
                          .ours = pair[1],
                          .is_server = is_server,
                          .secret = its};
    assert_int_equal(pthread_create(&side->thread, NULL, prove, side), 0);
}

/* What it came to. */
static int side_end(struct side *side)
{
    (void)close(side->ours);
    assert_int_equal(pthread_join(side->thread, NULL), 0);
    return side->rc;
}

/* That many bytes of one side; fewer when it has gone. */
static size_t hear(const struct side *side, unsigned char *bytes, size_t size)
{
    ssize_t n = recv(side->ours, bytes, size, MSG_WAITALL);

    return n < 0 ? 0 : (size_t)n;
}

/* One by one: the next when the last was read, or nobody reads any more. */
static void tell(const struct side *side, const unsigned char *bytes,
                 size_t size)
{
    for (size_t i = 0; i < size; i++) {
        int unread = 0;

        if (send(side->ours, &bytes[i], 1, MSG_NOSIGNAL) != 1)
            return;
        while (ioctl(side->ours, TIOCOUTQ, &unread) == 0 && unread > 0)
            (void)sched_yield();
    }
}

enum { ALL_ARE_TRUE = -1 };

/* Stand between client and server, and turn the highest bit in byte `i_false` of what
 * the client says: that of a key does not count when keys are multiplied. */
static void stand_between(const char *its, int i_false, struct side sides[2])
{
    unsigned char said[2][HELLO];

    for (int i = 0; i < 2; i++)
        side_begin(&sides[i], i == 1, i == 0 ? secret : its);
    for (size_t from = 0, size = KEY; from < HELLO;
         from += size, size = PROOF) {
        size_t n[2];

        for (int i = 0; i < 2; i++)
            n[i] = hear(&sides[i], said[i] + from, size);
        if (i_false != ALL_ARE_TRUE && (size_t)i_false >= from &&
            (size_t)i_false < from + size)
            said[0][i_false] ^= 0x80;
        for (int i = 0; i < 2; i++) {
            tell(&sides[1 - i], said[i] + from, n[i]);
            if (n[i] < size)
                (void)shutdown(sides[1 - i].ours, SHUT_WR);
        }
    }
    for (int i = 0; i < 2; i++)
        (void)side_end(&sides[i]);
}

static void who_only_hands_on_is_not_noticed(void **state)
{
    struct side sides[2];

    (void)state;
    stand_between(secret, ALL_ARE_TRUE, sides);
    assert_int_equal(sides[0].rc, 0);
    assert_int_equal(sides[1].rc, 0);
}

static void each_byte_has_to_be_true(void **state)
{
    struct side sides[2];

    (void)state;
    for (int i = 0; i < HELLO; i++) {
        stand_between(secret, i, sides);
        if (sides[1].rc != -EACCES)
            fail_msg("byte %d: %d", i, sides[1].rc);
        /* of the key the client learns, too: from what the server proves */
        assert_int_equal(sides[0].rc, i < KEY ? -EACCES : 0);
    }
}

static void another_secret_is_refused_by_both(void **state)
{
    struct side sides[2];

    (void)state;
    stand_between("0123456789abcdeF", ALL_ARE_TRUE, sides);
    assert_int_equal(sides[0].rc, -EACCES);
    assert_int_equal(sides[1].rc, -EACCES);
}

static void key_is_of_one_connection(void **state)
{
    unsigned char keys[2][KEY];
    struct side side;

    (void)state;
    for (int i = 0; i < 2; i++) {
        side_begin(&side, false, secret);
        assert_int_equal(hear(&side, keys[i], KEY), KEY);
        (void)shutdown(side.ours, SHUT_WR);
        assert_int_equal(side_end(&side), -EACCES);
    }
    assert_memory_not_equal(keys[0], keys[1], KEY);
}

/* What one says proves nothing when it is said back to him. */
static void echo_is_refused(void **state)
{
    (void)state;
    for (int is_server = 0; is_server < 2; is_server++) {
        unsigned char said[HELLO];
        struct side side;

        side_begin(&side, is_server, secret);
        tell(&side, said, hear(&side, said, KEY));
        tell(&side, said, hear(&side, said, PROOF));
        assert_int_equal(side_end(&side), -EACCES);
    }
}

/* With it, both would get the same result whatever their keys: one that is known. */
static void key_of_zeros_is_refused(void **state)
{
    static const unsigned char zeros[KEY];
    unsigned char said[HELLO];
    struct side side;

    (void)state;
    side_begin(&side, false, secret);
    tell(&side, zeros, sizeof zeros);
    assert_int_equal(hear(&side, said, sizeof said), KEY);
    assert_int_equal(side_end(&side), -EACCES);
}

/* At once, not when the time is over. */
static void who_leaves_has_proved_nothing(void **state)
{
    struct side side;

    (void)state;
    side_begin(&side, false, secret);
    (void)shutdown(side.ours, SHUT_WR);
    assert_int_equal(pthread_join(side.thread, NULL), 0);
    assert_int_equal(side.rc, -EACCES);
    (void)close(side.ours);
}

static void who_says_nothing_is_waited_for_until_the_deadline(void **state)
{
    struct mui_secret *proven;
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(mui_secret_open(pair[0], false, secret, strlen(secret),
                                     MU_NOW, &proven),
                     MU_TIMEOUT);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void short_secret_is_refused_before_anything_is_said(void **state)
{
    struct mui_secret *proven;
    char byte;
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(mui_secret_open(pair[0], false, secret, MUI_SECRET_MIN - 1,
                                     test_deadline(), &proven),
                     -EINVAL);
    assert_int_equal(recv(pair[1], &byte, 1, MSG_DONTWAIT), -1);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_only_hands_on_is_not_noticed),
        cmocka_unit_test(each_byte_has_to_be_true),
        cmocka_unit_test(another_secret_is_refused_by_both),
        cmocka_unit_test(key_is_of_one_connection),
        cmocka_unit_test(echo_is_refused),
        cmocka_unit_test(key_of_zeros_is_refused),
        cmocka_unit_test(who_leaves_has_proved_nothing),
        cmocka_unit_test(who_says_nothing_is_waited_for_until_the_deadline),
        cmocka_unit_test(short_secret_is_refused_before_anything_is_said),
    };
    struct mui_secret *proven;

    if (mui_secret_open(-1, false, secret, strlen(secret), MU_NOW, &proven) ==
        MU_EMODEL) {
        print_message("skipped: built without libsodium\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
