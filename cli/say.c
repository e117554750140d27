/* say.c: one line for a person; and which word may have been meant. */
#include "say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "visible.h"
#include "whole.h"

enum { LINE_BYTES = 1024 };

static void say_line(const char *format, va_list args) MU_PRINTF(1, 0);

/* In one write, so that lines of several processes do not mix. Without the heap, of
 * which there may be no more. */
static void say_line(const char *format, va_list args)
{
    static const char start[] = "muster: ";
    char line[LINE_BYTES];
    char shown[LINE_BYTES * 4 + sizeof start];
    char form[VISIBLE_BYTES];
    size_t length;
    size_t size = sizeof start - 1;
    size_t n;

    if (vsnprintf(line, sizeof line, format, args) < 0)
        return;
    length = strlen(line);
    memcpy(shown, start, size);
    for (size_t i = 0; i < length; size += n) {
        i += visible_next(line + i, length - i, form, &n);
        memcpy(shown + size, form, n);
    }
    shown[size++] = '\n';
    (void)whole_write(STDERR_FILENO, shown, size);
}

void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say_line(format, args);
    va_end(args);
}

int say_refuse(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say_line(format, args);
    va_end(args);
    return -1;
}

void say_fatal(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say_line(format, args);
    va_end(args);
    exit(SAY_EXIT_OTHER); // NOLINT(concurrency-mt-unsafe): nothing to undo
}

const char *say_reason(int code)
{
    static const struct {
        int code;
        const char *remedy;
    } remedies[] = {
        {ENOENT, "check the name"},
        {ENOTDIR, "check the name"},
        {ELOOP, "check where the links lead"},
        {ENAMETOOLONG, "take a shorter name"},
        {EISDIR, "name a file"},
        {EACCES, "check who may use it, with ls -l"},
        {EPERM, "check who may use it, with ls -l"},
        {EROFS, "take a place that can be written"},
        {ENOSPC, "make room there"},
        {EDQUOT, "make room there"},
        {EFBIG, "raise ulimit -f"},
        {EMFILE, "raise ulimit -n"},
        {ENFILE, "end something else first"},
        {E2BIG, "give long inputs by standard input, with --each chunk=SIZE"},
        {ENOMEM, "take fewer with -j, or raise ulimit -v"},
        {EAGAIN, "take fewer with -j, or raise ulimit -u"},
        {ENOEXEC, "install it anew"},
        {EBADF, "it is closed: open or redirect it"},
        {EPIPE, "nobody reads it any more"},
        {EINTR, "a signal came, and nobody takes it"},
    };
    static _Thread_local char text[160];
    const char *what = strerrordesc_np(code);

    for (size_t i = 0; i < sizeof remedies / sizeof remedies[0]; i++)
        if (remedies[i].code == code) {
            (void)snprintf(text, sizeof text, "%s: %s", what,
                           remedies[i].remedy);
            return text;
        }
    return what ? what : "unknown error";
}

enum { WORD_MAX = 64 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t say_distance(const char *a, const char *b)
{
    /* rows i-2, i-1 and i of the table of Damerau and Levenshtein */
    size_t rows[3][WORD_MAX + 1];
    size_t n_a = strlen(a);
    size_t n_b = strlen(b);

    if (n_a > WORD_MAX || n_b > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= n_b; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        const size_t *before = rows[(i + 1) % 3];
        const size_t *above = rows[(i - 1) % 3];
        size_t *row = rows[i % 3];

        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t change = above[j - 1] + (a[i - 1] != b[j - 1]);

            row[j] = least(change, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return rows[n_a % 3][n_b];
}

void say_nearest_offer(struct say_nearest *n, const char *word)
{
    size_t distance = say_distance(n->typed, word);
    size_t length = strlen(n->typed);
    /* in a word of three letters another of them is another word */
    size_t limit = length <= 3 ? 1 : 1 + length / 3;

    /* a common beginning makes the rest more forgivable: --retry, --retries */
    if (length > 3 && strncmp(word, n->typed, 3) == 0)
        limit++;
    /* the beginning of a word is nearest: --keep for --keep-order */
    if (length >= 3 && strncmp(word, n->typed, length) == 0)
        distance = 0;
    if (distance > limit || distance >= length)
        return;
    if (!n->best || distance < n->distance) {
        n->best = word;
        n->distance = distance;
    }
}
