/* test_message.c: whole messages with descriptors, and the end behind the last of them. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "muster/base.h"

#include "support/check.h"
#include "sys/message.h"

static int send_text(int fd, const char *text)
{
    struct mui_message m = {.bytes = (void *)(uintptr_t)text,
                            .size = strlen(text)};

    return mui_message_send(fd, &m, 0);
}

static int receive_text(int fd, char text[8])
{
    struct mui_message m = {.bytes = text, .size = 7};
    int rc = mui_message_receive(fd, &m);

    text[rc == 0 ? m.size : 0] = '\0';
    return rc;
}

static void messages_are_whole_and_carry_descriptors(void **state)
{
    struct mui_message m = {.bytes = (void *)(uintptr_t) "abc", .size = 3};
    char bytes[8];
    char byte;
    int ends[2];
    int pipes[2];

    (void)state;
    assert_int_equal(mui_message_pair(ends), 0);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(receive_text(ends[1], bytes), MU_EMPTY);
    m.fds[m.n_fds++] = pipes[1];
    assert_int_equal(mui_message_send(ends[0], &m, 1), 0);
    m = (struct mui_message){.bytes = bytes, .size = sizeof bytes};
    assert_int_equal(mui_message_receive(ends[1], &m), 0);
    assert_int_equal(m.size, 3);
    assert_int_equal(m.n_fds, 1);
    assert_int_equal(fcntl(m.fds[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(m.fds[0], "x", 1), 1);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    (void)close(m.fds[0]);
    assert_int_equal(send_text(ends[0], "too long"), 0);
    assert_int_equal(receive_text(ends[1], bytes), -EMSGSIZE);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* Also when the one who ended had not read all: then the kernel tells of a reset first. */
static void end_comes_behind_what_was_sent(void **state)
{
    (void)state;
    for (int is_unread = 0; is_unread < 2; is_unread++) {
        char text[8];
        int ends[2];

        assert_int_equal(mui_message_pair(ends), 0);
        if (is_unread)
            assert_int_equal(send_text(ends[1], "unread"), 0);
        assert_int_equal(send_text(ends[0], "one"), 0);
        assert_int_equal(send_text(ends[0], "two"), 0);
        (void)close(ends[0]);
        assert_int_equal(receive_text(ends[1], text), 0);
        assert_string_equal(text, "one");
        assert_int_equal(receive_text(ends[1], text), 0);
        assert_string_equal(text, "two");
        assert_int_equal(receive_text(ends[1], text), MU_CLOSED);
        assert_int_equal(receive_text(ends[1], text), MU_CLOSED);
        assert_int_equal(send_text(ends[1], "x"), -EPIPE);
        (void)close(ends[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_whole_and_carry_descriptors),
        cmocka_unit_test(end_comes_behind_what_was_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
