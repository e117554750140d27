/* map.c: `muster map`: set up a run, run it, report. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "muster/muster.h"

#include "commands.h"
#include "run.h"
#include "say.h"
#include "wakeup.h"
#include "width.h"

static int open_pool(struct run *r)
{
    const struct options *o = r->options;
    struct mu_pool_options pool_options = {
        .retries = o->tries - 1,
        .timeout_ns = r->work.command ? 0 : o->timeout_ns,
        .memory_bytes = o->memory_bytes,
        .arg = r->work.command,
        .arg_size = r->work.command_size,
    };
    struct text model = {0};
    struct mu_error err = {0};
    int rc = width_apply(o->model ? o->model : "processes", o->jobs,
                         mu_usable_cpus(), o->n_args, &model);

    if (rc == 0 &&
        mu_pool_open(model.data, &pool_options, &r->pool, &err) < 0)
        rc = say_refuse("%s", err.text);
    if (rc == 0)
        wakeup_set_pool(r->pool);
    text_fini(&model);
    return rc;
}

/* Everything that can be wrong comes before the first file is written. */
static int open_run(struct run *r)
{
    const struct options *o = r->options;

    r->joblog.fd = -1;
    results_init(&r->results, o->results);
    if (work_open(&r->work, o) < 0 || inputs_open(o, &r->inputs) < 0)
        return -1;
    if (o->dry_run)
        return 0;
    if (o->resume && joblog_load(o->joblog, o->resume, &r->has_run) < 0)
        return -1;
    if (open_pool(r) < 0 || results_open(&r->results, o->resume) < 0)
        return -1;
    if (o->joblog && joblog_open(&r->joblog, o->joblog, o->resume) < 0)
        return -1;
    return 0;
}

static void close_run(struct run *r)
{
    wakeup_set_pool(NULL);
    mu_pool_close(r->pool);
    inputs_free(r->inputs);
    work_close(&r->work);
    joblog_close(&r->joblog);
    results_close(&r->results);
    output_fini(&r->output);
    report_fini(&r->report);
    flights_fini(&r->flights);
    seq_set_fini(&r->has_run);
    text_fini(&r->line);
}

static void write_report(struct run *r)
{
    struct progress_state s = {
        .n_total = inputs_total(r->inputs, NULL),
        .n_ended = report_n_ended(&r->report) + r->report.n_skipped,
        .n_failed = report_n_failed(&r->report),
    };
    int64_t now = mu_now_ns();
    struct text text = {0};

    progress_end(&r->progress, &s, now);
    if (r->options->quiet)
        return;
    if (r->options->json)
        report_format_json(&r->report, mu_pool_model(r->pool), now, &text);
    else
        report_format(&r->report, mu_pool_model(r->pool), now, &text);
    (void)fwrite(text.data, 1, text.size, stderr);
    text_fini(&text);
}

static int dry_run(struct run *r)
{
    struct text line = {0};
    int rc;

    while ((rc = run_next_input(r)) != MU_EMPTY) {
        if (rc == MU_TIMEOUT) {
            wakeup_wait();
            continue;
        }
        text_clear(&line);
        work_show(&r->work, &r->input, 1, &line);
        text_putc(&line, '\n');
        (void)fwrite(line.data, 1, line.size, stdout);
    }
    text_fini(&line);
    if (fflush(stdout) != 0)
        return SAY_EXIT_OTHER;
    return r->is_broken ? SAY_EXIT_OTHER : 0;
}

static int run_all(struct run *r)
{
    const struct options *o = r->options;
    int rc;

    if (o->bar || o->eta)
        inputs_count(r->inputs);
    r->progress.start_ns = r->report.start_ns = mu_now_ns();
    rc = o->reduce ? run_reduce(r) : run_map(r);
    write_report(r);
    rc = rc < 0 || r->is_broken || inputs_n_unread(r->inputs)
             ? SAY_EXIT_OTHER
             : halt_exit_status(&r->halt);
    return rc;
}

int command_map(int argc, char **argv)
{
    struct options o;
    struct run r = {.options = &o};
    int status = SAY_EXIT_OTHER;

    switch (options_read(&o, OPTIONS_MAP, argc, argv)) {
    case OPTIONS_HELP:
        return help_print(help_map);
    case OPTIONS_WRONG:
        return SAY_EXIT_OTHER;
    default:
        break;
    }
    r.progress = (struct progress){
        .bar = o.bar, .counts = o.progress, .eta = o.eta};
    r.output = (struct output){.tag = o.tag, .json = o.json};
    r.halt.rule = o.halt;
    wakeup_catch_signals();
    if (open_run(&r) == 0)
        status = o.dry_run ? dry_run(&r) : run_all(&r);
    close_run(&r);
    return status;
}
