/* team.h: what the files of team/ share: seats, regions, the team.
 *
 * A seat is the place of one thread in a team: its slots (the forks not yet
 * joined), what of them is exposed, and its loop. Threads of the team have theirs
 * for good; a thread that enters takes a free one. docs/TEAM.md has the
 * protocols; each is drawn at the head of the file that carries it out:
 *
 *     seat.c   taking a seat          idle.c    sleeping and waking
 *     fork.c   exposing and joining   thread.c  a thread of the team: searching
 *     help.c   what a waiting join runs
 *     loop.c   mu_for and its reduction   submit.c  tickets
 *     cancel.c regions                    team.c    open, close, fork()
 */
#ifndef MUI_TEAM_TEAM_H
#define MUI_TEAM_TEAM_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "muster/team.h"

#include "sync/semaphore.h"
#include "sys/cpu.h"

enum {
    /* The first slot: behind the page that holds the seat itself. */
    MUI_FIRST_SLOT = 4096 / sizeof(struct mu_job),
    MUI_N_QUEUES = 4,      /* of tickets; a submitter keeps to one */
    MUI_QUEUE_CELLS = 256, /* a full queue makes the submitter work instead */
    /* As many as the address space can hold of them. */
    MUI_MAX_SEATS = 8192
};

/* Times, in nanoseconds; what they trade is in docs/TEAM.md. */
enum {
    MUI_ASK_AGE_NS = 1500, /* a region this young is not asked for work */
    /* ... nor a stolen job, a chunk or a region expected to be long this young;
     * and no part is taken in its loop */
    MUI_ASK_SOON_NS = 400,
    MUI_LONG_WORK_NS = 5000, /* what was shorter is not expected to be long */
    MUI_WAKE_AGE_NS = 4000,  /* nor is anybody woken for it */
    MUI_COARSE_WORK_NS = 200000, /* after it all are given some at once */
    MUI_LONG_LOOP_NS = 10000,    /* a loop that was worth waking somebody for */
    MUI_SPIN_NS = 100000,      /* an idle thread looks this long, then sleeps */
    MUI_SENTINEL_NS = 2500000, /* the last one that looks: this long */
    MUI_JOIN_SPIN_NS = 50000,  /* a waiting join spins this long, then sleeps */
    MUI_NAP_LEAST_NS = 100000, /* ... for this long at least, */
    MUI_NAP_MOST_NS =
        10000000,             /* and at most, before it looks for work again */
    MUI_CHUNK_LEAST_NS = 300, /* chunks of a loop take this long, or more ... */
    MUI_CHUNK_MOST_NS = 20000, /* ... and this, or less, where one can choose */
    MUI_TURN_NS = 200000 /* the CPU is offered to other programs this often */
};

/* mu_job.state of a slot that was exposed. Bits; 0: nobody has taken it.
 *   thief -> owner   RUNNING with the thief's seat, then DONE or CANCELLED;
 *                    or RETURNED: taken by mistake, the owner runs it
 *   owner -> thief   ASLEEP: wake me when it changes */
enum {
    MUI_JOB_RUNNING = 1,
    MUI_JOB_DONE = 2,
    /* MUI_JOB_CANCELLED is 4: the inline joins know it */
    MUI_JOB_RETURNED = 8,
    MUI_JOB_ASLEEP = 16,
    MUI_JOB_SEAT_SHIFT = 8
};

/* What can be cancelled as one. */
struct mui_region {
    _Atomic int status; /* 0, or what it was cancelled with; the first wins */
};

/* {tail, split} of the exposed slots: [tail, split) wait for a thief; what is
 * below tail was taken; what is at split and above is private. */
struct mui_range {
    uint32_t tail;
    uint32_t split;
};

/* A loop that others may take part in. Written by the owner before it opens the
 * units, constant until the last one is done. */
struct mui_loop {
    mu_range_fn body;
    const void *args;
    size_t begin;
    size_t end;
    size_t unit; /* indices in a unit */
};

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): a line a writer */
struct mui_seat {
    /* Written by the owner; raised to MUI_HUNGRY by anybody. The inline code of
     * every fork and join reads it, and nothing else of the seat. */
    _Atomic uintptr_t limit;
    _Atomic uint64_t asked_epoch; /* a thief: of what it last asked for work */

    /* Thieves move the tail, the owner both; see mui_range_of(). */
    _Alignas(MUI_CACHE_LINE) _Atomic uint64_t range;

    /* Looked at by every idle thread. Odd: work is being done here. One more for
     * each region, and two for each stolen job. */
    _Alignas(MUI_CACHE_LINE) _Atomic uint64_t epoch;
    _Atomic uint64_t
        units; /* of the open loop: {next, end}; equal: none left */

    _Alignas(MUI_CACHE_LINE) struct mui_loop loop;

    _Alignas(
        MUI_CACHE_LINE) _Atomic uint32_t n_done; /* units others finished */
    _Atomic uint32_t is_waiting;                 /* owner: asleep on n_done */

    /* Written by the owner, looked at by helpers. */
    _Alignas(MUI_CACHE_LINE) _Atomic(struct mui_region *) region;
    _Atomic(struct mu_job *)
        base_job;                     /* the stolen job it works for; or NULL */
    _Atomic(struct mu_job *) waiting; /* the join it waits in; or NULL */
    _Atomic(struct mui_seat *) serving; /* whose loop it runs a chunk of */

    /* The owner's alone. */
    _Alignas(MUI_CACHE_LINE) struct mu_team *team;
    size_t mapped_bytes;
    uint32_t index;
    bool is_kept;      /* a thread of the team's own */
    bool in_loop;      /* `loop` is in use, further up the stack */
    bool expects_long; /* the work before this one lived to be asked */
    bool is_coarse;    /* ... and for MUI_COARSE_WORK_NS */
    bool loop_expects_long;
    uint32_t n_slow;     /* slow forks and joins */
    uint32_t n_exposed;  /* how often this work has exposed something */
    int64_t began_ns;    /* of work expected to be long */
    uint64_t slow_epoch; /* the work that slow_since_ns is of */
    int64_t slow_since_ns;
    struct mui_region own_region;
};

_Static_assert(sizeof(struct mui_seat) <=
                   MUI_FIRST_SLOT * sizeof(struct mu_job),
               "the seat fits before its slots");
_Static_assert(offsetof(struct mui_seat, limit) == 0,
               "mui_job_limit() finds the limit");

/* Tickets waiting to be run; see submit.c. */
struct mui_queue {
    /* Written by submitters. */
    _Alignas(MUI_CACHE_LINE) _Atomic uint64_t put;
    _Atomic uint64_t n_submits; /* those that the submitter ran included */
    /* Written by takers. */
    _Alignas(MUI_CACHE_LINE) _Atomic uint64_t take;
    _Alignas(MUI_CACHE_LINE) _Atomic bool is_tiny; /* so were the last ones */
    _Alignas(MUI_CACHE_LINE) _Atomic uint64_t cells[MUI_QUEUE_CELLS];
};

/* What a thread saw of a queue of tiny tasks at its last look. */
struct mui_queue_sight {
    uint64_t n_submits;
    uint64_t take;
    int64_t since_ns; /* that take was there */
    int64_t next_ns;  /* when to look again */
};

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): a line a writer */
struct mu_team {
    /* {searching, sleeping}: the threads of the team that look for work and those
     * that sleep; see idle.c. */
    _Alignas(MUI_CACHE_LINE) _Atomic uint64_t idle;
    struct mui_semaphore wakeups; /* one for each thread that was woken */
    _Atomic bool is_closing;

    _Alignas(MUI_CACHE_LINE) _Atomic uint32_t n_seats;
    _Atomic(struct mui_seat *)
        seats[MUI_MAX_SEATS]; /* NULL, then set for ever */

    struct mui_queue queues[MUI_N_QUEUES];

    /* Constant from open to close. */
    uint64_t id;        /* never twice in a process */
    uint32_t forked;    /* mui_forked() when it was opened */
    uint32_t n_threads; /* the one that enters included */
    uint32_t n_asked;   /* as many were asked for */
    bool is_crowded;    /* more threads than CPUs: yield rather than spin */
    int64_t spin_ns;
    int64_t sentinel_ns;
    size_t stack_bytes;
    struct mui_thread *threads; /* [n_asked] */
    struct mui_cpu_sets *cpus;  /* where to pin them; or NULL */
};

/* Functions on the way of every region and loop. A program that has done something else
 * for a millisecond finds their code out of its caches, and most of the time of a small
 * loop is fetching it: they lie side by side. */
#define MUI_HOT __attribute__((hot))

/* ------------------------------------------------------------ small parts */

static inline uint64_t mui_pair(uint32_t low, uint32_t high)
{
    return low | (uint64_t)high << 32;
}

static inline uint32_t mui_low(uint64_t pair)
{
    return (uint32_t)pair;
}

static inline uint32_t mui_high(uint64_t pair)
{
    return (uint32_t)(pair >> 32);
}

static inline struct mui_range mui_range_of(uint64_t pair)
{
    return (struct mui_range){mui_low(pair), mui_high(pair)};
}

static inline struct mui_seat *mui_seat_of(const struct mu_job *j)
{
    return (struct mui_seat *)((uintptr_t)j & ~(MUI_SEAT_BYTES - 1));
}

static inline uint32_t mui_index_of(const struct mu_job *j)
{
    return (uint32_t)(((uintptr_t)j & (MUI_SEAT_BYTES - 1)) /
                      sizeof(struct mu_job));
}

static inline struct mu_job *mui_slot(struct mui_seat *seat, uint32_t index)
{
    return (struct mu_job *)seat + index;
}

/* The public header keeps its words plain so that it compiles as C99 and C++11;
 * these are the only doors to them as atomics. */
static inline _Atomic uint32_t *mui_job_state(struct mu_job *j)
{
    return (_Atomic uint32_t *)&j->state;
}

static inline _Atomic uint32_t *mui_job_base(struct mu_job *j)
{
    return (_Atomic uint32_t *)&j->base;
}

/* Until when a join sleeps that has waited so long and found nothing to do. */
static inline int64_t mui_nap_end(int64_t waited_ns)
{
    int64_t nap_ns = waited_ns / 4;

    nap_ns = nap_ns < MUI_NAP_LEAST_NS ? MUI_NAP_LEAST_NS : nap_ns;
    nap_ns = nap_ns > MUI_NAP_MOST_NS ? MUI_NAP_MOST_NS : nap_ns;
    return mu_now_ns() + nap_ns;
}

/* Whether work on a seat lives long, going by the work before it. */
static inline bool mui_seat_expects_long(struct mui_seat *seat, uint64_t epoch)
{
    /* relaxed: a hint */
    return atomic_load_explicit(&seat->asked_epoch, memory_order_relaxed) ==
           epoch - 2;
}

static inline bool mui_idle_needs_waking(uint64_t idle)
{
    return mui_low(idle) == 0 && mui_high(idle) > 0;
}

/* ------------------------------------------------------------------ seat.c */

/* Map a new seat and add it to the team. NULL: no address space, or no room. */
struct mui_seat *mui_seat_new(struct mu_team *team, bool is_kept);
void mui_seat_free(struct mui_seat *seat);

/* Begin and end work on a seat that is the caller's: a stolen job or a ticket on
 * behalf of `region`. */
void mui_seat_start(struct mui_seat *seat, struct mui_region *region);

/* Go on working, for another region. Owner. */
void mui_seat_serve(struct mui_seat *seat, struct mui_region *region);

void mui_seat_stop(struct mui_seat *seat);

/* Take any free seat of a team for the calling thread, or make one. NULL: none. */
struct mui_seat *mui_seat_take(struct mu_team *team);
void mui_seat_leave(struct mui_seat *seat);

/* ------------------------------------------------------------------ fork.c */

/* Put the limit back to `split`, unless somebody needs it raised. Owner. */
void mui_seat_lower(struct mui_seat *seat, uint32_t split);

/* Ask the owner of a seat for work. Anybody. */
void mui_seat_ask(struct mui_seat *seat);

/* Give the join that waits for `job` something to look at: wake it if it sleeps. */
void mui_job_nudge(struct mu_job *job);

/* Take the oldest exposed job. NULL: there is none. `least`: only from this slot
 * on. Anybody but the owner. */
struct mu_job *mui_seat_steal(struct mui_seat *victim, uint32_t least);

/* Give back a job that was taken by mistake: its owner runs it. */
void mui_job_return(struct mu_job *job);

/* Run a job that was stolen, with the slots of `me` from `top` on; then tell its
 * owner. */
void mui_job_run_stolen(struct mui_seat *me, struct mui_seat *victim,
                        struct mu_job *job, uint32_t top);

/* ------------------------------------------------------------------ help.c */

/* Run one job that was forked below `job`, which somebody has stolen from `me`.
 * False: there was none. `asks`: and ask for some. */
bool mui_help_job(struct mui_seat *me, struct mu_job *job, bool asks);

/* Run one job that was forked below a chunk of the loop of `me`, with the slots
 * from `top` on. */
bool mui_help_loop(struct mui_seat *me, uint32_t top, bool asks);

/* ------------------------------------------------------------------ idle.c */

/* Wake one thread if nobody is searching and somebody sleeps. Anybody. */
void mui_team_wake(struct mu_team *team);

/* The caller begins to search; it has found something. Threads of the team. */
void mui_idle_search(struct mu_team *team);
void mui_idle_found(struct mu_team *team);

/* Sleep if another thread searches. False: the caller is the last one, and did
 * not sleep. */
bool mui_idle_rest(struct mu_team *team);

/* Sleep though nobody else searches, unless there is work. False: the caller is not the
 * last one. */
bool mui_idle_sleep(struct mu_team *team);

/* ------------------------------------------------------------------ loop.c */

/* Take part in the loop of another seat. False: nothing was left of it. */
bool mui_loop_join(struct mui_seat *me, struct mui_seat *host);

/* Whether a job lies exposed or units of a loop do. */
static inline bool mui_seat_has_work(struct mui_seat *seat)
{
    /* S4, both, against W1 and W2 in idle.c */
    uint64_t range = atomic_load_explicit(&seat->range, memory_order_seq_cst);
    uint64_t units = atomic_load_explicit(&seat->units, memory_order_seq_cst);

    return mui_low(range) < mui_high(range) || mui_low(units) < mui_high(units);
}

static inline bool mui_loop_has_units(struct mui_seat *seat)
{
    /* relaxed: a guess; taking a unit decides */
    uint64_t units = atomic_load_explicit(&seat->units, memory_order_relaxed);

    return mui_low(units) < mui_high(units);
}

/* ---------------------------------------------------------------- submit.c */

bool mui_queues_have(struct mu_team *team);

/* Run some tickets, on a seat kept by the calling thread, which searches. False: there
 * were none worth it. */
bool mui_tickets_run(struct mui_seat *me,
                     struct mui_queue_sight sights[MUI_N_QUEUES], int64_t now);

/* ---------------------------------------------------------------- cancel.c */

static inline int mui_region_status(struct mui_region *region)
{
    /* seq_cst, against the raising in mui_region_cancel(); see cancel.c */
    return atomic_load_explicit(&region->status, memory_order_seq_cst);
}

void mui_region_cancel(struct mu_team *team, struct mui_region *region,
                       int status);

/* ---------------------------------------------------------------- thread.c */

struct mui_thread *mui_threads_new(uint32_t n);
void mui_threads_free(struct mui_thread *threads, uint32_t n);

/* Start the threads of a team; sets n_threads to what could be had. */
void mui_threads_start(struct mu_team *team);
void mui_threads_stop(struct mu_team *team);

/* ------------------------------------------------------------------ team.c */

/* The team that NULL stands for, or `team`. NULL: no memory. */
struct mu_team *mui_team_or_default(struct mu_team *team);

/* Whether this is a child that lost the team's threads. */
bool mui_team_is_orphan(const struct mu_team *team);

/* ------------------------------------------------------------------- pin.c */

/* First of all: load hwloc. 0 or -ELIBACC: it is not there. */
int mui_cpu_sets_load(void);

/* One CPU set for each of n threads, near ones next to each other. NULL: hwloc
 * cannot say. */
struct mui_cpu_sets *mui_cpu_sets_new(unsigned n);
void mui_cpu_sets_free(struct mui_cpu_sets *sets);

/* Bind the calling thread to the i-th. */
void mui_cpu_sets_bind(struct mui_cpu_sets *sets, unsigned i);

/* The first n of them, i itself included, in the order of their distance from i. */
void mui_cpu_sets_near(struct mui_cpu_sets *sets, unsigned i, unsigned n,
                       uint32_t *ret_order);

#endif
