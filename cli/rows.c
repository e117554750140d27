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

/* Where the last line ends. -errno */
static off_t end_of_lines(int fd, off_t size)
{
    char bytes[READ_BYTES];

    while (size > 0) {
        size_t n = size < READ_BYTES ? (size_t)size : READ_BYTES;
        const char *newline;
        ssize_t n_read;

        size -= (off_t)n;
        n_read = pread(fd, bytes, n, size);
        if (n_read < 0)
            return -errno;
        newline = memrchr(bytes, '\n', (size_t)n_read);
        if (newline)
            return size + (newline - bytes) + 1;
    }
    return 0;
}

/* Of a table with a separator: where in a field, and what was seen of the row. */
struct table {
    char separator;
    enum { FIELD_START, FIELD_PLAIN, FIELD_QUOTED, FIELD_QUOTE } at;
    int is_colon;  /* the field is ":" so far */
    int is_number; /* or a number */
    int n_fields;  /* of the row, that have ended */
    int n_numbers; /* fields behind the last ":" when all are numbers; or -1 */
};

static void field_begin(struct table *t)
{
    t->at = FIELD_START;
    t->is_colon = 0;
    t->is_number = 1;
}

/* The beginning of a row has a colon and six numbers, in fields 2 to 8. */
static int field_end(struct table *t)
{
    enum { N_NUMBERS = 6, N_FIELDS = 8 };

    t->n_fields++;
    if (t->is_colon)
        t->n_numbers = 0;
    else if (!t->is_number || t->at == FIELD_START)
        t->n_numbers = -1;
    else if (t->n_numbers >= 0)
        t->n_numbers++;
    field_begin(t);
    return t->n_numbers == N_NUMBERS && t->n_fields != N_FIELDS ? -EBADMSG : 0;
}

static void row_begin(struct table *t)
{
    field_begin(t);
    t->n_fields = 0;
    t->n_numbers = -1;
}

/* Returns 1 behind a row, 0 in it; -EBADMSG: it is none. A quote opens a field that it
 * begins, and what follows the one that closes it is the end of the field: behind a row that
 * was torn within quotes neither is so. */
static int table_go_on(struct table *t, char c)
{
    int rc;

    if (t->at == FIELD_QUOTED) {
        t->at = c == '"' ? FIELD_QUOTE : FIELD_QUOTED;
        return 0;
    }
    if (c == t->separator || c == '\n') {
        rc = field_end(t);
        if (rc == 0 && c == '\n')
            row_begin(t);
        return rc ? rc : c == '\n';
    }
    if (t->at == FIELD_QUOTE && c != '"')
        return -EBADMSG;
    if (t->at == FIELD_PLAIN && c == '"')
        return -EBADMSG;
    t->is_colon = t->at == FIELD_START && c == ':';
    t->is_number &= (c >= '0' && c <= '9') || c == '.' || c == '-';
    t->at = c == '"' ? FIELD_QUOTED : FIELD_PLAIN;
    return 0;
}

/* From the beginning on: only there it is known that no quote is open. */
static off_t end_of_table(int fd, char separator)
{
    struct table t = {.separator = separator};
    char bytes[READ_BYTES];
    off_t size = 0;
    off_t end = 0;
    ssize_t n;

    row_begin(&t);
    while ((n = pread(fd, bytes, sizeof bytes, size)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            int rc = table_go_on(&t, bytes[i]);

            if (rc < 0)
                return rc;
            if (rc)
                end = size + i + 1;
        }
        size += n;
    }
    return n < 0 ? -errno : end;
}

int rows_trim(int fd, char separator, off_t *ret_size)
{
    struct stat st;
    off_t end = 0;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISREG(st.st_mode))
        end = separator ? end_of_table(fd, separator)
                        : end_of_lines(fd, st.st_size);
    if (end < 0)
        return (int)end;
    if (S_ISREG(st.st_mode) && end < st.st_size && ftruncate(fd, end) < 0)
        return -errno;
    *ret_size = end;
    return 0;
}
