/* layer.h: one level of a model, and how levels compose.
 *
 * A model is a path of layers, ended by the leaf `serial`, which runs one task
 * at a time. Every lane (sync/lane.h) is served by exactly one leaf. There are two
 * kinds of layer:
 *
 *   - one that works inside a process (serial, fibers, threads) is given a port,
 *     the worker ends of some lanes, and starts flows of execution that serve them,
 *     each by opening the layer below with its share of the lanes;
 *   - one that hosts (processes, mpi; MUI_LAYER_HOSTS) makes the lanes itself,
 *     since their memory must reach its workers, gives the supervisor ends to the
 *     desk, and opens the layer below inside each worker.
 *
 * So `processes:4/threads:2` is the processes layer with 4 workers of 2 lanes, in
 * each of which the threads layer serves a port of 2 lanes with 2 threads, in each
 * of which the leaf serves one. Nothing knows of the combination. */
#ifndef MUI_LAYER_LAYER_H
#define MUI_LAYER_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "muster/base.h"

#include "process/limit.h"
#include "sync/lane.h"

enum mui_layer_cap {
    MUI_LAYER_HOSTS = 1,    /* makes the lanes, needs a desk */
    MUI_LAYER_ISOLATES = 2, /* contains a crash; can kill a worker */
    MUI_LAYER_PUMPED = 4,   /* works only while pump is called */
    MUI_LAYER_LEAF = 8      /* the last of every path; never written by users */
};

struct mui_layer;
struct mui_layer_ops;

/* One level of a model, count filled in. An array of them ends with the leaf. */
struct mui_layer_spec {
    const struct mui_layer_ops *ops;
    unsigned width; /* workers of this layer in each worker of the one above */
};

/* What every worker of a pool needs to know; plain data that fork copies. */
struct mui_terms {
    struct mui_limits limits; /* of worker processes */
    /* lists of paths for the sandbox; the supervisor's memory, used at open */
    const char *const *read_paths;
    const char *const *write_paths;
    uint64_t output_bytes; /* of one task */
    unsigned n_slots;      /* of a lane */
    int spin_ns;           /* how long an idle worker spins, twice */
    int pin;               /* bind workers to CPUs */
    bool is_worker;        /* this process is no host's, but a worker */
    /* spans of orders are offsets from here; NULL: they are pointers */
    const uint8_t *arena;
    uint64_t arena_bytes;
    int arena_fd; /* open for reading only; -1 without arena */
    /* mu_task_arg(): in the arena where there is one, and rebased with it in a
     * worker process */
    const void *arg;
    size_t arg_size;
};

/* Worker ends of the lanes that a layer is to serve. */
struct mui_port {
    struct mui_lane_worker *lanes;
    unsigned n_lanes;
    unsigned i_first; /* the pool-wide number of lanes[0] */
};

enum {
    MUI_LANE_UNKNOWN = -1, /* the worker could not say */
    MUI_LANE_FOREIGN = -2  /* a thread that serves no lane: left by some task */
};

/* How a worker process ended, as far as it is known. What a worker wrote itself is
 * a claim, not a fact. */
struct mui_death {
    enum {
        MUI_DEATH_CRASHED, /* by `signal` */
        MUI_DEATH_EXITED,  /* exit(code) or _exit(code) inside a task */
        MUI_DEATH_STOPPED, /* SIGSTOP and the like: killed by us */
        MUI_DEATH_KILLED,  /* by the desk's own order: mui_layer_ops.kill */
        MUI_DEATH_CORRUPT, /* its lane was forged: killed by us */
        MUI_DEATH_RETIRED, /* ended on request, all its lanes quiet */
        MUI_DEATH_VANISHED /* with the nursery, or never came up */
    } how;
    int code;
    int signal;
    bool out_of_memory;  /* it was at its memory limit when it died */
    enum mu_limit limit; /* by which; or by which else it was killed */
    bool stack_overflow; /* the fault lay just beyond the stack pointer */
    bool thread_ended;   /* not the process: `code` is nobody's */
    bool in_common;      /* it died of memory that is the whole process's, see
                     * struct mui_crash */
    bool fresh;      /* the desk: it had run no task before those in flight */
    bool in_company; /* the desk: tasks ran beside the one that it names */
    bool neighbours; /* the desk: the worker has several lanes */
    bool shared;     /* the desk: more than one of its lanes was given a task */
    /* the lane, within the group, whose flow died; or MUI_LANE_... */
    int i_lane;
    bool has_address;
    uint64_t fault_address;
    uint32_t worker; /* for ended() */
    bool ended;      /* its process has, and ended() does not follow */
    unsigned n_frames;
    uint64_t frames[32]; /* mui_module codes, innermost first */
};

/* What a hosting layer reports to: the pool. A group is the lanes of one worker;
 * groups are numbered from 0, one for each of the layer's width. `lock` is held in all but
 * lock() itself. */
struct mui_desk {
    const struct mui_desk_ops *ops;
};

struct mui_desk_ops {
    void (*lock)(struct mui_desk *desk);
    void (*unlock)(struct mui_desk *desk);

    /* The lanes of group i_group are these from now on. Taken until died(). */
    void (*attach)(struct mui_desk *desk, unsigned i_group,
                   struct mui_lane *lanes, unsigned n_lanes);

    /* The worker of the group is dead or as good as: it will run nothing more.
     * The desk collects what replies there are and settles the rest. The lanes
     * are not used after it returns. */
    void (*died)(struct mui_desk *desk, unsigned i_group,
                 const struct mui_death *death);

    /* The process of a worker that died() told of has ended, and holds nothing any more:
     * what it had begun can run again. */
    void (*ended)(struct mui_desk *desk, uint32_t worker);

    /* A worker could not be replaced, and the layer has given up on the group:
     * `err` says why. When no group is left the pool fails its tasks. */
    void (*gave_up)(struct mui_desk *desk, unsigned i_group,
                    const struct mu_error *err);

    /* Collect replies, hand out orders, see to deadlines. Called by the layer's
     * own thread when a bell rang or a time came. Returns the time at which it wants
     * to be called again at the latest. */
    int64_t (*rung)(struct mui_desk *desk);
};

struct mui_layer_config {
    const struct mui_layer_spec *spec; /* of this layer; spec + 1 is below */
    const struct mui_terms *terms;     /* outlives the layer */
    struct mui_port port;              /* unless it hosts */
    struct mui_desk *desk;             /* if it hosts */
};

/* A layer is one const table, the only symbol of its file. Opened once, then
 * stop, then fini; fini alone after a failed open. Calls come from one thread at
 * a time unless a slot says otherwise. */
struct mui_layer_ops {
    const char *name; /* as the user writes it */
    unsigned caps;    /* enum mui_layer_cap */
    size_t size; /* bytes of its state, which begins with struct mui_layer */

    /* Where its name stands in a legal path: mpi 1, processes 2, threads 3,
     * fibers 4, the leaf last. */
    unsigned rank;

    /* The lanes that `width` workers of it need when each worker of the layer
     * below needs `below`. */
    unsigned (*n_lanes)(unsigned width, unsigned below);

    /* Start the workers. On failure leave a state that fini accepts. */
    int (*open)(struct mui_layer *l, const struct mui_layer_config *config,
                struct mu_error *err);

    /* Optional, with MUI_LAYER_PUMPED: run at most `budget` tasks on the calling
     * thread, without waiting for any to come. Returns how many; or MU_CLOSED
     * negated when every lane is closed and served. */
    int (*pump)(struct mui_layer *l, int budget);

    /* Optional, with MUI_LAYER_PUMPED: sleep until pump would find something. */
    void (*doze)(struct mui_layer *l, int64_t deadline_ns);

    /* Optional, with MUI_LAYER_HOSTS: sleep until a bell of some lane rings, until
     * kick, or until the deadline. Without the desk's lock. Any threads. */
    void (*sleep)(struct mui_layer *l, int64_t deadline_ns);
    /* Deal with workers that have left word of their end, as sleep would when they
     * ring. Returns whether there were any. With the desk's lock. Cheap. */
    bool (*look)(struct mui_layer *l);
    /* Make those who sleep return. Any thread; signal-safe. */
    void (*kick)(struct mui_layer *l);
    /* Let the layer's own thread call rung() no later than `when`. With the desk's
     * lock. */
    void (*alarm)(struct mui_layer *l, int64_t when);

    /* Optional, with MUI_LAYER_ISOLATES: kill the worker of a group now; with the
     * desk's lock. The layer calls died() with `how`, at once, before it returns,
     * and replaces the worker. */
    void (*kill)(struct mui_layer *l, unsigned i_group, int how);
    /* The same: since when the worker of a group serves its lanes; MU_NEVER: it does not
     * yet, as far as is known. With the desk's lock. */
    int64_t (*up_since)(struct mui_layer *l, unsigned i_group);
    /* Optional, with MUI_LAYER_ISOLATES: the process ids of the workers, the first
     * n_max of as many as it returns. */
    size_t (*pids)(struct mui_layer *l, int *pids, size_t n_max);

    /* Every lane was closed: return when all workers have ended. */
    void (*stop)(struct mui_layer *l);
    void (*fini)(struct mui_layer *l);
};

struct mui_layer {
    const struct mui_layer_ops *ops;
    const struct mui_terms *terms;
    const struct mui_layer_spec *spec;
};

/* All layers there are, by name, ended by NULL. The leaf is not among them. */
extern const struct mui_layer_ops *const mui_layers[];
extern const struct mui_layer_ops mui_layer_serial;
extern const struct mui_layer_ops mui_layer_threads;
extern const struct mui_layer_ops mui_layer_processes;

/* Make and open the layer that `config->spec` names. Gives *ret_layer. */
int mui_layer_open(const struct mui_layer_config *config,
                   struct mui_layer **ret_layer, struct mu_error *err);
/* Stop and free. Accepts NULL. */
void mui_layer_close(struct mui_layer *l);

/* Pump a layer that has to be, until its lanes are closed; returns at once for
 * one that works by itself. */
void mui_layer_run(struct mui_layer *l);

#endif
