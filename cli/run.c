/* run.c: what both ways to run have in common: an input sets out, an outcome
 * arrives. */
#include "run.h"

#include <string.h>
#include <time.h>

#include "lastwords.h"
#include "say.h"
#include "wakeup.h"
#include "width.h"

static int64_t real_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int run_open_pool(struct run *r, const char *model)
{
    const struct options *o = r->options;
    struct mu_pool_options pool_options = {
        .retries = o->tries - 1,
        .timeout_ns = r->work.command ? 0 : o->timeout_ns,
        .memory_bytes = o->memory_bytes,
        .processes = o->n_children,
        .arg = r->work.command,
        .arg_size = r->work.command_size,
    };
    struct text full = {0};
    struct mu_error err = {0};
    int rc = width_apply(model, o->jobs, mu_usable_cpus(), o->n_args, &full);

    if (rc == 0 && mu_pool_open(full.data, &pool_options, &r->pool, &err) < 0)
        rc = say_refuse("%s", err.text);
    if (rc == 0) {
        wakeup_set_pool(r->pool);
        if (mu_model_isolates(full.data) == 0)
            lastwords_arm(r->pool, &r->flights);
    }
    text_fini(&full);
    return rc;
}

void run_close(struct run *r)
{
    wakeup_set_pool(NULL);
    lastwords_arm(NULL, NULL);
    mu_pool_close(r->pool);
    inputs_free(r->inputs);
    joblog_close(&r->joblog);
    results_close(&r->results);
    output_fini(&r->output);
    report_fini(&r->report);
    flights_fini(&r->flights);
    seq_set_fini(&r->has_run);
    text_fini(&r->line);
}

int run_next_input(struct run *r)
{
    int rc;

    do {
        if (r->inputs_ended)
            return MU_EMPTY;
        rc = inputs_next(r->inputs, &r->input);
        if (rc == MU_TIMEOUT)
            return rc;
        if (rc) {
            r->inputs_ended = 1;
            r->is_broken |= rc < 0;
            return MU_EMPTY;
        }
        if (!seq_set_has(&r->has_run, r->input.seq))
            return 0;
        r->report.n_skipped++;
    } while (1);
}

/* Whether anything shows when a task started. */
static int wants_start(const struct run *r)
{
    return r->joblog.fd >= 0 || r->options->json ||
           r->results.form == RESULTS_CSV || r->results.form == RESULTS_JSON;
}

static int wants_line(const struct run *r)
{
    return r->joblog.fd >= 0 || r->results.form == RESULTS_CSV ||
           r->results.form == RESULTS_JSON;
}

struct flight *run_depart(struct run *r)
{
    struct flight *flight = flights_add(&r->flights, r->input.seq);

    text_append(&flight->name, r->input.name, r->input.name_size);
    flight->submit_ns = wants_start(r) ? real_now_ns() : 0;
    flight->sent_bytes =
        r->work.command && r->work.command->feeds
            ? (r->input.path ? r->input.range : (uint64_t)r->input.size)
            : 0;
    return flight;
}

/* What a command cannot get is not left out silently. */
static void warn_of_nul(struct run *r)
{
    const struct input *in = &r->input;

    if (r->has_warned || !memchr(in->name, '\0', in->name_size))
        return;
    r->has_warned = 1;
    say("input %llu holds a NUL byte: a command gets only what is before it; "
        "with "
        "-0 inputs end at NUL",
        (unsigned long long)in->seq);
}

void run_describe_input(struct run *r, struct mu_span *ret_bytes,
                        struct mu_submit *ret_how)
{
    const struct input *in = &r->input;

    if (r->work.command && !r->work.command->feeds)
        warn_of_nul(r);
    *ret_how = (struct mu_submit){.tag = in->seq};
    if (in->path && (!r->work.command || r->work.command->feeds)) {
        ret_how->path = in->path;
        ret_how->offset = in->offset;
        ret_how->size = in->range;
        *ret_bytes = (struct mu_span){0};
    } else if (in->path) {
        /* a command opens its file itself */
        *ret_bytes = (struct mu_span){in->name, in->name_size};
    } else {
        *ret_bytes = (struct mu_span){in->data, in->size};
    }
}

static void log_ended(struct run *r, struct ended *e)
{
    struct input in = {
        .seq = e->seq, .name = e->name, .name_size = e->name_size};

    if (wants_line(r)) {
        text_clear(&r->line);
        work_show(&r->work, &in, e->worker + 1, &r->line);
        e->line = r->line.data;
        e->line_size = r->line.size;
    }
    if (r->results.form != RESULTS_NONE)
        results_write(&r->results, e);
    else if (!r->options->reduce)
        output_add(&r->output, e);
    if (r->joblog.fd >= 0) {
        /* first the output, then the record that it is out */
        output_flush(&r->output);
        joblog_write(&r->joblog, e);
    }
}

void run_count(struct run *r, const struct mu_outcome *outcome)
{
    struct ended e;
    uint64_t total;
    int is_exact;

    ended_read(&e, outcome, r->work.command != NULL);
    if (e.status == MU_CANCELLED)
        return;
    total = inputs_total(r->inputs, &is_exact);
    switch (halt_count(&r->halt, ended_exit_status(&e), is_exact ? total : 0)) {
    case HALT_NOW:
        run_stop(r, 1);
        break;
    case HALT_SOON:
        run_stop(r, 0);
        break;
    default:
        break;
    }
}

int run_arrive(struct run *r, struct flight *flight, struct mu_outcome *outcome,
               int may_take)
{
    struct ended e = {
        .seq = flight->seq,
        .name = text_string(&flight->name),
        .name_size = flight->name.size,
        .sent_bytes = flight->sent_bytes,
    };

    if (flight->submit_ns)
        e.start_ns = flight->submit_ns + outcome->queue_ns;
    ended_read(&e, outcome, r->work.command != NULL);
    if (e.status != MU_CANCELLED)
        log_ended(r, &e);
    return report_add(&r->report, &e, outcome, may_take);
}

void run_stop(struct run *r, int now)
{
    int kill;

    r->inputs_ended = 1;
    r->has_input = 0;
    /* with --reduce, steps that combine wait in the same queue: there the library
     * cancels the inputs, when it is told so where it asks for the next */
    if (!r->is_ending && r->options->reduce)
        mu_pool_interrupt(r->pool);
    else if (!r->is_ending)
        (void)mu_pool_cancel_waiting(r->pool);
    r->is_ending = 1;
    if (!now || r->is_stopping)
        return;
    r->is_stopping = 1;
    /* a command is told to end by its own task, so that nothing of it stays */
    kill = !r->work.command && mu_model_isolates(mu_pool_model(r->pool)) == 1;
    (void)mu_pool_cancel_all(r->pool, kill);
}

void run_heed_signals(struct run *r)
{
    int n = wakeup_n_signals();

    if (n == 0)
        return;
    if (!r->is_broken)
        say("interrupted: waiting for the tasks that run; once more stops "
            "them");
    r->is_broken = 1;
    run_stop(r, n > 1);
}

void run_draw_progress(struct run *r)
{
    struct progress_state s = {
        .n_total = inputs_total(r->inputs, NULL),
        .n_ended = report_n_ended(&r->report) + r->report.n_skipped,
        .n_failed = report_n_failed(&r->report),
    };
    const unsigned width = mu_pool_width(r->pool);
    struct mu_pool_stats stats;
    int64_t now = mu_now_ns();

    if (now < progress_deadline(&r->progress))
        return;
    mu_pool_stats(r->pool, &stats);
    /* some of those given to workers wait there */
    s.n_running = stats.n_running < width ? stats.n_running : width;
    progress_draw(&r->progress, &s, now);
}
