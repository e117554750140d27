/* read.c: reading a part of a file. */
#include "sys/read.h"

#include <errno.h>
#include <unistd.h>

ssize_t mui_read_at(int fd, void *bytes, size_t size, uint64_t offset)
{
    size_t got = 0;

    while (got < size) {
        ssize_t n =
            pread(fd, (char *)bytes + got, size - got, (off_t)(offset + got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}
