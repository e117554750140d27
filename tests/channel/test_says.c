/* test_says.c: who got an address wrong is told what would be right. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "muster/channel.h"

#include "support/check.h"

static const struct {
    const char *address;
    const char *words;
} wrong[] = {
    {"shm", "SCHEME:REST, as in shm:name"},
    {"shmm:x", "the transports are mem, shm"},
    {"unix:", "a path of 1 to 107 bytes"},
    {"fifo:", "it needs a path"},
    {"file:", "it needs a path"},
    {"mq:jobs", "a name is a slash and what has none, as in mq:/jobs"},
    {"mq:/jobs/today", "a name is a slash and what has none, as in mq:/jobs"},
    {"mq:/", "a name is a slash and what has none, as in mq:/jobs"},
    {"tcp:localhost", "is not HOST:PORT"},
    {"tcp:localhost:99999", "there is no port 99999"},
    {"tcp:192.0.2.1:80", "a shared secret is needed: options.secret"},
};

static void wrong_addresses_say_what_is_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct mu_error err = {.text = ""};
        struct mu_chan *end;

        assert_true(mu_chan_open(wrong[i].address, NULL, &end, &err) < 0);
        if (!strstr(err.text, wrong[i].words))
            fail_msg("open %s: %s", wrong[i].address, err.text);
        err.text[0] = '\0';
        assert_true(
            mu_chan_connect(wrong[i].address, NULL, MU_NOW, &end, &err) < 0);
        if (!strstr(err.text, wrong[i].words))
            fail_msg("connect %s: %s", wrong[i].address, err.text);
    }
}

/* Queues have limits of their own, which the errors of the kernel do not name. */
static void limit_of_queues_is_named(void **state)
{
    struct mu_chan_options many = {.queue_messages = 100000};
    struct rlimit as_it_was;
    struct rlimit none;
    struct mu_chan *ends[2];
    struct mu_error err;
    char address[64];

    (void)state;
    (void)snprintf(address, sizeof address, "mq:/muster-says-%d",
                   (int)getpid());
    assert_int_equal(getrlimit(RLIMIT_MSGQUEUE, &as_it_was), 0);
    none = as_it_was;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_MSGQUEUE, &none), 0);
    assert_int_equal(mu_chan_open(address, NULL, &ends[0], &err), -EMFILE);
    assert_non_null(strstr(err.text, "ulimit -q"));
    assert_int_equal(mu_chan_pair("mq:", NULL, ends, &err), -EMFILE);
    assert_non_null(strstr(err.text, "ulimit -q"));
    assert_int_equal(setrlimit(RLIMIT_MSGQUEUE, &as_it_was), 0);

    assert_int_equal(mu_chan_open(address, &many, &ends[0], &err), -EINVAL);
    assert_non_null(strstr(err.text, "msg_max"));
    assert_int_equal(mu_chan_pair("mq:", &many, ends, &err), -EINVAL);
    assert_non_null(strstr(err.text, "msg_max"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_addresses_say_what_is_right),
        cmocka_unit_test(limit_of_queues_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
