/* map.c: `muster map`: set up a run, run it, report. */
#include "commands.h"
#include "lastwords.h"
#include "run.h"
#include "say.h"
#include "wakeup.h"

/* Everything that can be wrong comes before the first file is written. */
static int open_run(struct run *r)
{
    const struct options *o = r->options;

    results_init(&r->results, o->results);
    r->results.is_one_source = o->max_args > 1;
    if (work_open(&r->work, o) < 0 || inputs_open(o, &r->inputs) < 0)
        return -1;
    if (o->joblog && joblog_load(o->joblog, o->resume, &r->has_run) < 0)
        return -1;
    if (o->dry_run)
        return 0;
    if (run_open_pool(r, o->model ? o->model : "processes") < 0 ||
        results_open(&r->results, o->resume) < 0)
        return -1;
    if (o->joblog && joblog_open(&r->joblog, o->joblog, o->resume) < 0)
        return -1;
    return 0;
}

/* Whether the exit status says that something is wrong besides tasks. */
static int is_broken(const struct run *r)
{
    return r->is_broken || inputs_n_unread(r->inputs);
}

static int dry_run(struct run *r)
{
    struct output plain = {0};
    struct text line = {0};
    int rc;

    while (!wakeup_n_signals() && (rc = run_next_input(r)) != MU_EMPTY) {
        if (rc == MU_TIMEOUT) {
            output_flush(&plain);
            wakeup_wait();
            continue;
        }
        text_clear(&line);
        work_show(&r->work, &r->input, 1, &line);
        text_putc(&line, '\n');
        output_add(&plain, &(struct ended){.out = line.data,
                                           .out_size = line.size,
                                           .status = MU_DONE});
    }
    output_flush(&plain);
    rc = output_settle(&plain);
    output_fini(&plain);
    text_fini(&line);
    return rc < 0 || is_broken(r) || wakeup_n_signals() ? SAY_EXIT_OTHER : 0;
}

static int run_all(struct run *r)
{
    const struct options *o = r->options;
    int rc;

    if (o->bar || o->eta)
        inputs_count(r->inputs);
    if (o->halt.is_percent && !o->n_total)
        inputs_count_first(r->inputs);
    r->progress.start_ns = r->report.start_ns = mu_now_ns();
    rc = o->reduce ? run_reduce(r) : run_map(r);
    run_report(r);
    rc = run_save(r) < 0 || rc < 0 || is_broken(r) ? SAY_EXIT_OTHER
                                                   : halt_exit_status(&r->halt);
    return rc;
}

int command_map(int argc, char **argv)
{
    struct options o;
    struct run r = {.options = &o, .joblog = {.fd = -1}};
    int status = SAY_EXIT_OTHER;

    switch (options_read(&o, OPTIONS_MAP, argc, argv)) {
    case OPTIONS_HELP:
        return help_print(help_map);
    case OPTIONS_WRONG:
        return SAY_EXIT_OTHER;
    default:
        break;
    }
    r.progress =
        (struct progress){.bar = o.bar, .counts = o.progress, .eta = o.eta};
    r.output = (struct output){.tag = o.tag, .json = o.json};
    r.halt.rule = o.halt;
    wakeup_init();
    wakeup_catch_signals(lastwords_leave_task);
    if (open_run(&r) == 0)
        status = o.dry_run ? dry_run(&r) : run_all(&r);
    run_close(&r);
    work_close(&r.work);
    return status;
}
