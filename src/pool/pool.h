/* pool.h: what a pool is made of. Everything is under `lock` unless its comment
 * says otherwise. */
#ifndef MUI_POOL_POOL_H
#define MUI_POOL_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "muster/pool.h"

#include "layer/layer.h"
#include "pool/arena.h"
#include "pool/job.h"
#include "pool/model.h"
#include "sync/lane.h"
#include "sys/clock.h"

/* The lanes of one worker of the outermost layer. */
struct mui_group {
    struct mui_lane *lanes; /* NULL: no worker now */
    unsigned n_lanes;
    unsigned i_first;     /* the pool-wide number of lanes[0] */
    struct mui_job *lone; /* the suspect that has the worker for itself: `alone`
                             and in one of the lanes; see mui_pool_ungive() */
    bool leaving;         /* its worker is to be given nothing: see leaving.c */
    bool given_up;        /* no worker will come any more */
};

struct mu_pool {
    struct mui_desk desk; /* first: the layer's calls come with its address */
    pthread_mutex_t lock;
    struct mui_model model;         /* constant */
    struct mui_terms terms;         /* constant */
    struct mu_pool_options options; /* constant, defaults filled in */
    uint32_t forked;                /* constant: see sys/forked.h */

    struct mui_layer *layer; /* the outermost */
    struct mui_group *groups;
    unsigned n_groups;
    unsigned n_given_up;
    bool has_neighbours; /* constant: several lanes of one worker process */

    /* Models that work in this process: the lanes and their memory. */
    struct mui_lane *own_lanes;
    struct mui_lane_worker *own_workers;
    void *own_memory;
    size_t own_bytes;

    struct mui_arena arena;
    void *arg; /* in the arena */
    struct mui_job_store *store;
    struct mui_job_list queue;    /* MUI_JOB_QUEUED */
    struct mui_job_list suspects; /* MUI_JOB_SUSPECT */
    struct mui_job_list held;     /* MUI_JOB_HELD */
    struct mui_job_list ended;    /* MUI_JOB_ENDED */
    uint64_t n_given;             /* MUI_JOB_GIVEN */
    uint64_t held_bytes;          /* of all jobs not taken */
    uint64_t queue_bytes; /* that they may be; a least, while it is unknown */
    bool queue_bytes_unknown; /* see submit.c */
    uint64_t n_timeouts;      /* jobs not ended that have one */
    uint64_t n_retried;       /* the same that can be tried again */
    struct mu_stats stats;
    int64_t run_ns;  /* moving average of a task's run time; 0: not known */
    int64_t wait_ns; /* the same of what callers waited for a task to end */
    int64_t end_ns;  /* when the task ended whose reply was read last */
    struct mui_clock clock; /* for the time of submit */
    bool has_spare_cpu;     /* constant: one more than there are workers */

    int64_t look_ns;  /* when rebalance() has to be called at the latest */
    int64_t alarm_ns; /* when the layer will call rung() at the latest */
    int64_t doubt_ns; /* when mui_pool_doubt() looks next, if it is called;
                           MU_NEVER where no worker can be ended alone */
    bool wish;        /* MUI_WANT_IDLE is announced to the lanes */
    bool unwatched;   /* orders were given since mui_pool_leave() saw to it */
    bool
        heard; /* workers at jobs of n_retried will ring once they have no more */
    uint64_t n_pumped;  /* n_submitted when submit.c handed over a batch last */
    uint64_t n_moves;   /* raised whenever a job changed its place */
    unsigned n_waiting; /* callers that sleep for news */
    bool pumping;  /* some thread runs the layer's pump, without the lock */
    bool was_full; /* the queue was, and is not yet three quarters full again */
    bool closing;

    /* any thread, without the lock */
    _Atomic uint32_t news; /* futex: something ended, for waiting callers */
    _Atomic uint32_t interrupted; /* mu_pool_interrupt() waits to be seen */
};

/* -- pool.c -- */

/* The worker of this pool whose task the calling thread runs, perhaps through others that
 * it runs in pools of its own; or NULL. */
const struct mui_lane_worker *mui_pool_worker_here(const struct mu_pool *pool);

/* -- pump.c: the flow of orders and replies; lock held, as in the next three -- */

/* Collect every reply there is and hand out what fits. Returns whether anything
 * moved. */
bool mui_pool_pump(struct mu_pool *pool);

/* The same for a caller that has better to do: only where there is much to move. */
void mui_pool_pump_lazily(struct mu_pool *pool);

/* The same for one that waits, and pumps again soon: a few replies to short tasks are
 * left until there are more. */
bool mui_pool_pump_waiting(struct mu_pool *pool);

/* Whether a batch of tasks is over sooner than a worker is woken. */
bool mui_pool_is_brief(const struct mu_pool *pool);

/* -- collect.c: from workers -- */

/* How many replies are worth being waited for. Reading each as it comes costs a cache
 * miss apiece, and the worker, who writes beside it, another; many at once stream. */
enum mui_patience {
    MUI_EAGER = 0,  /* what is there is read */
    MUI_WAITS = 32, /* for a caller who has nothing to do meanwhile */
    MUI_LAZY = 4096 /* half of what there may be */
};

/* Collect of all lanes what is worth it. Returns whether anything moved. */
bool mui_pool_collect_all(struct mu_pool *pool, enum mui_patience patience);

/* Collect what one lane has. Returns whether anything came; *ret_forged when it
 * wrote what no honest worker writes. */
bool mui_pool_collect(struct mu_pool *pool, struct mui_lane *lane,
                      bool *ret_forged);

/* Let go of the copy of its input, if it has one. */
void mui_pool_give_input_back(struct mu_pool *pool, struct mui_job *job);

/* A job ended: its outcome can be taken. */
void mui_pool_end(struct mu_pool *pool, struct mui_job *job,
                  enum mu_status status);

/* A job that was given is in its lane no more, whatever becomes of it: it has a reply,
 * was taken back, or its worker is dead. A suspect's worker is free for others. */
void mui_pool_ungive(struct mu_pool *pool, struct mui_job *job);

/* Such a job goes back to the queue, at its front. `charged`: this attempt counts.
 * `alone`: it is a suspect. */
void mui_pool_requeue(struct mu_pool *pool, struct mui_job *job, bool charged,
                      bool alone);

/* The list of a job that waits to be given, or to be given again. */
struct mui_job_list *mui_pool_list_of(struct mu_pool *pool,
                                      const struct mui_job *job);

/* For mui_lane_revoke(): the job `owner` goes back to where it came from. `ctx` is the
 * pool. */
void mui_pool_take_back(void *ctx, void *owner);

/* Take back what the worker of a group was given and has not begun; what it was given up
 * to the job `but`, unless that is NULL, stays in that one's lane. Returns whether there
 * was any. */
bool mui_pool_recall(struct mu_pool *pool, const struct mui_group *group,
                     const struct mui_job *but);

/* -- give.c: to workers -- */

/* To each its share, as far as the queue goes. Returns whether anything moved. */
bool mui_pool_give_queue(struct mu_pool *pool);

/* Suspects, of which each takes a worker of its own. Returns whether anything moved. */
bool mui_pool_give_suspects(struct mu_pool *pool);

/* Whether its worker has run nothing before what it has now. */
bool mui_pool_group_is_fresh(const struct mui_group *group);

/* Whether more than one of its lanes has been given a task. */
bool mui_pool_group_is_shared(const struct mui_group *group);

/* -- leaving.c: workers that end with what they run -- */

/* Look for such workers and recall what they have not begun; one that owes nothing more is
 * replaced. Returns whether anything moved. */
bool mui_pool_see_off(struct mu_pool *pool);

/* -- watch.c: who rings -- */

/* See that somebody rings for what is left to do. Before the lock is let go for good. */
void mui_pool_leave(struct mu_pool *pool);

/* Ask every lane to ring at its next reply; then pump once more, and sleep only if
 * that moved nothing. */
void mui_pool_want_news(struct mu_pool *pool);

/* -- submit.c -- */

/* A flag of struct mu_submit: also when the queue is full. */
#define MUI_SUBMIT_ANYWAY 0x80000000u
/* Another: with large inputs, no more than keeps the workers busy. */
#define MUI_SUBMIT_LIGHTLY 0x40000000u

/* A function as orders name it. */
struct mui_kind {
    uint64_t fn;
};

/* 0; -EINVAL when fn lies in no loaded module. */
int mui_pool_prepare(struct mui_kind *kind, mu_task_fn fn);

/* A queue that was full has room again when a quarter of it is free, so that tasks go on in
 * batches and not one for one. See whether it has, and tell who sleeps for that. */
void mui_pool_see_room(struct mu_pool *pool);

/* mu_pool_submit() with a number that stays with the job, for map and reduce. */
int mui_pool_submit(struct mu_pool *pool, const struct mui_kind *kind,
                    const struct mu_span *input, const struct mu_submit *how,
                    uint64_t number, uint64_t *ret_id);

/* An outcome that is `done` with no output. NULL: no memory. */
struct mu_outcome *mui_pool_empty_outcome(struct mu_pool *pool);

/* -- desk.c: workers come, die, ring -- */

extern const struct mui_desk_ops mui_pool_desk_ops;

/* A bell rang or the alarm came: pump, see to deadlines, wish again. */
void mui_pool_rung(struct mu_pool *pool);

/* -- overdue.c: workers that do not get on -- */

/* Kill workers whose task is over its time. Returns when to look again. */
int64_t mui_pool_deadlines(struct mu_pool *pool, int64_t now_ns);

/* Look for workers that leave what lies before them, where that is due, and see that
 * it runs elsewhere; whether there were any. For callers who find nothing done: in an
 * idle pool nobody looks. */
bool mui_pool_doubt(struct mu_pool *pool);

/* Kill the worker of a job that runs; the job ends with `doom`. */
void mui_pool_kill(struct mu_pool *pool, struct mui_job *job,
                   enum mu_status doom);

/* -- take.c -- */

/* Whether it has no task, nor an outcome that nobody has taken. Takes the lock. */
bool mui_pool_is_empty(struct mu_pool *pool);

/* Cancel the tasks that have not started, of those with numbers up to this one. */
void mui_pool_cancel_waiting(struct mu_pool *pool, uint64_t number_max);

/* -- wait.c: callers that wait -- */

/* Wake them. */
void mui_pool_news(struct mu_pool *pool);

/* The same with the lock held, also for those that spin. */
void mui_pool_tell(struct mu_pool *pool);

/* Deal with workers that have left word of their death; whether there were any. Cheap,
 * and also for callers who find outcomes whenever they want some: nobody rings for
 * them, and what the dead one had to do waits for them. */
bool mui_pool_look(struct mu_pool *pool);

/* Something may have moved, or `deadline` has passed: MU_TIMEOUT; -EINTR after
 * mu_pool_interrupt(); MU_CLOSED for a task of a pool that is being closed. Lock held, and
 * let go meanwhile. */
int mui_pool_progress(struct mu_pool *pool, int64_t deadline);

/* Whether mu_pool_interrupt() was called since it was last asked. */
bool mui_pool_take_interrupt(struct mu_pool *pool);

/* 0, or -EINVAL in a child of fork(). */
int mui_pool_check(const struct mu_pool *pool);

#endif
