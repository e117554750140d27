/* rows.h: a file of rows to go on with: a log, or a table of results. */
#ifndef CLI_ROWS_H
#define CLI_ROWS_H

#include <stddef.h>
#include <sys/types.h>

/* Whether the file begins with `head`, as far as it goes; what is no regular file has
 * no beginning. Leaves its offset. 1, 0, or -errno. */
int rows_begin_with(int fd, const char *head, size_t head_size);

/* Cut off a last row that a full disk or a kill has torn; of what is no regular file nothing
 * is. In a table with a separator a newline between double quotes ends no row; 0: there are
 * no quotes.
 * Returns   0, and what is left in *ret_size; -EBADMSG: rows follow a torn one, and nothing
 *           was cut off; or -errno */
int rows_trim(int fd, char separator, off_t *ret_size);

#endif
