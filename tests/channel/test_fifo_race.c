/* test_fifo_race.c: a sender and a receiver of a named pipe, of which one comes in the middle
 * of a call of the other. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "channel/open.h"

static char address[64];
#define PATH (address + sizeof "fifo:" - 1)

/* Whom a call lets come, once. */
static void (*at_fchown)(void);
static void (*at_fchmod)(void);
static void (*at_close)(void);
static void (*behind_stat)(void);
static struct mu_chan *other;
static int other_rc;

static void come(void (**who)(void))
{
    void (*fn)(void) = *who;

    *who = NULL;
    if (fn)
        fn();
}

/* In place of the C library's, all four. */
int fchown(int fd, uid_t owner, gid_t group)
{
    come(&at_fchown);
    return (int)syscall(SYS_fchown, fd, owner, group);
}

int fchmod(int fd, mode_t mode)
{
    come(&at_fchmod);
    return (int)syscall(SYS_fchmod, fd, mode);
}

int close(int fd)
{
    come(&at_close);
    return (int)syscall(SYS_close, fd);
}

int stat(const char *file, struct stat *buf)
{
    int rc = fstatat(AT_FDCWD, file, buf, 0);

    come(&behind_stat);
    return rc;
}

static void sender_comes(void)
{
    other_rc = mu_chan_connect(address, NULL, MU_NOW, &other, NULL);
}

static void sender_comes_and_goes(void)
{
    sender_comes();
    mu_chan_free(other);
}

static void receiver_comes(void)
{
    other_rc = mu_chan_open(address, NULL, &other, NULL);
}

static int race_begin(void **state)
{
    (void)state;
    (void)snprintf(address, sizeof address, "fifo:/tmp/muster-race-%d.fifo",
                   (int)getpid());
    other_rc = 1;
    return 0;
}

static int race_end(void **state)
{
    (void)state;
    (void)unlink(PATH);
    return 0;
}

static int connect_now(struct mu_chan **ret)
{
    return mu_chan_connect(address, NULL, MU_NOW, ret, NULL);
}

/* The mark of a sender that comes while a new pipe gets its rights would be lost, and the
 * next one's messages be read behind half of one. */
static void new_pipe_has_one_sender(void **state)
{
    struct mu_chan *r = open_or_fail(address, NULL);
    struct mu_chan *before = connect_or_fail(address, NULL);
    struct mu_chan *c;
    struct stat pipe;

    (void)state;
    assert_int_equal(chmod(PATH, 0640 | S_ISUID), 0);
    mu_chan_free(r);
    at_fchown = sender_comes;
    r = open_or_fail(address, NULL);
    assert_int_equal(other_rc, -ECONNREFUSED);
    assert_int_equal(stat(PATH, &pipe), 0);
    assert_int_equal(pipe.st_mode & 07777, 0640);
    c = connect_or_fail(address, NULL);
    assert_int_equal(connect_now(&other), -EBUSY);
    mu_chan_free(c);
    assert_int_equal(connect_now(&other), -ECONNREFUSED);
    mu_chan_free(before);
    mu_chan_free(r);
}

/* One that is refused does not seem to be the sender, whose pipe is given up. */
static void refused_sender_is_none(void **state)
{
    struct mu_chan *c;
    struct stat first;
    struct stat pipe;
    int kept;

    (void)state;
    other = open_or_fail(address, NULL);
    kept = open(PATH, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(kept >= 0);
    assert_int_equal(mu_chan_close(other), 0);
    mu_chan_free(other);
    assert_int_equal(stat(PATH, &first), 0);
    at_close = receiver_comes;
    assert_int_equal(connect_now(&c), -ECONNREFUSED);
    assert_int_equal(other_rc, 0);
    assert_int_equal(stat(PATH, &pipe), 0);
    assert_int_equal(pipe.st_ino, first.st_ino);
    mu_chan_free(other);
    (void)close(kept);
}

/* Nor, to the receiver that is about to let senders come, one that died: of a pipe that is
 * made, and of one that had a sender. */
static void early_sender_ends_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct pollfd p = {.events = POLLIN};
        struct mu_chan *r;
        struct mu_chan *c;

        at_fchmod = sender_comes;
        r = open_or_fail(address, NULL);
        assert_int_equal(other_rc, -ECONNREFUSED);
        p.fd = mu_chan_fd(r);
        assert_int_equal(poll(&p, 1, 0), 0);
        assert_int_equal(recv_now(r), MU_TIMEOUT);
        c = connect_or_fail(address, NULL);
        assert_int_equal(mu_chan_send(c, "x", 1, MU_NOW), 0);
        assert_int_equal(recv_some_time(r), 0);
        mu_chan_free(c);
        assert_int_equal(recv_some_time(r), MU_ECRASHED);
        mu_chan_free(r);
    }
}

/* Nor is one let in that saw the pipe when nobody had come yet. */
static void late_sender_is_refused(void **state)
{
    struct mu_chan *r = open_or_fail(address, NULL);
    struct mu_chan *c;

    (void)state;
    behind_stat = sender_comes_and_goes;
    assert_int_equal(connect_now(&c), -ECONNREFUSED);
    assert_int_equal(other_rc, 0);
    mu_chan_free(r);
}

int main(void)
{
#define RACE_TEST(fn) cmocka_unit_test_setup_teardown(fn, race_begin, race_end)
    const struct CMUnitTest tests[] = {
        RACE_TEST(new_pipe_has_one_sender),
        RACE_TEST(refused_sender_is_none),
        RACE_TEST(early_sender_ends_nothing),
        RACE_TEST(late_sender_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
