/* submit.c: a task comes in: its input is made to travel, and it joins the queue. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layer/input.h"
#include "pool/pool.h"
#include "sys/memory.h"
#include "sys/module.h"

enum { PUMP_BATCH = 32 };

/* With MUI_SUBMIT_LIGHTLY: bytes under way that keep workers busy and stay in the
 * cache. Memory that is always fresh costs ten times what copying into it does. */
enum { LIGHT_BYTES = 4 << 20 };

/* A path as the worker has to see it: it may stand in another directory. */
static int absolute_path(const char *path, char *ret_path)
{
    size_t length = strlen(path);
    size_t at = 0;

    /* behind a directory it would name that; as it is, it names no file */
    if (path[0] != '/' && path[0] != '\0') {
        if (!getcwd(ret_path, PATH_MAX - 1))
            return -errno;
        at = strlen(ret_path);
        ret_path[at++] = '/';
    }
    if (at + length >= PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(ret_path + at, path, length + 1);
    return 0;
}

/* Memory of `size` bytes that goes with the job, named by its order. */
static void *own_span(struct mu_pool *pool, struct mui_job *job, size_t size)
{
    void *memory = mui_arena_alloc(&pool->arena, size);

    if (!memory)
        return NULL;
    job->order.u.span.address = mui_arena_address(&pool->arena, memory);
    job->order.u.span.size = size;
    job->owns_input = true;
    mui_job_own_extras(job)->held_bytes = size;
    return memory;
}

static int take_file(struct mu_pool *pool, struct mui_job *job,
                     const struct mu_submit *how)
{
    struct mui_file_range *range;
    char path[PATH_MAX];
    size_t length;
    int rc = absolute_path(how->path, path);

    if (rc < 0)
        return rc;
    length = strlen(path) + 1;
    range = own_span(pool, job, sizeof *range + length);
    if (!range)
        return -ENOMEM;
    *range = (struct mui_file_range){.offset = how->offset, .size = how->size};
    memcpy(range + 1, path, length);
    job->order.form = MUI_FORM_FILE;
    return 0;
}

/* How many bytes parts take, with what stands before them. 0, or -EINVAL for those that
 * cannot be. */
static int measure_parts(const struct mu_span *spans, size_t n,
                         size_t *ret_head, size_t *ret_size)
{
    size_t head;
    size_t size;

    if (!spans || __builtin_mul_overflow(n, sizeof(uint64_t), &head) ||
        __builtin_add_overflow(head, sizeof(struct mui_parts), &head))
        return -EINVAL;
    size = head;
    for (size_t i = 0; i < n; i++) {
        size_t room = mui_part_room(spans[i].size);

        if ((spans[i].size && !spans[i].data) || room < spans[i].size ||
            __builtin_add_overflow(size, room, &size))
            return -EINVAL;
    }
    *ret_head = head;
    *ret_size = size;
    return 0;
}

static int take_parts(struct mu_pool *pool, struct mui_job *job,
                      const struct mu_span *spans, size_t n)
{
    struct mui_parts *parts;
    size_t head;
    size_t size;
    uint8_t *at;
    int rc = measure_parts(spans, n, &head, &size);

    if (rc < 0)
        return rc;
    parts = own_span(pool, job, size);
    if (!parts)
        return -ENOMEM;
    parts->n = n;
    at = (uint8_t *)parts + head;
    for (size_t i = 0; i < n; i++) {
        parts->sizes[i] = spans[i].size;
        if (spans[i].size)
            memcpy(at, spans[i].data, spans[i].size);
        at[spans[i].size] = '\0';
        at += mui_part_room(spans[i].size);
    }
    job->order.form = MUI_FORM_PARTS;
    return 0;
}

static int take_bytes(struct mu_pool *pool, struct mui_job *job,
                      const void *input, size_t size, unsigned flags)
{
    uint8_t *copy;

    if ((size && !input) || size == SIZE_MAX)
        return -EINVAL;
    if (flags & MU_SUBMIT_BORROW && size) {
        if (!mui_arena_holds(&pool->arena, input, size))
            return -EINVAL;
        job->order.form = MUI_FORM_SPAN;
        job->order.u.span.address = mui_arena_address(&pool->arena, input);
        job->order.u.span.size = size;
        return 0;
    }
    copy = own_span(pool, job, size + 1);
    if (!copy)
        return -ENOMEM;
    if (size)
        memcpy(copy, input, size);
    copy[size] = '\0';
    job->order.u.span.size = size;
    job->order.form = MUI_FORM_SPAN;
    job->extras.held_bytes = size;
    return 0;
}

static int is_open(const struct mu_pool *pool)
{
    if (pool->closing)
        return MU_CLOSED;
    return pool->n_given_up == pool->n_groups ? MU_ECRASHED : MU_OK;
}

/* Whether more than LIGHT_BYTES are under way, and every worker has work. */
static bool is_laden(const struct mu_pool *pool)
{
    return pool->held_bytes > LIGHT_BYTES &&
           pool->queue.n + pool->n_given >= (size_t)2 * pool->model.n_lanes;
}

void mui_pool_see_room(struct mu_pool *pool)
{
    size_t limit = pool->options.queue_tasks;

    if (!pool->was_full || pool->queue.n >= limit ||
        pool->queue.n > limit - limit / 4)
        return;
    pool->was_full = false;
    mui_pool_tell(pool);
}

/* Whether inputs and outputs may hold more. How much they may by default is looked up when
 * some is held: it takes longer than to open a pool should. */
static bool has_byte_room(struct mu_pool *pool)
{
    enum { SHARE = 8 };

    if (pool->held_bytes > pool->queue_bytes && pool->queue_bytes_unknown) {
        pool->queue_bytes_unknown = false;
        pool->queue_bytes = mui_memory_usable() / SHARE;
    }
    return pool->held_bytes <= pool->queue_bytes;
}

/* Whether there is room. */
static int room(struct mu_pool *pool, unsigned flags)
{
    int rc = is_open(pool);

    if (rc != MU_OK)
        return rc;
    pool->was_full |= pool->queue.n >= pool->options.queue_tasks;
    mui_pool_see_room(pool);
    if (flags & MUI_SUBMIT_LIGHTLY && is_laden(pool))
        return MU_FULL;
    if (!pool->was_full && has_byte_room(pool))
        return MU_OK;
    return MU_FULL;
}

static bool under_way(const struct mu_pool *pool)
{
    return pool->queue.n || pool->suspects.n || pool->held.n || pool->n_given;
}

static __attribute__((noinline)) int wait_for_room(struct mu_pool *pool,
                                                   unsigned flags)
{
    int rc;

    while ((rc = room(pool, flags)) == MU_FULL) {
        /* a task of this pool may be what it would wait for */
        if (flags & MU_SUBMIT_NO_WAIT || mui_pool_worker_here(pool)) {
            /* outcomes that can be taken are a better thing to do */
            if (!pool->ended.n)
                (void)mui_pool_pump(pool);
            return room(pool, flags);
        }
        if (!under_way(pool))
            return MU_FULL; /* outcomes hold it all: they have to be taken */
        rc = mui_pool_progress(pool, MU_NEVER);
        if (rc < 0)
            return rc;
    }
    return rc;
}

static int await_room(struct mu_pool *pool, unsigned flags)
{
    int rc = flags & MUI_SUBMIT_ANYWAY ? is_open(pool) : room(pool, flags);

    return rc == MU_FULL ? wait_for_room(pool, flags) : rc;
}

int mui_pool_prepare(struct mui_kind *kind, mu_task_fn fn)
{
    const void *address;

    if (!fn)
        return -EINVAL;
    memcpy(&address, &fn, sizeof address);
    return mui_module_encode(address, &kind->fn);
}

/* What the tasks of one call have in common. */
struct batch {
    const struct mu_submit *how;
    uint64_t fn; /* as orders have it */
    int64_t timeout_ns;
    int64_t now_ns;
    uint16_t retries;
};

static void batch_init(struct mu_pool *pool, const struct mui_kind *kind,
                       const struct mu_submit *how, struct batch *ret_batch)
{
    *ret_batch = (struct batch){
        .how = how,
        .fn = kind->fn,
        .timeout_ns =
            how->timeout_ns > 0 ? how->timeout_ns : pool->options.timeout_ns,
        .now_ns = mui_clock_now(&pool->clock),
        .retries =
            (uint16_t)(how->flags & MU_SUBMIT_RETRIES ? how->retries
                                                      : pool->options.retries)};
}

/* Whether inputs are copied as they are, when they are short. */
static inline bool is_plain(const struct mu_submit *how)
{
    return !how->path && !how->n_parts && !(how->flags & MU_SUBMIT_BORROW);
}

static inline bool is_small(const struct mu_span *input)
{
    return input->size < MUI_ORDER_INLINE && (input->data || !input->size);
}

/* memcpy(), without a call for what is frequent: two words that may overlap. */
static inline void copy_few(uint8_t *to, const void *from, size_t n)
{
    uint64_t first;
    uint64_t last;

    if (n < sizeof first || n > sizeof first + sizeof last) {
        memcpy(to, from, n);
        return;
    }
    memcpy(&first, from, sizeof first);
    memcpy(&last, (const uint8_t *)from + n - sizeof last, sizeof last);
    memcpy(to, &first, sizeof first);
    memcpy(to + n - sizeof last, &last, sizeof last);
}

/* What is copied is followed by a 0. */
static inline void take_small(struct mui_job *job, const struct mu_span *input)
{
    job->order.form = MUI_FORM_INLINE;
    job->order.inline_size = (uint8_t)input->size;
    if (input->size)
        copy_few(job->order.u.bytes, input->data, input->size);
    job->order.u.bytes[input->size] = '\0';
}

/* Out of the way of what is frequent. */
static __attribute__((noinline)) int take_other(struct mu_pool *pool,
                                                struct mui_job *job,
                                                const struct mu_span *input,
                                                const struct mu_submit *how)
{
    job->order.inline_size = 0;
    if (how->flags & MU_SUBMIT_BORROW && (how->path || how->n_parts))
        return -EINVAL;
    if (how->path)
        return take_file(pool, job, how);
    if (how->n_parts)
        return take_parts(pool, job, input->data, how->n_parts);
    return take_bytes(pool, job, input->data, input->size, how->flags);
}

/* Whether the copy may take so long that others are not to wait for it: one of parts may,
 * whose lengths stand in memory of the caller's, which is not read under the lock. */
static bool takes_long(const struct mu_span *input, const struct mu_submit *how)
{
    enum { LARGE = 32 << 10 };

    return how->n_parts > 0 ||
           (!how->path && !(how->flags & MU_SUBMIT_BORROW) &&
            input->size >= LARGE);
}

/* Fill in all of the job of a task but its input. */
static inline void fill_job(struct mui_job *job, const struct batch *batch,
                            uint64_t tag, uint64_t number)
{
    job->order.fn = batch->fn;
    job->order.tag = tag;
    job->out.tag = tag;
    job->submit_ns = batch->now_ns;
    if (number || batch->retries || batch->timeout_ns) {
        struct mui_extras *extras = mui_job_own_extras(job);

        extras->number = number;
        extras->retries = batch->retries;
        extras->timeout_ns = batch->timeout_ns;
    }
}

/* Flags that callers know, and those of map and reduce. */
enum {
    FLAGS = MU_SUBMIT_RETRIES | MU_SUBMIT_NO_WAIT | MU_SUBMIT_BORROW,
    OWN_FLAGS = MUI_SUBMIT_ANYWAY | MUI_SUBMIT_LIGHTLY
};

static int check_submit(const struct mu_pool *pool, const struct mu_submit *how)
{
    int rc = mui_pool_check(pool);

    if (rc < 0)
        return rc;
    if (how->flags & ~(unsigned)(FLAGS | OWN_FLAGS) ||
        (how->flags & MU_SUBMIT_RETRIES && how->retries > UINT16_MAX) ||
        how->timeout_ns < 0)
        return -EINVAL;
    if (how->timeout_ns && !mui_model_isolates(&pool->model))
        return MU_EMODEL;
    /* the worker opens it, and may not */
    if (how->path && pool->options.sandbox & MU_SANDBOX_PURE)
        return MU_EMODEL;
    return 0;
}

static void enqueue(struct mu_pool *pool, struct mui_job *job)
{
    job->state = MUI_JOB_QUEUED;
    pool->held_bytes += mui_job_extras(job)->held_bytes;
    pool->n_timeouts += mui_job_extras(job)->timeout_ns != 0;
    pool->n_retried += mui_job_extras(job)->retries != 0;
    pool->stats.n_submitted++;
    mui_job_push_back(&pool->queue, job);
}

/* Whether tasks may wait for a batch although a worker has nothing: they are short,
 * and there is one that has nothing, is awake, and rings before it sleeps. */
static bool may_wait(const struct mu_pool *pool)
{
    if (!pool->wish || pool->run_ns == 0 ||
        pool->run_ns > pool->terms.spin_ns / PUMP_BATCH)
        return false;
    for (unsigned i = 0; i < pool->n_groups; i++) {
        const struct mui_group *group = &pool->groups[i];

        for (unsigned j = 0; group->lanes && j < group->n_lanes; j++)
            if (mui_lane_in_flight(&group->lanes[j]) == 0 &&
                mui_lane_is_awake(&group->lanes[j]))
                return true;
    }
    return false;
}

/* Hand many tasks over: of short ones workers have enough for as long as it takes to
 * submit a batch. */
static void pump_batch(struct mu_pool *pool)
{
    if (pool->stats.n_submitted - pool->n_pumped < PUMP_BATCH &&
        mui_pool_is_brief(pool))
        return;
    pool->n_pumped = pool->stats.n_submitted;
    mui_pool_pump_lazily(pool);
}

/* Hand tasks over: at once when a worker may have nothing, else in batches. */
static void enqueued(struct mu_pool *pool)
{
    if (pool->queue.n >= PUMP_BATCH)
        pump_batch(pool);
    else if (pool->n_given < (uint64_t)2 * pool->model.n_lanes &&
             !may_wait(pool))
        (void)mui_pool_pump(pool);
    mui_pool_leave(pool);
}

/* take_other() without the lock, which is let go meanwhile: nobody knows of the job yet.
 * The room that there was may be another's by then. */
static int take_apart(struct mu_pool *pool, struct mui_job *job,
                      const struct mu_span *input, const struct mu_submit *how)
{
    int rc;

    if (pool->queue.n > 0)
        enqueued(pool); /* else who has nothing would have to ring for them */
    else
        mui_pool_leave(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    rc = take_other(pool, job, input, how);
    (void)pthread_mutex_lock(&pool->lock);
    if (rc < 0)
        return rc;
    /* what is under way was weighed before, and is no reason to copy it again */
    return await_room(pool, how->flags & ~(unsigned)MUI_SUBMIT_LIGHTLY);
}

/* One task into the queue; lock held. */
static int submit_one(struct mu_pool *pool, const struct batch *batch,
                      const struct mu_span *input, uint64_t tag,
                      uint64_t number, uint64_t *ret_id)
{
    struct mui_job *job;
    int rc = await_room(pool, batch->how->flags);

    if (rc != 0)
        return rc;
    job = mui_job_new(pool->store);
    if (!job)
        return -ENOMEM;
    fill_job(job, batch, tag, number);
    if (is_plain(batch->how) && is_small(input))
        take_small(job, input);
    else if (takes_long(input, batch->how))
        rc = take_apart(pool, job, input, batch->how);
    else
        rc = take_other(pool, job, input, batch->how);
    if (rc != 0) {
        mui_pool_give_input_back(pool, job);
        job->state = MUI_JOB_TAKEN;
        mui_job_free(job);
        return rc;
    }
    if (ret_id)
        *ret_id = job->out.id;
    enqueue(pool, job);
    return 0;
}

/* How many of n inputs, from the first, are copied as they are. */
static size_t count_small(const struct mu_span *inputs, size_t n)
{
    size_t i;

    for (i = 0; i < n && is_small(&inputs[i]); i++)
        ;
    return i;
}

/* The same for up to n that are small, as far as there is room, without waiting for
 * it. Returns how many, from the first. */
static size_t submit_small(struct mu_pool *pool, const struct batch *batch,
                           const struct mu_span *inputs, size_t n, uint64_t tag)
{
    const struct batch same = *batch; /* which no store to a job can change */
    size_t limit = pool->options.queue_tasks;
    struct mui_job *first;
    struct mui_job *last = NULL;

    if (!is_plain(same.how) || room(pool, same.how->flags) != MU_OK)
        return 0;
    if (n > limit - pool->queue.n)
        n = limit - pool->queue.n;
    n = mui_job_new_many(pool->store, count_small(inputs, n), &first);
    for (struct mui_job *job = first; job; job = job->next) {
        fill_job(job, &same, tag++, 0);
        take_small(job, inputs++);
        job->state = MUI_JOB_QUEUED;
        job->prev = last;
        last = job;
    }
    if (n > 0) {
        mui_job_join(&pool->queue, first, last, n);
        pool->stats.n_submitted += n;
        pool->n_timeouts += same.timeout_ns ? n : 0;
        pool->n_retried += same.retries ? n : 0;
    }
    return n;
}

int mui_pool_submit(struct mu_pool *pool, const struct mui_kind *kind,
                    const struct mu_span *input, const struct mu_submit *how,
                    uint64_t number, uint64_t *ret_id)
{
    struct batch batch;
    int rc = check_submit(pool, how);

    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&pool->lock);
    batch_init(pool, kind, how, &batch);
    rc = submit_one(pool, &batch, input, how->tag, number, ret_id);
    enqueued(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    return rc;
}

static const struct mu_submit by_default;

int mu_pool_submit(struct mu_pool *pool, mu_task_fn fn, const void *input,
                   size_t input_size, const struct mu_submit *how,
                   uint64_t *ret_id)
{
    struct mu_span span = {input, input_size};
    struct mui_kind kind;
    int rc;

    how = how ? how : &by_default;
    if (how->flags & OWN_FLAGS)
        return -EINVAL;
    rc = mui_pool_prepare(&kind, fn);
    return rc < 0 ? rc : mui_pool_submit(pool, &kind, &span, how, 0, ret_id);
}

/* Up to PUMP_BATCH of the inputs. *ret_n is how many, also on an error. */
static int submit_some(struct mu_pool *pool, const struct batch *batch,
                       const struct mu_span *inputs, size_t n, uint64_t tag,
                       size_t *ret_n)
{
    int rc;

    if (n > PUMP_BATCH)
        n = PUMP_BATCH;
    *ret_n = submit_small(pool, batch, inputs, n, tag);
    if (*ret_n > 0)
        return 0;
    /* large, or there is no room, or no memory */
    rc = submit_one(pool, batch, inputs, tag, 0, NULL);
    *ret_n = rc == 0;
    return rc;
}

int mu_pool_submit_many(struct mu_pool *pool, mu_task_fn fn,
                        const struct mu_span *inputs, size_t n_inputs,
                        const struct mu_submit *how, size_t *ret_n)
{
    struct mui_kind kind;
    struct batch batch;
    size_t n = 0;
    int rc;

    *ret_n = 0;
    how = how ? how : &by_default;
    rc = mui_pool_prepare(&kind, fn);
    if (rc == 0)
        rc = check_submit(pool, how);
    if (rc == 0 && (how->path || how->n_parts || how->flags & OWN_FLAGS))
        rc = -EINVAL;
    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&pool->lock);
    batch_init(pool, &kind, how, &batch);
    while (rc == 0 && n < n_inputs) {
        size_t more;

        rc = submit_some(pool, &batch, inputs + n, n_inputs - n, how->tag + n,
                         &more);
        n += more;
        if (pool->stats.n_submitted - pool->n_pumped >= PUMP_BATCH)
            pump_batch(pool);
    }
    enqueued(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    *ret_n = n;
    return rc;
}

struct mu_outcome *mui_pool_empty_outcome(struct mu_pool *pool)
{
    struct mui_job *job;

    (void)pthread_mutex_lock(&pool->lock);
    job = mui_job_new(pool->store);
    if (job)
        job->state = MUI_JOB_TAKEN;
    (void)pthread_mutex_unlock(&pool->lock);
    return job ? &job->out : NULL;
}
