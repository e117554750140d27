/* joblog.h: the log of ended tasks in GNU parallel's format, and what it says has
 * run already. */
#ifndef CLI_JOBLOG_H
#define CLI_JOBLOG_H

#include <stddef.h>
#include <stdint.h>

#include "ended.h"
#include "options.h"
#include "text.h"

/* Numbers of inputs. {0} is empty. */
struct seq_set {
    uint64_t *bits;
    size_t n_words;
};
int seq_set_has(const struct seq_set *s, uint64_t seq);
void seq_set_fini(struct seq_set *s);

/* The largest number a log may hold; beyond it the line is called wrong. A set of so
 * many takes 120 MiB. */
#define JOBLOG_SEQ_MAX UINT64_C(1000000000)

/* Read the lines of a log: those that count as run go into *ret_run.
 * Returns   the bytes of whole lines (a torn last line counts as not written), or
 *           -1 after saying which line is wrong */
int64_t joblog_parse(const char *path, const char *text, size_t size,
                     enum resume resume, struct seq_set *ret_run);

struct joblog {
    int fd; /* -1: none */
    const char *path;
};

/* Read the log for --resume, and of +FILE whether it is one; leaves it unchanged. A
 * log that does not exist is empty.
 * Returns   0, or -1 after saying why */
int joblog_load(const char *path, enum resume resume, struct seq_set *ret_run);

/* Open the log for writing: anew, or to go on (--resume, or +FILE) behind its last
 * whole line. Call joblog_load() first.
 * Returns   0, or -1 after saying why */
int joblog_open(struct joblog *log, const char *path, enum resume resume);

/* Returns   0, or -1 after saying why what was written may be lost */
int joblog_close(struct joblog *log);

/* Append one line, in one write(): call it when the output is out. Ends the command
 * when the log cannot be written. */
void joblog_write(struct joblog *log, const struct ended *e);

/* The line, for tests and for joblog_write(). */
void joblog_format(const struct ended *e, struct text *ret_line);

#endif
