/* report.c: what is said at the end of a run. */
#include "report.h"

#include <string.h>

#include "muster/worker.h"

#include "visible.h"

enum {
    DESCRIPTION_BYTES = 1024,
    BACKTRACE_BYTES = 16 * 1024,
    NAME_SHOWN = 200
};

static const char *const status_words[MU_N_STATUS] = {
    [MU_DONE] = "done",           [MU_FAILED] = "failed",
    [MU_CRASHED] = "crashed",     [MU_EXITED] = "exited",
    [MU_TIMED_OUT] = "timed out", [MU_OUT_OF_MEMORY] = "out of memory",
    [MU_CANCELLED] = "cancelled", [MU_LOST] = "lost",
};

/* The same as names in an object of JSON. */
static const char *const status_keys[MU_N_STATUS] = {
    [MU_DONE] = "done",           [MU_FAILED] = "failed",
    [MU_CRASHED] = "crashed",     [MU_EXITED] = "exited",
    [MU_TIMED_OUT] = "timed_out", [MU_OUT_OF_MEMORY] = "out_of_memory",
    [MU_CANCELLED] = "cancelled", [MU_LOST] = "lost",
};

static void put_description(struct text *t, const struct mu_outcome *outcome)
{
    char how[DESCRIPTION_BYTES];

    (void)mu_outcome_describe(outcome, how, sizeof how);
    text_put(t, how);
}

/* The first frames, each on a line of its own. */
static void put_frames(struct text *t, const struct mu_outcome *outcome)
{
    char frames[BACKTRACE_BYTES];
    const char *line = frames;

    if (mu_outcome_backtrace(outcome, frames, sizeof frames) <= 0)
        return;
    for (int i = 0; i < REPORT_FRAMES_MAX && *line; i++) {
        size_t n = strcspn(line, "\n");

        text_printf(t, "%.*s\n", (int)n, line);
        line += n + (line[n] == '\n');
    }
}

static void describe(struct report_failure *f, const struct mu_outcome *outcome)
{
    put_description(&f->how, outcome);
    put_frames(&f->frames, outcome);
}

/* A command's worker knows which limit it ran into. */
static void put_limit(struct text *t, unsigned limit)
{
    if (limit)
        text_printf(t, " at its %s", mu_limit_name(limit));
}

/* A command says itself how it ended, without the pool. */
static int describe_command(const struct ended *e, struct text *ret_how)
{
    const struct mu_worker_exit crash = {.end = MU_WORKER_CRASHED,
                                         .signal = e->signal};
    char how[DESCRIPTION_BYTES];

    switch (e->status) {
    case MU_CRASHED:
        (void)mu_worker_describe(&crash, how, sizeof how);
        text_put(ret_how, how);
        put_limit(ret_how, e->limit);
        break;
    case MU_TIMED_OUT:
        text_printf(ret_how, "timed out after %.3f s", (double)e->run_ns / 1e9);
        break;
    case MU_FAILED:
        text_printf(ret_how, "failed: exit status %d", e->code);
        put_limit(ret_how, e->limit);
        break;
    default:
        return 0;
    }
    return 1;
}

void report_describe(const struct ended *e, struct text *ret_how,
                     struct text *ret_frames)
{
    if (e->is_spoilt) {
        text_printf(ret_how, "failed: %s", e->trouble);
        return;
    }
    if (!e->is_command || !describe_command(e, ret_how)) {
        put_description(ret_how, e->outcome);
        put_frames(ret_frames, e->outcome);
    }
    if (e->trouble)
        text_printf(ret_how, "; %s", e->trouble);
}

int report_add(struct report *r, const struct ended *e,
               struct mu_outcome *outcome, int may_take)
{
    struct report_failure *f;

    r->ended[e->status]++;
    if (e->status == MU_DONE || e->status == MU_CANCELLED ||
        r->n_failures == REPORT_FAILURES_MAX)
        return 0;
    f = &r->failures[r->n_failures++];
    f->seq = e->seq;
    f->status = e->status;
    f->limit = e->limit;
    text_append(&f->name, e->name,
                e->name_size > NAME_SHOWN ? NAME_SHOWN : e->name_size);
    /* only a crash of a function has frames to look up, which may take a while */
    if (may_take && e->status == MU_CRASHED && !e->is_command && !e->trouble) {
        f->outcome = outcome;
        return 1;
    }
    report_describe(e, &f->how, &f->frames);
    return 0;
}

uint64_t report_n_ended(const struct report *r)
{
    uint64_t n = 0;

    for (int i = 0; i < MU_N_STATUS; i++)
        n += r->ended[i];
    return n;
}

uint64_t report_n_failed(const struct report *r)
{
    return report_n_ended(r) - r->ended[MU_DONE] - r->ended[MU_CANCELLED];
}

static void describe_taken(struct report *r)
{
    for (unsigned i = 0; i < r->n_failures; i++) {
        struct report_failure *f = &r->failures[i];

        if (f->outcome)
            describe(f, f->outcome);
        mu_outcome_free(f->outcome);
        f->outcome = NULL;
    }
}

static double seconds_since(const struct report *r, int64_t now)
{
    double seconds = (double)(now - r->start_ns) / 1e9;

    return seconds > 0 ? seconds : 1e-9;
}

static void put_failure(struct text *t, const struct report_failure *f)
{
    const char *line = text_string(&f->frames);

    text_printf(t, "muster: input %llu, '", (unsigned long long)f->seq);
    visible_put(t, text_string(&f->name), f->name.size);
    text_put(t, "', ");
    visible_put(t, text_string(&f->how), f->how.size);
    text_putc(t, '\n');
    while (*line) {
        size_t n = strcspn(line, "\n");

        text_put(t, "muster:     ");
        visible_put(t, line, n);
        text_putc(t, '\n');
        line += n + (line[n] == '\n');
    }
}

static void put_rate(struct text *t, double n, double seconds)
{
    double rate = n / seconds;

    text_printf(t, seconds < 10 ? " in %.2f s" : " in %.0f s", seconds);
    text_put(t, ", ");
    text_put_number(t, rate);
    text_put(t, " a second");
}

void report_format(struct report *r, const char *model, int64_t now,
                   struct text *ret_text)
{
    uint64_t n_failed = report_n_failed(r);

    describe_taken(r);
    for (unsigned i = 0; i < r->n_failures; i++)
        put_failure(ret_text, &r->failures[i]);
    if (n_failed > r->n_failures)
        text_printf(ret_text,
                    "muster: and %llu more like these: --joblog FILE "
                    "lists all\n",
                    (unsigned long long)(n_failed - r->n_failures));
    text_printf(ret_text, "muster: %llu done",
                (unsigned long long)r->ended[MU_DONE]);
    for (int i = MU_DONE + 1; i < MU_N_STATUS; i++)
        if (r->ended[i])
            text_printf(ret_text, ", %llu %s", (unsigned long long)r->ended[i],
                        status_words[i]);
    if (r->n_abandoned)
        text_printf(ret_text, ", %llu abandoned",
                    (unsigned long long)r->n_abandoned);
    if (r->n_skipped)
        text_printf(ret_text, ", %llu had run before",
                    (unsigned long long)r->n_skipped);
    put_rate(ret_text, (double)r->ended[MU_DONE], seconds_since(r, now));
    text_printf(ret_text, ", %s\n", model);
}

void report_put_limit_json(struct text *t, unsigned limit)
{
    const char *name = mu_limit_name(limit);

    if (!limit)
        return;
    text_put(t, ",\"limit\":");
    text_put_json(t, name, strlen(name));
}

void report_put_frames_json(struct text *t, const struct text *frames)
{
    if (!frames->size)
        return;
    text_put(t, ",\"frames\":[");
    for (const char *line = frames->data; *line;
         line += strcspn(line, "\n") + 1) {
        if (line > frames->data)
            text_putc(t, ',');
        text_put_json(t, line, strcspn(line, "\n"));
    }
    text_putc(t, ']');
}

static void put_failure_json(struct text *t, const struct report_failure *f)
{
    text_printf(t, "{\"seq\":%llu,\"input\":", (unsigned long long)f->seq);
    text_put_json(t, text_string(&f->name), f->name.size);
    text_printf(t, ",\"status\":\"%s\",\"how\":", mu_status_name(f->status));
    text_put_json(t, text_string(&f->how), f->how.size);
    report_put_limit_json(t, f->limit);
    report_put_frames_json(t, &f->frames);
    text_putc(t, '}');
}

void report_format_json(struct report *r, const char *model, int64_t now,
                        struct text *ret_text)
{
    double seconds = seconds_since(r, now);

    describe_taken(r);
    text_put(ret_text, "{\"model\":");
    text_put_json(ret_text, model, strlen(model));
    for (int i = 0; i < MU_N_STATUS; i++) {
        text_printf(ret_text, ",\"%s\":%llu", status_keys[i],
                    (unsigned long long)r->ended[i]);
    }
    text_printf(ret_text,
                ",\"abandoned\":%llu,\"skipped\":%llu,\"seconds\":%.6f,"
                "\"per_second\":%.3f,\"failures\":[",
                (unsigned long long)r->n_abandoned,
                (unsigned long long)r->n_skipped, seconds,
                (double)r->ended[MU_DONE] / seconds);
    for (unsigned i = 0; i < r->n_failures; i++) {
        if (i)
            text_putc(ret_text, ',');
        put_failure_json(ret_text, &r->failures[i]);
    }
    text_put(ret_text, "]}\n");
}

void report_fini(struct report *r)
{
    for (unsigned i = 0; i < r->n_failures; i++) {
        mu_outcome_free(r->failures[i].outcome);
        text_fini(&r->failures[i].name);
        text_fini(&r->failures[i].how);
        text_fini(&r->failures[i].frames);
    }
}
