/* worker.h: the inside of a worker process, around the layer that serves its lanes:
 * its bell, its limits, and when it has to go. */
#ifndef MUI_PROCESS_WORKER_H
#define MUI_PROCESS_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "muster/base.h"

#include "process/block.h"
#include "process/board.h"
#include "process/limit.h"
#include "sync/lane.h"

struct mui_worker_setup {
    struct mui_block_shape shape;
    int down_fd; /* all taken */
    int up_fd;
    int bell_fd;
    const struct mui_board *board;
    unsigned n_places;
    uint32_t place; /* ours */
    int spin_ns;
    struct mui_limits limits;
};

/* Map the lanes, and get ready for the worst. Gives *ret_lanes, shape.n_lanes of
 * them. 0 or -errno. Once a process. */
int mui_worker_init(const struct mui_worker_setup *setup,
                    struct mui_lane_worker **ret_lanes);

/* Have the pages that the first order touches, and those that a crash does. */
void mui_worker_warm_up(void);

/* The lanes are served from now on, all by the calling thread if `is_pumped`, within the
 * limits and the sandbox. 0 or -errno. */
int mui_worker_up(bool is_pumped);

/* They will not be, because of `err`. */
void mui_worker_failed(const struct mu_error *err);

/* The calling thread, which serves a lane, has bound itself to a CPU: that is not what a
 * task changed. Before its first task. */
void mui_worker_moved(void);

/* A spare: sleep until there is something to do, or soon may be. */
void mui_worker_park(void);

#endif
