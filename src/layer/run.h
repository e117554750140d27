/* run.h: run one order as a task: input, output, the call, the reply. */
#ifndef MUI_LAYER_RUN_H
#define MUI_LAYER_RUN_H

#include "layer/layer.h"
#include "sync/lane.h"

/* What a leaf keeps from task to task. */
struct mui_runner;

/* A runner for one lane. Gives *ret_runner. 0 or -ENOMEM. */
int mui_runner_new(const struct mui_terms *terms, struct mui_lane_worker *lane,
                   unsigned i_worker, struct mui_runner **ret_runner,
                   struct mu_error *err);
void mui_runner_free(struct mui_runner *runner);

/* Run the order and write its reply. */
void mui_runner_run(struct mui_runner *runner, const struct mui_order *order,
                    uint32_t index);

/* The lane of the task that the calling thread runs; NULL: none. A task that runs tasks of
 * a pool of its own on its thread is that lane's `outer`. Signal-safe. */
const struct mui_lane_worker *mui_runner_here(void);

/* In a worker process: the task that made it, where one did, is not its own. */
void mui_runner_forget_in_child(void);

/* The lane ran empty: time passes until the next order. */
void mui_runner_pause(struct mui_runner *runner);

#endif
