/* joblog.c: the log of ended tasks in GNU parallel's format. */
#include "joblog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rows.h"
#include "say.h"
#include "standard.h"
#include "whole.h"

static const char option[] = "--joblog "; /* in messages */
static const char header[] = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\t"
                             "Exitval\tSignal\tCommand\n";

enum { WORD_BITS = 64, N_COLUMNS = 9, WRONG_LINE_SHOWN = 60, HEAD_BYTES = 4 };

static void seq_set_add(struct seq_set *s, uint64_t seq)
{
    size_t word = (size_t)(seq / WORD_BITS);

    if (word >= s->n_words) {
        size_t n = word + 1 + s->n_words;
        uint64_t *bits = text_alloc(n, sizeof *bits);

        if (s->n_words)
            memcpy(bits, s->bits, s->n_words * sizeof *bits);
        free(s->bits);
        s->bits = bits;
        s->n_words = n;
    }
    s->bits[word] |= UINT64_C(1) << (seq % WORD_BITS);
}

int seq_set_has(const struct seq_set *s, uint64_t seq)
{
    size_t word = (size_t)(seq / WORD_BITS);

    return word < s->n_words && (s->bits[word] >> (seq % WORD_BITS) & 1);
}

void seq_set_fini(struct seq_set *s)
{
    free(s->bits);
    *s = (struct seq_set){0};
}

static void seq_set_remove(struct seq_set *s, uint64_t seq)
{
    if (seq_set_has(s, seq))
        s->bits[seq / WORD_BITS] &= ~(UINT64_C(1) << (seq % WORD_BITS));
}

struct line {
    uint64_t seq;
    int succeeded;
};

/* The columns that matter of [at, end), a line without its newline. */
static int parse_line(const char *at, const char *end, struct line *ret)
{
    const char *column[N_COLUMNS];
    char *rest;

    for (int i = 0; i < N_COLUMNS; i++) {
        const char *tab = memchr(at, '\t', (size_t)(end - at));

        column[i] = at;
        if (i == N_COLUMNS - 1)
            break;
        if (!tab)
            return -1;
        at = tab + 1;
    }
    if (column[0][0] < '0' || column[0][0] > '9')
        return -1;
    /* of a number that is too large: the largest */
    ret->seq = strtoull(column[0], &rest, 10);
    if (*rest != '\t' || ret->seq == 0 || ret->seq > JOBLOG_SEQ_MAX)
        return -1;
    ret->succeeded =
        strncmp(column[6], "0\t", 2) == 0 && strncmp(column[7], "0\t", 2) == 0;
    return 0;
}

/* Whether it begins as the header does, as far as there is any of it. */
static int is_head(const char *at, size_t size)
{
    return memcmp(at, header, size < HEAD_BYTES ? size : HEAD_BYTES) == 0;
}

static int refuse_line(const char *path, unsigned long n_line, const char *at,
                       size_t size)
{
    return say_refuse(
        "%s, line %lu is no line of a joblog: name the log of the run "
        "to go on with, not a file with: %.*s",
        path, n_line, (int)(size > WRONG_LINE_SHOWN ? WRONG_LINE_SHOWN : size),
        at);
}

int64_t joblog_parse(const char *path, const char *text, size_t size,
                     enum resume resume, struct seq_set *ret_run)
{
    const char *at = text;
    const char *end = text + size;
    const char *newline;
    unsigned long n_line = 0;

    if (is_head(text, size)) {
        newline = memchr(text, '\n', size);
        if (!newline)
            return 0;
        n_line++;
        at = newline + 1;
    }
    while (at < end) {
        struct line line;

        newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline && at > text)
            break;
        n_line++;
        if (!newline || parse_line(at, newline, &line) < 0)
            return refuse_line(path, n_line, at,
                               (size_t)((newline ? newline : end) - at));
        /* the last word about an input counts */
        if (resume == RESUME_UNFINISHED || line.succeeded)
            seq_set_add(ret_run, line.seq);
        else
            seq_set_remove(ret_run, line.seq);
        at = newline + 1;
    }
    return at - text;
}

static int read_log(const char *path, struct text *ret)
{
    int rc = whole_read(path, SIZE_MAX, ret);

    if (rc == 0 || rc == -ENOENT)
        return 0;
    if (rc == -EINVAL)
        return say_refuse(
            "--resume cannot read --joblog %s: it is no file: name "
            "one",
            path);
    return say_refuse("cannot read --joblog %s: %s", path, say_reason(-rc));
}

/* +FILE: nothing is cut off, nor appended to, what is no joblog. */
static int check_head(const char *path)
{
    int fd = open(standard_path(path), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int is_log;

    if (fd < 0)
        return 0; /* it is not there, or cannot be written either */
    is_log = rows_begin_with(fd, header, HEAD_BYTES);
    (void)close(fd);
    if (is_log < 0)
        return say_refuse("cannot read --joblog %s: %s", path,
                          say_reason(-is_log));
    if (!is_log)
        return say_refuse("%s is no joblog: name one to go on with, or a new "
                          "file",
                          path);
    return 0;
}

int joblog_load(const char *path, enum resume resume, struct seq_set *ret_run)
{
    struct text text = {0};
    int64_t whole = -1;
    int has_plus = path[0] == '+';

    path += has_plus;
    if (resume == RESUME_NO)
        return has_plus ? check_head(path) : 0;
    if (read_log(path, &text) == 0)
        whole =
            joblog_parse(path, text_string(&text), text.size, resume, ret_run);
    text_fini(&text);
    return whole < 0 ? -1 : 0;
}

int joblog_open(struct joblog *log, const char *path, enum resume resume)
{
    int goes_on = resume != RESUME_NO || path[0] == '+';
    off_t size = 0;
    int rc;

    log->path = path;
    if (strcmp(path, "-") == 0) {
        log->fd = fcntl(standard_output(), F_DUPFD_CLOEXEC, 3);
    } else {
        path += path[0] == '+';
        log->fd = open(standard_path(path),
                       O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC |
                           (goes_on ? 0 : O_TRUNC),
                       0666);
    }
    rc = log->fd < 0 ? -errno : 0;
    if (rc == 0 && goes_on)
        rc = rows_trim(log->fd, 0, &size);
    if (rc < 0)
        return say_refuse("cannot write to --joblog %s: %s", path,
                          say_reason(-rc));
    if (size == 0)
        whole_write_or_die(log->fd, option, path, header, sizeof header - 1);
    return 0;
}

int joblog_close(struct joblog *log)
{
    int rc = log->fd < 0 ? 0 : whole_close(log->fd);

    log->fd = -1;
    return rc ? say_refuse("cannot write to %s%s: %s", option, log->path,
                           say_reason(-rc))
              : 0;
}

void joblog_format(const struct ended *e, struct text *ret_line)
{
    size_t start;

    text_printf(ret_line, "%llu\t:\t%.3f\t%10.3f\t%llu\t%zu\t%d\t%d\t",
                (unsigned long long)e->seq, (double)e->start_ns / 1e9,
                (double)e->run_ns / 1e9, (unsigned long long)e->sent_bytes,
                e->out_size, ended_exit_value(e), e->signal);
    start = ret_line->size;
    text_append(ret_line, e->line, e->line_size);
    for (char *c = ret_line->data + start; c < ret_line->data + ret_line->size;
         c++)
        if (*c == '\n')
            *c = '\0';
    text_putc(ret_line, '\n');
}

void joblog_write(struct joblog *log, const struct ended *e)
{
    struct text line = {0};

    joblog_format(e, &line);
    whole_write_or_die(log->fd, option, log->path, line.data, line.size);
    text_fini(&line);
}
