/* contest.c: how what was found out is shown. */
#include "contest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "muster/pool.h"

#include "verdict.h"

enum { COLUMNS = 79 }; /* of what is said below the table */

struct contender *contest_add(struct contest *c, const char *model,
                              unsigned rounds)
{
    struct contender *m = &c->contenders[c->n_asked++];

    m->model = model;
    m->isolates = mu_model_isolates(model) == 1;
    m->rates = text_alloc(rounds, sizeof(double));
    m->cpu_seconds = text_alloc(rounds, sizeof(double));
    m->peak_bytes = text_alloc(rounds, sizeof(double));
    m->switches = text_alloc(rounds, sizeof(double));
    c->running[c->n++] = m;
    return m;
}

void contest_fini(struct contest *c)
{
    for (size_t i = 0; i < c->n_asked; i++) {
        struct contender *m = &c->contenders[i];

        free(m->full);
        text_fini(&m->broke);
        free(m->rates);
        free(m->cpu_seconds);
        free(m->peak_bytes);
        free(m->switches);
    }
}

void contest_keep_isolating(struct contest *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n; i++)
        if (c->running[i]->isolates)
            c->running[n++] = c->running[i];
    c->n = n;
}

int contest_all_failed(const struct contest *c)
{
    return c->n_failed == c->n_tasks;
}

int contest_has_broken(const struct contest *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->running[i]->broke.size)
            return 1;
    return 0;
}

/* A task that fails may be done sooner: such rates say nothing. */
static int is_left_out(const struct contest *c, const struct contender *m)
{
    return m->n_failed > c->n_failed;
}

/* All medians, ready to print; none of a model that broke off. */
struct row {
    const struct contender *contender;
    struct verdict_spread rate;
    struct verdict_spread cpu_seconds;
    struct verdict_spread peak_bytes; /* of the rounds where it is known */
    struct verdict_spread switches;
    double speedup; /* over serial; 0 when that did not run */
};

/* Sorted, those that nobody knows come first. */
static struct verdict_spread spread_of_known(double *values, size_t n)
{
    size_t n_unknown = 0;

    (void)verdict_spread_of(values, n);
    while (n_unknown < n && values[n_unknown] <= 0)
        n_unknown++;
    if (n_unknown == n)
        return (struct verdict_spread){0};
    return verdict_spread_of(values + n_unknown, n - n_unknown);
}

static void make_rows(const struct contest *c, struct row *rows)
{
    double serial = 0;

    for (size_t i = 0; i < c->n; i++) {
        const struct contender *m = c->running[i];

        rows[i] = (struct row){.contender = m};
        if (m->broke.size)
            continue;
        rows[i].rate = verdict_spread_of(m->rates, c->n_rounds);
        rows[i].cpu_seconds = verdict_spread_of(m->cpu_seconds, c->n_rounds);
        rows[i].peak_bytes = spread_of_known(m->peak_bytes, c->n_rounds);
        rows[i].switches = verdict_spread_of(m->switches, c->n_rounds);
        if (strcmp(m->model, "serial") == 0)
            serial = rows[i].rate.median;
    }
    for (size_t i = 0; serial > 0 && i < c->n; i++)
        rows[i].speedup = rows[i].rate.median / serial;
}

/* A column, to the right. */
static void put_number_cell(struct text *t, int width, double number)
{
    struct text cell = {0};

    text_put_number(&cell, number);
    text_printf(t, " %*s", width, cell.data);
    text_fini(&cell);
}

/* How far the lowest and the highest are from the median. */
static void put_spread_cell(struct text *t, int width,
                            const struct verdict_spread *s)
{
    char cell[32] = "";

    if (s->median > 0)
        (void)snprintf(cell, sizeof cell, "-%.0f%% +%.0f%%",
                       (1 - s->min / s->median) * 100,
                       (s->max / s->median - 1) * 100);
    text_printf(t, " %*s", width, cell);
}

static void put_row(struct text *t, const struct row *r)
{
    const struct contender *m = r->contender;

    text_printf(t, "%-21s", m->full ? m->full : m->model);
    if (m->broke.size) {
        text_printf(t, " %s\n", m->broke.data);
        return;
    }
    put_number_cell(t, 10, r->rate.median);
    put_spread_cell(t, 11, &r->rate);
    if (r->speedup > 0)
        text_printf(t, " %8.2f", r->speedup);
    else
        text_printf(t, " %8s", "-");
    put_number_cell(t, 7, r->cpu_seconds.median);
    if (r->peak_bytes.median > 0)
        put_number_cell(t, 7, r->peak_bytes.median / 1048576);
    else
        text_printf(t, " %7s", "-");
    put_number_cell(t, 9, r->switches.median);
    text_putc(t, '\n');
}

static void put_table(struct text *t, const struct contest *c,
                      const struct row *rows)
{
    text_printf(t, "%-21s %10s %11s %8s %7s %7s %9s\n", "model", "tasks/s",
                "spread", "speed-up", "CPU s", "PSS MiB", "switches");
    for (size_t i = 0; i < c->n; i++)
        put_row(t, &rows[i]);
}

/* Figures of something that is counted have no fraction. */
static void put_spread_json(struct text *t, const char *name,
                            const struct verdict_spread *s, int is_known,
                            int is_counted)
{
    if (!is_known)
        text_printf(t, ",\"%s\":null", name);
    else if (is_counted)
        text_printf(t, ",\"%s\":{\"median\":%.0f,\"min\":%.0f,\"max\":%.0f}",
                    name, s->median, s->min, s->max);
    else
        text_printf(t, ",\"%s\":{\"median\":%.6g,\"min\":%.6g,\"max\":%.6g}",
                    name, s->median, s->min, s->max);
}

static void put_row_json(struct text *t, const struct row *r)
{
    const struct contender *m = r->contender;
    const char *name = m->full ? m->full : m->model;
    int is_whole = !m->broke.size;

    text_put(t, "{\"model\":");
    text_put_json(t, name, strlen(name));
    put_spread_json(t, "per_second", &r->rate, is_whole, 0);
    if (r->speedup > 0)
        text_printf(t, ",\"speedup\":%.4g", r->speedup);
    put_spread_json(t, "cpu_seconds", &r->cpu_seconds, is_whole, 0);
    put_spread_json(t, "peak_pss_bytes", &r->peak_bytes,
                    r->peak_bytes.median > 0, 1);
    put_spread_json(t, "context_switches", &r->switches, is_whole, 1);
    text_printf(t, ",\"failed\":%llu", (unsigned long long)m->n_failed);
    if (!is_whole) {
        text_put(t, ",\"error\":");
        text_put_json(t, m->broke.data, m->broke.size);
    }
    text_putc(t, '}');
}

static void put_json(struct text *t, const struct contest *c,
                     const struct row *rows, const struct contender *take,
                     const struct text *why)
{
    text_printf(t, "{\"tasks\":%llu,\"failed\":%llu,\"rounds\":%u,\"models\":[",
                (unsigned long long)c->n_tasks, (unsigned long long)c->n_failed,
                c->n_rounds);
    for (size_t i = 0; i < c->n; i++) {
        text_put(t, i ? "," : "");
        put_row_json(t, &rows[i]);
    }
    text_put(t, "],\"take\":");
    if (take)
        text_put_json(t, take->model, strlen(take->model));
    else
        text_put(t, "null");
    text_put(t, ",\"why\":");
    text_put_json(t, why->data, why->size);
    text_put(t, "}\n");
}

/* Lines of at most COLUMNS, broken at blanks. */
static void put_wrapped(struct text *t, const char *words)
{
    size_t column = 0;

    while (*words) {
        size_t n = strcspn(words, " ");

        if (column && column + 1 + n > COLUMNS) {
            text_putc(t, '\n');
            column = 0;
        } else if (column) {
            text_putc(t, ' ');
            column++;
        }
        text_append(t, words, n);
        column += n;
        words += n + (words[n] == ' ');
    }
    text_putc(t, '\n');
}

static void put_left_out(struct text *t, const struct contest *c)
{
    const char *before = ": ";

    text_printf(
        t, "more tasks failed than before the first round (%llu of %llu)",
        (unsigned long long)c->n_failed, (unsigned long long)c->n_tasks);
    for (size_t i = 0; i < c->n; i++) {
        const struct contender *m = c->running[i];

        if (m->broke.size || !is_left_out(c, m))
            continue;
        text_printf(t, "%s%s (%llu)", before, m->model,
                    (unsigned long long)m->n_failed);
        before = ", ";
    }
    text_putc(t, '.');
}

/* The model to take, or NULL. */
static const struct contender *choose(const struct contest *c,
                                      const struct row *rows,
                                      struct text *ret_why)
{
    const struct contender *contenders[MODELS_MAX];
    struct verdict_model models[MODELS_MAX];
    size_t n_broken = 0;
    size_t n = 0;
    size_t chosen = 0;

    if (contest_all_failed(c)) {
        text_put(ret_why, "No verdict: all tasks failed.");
        return NULL;
    }
    for (size_t i = 0; i < c->n; i++) {
        const struct contender *m = c->running[i];

        n_broken += m->broke.size > 0;
        if (m->broke.size || is_left_out(c, m))
            continue;
        contenders[n] = m;
        models[n++] = (struct verdict_model){
            .name = m->model,
            .isolates = m->isolates,
            .rate = rows[i].rate,
        };
    }
    if (c->n_asked == 1) {
        text_put(ret_why, "No verdict: no other model was run.");
        return NULL;
    }
    if (n)
        chosen = verdict_choose(models, n, ret_why);
    else if (n_broken == c->n)
        text_put(ret_why, "No verdict: every model broke off.");
    if (n + n_broken < c->n) {
        text_put(ret_why, n ? " Left out, for " : "No verdict, for ");
        put_left_out(ret_why, c);
    }
    if (c->n_rounds == 1 && n > 1)
        text_put(ret_why, " One round cannot tell how much of this is noise: "
                          "--rounds 5 can.");
    return chosen < n ? contenders[chosen] : NULL;
}

void contest_put(struct text *t, struct contest *c, int tells)
{
    struct row rows[MODELS_MAX] = {0};
    struct text why = {0};

    make_rows(c, rows);
    (void)choose(c, rows, &why);
    put_table(t, c, rows);
    if (tells)
        put_wrapped(t, why.data);
    text_fini(&why);
}

void contest_put_json(struct text *t, struct contest *c)
{
    struct row rows[MODELS_MAX] = {0};
    struct text why = {0};
    const struct contender *chosen;

    make_rows(c, rows);
    chosen = choose(c, rows, &why);
    put_json(t, c, rows, chosen, &why);
    text_fini(&why);
}
