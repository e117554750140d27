/* task.h: a task as it runs. */
#ifndef MUI_LAYER_TASK_H
#define MUI_LAYER_TASK_H

#include <stddef.h>
#include <stdint.h>

#include "muster/task.h"

#include "layer/input.h"
#include "layer/layer.h"
#include "layer/output.h"
#include "sync/lane.h"

struct mu_task {
    const uint8_t *input;
    size_t input_size;
    size_t reserved;               /* by mu_task_reserve(), behind the output */
    const struct mui_parts *parts; /* NULL: the input is one part */
    uint64_t tag;
    unsigned attempt;
    uint32_t index;
    struct mui_lane_worker *lane;
    const struct mui_terms *terms;
    struct mui_output output;
};

#endif
