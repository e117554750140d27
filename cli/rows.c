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

/* A row begins with its number, ":", two times and four numbers, none of them quoted. */
enum { I_HOST = 1, I_TIMES = 2, I_NUMBERS = 4, N_BEGIN = 8, TIME_DIGITS = 3 };

/* Of a table with a separator: where in a field, and what was seen of the row. A word is what
 * stands between two separators, also within quotes.
 *
 * A row that others were written behind while it was torn: in its first fields, then one of
 * those is no number; in another, then it has more fields than the table; within quotes,
 * then the next quote, which opens a field, seems to close this one, and is not followed by
 * a separator; or no quote follows, and rows seem to begin within quotes that nothing
 * closes. Values may look like the beginning of a row, so that alone tells nothing. */
struct table {
    char separator;
    enum { FIELD_START, FIELD_PLAIN, FIELD_QUOTED, FIELD_QUOTE } at;
    int n_fields;    /* of the row, that have ended */
    int n_named;     /* by the first row, which is the head: 0 in that one */
    int i_next;      /* which field of a beginning the next word may be */
    int has_row;     /* behind its own beginning there is another */
    int quotes_row;  /* also within quotes, */
    int quotes_pair; /* with a quote behind it that is part of a value */
    int n_quotes;    /* one behind the other, up to here */

    char word[64]; /* as much of it as there is room for */
    size_t word_size;
};

static void word_begin(struct table *t)
{
    t->word_size = 0;
}

static void word_go_on(struct table *t, char c)
{
    if (t->word_size < sizeof t->word)
        t->word[t->word_size] = c;
    t->word_size++;
}

static int word_is_number(const struct table *t)
{
    for (size_t i = 0; i < t->word_size; i++)
        if (i == sizeof t->word || !t->word[i] ||
            !strchr("0123456789.-", t->word[i]))
            return 0;
    return t->word_size > 0;
}

/* Whether it can be that field of what a row begins with, as we write it. */
static int word_fits(const struct table *t, int i_field)
{
    if (i_field == I_HOST)
        return t->word_size == 1 && t->word[0] == ':';
    if (!word_is_number(t))
        return 0;
    return i_field >= I_NUMBERS ||
           (t->word_size > TIME_DIGITS &&
            t->word[t->word_size - TIME_DIGITS - 1] == '.');
}

/* Returns 1 behind what a row begins with. */
static int word_end(struct table *t)
{
    if (word_fits(t, t->i_next))
        t->i_next++;
    else
        t->i_next = word_fits(t, I_HOST) ? I_TIMES : I_HOST;
    word_begin(t);
    if (t->i_next < N_BEGIN)
        return 0;
    t->i_next = I_HOST;
    return 1;
}

static void row_begin(struct table *t)
{
    t->at = FIELD_START;
    t->n_fields = 0;
    t->i_next = I_HOST;
    t->has_row = 0;
    t->quotes_row = 0;
    t->quotes_pair = 0;
    word_begin(t);
}

static int is_in_beginning(const struct table *t)
{
    return t->n_named && t->n_fields < N_BEGIN;
}

/* Returns 0, or -EBADMSG. */
static int field_end(struct table *t, int is_last)
{
    if (is_in_beginning(t) && t->n_fields != I_HOST && !word_is_number(t))
        return -EBADMSG;
    t->n_fields++;
    t->at = FIELD_START;
    if (word_end(t) && t->n_fields != N_BEGIN)
        t->has_row = 1;
    if (!is_last)
        return 0;
    if (!t->n_named)
        t->n_named = t->n_fields;
    else if (t->has_row && t->n_fields > t->n_named)
        return -EBADMSG;
    row_begin(t);
    return 0;
}

static void go_on_in_quotes(struct table *t, char c)
{
    if (c == '"')
        t->at = FIELD_QUOTE;
    else if (t->n_quotes == 2)
        t->quotes_pair |= t->quotes_row;
    if (c != t->separator && c != '\n')
        word_go_on(t, c);
    else if (word_end(t))
        t->quotes_row = 1;
    if (c == '\n')
        t->i_next = I_HOST;
}

/* Of what is no separator: a quote opens a field that it begins, and behind the one that
 * closes it the field ends. */
static int is_misquoted(const struct table *t, char c)
{
    if (t->at == FIELD_QUOTE)
        return c != '"';
    return t->at == FIELD_PLAIN && c == '"';
}

/* Returns 1 behind a row, 0 in it; -EBADMSG: it is none. */
static int table_go_on(struct table *t, char c)
{
    int rc = 0;

    if (t->at == FIELD_QUOTED) {
        go_on_in_quotes(t, c);
    } else if (c == t->separator || c == '\n') {
        rc = field_end(t, c == '\n');
        if (rc == 0)
            rc = c == '\n';
    } else if (is_misquoted(t, c)) {
        rc = -EBADMSG;
    } else if (c == '"') {
        rc = t->at == FIELD_START && is_in_beginning(t) ? -EBADMSG : 0;
        t->at = FIELD_QUOTED;
        word_go_on(t, c);
    } else {
        t->at = FIELD_PLAIN;
        word_go_on(t, c);
    }
    t->n_quotes = c == '"' ? t->n_quotes + 1 : 0;
    return rc;
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
    if (n < 0)
        return -errno;
    return t.quotes_row && !t.quotes_pair ? -EBADMSG : end;
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
