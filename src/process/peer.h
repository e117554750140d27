/* peer.h: a worker process as its supervisor holds it. */
#ifndef MUI_PROCESS_PEER_H
#define MUI_PROCESS_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "muster/base.h"

#include "process/block.h"
#include "process/crash.h"
#include "sync/lane.h"

struct mui_peer {
    uint32_t id;
    pid_t pid; /* 0: not forked yet */
    int pidfd; /* -1: not forked yet */
    int bell;  /* our end; -1: hung up */
    struct mui_block block;
    struct mui_lane *lanes;
};

/* Make the memory, lanes and bell of a worker that does not exist yet; tasks can
 * be given to it already. *ret_theirs [3] are what the worker gets: down, up and
 * bell; they are the caller's to send and to close by mui_peer_ordered(). 0 or
 * -errno. */
int mui_peer_open(struct mui_peer *peer, const struct mui_block_shape *shape,
                  uint32_t id, int ret_theirs[3]);
void mui_peer_ordered(const int theirs[3]);

/* Kill it and give everything back but the process, which is the nursery's to
 * bury. Accepts a half-open one. */
void mui_peer_close(struct mui_peer *peer, const struct mui_block_shape *shape);

/* 0, or -errno: -EPERM when its host has given up the right to. */
int mui_peer_kill(const struct mui_peer *peer);

/* Empty the bell. False: it hung up. */
bool mui_peer_answer(const struct mui_peer *peer);

/* How far it says it has come; with MUI_STAGE_FAILED `err` says why. */
enum mui_worker_stage mui_peer_stage(const struct mui_peer *peer,
                                     struct mu_error *err);

/* Whether it says that it is not parked: it may even be spinning. */
bool mui_peer_is_awake(const struct mui_peer *peer);

/* Its crash record, checked. False: none. */
bool mui_peer_last_words(const struct mui_peer *peer, unsigned n_lanes,
                         struct mui_crash *ret_crash);

/* Whether a task runs, by its own word; throws replies away. */
bool mui_peer_is_busy(struct mui_peer *peer, unsigned n_lanes);

#endif
