/* test_denied.c: what the system denies leaves nothing behind, and is no worse later. */
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

#include "channel/denied.h"

/* "two.test" has a second address, and its first is not listened on. */
int getaddrinfo(const char *name, const char *service,
                const struct addrinfo *req, struct addrinfo **pai)
{
    static struct sockaddr_in at[2];
    static struct addrinfo found[2];

    (void)req;
    for (int i = 0; i < 2; i++) {
        at[i] = (struct sockaddr_in){
            .sin_family = AF_INET,
            .sin_port = htons((uint16_t)atoi(service)),
            .sin_addr = {htonl(INADDR_LOOPBACK + (i == 0 ? 1 : 0))}};
        found[i] = (struct addrinfo){.ai_family = AF_INET,
                                     .ai_socktype = SOCK_STREAM,
                                     .ai_addr = (struct sockaddr *)&at[i],
                                     .ai_addrlen = sizeof at[i],
                                     .ai_next = i == 0 ? &found[1] : NULL};
    }
    *pai = &found[strcmp(name, "two.test") == 0 ? 0 : 1];
    return 0;
}

void freeaddrinfo(struct addrinfo *ai)
{
    (void)ai;
}

struct caller {
    const struct mu_chan *hub;
    struct mu_chan *chan;
    _Atomic int is_done;
    pthread_t thread;
};

static void *call(void *arg)
{
    struct caller *a = arg;

    CHECK_CHILD(mu_chan_connect(mu_chan_address(a->hub), NULL, test_deadline(),
                                &a->chan, NULL) == 0);
    atomic_store(&a->is_done, 1);
    return NULL;
}

/* Somebody connects while the hub receives. */
static struct mu_chan *lane_open(struct mu_chan *hub)
{
    struct caller a = {.hub = hub};
    char byte;
    size_t size;

    assert_int_equal(pthread_create(&a.thread, NULL, call, &a), 0);
    while (!atomic_load(&a.is_done))
        assert_int_equal(mu_chan_recv(hub, &byte, 1, MU_NOW, &size),
                         MU_TIMEOUT);
    assert_int_equal(pthread_join(a.thread, NULL), 0);
    return a.chan;
}

static void hub_gives_no_descriptor_that_is_silent(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) { /* for who comes, and who is there */
        struct mu_chan *hub;
        struct mu_chan *lane;
        int before;

        assert_int_equal(mu_chan_open("shm:", NULL, &hub, NULL), 0);
        lane = lane_open(hub);
        before = count_descriptors();
        n_epoll_ctl = i;
        assert_int_equal(mu_chan_fd(hub), -ENOMEM);
        assert_int_equal(count_descriptors(), before);
        tells(lane, hub);
        mu_chan_free(lane);
        mu_chan_free(hub);
    }
}

/* Nobody is let in who would not be heard. */
static void hub_takes_nobody_that_it_cannot_watch(void **state)
{
    struct mu_chan *hub;
    struct mu_chan *lane;
    char byte;
    size_t size;

    (void)state;
    assert_int_equal(mu_chan_open("shm:", NULL, &hub, NULL), 0);
    assert_true(mu_chan_fd(hub) >= 0);
    n_epoll_ctl = 0;
    lane = lane_open(hub);
    assert_int_equal(n_epoll_ctl, -1);
    assert_int_equal(mu_chan_recv(lane, &byte, 1, MU_NOW, &size), MU_ECRASHED);
    mu_chan_free(lane);
    lane = lane_open(hub);
    tells(lane, hub);
    mu_chan_free(lane);
    mu_chan_free(hub);
}

static void each_address_of_a_name_is_tried(void **state)
{
    struct mu_chan *listener;
    struct mu_chan *c;
    char name[64];
    int before;

    (void)state;
    assert_int_equal(mu_chan_open("tcp:127.0.0.1:0", NULL, &listener, NULL), 0);
    (void)snprintf(name, sizeof name, "tcp:two.test%s",
                   strrchr(mu_chan_address(listener), ':'));
    before = count_descriptors();
    assert_int_equal(mu_chan_connect(name, NULL, test_deadline(), &c, NULL), 0);
    mu_chan_free(c);
    assert_int_equal(mu_chan_close(listener), 0);
    mu_chan_free(listener);
    assert_int_equal(mu_chan_connect(name, NULL, test_deadline(), &c, NULL),
                     -ECONNREFUSED);
    assert_int_equal(count_descriptors(), before - 1);
}

enum { LARGE = 64 << 20 };

static void send_large(void *arg)
{
    struct mu_chan **ends = arg;
    char *bytes = calloc(1, LARGE);

    mu_chan_free(ends[1]);
    CHECK_CHILD(bytes != NULL);
    CHECK_CHILD(mu_chan_send(ends[0], bytes, LARGE, test_deadline()) == 0);
    CHECK_CHILD(mu_chan_drain(ends[0], test_deadline()) ==
                0); /* for the goodbye */
    CHECK_CHILD(mu_chan_close(ends[0]) == 0);
    mu_chan_free(ends[0]);
}

/* Let this process have so many addresses more than now. */
static struct rlimit addresses_limit(size_t bytes)
{
    struct rlimit before;
    struct rlimit now;
    FILE *f = fopen("/proc/self/statm", "re");
    char line[64];

    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    (void)fclose(f);
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    now = before;
    now.rlim_cur =
        (rlim_t)strtoul(line, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE) + bytes;
    assert_int_equal(setrlimit(RLIMIT_AS, &now), 0);
    return before;
}

/* Without memory for a message it is not lost, nor is what follows. */
static void message_waits_for_memory(void **state)
{
    static const char *const schemes[] = {"pipe:", "unix:", "tcp:"};

    (void)state;
#ifdef TEST_IS_SANITIZED /* takes addresses for itself */
    skip();
#endif
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        struct mu_chan_message m;
        struct mu_chan *ends[2];
        struct rlimit before;
        pid_t pid;
        int rc;

        assert_int_equal(mu_chan_pair(schemes[i], NULL, ends, NULL), 0);
        pid = test_fork(send_large, ends);
        mu_chan_free(ends[0]);
        before = addresses_limit(LARGE / 4);
        rc = mu_chan_borrow(ends[1], test_deadline(), &m);
        assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
        assert_int_equal(rc, -ENOMEM);
        assert_int_equal(mu_chan_borrow(ends[1], test_deadline(), &m), 0);
        assert_int_equal(m.size, LARGE);
        mu_chan_release(ends[1]);
        assert_int_equal(mu_chan_borrow(ends[1], test_deadline(), &m),
                         MU_CLOSED);
        mu_chan_free(ends[1]);
        assert_int_equal(test_wait(pid), 0);
    }
}

static void send_small_and_large(void *arg)
{
    struct mu_chan *c;
    char *bytes = calloc(1, LARGE);

    CHECK_CHILD(bytes != NULL);
    CHECK_CHILD(mu_chan_connect(arg, NULL, test_deadline(), &c, NULL) == 0);
    CHECK_CHILD(mu_chan_send(c, "x", 1, test_deadline()) == 0);
    CHECK_CHILD(mu_chan_send(c, bytes, LARGE, test_deadline()) == 0);
    CHECK_CHILD(mu_chan_close(c) == 0);
    mu_chan_free(c);
}

/* Nor is who sent it hung up on by who receives from all. */
static void hub_keeps_who_waits_for_memory(void **state)
{
    struct mu_chan_message m;
    struct rlimit before;
    struct mu_chan *hub;
    char byte;
    size_t size;
    pid_t pid;
    int rc;

    (void)state;
#ifdef TEST_IS_SANITIZED
    skip();
#endif
    assert_int_equal(mu_chan_open("shm:", NULL, &hub, NULL), 0);
    pid = test_fork(send_small_and_large,
                    (void *)(uintptr_t)mu_chan_address(hub));
    assert_int_equal(mu_chan_recv(hub, &byte, 1, test_deadline(), &size), 0);
    before = addresses_limit(LARGE / 4);
    rc = mu_chan_borrow(hub, test_deadline(), &m);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(rc, -ENOMEM);
    assert_int_equal(mu_chan_borrow(hub, test_deadline(), &m), 0);
    assert_int_equal(m.size, LARGE);
    mu_chan_release(hub);
    assert_int_equal(mu_chan_borrow(hub, test_deadline(), &m), MU_CLOSED);
    mu_chan_free(hub);
    assert_int_equal(test_wait(pid), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hub_gives_no_descriptor_that_is_silent),
        cmocka_unit_test(hub_takes_nobody_that_it_cannot_watch),
        cmocka_unit_test(each_address_of_a_name_is_tried),
        cmocka_unit_test(message_waits_for_memory),
        cmocka_unit_test(hub_keeps_who_waits_for_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
