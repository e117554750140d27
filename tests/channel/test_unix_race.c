/* test_unix_race.c: a path that two open at the same moment has one listener. The second
 * comes in the middle of a call of the first, and is let go on until it is done or waits. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#include "channel/open.h"

static char address[64];
#define PATH (address + sizeof "unix:" - 1)

/* In which call the second comes. */
enum moment { NEVER, AT_LISTEN, AT_UNLINK };
static enum moment moment;

static struct {
    pthread_t thread;
    sem_t is_done_or_waits;
    struct mu_chan *chan;
    int rc;
    int n_waits;     /* for the lock: for so many files */
    ino_t waits_for; /* the last of them */
} second;
static _Thread_local bool is_second;

/* Whether each look at a lock that is held takes a second, for who looks at the clock. */
static bool looks_are_slow;
static _Thread_local time_t n_seconds;

static void *second_open(void *unused)
{
    is_second = true;
    second.rc = mu_chan_open(address, NULL, &second.chan, NULL);
    CHECK_CHILD(sem_post(&second.is_done_or_waits) == 0);
    return unused;
}

static void second_await(void)
{
    while (sem_wait(&second.is_done_or_waits) < 0)
        CHECK_CHILD(errno == EINTR);
}

static void second_comes(enum moment now)
{
    if (moment != now)
        return;
    moment = NEVER;
    CHECK_CHILD(pthread_create(&second.thread, NULL, second_open, NULL) == 0);
    second_await();
}

/* In place of the C library's, all four. */
int listen(int fd, int n)
{
    if (!is_second)
        second_comes(AT_LISTEN);
    return (int)syscall(SYS_listen, fd, n);
}

int unlink(const char *name)
{
    if (!is_second && strcmp(name, PATH) == 0)
        second_comes(AT_UNLINK);
    return (int)syscall(SYS_unlinkat, AT_FDCWD, name, 0);
}

int flock(int fd, int operation)
{
    int rc = (int)syscall(SYS_flock, fd, operation);
    int error = errno;
    struct stat st;

    if (rc < 0 && looks_are_slow)
        n_seconds++;
    if (rc < 0 && is_second && fstat(fd, &st) == 0 &&
        st.st_ino != second.waits_for) {
        second.waits_for = st.st_ino;
        second.n_waits++;
        CHECK_CHILD(sem_post(&second.is_done_or_waits) == 0);
    }
    errno = error;
    return rc;
}

int clock_gettime(clockid_t clock_id, struct timespec *tp)
{
    int rc = (int)syscall(SYS_clock_gettime, clock_id, tp);

    tp->tv_sec += n_seconds;
    return rc;
}

static void check_reached(struct mu_chan *listener)
{
    struct mu_chan *c = connect_or_fail(address, NULL);
    struct mu_chan *peer;

    assert_int_equal(mu_chan_accept(listener, MU_NOW, &peer, NULL), 0);
    mu_chan_free(peer);
    mu_chan_free(c);
}

/* Of the file that is locked by who opens PATH. */
static const char *lock_path(void)
{
    static char path[sizeof address + 16];

    (void)snprintf(path, sizeof path, "%s.opening", PATH);
    return path;
}

static void check_nothing_left(void)
{
    assert_int_equal(access(PATH, F_OK), -1);
    assert_int_equal(access(lock_path(), F_OK), -1);
}

static int race_begin(void **state)
{
    (void)state;
    (void)snprintf(address, sizeof address, "unix:/tmp/muster-race-%d",
                   (int)getpid());
    second.chan = NULL;
    second.n_waits = 0;
    second.waits_for = 0;
    looks_are_slow = false;
    return sem_init(&second.is_done_or_waits, 0, 0);
}

static int race_end(void **state)
{
    (void)state;
    moment = NEVER;
    (void)unlink(PATH);
    return sem_destroy(&second.is_done_or_waits);
}

/* What one leaves that was killed. */
static void leave_stale(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", PATH);
    assert_int_equal(bind(sock, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(close(sock), 0);
}

static void first_wins(enum moment when)
{
    struct mu_chan *c;

    moment = when;
    c = open_or_fail(address, NULL);
    assert_int_equal(pthread_join(second.thread, NULL), 0);
    assert_int_equal(second.rc, -EADDRINUSE);
    check_reached(c);
    mu_chan_free(c);
    check_nothing_left();
}

static void bound_path_is_not_left_over(void **state)
{
    (void)state;
    first_wins(AT_LISTEN);
}

static void left_over_path_is_taken_by_one(void **state)
{
    (void)state;
    leave_stale();
    first_wins(AT_UNLINK);
}

static void path_is_not_taken_from_the_next(void **state)
{
    struct mu_chan *c = open_or_fail(address, NULL);

    (void)state;
    assert_int_equal(mu_chan_close(c), 0);
    moment = AT_UNLINK;
    mu_chan_free(c);
    assert_int_equal(pthread_join(second.thread, NULL), 0);
    assert_int_equal(second.rc, 0);
    check_reached(second.chan);
    mu_chan_free(second.chan);
    check_nothing_left();
}

static int lock_make(void)
{
    int fd = open(lock_path(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    return fd;
}

/* What a kill leaves of a lock is in nobody's way. */
static void lock_of_the_dead_is_taken(void **state)
{
    (void)state;
    assert_int_equal(close(lock_make()), 0);
    mu_chan_free(open_or_fail(address, NULL));
    check_nothing_left();
}

/* Nor is a file that bears the name by chance taken for a lock, and away. */
static void file_with_something_in_it_is_left(void **state)
{
    struct mu_error err;
    struct mu_chan *c;
    int fd = lock_make();

    (void)state;
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(close(fd), 0);
    assert_int_equal(mu_chan_open(address, NULL, &c, &err), -EEXIST);
    assert_non_null(strstr(err.text, lock_path()));
    assert_int_equal(access(PATH, F_OK), -1);
    assert_int_equal(unlink(lock_path()), 0);
}

/* Who waited for a lock that was taken away meanwhile waits for who has the next. */
static void lock_taken_away_is_none(void **state)
{
    int first = lock_make();
    int next;

    (void)state;
    moment = AT_LISTEN;
    second_comes(AT_LISTEN);
    assert_int_equal(unlink(lock_path()), 0);
    next = lock_make();
    assert_int_equal(close(first), 0);
    second_await();
    assert_int_equal(second.n_waits, 2);
    assert_int_equal(close(next), 0);
    assert_int_equal(pthread_join(second.thread, NULL), 0);
    assert_int_equal(second.rc, 0);
    check_reached(second.chan);
    mu_chan_free(second.chan);
    check_nothing_left();
}

/* Nor is it waited for without end: who holds it may be stopped. */
static void lock_of_the_stopped_ends_the_wait(void **state)
{
    struct mu_error err;
    struct mu_chan *c;
    int fd = lock_make();

    (void)state;
    looks_are_slow = true;
    assert_int_equal(mu_chan_open(address, NULL, &c, &err), -EBUSY);
    assert_non_null(strstr(err.text, lock_path()));
    assert_int_equal(access(PATH, F_OK), -1);
    assert_int_equal(access(lock_path(), F_OK), 0);
    assert_int_equal(close(fd), 0);
    looks_are_slow = false;
    mu_chan_free(open_or_fail(address, NULL));
    check_nothing_left();
}

/* Who ends leaves the path then: it may be the next one's at any moment. */
static void path_is_left_to_who_holds_it(void **state)
{
    struct mu_chan *c = open_or_fail(address, NULL);
    int fd = lock_make();

    (void)state;
    looks_are_slow = true;
    mu_chan_free(c);
    assert_int_equal(access(PATH, F_OK), 0);
    assert_int_equal(close(fd), 0);
    mu_chan_free(open_or_fail(address, NULL));
    check_nothing_left();
}

/* Who is refused leaves nothing with the one who has the path: the first to be accepted is
 * the first who connects. */
static void refused_opener_disturbs_nobody(void **state)
{
    struct mu_chan *c = open_or_fail(address, NULL);
    struct mu_chan *peer;

    (void)state;
    assert_int_equal(mu_chan_open(address, NULL, &second.chan, NULL),
                     -EADDRINUSE);
    assert_int_equal(mu_chan_accept(c, MU_NOW, &peer, NULL), MU_TIMEOUT);
    check_reached(c);
    mu_chan_free(c);
    check_nothing_left();
}

int main(void)
{
#define RACE_TEST(fn) cmocka_unit_test_setup_teardown(fn, race_begin, race_end)
    const struct CMUnitTest tests[] = {
        RACE_TEST(bound_path_is_not_left_over),
        RACE_TEST(left_over_path_is_taken_by_one),
        RACE_TEST(path_is_not_taken_from_the_next),
        RACE_TEST(lock_of_the_dead_is_taken),
        RACE_TEST(file_with_something_in_it_is_left),
        RACE_TEST(lock_taken_away_is_none),
        RACE_TEST(lock_of_the_stopped_ends_the_wait),
        RACE_TEST(path_is_left_to_who_holds_it),
        RACE_TEST(refused_opener_disturbs_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
