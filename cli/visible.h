/* visible.h: the bytes of others in what is said to people: names of files, inputs,
 * options. A control character among them would drive the terminal, and a newline would
 * make a line that looks like ours. */
#ifndef CLI_VISIBLE_H
#define CLI_VISIBLE_H

#include <stddef.h>

#include "text.h"

enum { VISIBLE_BYTES = 8 };

/* The form of the first character of size > 0 bytes: itself, or \n, \033 and so on for
 * a control character and for what is not UTF-8. Signal-safe.
 * Returns   how many bytes the character has; *ret_size how many its form */
size_t visible_next(const char *bytes, size_t size,
                    char ret_form[VISIBLE_BYTES], size_t *ret_size);

/* Append the forms of all. */
void visible_put(struct text *t, const char *bytes, size_t size);

#endif
