/* test_denied.c: what the system denies leaves nothing behind, and is no worse later. */
#include <dirent.h>
#include <errno.h>
#include <mqueue.h>
#include <sys/syscall.h>

#include "muster/channel.h"

#include "support/check.h"

/* The next calls pass, that many, and one is denied; below 0: none. */
static int n_mq_getattr = -1;

static int is_denied(int *n)
{
    if (*n < 0 || (*n)-- > 0)
        return 0;
    errno = ENOMEM;
    return 1;
}

/* In place of the C library's. */
int mq_getattr(mqd_t queue, struct mq_attr *ret)
{
    if (is_denied(&n_mq_getattr))
        return -1;
    return (int)syscall(SYS_mq_getsetattr, queue, NULL, ret);
}

static int count_descriptors(void)
{
    DIR *all = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(all);
    while (readdir(all))
        n++;
    (void)closedir(all);
    return n;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queues_leave_no_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
