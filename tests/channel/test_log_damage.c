/* test_log_damage.c: a log that something wrote over: what is whole is neither cut nor
 * hidden, the damage is told with its position, and what is no log is left alone. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "muster/channel.h"

#include "channel/log.h"
#include "channel/log_file.h"
#include "support/check.h"
#include "support/refuse.h"

enum { N_RECORDS = 10, SIZE = 200 };

static uint64_t starts[N_RECORDS + 1]; /* where the records begin */

static struct mu_chan *reader_open(void)
{
    struct mu_chan *c;

    CHECK_CHILD(mu_chan_open(address, NULL, &c, NULL) == 0);
    return c;
}

static void record_send(struct mu_chan *c, unsigned char i)
{
    unsigned char bytes[SIZE];

    memset(bytes, i, sizeof bytes);
    CHECK_CHILD(mu_chan_send(c, bytes, sizeof bytes, MU_NEVER) == 0);
}

/* The number of the next record; a status above 255 or below 0. */
static int record_recv(struct mu_chan *c)
{
    unsigned char bytes[1000];
    size_t size;
    int rc = mu_chan_recv(c, bytes, sizeof bytes, MU_NOW, &size);

    if (rc != 0)
        return rc == MU_TIMEOUT ? 256 : rc;
    assert_int_equal(bytes[0], bytes[size - 1]);
    return bytes[0];
}

/* A log of N_RECORDS, from 0; given open. */
static struct mu_chan *log_make(enum mu_chan_sync sync)
{
    struct mu_chan *w = writer_open(sync);

    starts[0] = MUI_LOG_BEGIN;
    for (int i = 0; i < N_RECORDS; i++) {
        record_send(w, (unsigned char)i);
        starts[i + 1] = mu_chan_position(w);
    }
    return w;
}

static void bytes_spoil(uint64_t at, size_t n, int byte)
{
    char bytes[2048];
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_true(n <= sizeof bytes);
    memset(bytes, byte, sizeof bytes);
    assert_int_equal(pwrite(fd, bytes, n, (off_t)at), n);
    (void)close(fd);
}

/* What was written over, and the first record behind it that is whole. */
struct damage {
    const char *what;
    int first;   /* the record that begins it */
    size_t from; /* of it */
    size_t n;
    int byte;
    int next;
};

static const struct damage damages[] = {
    {"payload", 4, 50, 1, 0xff, 5},
    {"checksum", 4, 8, 4, 0xff, 5},
    {"size", 4, 1, 1, 0x01, 5},
    {"kind", 4, 0, 1, 0x4c, 5},
    {"word, zeroed", 4, 0, 8, 0, 5},
    {"whole record, zeroed", 4, 0, 216, 0, 5},
    {"several records, zeroed", 2, 100, 700, 0, 6},
    {"several records, overwritten", 2, 100, 700, 0x4d, 6},
    {"the first record", 0, 0, 16, 0xee, 1},
};

enum { N_DAMAGES = sizeof damages / sizeof damages[0] };

/* Read the log from its start: all but what was damaged, which is told once. */
static void damage_is_told(struct mu_chan *r, const struct damage *d)
{
    for (int i = 0; i < d->first; i++)
        assert_int_equal(record_recv(r), i);
    assert_int_equal(record_recv(r), MU_ECORRUPT);
    assert_int_equal(mu_chan_position(r), starts[d->first]);
    for (int i = d->next; i < N_RECORDS; i++)
        assert_int_equal(record_recv(r), i);
}

/* Nobody has it open when it is damaged; a reader or a sender is the first to come. */
static void damaged_log_is_read_and_appended_to(void **state)
{
    for (int i = 0; i < 4 * N_DAMAGES; i++) {
        const struct damage *d = &damages[i / 4];
        struct mu_chan *r;
        struct mu_chan *w;

        (void)log_begin(state);
        mu_chan_free(log_make(i & 2 ? MU_CHAN_SYNC_DISK : MU_CHAN_SYNC_NONE));
        bytes_spoil(starts[d->first] + d->from, d->n, d->byte);
        if (i & 1) {
            r = reader_open();
            w = writer_open(MU_CHAN_SYNC_NONE);
        } else {
            w = writer_open(MU_CHAN_SYNC_NONE);
            r = reader_open();
        }
        record_send(w, 100);
        damage_is_told(r, d);
        assert_int_equal(record_recv(r), 100);
        assert_int_equal(record_recv(r), 256);
        mu_chan_free(r);
        mu_chan_free(w);
        r = reader_open(); /* and again */
        damage_is_told(r, d);
        assert_int_equal(record_recv(r), 100);
        mu_chan_free(r);
    }
}

/* The same under readers and senders that have it open. */
static void damage_under_way_is_told(void **state)
{
    for (int i = 0; i < N_DAMAGES; i++) {
        struct mu_chan *w;
        struct mu_chan *r;

        (void)log_begin(state);
        r = reader_open();
        w = log_make(MU_CHAN_SYNC_NONE);
        bytes_spoil(starts[damages[i].first] + damages[i].from, damages[i].n,
                    damages[i].byte);
        damage_is_told(r, &damages[i]);
        assert_int_equal(record_recv(r), 256);
        record_send(w, 100);
        assert_int_equal(record_recv(r), 100);
        mu_chan_free(r);
        mu_chan_free(w);
    }
}

/* Nothing whole is behind it but what comes later. */
static void damaged_end_is_told_once(void **state)
{
    struct mu_chan *r = reader_open();
    struct mu_chan *w = log_make(MU_CHAN_SYNC_NONE);

    (void)state;
    bytes_spoil(starts[N_RECORDS - 1] + 50, 1, 0xff);
    for (int i = 0; i < N_RECORDS - 1; i++)
        assert_int_equal(record_recv(r), i);
    assert_int_equal(record_recv(r), MU_ECORRUPT);
    assert_int_equal(record_recv(r), 256);
    record_send(w, 100);
    assert_int_equal(record_recv(r), 100);
    mu_chan_free(r);
    mu_chan_free(w);
}

/* A tail in the first page that no writer made is told to who would write there, as
 * often as he tries; when it is right again he can. */
static void damaged_tail_locks_nobody_out(void **state)
{
    struct mu_chan *w = log_make(MU_CHAN_SYNC_NONE);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct mui_log_page *page =
        mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint64_t tail;

    (void)state;
    assert_true(page != MAP_FAILED);
    tail = atomic_exchange_explicit(&page->tail, 1, memory_order_relaxed);
    atomic_store_explicit(&page->is_torn, 1, memory_order_relaxed);
    for (int i = 0; i < 2; i++)
        assert_int_equal(mu_chan_send(w, "x", 1, MU_NOW), MU_ECORRUPT);
    atomic_store_explicit(&page->tail, tail, memory_order_relaxed);
    record_send(w, 100);
    (void)munmap(page, sizeof *page);
    (void)close(fd);
    mu_chan_free(w);
}

/* A message that looks like a record at its place is none. */
static void record_in_a_payload_is_none(void **state)
{
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_NONE);
    struct mu_chan *r = reader_open();
    unsigned char message[104] = {0};
    struct mui_log_header h = {.word = 8 << 8 | MUI_LOG_KIND_DATA};
    uint64_t at = MUI_LOG_BEGIN + MUI_LOG_RECORD_HEADER + 40;

    (void)state;
    memset(message + 56, 66, 8);
    h.checksum = mui_log_checksum(at, h.word, message + 56, 8);
    memcpy(message + 40, &h, sizeof h);
    CHECK_CHILD(mu_chan_send(w, message, sizeof message, MU_NEVER) == 0);
    record_send(w, 1);
    bytes_spoil(MUI_LOG_BEGIN + MUI_LOG_RECORD_HEADER, 1, 0xff);
    assert_int_equal(record_recv(r), MU_ECORRUPT);
    assert_int_equal(record_recv(r), 1);
    mu_chan_free(w);
    mu_chan_free(r);
}

/* The search gives up on a file that is made to keep it busy, and nothing is cut. */
static void search_ends(void **state)
{
    enum { N_WORDS = 300000 };
    struct mu_chan *w = log_make(MU_CHAN_SYNC_NONE);
    uint64_t *words = malloc(N_WORDS * sizeof *words);
    struct mu_chan *c;
    struct stat before;
    struct stat after;
    int fd;

    (void)state;
    record_send(w, 100);
    mu_chan_free(w);
    /* each of these promises a record to the end of the file */
    for (uint64_t i = 0; i < N_WORDS; i++)
        words[i] = i % 2 ? 0 : (N_WORDS - i - 4) * 8 << 8 | MUI_LOG_KIND_DATA;
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(
        pwrite(fd, words, N_WORDS * sizeof *words, (off_t)starts[0]),
        N_WORDS * sizeof *words);
    words[0] = 0; /* where records end is not known either */
    assert_int_equal(pwrite(fd, words, 8, offsetof(struct mui_log_page, tail)),
                     8);
    (void)close(fd);
    free(words);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(mu_chan_connect(address, NULL, MU_NOW, &c, NULL),
                     MU_ECORRUPT);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
}

/* ---- what is no log --------------------------------------------------------- */

/* Refused to readers and senders, and not changed. */
static void refused(size_t size)
{
    char *before = malloc(size);
    char *after = malloc(size);
    struct mu_chan *c;
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_int_equal(pread(fd, before, size, 0), size);
    assert_int_equal(mu_chan_open(address, NULL, &c, NULL), MU_ECORRUPT);
    assert_int_equal(mu_chan_connect(address, NULL, MU_NOW, &c, NULL),
                     MU_ECORRUPT);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, size);
    assert_int_equal(pread(fd, after, size, 0), size);
    assert_memory_equal(before, after, size);
    (void)close(fd);
    free(before);
    free(after);
}

static void damaged_first_page_is_refused(void **state)
{
    static const size_t zeroed[] = {8, 64, 2048};
    struct stat st;

    for (int i = 0; i < 3; i++) {
        (void)log_begin(state);
        mu_chan_free(log_make(MU_CHAN_SYNC_NONE));
        bytes_spoil(0, zeroed[i], 0);
        if (zeroed[i] == 2048)
            bytes_spoil(2048, 2048, 0);
        assert_int_equal(stat(path, &st), 0);
        refused((size_t)st.st_size);
    }
}

static void file_without_a_first_page_is_refused(void **state)
{
    static const size_t sizes[] = {1, 100, 4095, 4097, 10000};

    for (int byte = 0; byte < 256; byte += 0x4d) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            int fd;

            (void)log_begin(state);
            fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
            assert_int_equal(ftruncate(fd, (off_t)sizes[i]), 0);
            (void)close(fd);
            bytes_spoil(0, 1, byte);
            refused(sizes[i]);
        }
    }
}

/* Nothing, or a page of nothing: as who was interrupted in making one may leave it. */
static void empty_file_becomes_a_log(void **state)
{
    for (off_t size = 0; size <= 4096; size += 4096) {
        struct mu_chan *w;
        struct mu_chan *r;
        int fd;

        (void)log_begin(state);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(ftruncate(fd, size), 0);
        (void)close(fd);
        r = reader_open();
        w = writer_open(MU_CHAN_SYNC_NONE);
        record_send(w, 7);
        assert_int_equal(record_recv(r), 7);
        mu_chan_free(w);
        mu_chan_free(r);
    }
}

/* ---- the disk --------------------------------------------------------------- */

/* Who does not wait for the disk is told that it was not waited for; the message is in
 * the log, and a drain waits. */
static void disk_keeps_the_deadline(void **state)
{
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_DISK);
    struct mu_chan *r = reader_open();
    struct mu_chan_bytes one = {.data = "\7", .size = 1};
    uint64_t before = mu_chan_position(w);
    size_t n = 0;

    (void)state;
    assert_int_equal(mu_chan_send(w, "\7", 1, MU_NOW), MU_TIMEOUT);
    assert_true(mu_chan_position(w) > before);
    assert_int_equal(mu_chan_send_batch(w, &one, 1, MU_NOW, &n), MU_TIMEOUT);
    assert_int_equal(n, 1);
    assert_int_equal(mu_chan_drain(w, MU_NOW), MU_TIMEOUT);
    assert_int_equal(mu_chan_drain(w, test_deadline()), 0);
    assert_int_equal(mu_chan_drain(w, MU_NOW), 0);
    assert_int_equal(record_recv(r), 7);
    assert_int_equal(record_recv(r), 7);
    assert_int_equal(record_recv(r), 256);
    mu_chan_free(w);
    mu_chan_free(r);
}

/* Whose turn it has to be when something is written to the disk; NULL: anybody's. */
static struct mu_mutex *turn;
static unsigned n_in_turn;
static unsigned n_out_of_turn;

/* The library's too. */
int fdatasync(int fildes)
{
    if (turn && mu_mutex_lock(turn, MU_NOW) == 0) {
        n_out_of_turn++;
        (void)mu_mutex_unlock(turn);
    } else if (turn) {
        n_in_turn++;
    }
    return (int)syscall(SYS_fdatasync, fildes);
}

static void send_to_a_busy_disk(void *arg)
{
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_DISK);

    (void)arg;
    CHECK_CHILD(mu_chan_send(w, "x", 1, mu_after_ns(10000000)) == MU_TIMEOUT);
    mu_chan_free(w);
}

/* One at a time: of two who write, the kernel would tell one of an error and the other
 * that all is well. And nobody waits for his turn beyond his deadline. */
static void disk_is_waited_for_in_turn(void **state)
{
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_DISK);
    struct mui_log log = {.fd = 0};
    const char *text;

    (void)state;
    assert_int_equal(mui_log_open(&log, path, &text), 0);
    turn = &log.page->sync_lock;
    n_in_turn = n_out_of_turn = 0;
    assert_int_equal(mu_chan_send(w, "x", 1, MU_NEVER), 0);
    assert_int_equal(n_in_turn, 1);
    assert_int_equal(n_out_of_turn, 0);
    turn = NULL;
    assert_int_equal(mu_mutex_lock(&log.page->sync_lock, MU_NOW), 0);
    assert_int_equal(test_wait(test_fork(send_to_a_busy_disk, NULL)), 0);
    assert_int_equal(mu_mutex_unlock(&log.page->sync_lock), 0);
    mui_log_close(&log);
    mu_chan_free(w);
}

static void send_to_a_broken_disk(void *arg)
{
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_DISK);

    (void)arg;
    test_refuse(SYS_fdatasync, EIO);
    CHECK_CHILD(mu_chan_send(w, "x", 1, MU_NEVER) == -EIO);
    mu_chan_free(w);
}

/* The kernel says once that it could not write, and then takes it for written. Nobody
 * is told that what lies behind such an error is on the disk. */
static void error_of_the_disk_stays(void **state)
{
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_DISK);

    (void)state;
    record_send(w, 1);
    assert_int_equal(test_wait(test_fork(send_to_a_broken_disk, NULL)), 0);
    assert_int_equal(mu_chan_send(w, "x", 1, MU_NEVER), -EIO);
    assert_int_equal(mu_chan_drain(w, MU_NEVER), -EIO);
    mu_chan_free(w);
    w = writer_open(MU_CHAN_SYNC_DISK); /* looked through anew */
    record_send(w, 2);
    mu_chan_free(w);
}

int main(void)
{
#define LOG_TEST(fn) cmocka_unit_test_setup_teardown(fn, log_begin, log_end)
    const struct CMUnitTest tests[] = {
        LOG_TEST(damaged_log_is_read_and_appended_to),
        LOG_TEST(damage_under_way_is_told),
        LOG_TEST(damaged_end_is_told_once),
        LOG_TEST(damaged_tail_locks_nobody_out),
        LOG_TEST(record_in_a_payload_is_none),
        LOG_TEST(search_ends),
        LOG_TEST(damaged_first_page_is_refused),
        LOG_TEST(file_without_a_first_page_is_refused),
        LOG_TEST(empty_file_becomes_a_log),
        LOG_TEST(disk_keeps_the_deadline),
        LOG_TEST(disk_is_waited_for_in_turn),
        LOG_TEST(error_of_the_disk_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
