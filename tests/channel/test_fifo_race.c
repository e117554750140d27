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
static void (*at_close)(void);
static struct mu_chan *other;
static int other_rc;

static void come(void (**who)(void))
{
    void (*fn)(void) = *who;

    *who = NULL;
    if (fn)
        fn();
}

/* In place of the C library's, both. */
int fchown(int fd, uid_t owner, gid_t group)
{
    come(&at_fchown);
    return (int)syscall(SYS_fchown, fd, owner, group);
}

int close(int fd)
{
    come(&at_close);
    return (int)syscall(SYS_close, fd);
}

static void sender_comes(void)
{
    other_rc = mu_chan_connect(address, NULL, MU_NOW, &other, NULL);
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

int main(void)
{
#define RACE_TEST(fn) cmocka_unit_test_setup_teardown(fn, race_begin, race_end)
    const struct CMUnitTest tests[] = {
        RACE_TEST(new_pipe_has_one_sender),
        RACE_TEST(refused_sender_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
