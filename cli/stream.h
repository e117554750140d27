/* stream.h: the bytes of a descriptor, as they arrive.
 *
 * A regular file is read where it is asked for. Anything else (a pipe, a
 * terminal) is read by a thread of its own, so that the main thread goes on
 * taking outcomes while no bytes come; the thread reads ahead a bounded amount. It
 * opens a named pipe too, for that waits until somebody writes to it. */
#ifndef CLI_STREAM_H
#define CLI_STREAM_H

#include <stddef.h>
#include <stdint.h>

struct stream;

/* Open a file, or standard input for "-". Gives *ret_stream.
 * path      borrowed until stream_free()
 * Returns   0, or -1 after saying why */
int stream_open(const char *path, struct stream **ret_stream);
void stream_free(struct stream *s); /* accepts NULL */

/* What is buffered and not consumed; lent until stream_fill(). */
const char *stream_data(const struct stream *s, size_t *ret_size);
void stream_consume(struct stream *s, size_t size);

/* Buffer more bytes behind those that are there.
 * Returns   0: there are more; MU_EMPTY: the end was reached; MU_TIMEOUT: none have
 *           arrived yet, and wakeup_ring() comes when they have; -ENOMEM: there is
 *           no room for more, and what was buffered is gone, which was told nobody;
 *           -1: could not read, said why */
int stream_fill(struct stream *s);

/* Keep what is consumed from here on, so that stream_rewind() can go back to here: a
 * regular file is read again, the bytes of anything else stay in memory. */
void stream_hold(struct stream *s);
void stream_rewind(struct stream *s);

/* The size of a regular file, else 0; and the bytes consumed so far. */
uint64_t stream_file_size(const struct stream *s);
uint64_t stream_position(const struct stream *s);

/* Whether the name, as /dev/stdin and /dev/fd/3, is another file's, or nobody's, in a
 * worker process. */
int stream_is_of_process(const char *path);

/* The descriptor, for a regular file that a worker can open by its name; else -1. */
int stream_file(const struct stream *s);

#endif
