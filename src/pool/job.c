/* job.c: where jobs live, and lists of them.
 *
 * A store hands out jobs under the pool's lock and gets them back from any thread:
 * returned jobs go on a stack by compare-and-swap; only the store's owner takes
 * from it, all at once by an exchange, so there is no ABA. */
#include "pool/job.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { CHUNK = 256 };

struct mui_job_store {
    struct mui_job **chunks; /* [n_chunks] of CHUNK jobs each */
    size_t n_chunks;
    struct mui_job *spare;              /* owner's free jobs, by next */
    _Atomic(struct mui_job *) returned; /* pushed by any thread */
    /* jobs out, and 1 for the pool: who takes it to 0 frees the store */
    _Atomic size_t n_users;
};

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

struct mui_job_store *mui_job_store_new(void)
{
    struct mui_job_store *store = calloc(1, sizeof *store);

    if (store)
        atomic_init(&store->n_users, 1);
    return store;
}

static void store_unref(struct mui_job_store *store)
{
    /* acq_rel: the last one sees what the others wrote */
    if (atomic_fetch_sub_explicit(&store->n_users, 1, memory_order_acq_rel) !=
        1)
        return;
    for (size_t i = 0; i < store->n_chunks; i++)
        free(store->chunks[i]);
    free(store->chunks);
    free(store);
}

void mui_job_store_abandon(struct mui_job_store *store)
{
    if (store)
        store_unref(store);
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

    if (!store->spare)
        /* acquire: what their users did with the jobs is over */
        store->spare = atomic_exchange_explicit(&store->returned, NULL,
                                                memory_order_acquire);
    if (!store->spare && store_grow(store) < 0)
        return NULL;
    job = store->spare;
    store->spare = job->next;
    /* relaxed: the caller holds a share */
    atomic_fetch_add_explicit(&store->n_users, 1, memory_order_relaxed);

    job->generation++;
    job->out =
        (struct mu_outcome){.id = (uint64_t)job->generation << 32 | job->slot};
    job->next = NULL;
    job->prev = NULL;
    job->held_bytes = 0;
    job->seen_start_ns = 0;
    job->state = MUI_JOB_FREE;
    job->doom = MU_DONE;
    job->note = MUI_NOTE_NONE;
    job->n_reruns = 0;
    job->alone = false;
    job->cancelled = false;
    job->owns_input = false;
    job->n_frames = 0;
    job->frames = NULL;
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

void mui_job_free(struct mui_job *job)
{
    struct mui_job_store *store = job->store;
    struct mui_job *first;

    if (job->out.output != job->small)
        free((void *)(uintptr_t)job->out.output);
    free(job->frames);
    job->frames = NULL;
    /* relaxed: only its value is compared; release: the job is done with */
    first = atomic_load_explicit(&store->returned, memory_order_relaxed);
    do
        job->next = first;
    while (!atomic_compare_exchange_weak_explicit(&store->returned, &first, job,
                                                  memory_order_release,
                                                  memory_order_relaxed));
    store_unref(store);
}
