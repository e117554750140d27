/* test_hub.c: who receives from all lets others in meanwhile, and hears each in its turn:
 * whether he watches, is busy, or somebody else never ends. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/un.h>

#include "muster/channel.h"

#include "channel/hostile_ring.h"
#include "support/check.h"

static char bytes[4096];

struct caller {
    const char *address;
    struct mu_chan *chan;
    int rc;
    _Atomic int is_done;
    pthread_t thread;
};

static void *call(void *arg)
{
    struct caller *a = arg;

    a->rc = mu_chan_connect(a->address, NULL, test_deadline(), &a->chan, NULL);
    atomic_store(&a->is_done, 1);
    return NULL;
}

static void call_begin(struct caller *a, const struct mu_chan *hub)
{
    *a = (struct caller){.address = mu_chan_address(hub)};
    assert_int_equal(pthread_create(&a->thread, NULL, call, a), 0);
}

static int call_end(struct caller *a)
{
    assert_int_equal(pthread_join(a->thread, NULL), 0);
    return a->rc;
}

static struct mu_chan *hub_open(void)
{
    struct mu_chan_options options = {.ring_bytes = 16384};
    struct mu_chan *hub;

    assert_int_equal(mu_chan_open("shm:", &options, &hub, NULL), 0);
    return hub;
}

static int recv_now(struct mu_chan *c)
{
    size_t size;

    return mu_chan_recv(c, bytes, sizeof bytes, MU_NOW, &size);
}

/* The look that lets somebody in says that there is nothing: what he sends then rings. */
static void who_is_let_in_last_rings(void **state)
{
    struct mu_chan *hub = hub_open();
    struct pollfd p = {.fd = mu_chan_fd(hub), .events = POLLIN};
    struct caller a;

    (void)state;
    assert_int_equal(recv_now(hub), MU_TIMEOUT);
    call_begin(&a, hub);
    assert_int_equal(poll(&p, 1, TEST_HANG_NS / 1000000), 1);
    assert_int_equal(recv_now(hub), MU_TIMEOUT);
    assert_int_equal(call_end(&a), 0);
    assert_int_equal(poll(&p, 1, 0), 0);
    assert_int_equal(mu_chan_send(a.chan, "x", 1, MU_NOW), 0);
    assert_int_equal(poll(&p, 1, TEST_HANG_NS / 1000000), 1);
    assert_int_equal(recv_now(hub), 0);
    mu_chan_free(a.chan);
    mu_chan_free(hub);
}

/* Although there is a message whenever it looks. */
static void busy_hub_lets_others_in(void **state)
{
    struct mu_chan *hub = hub_open();
    struct caller first;
    struct caller second;

    (void)state;
    call_begin(&first, hub);
    while (!atomic_load(&first.is_done))
        assert_int_equal(recv_now(hub), MU_TIMEOUT);
    assert_int_equal(call_end(&first), 0);
    assert_int_equal(mu_chan_send(first.chan, "x", 1, MU_NOW), 0);
    call_begin(&second, hub);
    while (!atomic_load(&second.is_done)) {
        assert_int_equal(mu_chan_send(first.chan, "x", 1, MU_NOW), 0);
        assert_int_equal(recv_now(hub), 0);
    }
    assert_int_equal(call_end(&second), 0);
    mu_chan_free(first.chan);
    mu_chan_free(second.chan);
    mu_chan_free(hub);
}

/* A lane without end, watched or not, and one with a message. */
static void lane_without_end_keeps_nobody(void **state)
{
    (void)state;
    for (int is_watched = 0; is_watched < 2; is_watched++) {
        struct mu_chan *hub = hub_open();
        struct caller callers[2];

        if (is_watched)
            assert_true(mu_chan_fd(hub) >= 0);
        for (int i = 0; i < 2; i++) {
            call_begin(&callers[i], hub);
            while (!atomic_load(&callers[i].is_done))
                assert_int_equal(recv_now(hub), MU_TIMEOUT);
            assert_int_equal(call_end(&callers[i]), 0);
        }
        ring_without_end(callers[0].chan);
        for (int i = 0; i < 100; i++) {
            assert_int_equal(mu_chan_send(callers[1].chan, "x", 1, MU_NOW), 0);
            assert_int_equal(recv_now(hub), 0);
        }
        assert_int_equal(recv_now(hub), MU_TIMEOUT);
        for (int i = 0; i < 2; i++)
            mu_chan_free(callers[i].chan);
        mu_chan_free(hub);
    }
}

/* Connect as far as the kernel does it by itself. */
static int knock(const struct mu_chan *hub)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const char *name = strchr(mu_chan_address(hub), '@') + 1;
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(strlen(name) < sizeof at.sun_path - 1);
    memcpy(at.sun_path + 1, name, strlen(name));
    assert_int_equal(
        connect(sock, (struct sockaddr *)&at,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                            strlen(name))),
        0);
    return sock;
}

/* Who gave up as it was taken was nobody: neither a death is told nor that none is left. */
static void who_gives_up_is_passed_over(void **state)
{
    (void)state;
    for (int is_watched = 0; is_watched < 2; is_watched++) {
        struct mu_chan *hub = hub_open();
        struct pollfd p = {.fd = is_watched ? mu_chan_fd(hub) : -1,
                           .events = POLLIN};
        struct caller a;

        for (int i = 0; i < 2; i++) {
            int sock = knock(hub);

            assert_int_equal(recv_now(hub), MU_TIMEOUT);
            assert_int_equal(poll(&p, 1, 0), 0);
            (void)close(sock);
            assert_int_equal(recv_now(hub), MU_TIMEOUT);
            assert_int_equal(poll(&p, 1, 0), 0);
        }
        call_begin(&a, hub);
        while (!atomic_load(&a.is_done))
            assert_int_equal(recv_now(hub), MU_TIMEOUT);
        assert_int_equal(call_end(&a), 0);
        mu_chan_free(a.chan);
        assert_int_equal(recv_now(hub), MU_ECRASHED);
        assert_int_equal(recv_now(hub), MU_CLOSED);
        assert_int_equal(recv_now(hub), MU_TIMEOUT);
        mu_chan_free(hub);
    }
}

/* Who is turned away and comes again at once. */
static int turn_away(void *ctx, int pid, unsigned uid, unsigned gid)
{
    struct mu_chan *c;

    (void)pid;
    (void)uid;
    (void)gid;
    CHECK_CHILD(mu_chan_connect(ctx, NULL, MU_NOW, &c, NULL) == MU_TIMEOUT);
    return 0;
}

static void who_comes_again_keeps_nobody(void **state)
{
    char address[64];
    struct mu_chan_options options = {
        .ring_bytes = 16384, .allow = turn_away, .allow_ctx = address};
    struct mu_chan *hub;
    struct mu_chan *c;

    (void)state;
    assert_int_equal(mu_chan_open("shm:", &options, &hub, NULL), 0);
    (void)snprintf(address, sizeof address, "%s", mu_chan_address(hub));
    assert_int_equal(mu_chan_connect(address, NULL, MU_NOW, &c, NULL),
                     MU_TIMEOUT);
    assert_int_equal(recv_now(hub), MU_TIMEOUT);
    mu_chan_free(hub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_let_in_last_rings),
        cmocka_unit_test(busy_hub_lets_others_in),
        cmocka_unit_test(lane_without_end_keeps_nobody),
        cmocka_unit_test(who_gives_up_is_passed_over),
        cmocka_unit_test(who_comes_again_keeps_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
