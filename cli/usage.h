/* usage.h: what a pool costs while it works: time of the CPUs, memory, switches
 * of context, of this process and of every worker process. */
#ifndef CLI_USAGE_H
#define CLI_USAGE_H

#include <stdint.h>

struct mu_pool;
struct usage;

struct usage_figures {
    double cpu_seconds; /* commands of the workers too, once they ended */
    uint64_t
        peak_bytes; /* proportional set size (PSS) of all, at its highest */
    uint64_t n_switches; /* of context, asked for or not */
};

/* Begin to measure: a thread looks at the memory now and then.
 * pool      borrowed until usage_stop()
 * Returns   NULL when there is no such thread */
struct usage *usage_start(struct mu_pool *pool);

/* End, while the workers are still there; frees u. Accepts NULL. */
void usage_stop(struct usage *u, struct usage_figures *ret_figures);

#endif
