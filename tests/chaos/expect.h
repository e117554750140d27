/* expect.h: one task, in a pool of its own, and what its outcome says. */
#ifndef TESTS_CHAOS_EXPECT_H
#define TESTS_CHAOS_EXPECT_H

#include "support/pool.h"

/* Its outcome. */
struct mu_outcome *expect_outcome(const char *model,
                                  const struct mu_pool_options *options,
                                  mu_task_fn fn, const char *input);

/* The description of its outcome has to have these words. */
void expect(const char *model, const struct mu_pool_options *options,
            mu_task_fn fn, const char *input, const char *words);

#endif
