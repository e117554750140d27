/* progress.c: one line on standard error while tasks run. */
#include "progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "muster/base.h"

#include "whole.h"

#define DRAW_NS  (INT64_C(1000000000) / 10)
#define PLAIN_NS INT64_C(1000000000) /* where it is no terminal */
#define NS_PER_S 1e9

enum {
    BAR_COLUMNS_MIN = 5,
    BAR_COLUMNS_MAX = 40,
    BAR_ENDS = 8, /* "100% [" and "] " */
    TEXT_COLUMNS =
        42 /* what is mostly enough: so that the bar keeps its size */
};

static int shows(const struct progress *p)
{
    return p->bar || p->counts || p->eta;
}

static void put_duration(struct text *t, double seconds)
{
    unsigned long s = (unsigned long)(seconds + 0.5);

    if (s >= 3600)
        text_printf(t, "%luh%02lum", s / 3600, s / 60 % 60);
    else if (s >= 60)
        text_printf(t, "%lum%02lus", s / 60, s % 60);
    else
        text_printf(t, "%lus", s);
}

/* In the columns that the text leaves; without room for a bar, the number alone. */
static void put_bar(struct text *t, uint64_t done, uint64_t total,
                    unsigned width, size_t text_columns)
{
    const double share = (double)done / (double)total;
    /* not rounded: 100 is all */
    const unsigned percent = (unsigned)((double)done * 100 / (double)total);
    unsigned columns = 0;
    unsigned full;

    if (text_columns < TEXT_COLUMNS &&
        width >= TEXT_COLUMNS + BAR_ENDS + BAR_COLUMNS_MIN)
        text_columns = TEXT_COLUMNS;
    if (width > text_columns + BAR_ENDS)
        columns = width - (unsigned)text_columns - BAR_ENDS;
    if (columns > BAR_COLUMNS_MAX)
        columns = BAR_COLUMNS_MAX;
    if (columns < BAR_COLUMNS_MIN) {
        text_printf(t, "%u%% ", percent);
        return;
    }
    full = (unsigned)(share * columns);
    text_printf(t, "%3u%% [", percent);
    for (unsigned i = 0; i < columns; i++)
        text_putc(t, i < full ? '#' : '.');
    text_put(t, "] ");
}

static void put_counts(struct text *t, const struct progress *p,
                       const struct progress_state *s, uint64_t done,
                       uint64_t total, double seconds)
{
    double rate = seconds > 0 ? (double)s->n_ended / seconds : 0;

    if (p->counts)
        text_printf(t, "%llu running, ", (unsigned long long)s->n_running);
    text_printf(t, "%llu", (unsigned long long)done);
    if (total)
        text_printf(t, "/%llu", (unsigned long long)total);
    text_put(t, " done");
    if (s->n_failed)
        text_printf(t, ", %llu failed", (unsigned long long)s->n_failed);
    text_printf(t, rate < 10 ? ", %.1f/s" : ", %.0f/s", rate);
    if ((p->eta || p->bar) && total && rate > 0) {
        text_put(t, ", ");
        put_duration(t, (double)(total - done) / rate);
        text_put(t, " left");
    }
}

void progress_format(const struct progress *p, const struct progress_state *s,
                     int64_t now, unsigned width, struct text *ret_line)
{
    size_t start = ret_line->size;
    struct text counts = {0};
    const uint64_t done = s->n_before + s->n_ended;
    uint64_t total = s->n_total;

    /* an estimate can be behind what has happened */
    if (total && total < done)
        total = done;
    put_counts(&counts, p, s, done, total,
               (double)(now - p->start_ns) / NS_PER_S);
    if (p->bar && total)
        put_bar(ret_line, done, total, width, counts.size);
    text_append(ret_line, counts.data, counts.size);
    text_fini(&counts);
    if (ret_line->size - start > width)
        text_cut(ret_line, start + width);
}

/* 0: it is no terminal. */
static unsigned terminal_width(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0)
        return 0;
    return size.ws_col ? size.ws_col : PROGRESS_WIDTH_DEFAULT;
}

/* On a terminal over the line before, and over what is left of that where it was
 * longer; else a line of its own. */
static void draw(struct progress *p, const struct progress_state *s,
                 int64_t now, unsigned terminal, const char *end)
{
    unsigned width = (terminal ? terminal : PROGRESS_WIDTH_DEFAULT) - 1;
    struct text line = {0};
    size_t start;

    if (terminal)
        text_putc(&line, '\r');
    start = line.size;
    text_append(&line, "", 0);
    progress_format(p, s, now, width, &line);
    while (terminal && line.size - start < width)
        text_putc(&line, ' ');
    text_put(&line, end);
    /* a terminal that is gone is no reason to stop */
    if (whole_write(STDERR_FILENO, line.data, line.size) < 0)
        p->bar = p->counts = p->eta = 0;
    text_fini(&line);
}

void progress_draw(struct progress *p, const struct progress_state *s,
                   int64_t now)
{
    unsigned terminal;

    if (!shows(p) || now < p->next_ns)
        return;
    terminal = terminal_width();
    if (terminal || p->next_ns) /* else there is nothing to tell yet */
        draw(p, s, now, terminal, terminal ? "" : "\n");
    p->next_ns = now + (terminal ? DRAW_NS : PLAIN_NS);
}

void progress_end(struct progress *p, const struct progress_state *s,
                  int64_t now)
{
    if (shows(p))
        draw(p, s, now, terminal_width(), "\n");
}

int64_t progress_deadline(const struct progress *p)
{
    return shows(p) ? p->next_ns : MU_NEVER;
}
