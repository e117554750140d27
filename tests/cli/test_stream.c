/* test_stream.c: a pipe is read ahead, and not further than a bounded amount. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "muster/base.h"

#include "cut.h"
#include "stream.h"
#include "wakeup.h"

/* Far above what the reader may hold and a pipe can; far below what fits into
 * memory. */
enum { MUCH = 64 << 20 };

/* Write until nobody takes more, or `limit`. A reader that is slow ends it too
 * early, which hides a fault but makes none up. */
static size_t write_while_taken(int fd, size_t limit)
{
    static const char bytes[64 * 1024];
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    size_t n = 0;

    while (n < limit && poll(&p, 1, 300) > 0) {
        ssize_t size = write(fd, bytes, sizeof bytes);

        if (size < 0 && errno == EAGAIN)
            continue;
        assert_true(size > 0);
        n += (size_t)size;
    }
    return n;
}

static size_t read_all(struct stream *s)
{
    size_t size;
    size_t n = 0;
    int rc;

    while ((rc = stream_fill(s)) != MU_EMPTY) {
        assert_in_range(rc, 0, MU_TIMEOUT);
        if (rc == MU_TIMEOUT)
            wakeup_wait();
        (void)stream_data(s, &size);
        stream_consume(s, size);
        n += size;
    }
    return n;
}

/* A named pipe, which the stream reads and `fd` writes. */
struct fifo {
    char folder[32];
    char path[64];
    struct stream *stream;
    int fd;
};

static void open_fifo(struct fifo *f)
{
    strcpy(f->folder, "/tmp/muster-test-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof f->path, "%s/fifo", f->folder);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    /* does not wait for a writer; opening this end waits for its reader */
    assert_int_equal(stream_open(f->path, &f->stream), 0);
    f->fd = open(f->path, O_WRONLY | O_CLOEXEC);
    assert_true(f->fd >= 0);
}

/* Its writing end is closed. */
static void remove_fifo(struct fifo *f)
{
    stream_free(f->stream);
    (void)unlink(f->path);
    (void)rmdir(f->folder);
}

static void pipe_is_read_ahead_within_bounds(void **state)
{
    struct fifo f;
    size_t n;

    (void)state;
    open_fifo(&f);
    assert_int_equal(fcntl(f.fd, F_SETFL, O_NONBLOCK), 0);
    n = write_while_taken(f.fd, MUCH);
    assert_in_range(n, 64 * 1024, MUCH / 8);
    (void)close(f.fd);
    assert_int_equal(read_all(f.stream), n);
    remove_fifo(&f);
}

/* That piece comes next, sooner or later. */
static void piece_is(struct cut *c, const char *text)
{
    struct cut_piece piece;
    int rc;

    while ((rc = cut_next(c, &piece)) == MU_TIMEOUT)
        wakeup_wait();
    assert_int_equal(rc, 0);
    assert_int_equal(piece.size, strlen(text));
    assert_memory_equal(piece.data, text, piece.size);
}

/* What was looked through of a line that came in parts is not left out of the next. */
static void chunks_end_with_their_lines(void **state)
{
    static const char first[] = "aaaaaaaaaa";
    static const char rest[] = "\nbb\ncc\ndd\nee\n";
    struct cut_piece piece;
    struct fifo f;
    struct cut c;

    (void)state;
    open_fifo(&f);
    cut_init(&c, f.stream, 4, 1);
    assert_int_equal(write(f.fd, first, strlen(first)), strlen(first));
    for (;;) {
        assert_int_equal(cut_next(&c, &piece), MU_TIMEOUT);
        if (c.scanned == strlen(first) - 3)
            break;
        wakeup_wait();
    }
    assert_int_equal(write(f.fd, rest, strlen(rest)), strlen(rest));
    piece_is(&c, "aaaaaaaaaa\n");
    piece_is(&c, "bb\ncc\n");
    piece_is(&c, "dd\nee\n");
    (void)close(f.fd);
    remove_fifo(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipe_is_read_ahead_within_bounds),
        cmocka_unit_test(chunks_end_with_their_lines),
    };

    wakeup_init();
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
