/* job.c: where jobs live, and lists of them.
 *
 * A store hands out jobs under the pool's lock and gets them back from any thread:
 * returned jobs go on a stack by compare-and-swap, in runs: the first of a run has in
 * `prev` its last, and in `number` how many they are. Only the store's owner takes from
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
enum { CHUNK = 256, BUFFER_MAX = 4 << 20, KEEP_MAX = 64 << 20 };

_Static_assert(offsetof(struct mui_job, order) == 2 * MUI_CACHE_LINE &&
                   offsetof(struct mui_job, frames) ==
                       (size_t)MUI_JOB_HOT_LINES * MUI_CACHE_LINE,
               "what most tasks need lies in the first lines");

struct mui_job_store {
    struct mui_job **chunks; /* [n_chunks] of CHUNK jobs each */
    size_t n_chunks;
    struct mui_job *spare;              /* owner's free jobs, by next */
    size_t n_out;                       /* owner's: handed out, not reclaimed */
    _Atomic(struct mui_job *) returned; /* pushed by any thread; or CLOSED */
    _Atomic int64_t n_left;             /* once closed: see above */
    _Atomic int64_t kept_bytes;         /* of the buffers of free jobs, about */
    char why[sizeof((struct mu_error *)0)->text]; /* see mui_job_why() */
};

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
    return job->store->why;
}

static void store_free(struct mui_job_store *store)
{
    for (size_t i = 0; i < store->n_chunks; i++) {
        for (size_t j = 0; j < CHUNK; j++)
            free(store->chunks[i][j].buffer);
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
        store->n_out -= run->number;
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

static int store_grow(struct mui_job_store *store)
{
    struct mui_job **chunks =
        realloc(store->chunks, (store->n_chunks + 1) * sizeof *chunks);
    struct mui_job *chunk;

    if (!chunks)
        return -1;
    store->chunks = chunks;
    chunk = aligned_alloc(MUI_CACHE_LINE, CHUNK * sizeof *chunk);
    if (!chunk)
        return -1;
    memset(chunk, 0, CHUNK * sizeof *chunk);
    for (size_t i = CHUNK; i-- > 0;) {
        chunk[i].store = store;
        chunk[i].slot = (uint32_t)(store->n_chunks * CHUNK + i);
        chunk[i].next = store->spare;
        chunk[i].later = &chunk[i];
        store->spare = &chunk[i];
    }
    chunks[store->n_chunks++] = chunk;
    return 0;
}

/* Field by field: gcc clears the whole by `rep stos`, which takes 10 ns to begin. */
static inline void clear_outcome(struct mui_job *job)
{
    struct mu_outcome *out = &job->out;

    out->id = (uint64_t)job->generation << 32 | job->slot;
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
}

/* Take the first of those that are free. NULL: no memory. */
static inline struct mui_job *take_spare(struct mui_job_store *store)
{
    struct mui_job *job;

    if (!store->spare && store_grow(store) < 0)
        return NULL;
    job = store->spare;
    store->spare = job->next;
    mui_job_ask_for(job->later); /* a later call's misses begin now */
    if (job->has_buffer)
        /* relaxed: a count */
        (void)atomic_fetch_sub_explicit(&store->kept_bytes,
                                        (int64_t)job->buffer_bytes,
                                        memory_order_relaxed);
    store->n_out++;
    job->generation++;
    clear_outcome(job);
    job->state = MUI_JOB_FREE;
    job->doom = MU_DONE;
    job->note = MUI_NOTE_NONE;
    job->limit = MUI_LIMIT_NONE;
    job->n_reruns = 0;
    job->alone = false;
    job->cancelled = false;
    job->owns_input = false;
    job->n_frames = 0;
    job->held_bytes = 0;
    job->seen_start_ns = 0;
    return job;
}

size_t mui_job_new_many(struct mui_job_store *store, size_t n,
                        struct mui_job **ret_first)
{
    struct mui_job **link = ret_first;
    size_t i;

    /* relaxed: a hint */
    if (atomic_load_explicit(&store->returned, memory_order_relaxed))
        reclaim(store, NULL);
    for (i = 0; i < n; i++) {
        struct mui_job *job = take_spare(store);

        if (!job)
            break;
        *link = job;
        link = &job->next;
    }
    *link = NULL;
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
    uint32_t slot = (uint32_t)id;
    struct mui_job *job;

    if (slot / CHUNK >= store->n_chunks)
        return NULL;
    job = &store->chunks[slot / CHUNK][slot % CHUNK];
    if (job->state == MUI_JOB_FREE || job->state == MUI_JOB_TAKEN)
        return NULL; /* its user may be freeing it: look at nothing else */
    return job->out.id == id ? job : NULL;
}

void mui_job_each(struct mui_job_store *store,
                  void (*visit)(void *ctx, struct mui_job *job), void *ctx)
{
    for (size_t i = 0; i < store->n_chunks; i++)
        for (size_t j = 0; j < CHUNK; j++) {
            struct mui_job *job = &store->chunks[i][j];

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
    if (job->has_buffer && !keeps_buffer(job->store, job)) {
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
    first->number = n;
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
    give_back(job->store, job, job, 1);
}

void mui_job_free_many(struct mui_job *const *jobs, size_t n)
{
    for (size_t i = 0; i < n;) {
        struct mui_job *first = jobs[i];
        struct mui_job *last = first;
        size_t i_first = i;

        empty(first);
        for (i++; i < n && jobs[i]->store == first->store; i++) {
            empty(jobs[i]);
            last->next = jobs[i];
            last = jobs[i];
        }
        give_back(first->store, first, last, i - i_first);
    }
}
