/* serial.c: the leaf: runs the tasks of one lane, one after the other, on the
 * thread that pumps it. As a model of its own it is pumped by the caller. */
#include <assert.h>

#include "layer/layer.h"
#include "layer/run.h"
#include "process/worker.h"
#include "sys/thread.h"

struct serial_layer {
    struct mui_layer base;
    struct mui_lane_worker *lane;
    struct mui_runner *runner;
    bool pin_due; /* this flow is to be bound to its CPU */
};

static unsigned serial_n_lanes(unsigned width, unsigned below)
{
    (void)below;
    return width;
}

static int serial_open(struct mui_layer *l,
                       const struct mui_layer_config *config,
                       struct mu_error *err)
{
    struct serial_layer *s = (struct serial_layer *)l;

    assert(config->port.n_lanes == 1);
    s->lane = config->port.lanes;
    s->pin_due = config->terms->pin != 0;
    return mui_runner_new(config->terms, s->lane, config->port.i_first,
                          &s->runner, err);
}

/* With the first order, for a spare process has no number before that. */
static void pin(struct serial_layer *s)
{
    s->pin_due = false;
    (void)mui_thread_pin(mui_lane_number(s->lane));
    if (s->base.terms->is_worker)
        mui_worker_moved();
}

static int serial_pump(struct mui_layer *l, int budget)
{
    struct serial_layer *s = (struct serial_layer *)l;
    const struct mui_order *order;
    uint32_t index;
    int n;
    int rc;

    /* time has passed since: a wait, or what the caller does between two calls */
    mui_runner_pause(s->runner);
    for (n = 0; n < budget; n++) {
        rc = mui_lane_take(s->lane, &order, &index);
        if (rc == MU_CLOSED && n == 0) {
            mui_lane_leave(s->lane);
            return -MU_CLOSED;
        }
        if (rc != MU_OK)
            break;
        if (s->pin_due)
            pin(s);
        mui_runner_run(s->runner, order, index);
    }
    return n;
}

static void serial_doze(struct mui_layer *l, int64_t deadline_ns)
{
    struct serial_layer *s = (struct serial_layer *)l;

    mui_lane_sleep(s->lane, deadline_ns);
}

static void serial_stop(struct mui_layer *l)
{
    (void)l; /* whoever pumped it has stopped */
}

static void serial_fini(struct mui_layer *l)
{
    struct serial_layer *s = (struct serial_layer *)l;

    mui_runner_free(s->runner);
}

const struct mui_layer_ops mui_layer_serial = {
    .name = "serial",
    .caps = MUI_LAYER_LEAF | MUI_LAYER_PUMPED,
    .size = sizeof(struct serial_layer),
    .rank = 9,
    .n_lanes = serial_n_lanes,
    .open = serial_open,
    .pump = serial_pump,
    .doze = serial_doze,
    .stop = serial_stop,
    .fini = serial_fini,
};
