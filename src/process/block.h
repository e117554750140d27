/* block.h: the memory between the supervisor and one worker process.
 *
 *     down  the down blocks of its lanes: the worker can only read them, nor can
 *           it make a mapping that it can write
 *     up    a head, the up blocks of its lanes, and the regions for outputs: sparse
 *
 * Two memfds without names, sealed against changes of size. The supervisor maps
 * them for itself alone: its children by fork() do not see them. */
#ifndef MUI_PROCESS_BLOCK_H
#define MUI_PROCESS_BLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "process/crash.h"
#include "sync/lane.h"

/* Plain data that both sides know; not read from shared memory. */
struct mui_block_shape {
    unsigned n_lanes;
    unsigned n_slots;
    uint64_t region_bytes; /* of one lane, a multiple of 4096 */
};

enum mui_worker_stage {
    MUI_STAGE_NONE = 0,
    MUI_STAGE_UP,    /* it serves its lanes */
    MUI_STAGE_FAILED /* it could not; `reason` says why */
};

/* At the start of `up`, written by the worker. */
struct mui_worker_head {
    _Atomic uint32_t stage; /* enum mui_worker_stage */
    _Atomic uint32_t awake; /* it does not park any more: see board.h */
    _Atomic int32_t rc;     /* with MUI_STAGE_FAILED */
    char reason[240];
    struct mui_crash crash;
};

struct mui_block {
    uint8_t *down;
    uint8_t *up;
    int down_fd; /* -1: closed */
    int up_fd;
};

/* Make both and map them. 0 or -errno. */
int mui_block_open(const struct mui_block_shape *shape,
                   struct mui_block *ret_block);

/* In the worker: map what its descriptors lead to, and close them. 0 or -errno. */
int mui_block_join(const struct mui_block_shape *shape, int down_fd, int up_fd,
                   struct mui_block *ret_block);

/* Fault in what orders and replies lie in, but no region. */
void mui_block_populate(const struct mui_block *block,
                        const struct mui_block_shape *shape,
                        bool is_supervisor);

/* Unmap and close. Accepts zeros with fds of -1. */
void mui_block_close(struct mui_block *block,
                     const struct mui_block_shape *shape);

/* What is mapped at `down` and at `up`. */
uint64_t mui_block_down_bytes(const struct mui_block_shape *shape);
uint64_t mui_block_up_bytes(const struct mui_block_shape *shape);

struct mui_worker_head *mui_block_head(const struct mui_block *block);

/* What its i-th lane lies in. */
struct mui_lane_memory mui_block_lane(const struct mui_block *block,
                                      const struct mui_block_shape *shape,
                                      unsigned i);

#endif
