/* pool.c: opening and closing a pool. */
#include "pool/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "layer/run.h"
#include "sys/forked.h"

enum {
    LANE_SLOTS = 256,
    SPIN_NS = 50 * 1000, /* about the price of waking an idle CPU */
};

/* -- options -- */

static int check_options(const struct mui_model *model,
                         const struct mu_pool_options *o, struct mu_error *err)
{
    bool isolates = mui_model_isolates(model);

    if (o->timeout_ns < 0)
        return mui_fail(err, -EINVAL, "pool: the timeout is below 0");
    if (o->timeout_ns > 0 && !isolates)
        return mui_fail(err, MU_EMODEL,
                        "pool: '%s' cannot stop a task at a timeout, only a "
                        "model with processes can",
                        model->text);
    if (o->memory_bytes && !isolates)
        return mui_fail(err, MU_EMODEL,
                        "pool: '%s' cannot limit the memory of a task, only a "
                        "model with processes can",
                        model->text);
    if ((o->cpu_ns || o->file_bytes || o->open_files || o->recycle_tasks ||
         o->recycle_bytes || o->sandbox || o->strict || o->read_paths ||
         o->write_paths || o->processes) &&
        !isolates)
        return mui_fail(err, MU_EMODEL,
                        "pool: '%s' has no worker processes to limit, recycle "
                        "or sandbox, only a model with processes has",
                        model->text);
    if (o->pin && model->layers[0].ops->caps & MUI_LAYER_LEAF)
        return mui_fail(
            err, MU_EMODEL,
            "pool: '%s' runs tasks on the caller's thread, which is "
            "not bound to a CPU; a model with threads or processes "
            "has workers to pin",
            model->text);
    if (o->cpu_ns < 0)
        return mui_fail(err, -EINVAL, "pool: the CPU time is below 0");
    if (o->retries > UINT16_MAX)
        return mui_fail(err, -EINVAL,
                        "pool: %u retries, of which it takes 65535",
                        o->retries);
    if (o->arg_size && !o->arg)
        return mui_fail(err, -EINVAL, "pool: arg_size without arg");
    return 0;
}

/* What a worker and its children may hold together: what the tasks may have, and
 * the outputs, which lie in memory that they share with us. */
static uint64_t group_bytes(const struct mu_pool *pool,
                            const struct mu_pool_options *o)
{
    uint64_t outputs = o->output_bytes;
    uint64_t sum;

    if (!o->memory_bytes)
        return 0;
    if (!outputs)
        outputs = o->memory_bytes;
    if (__builtin_mul_overflow(outputs, mui_model_lanes_below(&pool->model, 0),
                               &outputs) ||
        __builtin_add_overflow(o->memory_bytes, outputs, &sum))
        return INT64_MAX;
    return sum;
}

/* Room for an output of each lane is address space until it is written to: so plenty is
 * taken. Less where memory is limited: no more than the worker's group may hold. And less
 * where address space is limited: half of that, for all lanes with their spares. */
static uint64_t default_output_bytes(const struct mu_pool *pool)
{
    const uint64_t least = UINT64_C(1) << 20;
    uint64_t plenty = UINT64_C(4) << 30;
    struct rlimit limit;
    uint64_t share;

    if (pool->options.memory_bytes && pool->options.memory_bytes < plenty / 2)
        plenty = 2 * pool->options.memory_bytes;

    if (!(pool->model.layers[0].ops->caps & MUI_LAYER_HOSTS) ||
        getrlimit(RLIMIT_AS, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return plenty;
    share = limit.rlim_cur / 2 / (2 * (uint64_t)pool->model.n_lanes + 2);
    if (share < least)
        return least;
    return share < plenty ? share : plenty;
}

static void fill_options(struct mu_pool *pool, const struct mu_pool_options *o,
                         unsigned n_cpus)
{
    const uint64_t few = 4 << 20;
    uint64_t group;

    if (o)
        pool->options = *o;
    group = group_bytes(pool, &pool->options);
    if (!pool->options.queue_tasks)
        pool->options.queue_tasks = (size_t)LANE_SLOTS * pool->model.n_lanes;
    pool->queue_bytes_unknown = pool->options.queue_bytes == 0;
    pool->queue_bytes =
        pool->queue_bytes_unknown ? few : pool->options.queue_bytes;
    if (!pool->options.output_bytes)
        pool->options.output_bytes = default_output_bytes(pool);
    pool->has_spare_cpu = pool->model.n_lanes < n_cpus;
    pool->terms = (struct mui_terms){
        .output_bytes = pool->options.output_bytes,
        .n_slots = LANE_SLOTS,
        .spin_ns = pool->model.n_lanes > n_cpus ? 0 : SPIN_NS,
        .pin = pool->options.pin,
        .limits = {.memory_bytes = pool->options.memory_bytes,
                   .cpu_ns = pool->options.cpu_ns,
                   .file_bytes = pool->options.file_bytes,
                   .open_files = pool->options.open_files,
                   .processes = pool->options.processes,
                   .group_bytes = group,
                   .recycle_tasks = pool->options.recycle_tasks,
                   .recycle_bytes = pool->options.recycle_bytes,
                   .sandbox = pool->options.sandbox,
                   .strict = pool->options.strict},
        .read_paths = pool->options.read_paths,
        .write_paths = pool->options.write_paths,
        .arena_fd = -1,
    };
}

static int keep_arg(struct mu_pool *pool, struct mu_error *err)
{
    int rc = mui_arena_init(
        &pool->arena, (pool->model.layers[0].ops->caps & MUI_LAYER_HOSTS) != 0,
        err);

    if (rc < 0)
        return rc;
    pool->terms.arena = pool->arena.base;
    pool->terms.arena_bytes = pool->arena.bytes;
    pool->terms.arena_fd = pool->arena.read_fd;
    if (!pool->options.arg_size)
        return 0;
    pool->arg = mui_arena_alloc(&pool->arena, pool->options.arg_size + 1);
    if (!pool->arg)
        return mui_fail(err, -ENOMEM, "pool: copy arg");
    memcpy(pool->arg, pool->options.arg, pool->options.arg_size);
    ((char *)pool->arg)[pool->options.arg_size] = '\0';
    pool->terms.arg = pool->arg;
    pool->terms.arg_size = pool->options.arg_size;
    return 0;
}

/* -- models that work in this process: one group of our own lanes -- */

/* A worker thread rings: it pumps the pool itself. */
static void own_ring(struct mui_lane_worker *w, uint32_t why)
{
    struct mu_pool *pool = w->ring_ctx;

    if (why == MUI_WANT_DONE) {
        mui_pool_news(pool);
        return;
    }
    (void)pthread_mutex_lock(&pool->lock);
    mui_pool_rung(pool);
    (void)pthread_mutex_unlock(&pool->lock);
}

/* n of `size` bytes, zeroed, in cache lines of their own: the ends of a lane write each
 * to theirs all the time. */
static void *line_calloc(size_t n, size_t size)
{
    size_t bytes =
        (n * size + MUI_CACHE_LINE - 1) & ~(size_t)(MUI_CACHE_LINE - 1);
    void *memory = aligned_alloc(MUI_CACHE_LINE, bytes);

    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

static int own_lanes_init(struct mu_pool *pool, struct mu_error *err)
{
    size_t down = mui_lane_down_bytes(LANE_SLOTS);
    size_t each = down + mui_lane_up_bytes(LANE_SLOTS);
    unsigned n = pool->model.n_lanes;
    uint8_t *memory;

    pool->own_lanes = line_calloc(n, sizeof *pool->own_lanes);
    pool->own_workers = line_calloc(n, sizeof *pool->own_workers);
    if (!pool->own_lanes || !pool->own_workers)
        return mui_fail(err, -ENOMEM, "pool: %u lanes", n);
    memory = mmap(NULL, each * n, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return mui_fail(err, -errno, "pool: memory of %u lanes", n);
    pool->own_memory = memory;
    pool->own_bytes = each * n;
    for (unsigned i = 0; i < n; i++, memory += each) {
        const struct mui_lane_memory blocks = {
            .down = memory, .up = memory + down, .n_slots = LANE_SLOTS};
        struct mui_lane_worker *w = &pool->own_workers[i];

        if (mui_lane_init(&pool->own_lanes[i], &blocks) < 0)
            return mui_fail(err, -ENOMEM, "pool: lane %u", i);
        mui_lane_set_number(&pool->own_lanes[i], i);
        mui_lane_worker_init(w, &blocks);
        w->spin_ns = pool->terms.spin_ns;
        w->ring = own_ring;
        w->ring_ctx = pool;
    }
    pool->groups[0].lanes = pool->own_lanes;
    pool->groups[0].n_lanes = n;
    pool->stats.n_workers_started = n;
    return 0;
}

static void own_lanes_fini(struct mu_pool *pool)
{
    for (unsigned i = 0; pool->own_lanes && i < pool->model.n_lanes; i++)
        mui_lane_fini(&pool->own_lanes[i]);
    free(pool->own_lanes);
    free(pool->own_workers);
    if (pool->own_memory)
        (void)munmap(pool->own_memory, pool->own_bytes);
}

/* -- open -- */

static int open_workers(struct mu_pool *pool, struct mu_error *err)
{
    bool hosts = (pool->model.layers[0].ops->caps & MUI_LAYER_HOSTS) != 0;
    unsigned below = mui_model_lanes_below(&pool->model, 0);
    struct mui_layer_config config = {.spec = pool->model.layers,
                                      .terms = &pool->terms};
    int rc;

    pool->n_groups = hosts ? pool->model.layers[0].width : 1;
    pool->groups = calloc(pool->n_groups, sizeof *pool->groups);
    if (!pool->groups)
        return mui_fail(err, -ENOMEM, "pool: %u workers", pool->n_groups);
    for (unsigned i = 0; i < pool->n_groups; i++) {
        pool->groups[i].n_lanes = below;
        pool->groups[i].i_first = i * below;
    }
    if (hosts) {
        config.desk = &pool->desk;
        pool->has_neighbours = below > 1;
    } else {
        rc = own_lanes_init(pool, err);
        if (rc < 0)
            return rc;
        config.port = (struct mui_port){.lanes = pool->own_workers,
                                        .n_lanes = pool->model.n_lanes};
    }
    return mui_layer_open(&config, &pool->layer, err);
}

static void pool_free(struct mu_pool *pool)
{
    own_lanes_fini(pool);
    free(pool->groups);
    if (pool->terms.n_slots) {
        mui_arena_free(&pool->arena, pool->arg);
        mui_arena_fini(&pool->arena);
    }
    mui_job_store_abandon(pool->store);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

int mu_pool_open(const char *model, const struct mu_pool_options *options,
                 struct mu_pool **ret_pool, struct mu_error *err)
{
    struct mu_pool *pool = calloc(1, sizeof *pool);
    unsigned n_cpus;
    int rc;

    if (!pool)
        return mui_fail(err, -ENOMEM, "pool");
    n_cpus = mu_usable_cpus(); /* once: it reads a dozen files */
    pool->desk.ops = &mui_pool_desk_ops;
    (void)pthread_mutex_init(&pool->lock, NULL);
    pool->forked = mui_forked();
    pool->alarm_ns = MU_NEVER;
    pool->arena.read_fd = -1;
    rc = mui_model_parse(model, n_cpus, &pool->model, err);
    if (rc == 0 && options)
        rc = check_options(&pool->model, options, err);
    if (rc < 0)
        goto undo;
    if (!mui_model_isolates(&pool->model))
        pool->doubt_ns = MU_NEVER;
    pool->store = mui_job_store_new();
    if (!pool->store) {
        rc = mui_fail(err, -ENOMEM, "pool");
        goto undo;
    }
    fill_options(pool, options, n_cpus);
    rc = keep_arg(pool, err);
    if (rc == 0)
        rc = open_workers(pool, err);
    if (rc < 0)
        goto undo;
    *ret_pool = pool;
    return 0;
undo:
    pool_free(pool);
    return rc;
}

/* -- close -- */

static void drop_job(void *ctx, struct mui_job *job)
{
    (void)ctx;
    job->state = MUI_JOB_TAKEN;
    mui_job_free(job);
}

void mu_pool_close(struct mu_pool *pool)
{
    if (!pool || mui_pool_check(pool) < 0)
        return;
    /* first: tasks may be in calls of the pool, and get no further task into it */
    (void)pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    mui_pool_tell(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    (void)mu_pool_cancel_all(pool, 0);
    (void)pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->n_groups; i++)
        for (unsigned j = 0;
             pool->groups[i].lanes && j < pool->groups[i].n_lanes; j++)
            mui_lane_close(&pool->groups[i].lanes[j]);
    (void)pthread_mutex_unlock(&pool->lock);
    mui_layer_close(pool->layer);
    pool->layer = NULL;
    for (unsigned i = 0; i < pool->n_groups; i++) {
        struct mui_group *group = &pool->groups[i];
        bool forged;

        /* threads: outputs handed over as pointers have to be freed */
        for (unsigned j = 0; pool->own_lanes && j < group->n_lanes; j++)
            (void)mui_pool_collect(pool, &group->lanes[j], &forged);
    }
    mui_job_each(pool->store, drop_job, pool);
    pool_free(pool);
}

/* -- looking -- */

unsigned mu_pool_width(const struct mu_pool *pool)
{
    return mui_pool_check(pool) < 0 ? 0 : pool->model.n_lanes;
}

const char *mu_pool_model(const struct mu_pool *pool)
{
    return pool->model.text;
}

void mu_pool_stats(struct mu_pool *pool, struct mu_stats *ret_stats)
{
    *ret_stats = (struct mu_stats){.n_submitted = 0};
    if (mui_pool_check(pool) < 0)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    *ret_stats = pool->stats;
    ret_stats->n_queued = pool->queue.n + pool->suspects.n + pool->held.n;
    ret_stats->n_running = pool->n_given;
    (void)pthread_mutex_unlock(&pool->lock);
}

const struct mui_lane_worker *mui_pool_worker_here(const struct mu_pool *pool)
{
    const struct mui_lane_worker *here = mui_runner_here();

    for (; here; here = here->outer)
        for (unsigned i = 0; pool->own_workers && i < pool->model.n_lanes; i++)
            if (here == &pool->own_workers[i])
                return here;
    return NULL;
}

size_t mu_pool_running(const struct mu_pool *pool, uint64_t *tags, size_t n_max,
                       int *ret_own)
{
    const struct mui_lane_worker *here = mui_pool_worker_here(pool);
    size_t n = 0;

    *ret_own = 0;
    if (mui_pool_check(pool) < 0)
        return 0;
    /* relaxed: for people, and from a signal handler */
    if (here && n_max) {
        tags[n++] =
            atomic_load_explicit(&here->running_tag, memory_order_relaxed);
        *ret_own = 1;
    }
    for (unsigned i = 0; pool->own_workers && i < pool->model.n_lanes; i++) {
        const struct mui_lane_worker *w = &pool->own_workers[i];

        if (w == here || n == n_max ||
            !atomic_load_explicit(&w->is_running, memory_order_relaxed))
            continue;
        tags[n++] = atomic_load_explicit(&w->running_tag, memory_order_relaxed);
    }
    return n;
}

size_t mu_pool_pids(struct mu_pool *pool, int *pids, size_t n_max)
{
    size_t n = 0;

    if (mui_pool_check(pool) < 0)
        return 0;
    (void)pthread_mutex_lock(&pool->lock);
    if (pool->layer->ops->pids)
        n = pool->layer->ops->pids(pool->layer, pids, n_max);
    (void)pthread_mutex_unlock(&pool->lock);
    return n;
}

void *mu_pool_alloc(struct mu_pool *pool, size_t size)
{
    return mui_pool_check(pool) < 0 ? NULL
                                    : mui_arena_alloc(&pool->arena, size);
}

void mu_pool_free(struct mu_pool *pool, void *memory)
{
    if (mui_pool_check(pool) == 0)
        mui_arena_free(&pool->arena, memory);
}
