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

/* How much of the line so far is the beginning of a row: its number, a separator, a colon
 * and another separator. */
enum start {
    START_NONE,
    START_LINE,
    START_NUMBER,
    START_HOST,
    START_END,
    START_ROW
};

static enum start start_go_on(enum start at, char c, char separator)
{
    if (c == '\n')
        return START_LINE;
    if (c >= '0' && c <= '9')
        return at == START_LINE || at == START_NUMBER ? START_NUMBER
                                                      : START_NONE;
    if (c == separator)
        return at == START_NUMBER ? START_HOST
               : at == START_END  ? START_ROW
                                  : START_NONE;
    return at == START_HOST && c == ':' ? START_END : START_NONE;
}

/* From the beginning on: only there it is known that no quote is open. Nor is it behind a
 * row that was torn within quotes and written behind: then others seem to lie in quotes. */
int rows_trim(int fd, char separator, off_t *ret_size)
{
    char bytes[READ_BYTES];
    struct stat st;
    enum start start = START_LINE;
    off_t size = 0;
    off_t end = 0; /* of the last whole row */
    int is_quoted = 0;
    int has_row = 0; /* within quotes */
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
            else if (bytes[i] == '"' && separator)
                is_quoted = !is_quoted;
            start = start_go_on(start, bytes[i], separator);
            has_row |= start == START_ROW && is_quoted;
        }
        size += n;
    }
    if (n < 0)
        return -errno;
    if (end < size && has_row)
        return -EBADMSG;
    if (end < size && ftruncate(fd, end) < 0)
        return -errno;
    *ret_size = end;
    return 0;
}
