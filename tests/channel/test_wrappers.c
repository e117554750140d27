/* test_wrappers.c: what is put between a channel and its user tells, loses or delays. */
#include <errno.h>

#include "muster/channel.h"

#include "support/check.h"

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
        cmocka_unit_test(wrappers_tell_lose_and_delay),
        cmocka_unit_test(each_call_of_a_slow_channel_is_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
