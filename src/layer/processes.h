/* processes.h: the parts of the processes layer, which share one state.
 *
 * A worker process is a `peer`: its memory is made here, the nursery forks it. At
 * any time each group has a peer (or waits for one) and some spares stand ready, so
 * that a death costs a hand-over:
 *
 *     record or report of a death -> desk: died() -> next spare: attach()
 *                                 -> later, by the monitor: bury, order a spare
 *                                 -> report of its end -> desk: ended()
 *
 * Whoever sees a death first deals with it: the monitor, or a caller that slept for
 * an outcome. All state is under the desk's lock; only killing, burying and ordering,
 * which take time and wake others, are done outside it, by the monitor alone.
 *
 *     processes.c           the layer's table: open, sleep, kill, stop
 *     processes_worker.c    the inside of a worker process
 *     processes_deaths.c    peers come up, die, and are replaced by spares
 *     processes_monitor.c   the thread that orders, buries and answers bells
 *     processes_robbed.c    the program closed our descriptors */
#ifndef MUI_LAYER_PROCESSES_H
#define MUI_LAYER_PROCESSES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "layer/layer.h"
#include "layer/starts.h"
#include "process/bells.h"
#include "process/board.h"
#include "process/nursery.h"
#include "process/peer.h"
#include "process/sandbox.h"
#include "sys/descriptor.h"

enum {
    MUI_PLAN_LAYERS = 8,
    MUI_PROCESSES_IDS = 64, /* bells that are heeded at a time */
    /* until the next try when an order could not be sent */
    MUI_BACKOFF_NS = 1000 * 1000,
    /* a caller who waits has the nursery look after the workers so often, at the most */
    MUI_ASK_NS = 1000 * 1000 * 1000,
    /* between looks at a worker that is at something and cannot ring */
    MUI_MUTE_LOOK_NS = 10 * 1000 * 1000,
    /* how long its word is believed that a worker writes a core */
    MUI_DUMP_LOOK_NS = 1000 * 1000 * 1000,
    /* after a death, until the monitor tidies up: the next worker first */
    MUI_TIDY_AFTER_NS = 200 * 1000,
    /* how long callers stay awake for a worker that says that it dies */
    MUI_DYING_NS = 200 * 1000
};

/* What a worker process gets to know: copied by way of the nursery. */
struct mui_processes_plan {
    struct mui_terms terms;
    struct mui_block_shape shape;
    struct mui_layer_spec below[MUI_PLAN_LAYERS];
    unsigned n_places; /* of the board */
    bool has_ruleset;  /* of the sandbox, the descriptor after the board's */
    bool has_lists;    /* and the one after that */
};

enum mui_peer_state {
    MUI_PEER_FREE = 0,
    MUI_PEER_ORDERED, /* may be forked, may be up */
    MUI_PEER_GONE     /* dead for the desk; waits to be buried */
};

struct mui_processes_peer {
    struct mui_peer peer;
    enum mui_peer_state state;
    int i_group; /* -1: a spare */
    int64_t ordered_ns;
    bool up;        /* it has been seen to serve, and can be killed */
    int64_t up_ns;  /* since when */
    bool announced; /* it has said that it dies: a spare was woken for it */
    /* when to kill it, unless it writes a core by then: for it says that it does, or
     * could not be killed at once; 0: neither */
    int64_t kill_ns;
    bool waits;  /* it has left word and sleeps: the monitor kills it */
    bool reaped; /* its process has ended, or will never be */
};

/* Whether any worker has come up, for whoever opens the pool. */
enum mui_first { MUI_FIRST_AWAITED = 0, MUI_FIRST_UP, MUI_FIRST_HOPELESS };

struct mui_processes {
    struct mui_layer base;
    struct mui_desk *desk;
    struct mui_processes_plan plan;
    struct mui_bells bells;
    bool has_bells;
    bool has_nursery;
    pthread_t monitor;
    bool has_monitor;
    int channel; /* -1: none */
    int dead_channel; /* of a nursery that died, or that was hung up on as we were robbed,
                       * -1: none. The monitor closes it, or who has seen that end: it may
                       * be sending there, and a number that is free is another's */
    bool heard; /* the nursery has spoken on the channel, of a worker */
    bool full;  /* it has said that it has too many */
    struct mui_sandbox_files files;
    struct mui_board *board; /* a place for each peer */
    int board_fd;
    struct mui_descriptor_mark board_mark;
    struct mui_descriptor_mark channel_mark; /* under the desk's lock */

    /* under the desk's lock */
    struct mui_processes_peer *peers;
    unsigned n_peers;  /* room */
    unsigned n_spares; /* that shall stand ready */
    int *group_peers;  /* [width] index of the peer, -1: none */
    bool *given_up;    /* [width] */
    uint32_t n_ids;
    int64_t alarm_ns;
    /* when to rouse guardian and nursery; MU_NEVER: nothing is awaited of them */
    int64_t rouse_ns;
    int64_t ask_ns; /* when the nursery may be had to look again */
    struct mui_starts starts;
    struct mu_error failure; /* of the last that failed */
    bool stopping;
    bool robbed;      /* our descriptors are no longer ours */
    unsigned n_looks; /* by callers */
    /* a worker says that it dies: worth waiting awake */
    int64_t dying_until_ns;
    bool tidy_due; /* the monitor will be poked, to bury and to order */

    bool quit;                 /* monitor: end; written under the lock */
    _Atomic uint32_t first;    /* futex; enum mui_first */
    _Atomic uint32_t n_tidied; /* futex: stop waits for burials */
};

/* -- processes_worker.c -- */

/* The body of a worker process. Returns its exit status. */
int mui_processes_worker_main(const struct mui_nursery_start *start);

/* -- processes_deaths.c; the desk's lock is held -- */

/* NULL: there is none of this id. */
struct mui_processes_peer *mui_processes_peer_by_id(struct mui_processes *p,
                                                    uint32_t id);

/* Listen to its bell no more. */
void mui_processes_silence(struct mui_processes *p,
                           struct mui_processes_peer *peer);

/* Give groups that have no worker one. */
void mui_processes_fill_groups(struct mui_processes *p);

/* By the nursery, when this program may not any more. */
void mui_processes_kill_peer(struct mui_processes *p,
                             struct mui_processes_peer *peer);

/* Have the monitor see to what there is, soon. */
void mui_processes_tidy_later(struct mui_processes *p);

/* Kill it, and leave the rest to the monitor. */
void mui_processes_bury_later(struct mui_processes *p,
                              struct mui_processes_peer *peer);

/* The worker runs nothing more: settle its tasks, put the next in its place. */
void mui_processes_died(struct mui_processes *p,
                        struct mui_processes_peer *peer,
                        struct mui_death *death);

/* Its process has ended, or will never be. Of one that died before the desk is told. */
void mui_processes_ended(struct mui_processes *p,
                         struct mui_processes_peer *peer);

/* Whether it left word of its end; then it is dealt with. */
bool mui_processes_heed_last_words(struct mui_processes *p,
                                   struct mui_processes_peer *peer);

/* The same for all, without waiting for bells. Cheap while nobody dies. */
bool mui_processes_look(struct mui_processes *p);

/* No worker came of it: pause before the next, longer each time. */
void mui_processes_count_failure(struct mui_processes *p);

/* Note that it is up, if it is. */
void mui_processes_see_stage(struct mui_processes *p,
                             struct mui_processes_peer *peer);

/* Give up those that were ordered long ago and are not up: a start that hangs. Returns
 * when to look again. */
int64_t mui_processes_see_late(struct mui_processes *p);

/* When to look again at those that are at something and cannot ring any more: nothing else
 * tells of it before they end. MU_NEVER: there are none. */
int64_t mui_processes_see_mute(const struct mui_processes *p);

/* What the nursery has to say of one. */
void mui_processes_heed_report(struct mui_processes *p,
                               const struct mui_nursery_report *report);

/* -- processes_robbed.c -- */

/* Whether the program closed our descriptors; then no worker is left and every task is
 * lost. The desk's lock is held. */
bool mui_processes_robbed(struct mui_processes *p);

/* Whether the board's descriptor is still ours. Without the lock; signal-safe. */
bool mui_processes_has_board(const struct mui_processes *p);

/* -- processes_monitor.c -- */

int mui_processes_connect_nursery(struct mui_processes *p,
                                  struct mu_error *err);

void mui_processes_close_dead_channel(struct mui_processes *p);

/* Make a worker's memory and have it forked; lock not held but to put it in. Only
 * one thread at a time orders. When it could not be sent, `place` waits to be buried. */
int mui_processes_order_one(struct mui_processes *p,
                            struct mui_processes_peer *place);

/* Deal with what rang; the lock is held. */
void mui_processes_heed_ids(struct mui_processes *p, const uint64_t *ids,
                            unsigned n);

/* The body of the monitor thread; `arg` is the layer. */
void *mui_processes_monitor(void *arg);

#endif
