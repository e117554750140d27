/* whole.h: whole files read, whole runs of bytes written. */
#ifndef CLI_WHOLE_H
#define CLI_WHOLE_H

#include <stddef.h>

#include "text.h"

/* Append the contents of a regular file.
 * Returns 0; -EINVAL when it is none, -EFBIG when it is longer; or -errno */
int whole_read(const char *path, size_t size_max, struct text *ret);

/* Write all the bytes. 0; -EINTR: nobody took them, and a signal came; or -errno. */
int whole_write(int fd, const char *bytes, size_t size);

/* The same; ends the command when it cannot be done, with `what` and `path`, one
 * behind the other, in the message. */
void whole_write_or_die(int fd, const char *what, const char *path,
                        const char *bytes, size_t size);

/* What only close() would tell of what was written: that a quota, a disk or a server
 * did not take it after all. The file stays open. 0 or -errno. */
int whole_settle(int fd);

/* Close it, which tells the same. */
int whole_close(int fd);

#endif
