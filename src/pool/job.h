/* job.h: a submitted task, from submit to the free of its outcome.
 *
 * Jobs live in a store that outlives its pool as long as somebody holds an
 * outcome. The outcome that the caller gets is the head of the job itself. */
#ifndef MUI_POOL_JOB_H
#define MUI_POOL_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "muster/pool.h"

#include "layer/layer.h"
#include "sync/lane.h"
#include "sys/cpu.h"

enum mui_job_state {
    MUI_JOB_FREE = 0,
    MUI_JOB_QUEUED,  /* waits for a worker */
    MUI_JOB_SUSPECT, /* waits for a worker of its own */
    MUI_JOB_HELD,  /* runs again when the worker that had begun it has ended */
    MUI_JOB_GIVEN, /* in a lane */
    MUI_JOB_ENDED, /* its outcome waits to be taken */
    MUI_JOB_TAKEN  /* the caller has it, or has freed it */
};

/* Why an outcome is not what its status alone says; for mu_outcome_describe(). */
enum mui_job_note {
    MUI_NOTE_NONE = 0,
    MUI_NOTE_ERROR,     /* code is a negated errno: it could not run */
    MUI_NOTE_CORRUPT,   /* it wrote to its lane */
    MUI_NOTE_STOPPED,   /* it stopped its process */
    MUI_NOTE_OVERFLOW,  /* its stack was full */
    MUI_NOTE_THREAD,    /* exited: its thread ended, with no status */
    MUI_NOTE_NO_WORKER, /* no worker could be started any more */
    MUI_NOTE_VANISHED   /* its workers vanished again and again */
};

/* What few tasks have. */
struct mui_extras {
    uint64_t number; /* of mui_pool_submit(): map and reduce count with it */
    int64_t timeout_ns;
    int64_t given_ns;      /* with a timeout: when it was given last */
    int64_t seen_start_ns; /* when it was first seen running; 0: not yet */
    uint64_t held_bytes;   /* of input and output, counted by the pool */
    uint16_t retries;
};

/* A task without extras needs no more than the first three cache lines: callers go over
 * thousands of jobs again and again, and miss each line of each several times. */
struct mui_job {
    struct mu_outcome out; /* first: mu_outcome_free() gets its address */
    struct mui_job *next;
    struct mui_job *prev;
    /* a hint, always there: one that was some places behind it when it ended, in this
     * use or in one before. Jobs go round in much the same order. */
    struct mui_job *later;
    union {
        int64_t submit_ns;
        uint64_t n_run; /* given back: see job.c */
    };
    uint32_t index; /* of its order in the lane of out.worker; held: who died */
    uint8_t state;  /* enum mui_job_state */

    /* these begin as 0 */
    uint8_t doom;     /* the status it is to end with once its worker is dead */
    uint8_t note;     /* enum mui_job_note */
    uint8_t n_reruns; /* times run again without being charged */
    bool alone;       /* runs, or ran, on a worker of its own */
    bool cancelled;
    bool owns_input; /* order.u.span lies in the arena or heap, ours to free */
    uint8_t n_frames;
    bool has_extras; /* see mui_job_extras() */
    bool has_buffer; /* this not: `buffer` is there, kept from use to use */

    _Alignas(MUI_CACHE_LINE) struct mui_order order;

    struct mui_extras extras;
    uint64_t *frames; /* [n_frames] of a crash; NULL: none */
    char *buffer;     /* output that is not small */
    size_t buffer_bytes;
    char small[MUI_REPLY_INLINE +
               1]; /* output that fits; "" while there is none */
};

enum { MUI_JOB_HOT_LINES = 3 };

/* To be read: all 0 where it has none. */
static inline const struct mui_extras *mui_job_extras(const struct mui_job *job)
{
    static const struct mui_extras none;

    return job->has_extras ? &job->extras : &none;
}

/* To be written: it has some from now on. */
static inline struct mui_extras *mui_job_own_extras(struct mui_job *job)
{
    if (!job->has_extras)
        job->extras = (struct mui_extras){.number = 0};
    job->has_extras = true;
    return &job->extras;
}

struct mui_job_store;

/* A list of jobs by next and prev. {0} is empty. */
struct mui_job_list {
    struct mui_job *first;
    struct mui_job *last;
    size_t n;
};

void mui_job_push_back(struct mui_job_list *list, struct mui_job *job);
void mui_job_push_front(struct mui_job_list *list, struct mui_job *job);
/* Put n at the back, from `first` to `last`, linked already. */
void mui_job_join(struct mui_job_list *list, struct mui_job *first,
                  struct mui_job *last, size_t n);
void mui_job_remove(struct mui_job_list *list, struct mui_job *job);
struct mui_job *mui_job_pop(struct mui_job_list *list);
/* Take the first n away, of which `last` is the last. */
void mui_job_cut(struct mui_job_list *list, struct mui_job *last, size_t n);

/* A store, and the end of its pool's interest in it: it is freed with its last
 * job. */
struct mui_job_store *mui_job_store_new(void);
/* Why no worker could be started any more: for the outcomes that are lost by that, which
 * can outlive the pool. Said once, before the first of them ends; lock held. */
void mui_job_store_say_why(struct mui_job_store *store, const char *why);
const char *mui_job_why(const struct mui_job *job);
void mui_job_store_abandon(struct mui_job_store *store);

/* Its lines are about to be written. */
static inline void mui_job_ask_for(const struct mui_job *job)
{
    const char *at = (const char *)job;

    for (int i = 0; i < MUI_JOB_HOT_LINES; i++)
        __builtin_prefetch(at + i * MUI_CACHE_LINE, 1);
}

/* A fresh job, with an id. NULL: no memory. The pool's lock is held. */
struct mui_job *mui_job_new(struct mui_job_store *store);
/* The same for n, linked by `next`, the last one's NULL. Returns how many: fewer, no
 * memory. */
size_t mui_job_new_many(struct mui_job_store *store, size_t n,
                        struct mui_job **ret_first);
/* Find a job that has not been taken by its id. NULL: none. Lock held. */
struct mui_job *mui_job_find(struct mui_job_store *store, uint64_t id);
/* Call visit for every job that has not been taken. Lock held. */
void mui_job_each(struct mui_job_store *store,
                  void (*visit)(void *ctx, struct mui_job *job), void *ctx);
/* Memory for an output of `size` bytes and a 0, which becomes the job's output: the
 * memory of an earlier one when it fits. NULL: no memory. */
char *mui_job_output(struct mui_job *job, size_t size);
/* Let go of the output. */
void mui_job_drop_output(struct mui_job *job);
/* Give a job back. Any thread, no lock. Its output goes too. */
void mui_job_free(struct mui_job *job);
/* The same for n, which is cheaper. */
void mui_job_free_many(struct mui_job *const *jobs, size_t n);

#endif
