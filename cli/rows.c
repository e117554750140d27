/* rows.c: a file of rows to go on with. */
#include "rows.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024, HEAD_BYTES_MAX = 64 };

int rows_begin_with(int fd, const char *head, size_t head_size)
{
    char bytes[HEAD_BYTES_MAX];
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return 1;
    n = pread(fd, bytes, head_size < sizeof bytes ? head_size : sizeof bytes,
              0);
    return n < 0 ? -errno : memcmp(bytes, head, (size_t)n) == 0;
}

/* From the beginning on: only there it is known that no quote is open. */
int rows_trim(int fd, int has_quotes, off_t *ret_size)
{
    char bytes[READ_BYTES];
    struct stat st;
    off_t size = 0;
    off_t end = 0; /* of the last whole row */
    int is_quoted = 0;
    ssize_t n;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode)) {
        *ret_size = 0;
        return 0;
    }
    while ((n = pread(fd, bytes, sizeof bytes, size)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (bytes[i] == '\n' && !is_quoted)
                end = size + i + 1;
            else if (bytes[i] == '"' && has_quotes)
                is_quoted = !is_quoted;
        }
        size += n;
    }
    if (n < 0 || (end < size && ftruncate(fd, end) < 0))
        return -errno;
    *ret_size = end;
    return 0;
}
