/* run_stop.c: how a run ends before its inputs do: --halt, a signal, a task that takes
 * the process with it. */
#include "lastwords.h"
#include "run.h"
#include "say.h"
#include "wakeup.h"

void run_count(struct run *r, struct flight *flight,
               const struct mu_outcome *outcome)
{
    struct ended e = run_read(r, flight, outcome);
    uint64_t total;
    int is_exact;

    if (e.status == MU_CANCELLED)
        return;
    if (!flight->trouble_rc) {
        flight->trouble_rc = results_save(&r->results, &e, &flight->trouble);
        if (flight->trouble_rc)
            e = run_read(r, flight, outcome);
    }
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

/* Whether what runs can be told to end, and does. */
static int can_stop(const struct run *r)
{
    return r->work.command || mu_model_isolates(mu_pool_model(r->pool)) == 1;
}

void run_stop(struct run *r, int now)
{
    r->inputs_ended = 1;
    r->has_input = 0;
    /* with --reduce, steps that combine wait in the same queue: there the library
     * cancels the inputs, when it is told so where it asks for the next. Interrupted
     * it asks once more, which matters after a halt (a signal has interrupted it
     * already): it may have been told that there are no more inputs, while the last
     * ones still wait for workers that combine */
    if (!r->is_ending && r->options->reduce)
        mu_pool_interrupt(r->pool);
    else if (!r->is_ending)
        (void)mu_pool_cancel_waiting(r->pool);
    r->is_ending = 1;
    if (!now || r->is_stopping)
        return;
    r->is_stopping = 1;
    /* a command is told to end by its own task, so that nothing of it stays */
    (void)mu_pool_cancel_all(r->pool, !r->work.command && can_stop(r));
}

void run_heed_signals(struct run *r)
{
    int n = wakeup_n_signals();

    lastwords_heed();
    if (n == 0)
        return;
    r->is_broken = 1;
    run_stop(r, n > 1);
    if (!r->has_heard)
        say("interrupted: waiting for the tasks that run; once more %s",
            can_stop(r) ? "stops them" : "ends without them");
    r->has_heard = 1;
    if (n > 1 && !can_stop(r))
        lastwords_leave();
}

static void save_ended(void *ctx)
{
    struct run *r = ctx;

    /* with --reduce the library takes them, and nothing is written before the end */
    if (!r->options->reduce) {
        (void)mu_pool_cancel_waiting(r->pool);
        run_map_collect(r);
    }
    r->report.n_abandoned = r->flights.n;
    run_report(r);
    (void)run_save(r);
}

int run_arm_lastwords(struct run *r)
{
    return lastwords_arm(r->pool, &r->flights,
                         r->output.discards ? NULL : save_ended, r,
                         r->note.words ? &r->note : NULL);
}
