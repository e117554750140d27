/* lastwords.h: what the command says when a task takes it down with it, under a model
 * that does not isolate. */
#ifndef CLI_LASTWORDS_H
#define CLI_LASTWORDS_H

#include "flight.h"

/* From now on a fault names the task of `pool` that did it, and those that ran beside
 * it, before it ends the command as it would have. `flights` says what their inputs
 * were. Both are borrowed until the next call; NULL ends it. */
void lastwords_arm(const struct mu_pool *pool, const struct flights *flights);

#endif
