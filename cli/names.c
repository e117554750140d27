/* names.c: the words of a run, from the command line or from a stream. */
#include "names.h"

#include <string.h>

#include "muster/base.h"

static int next_line(struct names *n, const char **ret_name, size_t *ret_size)
{
    for (;;) {
        size_t size;
        const char *data = stream_data(n->stream, &size);
        const char *end;
        int rc;

        end = size > n->scanned
                  ? memchr(data + n->scanned, n->delimiter, size - n->scanned)
                  : NULL;
        if (end) {
            *ret_name = data;
            *ret_size = (size_t)(end - data);
            /* consumed bytes stay where they are until the next fill */
            stream_consume(n->stream, *ret_size + 1);
            n->scanned = 0;
            return 0;
        }
        n->scanned = size;
        if (!n->at_end) {
            rc = stream_fill(n->stream);
            if (rc == 0)
                continue;
            if (rc != MU_EMPTY)
                return rc;
            n->at_end = 1;
        }
        if (size == 0)
            return MU_EMPTY;
        /* the last line lacks its end */
        data = stream_data(n->stream, &size);
        *ret_name = data;
        *ret_size = size;
        stream_consume(n->stream, size);
        n->scanned = 0;
        return 0;
    }
}

void names_hold(struct names *n)
{
    if (n->stream)
        stream_hold(n->stream);
}

void names_rewind(struct names *n)
{
    n->i_arg = 0;
    n->scanned = 0;
    n->at_end = 0;
    if (n->stream)
        stream_rewind(n->stream);
}

int names_next(struct names *n, const char **ret_name, size_t *ret_size)
{
    if (!n->args)
        return next_line(n, ret_name, ret_size);
    if (n->i_arg == n->n_args)
        return MU_EMPTY;
    *ret_name = n->args[n->i_arg++];
    *ret_size = strlen(*ret_name);
    return 0;
}
