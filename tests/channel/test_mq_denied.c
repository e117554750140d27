/* test_mq_denied.c: what the system denies a pair of queues leaves nothing behind, and is
 * no worse later. */
#include <mqueue.h>

#include "channel/denied.h"

static int n_mq_getattr = -1;

/* In place of the C library's. */
int mq_getattr(mqd_t mqdes, struct mq_attr *mqstat)
{
    if (is_denied(&n_mq_getattr))
        return -1;
    return (int)syscall(SYS_mq_getsetattr, mqdes, NULL, mqstat);
}

static void queues_leave_no_descriptors(void **state)
{
    struct mu_chan_options options = {.queue_messages = 2};
    int before = count_descriptors();

    (void)state;
    for (int i = 0; i < 2; i++) { /* of either end */
        struct mu_chan *ends[2];

        n_mq_getattr = i;
        assert_int_equal(mu_chan_pair("mq:", &options, ends, NULL), -ENOMEM);
        assert_int_equal(n_mq_getattr, -1);
        assert_int_equal(count_descriptors(), before);
    }
}

static void queue_gives_no_descriptor_that_is_silent(void **state)
{
    struct mu_chan_options options = {.queue_messages = 2};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct mu_chan *ends[2];
        int before;

        assert_int_equal(mu_chan_pair("mq:", &options, ends, NULL), 0);
        before = count_descriptors();
        n_epoll_ctl = i;
        assert_int_equal(mu_chan_fd(ends[1]), -ENOMEM);
        assert_int_equal(count_descriptors(), before);
        tells(ends[0], ends[1]);
        mu_chan_free(ends[0]);
        mu_chan_free(ends[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queues_leave_no_descriptors),
        cmocka_unit_test(queue_gives_no_descriptor_that_is_silent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
