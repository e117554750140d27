/* read.h: reading a part of a file. */
#ifndef MUI_SYS_READ_H
#define MUI_SYS_READ_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Read what the file has of `size` bytes from `offset` on. How many those are; -errno. */
ssize_t mui_read_at(int fd, void *bytes, size_t size, uint64_t offset);

#endif
