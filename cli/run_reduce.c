/* run_reduce.c: --reduce: the library maps and combines, the command hands over
 * inputs and looks at outcomes. */
#include <errno.h>
#include <unistd.h>

#include "muster/map.h"

#include "run.h"
#include "say.h"
#include "wakeup.h"

/* Whether an outcome will come, of an input or of a step that combines. */
static int awaits_outcome(struct run *r)
{
    struct mu_stats stats;

    mu_pool_stats(r->pool, &stats);
    return stats.n_taken < stats.n_submitted;
}

static int give_input(void *ctx, struct mu_span *ret_input,
                      struct mu_submit *ret_how)
{
    struct run *r = ctx;
    int rc;

    run_heed_signals(r);
    run_draw_progress(r);
    if (!r->is_ending && run_waits_for_outcome(r, r->flights.n))
        return MU_FULL;
    while ((rc = run_next_input(r)) == MU_TIMEOUT) {
        /* what ends meanwhile is looked at; the ring of an input interrupts the pool */
        if (awaits_outcome(r))
            return MU_FULL;
        wakeup_wait();
        run_heed_signals(r);
    }
    while (rc == 0 && !r->is_ending && run_is_early(r)) {
        wakeup_wait_until(r->next_start_ns);
        run_heed_signals(r);
    }
    if (r->is_ending)
        return MU_CLOSED;
    if (rc)
        return rc;
    if (!run_depart(r))
        return -ENOMEM;
    run_describe_input(r, ret_input, ret_how);
    run_started(r);
    return 0;
}

static int see_outcome(void *ctx, const struct mu_outcome *outcome)
{
    struct run *r = ctx;
    struct flight *flight = flights_find(&r->flights, outcome->tag);

    run_heed_signals(r);
    if (!flight)
        return -EINVAL;
    run_count(r, flight, outcome);
    /* it is only lent, so nothing of it is kept */
    (void)run_arrive(r, flight, (struct mu_outcome *)outcome, 0);
    flights_remove(&r->flights, flight);
    run_draw_progress(r);
    return r->is_stopping ? -ECANCELED : 0;
}

static int refuse_combine(const struct run *r, const struct mu_outcome *result)
{
    char how[512];

    (void)mu_outcome_describe(result, how, sizeof how);
    return say_refuse("--reduce %s: %s", r->options->reduce, how);
}

int run_reduce(struct run *r)
{
    struct mu_outcome *result = NULL;
    struct mu_error err = {0};
    struct ended e = {0};
    int rc = mu_reduce(r->pool, r->fn, r->work.reduce, give_input, see_outcome,
                       r, &result, &err);

    if (rc == 0) {
        e.out = result->output;
        e.out_size = result->output_size;
        output_add(&r->output, &e);
        output_flush(&r->output);
    } else if (r->is_stopping || rc == -EINTR) {
        rc = 0; /* said when the signal or the halt was seen */
        r->is_broken |= !r->halt.is_halted;
    } else if (result) {
        rc = refuse_combine(r, result);
    } else {
        rc = say_refuse("--reduce: %s",
                        err.text[0] ? err.text : mu_status_text(rc));
    }
    mu_outcome_free(result);
    return rc;
}
