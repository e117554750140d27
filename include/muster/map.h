/* map.h: a function over many inputs, in order, in bounded memory; and an
 * associative reduce of what it gives. */
#ifndef MUSTER_MAP_H
#define MUSTER_MAP_H

#include "muster/base.h"
#include "muster/pool.h"
#include "muster/task.h"

MU_BEGIN_DECLS

/* Give the next input: set *ret_input, and in *ret_how what is not default.
 * What they point to stays valid until the next call.
 * Returns   0; MU_EMPTY when there are no more; MU_CLOSED: the same, and those that
 *           have not started are cancelled; MU_FULL: not now, ask again after the
 *           next outcome (-EINVAL ends the map when no task is under way); any
 *           error below 0 ends the map, anything else is -EINVAL. After
 *           mu_pool_interrupt() it is called once more than it would be, also when
 *           it has said MU_EMPTY (and then says it again), so that it can end the
 *           map from a signal: with MU_CLOSED, or at once with -EINTR */
typedef int (*mu_input_fn)(void *ctx, struct mu_span *ret_input,
                           struct mu_submit *ret_how);

/* Take one outcome, in the order of the inputs; it is freed after the call.
 * Returns   0; anything else ends the map, which returns it and says so in its `err`
 *
 * Neither callback may be left but by returning: no C++ exception and no longjmp() out
 * of them. */
typedef int (*mu_outcome_fn)(void *ctx, const struct mu_outcome *outcome);

/* Run fn over every input and hand the outcomes over in order.
 * pool      with no other tasks in it, nor outcomes that were not taken (-EBUSY
 *           before the first input), until this returns; borrowed
 * window    how many inputs may be ahead of the oldest outcome that is still
 *           missing; 0: enough to keep every worker busy. Each mu_pool_interrupt() may
 *           bring one more
 * Returns   0 when every input's outcome was handed over, however it ended; else
 *           what a callback returned or an error: the rest was cancelled
 * Context   blocks; the callbacks run on the calling thread */
MU_API MU_NODISCARD int mu_map(struct mu_pool *pool, mu_task_fn fn,
                               size_t window, mu_input_fn input,
                               mu_outcome_fn outcome, void *ctx,
                               struct mu_error *err);

/* The tags of steps that combine are from here on, and differ: who gives inputs smaller
 * ones can tell all tasks of a reduce apart. */
#define MU_REDUCE_TAGS (UINT64_C(1) << 56)

/* Run fn over every input and combine the outputs with `combine`, which gets
 * 2 to 16 neighbours in order as the parts of its input (mu_task_part()) and
 * writes their combination. It has to be associative. Which neighbours meet
 * depends on the number of inputs alone, so the result is the same, to the
 * last bit of a floating-point sum, whatever the model and its counts, as long as
 * workers round as this thread does: they do as their starter did when the pool was
 * opened, processes as the program did in mu_init().
 *
 * outcome   optional: sees the outcome of every input, as they end (not in order).
 *           The output of a task that did not end `done` is left out of the result
 * ret_result the last combination, given; its output is empty when no task ended
 *           `done`. A `combine` that does not end `done` ends the reduce, and
 *           *ret_result is its outcome. In every other case it is NULL
 * Returns   0; else as mu_map(), with *ret_result NULL; -ECANCELED when a combine step
 *           did not end `done`, and only then with an outcome in *ret_result */
MU_API MU_NODISCARD int mu_reduce(struct mu_pool *pool, mu_task_fn fn,
                                  mu_task_fn combine, mu_input_fn input,
                                  mu_outcome_fn outcome, void *ctx,
                                  struct mu_outcome **ret_result,
                                  struct mu_error *err);

MU_END_DECLS

#endif
