/* outcome.c: how a task ended, for a person. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/signal.h"
#include "pool/job.h"
#include "process/sandbox.h"
#include "process/symbol.h"
#include "sys/module.h"

static const char *const status_names[MU_N_STATUS] = {
    [MU_DONE] = "done",           [MU_FAILED] = "failed",
    [MU_CRASHED] = "crashed",     [MU_EXITED] = "exited",
    [MU_TIMED_OUT] = "timed out", [MU_OUT_OF_MEMORY] = "out of memory",
    [MU_CANCELLED] = "cancelled", [MU_LOST] = "lost",
};

const char *mu_status_name(enum mu_status status)
{
    return (unsigned)status < MU_N_STATUS ? status_names[status] : "unknown";
}

static const char *const limit_names[MU_N_LIMITS] = {
    [MU_LIMIT_NONE] = "no limit",
    [MU_LIMIT_MEMORY] = "memory limit (RLIMIT_DATA)",
    [MU_LIMIT_GROUP_MEMORY] = "memory limit (cgroup)",
    [MU_LIMIT_PROCESSES] = "limit on processes (RLIMIT_NPROC)",
    [MU_LIMIT_GROUP_PROCESSES] = "limit on processes (cgroup)",
    [MU_LIMIT_OPEN_FILES] = "limit on open files (RLIMIT_NOFILE)",
    [MU_LIMIT_FILE_SIZE] = "limit on file size (RLIMIT_FSIZE)",
    [MU_LIMIT_CPU_TIME] = "limit on CPU time (RLIMIT_CPU)",
};

const char *mu_limit_name(unsigned limit)
{
    return limit < MU_N_LIMITS ? limit_names[limit] : "unknown";
}

void mu_outcome_free(struct mu_outcome *outcome)
{
    if (outcome)
        mui_job_free((struct mui_job *)outcome);
}

void mu_outcome_free_many(struct mu_outcome *const *outcomes, size_t n)
{
    mui_job_free_many((struct mui_job *const *)outcomes, n);
}

static const struct mui_job *job_of(const struct mu_outcome *outcome)
{
    return (const struct mui_job *)outcome;
}

/* The frame that says most: the innermost in the module of the task's function that is not
 * of the language's implementation, whose names begin so: of a sanitizer, where that is
 * linked into the program. abort() and the like lie above it. */
static bool describe_place(const struct mui_job *job, char *text, size_t size)
{
    uint64_t first = job->frames[0];
    bool is_first = true;

    for (unsigned i = 0; i < job->n_frames; i++) {
        if (job->frames[i] >> 48 != job->order.fn >> 48)
            continue;
        if (mui_symbol_describe(job->frames[i], text, size) > 0 &&
            strncmp(text, "__", 2) != 0)
            return true;
        if (is_first)
            first = job->frames[i];
        is_first = false;
    }
    return mui_symbol_describe(first, text, size) > 0;
}

static int describe_crash(const struct mui_job *job, char *text, size_t size)
{
    const struct mu_outcome *o = &job->out;
    const char *limit = o->limit ? mu_limit_name(o->limit) : NULL;
    char signal[MUI_SIGNAL_NAME];
    char at[64] = "";
    char where[200] = "";
    char in[210] = "";

    if (job->note == MUI_NOTE_CORRUPT)
        return snprintf(text, size, "crashed: it wrote over its lane");
    if (job->note == MUI_NOTE_STOPPED)
        return snprintf(
            text, size, "crashed: was stopped (%s)",
            mui_signal_name(o->signal ? o->signal : SIGSTOP, signal));
    if (o->signal == SIGSYS && o->code) {
        char call[40];

        (void)mui_sandbox_call_name(o->code - 1, call, sizeof call);
        (void)snprintf(at, sizeof at, ": %.30s refused", call);
    } else if (o->has_fault_address)
        (void)snprintf(at, sizeof at, " at 0x%" PRIxPTR,
                       (uintptr_t)o->fault_address);
    if (job->n_frames && describe_place(job, where, sizeof where))
        (void)snprintf(in, sizeof in, " in %s", where);
    return snprintf(text, size, "%s: %s%s%s%s%s%s", mu_status_name(o->status),
                    limit ? limit : "", limit ? ", " : "",
                    job->note == MUI_NOTE_OVERFLOW ? "stack overflow, " : "",
                    mui_signal_name(o->signal, signal), at, in);
}

/* An error before the function was called. */
static int describe_error(const struct mui_job *job, char *text, size_t size)
{
    const struct mu_outcome *o = &job->out;

    if (o->code == -ELIBACC)
        return snprintf(
            text, size,
            "failed: could not be run: its worker cannot load the library "
            "of its function, whose file was removed or replaced, or lacks "
            "something");
    if (job->order.form != MUI_FORM_FILE)
        return snprintf(text, size, "failed: could not be run: %s",
                        mu_status_text(o->code));
    if (o->code == -ERANGE)
        return snprintf(
            text, size,
            "failed: cannot read its file: it ends before the range "
            "that was asked for");
    return snprintf(text, size, "failed: cannot read its file: %s%s",
                    mu_status_text(o->code),
                    o->code == -ENOENT || o->code == -EISDIR
                        ? ": the input has to name a file"
                        : "");
}

/* What its function returned: a negative errno, or a status of ours, in words too; but for
 * -1, with which many say no more than that they failed. */
static int describe_code(int code, char *text, size_t size)
{
    const char *words = code < -1 ? mui_status_words(code) : NULL;

    return snprintf(text, size, "failed: returned %d%s%s%s", code,
                    words ? " (" : "", words ? words : "", words ? ")" : "");
}

int mu_outcome_describe(const struct mu_outcome *outcome, char *text,
                        size_t text_size)
{
    const struct mui_job *job = job_of(outcome);

    switch (outcome->status) {
    case MU_FAILED:
        if (job->note == MUI_NOTE_ERROR)
            return describe_error(job, text, text_size);
        if (outcome->limit)
            return snprintf(text, text_size, "failed: returned %d at its %s",
                            outcome->code, mu_limit_name(outcome->limit));
        return describe_code(outcome->code, text, text_size);
    case MU_EXITED:
        if (job->note == MUI_NOTE_THREAD)
            return snprintf(text, text_size, "exited: its thread ended");
        return snprintf(text, text_size, "exited with status %d",
                        outcome->code);
    case MU_CRASHED:
        return describe_crash(job, text, text_size);
    case MU_TIMED_OUT:
        return snprintf(text, text_size, "timed out after %.3g s",
                        (double)mui_job_extras(job)->timeout_ns / 1e9);
    case MU_OUT_OF_MEMORY:
        if (outcome->signal)
            return describe_crash(job, text, text_size);
        if (!outcome->limit)
            return snprintf(
                text, text_size,
                "out of memory: the program had none for its output");
        break;
    case MU_LOST:
        if (job->note == MUI_NOTE_NO_WORKER)
            return snprintf(text, text_size,
                            "lost: no worker could be started any more: %s",
                            mui_job_why(job));
        return snprintf(text, text_size,
                        "lost: its workers vanished again and again");
    case MU_DONE:
    case MU_CANCELLED:
        break;
    }
    return snprintf(text, text_size, "%s", mu_status_name(outcome->status));
}

int mu_outcome_backtrace(const struct mu_outcome *outcome, char *text,
                         size_t text_size)
{
    const struct mui_job *job = job_of(outcome);
    size_t length = 0;

    if (text_size)
        text[0] = '\0';
    for (unsigned i = 0; i < job->n_frames; i++) {
        char where[200];
        size_t room = length < text_size ? text_size - length : 0;

        if (mui_symbol_describe(job->frames[i], where, sizeof where) <= 0)
            (void)snprintf(where, sizeof where, "?");
        length += (size_t)snprintf(room ? text + length : NULL, room,
                                   "#%u %s\n", i, where);
    }
    return (int)length;
}
