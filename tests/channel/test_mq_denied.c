/* test_mq_denied.c: what the system denies a pair of queues leaves nothing behind, and is
 * no worse later. */
#include <mqueue.h>
#include <string.h>

#include "channel/denied.h"
#include "channel/wait.h"

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

static int n_grow = -1;

/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
int __real_mui_buffer_grow(struct mui_buffer *b, size_t size);
int __wrap_mui_buffer_grow(struct mui_buffer *b, size_t size);

/* In place of the library's; see CMakeLists.txt. */
int __wrap_mui_buffer_grow(struct mui_buffer *b, size_t size)
{
    return is_denied(&n_grow) ? -ENOMEM : __real_mui_buffer_grow(b, size);
}
/* NOLINTEND(readability-identifier-naming) */

/* Whichever piece finds no memory, and however often, its message comes whole, before what
 * was sent after it and before the end. */
static void message_in_pieces_waits_for_memory(void **state)
{
    enum { N_PIECES = 3, SIZE = 20000 }; /* of 8 KiB */
    struct mu_chan_options options = {.queue_messages = 6};
    char *bytes = malloc(SIZE);

    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i % 251);
    for (int i = 0; i < N_PIECES; i++) {
        struct mu_chan_message m;
        struct mu_chan *ends[2];

        assert_int_equal(mu_chan_pair("mq:", &options, ends, NULL), 0);
        assert_int_equal(mu_chan_send_priority(ends[0], bytes, SIZE, 3, MU_NOW),
                         0);
        assert_int_equal(mu_chan_send(ends[0], "x", 1, MU_NOW), 0);
        for (int k = 0; k < 2; k++) {
            n_grow = k == 0 ? i : 0;
            assert_int_equal(mu_chan_borrow(ends[1], MU_NOW, &m), -ENOMEM);
            assert_int_equal(n_grow, -1);
        }
        assert_int_equal(mu_chan_close(ends[0]), 0);
        mu_chan_free(ends[0]);
        assert_int_equal(mu_chan_borrow(ends[1], test_deadline(), &m), 0);
        assert_int_equal(m.size, SIZE);
        assert_int_equal(m.priority, 3);
        assert_memory_equal(m.data, bytes, SIZE);
        mu_chan_release(ends[1]);
        assert_int_equal(mu_chan_borrow(ends[1], test_deadline(), &m), 0);
        assert_int_equal(m.size, 1);
        mu_chan_release(ends[1]);
        assert_int_equal(mu_chan_borrow(ends[1], test_deadline(), &m),
                         MU_CLOSED);
        mu_chan_free(ends[1]);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queues_leave_no_descriptors),
        cmocka_unit_test(queue_gives_no_descriptor_that_is_silent),
        cmocka_unit_test(message_in_pieces_waits_for_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
