/* processes_worker.c: the inside of a worker process, which serves its lanes with
 * the layer below. */
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "muster/pool.h"

#include "base/error.h"
#include "layer/processes.h"
#include "layer/run.h"
#include "process/crash.h"
#include "process/sandbox.h"
#include "process/worker.h"
#include "sys/memfd.h"
#include "sys/module.h"

static struct mui_processes_plan the_plan; /* outlives all that points to it */

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
    mui_crash_add_common(base, terms->arena_bytes);
    terms->arena = base;
    terms->arena_fd = -1;
    if (terms->arg)
        terms->arg = terms->arena + ((const uint8_t *)terms->arg - old);
    return 0;
}

/* *ret_lane is a copy of the first lane as it is before it is served: whether an order
 * came can be asked of it while others serve the lane. */
static int worker_open(struct mui_processes_plan *plan,
                       const struct mui_nursery_start *start,
                       struct mui_lane_worker *ret_lane,
                       struct mui_layer **ret_below, struct mu_error *err)
{
    struct mui_worker_setup setup = {.shape = plan->shape,
                                     .down_fd = start->fds[0],
                                     .up_fd = start->fds[1],
                                     .bell_fd = start->fds[2],
                                     .n_places = plan->n_places,
                                     .place = start->place,
                                     .spin_ns = plan->terms.spin_ns,
                                     .limits = plan->terms.limits};
    struct mui_layer_config config = {.spec = plan->below,
                                      .terms = &plan->terms};
    struct mui_sandbox_files files = {
        plan->has_ruleset ? start->plan_fds[2] : -1,
        plan->has_lists ? start->plan_fds[3] : -1};
    int rc = mui_board_join(plan->n_places, start->plan_fds[1], &setup.board);

    if (rc == 0)
        rc = mui_worker_init(&setup, &config.port.lanes);
    if (rc != 0)
        return mui_fail(err, rc, "processes: map the lanes in a worker");
    config.port.n_lanes = plan->shape.n_lanes;
    rc = map_arena(&plan->terms, start->plan_fds[0]);
    if (rc < 0)
        return mui_fail(err, rc, "processes: map the inputs in a worker");
    rc = mui_sandbox_enter(&files, plan->terms.limits.sandbox);
    if (rc < 0)
        return mui_fail(err, rc, "processes: sandbox a worker");
    *ret_lane = config.port.lanes[0];
    return mui_layer_open(&config, ret_below, err);
}

/* -- rehearsal -- */

static int nothing(struct mu_task *task)
{
    (void)task;
    return 0;
}

/* 0: it has none. */
static uint64_t code_of_nothing(void)
{
    mu_task_fn fn = nothing;
    const void *address;
    uint64_t code;

    memcpy(&address, &fn, sizeof address);
    return mui_module_locate(address, &code) < 0 ? 0 : code;
}

static void rehearse_on(struct mui_lane *lane, struct mui_lane_worker *w)
{
    const struct mui_order *taken;
    const struct mui_order order = {.form = MUI_FORM_INLINE,
                                    .fn = code_of_nothing()};
    struct mui_runner *runner;
    struct mui_reply reply;
    uint32_t index;
    void *owner;

    if (!order.fn || mui_runner_new(&the_plan.terms, w, 0, &runner, NULL) < 0)
        return;
    (void)mui_lane_push(lane, &order, 1, lane, &index);
    mui_lane_flush(lane);
    if (mui_lane_take(w, &taken, &index) == MU_OK)
        mui_runner_run(runner, taken, index);
    (void)mui_lane_collect(lane, &reply, &owner);
    mui_runner_free(runner);
}

/* Run an empty task on a lane that nobody else sees. A forked process faults in each
 * page of code when it is first run, some 80 us in all: not while the first task
 * waits, which may follow a crash. */
static void rehearse(void)
{
    enum { SLOTS = 2 };
    size_t down_bytes = mui_lane_down_bytes(SLOTS);
    size_t bytes = down_bytes + mui_lane_up_bytes(SLOTS);
    uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct mui_lane_memory blocks;
    struct mui_lane lane;
    struct mui_lane_worker w;

    if (memory == MAP_FAILED)
        return;
    blocks = (struct mui_lane_memory){
        .down = memory, .up = memory + down_bytes, .n_slots = SLOTS};
    if (mui_lane_init(&lane, &blocks) == 0) {
        mui_lane_worker_init(&w, &blocks);
        rehearse_on(&lane, &w);
        mui_lane_fini(&lane);
    }
    (void)munmap(memory, bytes);
}

/* What a first task, and a crash, would otherwise wait for; but what waits already
 * is served first. */
static void warm_up(const struct mui_lane_worker *lane)
{
    if (!mui_lane_has_order(lane))
        rehearse();
    if (!mui_lane_has_order(lane))
        mui_worker_warm_up();
}

/* Whether it cannot be done later: a sandbox forbids it, or what it leaves in the
 * heap would be counted as a task's. */
static bool warms_up_early(const struct mui_limits *limits)
{
    return limits->sandbox || limits->memory_bytes || limits->recycle_bytes;
}

int mui_processes_worker_main(const struct mui_nursery_start *start)
{
    struct mu_error err = {.code = 0};
    struct mui_layer *below;
    struct mui_lane_worker lane;
    bool early;
    int rc;

    memcpy(&the_plan, start->plan, sizeof the_plan);
    the_plan.terms.is_worker = true;
    mui_crash_excuse(true);
    mui_runner_forget_in_child();
    early = warms_up_early(&the_plan.terms.limits);
    rc = worker_open(&the_plan, start, &lane, &below, &err);
    if (rc < 0) {
        mui_worker_failed(&err);
        return 1;
    }
    if (early)
        warm_up(&lane);
    rc = mui_worker_up(below->ops->caps & MUI_LAYER_PUMPED);
    if (rc < 0) {
        (void)mui_fail(&err, rc, "processes: limit or sandbox a worker");
        mui_worker_failed(&err);
        return 1;
    }
    if (!early)
        warm_up(&lane);
    mui_crash_excuse(false);
    if (below->ops->caps & MUI_LAYER_PUMPED) {
        /* the rest of what the first task's code touches; nothing is there yet, or
         * else it is run */
        (void)below->ops->pump(below, 1);
        mui_worker_park();
    }
    mui_layer_run(below);
    mui_layer_close(below);
    mui_crash_retire();
    return 0;
}
