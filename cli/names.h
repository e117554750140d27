/* names.h: the words of a run: those after ":::", or the lines (or NUL-ended
 * records) of a stream. */
#ifndef CLI_NAMES_H
#define CLI_NAMES_H

#include <stddef.h>

#include "stream.h"

struct names {
    char **args; /* when not NULL: n_args words; else the stream */
    size_t n_args;
    size_t i_arg;
    struct stream *stream;
    char delimiter;
    size_t scanned; /* bytes of the stream known to hold no delimiter */
    int at_end;
};

/* The next word, lent until the next call; a byte of 0 follows it only when it
 * comes from the arguments.
 * Returns   as stream_fill() */
int names_next(struct names *n, const char **ret_name, size_t *ret_size);

/* Keep what is read from here on, so that names_rewind() can go back to here. */
void names_hold(struct names *n);
void names_rewind(struct names *n);

#endif
