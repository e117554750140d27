/* layer.c: all layers there are, and opening one. */
#include "layer/layer.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"

/* A new layer is a new file and a line here. */
const struct mui_layer_ops *const mui_layers[] = {
    &mui_layer_processes,
    &mui_layer_threads,
    NULL,
};

int mui_layer_open(const struct mui_layer_config *config,
                   struct mui_layer **ret_layer, struct mu_error *err)
{
    const struct mui_layer_ops *ops = config->spec->ops;
    struct mui_layer *l = calloc(1, ops->size);
    int rc;

    if (!l)
        return mui_fail(err, -ENOMEM, "%s: no memory", ops->name);
    l->ops = ops;
    l->terms = config->terms;
    l->spec = config->spec;
    rc = ops->open(l, config, err);
    if (rc < 0) {
        ops->fini(l);
        free(l);
        return rc;
    }
    *ret_layer = l;
    return 0;
}

void mui_layer_close(struct mui_layer *l)
{
    if (!l)
        return;
    l->ops->stop(l);
    l->ops->fini(l);
    free(l);
}

void mui_layer_run(struct mui_layer *l)
{
    enum { BUDGET = 64 };
    int n;

    if (!(l->ops->caps & MUI_LAYER_PUMPED))
        return;
    do {
        n = l->ops->pump(l, BUDGET);
        if (n == 0)
            l->ops->doze(l, MU_NEVER);
    } while (n >= 0);
}
