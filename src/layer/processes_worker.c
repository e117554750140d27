/* processes_worker.c: the inside of a worker process, which serves its lanes with
 * the layer below. */
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "layer/processes.h"
#include "process/sandbox.h"
#include "process/worker.h"
#include "sys/memfd.h"

static int map_arena(struct mui_terms *terms, int fd)
{
    const uint8_t *old = terms->arena;
    void *base;
    int rc;

    if (!old)
        return 0;
    rc = mui_memfd_map(fd, terms->arena_bytes, PROT_READ, 0, &base);
    if (rc < 0)
        return rc;
    (void)close(fd);
    terms->arena = base;
    terms->arena_fd = -1;
    if (terms->arg)
        terms->arg = terms->arena + ((const uint8_t *)terms->arg - old);
    return 0;
}

static int worker_open(struct mui_processes_plan *plan,
                       const struct mui_nursery_start *start,
                       struct mui_layer **ret_below, struct mu_error *err)
{
    struct mui_worker_setup setup = {.shape = plan->shape,
                                     .down_fd = start->fds[0],
                                     .up_fd = start->fds[1],
                                     .bell_fd = start->fds[2],
                                     .spin_ns = plan->terms.spin_ns,
                                     .limits = plan->terms.limits};
    struct mui_layer_config config = {.spec = plan->below,
                                      .terms = &plan->terms};
    int rc = mui_worker_init(&setup, &config.port.lanes);

    if (rc < 0)
        return mui_fail(err, rc, "processes: map the lanes in a worker");
    config.port.n_lanes = plan->shape.n_lanes;
    rc = map_arena(&plan->terms, start->plan_fds[0]);
    if (rc < 0)
        return mui_fail(err, rc, "processes: map the inputs in a worker");
    rc =
        mui_sandbox_enter_files(plan->has_sandbox_fd ? start->plan_fds[1] : -1);
    if (rc < 0)
        return mui_fail(err, rc, "processes: restrict files in a worker");
    return mui_layer_open(&config, ret_below, err);
}

int mui_processes_worker_main(const struct mui_nursery_start *start)
{
    static struct mui_processes_plan plan; /* outlives all that points to it */
    struct mu_error err = {.code = 0};
    struct mui_layer *below;
    int rc;

    memcpy(&plan, start->plan, sizeof plan);
    rc = worker_open(&plan, start, &below, &err);
    if (rc < 0) {
        mui_worker_failed(&err);
        return 1;
    }
    rc = mui_worker_up();
    if (rc < 0) {
        (void)mui_fail(&err, rc, "processes: limit or sandbox a worker");
        mui_worker_failed(&err);
        return 1;
    }
    mui_layer_run(below);
    mui_layer_close(below);
    mui_worker_retire();
    return 0;
}
