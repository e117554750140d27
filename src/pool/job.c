/* job.c: where jobs live, and lists of them.
 *
 * A store hands out jobs under the pool's lock and gets them back from any thread:
 * returned jobs go on a stack by compare-and-swap; only the store's owner takes
 * from it, all at once by an exchange, so there is no ABA.
 *
 * When its pool closes, the owner exchanges the stack for the mark CLOSED, counts
 * what came back, and adds the number of jobs still out to `n_left`, from which
 * every later free takes one. Some may have taken theirs before the addition, so
 * it can be negative for a while; it becomes 0 exactly once, at the last of these
 * steps, and who makes it 0 frees the store. */
#include "pool/job.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Buffers up to BUFFER_MAX stay with their job when it is given back, KEEP_MAX of
 * them in all: a fresh one faults in each of its pages, which costs more than
 * the copy. */
enum { CHUNK = 256, BUFFER_MAX = 4 << 20, KEEP_MAX = 64 << 20 };

struct mui_job_store {
    struct mui_job **chunks; /* [n_chunks] of CHUNK jobs each */
    size_t n_chunks;
    struct mui_job *spare;              /* owner's free jobs, by next */
    size_t n_out;                       /* owner's: handed out, not reclaimed */
    _Atomic(struct mui_job *) returned; /* pushed by any thread; or CLOSED */
    _Atomic int64_t n_left;             /* once closed: see above */
    _Atomic int64_t kept_bytes;         /* of the buffers of free jobs, about */
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

    for (struct mui_job *job = first; job; job = job->next) {
        store->n_out--;
        last = job;
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
    chunk = calloc(CHUNK, sizeof *chunk);
    if (!chunk)
        return -1;
    for (size_t i = CHUNK; i-- > 0;) {
        chunk[i].store = store;
        chunk[i].slot = (uint32_t)(store->n_chunks * CHUNK + i);
        chunk[i].generation = 0;
        chunk[i].next = store->spare;
        store->spare = &chunk[i];
    }
    chunks[store->n_chunks++] = chunk;
    return 0;
}

struct mui_job *mui_job_new(struct mui_job_store *store)
{
    struct mui_job *job;

    /* relaxed: a hint */
    if (atomic_load_explicit(&store->returned, memory_order_relaxed))
        reclaim(store, NULL);
    if (!store->spare && store_grow(store) < 0)
        return NULL;
    job = store->spare;
    store->spare = job->next;
    if (store->spare) { /* the next call's misses begin now */
        const char *ahead = (const char *)store->spare;

#pragma GCC unroll 8
        for (size_t i = 0; i < sizeof *job; i += MUI_CACHE_LINE)
            __builtin_prefetch(ahead + i, 1);
    }
    if (job->buffer)
        /* relaxed: a count */
        (void)atomic_fetch_sub_explicit(&store->kept_bytes,
                                        (int64_t)job->buffer_bytes,
                                        memory_order_relaxed);
    store->n_out++;
    job->generation++;
    job->out =
        (struct mu_outcome){.id = (uint64_t)job->generation << 32 | job->slot};
    job->state = MUI_JOB_FREE;
    job->held_bytes = 0;
    job->seen_start_ns = 0;
    job->frames = NULL;
    job->doom = MU_DONE;
    job->note = MUI_NOTE_NONE;
    job->limit = MUI_LIMIT_NONE;
    job->n_reruns = 0;
    job->alone = false;
    job->cancelled = false;
    job->owns_input = false;
    job->n_frames = 0;
    job->small[0] = '\0';
    job->out.output = job->small;
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
    if (!job->buffer || job->buffer_bytes < size + 1) {
        free(job->buffer);
        job->buffer = malloc(size + 1);
        job->buffer_bytes = size + 1;
    }
    if (!job->buffer)
        return NULL;
    job->out.output = job->buffer;
    job->out.output_size = size;
    return job->buffer;
}

void mui_job_drop_output(struct mui_job *job)
{
    if (job->out.output != job->small && job->out.output != job->buffer)
        free((void *)(uintptr_t)job->out.output);
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

void mui_job_free(struct mui_job *job)
{
    struct mui_job_store *store = job->store;
    struct mui_job *first;

    mui_job_drop_output(job);
    if (job->buffer && !keeps_buffer(store, job)) {
        free(job->buffer);
        job->buffer = NULL;
    }
    free(job->frames);
    job->frames = NULL;
    /* acquire: pairs with reclaim(), should it be CLOSED */
    first = atomic_load_explicit(&store->returned, memory_order_acquire);
    do {
        if (first == CLOSED) {
            if (atomic_fetch_sub_explicit(&store->n_left, 1,
                                          memory_order_acq_rel) == 1)
                store_free(store);
            return;
        }
        job->next = first;
    } while (!atomic_compare_exchange_weak_explicit(&store->returned, &first,
                                                    job, memory_order_release,
                                                    memory_order_acquire));
}
