/* run_map.c: inputs to the pool and outcomes back, in bounded memory. One thread
 * does both: it submits without waiting, takes what has ended, and waits only when
 * neither is possible. */
#include <errno.h>

#include "run.h"
#include "say.h"
#include "wakeup.h"

enum {
    SUBMIT_BATCH = 256,      /* inputs between two looks at the outcomes */
    TAKE_BATCH = 256,        /* outcomes between two looks at the inputs */
    KEEP_TASKS_MAX = 100000, /* -k: tasks behind the oldest missing outcome */
    /* tasks ahead of the outcomes taken, to each worker: as many may be at least; and
     * commands at most, for each takes so long to start that more gain nothing */
    AHEAD_MIN = 2,
    AHEAD_COMMANDS_MAX = 16,
    FORGET = 256 /* outputs until a large one counts for a third */
};
/* Bytes of output that are held: with -k behind the oldest missing outcome, and otherwise
 * while nobody reads ours. */
#define HELD_BYTES_MAX (UINT64_C(256) << 20)

/* Why feeding stopped. */
enum fed { FED_BATCH = 0, FED_FULL, FED_EARLY, FED_DRY, FED_ENDED };

/* With -k, outcomes pile up behind a slow task: no further then. */
static int keeps_too_much(const struct run *r)
{
    return r->options->keep_order &&
           (r->flights.n >= KEEP_TASKS_MAX || r->kept_bytes >= HELD_BYTES_MAX);
}

/* What is in the pool runs to its end, whether or not its outcome is taken, and holds its
 * output until then. How much that will be the outcomes taken tell: before there are any,
 * few are handed over. (queue_bytes of the pool would not do: it keeps more from coming, and
 * of tasks that give 1 MiB 1,600 have come before the first has ended.) */
static int has_too_much_in_pool(const struct run *r)
{
    const uint64_t width = mu_pool_width(r->pool);
    const uint64_t n = r->n_in_pool;

    if (n < AHEAD_MIN * width)
        return 0;
    return n >= AHEAD_MIN * (width + r->n_taken) ||
           (r->work.command && n >= AHEAD_COMMANDS_MAX * width) ||
           r->kept_bytes + n * r->output_bytes >= HELD_BYTES_MAX;
}

static int is_too_far_ahead(const struct run *r)
{
    return run_waits_for_outcome(r, r->n_in_pool) || keeps_too_much(r) ||
           has_too_much_in_pool(r);
}

/* Large outputs are remembered longer than small ones. */
static void note_taken(struct run *r, uint64_t output_bytes)
{
    r->n_in_pool--;
    r->n_taken++;
    r->output_bytes -= r->output_bytes / FORGET;
    if (r->output_bytes < output_bytes)
        r->output_bytes = output_bytes;
}

static int submit(struct run *r)
{
    struct flight *flight = run_depart(r); /* first: it may crash at once */
    struct mu_submit how;
    struct mu_span bytes;
    int rc;

    if (!flight)
        return -ENOMEM;
    run_describe_input(r, &bytes, &how);
    how.flags = MU_SUBMIT_NO_WAIT;
    rc = mu_pool_submit(r->pool, r->fn, bytes.data, bytes.size, &how, NULL);
    if (rc)
        flights_remove(&r->flights, flight);
    return rc;
}

/* Whether it is this input that cannot be handed over, for all that others say. */
static int is_of_input(int rc)
{
    return rc == -ENOMEM || rc == -ENAMETOOLONG;
}

/* An input that cannot be handed over waits for what is under way to end, which gives
 * memory back, and fails when nothing is. Returns 0, MU_FULL, or an error. */
static int submit_or_fail(struct run *r)
{
    int rc = submit(r);

    if (is_of_input(rc)) {
        if (r->n_in_pool)
            return MU_FULL;
        run_fail_input(r, rc);
        return 0;
    }
    if (rc)
        return rc;
    run_started(r);
    r->n_in_pool++;
    r->has_input = 0;
    return 0;
}

/* Submit while there are inputs and room. What cannot be submitted ends the inputs,
 * but not what runs. */
static enum fed feed(struct run *r)
{
    for (int i = 0; i < SUBMIT_BATCH; i++) {
        int rc = 0;

        if (is_too_far_ahead(r))
            return FED_FULL;
        if (!r->has_input) {
            rc = run_next_input(r);
            if (rc)
                return rc == MU_TIMEOUT ? FED_DRY : FED_ENDED;
            r->has_input = 1;
        }
        if (run_is_early(r))
            return FED_EARLY;
        rc = submit_or_fail(r);
        if (rc == MU_FULL)
            return FED_FULL;
        if (rc) {
            say("cannot run input %llu, nor those behind it: %s%s",
                (unsigned long long)r->input.seq, mu_status_text(rc),
                rc == -ENOSYS ? ": is /proc mounted?" : "");
            r->is_broken = 1;
            r->inputs_ended = 1;
            r->has_input = 0;
            return FED_ENDED;
        }
    }
    return FED_BATCH;
}

/* Outcomes whose predecessors have all been written. */
static void release_in_order(struct run *r)
{
    struct flight *flight;

    while ((flight = r->flights.first) && flight->outcome) {
        struct mu_outcome *outcome = flight->outcome;

        flight->outcome = NULL;
        r->kept_bytes -= outcome->output_size;
        if (!run_arrive(r, flight, outcome, 1))
            mu_outcome_free(outcome);
        flights_remove(&r->flights, flight);
    }
}

static void take(struct run *r, struct mu_outcome *outcome)
{
    struct flight *flight = flights_find(&r->flights, outcome->tag);

    if (!flight)
        say_fatal("an outcome came for input %llu, which was not running",
                  (unsigned long long)outcome->tag);
    note_taken(r, outcome->output_size);
    run_count(r, flight, outcome);
    if (r->options->keep_order) {
        flight->outcome = outcome;
        r->kept_bytes += outcome->output_size;
        release_in_order(r);
        return;
    }
    if (!run_arrive(r, flight, outcome, 1))
        mu_outcome_free(outcome);
    flights_remove(&r->flights, flight);
}

/* Take what has ended; `deadline` is for the first. Returns 0 when some was taken,
 * MU_TIMEOUT, MU_EMPTY, -EINTR, or an error. */
static int collect(struct run *r, int64_t deadline)
{
    struct mu_outcome *outcomes[TAKE_BATCH];
    size_t n;
    int rc = mu_pool_next_many(r->pool, deadline, outcomes, TAKE_BATCH, &n);

    for (size_t i = 0; rc == 0 && i < n; i++)
        take(r, outcomes[i]);
    return rc;
}

/* -k: what has ended, and waits for one that will not any more. */
static void release_rest(struct run *r)
{
    struct flight *next;

    for (struct flight *flight = r->flights.first; flight; flight = next) {
        struct mu_outcome *outcome = flight->outcome;

        next = flight->next;
        if (!outcome)
            continue;
        flight->outcome = NULL;
        if (!run_arrive(r, flight, outcome, 0))
            mu_outcome_free(outcome);
        flights_remove(&r->flights, flight);
    }
}

void run_map_collect(struct run *r)
{
    while (collect(r, MU_NOW) == 0)
        ;
    release_rest(r);
    output_flush(&r->output);
}

/* Nothing can be submitted: wait for an outcome or, when none can come, for
 * input. */
static int wait_for_something(struct run *r, enum fed fed)
{
    int64_t deadline = progress_deadline(&r->progress);
    int rc;

    if (fed == FED_EARLY && r->next_start_ns < deadline)
        deadline = r->next_start_ns;
    output_flush(&r->output);
    rc = collect(r, deadline);
    if (rc == MU_EMPTY) {
        if (fed == FED_DRY || fed == FED_EARLY)
            wakeup_wait_until(fed == FED_DRY ? MU_NEVER : deadline);
        return 0;
    }
    if (rc < 0 && rc != -EINTR)
        return say_refuse("the pool failed: %s", mu_status_text(rc));
    return 0;
}

int run_map(struct run *r)
{
    int rc = 0;

    while (rc == 0) {
        enum fed fed;

        run_heed_signals(r);
        fed = feed(r);
        if (fed == FED_ENDED && r->flights.n == 0)
            break;
        run_draw_progress(r);
        if (fed == FED_BATCH) {
            /* there is room: take what has ended and go on */
            rc = collect(r, MU_NOW);
            rc = rc < 0 && rc != -EINTR
                     ? say_refuse("the pool failed: %s", mu_status_text(rc))
                     : 0;
        } else {
            rc = wait_for_something(r, fed);
        }
    }
    output_flush(&r->output);
    return rc;
}
