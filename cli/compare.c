/* compare.c: `muster compare`: the same work under several models, in turns, so that a
 * change of the machine's load hits all of them. This process runs no task: each run is one
 * of its own, as `muster map` would be. */
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
#include "contest.h"
#include "inputs.h"
#include "output.h"
#include "round.h"
#include "run.h"
#include "say.h"
#include "standard.h"
#include "wakeup.h"
#include "watch.h"
#include "width.h"

enum {
    MODEL_BYTES = 256,
    COPY_BYTES = 64 * 1024,
    FAILED_MAX = 101 /* as an exit status: more than 100 */
};

static const char default_models[] =
    "serial,threads,processes,processes/threads";

struct comparison {
    struct options options;
    struct contest contest;
    struct rounds rounds;
    struct progress progress; /* of runs */
    uint64_t n_run;           /* of them */
    const char *model;        /* of the run that is next */
    struct text models;       /* the words of --models */
    struct text spool;        /* where standard input was copied to */
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

static int copy_to_spool(const struct comparison *c, int fd, const char *path)
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
static int spool_input(struct comparison *c, struct source *source)
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

static int refuse_once(const char *name)
{
    return say_refuse("%s can be read once, and every model reads it: write it "
                      "to a file",
                      name);
}

/* A word that is the name of a pipe, as <(...) is: who reads it first empties it. */
static int is_pipe(const char *word)
{
    struct stat st;

    return stat(standard_path(word), &st) == 0 && S_ISFIFO(st.st_mode);
}

static int refuse_pipes(char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_pipe(words[i]))
            return refuse_once(words[i]);
    return 0;
}

/* Inputs that can be read as often as there are runs. */
static int secure_inputs(struct comparison *c)
{
    struct options *o = &c->options;

    if (refuse_pipes(o->command, o->n_command) < 0)
        return -1;
    inputs_hint_terminal(o);
    for (size_t i = 0; i < o->n_sources; i++) {
        struct source *s = &o->sources[i];

        if (!s->args && reads_once(s->file) && spool_input(c, s) < 0)
            return -1;
        if (!s->args)
            continue;
        if (refuse_pipes(s->args, s->n_args) < 0)
            return -1;
        for (size_t k = 0; options_inputs_are_files(o) && k < s->n_args; k++)
            if (reads_once(s->args[k]))
                return refuse_once(s->args[k]);
    }
    return 0;
}

/* What serial runs without, for it runs one task at a time. */
static const char *jobs_of(const struct comparison *c, const char *model)
{
    return strcmp(model, "serial") == 0 ? NULL : c->options.jobs;
}

/* Whether it goes with -j, and what they come to: with -j 0 the least that may be. */
static int check_model(const struct comparison *c, const char *model,
                       char ret_full[MODEL_BYTES])
{
    struct text full = {0};
    struct mu_error err = {0};
    int rc = width_apply(model, jobs_of(c, model), mu_usable_cpus(), 1, &full);

    if (rc == 0 && mu_model_check(full.data, ret_full, MODEL_BYTES, &err) < 0)
        rc = say_refuse("--models %s: %s", model, err.text);
    text_fini(&full);
    return rc;
}

/* The models of --models, each checked, and once. */
static int read_models(struct comparison *c)
{
    char full[MODELS_MAX][MODEL_BYTES];
    char *at;
    char *rest;

    text_put(&c->models,
             c->options.models ? c->options.models : default_models);
    for (at = c->models.data; at; at = rest) {
        const size_t n = c->contest.n;

        rest = strchr(at, ',');
        if (rest)
            *rest++ = '\0';
        if (n == MODELS_MAX)
            return say_refuse(
                "--models: there are more than %d: leave some out", MODELS_MAX);
        if (check_model(c, at, full[n]) < 0)
            return -1;
        for (size_t i = 0; i < n; i++)
            if (strcmp(full[i], full[n]) == 0)
                return say_refuse("--models: %s and %s are the same: name each "
                                  "model once",
                                  c->contest.running[i]->model, at);
        (void)contest_add(&c->contest, at, c->options.rounds);
    }
    return 0;
}

static struct progress_state progress_of(const struct comparison *c)
{
    return (struct progress_state){
        .n_total = 1 + (uint64_t)c->options.rounds * c->contest.n,
        .n_ended = c->n_run,
    };
}

static int64_t look(void *ctx)
{
    struct comparison *c = ctx;
    const struct progress_state s = progress_of(c);

    progress_draw(&c->progress, &s, mu_now_ns());
    return progress_deadline(&c->progress);
}

/* No line of progress is to have something else behind it. */
static void end_progress(struct comparison *c)
{
    const struct progress_state s = progress_of(c);

    progress_end(&c->progress, &s, mu_now_ns());
}

/* In a process of its own: whether there is such a work. It need not wait for inputs to be
 * told so. */
static int try_work(void *ctx, struct round_report *report)
{
    const struct comparison *c = ctx;
    struct work work;
    int rc = work_open(&work, &c->options);

    (void)report;
    work_close(&work);
    return rc;
}

static void count(const struct run *r, struct round_report *report)
{
    const uint64_t *ended = r->report.ended;

    report->n_ended = report_n_ended(&r->report);
    report->n_failed = report_n_failed(&r->report);
    report->n_dead = 0;
    if (!r->work.command) /* which is a process of its own anyway */
        report->n_dead = ended[MU_CRASHED] + ended[MU_EXITED] +
                         ended[MU_TIMED_OUT] + ended[MU_OUT_OF_MEMORY] +
                         ended[MU_LOST];
}

/* All tasks, in a pool that is open. */
static int run_tasks(struct run *r, const struct watch_limit *limit,
                     struct round_report *report)
{
    struct watch *watch = NULL;
    int64_t start;
    int rc;

    if (watch_start(r->pool, limit, &watch) < 0)
        return -1;
    start = mu_now_ns();
    rc = r->options->reduce ? run_reduce(r) : run_map(r);
    report->seconds = (double)(mu_now_ns() - start) / 1e9;
    report->peak_bytes = watch_stop(watch);
    count(r, report);
    return rc;
}

/* One run under c->model, in a process of its own. */
static int run_model(void *ctx, struct round_report *report)
{
    const struct comparison *c = ctx;
    struct options own = c->options; /* of this model */
    struct watch_limit limit = {
        .words = report->words,
        .size = sizeof report->words,
    };
    struct run r = {
        .options = &own,
        .joblog = {.fd = -1},
        .output = {.discards = 1},
        .note = {.words = report->words, .size = sizeof report->words},
    };
    int rc = work_open(&r.work, &own);

    own.jobs = jobs_of(c, c->model);
    if (mu_model_isolates(c->model) != 1 && !r.work.command) {
        limit.timeout_ns = own.timeout_ns;
        own.timeout_ns = 0;
    }
    wakeup_init();
    results_init(&r.results, NULL);
    if (rc == 0)
        rc = inputs_open(r.options, &r.inputs);
    if (rc == 0) {
        round_begins(report);
        rc = run_open_pool(&r, c->model);
    }
    if (rc == 0) {
        (void)snprintf(report->model, sizeof report->model, "%s",
                       mu_pool_model(r.pool));
        rc = run_tasks(&r, &limit, report);
    }
    rc = rc < 0 || r.is_broken ? -1 : 0;
    run_close(&r);
    work_close(&r.work);
    return rc;
}

/* One run that does not count: it brings files into memory, and shows whether the
 * work survives without isolation. */
static int warm_up(struct comparison *c)
{
    struct contest *contest = &c->contest;
    struct round_report report;

    c->model = "processes";
    switch (round_run(&c->rounds, run_model, c, &report)) {
    case ROUND_WHOLE:
        break;
    case ROUND_BROKE:
        end_progress(c);
        return say_refuse("the run before the first round broke off: %s",
                          report.words);
    case ROUND_INTERRUPTED:
        end_progress(c);
        return say_refuse("interrupted before the first round: there are no "
                          "figures");
    default:
        return -1;
    }
    c->n_run++;
    contest->n_tasks = report.n_ended;
    contest->n_failed = report.n_failed;
    if (report.n_ended == 0)
        return say_refuse("there are no inputs: give some after :::, with -a, "
                          "or on standard input");
    if (report.n_dead == 0)
        return 0;
    contest_keep_isolating(contest);
    end_progress(c);
    say("%llu of %llu tasks end their process: only models that isolate are "
        "compared",
        (unsigned long long)report.n_dead, (unsigned long long)report.n_ended);
    return contest->n
               ? 0
               : say_refuse("none of the models isolates: take processes");
}

static void note_figures(struct contender *m, unsigned round,
                         const struct round_report *report)
{
    if (report->n_failed > m->n_failed)
        m->n_failed = report->n_failed;
    m->rates[round] = (double)report->n_ended / report->seconds;
    m->cpu_seconds[round] = report->used.cpu_seconds;
    m->peak_bytes[round] = (double)report->peak_bytes;
    m->switches[round] = (double)report->used.n_switches;
}

/* Returns 0, or -1 when there is no going on. */
static int run_round(struct comparison *c, struct contender *m, unsigned round)
{
    struct round_report report;
    enum round_end end;

    c->model = m->model;
    end = round_run(&c->rounds, run_model, c, &report);
    if (end == ROUND_REFUSED || end == ROUND_INTERRUPTED)
        return -1;
    if (!m->full && report.model[0])
        m->full = text_copy(report.model);
    if (end == ROUND_BROKE)
        text_printf(&m->broke, "broke off in round %u: %s", round + 1,
                    report.words);
    else
        note_figures(m, round, &report);
    return 0;
}

/* What is whole when a signal comes is shown. */
static int run_rounds(struct comparison *c)
{
    struct contest *contest = &c->contest;

    for (unsigned round = 0; round < c->options.rounds; round++) {
        for (size_t i = 0; i < contest->n; i++) {
            /* nobody always follows the same neighbour */
            struct contender *m = contest->running[(i + round) % contest->n];

            if (!m->broke.size && run_round(c, m, round) < 0) {
                end_progress(c);
                if (c->rounds.signal)
                    say(contest->n_rounds
                            ? "interrupted: these are the figures of the "
                              "rounds that are whole"
                            : "interrupted in the first round: there are no "
                              "figures");
                return c->rounds.signal && contest->n_rounds ? 0 : -1;
            }
            c->n_run++;
        }
        contest->n_rounds = round + 1;
    }
    end_progress(c);
    return 0;
}

static int print_result(struct comparison *c)
{
    struct contest *contest = &c->contest;
    struct text page = {0};
    int status;

    if (c->options.json)
        contest_put_json(&page, contest);
    else
        contest_put(&page, contest, !c->options.quiet);
    status = output_print(page.data);
    text_fini(&page);
    if (contest->n_failed && !c->options.quiet && !c->options.json)
        say("%llu of %llu tasks failed: muster map says which",
            (unsigned long long)contest->n_failed,
            (unsigned long long)contest->n_tasks);
    return status;
}

/* Before standard input is read: whoever waits for it would rather be told now. */
static int check_work(struct comparison *c)
{
    struct round_report report;
    struct rounds rounds = {0};
    enum round_end end;

    if (rounds_init(&rounds) < 0)
        return -1;
    end = round_run(&rounds, try_work, c, &report);
    rounds_fini(&rounds);
    if (end == ROUND_BROKE)
        return say_refuse("cannot load %s: %s: look at its constructors",
                          c->options.work, report.words);
    return end == ROUND_WHOLE ? 0 : -1;
}

static int compare(struct comparison *c)
{
    const struct options *o = &c->options;
    int rc;

    if (read_models(c) < 0 || check_work(c) < 0 || secure_inputs(c) < 0)
        return -1;
    c->progress.bar = !o->quiet && isatty(STDERR_FILENO);
    c->progress.start_ns = mu_now_ns();
    c->rounds = (struct rounds){.look = look, .ctx = c};
    if (rounds_init(&c->rounds) < 0)
        return -1;
    rc = warm_up(c);
    if (rc == 0)
        rc = run_rounds(c);
    if (rc == 0)
        rc = print_result(c);
    rounds_fini(&c->rounds);
    return rc;
}

static int exit_status(const struct contest *c, int rc)
{
    if (rc || contest_has_broken(c))
        return SAY_EXIT_OTHER;
    if (!contest_all_failed(c))
        return 0;
    return c->n_failed < FAILED_MAX ? (int)c->n_failed : FAILED_MAX;
}

int command_compare(int argc, char **argv)
{
    struct comparison c = {.spool_fd = -1};
    int rc;

    switch (options_read(&c.options, OPTIONS_COMPARE, argc, argv)) {
    case OPTIONS_HELP:
        return help_print(help_compare);
    case OPTIONS_WRONG:
        return SAY_EXIT_OTHER;
    default:
        break;
    }
    rc = exit_status(&c.contest, compare(&c));
    contest_fini(&c.contest);
    text_fini(&c.models);
    text_fini(&c.spool);
    if (c.spool_fd >= 0)
        (void)close(c.spool_fd);
    return rc;
}
