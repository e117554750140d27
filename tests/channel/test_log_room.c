/* test_log_room.c: how a log grows where disk or limit leave little room, and what of a
 * batch is on the disk that had no room for all of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "channel/log_file.h"

static uint64_t disk_bytes; /* of a file, at most; 0: as there are */
static int n_interrupts;    /* come before a file has grown */
static int n_syncs;
static int sync_errno;

static int log_room_begin(void **state)
{
    disk_bytes = 0;
    n_interrupts = n_syncs = sync_errno = 0;
    return log_begin(state);
}

/* The library's too. */
int posix_fallocate(int fd, off_t offset, off_t len)
{
    if (n_interrupts > 0) {
        n_interrupts--;
        return EINTR;
    }
    if (disk_bytes > 0 && (uint64_t)(offset + len) > disk_bytes)
        return ENOSPC;
    return syscall(SYS_fallocate, fd, 0, offset, len) < 0 ? errno : 0;
}

/* The library's too: this disk has it at once. */
int fdatasync(int fildes)
{
    (void)fildes;
    n_syncs++;
    errno = sync_errno;
    return sync_errno == 0 ? 0 : -1;
}

static const char bytes[1 << 20];

/* Send until something stops it. What that was; the number of those sent. */
static int fill(struct mu_chan *c, size_t size, unsigned *ret_n)
{
    int rc;

    *ret_n = 0;
    while ((rc = mu_chan_send(c, bytes, size, MU_NOW)) == 0)
        ++*ret_n;
    return rc;
}

/* A log has `n` messages of that size, at the end. */
static void check_received(unsigned n, size_t size)
{
    struct mu_chan_message m;
    struct mu_chan *r;

    CHECK_CHILD(mu_chan_open(address, NULL, &r, NULL) == 0);
    for (unsigned i = 0; i < n; i++) {
        CHECK_CHILD(mu_chan_borrow(r, MU_NOW, &m) == 0);
        CHECK_CHILD(m.size == size);
        mu_chan_release(r);
    }
    CHECK_CHILD(mu_chan_borrow(r, MU_NOW, &m) == MU_TIMEOUT);
    mu_chan_free(r);
}

static void limit_file(rlim_t n_bytes)
{
    struct rlimit limit = {.rlim_cur = n_bytes, .rlim_max = n_bytes};

    CHECK_CHILD(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void fill_up_to_a_limit(void *arg)
{
    const rlim_t limit = (1 << 20) - 1024; /* ulimit -f counts so */
    struct mu_chan *w;
    unsigned n;

    (void)arg;
    limit_file(limit);
    w = writer_open(MU_CHAN_SYNC_NONE);
    CHECK_CHILD(mu_chan_send(w, bytes, sizeof bytes, MU_NOW) == -EFBIG);
    CHECK_CHILD(fill(w, 1000, &n) == -EFBIG);
    CHECK_CHILD(mu_chan_position(w) + 1016 + 16 > limit);
    CHECK_CHILD(fill(w, 1000, &(unsigned){0}) == -EFBIG);
    check_received(n, 1000);
    mu_chan_free(w);
}

/* Up to the limit, and no further: an error, and no signal. */
static void log_grows_up_to_a_limit(void **state)
{
    (void)state;
    assert_int_equal(test_wait(test_fork(fill_up_to_a_limit, NULL)), 0);
}

static void write_beyond_a_limit(void *arg)
{
    struct mu_chan *w;

    (void)arg;
    limit_file(65536);
    w = writer_open(MU_CHAN_SYNC_NONE);
    CHECK_CHILD(mu_chan_send(w, bytes, 1000, MU_NOW) == 0);
    CHECK_CHILD(mu_chan_send(w, bytes, 100000, MU_NOW) == -EFBIG);
    CHECK_CHILD(mu_chan_send(w, bytes, 1000, MU_NOW) == 0);
    check_received(3, 1000);
    mu_chan_free(w);
}

/* Also where another has made it larger than that. */
static void limit_is_kept_in_a_larger_log(void **state)
{
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_NONE);

    (void)state;
    assert_int_equal(mu_chan_send(w, bytes, 1000, MU_NOW), 0);
    assert_int_equal(test_wait(test_fork(write_beyond_a_limit, NULL)), 0);
    mu_chan_free(w);
}

static void open_beyond_a_limit(void *arg)
{
    struct mu_chan *c;

    (void)arg;
    limit_file(0);
    CHECK_CHILD(mu_chan_connect(address, NULL, MU_NOW, &c, NULL) == -EFBIG);
}

static void limit_without_room_for_a_log_is_told(void **state)
{
    (void)state;
    assert_int_equal(test_wait(test_fork(open_beyond_a_limit, NULL)), 0);
}

/* To the last page of the disk; and on, when there is room again. */
static void log_grows_up_to_a_full_disk(void **state)
{
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_NONE);
    unsigned n_more;
    unsigned n;

    (void)state;
    disk_bytes = 5 << 20;
    assert_int_equal(fill(w, 1000, &n), -ENOSPC);
    assert_true(mu_chan_position(w) + 1016 + 16 > disk_bytes);
    check_received(n, 1000);
    disk_bytes *= 2;
    assert_int_equal(fill(w, 1000, &n_more), -ENOSPC);
    assert_true(mu_chan_position(w) + 1016 + 16 > disk_bytes);
    check_received(n + n_more, 1000);
    mu_chan_free(w);
}

static void signals_do_not_end_an_append(void **state)
{
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_NONE);

    (void)state;
    n_interrupts = 100;
    assert_int_equal(mu_chan_send(w, bytes, 1000, MU_NEVER), 0);
    assert_int_equal(n_interrupts, 0);
    check_received(1, 1000);
    mu_chan_free(w);
}

/* What counts as sent is on the disk, also when the next message has no room. */
static void part_of_a_batch_is_on_the_disk(void **state)
{
    const struct mu_chan_bytes both[2] = {{bytes, 8}, {bytes, sizeof bytes}};
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_DISK);
    size_t n;

    (void)state;
    disk_bytes = 65536;
    assert_int_equal(mu_chan_send_batch(w, both, 2, MU_NEVER, &n), -ENOSPC);
    assert_int_equal(n, 1);
    assert_int_equal(n_syncs, 1);
    /* nor is the disk asked for one of which nothing is in the log */
    assert_int_equal(mu_chan_send_batch(w, both + 1, 1, MU_NEVER, &n), -ENOSPC);
    assert_int_equal(n, 0);
    assert_int_equal(n_syncs, 1);
    sync_errno = EIO;
    assert_int_equal(mu_chan_send_batch(w, both, 2, MU_NEVER, &n), -EIO);
    assert_int_equal(n, 1);
    mu_chan_free(w);
}

int main(void)
{
#define ROOM_TEST(fn)                                                          \
    cmocka_unit_test_setup_teardown(fn, log_room_begin, log_end)
    const struct CMUnitTest tests[] = {
        ROOM_TEST(log_grows_up_to_a_limit),
        ROOM_TEST(limit_is_kept_in_a_larger_log),
        ROOM_TEST(limit_without_room_for_a_log_is_told),
        ROOM_TEST(log_grows_up_to_a_full_disk),
        ROOM_TEST(signals_do_not_end_an_append),
        ROOM_TEST(part_of_a_batch_is_on_the_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
