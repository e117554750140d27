/* job.c: where jobs live, and lists of them.
 *
 * A store hands out jobs under the pool's lock and gets them back from any thread:
 * returned jobs go on a stack by compare-and-swap, in runs: the first of a run has in
 * `prev` its last, and in `n_run` how many they are. Only the store's owner takes from
 * the stack, all at once by an exchange, so there is no ABA.
 *
 * When its pool closes, the owner exchanges the stack for the mark CLOSED, counts
 * what came back, and adds the number of jobs still out to `n_left`, from which
 * every later free takes one. Some may have taken theirs before the addition, so
 * it can be negative for a while; it becomes 0 exactly once, at the last of these
 * steps, and who makes it 0 frees the store. */
#include "pool/job.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Buffers up to BUFFER_MAX stay with their job when it is given back, KEEP_MAX of
 * them in all: a fresh one faults in each of its pages, which costs more than
 * the copy. */
enum { BUFFER_MAX = 4 << 20, KEEP_MAX = 64 << 20 };

_Static_assert(offsetof(struct mui_job, order) == 2 * MUI_CACHE_LINE &&
                   offsetof(struct mui_job, extras) ==
                       (size_t)MUI_JOB_HOT_LINES * MUI_CACHE_LINE,
               "what every task needs lies in the first lines");

/* Jobs live in chunks, each at a multiple of its size: so a job's address leads to what
 * they have in common, and no line of the job is read for it. */
enum {
    CHUNK_BYTES = 128 << 10,
    CHUNK_LINES = CHUNK_BYTES / MUI_CACHE_LINE,
    CHUNK_JOBS = (CHUNK_BYTES - MUI_CACHE_LINE) / sizeof(struct mui_job)
};

struct chunk {
    struct mui_job_store *store;
    size_t i_chunk; /* which of the store's it is */
    struct mui_job jobs[CHUNK_JOBS];
};

_Static_assert(sizeof(struct chunk) <= CHUNK_BYTES, "chunks lie apart");

struct mui_job_store {
    struct chunk **chunks; /* [n_chunks] */
    size_t n_chunks;
    struct mui_job *spare;              /* owner's free jobs, by next */
    size_t n_out;                       /* owner's: handed out, not reclaimed */
    uint32_t n_ids;                     /* owner's: see make_id() */
    _Atomic(struct mui_job *) returned; /* pushed by any thread; or CLOSED */
    _Atomic int64_t n_left;             /* once closed: see above */
    _Atomic int64_t kept_bytes;         /* of the buffers of free jobs, about */
    char why[sizeof((struct mu_error *)0)->text]; /* see mui_job_why() */
};

static inline struct chunk *chunk_of(const struct mui_job *job)
{
    return (struct chunk *)((uintptr_t)job & ~(uintptr_t)(CHUNK_BYTES - 1));
}

static struct mui_job closed_mark;
#define CLOSED (&closed_mark)

void mui_job_push_back(struct mui_job_list *list, struct mui_job *job)
{
    job->next = NULL;
    job->prev = list->last;
    if (list->last)
        list->last->next = job;
    else
        list->first = job;
    list->last = job;
    list->n++;
}

void mui_job_push_front(struct mui_job_list *list, struct mui_job *job)
{
    job->prev = NULL;
    job->next = list->first;
    if (list->first)
        list->first->prev = job;
    else
        list->last = job;
    list->first = job;
    list->n++;
}

void mui_job_join(struct mui_job_list *list, struct mui_job *first,
                  struct mui_job *last, size_t n)
{
    first->prev = list->last;
    last->next = NULL;
    if (list->last)
        list->last->next = first;
    else
        list->first = first;
    list->last = last;
    list->n += n;
}

void mui_job_remove(struct mui_job_list *list, struct mui_job *job)
{
    if (job->prev)
        job->prev->next = job->next;
    else
        list->first = job->next;
    if (job->next)
        job->next->prev = job->prev;
    else
        list->last = job->prev;
    job->next = NULL;
    job->prev = NULL;
    list->n--;
}

struct mui_job *mui_job_pop(struct mui_job_list *list)
{
    struct mui_job *job = list->first;

    if (job)
        mui_job_remove(list, job);
    return job;
}

void mui_job_cut(struct mui_job_list *list, struct mui_job *last, size_t n)
{
    list->first = last->next;
    if (last->next)
        last->next->prev = NULL;
    else
        list->last = NULL;
    list->n -= n;
}

struct mui_job_store *mui_job_store_new(void)
{
    return calloc(1, sizeof(struct mui_job_store));
}

void mui_job_store_say_why(struct mui_job_store *store, const char *why)
{
    (void)snprintf(store->why, sizeof store->why, "%s", why);
}

const char *mui_job_why(const struct mui_job *job)
{
    return chunk_of(job)->store->why;
}

static void store_free(struct mui_job_store *store)
{
    for (size_t i = 0; i < store->n_chunks; i++) {
        for (size_t j = 0; j < CHUNK_JOBS; j++)
            free(store->chunks[i]->jobs[j].buffer);
        free(store->chunks[i]);
    }
    free(store->chunks);
    free(store);
}

/* Take back what was returned, and put it before the other free jobs: it is in the
 * cache, and buffers are there. `next_stack` is what the stack becomes. */
static void reclaim(struct mui_job_store *store, struct mui_job *next_stack)
{
    /* acquire: what their users did with the jobs is over; release: what the
     * owner wrote comes before a free that sees CLOSED */
    struct mui_job *first = atomic_exchange_explicit(
        &store->returned, next_stack, memory_order_acq_rel);
    struct mui_job *last = NULL;

    for (struct mui_job *run = first; run; run = last->next) {
        store->n_out -= run->n_run;
        last = run->prev;
    }
    if (!last)
        return;
    last->next = store->spare;
    store->spare = first;
}

void mui_job_store_abandon(struct mui_job_store *store)
{
    int64_t n_out;

    if (!store)
        return;
    reclaim(store, CLOSED);
    n_out = (int64_t)store->n_out;
    /* acq_rel: the last one sees what the others did */
    if (atomic_fetch_add_explicit(&store->n_left, n_out, memory_order_acq_rel) +
            n_out ==
        0)
        store_free(store);
}

/* Another chunk's jobs, linked by `next`. NULL: no memory. */
static struct mui_job *new_chunk(struct mui_job_store *store)
{
    struct chunk **chunks;
    struct chunk *chunk;

    if (store->n_chunks == UINT32_MAX / CHUNK_LINES)
        return NULL; /* their ids are full */
    chunks = realloc(store->chunks, (store->n_chunks + 1) * sizeof *chunks);
    if (!chunks)
        return NULL;
    store->chunks = chunks;
    chunk = aligned_alloc(CHUNK_BYTES, CHUNK_BYTES);
    if (!chunk)
        return NULL;
    memset(chunk, 0, sizeof *chunk);
    chunk->store = store;
    chunk->i_chunk = store->n_chunks;
    for (size_t i = 0; i < CHUNK_JOBS; i++) {
        struct mui_job *job = &chunk->jobs[i];

        job->next = i + 1 < CHUNK_JOBS ? job + 1 : NULL;
        job->later = job;
    }
    chunks[store->n_chunks++] = chunk;
    return chunk->jobs;
}

/* In the lower half where the job lies, its chunk and which line of that; in the upper a
 * number that no task has again for 2^32 others: who took its outcome may have kept the
 * id. */
static inline uint64_t make_id(const struct mui_job *job, uint32_t n_ids)
{
    size_t line = (uintptr_t)job % CHUNK_BYTES / MUI_CACHE_LINE;

    return (uint64_t)n_ids << 32 |
           (uint32_t)(chunk_of(job)->i_chunk * CHUNK_LINES + line);
}

/* The job where an id says, which may be a caller's invention: then it has another. NULL:
 * there is none. */
static struct mui_job *job_at(const struct mui_job_store *store, uint64_t id)
{
    size_t i_chunk = (uint32_t)id / CHUNK_LINES;
    size_t at = (uint32_t)id % CHUNK_LINES * MUI_CACHE_LINE;
    size_t i_job = (at - offsetof(struct chunk, jobs)) / sizeof(struct mui_job);

    if (i_chunk >= store->n_chunks || i_job >= CHUNK_JOBS)
        return NULL;
    return &store->chunks[i_chunk]->jobs[i_job];
}

/* Field by field: gcc clears the whole by `rep stos`, which takes 10 ns to begin. */
static inline void clear_outcome(struct mui_job *job, uint64_t id)
{
    struct mu_outcome *out = &job->out;

    out->id = id;
    out->tag = 0;
    out->status = MU_DONE;
    out->code = 0;
    out->signal = 0;
    out->attempts = 0;
    out->worker = 0;
    out->output = job->small;
    out->output_size = 0;
    out->queue_ns = 0;
    out->run_ns = 0;
    out->fault_address = NULL;
    out->has_fault_address = 0;
    out->limit = MU_LIMIT_NONE;
}

/* A free job becomes a fresh one. */
static inline void renew(struct mui_job_store *store, struct mui_job *job,
                         uint32_t n_ids)
{
    mui_job_ask_for(job->later); /* a later call's misses begin now */
    if (job->has_buffer)
        /* relaxed: a count */
        (void)atomic_fetch_sub_explicit(&store->kept_bytes,
                                        (int64_t)job->buffer_bytes,
                                        memory_order_relaxed);
    clear_outcome(job, make_id(job, n_ids));
    job->state = MUI_JOB_FREE;
    job->doom = MU_DONE;
    job->note = MUI_NOTE_NONE;
    job->n_reruns = 0;
    job->alone = false;
    job->cancelled = false;
    job->owns_input = false;
    job->n_frames = 0;
    job->has_extras = false;
}

size_t mui_job_new_many(struct mui_job_store *store, size_t n,
                        struct mui_job **ret_first)
{
    struct mui_job **link = &store->spare;
    uint32_t n_ids = store->n_ids;
    size_t i;

    /* relaxed: a hint */
    if (atomic_load_explicit(&store->returned, memory_order_relaxed))
        reclaim(store, NULL);
    for (i = 0; i < n && (*link || (*link = new_chunk(store))); i++) {
        renew(store, *link, ++n_ids);
        link = &(*link)->next;
    }
    *ret_first = NULL;
    if (i == 0)
        return 0;
    *ret_first = store->spare;
    store->spare = *link;
    *link = NULL;
    store->n_ids = n_ids;
    store->n_out += i;
    return i;
}

struct mui_job *mui_job_new(struct mui_job_store *store)
{
    struct mui_job *job;

    (void)mui_job_new_many(store, 1, &job);
    return job;
}

struct mui_job *mui_job_find(struct mui_job_store *store, uint64_t id)
{
    struct mui_job *job = job_at(store, id);

    if (!job || job->state == MUI_JOB_FREE || job->state == MUI_JOB_TAKEN)
        return NULL; /* its user may be freeing it: look at nothing else */
    return job->out.id == id ? job : NULL;
}

void mui_job_each(struct mui_job_store *store,
                  void (*visit)(void *ctx, struct mui_job *job), void *ctx)
{
    for (size_t i = 0; i < store->n_chunks; i++)
        for (size_t j = 0; j < CHUNK_JOBS; j++) {
            struct mui_job *job = &store->chunks[i]->jobs[j];

            if (job->state != MUI_JOB_FREE && job->state != MUI_JOB_TAKEN)
                visit(ctx, job);
        }
}

char *mui_job_output(struct mui_job *job, size_t size)
{
    if (!job->has_buffer || job->buffer_bytes < size + 1) {
        free(job->buffer);
        job->buffer = malloc(size + 1);
        job->buffer_bytes = size + 1;
        job->has_buffer = job->buffer != NULL;
    }
    if (!job->buffer)
        return NULL;
    job->out.output = job->buffer;
    job->out.output_size = size;
    return job->buffer;
}

void mui_job_drop_output(struct mui_job *job)
{
    if (job->out.output == job->small) {
        if (job->out.output_size > 0)
            job->small[0] = '\0';
    } else if (job->out.output != job->buffer) {
        free((void *)(uintptr_t)job->out.output);
    }
    job->out.output = job->small;
    job->out.output_size = 0;
}

/* Whether a job that is given back may keep its buffer; counts it. */
static bool keeps_buffer(struct mui_job_store *store, const struct mui_job *job)
{
    int64_t bytes = (int64_t)job->buffer_bytes;

    if (bytes > BUFFER_MAX)
        return false;
    /* relaxed: a count */
    if (atomic_fetch_add_explicit(&store->kept_bytes, bytes,
                                  memory_order_relaxed) +
            bytes <=
        KEEP_MAX)
        return true;
    (void)atomic_fetch_sub_explicit(&store->kept_bytes, bytes,
                                    memory_order_relaxed);
    return false;
}

/* Let go of what it holds. */
static inline void empty(struct mui_job *job)
{
    mui_job_drop_output(job);
    if (job->has_buffer && !keeps_buffer(chunk_of(job)->store, job)) {
        free(job->buffer);
        job->buffer = NULL;
        job->has_buffer = false;
    }
    if (job->n_frames) {
        free(job->frames);
        job->frames = NULL;
    }
}

/* Put n jobs, from `first` to `last`, back on the stack. */
static void give_back(struct mui_job_store *store, struct mui_job *first,
                      struct mui_job *last, size_t n)
{
    int64_t count = (int64_t)n;
    /* acquire: pairs with reclaim(), should it be CLOSED */
    struct mui_job *top =
        atomic_load_explicit(&store->returned, memory_order_acquire);

    first->prev = last;
    first->n_run = n;
    do {
        if (top == CLOSED) {
            if (atomic_fetch_sub_explicit(&store->n_left, count,
                                          memory_order_acq_rel) == count)
                store_free(store);
            return;
        }
        last->next = top;
    } while (!atomic_compare_exchange_weak_explicit(&store->returned, &top,
                                                    first, memory_order_release,
                                                    memory_order_acquire));
}

void mui_job_free(struct mui_job *job)
{
    empty(job);
    give_back(chunk_of(job)->store, job, job, 1);
}

void mui_job_free_many(struct mui_job *const *jobs, size_t n)
{
    for (size_t i = 0; i < n;) {
        struct mui_job *first = jobs[i];
        struct mui_job *last = first;
        struct mui_job_store *store = chunk_of(first)->store;
        size_t i_first = i;

        empty(first);
        for (i++; i < n && chunk_of(jobs[i])->store == store; i++) {
            empty(jobs[i]);
            last->next = jobs[i];
            last = jobs[i];
        }
        give_back(store, first, last, i - i_first);
    }
}
