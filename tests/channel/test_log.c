/* test_log.c: what a log keeps: positions, kill -9, torn tails, many writers. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "muster/channel.h"

#include "channel/log_file.h"
#include "support/check.h"
#include "support/step.h"

static struct mu_chan *reader_open(uint64_t position)
{
    struct mu_chan_options options = {.position = position};
    struct mu_chan *c;

    CHECK_CHILD(mu_chan_open(address, &options, &c, NULL) == 0);
    return c;
}

static void number_send(struct mu_chan *c, uint64_t i)
{
    CHECK_CHILD(mu_chan_send(c, &i, sizeof i, test_deadline()) == 0);
}

static void number_expect(struct mu_chan *c, uint64_t i)
{
    uint64_t got;
    size_t size;

    assert_int_equal(mu_chan_recv(c, &got, sizeof got, test_deadline(), &size),
                     0);
    assert_int_equal(size, sizeof got);
    assert_int_equal(got, i);
}

static void end_expect(struct mu_chan *c)
{
    uint64_t got;
    size_t size;

    assert_int_equal(mu_chan_recv(c, &got, sizeof got, MU_NOW, &size),
                     MU_TIMEOUT);
}

static void readers_have_their_own_positions(void **state)
{
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_NONE);
    struct mu_chan *a = reader_open(0);
    struct mu_chan *b = reader_open(0);
    uint64_t middle;

    (void)state;
    for (uint64_t i = 0; i < 10; i++)
        number_send(w, i);
    for (uint64_t i = 0; i < 5; i++)
        number_expect(a, i);
    middle = mu_chan_position(a);
    for (uint64_t i = 0; i < 10; i++)
        number_expect(b, i);
    end_expect(b);
    mu_chan_free(a);
    mu_chan_free(w);
    a = reader_open(middle);
    for (uint64_t i = 5; i < 10; i++)
        number_expect(a, i);
    assert_int_equal(mu_chan_position(a), mu_chan_position(b));
    mu_chan_free(a);
    mu_chan_free(b);
}

static void *write_some(void *arg)
{
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_DISK);

    (void)arg;
    for (uint64_t i = 0; i < 20; i++)
        number_send(w, i);
    mu_chan_free(w);
    return NULL;
}

static void writers_share_the_log_and_the_disk(void **state)
{
    enum { N = 4 };
    pthread_t threads[N];
    struct mu_chan *r;

    (void)state;
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_some, NULL),
                         0);
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    r = reader_open(0);
    for (int i = 0; i < 20 * N; i++) {
        uint64_t got;
        size_t size;

        assert_int_equal(mu_chan_recv(r, &got, sizeof got, MU_NOW, &size), 0);
        assert_true(got < 20);
    }
    end_expect(r);
    mu_chan_free(r);
}

/* What a send answered with 0 is there after kill -9. */
struct acknowledged {
    _Atomic uint64_t n;
};

static void write_until_killed(void *arg)
{
    struct acknowledged *done = arg;
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_NONE);

    for (uint64_t i = 0;; i++) {
        number_send(w, i);
        atomic_store(&done->n, i + 1);
    }
}

static void killed_writer_loses_nothing_acknowledged(void **state)
{
    struct acknowledged *done = test_shared(sizeof *done);

    for (int round = 0; round < 10; round++) {
        uint64_t n;
        uint64_t k = 0;
        struct mu_chan *r;
        struct mu_chan *w;
        uint64_t got;
        size_t size;
        pid_t pid;

        (void)log_begin(state);
        atomic_store(&done->n, 0);
        pid = test_fork(write_until_killed, done);
        while (atomic_load(&done->n) < (uint64_t)round * 500 + 1)
            ;
        (void)test_kill(pid, SIGKILL);
        assert_true(WIFSIGNALED(test_wait(pid)));
        n = atomic_load(&done->n);
        w = writer_open(MU_CHAN_SYNC_NONE);
        number_send(w, UINT64_MAX);
        r = reader_open(0);
        for (;; k++) {
            assert_int_equal(mu_chan_recv(r, &got, sizeof got, MU_NOW, &size),
                             0);
            if (got == UINT64_MAX)
                break;
            assert_int_equal(got, k);
        }
        assert_true(k == n || k == n + 1);
        end_expect(r);
        mu_chan_free(r);
        mu_chan_free(w);
    }
    munmap(done, sizeof *done);
}

/* The same at each instruction, while another writer has the log open. */
static struct mu_chan *stepped;

static void stepped_before(void *arg)
{
    (void)arg;
    stepped = writer_open(MU_CHAN_SYNC_NONE);
    number_send(stepped, 1);
}

static void stepped_send(void *arg)
{
    (void)arg;
    number_send(stepped, 2);
}

static void writer_killed_at_each_instruction_leaves_whole_records(void **state)
{
    struct mu_chan *w;
    struct mu_chan *r;
    struct step_trace t;
    int n_there = 0;

    (void)state;
    w = writer_open(MU_CHAN_SYNC_NONE);
    r = reader_open(0);
    t = step_record(step_start(stepped_before, stepped_send, NULL));
    number_expect(r, 1);
    number_expect(r, 2);
    for (long i = 0; i < t.n; i += step_stride(&t)) {
        uint64_t got;
        size_t size;

        step_finish(step_start(stepped_before, stepped_send, NULL), &t, i);
        number_send(w, 3);
        number_expect(r, 1);
        assert_int_equal(
            mu_chan_recv(r, &got, sizeof got, test_deadline(), &size), 0);
        if (got == 2) {
            n_there++;
            number_expect(r, 3);
        } else {
            assert_int_equal(got, 3);
        }
        end_expect(r);
    }
    assert_true(n_there > 0 && n_there < t.n);
    free(t.pc);
    mu_chan_free(w);
    mu_chan_free(r);
}

/* A reader that polls is told of a record whether or not its sender lived to tell. */
static void record_of_a_killed_writer_is_polled(void **state)
{
    struct mu_chan *r = reader_open(0);
    struct mu_chan *other = reader_open(0);
    struct pollfd p = {.fd = mu_chan_fd(r), .events = POLLIN};
    struct step_trace t = {.n = 1}; /* until it is known */
    int n_there = 0;

    (void)state;
    for (long i = 0; i < t.n; i += step_stride(&t)) {
        pid_t pid = step_start(stepped_before, stepped_send, NULL);
        uint64_t got;
        size_t size;

        number_expect(r, 1);
        end_expect(r);
        number_expect(other, 1);
        if (!t.pc) {
            t = step_record(pid);
            i = -step_stride(&t);
        } else {
            step_finish(pid, &t, i);
        }
        if (mu_chan_recv(other, &got, sizeof got, MU_NOW, &size) != 0)
            continue;
        n_there++;
        assert_int_equal(poll(&p, 1, 30000), 1);
        number_expect(r, 2);
    }
    assert_true(n_there > 1 && n_there < t.n);
    free(t.pc);
    mu_chan_free(r);
    mu_chan_free(other);
}

/* Make the last `n` bytes before `end` something that was never written. */
static void bytes_spoil(uint64_t end, size_t n)
{
    char bytes[64];
    int fd = open(path, O_RDWR | O_CLOEXEC);

    memset(bytes, 0xff, sizeof bytes);
    assert_true(n <= sizeof bytes);
    assert_int_equal(pwrite(fd, bytes, n, (off_t)(end - n)), n);
    (void)close(fd);
}

/* A loss of power leaves anything behind the last durable record: the last one loses its
 * end, or has other bytes there. */
static void torn_tail_is_cut_off(void **state)
{
    static const size_t cuts[] = {1, 8, 15, 16, 17, 23};
    enum { N_CUTS = sizeof cuts / sizeof cuts[0] };

    (void)state;
    for (size_t k = 0; k < 2 * (size_t)N_CUTS; k++) {
        struct mu_chan *w;
        struct mu_chan *r;
        uint64_t end;

        (void)log_begin(state);
        w = writer_open(MU_CHAN_SYNC_NONE);
        for (uint64_t i = 0; i < 5; i++)
            number_send(w, i);
        end = mu_chan_position(w);
        mu_chan_free(w);
        if (k < N_CUTS)
            assert_int_equal(truncate(path, (off_t)(end - cuts[k])), 0);
        else
            bytes_spoil(end, cuts[k - N_CUTS]);
        w = writer_open(MU_CHAN_SYNC_NONE);
        number_send(w, 100);
        r = reader_open(0);
        for (uint64_t i = 0; i < 4; i++)
            number_expect(r, i);
        number_expect(r, 100);
        end_expect(r);
        mu_chan_free(r);
        mu_chan_free(w);
    }
}

static off_t log_size(void)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* The limit of who opens says what he takes, and nothing of what is whole. */
static void smaller_limit_loses_nothing(void **state)
{
    struct mu_chan_options small = {.message_bytes = 100};
    char bytes[1000] = {7};
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_NONE);
    struct mu_chan *r;
    size_t size;

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(
            mu_chan_send(w, bytes, i == 0 ? 50 : sizeof bytes, MU_NEVER), 0);
    mu_chan_free(w);
    assert_int_equal(mu_chan_open(address, &small, &r, NULL), 0);
    assert_int_equal(mu_chan_recv(r, bytes, sizeof bytes, MU_NOW, &size), 0);
    assert_int_equal(size, 50);
    for (int i = 0; i < 2; i++) {
        size = 0;
        assert_int_equal(mu_chan_recv(r, bytes, sizeof bytes, MU_NOW, &size),
                         -EMSGSIZE);
        assert_int_equal(size, sizeof bytes);
    }
    mu_chan_free(r);
    assert_int_equal(mu_chan_connect(address, &small, MU_NOW, &w, NULL), 0);
    assert_int_equal(mu_chan_send(w, bytes, 60, MU_NEVER), 0);
    mu_chan_free(w);
    r = reader_open(0);
    for (int i = 0; i < 11; i++) {
        assert_int_equal(mu_chan_recv(r, bytes, sizeof bytes, MU_NOW, &size),
                         0);
        assert_int_equal(size, i == 0 ? 50 : i == 10 ? 60 : sizeof bytes);
    }
    end_expect(r);
    mu_chan_free(r);
}

/* Who only reads sees what is whole, and leaves the file as it is. */
static void reader_cuts_nothing_off(void **state)
{
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_NONE);
    struct mu_chan *r;
    uint64_t end;
    off_t was;

    (void)state;
    for (uint64_t i = 0; i < 3; i++)
        number_send(w, i);
    end = mu_chan_position(w);
    mu_chan_free(w);
    bytes_spoil(end, 4);
    was = log_size();
    r = reader_open(0);
    number_expect(r, 0);
    number_expect(r, 1);
    end_expect(r);
    assert_int_equal(log_size(), was);
    w = writer_open(MU_CHAN_SYNC_NONE); /* while the reader has it open */
    number_send(w, 9);
    number_expect(r, 9);
    end_expect(r);
    mu_chan_free(r);
    mu_chan_free(w);
}

static void damaged_bytes_are_noticed(void **state)
{
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_NONE);
    struct mu_chan *r;
    uint64_t at;
    uint64_t got;
    size_t size;
    int fd;

    (void)state;
    number_send(w, 1);
    at = mu_chan_position(w) - 8;
    number_send(w, 2);
    fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "x", 1, (off_t)at), 1);
    (void)close(fd);
    r = reader_open(0);
    assert_int_equal(mu_chan_recv(r, &got, sizeof got, MU_NOW, &size),
                     MU_ECORRUPT);
    mu_chan_free(r);
    mu_chan_free(w);
}

static void what_is_no_log_is_refused(void **state)
{
    struct mu_chan *c;
    int fd = open(path, O_RDWR | O_CREAT, 0600);

    (void)state;
    assert_int_equal(write(fd, "hello, this is text", 19), 19);
    (void)close(fd);
    assert_int_equal(mu_chan_open(address, NULL, &c, NULL), MU_ECORRUPT);
    assert_int_equal(mu_chan_open("file:", NULL, &c, NULL), -EINVAL);
    assert_int_equal(mu_chan_open("file:/nowhere/x", NULL, &c, NULL), -ENOENT);
}

static void *read_all(void *arg)
{
    struct mu_chan *r = reader_open(0);

    (void)arg;
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t got;
        size_t size;

        CHECK_CHILD(mu_chan_recv(r, &got, sizeof got, test_deadline(), &size) ==
                    0);
        CHECK_CHILD(got == i);
    }
    mu_chan_free(r);
    return NULL;
}

static void sleeping_readers_are_woken(void **state)
{
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_NONE);
    pthread_t threads[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, NULL), 0);
    for (uint64_t i = 0; i < 2000; i++)
        number_send(w, i);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    mu_chan_free(w);
}

/* The library's too: what it may write at once, as if a disk took no more; 0: all. */
static size_t write_max;

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    if (write_max > 0 && size > write_max)
        size = write_max;
    return syscall(SYS_pwrite64, fd, bytes, size, at);
}

static void large_record_is_written_in_parts(void **state)
{
    enum { SIZE = 200000 };
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_NONE);
    struct mu_chan *r = reader_open(0);
    unsigned char *bytes = malloc(SIZE);
    struct mu_chan_message m;

    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (unsigned char)(i % 251);
    write_max = 70000;
    assert_int_equal(mu_chan_send(w, bytes, SIZE, MU_NOW), 0);
    write_max = 0;
    assert_int_equal(mu_chan_borrow(r, MU_NOW, &m), 0);
    assert_int_equal(m.size, SIZE);
    assert_memory_equal(m.data, bytes, SIZE);
    mu_chan_release(r);
    mu_chan_free(w);
    mu_chan_free(r);
    free(bytes);
}

static void append_beyond_the_limit(void *arg)
{
    struct rlimit none = {.rlim_cur = 65536, .rlim_max = 65536};
    static char bytes[32 << 20];
    struct mu_chan_bytes both[2] = {{.data = bytes, .size = 1},
                                    {.data = bytes, .size = sizeof bytes}};
    struct mu_chan *before = writer_open(MU_CHAN_SYNC_NONE);
    struct mu_chan *w = writer_open(MU_CHAN_SYNC_NONE);
    uint64_t position;
    size_t n;

    (void)arg;
    (void)signal(SIGXFSZ, SIG_IGN);
    CHECK_CHILD(mu_chan_send(before, "x", 1, MU_NOW) == 0);
    CHECK_CHILD(setrlimit(RLIMIT_FSIZE, &none) == 0);
    CHECK_CHILD(mu_chan_send(w, bytes, sizeof bytes, MU_NOW) == -EFBIG);
    CHECK_CHILD(mu_chan_position(w) == 0);
    CHECK_CHILD(mu_chan_send_batch(w, both, 2, MU_NOW, &n) == -EFBIG);
    CHECK_CHILD(n == 1);
    position = mu_chan_position(w);
    CHECK_CHILD(position > 0);
    CHECK_CHILD(mu_chan_send(w, bytes, sizeof bytes, MU_NOW) == -EFBIG);
    CHECK_CHILD(mu_chan_position(w) == position);
    mu_chan_free(w);
    mu_chan_free(before);
}

/* By the position a sender sees whether his message is in the log. */
static void position_stays_when_nothing_was_sent(void **state)
{
    (void)state;
    assert_int_equal(test_wait(test_fork(append_beyond_the_limit, NULL)), 0);
}

static void interrupt(int number)
{
    (void)number;
}

static void hold_it(void *arg)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    CHECK_CHILD(fd >= 0 && flock(fd, LOCK_EX) == 0);
    CHECK_CHILD(write(*(int *)arg, "x", 1) == 1);
    for (;;)
        (void)pause();
}

struct waiter {
    pthread_t thread;
    pid_t tid;
    pid_t holder;
};

/* Until that thread of ours waits for a lock, as far as the system tells. */
static void await_flock(pid_t tid)
{
    char name[64];
    char text[64];
    int waits;

    (void)snprintf(name, sizeof name, "/proc/self/task/%d/syscall", (int)tid);
    do {
        FILE *f = fopen(name, "re");

        waits = !f || !fgets(text, sizeof text, f) ||
                (text[0] != 'r' && atol(text) == SYS_flock);
        if (f)
            (void)fclose(f);
    } while (!waits);
}

static void *interrupt_and_let_go(void *arg)
{
    const struct waiter *w = arg;

    await_flock(w->tid);
    for (int i = 0; i < 100; i++) {
        CHECK_CHILD(pthread_kill(w->thread, SIGALRM) == 0);
        (void)sched_yield();
    }
    (void)test_kill(w->holder, SIGKILL);
    return NULL;
}

/* Who opens it while another looks through it waits for that, whatever interrupts him. */
static void signals_do_not_end_an_open(void **state)
{
    const struct sigaction cut = {.sa_handler = interrupt};
    struct waiter w = {.thread = pthread_self(),
                       .tid = (pid_t)syscall(SYS_gettid)};
    struct sigaction before;
    struct mu_chan *c = NULL;
    pthread_t thread;
    int pipes[2];
    char byte;
    int rc;

    (void)state;
    mu_chan_free(writer_open(MU_CHAN_SYNC_NONE));
    assert_int_equal(pipe(pipes), 0);
    w.holder = test_fork(hold_it, &pipes[1]);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    assert_int_equal(sigaction(SIGALRM, &cut, &before), 0);
    assert_int_equal(pthread_create(&thread, NULL, interrupt_and_let_go, &w),
                     0);
    rc = mu_chan_open(address, NULL, &c, NULL);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    (void)test_wait(w.holder);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    mu_chan_free(c);
    assert_int_equal(rc, 0);
}

int main(void)
{
#define LOG_TEST(fn) cmocka_unit_test_setup_teardown(fn, log_begin, log_end)
    const struct CMUnitTest tests[] = {
        LOG_TEST(readers_have_their_own_positions),
        LOG_TEST(writers_share_the_log_and_the_disk),
        LOG_TEST(killed_writer_loses_nothing_acknowledged),
        LOG_TEST(writer_killed_at_each_instruction_leaves_whole_records),
        LOG_TEST(record_of_a_killed_writer_is_polled),
        LOG_TEST(torn_tail_is_cut_off),
        LOG_TEST(smaller_limit_loses_nothing),
        LOG_TEST(reader_cuts_nothing_off),
        LOG_TEST(damaged_bytes_are_noticed),
        LOG_TEST(what_is_no_log_is_refused),
        LOG_TEST(sleeping_readers_are_woken),
        LOG_TEST(large_record_is_written_in_parts),
        LOG_TEST(position_stays_when_nothing_was_sent),
        LOG_TEST(signals_do_not_end_an_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
