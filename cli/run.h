/* run.h: one run of `muster map`: inputs go to the pool, outcomes come back and go
 * to logs and outputs, until both have ended. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "flight.h"
#include "halt.h"
#include "inputs.h"
#include "joblog.h"
#include "lastwords.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "report.h"
#include "results.h"
#include "work.h"

struct run {
    const struct options *options;
    struct work work;
    struct inputs *inputs;
    struct mu_pool *pool;
    mu_task_fn
        fn; /* to be submitted: work.fn, perhaps with a guard around it */

    struct input input; /* read, and not taken by the pool yet */
    int has_input;
    int inputs_ended; /* or no more are to be taken */
    int is_ending;    /* what has not started is not to start */
    int is_stopping;  /* what runs was told to end */
    int is_broken;    /* something went wrong that is no task's failure */
    int has_heard;    /* a signal, and said so */
    int has_warned;   /* of a NUL byte */

    int64_t next_start_ns; /* --delay: no task starts before */

    struct flights flights;
    uint64_t n_in_pool;    /* tasks submitted and not taken back */
    uint64_t n_taken;      /* outcomes */
    uint64_t output_bytes; /* what the next of them may hold, by those taken */
    uint64_t kept_bytes;   /* held in outcomes that wait for earlier ones */

    struct seq_set has_run;
    struct joblog joblog;
    struct results results;
    struct output output;
    struct progress progress;
    struct report report;
    struct halt halt;
    struct lastwords_note note; /* of who runs it to compare; {0}: none */
    struct text line;           /* the command or call of a task */
    struct text tag;            /* of --tagstring */
};

/* Open the pool for r->work, with the count of -j in the model.
 * Returns   0, or -1 after saying why not */
int run_open_pool(struct run *r, const char *model);

/* What was written is all saved, as far as closing tells; call it behind the last
 * output. Returns 0, or -1 after saying what may be lost. */
int run_save(struct run *r);

/* Give back everything but r->work. */
void run_close(struct run *r);

/* Take the next input that has no record yet; after an end or an error,
 * inputs_ended is set.
 * Returns   0: it is in r->input; MU_EMPTY; MU_TIMEOUT: not there yet */
int run_next_input(struct run *r);

/* With --halt no task starts after the outcome that halts, and with --delay none before
 * its time: whether none is to be handed over before a worker is free for it. */
int run_waits_for_outcome(const struct run *r, uint64_t n_under_way);

/* With --delay: whether the next task is not to start yet; and that one has started. */
int run_is_early(const struct run *r);
void run_started(struct run *r);

/* Note that r->input is on its way; NULL when there is no memory for its name. What a
 * submission needs goes into the rest. */
struct flight *run_depart(struct run *r);
void run_describe_input(struct run *r, struct mu_span *ret_bytes,
                        struct mu_submit *ret_how);

/* What its outcome and its flight tell of a task; points into both. */
struct ended run_read(const struct run *r, const struct flight *flight,
                      const struct mu_outcome *outcome);

/* Count an outcome that has come, for --halt and the exit status. Its files of --results
 * are written before, even with -k: it has failed when they cannot be. */
void run_count(struct run *r, struct flight *flight,
               const struct mu_outcome *outcome);

/* Log and report an outcome whose turn it is. With may_take, r->report may keep it;
 * returns 1 when it did. */
int run_arrive(struct run *r, struct flight *flight, struct mu_outcome *outcome,
               int may_take);

/* r->input cannot be run: it has failed for this, a negative errno, and has been reported
 * as an outcome would be. No other may be under way that is to be reported before. */
void run_fail_input(struct run *r, int rc);

/* What signals ask for. */
void run_heed_signals(struct run *r);

/* Take no more inputs; with `now`, end what runs. */
void run_stop(struct run *r, int now);

void run_draw_progress(struct run *r);

/* Write what is said at the end. */
void run_report(struct run *r);

/* Be ready for a task that takes the process with it. Returns 0, or -1 after saying
 * why not. */
int run_arm_lastwords(struct run *r);

/* Run every input to its end. Returns 0, or -1 after saying what broke. */
int run_map(struct run *r);

/* Take what has ended without waiting, and write it. */
void run_map_collect(struct run *r);

/* The same with --reduce; writes the result to standard output. */
int run_reduce(struct run *r);

#endif
