/* progress.c: one line on standard error while tasks run. */
#include "progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "muster/base.h"

#define DRAW_NS  (INT64_C(1000000000) / 10)
#define NS_PER_S 1e9

enum { BAR_COLUMNS_MIN = 10, BAR_COLUMNS_MAX = 40 };

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

static void put_bar(struct text *t, double share, unsigned columns)
{
    unsigned full = (unsigned)(share * columns);

    text_printf(t, "%3.0f%% [", share * 100);
    for (unsigned i = 0; i < columns; i++)
        text_putc(t, i < full ? '#' : '.');
    text_put(t, "] ");
}

void progress_format(const struct progress *p, const struct progress_state *s,
                     int64_t now, unsigned width, struct text *ret_line)
{
    double seconds = (double)(now - p->start_ns) / NS_PER_S;
    double rate = seconds > 0 ? (double)s->n_ended / seconds : 0;
    uint64_t total = s->n_total;
    unsigned columns = width > 60 ? width - 50 : BAR_COLUMNS_MIN;

    if (columns > BAR_COLUMNS_MAX)
        columns = BAR_COLUMNS_MAX;
    /* an estimate can be behind what has happened */
    if (total && total < s->n_ended)
        total = s->n_ended;
    if (p->bar && total)
        put_bar(ret_line, (double)s->n_ended / (double)total, columns);
    if (p->counts)
        text_printf(ret_line, "%llu running, ",
                    (unsigned long long)s->n_running);
    text_printf(ret_line, "%llu", (unsigned long long)s->n_ended);
    if (total)
        text_printf(ret_line, "/%llu", (unsigned long long)total);
    text_put(ret_line, " done");
    if (s->n_failed)
        text_printf(ret_line, ", %llu failed", (unsigned long long)s->n_failed);
    text_printf(ret_line, rate < 10 ? ", %.1f/s" : ", %.0f/s", rate);
    if ((p->eta || p->bar) && total && rate > 0) {
        text_put(ret_line, ", ");
        put_duration(ret_line, (double)(total - s->n_ended) / rate);
        text_put(ret_line, " left");
    }
    if (ret_line->size > width) {
        ret_line->size = width;
        ret_line->data[width] = '\0';
    }
}

static unsigned terminal_width(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 20)
        return PROGRESS_WIDTH_DEFAULT;
    return size.ws_col;
}

static void draw(struct progress *p, const struct progress_state *s,
                 int64_t now, const char *end)
{
    unsigned width = terminal_width() - 1;
    struct text line = {0};

    text_putc(&line, '\r');
    {
        struct text content = {0};

        progress_format(p, s, now, width, &content);
        text_append(&line, content.data, content.size);
        /* over what a longer line left */
        for (size_t i = content.size; i < width; i++)
            text_putc(&line, ' ');
        text_fini(&content);
    }
    text_put(&line, end);
    /* a terminal that is gone is no reason to stop */
    if (write(STDERR_FILENO, line.data, line.size) < 0)
        p->bar = p->counts = p->eta = 0;
    p->was_drawn = 1;
    text_fini(&line);
}

void progress_draw(struct progress *p, const struct progress_state *s,
                   int64_t now)
{
    if (!shows(p) || now < p->next_ns)
        return;
    draw(p, s, now, "");
    p->next_ns = now + DRAW_NS;
}

void progress_end(struct progress *p, const struct progress_state *s,
                  int64_t now)
{
    if (shows(p))
        draw(p, s, now, "\n");
}

int64_t progress_deadline(const struct progress *p)
{
    return shows(p) ? p->next_ns : MU_NEVER;
}
