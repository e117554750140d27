/* pipe.h: reading and writing pipes with neither SIGPIPE nor a changed file mode.
 * See pwritev2(2). */
#ifndef MUI_SYS_PIPE_H
#define MUI_SYS_PIPE_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Write to a pipe. `waits`: until all is written, or a signal came behind a part; else
 * as much as there is room for. The number of bytes; -EAGAIN; -EPIPE and no signal;
 * -errno, never -EINTR. */
ssize_t mui_pipe_write(int fd, const struct iovec *iov, int n, bool waits);

/* Read from a pipe. `waits`: for the first byte. The number of bytes, 0 at the end;
 * -EAGAIN; -errno. */
ssize_t mui_pipe_read(int fd, void *buffer, size_t size, bool waits);

/* Read what is in a pipe and leave it there; never waits. The number of bytes; -errno. */
ssize_t mui_pipe_peek(int fd, void *buffer, size_t size);

/* Let more bytes lie in it than by default: a message above 64 KiB costs a wake-up for
 * each 64 KiB otherwise. A pipe that may not be widened stays as it is. */
void mui_pipe_widen(int fd);

#endif
