/* model.h: the grammar of models: layer[:count] joined by '/'. */
#ifndef MUI_POOL_MODEL_H
#define MUI_POOL_MODEL_H

#include <stdbool.h>

#include "muster/base.h"

#include "layer/layer.h"

enum {
    MUI_MODEL_LAYERS = 5,
    MUI_MODEL_TEXT = 128,
    MUI_MODEL_WORKERS_MAX = 4096
};

struct mui_model {
    struct mui_layer_spec layers[MUI_MODEL_LAYERS]; /* the last is the leaf */
    unsigned n_layers;                              /* the leaf counted */
    unsigned n_lanes;                               /* in all */
    char text[MUI_MODEL_TEXT]; /* with every count: "processes:4" */
};

/* Read `text`; counts left out fill `n_cpus`. 0; MU_EMODEL: `err` says what would
 * be right. Pure. */
int mui_model_parse(const char *text, unsigned n_cpus,
                    struct mui_model *ret_model, struct mu_error *err);

/* Whether it contains a crash, and can kill a worker. */
bool mui_model_isolates(const struct mui_model *model);

/* The lanes that one worker of layer i needs. */
unsigned mui_model_lanes_below(const struct mui_model *model, unsigned i_layer);

#endif
