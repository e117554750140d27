/* cut.h: a file or a stream in pieces: records of N bytes, or chunks of about N
 * bytes that end with a line. Large pieces of a regular file are ranges to be
 * mapped by the worker; everything else is bytes. */
#ifndef CLI_CUT_H
#define CLI_CUT_H

#include <stddef.h>
#include <stdint.h>

#include "stream.h"

struct cut {
    struct stream *stream;
    uint64_t piece_bytes;
    uint64_t offset; /* of the next piece */
    int is_lines;    /* pieces end after a newline */
    int is_ranges;   /* pieces are ranges of the file */
    int at_end;      /* the stream has no more bytes than are buffered */
    size_t scanned;  /* buffered bytes behind piece_bytes with no newline */
};

struct cut_piece {
    uint64_t offset;
    uint64_t size;
    const void *data; /* NULL for a range */
};

/* Begin at the start of `stream`, which is borrowed. */
void cut_init(struct cut *c, struct stream *stream, uint64_t piece_bytes,
              int is_lines);

/* Returns   0; MU_EMPTY; MU_TIMEOUT: not there yet; -1: said why */
int cut_next(struct cut *c, struct cut_piece *ret_piece);

#endif
