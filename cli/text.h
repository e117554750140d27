/* text.h: a run of bytes that grows. The command cannot do without memory: when
 * there is none, these say so and end it with status 255. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stddef.h>

#include "muster/base.h"

/* {0} is empty. data[size] is always 0 once anything was appended. */
struct text {
    char *data;
    size_t size;
    size_t capacity;
};

/* Make room for `size` more bytes and a byte of 0; returns where they go. */
char *text_reserve(struct text *t, size_t size);
void text_append(struct text *t, const void *bytes, size_t size);
/* The same where a task or an input may fail alone. Return 0, or -ENOMEM: nothing was
 * appended. The room begins at data + size */
int text_try_reserve(struct text *t, size_t size);
int text_try_append(struct text *t, const void *bytes, size_t size);
/* With a byte of 0 behind it, which counts. */
int text_try_append_ended(struct text *t, const void *bytes, size_t size);
void text_put(struct text *t, const char *string);
void text_putc(struct text *t, char c);
void text_printf(struct text *t, const char *format, ...) MU_PRINTF(2, 3);
void text_clear(struct text *t);
/* Keep the first `size` bytes of what is there. */
void text_cut(struct text *t, size_t size);
void text_fini(struct text *t);

/* The string, "" when empty. Lent until the next change. */
const char *text_string(const struct text *t);

/* Append it quoted for a POSIX shell, the way GNU parallel does: as it is when it
 * has nothing special, '' when empty, else in single quotes with each single
 * quote in double quotes. */
void text_put_shell(struct text *t, const char *bytes, size_t size);

/* Append a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void text_put_json(struct text *t, const char *bytes, size_t size);

/* The length of the UTF-8 sequence at the start of size > 0 bytes, 0 when there is
 * none. */
size_t text_utf8_length(const char *bytes, size_t size);

/* Append a number for people: "1,234,567", "12.3", "0.12". */
void text_put_number(struct text *t, double number);

/* Memory that is there or ends the command, and a string copied into such. */
void *text_alloc(size_t n, size_t size);
char *text_copy(const char *string);

#endif
