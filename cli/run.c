/* run.c: what both ways to run have in common: an input sets out, an outcome
 * arrives, and what that comes to is shown. */
#include "run.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "lastwords.h"
#include "say.h"
#include "wakeup.h"
#include "whole.h"
#include "width.h"

/* What -j0 goes by: files below directories are counted for it. 0: nobody knows. */
static uint64_t count_inputs(struct run *r)
{
    uint64_t n;
    int is_exact;

    if (r->options->jobs_of_inputs)
        inputs_count(r->inputs);
    n = inputs_total(r->inputs, &is_exact);
    return is_exact ? n : 0;
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
    int rc =
        width_apply(model, o->jobs, mu_usable_cpus(), count_inputs(r), &full);

    if (rc == 0 && mu_pool_open(full.data, &pool_options, &r->pool, &err) < 0)
        rc = say_refuse("%s", err.text);
    if (rc == 0) {
        wakeup_set_pool(r->pool);
        if (mu_model_isolates(full.data) == 0)
            rc = run_arm_lastwords(r);
        r->fn = lastwords_guard(r->work.fn);
    }
    text_fini(&full);
    return rc;
}

int run_save(struct run *r)
{
    int rc = output_settle(&r->output);

    rc |= results_close(&r->results);
    rc |= joblog_close(&r->joblog);
    return rc;
}

void run_close(struct run *r)
{
    wakeup_set_pool(NULL);
    lastwords_disarm();
    mu_pool_close(r->pool);
    inputs_free(r->inputs);
    (void)joblog_close(&r->joblog);
    (void)results_close(&r->results);
    output_fini(&r->output);
    report_fini(&r->report);
    flights_fini(&r->flights);
    seq_set_fini(&r->has_run);
    text_fini(&r->line);
    text_fini(&r->tag);
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

int run_waits_for_outcome(const struct run *r, uint64_t n_under_way)
{
    return (r->options->halt.when != HALT_NEVER || r->options->delay_ns) &&
           n_under_way >= mu_pool_width(r->pool);
}

int run_is_early(const struct run *r)
{
    return r->next_start_ns && mu_now_ns() < r->next_start_ns;
}

void run_started(struct run *r)
{
    if (r->options->delay_ns)
        r->next_start_ns = mu_now_ns() + r->options->delay_ns;
}

static int wants_line(const struct run *r)
{
    return r->joblog.fd >= 0 || r->results.form == RESULTS_CSV ||
           r->results.form == RESULTS_JSON;
}

/* Whether anything shows when a task started. */
static int wants_start(const struct run *r)
{
    return r->options->json || wants_line(r);
}

struct flight *run_depart(struct run *r)
{
    struct flight *flight = flights_add(&r->flights, r->input.seq);

    if (text_try_append(&flight->name, r->input.name, r->input.name_size) < 0) {
        flights_remove(&r->flights, flight);
        return NULL;
    }
    flight->submit_ns = wants_start(r) ? command_now_ns() : 0;
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

    if (r->has_warned || options_inputs_are_many(r->options) ||
        !memchr(in->name, '\0', in->name_size))
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

/* Several names in one are separated by blanks from where their line is written. */
static void join_names(const struct run *r, struct text *name)
{
    for (size_t i = 0; options_inputs_are_many(r->options) && i < name->size;
         i++)
        if (name->data[i] == '\0')
            name->data[i] = ' ';
}

static void put_tag(struct run *r, struct ended *e)
{
    const struct template_values v = {
        .input = e->name,
        .input_size = e->name_size,
        .seq = e->seq,
        .slot = e->worker + 1,
        .is_many = e->is_many,
    };

    text_clear(&r->tag);
    template_expand(r->options->tag_string, &v, &r->tag);
    e->tag = text_string(&r->tag);
    e->tag_size = r->tag.size;
}

static void log_ended(struct run *r, struct ended *e, struct text *name)
{
    struct input in = {
        .seq = e->seq, .name = e->name, .name_size = e->name_size};

    if (wants_line(r)) {
        text_clear(&r->line);
        work_show(&r->work, &in, e->worker + 1, &r->line);
        e->line = r->line.data;
        e->line_size = r->line.size;
    }
    if (r->options->tag_string)
        put_tag(r, e);
    results_add_row(&r->results, e);
    join_names(r, name);
    if (!r->options->tag_string) {
        e->tag = e->name;
        e->tag_size = e->name_size;
    }
    if (r->results.form == RESULTS_NONE && !r->options->reduce)
        output_add(&r->output, e);
    if (r->joblog.fd >= 0) {
        /* first the output, then the record that it is out */
        output_flush(&r->output);
        results_settle(&r->results);
        joblog_write(&r->joblog, e);
    }
}

struct ended run_read(const struct run *r, const struct flight *flight,
                      const struct mu_outcome *outcome)
{
    struct ended e = {
        .seq = flight->seq,
        .name = text_string(&flight->name),
        .name_size = flight->name.size,
        .is_many = options_inputs_are_many(r->options),
        .sent_bytes = flight->sent_bytes,
    };

    if (flight->submit_ns)
        e.start_ns = flight->submit_ns + outcome->queue_ns;
    ended_read(&e, outcome, r->work.command != NULL);
    if (flight->trouble_rc && e.status != MU_CANCELLED)
        ended_spoil(&e, flight->trouble_rc, text_string(&flight->trouble));
    return e;
}

int run_arrive(struct run *r, struct flight *flight, struct mu_outcome *outcome,
               int may_take)
{
    struct ended e = run_read(r, flight, outcome);

    if (e.status != MU_CANCELLED)
        log_ended(r, &e, &flight->name);
    return report_add(&r->report, &e, outcome, may_take);
}

void run_fail_input(struct run *r, int rc)
{
    struct flight *flight = flights_add(&r->flights, r->input.seq);
    struct mu_outcome outcome = {
        .tag = r->input.seq, .status = MU_DONE, .output = ""};

    /* a name for which there is no memory is left out */
    (void)text_try_append(&flight->name, r->input.name, r->input.name_size);
    text_printf(&flight->trouble, "could not be run: %s", say_reason(-rc));
    flight->trouble_rc = rc;
    r->has_input = 0;
    run_count(r, flight, &outcome);
    (void)run_arrive(r, flight, &outcome, 0);
    flights_remove(&r->flights, flight);
}

static struct progress_state progress_now(const struct run *r)
{
    return (struct progress_state){
        .n_total = inputs_total(r->inputs, NULL),
        .n_before = r->report.n_skipped,
        .n_ended = report_n_ended(&r->report) - r->report.ended[MU_CANCELLED],
        .n_failed = report_n_failed(&r->report),
    };
}

void run_draw_progress(struct run *r)
{
    const unsigned width = mu_pool_width(r->pool);
    struct progress_state s;
    struct mu_stats stats;
    int64_t now = mu_now_ns();

    if (now < progress_deadline(&r->progress))
        return;
    s = progress_now(r);
    mu_pool_stats(r->pool, &stats);
    /* some of those given to workers wait there */
    s.n_running = stats.n_running < width ? stats.n_running : width;
    progress_draw(&r->progress, &s, now);
}

void run_report(struct run *r)
{
    struct progress_state s = progress_now(r);
    int64_t now = mu_now_ns();
    struct text text = {0};

    progress_end(&r->progress, &s, now);
    if (r->options->quiet)
        return;
    if (r->options->json)
        report_format_json(&r->report, mu_pool_model(r->pool), now, &text);
    else
        report_format(&r->report, mu_pool_model(r->pool), now, &text);
    (void)whole_write(STDERR_FILENO, text.data, text.size);
    text_fini(&text);
}
