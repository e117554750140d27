/* cut.c: a file or a stream in pieces. The last record may be shorter; a chunk is
 * as long as asked for and then up to the end of its line. */
#include "cut.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "muster/base.h"

#include "say.h"

enum {
    RANGE_BYTES_MIN = 256 * 1024, /* below this, copying beats mapping */
    SCAN_BYTES = 64 * 1024
};

void cut_init(struct cut *c, struct stream *stream, uint64_t piece_bytes,
              int is_lines)
{
    *c = (struct cut){
        .stream = stream,
        .piece_bytes = piece_bytes,
        .is_lines = is_lines,
        .is_ranges = stream_file(stream) >= 0 && piece_bytes >= RANGE_BYTES_MIN,
    };
}

/* Where the line ends that holds byte `at` of the file: just behind its newline,
 * or the end of the file. */
static int line_end(const struct cut *c, uint64_t at, uint64_t *ret_end)
{
    char bytes[SCAN_BYTES];

    for (;;) {
        ssize_t n =
            pread(stream_file(c->stream), bytes, sizeof bytes, (off_t)at);
        const char *newline;

        if (n < 0)
            return say_refuse("cannot read on: %s", say_reason(errno));
        newline = memchr(bytes, '\n', (size_t)n);
        if (newline || n == 0) {
            *ret_end = at + (newline ? (uint64_t)(newline - bytes) + 1 : 0);
            return 0;
        }
        at += (uint64_t)n;
    }
}

static int next_range(struct cut *c, struct cut_piece *ret_piece)
{
    uint64_t file_size = stream_file_size(c->stream);
    uint64_t end;

    if (c->offset >= file_size)
        return MU_EMPTY;
    if (file_size - c->offset <= c->piece_bytes)
        end = file_size;
    else
        end = c->offset + c->piece_bytes;
    if (c->is_lines && end < file_size && line_end(c, end - 1, &end) < 0)
        return -1;
    *ret_piece =
        (struct cut_piece){.offset = c->offset, .size = end - c->offset};
    c->offset = end;
    return 0;
}

/* The bytes of the piece at the front of the buffer; 0 when it is not whole. */
static size_t whole_piece(struct cut *c, const char *data, size_t size)
{
    size_t from = (size_t)c->piece_bytes - 1 + c->scanned;
    const char *newline;

    if (size < c->piece_bytes)
        return 0;
    if (!c->is_lines)
        return (size_t)c->piece_bytes;
    newline = from < size ? memchr(data + from, '\n', size - from) : NULL;
    if (newline)
        return (size_t)(newline - data) + 1;
    c->scanned = size - ((size_t)c->piece_bytes - 1);
    return 0;
}

static int next_bytes(struct cut *c, struct cut_piece *ret_piece)
{
    const char *data;
    size_t buffered;
    size_t size;
    int rc;

    for (;;) {
        data = stream_data(c->stream, &buffered);
        size = whole_piece(c, data, buffered);
        if (size)
            break;
        if (c->at_end) {
            if (buffered == 0)
                return MU_EMPTY;
            size = buffered;
            break;
        }
        rc = stream_fill(c->stream);
        if (rc && rc != MU_EMPTY)
            return rc;
        c->at_end = rc == MU_EMPTY;
    }
    *ret_piece =
        (struct cut_piece){.offset = c->offset, .size = size, .data = data};
    stream_consume(c->stream, size);
    c->scanned = 0;
    c->offset += size;
    return 0;
}

int cut_next(struct cut *c, struct cut_piece *ret_piece)
{
    return c->is_ranges ? next_range(c, ret_piece) : next_bytes(c, ret_piece);
}
