/* policy.h: the decisions of a pool, as pure functions over plain state. */
#ifndef MUI_POOL_POLICY_H
#define MUI_POOL_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "muster/pool.h"

#include "layer/layer.h"
#include "pool/job.h"

/* What to do with a task whose worker died, or which ended badly. */
enum mui_verdict {
    MUI_END,   /* it ends with the status given */
    MUI_RETRY, /* again, and this attempt counts */
    MUI_AGAIN, /* again, as if it had never started */
    MUI_ALONE  /* again, uncharged, on a fresh worker of its own: a suspect */
};

struct mui_judgement {
    enum mui_verdict verdict;
    enum mu_status
        status; /* with MUI_END and MUI_RETRY: how the attempt ended */
};

/* Judge one of the tasks that a dead worker owed; its attempts count this one.
 * started    whether it had started
 * on_culprit whether it ran in the lane that the worker's own report names
 * n_suspects how many tasks can have done it: the started ones of that lane, or of
 *            the whole worker when it names none */
struct mui_judgement mui_policy_death(const struct mui_death *death,
                                      const struct mui_job *job, bool started,
                                      bool on_culprit, unsigned n_suspects);

/* Whether so many workers died around it, since it had one for itself too, that it has to
 * run beside no other such suspect of the pool: one of those that ran each time ends more
 * than its own worker. */
bool mui_policy_runs_apart(const struct mui_job *job);

/* Whether an attempt that ended with `status` is to be tried again. */
bool mui_policy_retries(const struct mui_job *job, enum mu_status status);

/* Orders to keep in a lane: enough for about a millisecond of work at `run_ns` a task, but
 * no more than a fair share of what there is: of all lanes, or of as few as two when
 * the share of the others would take less time than waking them. */
unsigned mui_policy_window(unsigned asked, int64_t run_ns, unsigned n_slots,
                           uint64_t n_waiting, unsigned n_lanes);

#endif
