/* ended.c: a task that has ended, as logs and reports see it. */
#include "ended.h"

#include "command.h"

/* How a command ended, for the pool did not see more than a number. */
static void read_command(struct ended *e, const struct command_result *r)
{
    e->is_command = 1;
    e->code = r->code;
    e->signal = r->signal;
    e->err = e->out + r->stdout_size;
    e->err_size = (size_t)r->stderr_size;
    e->out_size = (size_t)r->stdout_size;
    e->start_ns = r->start_ns;
    e->run_ns = r->run_ns;
    if (r->is_timed_out)
        e->status = MU_TIMED_OUT;
    else if (r->is_cancelled)
        e->status = MU_CANCELLED;
    else if (r->signal)
        e->status = MU_CRASHED;
    if (e->status != MU_CRASHED && e->status != MU_FAILED)
        e->limit = MU_LIMIT_NONE;
}

void ended_read(struct ended *e, const struct mu_outcome *outcome,
                int is_command)
{
    struct command_result result;

    e->outcome = outcome;
    e->status = outcome->status;
    e->code = outcome->code;
    e->signal = outcome->signal;
    e->limit = outcome->limit;
    e->out = outcome->output;
    e->out_size = outcome->output_size;
    e->err = NULL;
    e->err_size = 0;
    e->run_ns = outcome->run_ns;
    e->is_command = 0;
    e->attempts = outcome->attempts;
    e->worker = outcome->worker;
    e->trouble = NULL;
    e->is_spoilt = 0;
    if (is_command &&
        (outcome->status == MU_DONE || outcome->status == MU_FAILED) &&
        command_result_read(outcome->output, outcome->output_size, &result) ==
            0)
        read_command(e, &result);
}

void ended_spoil(struct ended *e, int code, const char *trouble)
{
    e->trouble = trouble;
    e->is_spoilt = e->status == MU_DONE;
    if (!e->is_spoilt)
        return;
    e->status = MU_FAILED;
    e->code = code;
}

int ended_exit_value(const struct ended *e)
{
    switch (e->status) {
    case MU_DONE:
    case MU_CRASHED:
        return 0;
    case MU_FAILED:
        return e->code;
    case MU_EXITED:
        return e->code ? e->code : -1; /* exit(0) inside a task is no success */
    default:
        return -1;
    }
}

int ended_exit_status(const struct ended *e)
{
    int value = ended_exit_value(e);

    if (e->status == MU_DONE)
        return 0;
    if (value > 0 && value < 256)
        return value;
    return e->signal ? 128 + e->signal : 255;
}
