/* compare.c: `muster compare`: the same work under several models, in turns, so
 * that a change of the machine's load hits all of them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "muster/pool.h"

#include "commands.h"
#include "run.h"
#include "say.h"
#include "standard.h"
#include "usage.h"
#include "verdict.h"
#include "wakeup.h"

enum {
    MODELS_MAX = 16,
    MODEL_BYTES = 256,
    COPY_BYTES = 64 * 1024,
    COLUMNS = 79,    /* of what is said below the table */
    FAILED_MAX = 101 /* as an exit status: more than 100 */
};

static const char default_models[] =
    "serial,threads,processes,processes/threads";

/* One model and its figures, one of each a round. */
struct contender {
    const char *model;
    char *full; /* with all counts */
    int isolates;
    uint64_t n_failed; /* in the round where most did */
    double *rates;
    double *cpu_seconds;
    double *peak_bytes;
    double *switches;
};

struct contest {
    struct options options;
    struct work work;
    struct contender contenders[MODELS_MAX];
    struct contender *running[MODELS_MAX]; /* of them, those that can */
    size_t n;
    unsigned n_rounds;  /* that are complete */
    uint64_t n_tasks;   /* of one run */
    uint64_t n_failed;  /* of the first run */
    struct text models; /* the words of --models */
    struct text spool;  /* where standard input was copied to */
    int spool_fd;
};

/* What is no file or directory can be read once. */
static int reads_once(const char *path)
{
    struct stat st;

    return strcmp(path, "-") == 0 ||
           (stat(standard_path(path), &st) == 0 && !S_ISREG(st.st_mode) &&
            !S_ISDIR(st.st_mode));
}

static int copy_to_spool(const struct contest *c, int fd, const char *path)
{
    char *bytes = text_alloc(1, COPY_BYTES);
    ssize_t n;

    while ((n = read(fd, bytes, COPY_BYTES)) > 0) {
        if (write(c->spool_fd, bytes, (size_t)n) != n) {
            free(bytes);
            return say_refuse("no memory to keep the inputs: give them as a "
                              "file, with -a");
        }
    }
    free(bytes);
    if (n < 0)
        return say_refuse("cannot read %s: %s", path, say_reason(errno));
    return 0;
}

/* Standard input or a pipe: keep it in memory, under a name that the workers can open
 * too. */
static int spool_input(struct contest *c, struct source *source)
{
    const char *path = source->file;
    int fd = standard_input();
    int rc;

    if (c->spool_fd >= 0)
        return say_refuse("%s can be read once, and every model reads it, as "
                          "another source of inputs: write it to a file",
                          path);
    c->spool_fd = memfd_create("muster-input", MFD_CLOEXEC);
    if (c->spool_fd < 0)
        return say_refuse("cannot keep the inputs: %s", say_reason(errno));
    if (strcmp(path, "-") == 0)
        path = "standard input";
    else
        fd = open(standard_path(path), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return say_refuse("cannot read %s: %s", path, say_reason(errno));
    rc = copy_to_spool(c, fd, path);
    if (fd != standard_input())
        (void)close(fd);
    if (rc < 0)
        return rc;
    text_printf(&c->spool, "/proc/%d/fd/%d", (int)getpid(), c->spool_fd);
    source->file = c->spool.data;
    return 0;
}

/* Inputs that can be read as often as there are runs. */
static int secure_inputs(struct contest *c)
{
    struct options *o = &c->options;
    const struct source *first = &o->sources[0];

    for (size_t i = 0; i < o->n_sources; i++) {
        struct source *s = &o->sources[i];

        if (!s->args && reads_once(s->file) && spool_input(c, s) < 0)
            return -1;
    }
    if (!options_inputs_are_files(o) || !first->args)
        return 0;
    for (size_t i = 0; i < first->n_args; i++)
        if (reads_once(first->args[i]))
            return say_refuse("%s can be read once, and every model reads it: "
                              "write it to a file",
                              first->args[i]);
    return 0;
}

/* The models of --models, each checked, and once. */
static int read_models(struct contest *c)
{
    char full[MODELS_MAX][MODEL_BYTES];
    char *at;
    char *rest;

    text_put(&c->models,
             c->options.models ? c->options.models : default_models);
    for (at = c->models.data; at; at = rest) {
        struct contender *m = &c->contenders[c->n];
        struct mu_error err = {0};

        rest = strchr(at, ',');
        if (rest)
            *rest++ = '\0';
        if (c->n == MODELS_MAX)
            return say_refuse(
                "--models: there are more than %d: leave some out", MODELS_MAX);
        if (mu_model_check(at, full[c->n], MODEL_BYTES, &err) < 0)
            return say_refuse("--models %s: %s", at, err.text);
        for (size_t i = 0; i < c->n; i++)
            if (strcmp(full[i], full[c->n]) == 0)
                return say_refuse("--models: %s and %s are the same: name each "
                                  "model once",
                                  c->contenders[i].model, at);
        m->model = at;
        m->isolates = mu_model_isolates(at) == 1;
        m->rates = text_alloc(c->options.rounds, sizeof(double));
        m->cpu_seconds = text_alloc(c->options.rounds, sizeof(double));
        m->peak_bytes = text_alloc(c->options.rounds, sizeof(double));
        m->switches = text_alloc(c->options.rounds, sizeof(double));
        c->running[c->n++] = m;
    }
    return 0;
}

struct figures {
    double seconds;
    uint64_t n_ended;
    uint64_t n_failed;
    uint64_t n_dead; /* tasks that took their process with them */
    struct usage_figures usage;
};

/* One run under one model. Returns 0, or -1 after saying why. */
static int run_once(struct contest *c, struct contender *m, struct figures *ret)
{
    struct options own = c->options; /* of this model */
    struct run r = {
        .options = &own,
        .work = c->work,
        .joblog = {.fd = -1},
        .output = {.discards = 1},
    };
    struct usage *usage = NULL;
    int64_t start = 0;
    int rc;

    if (strcmp(m->model, "serial") == 0) {
        own.jobs = NULL;
    }
    if (!m->isolates && !c->work.command)
        own.timeout_ns = 0;
    results_init(&r.results, NULL);
    rc = inputs_open(r.options, &r.inputs);
    if (rc == 0)
        rc = run_open_pool(&r, m->model);
    if (rc == 0) {
        usage = usage_start(r.pool);
        start = mu_now_ns();
        rc = c->options.reduce ? run_reduce(&r) : run_map(&r);
        ret->seconds = (double)(mu_now_ns() - start) / 1e9;
        usage_stop(usage, &ret->usage);
        if (!m->full)
            m->full = text_copy(mu_pool_model(r.pool));
        ret->n_ended = report_n_ended(&r.report);
        ret->n_failed = report_n_failed(&r.report);
        ret->n_dead = r.report.ended[MU_CRASHED] + r.report.ended[MU_EXITED] +
                      r.report.ended[MU_TIMED_OUT] +
                      r.report.ended[MU_OUT_OF_MEMORY] +
                      r.report.ended[MU_LOST];
        if (c->work.command)
            ret->n_dead = 0; /* it was a process of its own anyway */
    }
    rc = rc < 0 || r.is_broken ? -1 : 0;
    run_close(&r);
    return rc;
}

static void free_contenders(struct contest *c)
{
    for (size_t i = 0; i < MODELS_MAX; i++) {
        struct contender *m = &c->contenders[i];

        free(m->full);
        free(m->rates);
        free(m->cpu_seconds);
        free(m->peak_bytes);
        free(m->switches);
    }
}

static void keep_isolating(struct contest *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n; i++)
        if (c->running[i]->isolates)
            c->running[n++] = c->running[i];
    c->n = n;
}

/* One run that does not count: it brings files into memory, and shows whether the
 * work survives without isolation. */
static int warm_up(struct contest *c)
{
    struct contender trial = {.model = "processes", .isolates = 1};
    struct figures f = {0};
    int rc = run_once(c, &trial, &f);

    free(trial.full);
    if (rc < 0)
        return -1;
    c->n_tasks = f.n_ended;
    c->n_failed = f.n_failed;
    if (f.n_ended == 0)
        return say_refuse("there are no inputs: give some after :::, with -a, "
                          "or on standard input");
    if (f.n_dead == 0)
        return 0;
    keep_isolating(c);
    say("%llu of %llu tasks end their process: only models that isolate are "
        "compared",
        (unsigned long long)f.n_dead, (unsigned long long)f.n_ended);
    return c->n ? 0 : say_refuse("none of the models isolates: take processes");
}

static int run_rounds(struct contest *c)
{
    for (unsigned round = 0; round < c->options.rounds; round++) {
        for (size_t i = 0; i < c->n; i++) {
            /* nobody always follows the same neighbour */
            struct contender *m = c->running[(i + round) % c->n];
            struct figures f = {0};

            if (run_once(c, m, &f) < 0)
                return -1;
            if (f.n_failed > m->n_failed)
                m->n_failed = f.n_failed;
            m->rates[round] = (double)f.n_ended / f.seconds;
            m->cpu_seconds[round] = f.usage.cpu_seconds;
            m->peak_bytes[round] = (double)f.usage.peak_bytes;
            m->switches[round] = (double)f.usage.n_switches;
        }
        c->n_rounds = round + 1;
    }
    return 0;
}

/* All medians, ready to print. */
struct row {
    const struct contender *contender;
    struct verdict_spread rate;
    struct verdict_spread cpu_seconds;
    struct verdict_spread peak_bytes;
    struct verdict_spread switches;
    double speedup; /* over serial; 0 when that did not run */
};

static void make_rows(const struct contest *c, struct row *rows)
{
    double serial = 0;

    for (size_t i = 0; i < c->n; i++) {
        const struct contender *m = c->running[i];

        rows[i] = (struct row){
            .contender = m,
            .rate = verdict_spread_of(m->rates, c->n_rounds),
            .cpu_seconds = verdict_spread_of(m->cpu_seconds, c->n_rounds),
            .peak_bytes = verdict_spread_of(m->peak_bytes, c->n_rounds),
            .switches = verdict_spread_of(m->switches, c->n_rounds),
        };
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
    text_printf(t, "%-21s", r->contender->full);
    put_number_cell(t, 10, r->rate.median);
    put_spread_cell(t, 11, &r->rate);
    if (r->speedup > 0)
        text_printf(t, " %8.2f", r->speedup);
    else
        text_printf(t, " %8s", "-");
    put_number_cell(t, 7, r->cpu_seconds.median);
    put_number_cell(t, 7, r->peak_bytes.median / 1048576);
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

static void put_spread_json(struct text *t, const char *name,
                            const struct verdict_spread *s)
{
    text_printf(t, ",\"%s\":{\"median\":%.6g,\"min\":%.6g,\"max\":%.6g}", name,
                s->median, s->min, s->max);
}

static void put_json(struct text *t, const struct contest *c,
                     const struct row *rows, const char *take, const char *why)
{
    text_printf(t, "{\"tasks\":%llu,\"failed\":%llu,\"rounds\":%u,\"models\":[",
                (unsigned long long)c->n_tasks, (unsigned long long)c->n_failed,
                c->n_rounds);
    for (size_t i = 0; i < c->n; i++) {
        text_put(t, i ? ",{\"model\":" : "{\"model\":");
        text_put_json(t, rows[i].contender->full,
                      strlen(rows[i].contender->full));
        put_spread_json(t, "per_second", &rows[i].rate);
        if (rows[i].speedup > 0)
            text_printf(t, ",\"speedup\":%.4g", rows[i].speedup);
        put_spread_json(t, "cpu_seconds", &rows[i].cpu_seconds);
        put_spread_json(t, "peak_pss_bytes", &rows[i].peak_bytes);
        put_spread_json(t, "context_switches", &rows[i].switches);
        text_printf(t, ",\"failed\":%llu}",
                    (unsigned long long)rows[i].contender->n_failed);
    }
    text_put(t, "],\"take\":");
    if (take)
        text_put_json(t, take, strlen(take));
    else
        text_put(t, "null");
    text_put(t, ",\"why\":");
    text_put_json(t, why, strlen(why));
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

static int all_failed(const struct contest *c)
{
    return c->n_failed == c->n_tasks;
}

/* A task that fails may be done sooner: such rates say nothing. */
static int is_left_out(const struct contest *c, const struct contender *m)
{
    return m->n_failed > c->n_failed;
}

static void put_left_out(struct text *t, const struct contest *c)
{
    const char *before = ": ";

    text_printf(
        t, "more tasks failed than before the first round (%llu of %llu)",
        (unsigned long long)c->n_failed, (unsigned long long)c->n_tasks);
    for (size_t i = 0; i < c->n; i++) {
        if (!is_left_out(c, c->running[i]))
            continue;
        text_printf(t, "%s%s (%llu)", before, c->running[i]->model,
                    (unsigned long long)c->running[i]->n_failed);
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
    size_t n = 0;
    size_t chosen = 0;

    if (all_failed(c)) {
        text_put(ret_why, "No verdict: all tasks failed.");
        return NULL;
    }
    for (size_t i = 0; i < c->n; i++) {
        if (is_left_out(c, c->running[i]))
            continue;
        contenders[n] = c->running[i];
        models[n++] = (struct verdict_model){
            .name = c->running[i]->model,
            .isolates = c->running[i]->isolates,
            .rate = rows[i].rate,
        };
    }
    if (n)
        chosen = verdict_choose(models, n, ret_why);
    if (n < c->n) {
        text_put(ret_why, n ? " Left out, for " : "No verdict, for ");
        put_left_out(ret_why, c);
    }
    if (c->n_rounds == 1 && n > 1)
        text_put(ret_why, " One round cannot tell how much of this is noise: "
                          "--rounds 5 can.");
    return chosen < n ? contenders[chosen] : NULL;
}

static int print_result(struct contest *c)
{
    struct row rows[MODELS_MAX] = {0};
    struct text why = {0};
    struct text page = {0};
    const struct contender *chosen;
    int status;

    make_rows(c, rows);
    text_put(&why, "");
    chosen = choose(c, rows, &why);
    if (c->options.json) {
        put_json(&page, c, rows, chosen ? chosen->model : NULL, why.data);
    } else {
        put_table(&page, c, rows);
        if (!c->options.quiet)
            put_wrapped(&page, why.data);
        if (c->n_failed && !c->options.quiet)
            say("%llu of %llu tasks failed: muster map says which",
                (unsigned long long)c->n_failed,
                (unsigned long long)c->n_tasks);
    }
    status = output_print(page.data);
    text_fini(&why);
    text_fini(&page);
    return status;
}

int command_compare(int argc, char **argv)
{
    struct contest c = {.spool_fd = -1};
    const struct options *o = &c.options;
    int rc = -1;

    switch (options_read(&c.options, OPTIONS_COMPARE, argc, argv)) {
    case OPTIONS_HELP:
        return help_print(help_compare);
    case OPTIONS_WRONG:
        return SAY_EXIT_OTHER;
    default:
        break;
    }
    /* a signal ends it: there is no output of tasks to be saved */
    wakeup_init();
    if (read_models(&c) == 0 && work_open(&c.work, o) == 0 &&
        secure_inputs(&c) == 0 && warm_up(&c) == 0 && run_rounds(&c) == 0) {
        rc = print_result(&c);
    }
    if (rc == 0 && all_failed(&c))
        rc = c.n_failed < FAILED_MAX ? (int)c.n_failed : FAILED_MAX;
    else if (rc)
        rc = SAY_EXIT_OTHER;
    work_close(&c.work);
    free_contenders(&c);
    text_fini(&c.models);
    text_fini(&c.spool);
    if (c.spool_fd >= 0)
        (void)close(c.spool_fd);
    return rc;
}
