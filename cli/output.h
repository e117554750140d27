/* output.h: what tasks give, on standard output and standard error: whole, one
 * task after another, through one large buffer. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "ended.h"
#include "text.h"

struct output {
    struct text buffer;
    int tag;
    int json;
    int discards; /* everything: muster compare */
};

/* Add what one task gave. */
void output_add(struct output *out, const struct ended *e);

/* Write what is buffered. Ends the command when nobody reads any more. */
void output_flush(struct output *out);

/* Returns   0, or -1 after saying why what was written may be lost */
int output_settle(const struct output *out);
void output_fini(struct output *out);

/* Print a page of the command's own; returns the exit status. Ends the command as
 * output_flush() does. */
int output_print(const char *page);

/* Append `size` bytes with "tag TAB" before each of their lines. */
void output_put_tagged(struct text *t, const char *tag, size_t tag_size,
                       const char *bytes, size_t size);

#endif
