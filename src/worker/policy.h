/* policy.h: what a supervisor decides, as a pure function over plain state: who is to
 * be stopped, who started, when to give up. The clock is passed in. */
#ifndef MUI_WORKER_POLICY_H
#define MUI_WORKER_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "muster/worker.h"

#define MUI_RESTARTS_MAX 1000 /* of mu_supervisor_options.restarts_max */

/* The restarts of late. Zeroed, but for restarts_max and period_ns, is none. */
struct mui_policy {
    enum mu_strategy strategy;
    unsigned restarts_max; /* up to MUI_RESTARTS_MAX */
    int64_t period_ns;
    unsigned n;     /* restarts remembered */
    unsigned i_old; /* the oldest of them */
    int64_t times[MUI_RESTARTS_MAX + 1];
};

enum mui_verdict {
    MUI_LEAVE, /* it stays down */
    MUI_RESTART, /* stop [first, last) but for itself, backwards; start it forwards */
    MUI_GIVE_UP /* stop all */
};

struct mui_decision {
    enum mui_verdict verdict;
    size_t first;
    size_t last; /* one behind the last */
};

/* Child i of n has ended so, at `now`. */
struct mui_decision mui_policy_decide(struct mui_policy *p, size_t i, size_t n,
                                      enum mu_restart restart,
                                      const struct mu_worker_exit *how,
                                      int64_t now);

#endif
