/* processes.c: each worker is a process, which serves its lanes with the layer
 * below; what it does to itself stays with it.
 *
 * A worker process is a `peer`: its memory is made here, the nursery forks it. At
 * any time each group has a peer (or waits for one) and some spares stand ready, so
 * that a death costs a hand-over:
 *
 *     record or report of a death -> desk: died() -> next spare: attach()
 *                                 -> later, by the monitor: bury, order a spare
 *
 * Whoever sees a death first deals with it: the monitor, or a caller that slept for
 * an outcome. All state is under the desk's lock; only burying and ordering, which
 * take time, are done outside it, by the monitor alone. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "layer/layer.h"
#include "process/bells.h"
#include "process/nursery.h"
#include "process/peer.h"
#include "process/sandbox.h"
#include "process/worker.h"
#include "sys/futex.h"
#include "sys/memfd.h"
#include "sys/thread.h"

enum {
    PLAN_LAYERS = 8,
    REGION_SLACK =
        8 << 20, /* of a lane, beyond one output: see layer/output.h */
    IDS_MAX = 64,
    /* workers that die before they are up, in a row, and the pause after each,
     * which doubles: a second in all */
    FAILURES_MAX = 10,
    BACKOFF_NS = 1000 * 1000
};

/* What a worker process gets to know: copied by way of the nursery. */
struct processes_plan {
    struct mui_terms terms;
    struct mui_block_shape shape;
    struct mui_layer_spec below[PLAN_LAYERS];
    bool has_sandbox_fd;
};

enum peer_state {
    PEER_FREE = 0,
    PEER_ORDERED, /* may be forked, may be up */
    PEER_GONE     /* dead for the desk; waits to be buried */
};

struct processes_peer {
    struct mui_peer peer;
    enum peer_state state;
    int i_group; /* -1: a spare */
    bool up;     /* it has been seen to serve */
    bool dumps;  /* it writes a core and ends by itself */
    bool reaped; /* its process has ended, or will never be */
};

struct processes_layer {
    struct mui_layer base;
    struct mui_desk *desk;
    struct processes_plan plan;
    struct mui_bells bells;
    bool has_bells;
    bool has_nursery;
    pthread_t monitor;
    bool has_monitor;
    int channel;    /* -1: none */
    int sandbox_fd; /* -1: none */

    /* under the desk's lock */
    struct processes_peer *peers;
    unsigned n_peers;  /* room */
    unsigned n_spares; /* that shall stand ready */
    int *group_peers;  /* [width] index of the peer, -1: none */
    bool *given_up;    /* [width] */
    uint32_t n_ids;
    int64_t alarm_ns;
    int64_t not_before_ns; /* no orders before: workers die at start */
    unsigned n_failures;
    struct mu_error failure; /* the last */
    bool stopping;

    bool quit; /* monitor: end; written under the lock */
    _Atomic uint32_t
        first; /* futex: 0 until a worker is up; 1; 2: none can be */
    _Atomic uint32_t n_tidied; /* futex: stop waits for burials */
};

static const uint64_t id_channel = UINT64_C(1) << 40;

/* -- the worker process -- */

static int map_arena(struct mui_terms *terms, int fd)
{
    const uint8_t *old = terms->arena;
    void *base;
    int rc;

    if (!old)
        return 0;
    rc = mui_memfd_map(fd, terms->arena_bytes, PROT_READ, 0, &base);
    if (rc < 0)
        return rc;
    (void)close(fd);
    terms->arena = base;
    terms->arena_fd = -1;
    if (terms->arg)
        terms->arg = terms->arena + ((const uint8_t *)terms->arg - old);
    return 0;
}

static int worker_open(struct processes_plan *plan,
                       const struct mui_nursery_start *start,
                       struct mui_layer **ret_below, struct mu_error *err)
{
    struct mui_worker_setup setup = {.shape = plan->shape,
                                     .down_fd = start->fds[0],
                                     .up_fd = start->fds[1],
                                     .bell_fd = start->fds[2],
                                     .spin_ns = plan->terms.spin_ns,
                                     .limits = plan->terms.limits};
    struct mui_layer_config config = {.spec = plan->below,
                                      .terms = &plan->terms};
    int rc = mui_worker_init(&setup, &config.port.lanes);

    if (rc < 0)
        return mui_fail(err, rc, "processes: map the lanes in a worker");
    config.port.n_lanes = plan->shape.n_lanes;
    rc = map_arena(&plan->terms, start->plan_fds[0]);
    if (rc < 0)
        return mui_fail(err, rc, "processes: map the inputs in a worker");
    rc =
        mui_sandbox_enter_files(plan->has_sandbox_fd ? start->plan_fds[1] : -1);
    if (rc < 0)
        return mui_fail(err, rc, "processes: restrict files in a worker");
    return mui_layer_open(&config, ret_below, err);
}

static int worker_main(const struct mui_nursery_start *start)
{
    static struct processes_plan plan; /* outlives all that points to it */
    struct mu_error err = {.code = 0};
    struct mui_layer *below;
    int rc;

    memcpy(&plan, start->plan, sizeof plan);
    rc = worker_open(&plan, start, &below, &err);
    if (rc < 0) {
        mui_worker_failed(&err);
        return 1;
    }
    rc = mui_worker_up();
    if (rc < 0) {
        (void)mui_fail(&err, rc, "processes: enter the sandbox in a worker");
        mui_worker_failed(&err);
        return 1;
    }
    mui_layer_run(below);
    mui_layer_close(below);
    mui_worker_retire();
    return 0;
}

/* -- peers; the desk's lock is held -- */

static struct processes_peer *peer_by_id(struct processes_layer *p, uint32_t id)
{
    for (unsigned i = 0; i < p->n_peers; i++)
        if (p->peers[i].state != PEER_FREE && p->peers[i].peer.id == id)
            return &p->peers[i];
    return NULL;
}

static void silence(struct processes_layer *p, struct processes_peer *peer)
{
    if (peer->peer.bell < 0)
        return;
    mui_bells_remove(&p->bells, peer->peer.bell);
    (void)close(peer->peer.bell);
    peer->peer.bell = -1;
}

static void attach(struct processes_layer *p, struct processes_peer *peer,
                   unsigned i_group)
{
    peer->i_group = (int)i_group;
    p->group_peers[i_group] = (int)(peer - p->peers);
    p->desk->ops->attach(p->desk, i_group, peer->peer.lanes,
                         p->plan.shape.n_lanes);
}

/* One that is up, or else one that will be. */
static struct processes_peer *find_spare(struct processes_layer *p)
{
    struct processes_peer *found = NULL;

    for (unsigned i = 0; i < p->n_peers; i++) {
        struct processes_peer *peer = &p->peers[i];

        if (peer->state != PEER_ORDERED || peer->i_group >= 0)
            continue;
        if (peer->up)
            return peer;
        found = peer;
    }
    return found;
}

/* Give groups that have no worker one. */
static void fill_groups(struct processes_layer *p)
{
    for (unsigned i = 0; i < p->base.spec->width && !p->stopping; i++) {
        struct processes_peer *spare;

        if (p->group_peers[i] >= 0 || p->given_up[i])
            continue;
        spare = find_spare(p);
        if (!spare)
            return;
        attach(p, spare, i);
    }
}

static void bury_later(struct processes_layer *p, struct processes_peer *peer)
{
    peer->state = PEER_GONE;
    if (!peer->dumps)
        mui_peer_kill(&peer->peer);
    silence(p, peer);
    mui_bells_poke(&p->bells);
}

/* The worker runs nothing more: settle its tasks, put the next in its place. */
static void peer_died(struct processes_layer *p, struct processes_peer *peer,
                      struct mui_death *death)
{
    int i_group = peer->i_group;

    if (peer->state != PEER_ORDERED)
        return;
    peer->i_group = -1;
    peer->state = PEER_GONE;
    if (i_group >= 0) {
        p->group_peers[i_group] = -1;
        if (!p->stopping)
            p->desk->ops->died(p->desk, (unsigned)i_group, death);
    }
    bury_later(p, peer);
    fill_groups(p);
}

/* -- how a worker died -- */

static void death_from_words(const struct mui_crash *crash,
                             struct mui_death *ret)
{
    ret->how = crash->kind == MUI_CRASH_SIGNAL ? MUI_DEATH_CRASHED
               : crash->kind == MUI_CRASH_EXIT ? MUI_DEATH_EXITED
                                               : MUI_DEATH_RETIRED;
    ret->signal = crash->kind == MUI_CRASH_SIGNAL ? crash->signal : 0;
    ret->code = crash->code;
    ret->out_of_memory = crash->out_of_memory != 0;
    ret->stack_overflow = crash->stack_overflow != 0;
    ret->in_allocator = crash->in_allocator != 0;
    ret->i_lane = crash->i_lane == MUI_CRASH_LANE_FOREIGN ? MUI_LANE_FOREIGN
                  : crash->i_lane >= 0                    ? crash->i_lane
                                                          : MUI_LANE_UNKNOWN;
    ret->fault_address = crash->address;
    ret->n_frames = crash->n_frames;
    memcpy(ret->frames, crash->frames, crash->n_frames * sizeof *ret->frames);
}

/* Whether it left word of its end; then it is dealt with. */
static bool heed_last_words(struct processes_layer *p,
                            struct processes_peer *peer)
{
    struct mui_death death = {.i_lane = MUI_LANE_UNKNOWN};
    struct mui_crash crash;

    if (peer->state != PEER_ORDERED ||
        !mui_peer_last_words(&peer->peer, p->plan.shape.n_lanes, &crash))
        return false;
    death_from_words(&crash, &death);
    peer->dumps = crash.dumps_core != 0;
    peer_died(p, peer, &death);
    return true;
}

static void note_failure(struct processes_layer *p, struct processes_peer *peer,
                         const struct mui_nursery_report *report)
{
    unsigned shift = p->n_failures < 20 ? p->n_failures : 20;

    p->n_failures++;
    p->not_before_ns = mu_after_ns((int64_t)BACKOFF_NS << shift);
    if (mui_peer_stage(&peer->peer, &p->failure) == MUI_STAGE_FAILED)
        return;
    if (!report)
        (void)mui_fail(&p->failure, MU_ECRASHED, "processes: nursery lost");
    else if (report->news == MUI_NURSERY_FAILED)
        (void)mui_fail(&p->failure, report->value, "processes: fork");
    else
        (void)mui_fail(&p->failure, MU_ECRASHED,
                       "processes: a worker %s %d before its first task",
                       report->news == MUI_NURSERY_EXITED
                           ? "exited with status"
                           : "was killed by signal",
                       report->value);
}

static void see_stage(struct processes_layer *p, struct processes_peer *peer)
{
    if (peer->up || mui_peer_stage(&peer->peer, NULL) != MUI_STAGE_UP)
        return;
    peer->up = true;
    p->n_failures = 0;
    p->not_before_ns = 0;
    /* relaxed: it carries nothing but itself */
    if (atomic_exchange_explicit(&p->first, 1, memory_order_relaxed) != 1)
        mui_futex_wake(&p->first, 1, 0);
}

static void peer_ended(struct processes_layer *p, struct processes_peer *peer,
                       const struct mui_nursery_report *report)
{
    struct mui_death death = {.i_lane = MUI_LANE_UNKNOWN,
                              .how = MUI_DEATH_VANISHED};

    peer->reaped = true;
    mui_bells_poke(&p->bells);
    if (peer->state != PEER_ORDERED)
        return;
    see_stage(p, peer);
    if (!peer->up)
        note_failure(p, peer, report);
    else if (heed_last_words(p, peer))
        return;
    else if (report->news == MUI_NURSERY_EXITED) {
        death.how = MUI_DEATH_EXITED;
        death.code = report->value;
    } else {
        death.how = MUI_DEATH_CRASHED;
        death.signal = report->value;
    }
    peer_died(p, peer, &death);
}

static void peer_forked(struct processes_layer *p, struct processes_peer *peer,
                        const struct mui_nursery_report *report)
{
    (void)p;
    peer->peer.pid = report->pid;
    peer->peer.pidfd = report->pidfd;
    if (peer->state == PEER_GONE) /* killed before it was born */
        mui_peer_kill(&peer->peer);
}

static void heed_report(struct processes_layer *p,
                        const struct mui_nursery_report *report)
{
    struct processes_peer *peer = peer_by_id(p, report->id);
    struct mui_death death = {.how = MUI_DEATH_STOPPED,
                              .i_lane = MUI_LANE_UNKNOWN,
                              .signal = report->value};

    if (!peer) {
        if (report->pidfd >= 0)
            (void)close(report->pidfd);
        return;
    }
    switch ((enum mui_nursery_news)report->news) {
    case MUI_NURSERY_FORKED:
        peer_forked(p, peer, report);
        break;
    case MUI_NURSERY_STOPPED:
        peer_died(p, peer, &death);
        break;
    case MUI_NURSERY_FAILED:
    case MUI_NURSERY_EXITED:
    case MUI_NURSERY_KILLED:
        peer_ended(p, peer, report);
        break;
    }
}

/* -- the nursery -- */

static int connect_nursery(struct processes_layer *p, struct mu_error *err)
{
    int fds[2] = {p->base.terms->arena_fd, p->sandbox_fd};
    int rc = mui_nursery_connect(worker_main, &p->plan, sizeof p->plan, fds,
                                 p->sandbox_fd >= 0 ? 2 : 1, &p->channel, err);

    if (rc < 0) {
        p->channel = -1;
        return rc;
    }
    rc = mui_bells_add_other(&p->bells, p->channel, id_channel);
    return rc < 0 ? mui_fail(err, rc, "processes: epoll") : 0;
}

static void give_up(struct processes_layer *p)
{
    for (unsigned i = 0; i < p->base.spec->width; i++) {
        if (p->group_peers[i] >= 0 || p->given_up[i])
            continue;
        p->given_up[i] = true;
        p->desk->ops->gave_up(p->desk, i, &p->failure);
    }
    if (atomic_load_explicit(&p->first, memory_order_relaxed) == 0) {
        /* release, pairs with wait_first(): `failure` comes before it */
        atomic_store_explicit(&p->first, 2, memory_order_release);
        mui_futex_wake(&p->first, 1, 0);
    }
}

/* The nursery was killed, and every worker with it. Another one is on its way. */
static void nursery_died(struct processes_layer *p)
{
    struct mui_death death = {.i_lane = MUI_LANE_UNKNOWN,
                              .how = MUI_DEATH_VANISHED};

    mui_bells_remove_other(&p->bells, p->channel);
    mui_nursery_disconnect(p->channel);
    p->channel = -1;
    for (unsigned i = 0; i < p->n_peers; i++) {
        struct processes_peer *peer = &p->peers[i];

        if (peer->state == PEER_FREE)
            continue;
        peer->reaped = true;
        if (peer->state == PEER_ORDERED && peer->i_group < 0)
            bury_later(p, peer);
    }
    for (unsigned i = 0; i < p->n_peers; i++)
        if (p->peers[i].state == PEER_ORDERED &&
            !heed_last_words(p, &p->peers[i]))
            peer_died(p, &p->peers[i], &death);
    if (p->stopping)
        return;
    if (connect_nursery(p, &p->failure) < 0)
        give_up(p);
}

/* -- the monitor -- */

static void heed_channel(struct processes_layer *p)
{
    struct mui_nursery_report report;
    int rc = MU_CLOSED;

    while (p->channel >= 0 &&
           (rc = mui_nursery_report(p->channel, &report)) == 0)
        heed_report(p, &report);
    if (p->channel >= 0 && rc == MU_CLOSED)
        nursery_died(p);
}

/* Deal with what rang; the lock is held. */
static void heed_ids(struct processes_layer *p, const uint64_t *ids, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct processes_peer *peer;

        if (ids[i] == id_channel) {
            heed_channel(p);
            continue;
        }
        peer = peer_by_id(p, (uint32_t)ids[i]);
        if (!peer || peer->peer.bell < 0)
            continue;
        if (!mui_peer_answer(&peer->peer))
            silence(p, peer); /* its end is reported, or comes after its task */
        see_stage(p, peer);
        (void)heed_last_words(p, peer);
    }
}

/* Take one that can be buried out of the table. False: none. */
static bool take_corpse(struct processes_layer *p, struct mui_peer *ret)
{
    for (unsigned i = 0; i < p->n_peers; i++) {
        struct processes_peer *peer = &p->peers[i];

        if (peer->state != PEER_GONE || !peer->reaped)
            continue;
        *ret = peer->peer;
        peer->state = PEER_FREE;
        return true;
    }
    return false;
}

/* A place for a worker that is missing. NULL: none is, or not now. */
static struct processes_peer *place_for_one(struct processes_layer *p)
{
    struct processes_peer *place = NULL;
    unsigned n_wanted = p->n_spares;
    unsigned n = 0;

    if (p->stopping || p->channel < 0 || p->n_failures >= FAILURES_MAX ||
        p->not_before_ns > mu_now_ns())
        return NULL;
    p->not_before_ns = 0;
    for (unsigned i = 0; i < p->base.spec->width; i++)
        n_wanted += !p->given_up[i];
    for (unsigned i = 0; i < p->n_peers; i++) {
        n += p->peers[i].state == PEER_ORDERED;
        if (p->peers[i].state == PEER_FREE)
            place = &p->peers[i];
    }
    return n < n_wanted ? place : NULL;
}

/* Make a worker's memory and have it forked; lock not held but to put it in. Only
 * one thread at a time orders. */
static int order_one(struct processes_layer *p, struct processes_peer *place)
{
    struct mui_desk *desk = p->desk;
    struct mui_peer peer;
    int theirs[3];
    int rc = mui_peer_open(&peer, &p->plan.shape, p->n_ids, theirs);

    if (rc < 0)
        return rc;
    desk->ops->lock(desk);
    rc = p->channel < 0 ? -EPIPE
                        : mui_nursery_order(p->channel, p->n_ids, theirs, 3);
    if (rc == 0)
        rc = mui_bells_add(&p->bells, peer.bell, p->n_ids);
    mui_peer_ordered(&peer, theirs);
    if (rc == 0) {
        p->n_ids++;
        *place = (struct processes_peer){
            .peer = peer, .state = PEER_ORDERED, .i_group = -1};
        fill_groups(p);
    }
    desk->ops->unlock(desk);
    if (rc < 0)
        mui_peer_close(&peer, &p->plan.shape);
    return rc;
}

/* Bury and order, without the lock while it takes time. */
static void tidy(struct processes_layer *p)
{
    struct mui_desk *desk = p->desk;
    struct processes_peer *place;
    struct mui_peer corpse;
    bool found;
    int rc;

    do {
        desk->ops->lock(desk);
        place = place_for_one(p);
        desk->ops->unlock(desk);
        rc = place ? order_one(p, place) : 0;
    } while (place && rc == 0);
    do {
        desk->ops->lock(desk);
        found = take_corpse(p, &corpse);
        desk->ops->unlock(desk);
        if (found)
            mui_peer_close(&corpse, &p->plan.shape);
    } while (found);
    /* release, pairs with processes_stop() */
    atomic_fetch_add_explicit(&p->n_tidied, 1, memory_order_release);
    mui_futex_wake(&p->n_tidied, 1, 0);

    desk->ops->lock(desk);
    if (rc < 0 && rc != -EPIPE && rc != -EAGAIN) {
        p->n_failures++;
        p->not_before_ns =
            mu_after_ns((int64_t)BACKOFF_NS << (p->n_failures % 16));
        (void)mui_fail(&p->failure, rc, "processes: memory for a worker");
    }
    if (p->n_failures >= FAILURES_MAX)
        give_up(p);
    desk->ops->unlock(desk);
}

static int64_t next_time(struct processes_layer *p)
{
    return p->not_before_ns > 0 && p->not_before_ns < p->alarm_ns &&
                   p->n_failures < FAILURES_MAX
               ? p->not_before_ns
               : p->alarm_ns;
}

static void *monitor_main(void *arg)
{
    struct processes_layer *p = arg;
    struct mui_desk *desk = p->desk;
    uint64_t ids[IDS_MAX];
    int64_t next;
    bool stopping;
    bool quit;

    for (;;) {
        unsigned n;

        desk->ops->lock(desk);
        next = next_time(p);
        desk->ops->unlock(desk);
        n = mui_bells_watch(&p->bells, next, ids, IDS_MAX);
        desk->ops->lock(desk);
        heed_ids(p, ids, n);
        quit = p->quit;
        stopping = p->stopping; /* the desk has closed */
        p->alarm_ns = MU_NEVER;
        desk->ops->unlock(desk);
        if (quit)
            return NULL;
        next = stopping ? MU_NEVER : desk->ops->rung(desk);
        tidy(p);
        desk->ops->lock(desk);
        if (next < p->alarm_ns)
            p->alarm_ns = next;
        desk->ops->unlock(desk);
    }
}

/* -- the layer's slots -- */

static unsigned processes_n_lanes(unsigned width, unsigned below)
{
    return width * below;
}

/* The lanes of one worker: what its layers need. */
static unsigned lanes_below(const struct mui_layer_spec *spec)
{
    if (spec->ops->caps & MUI_LAYER_LEAF)
        return 1;
    return spec->ops->n_lanes(spec->width, lanes_below(spec + 1));
}

static int make_plan(struct processes_layer *p,
                     const struct mui_layer_config *config,
                     struct mu_error *err)
{
    struct processes_plan *plan = &p->plan;
    uint64_t output = config->terms->output_bytes;
    unsigned n = 0;

    do
        plan->below[n] = config->spec[1 + n];
    while (!(plan->below[n++].ops->caps & MUI_LAYER_LEAF) && n < PLAN_LAYERS);
    if (output > UINT64_C(1) << 40)
        return mui_fail(err, -EINVAL,
                        "processes: output_bytes above 1 TiB a task");
    plan->terms = *config->terms;
    plan->has_sandbox_fd = p->sandbox_fd >= 0;
    plan->shape = (struct mui_block_shape){
        .n_lanes = lanes_below(plan->below),
        .n_slots = config->terms->n_slots,
        .region_bytes =
            ((output + 4095) & ~UINT64_C(4095)) + (uint64_t)REGION_SLACK};
    return 0;
}

static int make_tables(struct processes_layer *p, struct mu_error *err)
{
    unsigned width = p->base.spec->width;

    p->n_spares = 1 + width / 4;
    p->n_peers = 4 * (width + p->n_spares);
    p->peers = calloc(p->n_peers, sizeof *p->peers);
    p->group_peers = malloc(width * sizeof *p->group_peers);
    p->given_up = calloc(width, sizeof *p->given_up);
    if (!p->peers || !p->group_peers || !p->given_up)
        return mui_fail(err, -ENOMEM, "processes: no memory");
    for (unsigned i = 0; i < width; i++)
        p->group_peers[i] = -1;
    return 0;
}

/* Wait for the first worker, so that one that cannot start is an error of open. */
static int wait_first(struct processes_layer *p, struct mu_error *err)
{
    uint32_t first;

    /* acquire, pairs with give_up() */
    while ((first = atomic_load_explicit(&p->first, memory_order_acquire)) == 0)
        (void)mui_futex_wait(&p->first, 0, 0, MU_NEVER);
    if (first == 1)
        return 0;
    if (err)
        *err = p->failure;
    return p->failure.code;
}

static int start_workers(struct processes_layer *p, struct mu_error *err)
{
    unsigned n = p->base.spec->width + p->n_spares;
    int rc = connect_nursery(p, err);

    for (unsigned i = 0; i < n && rc == 0; i++) {
        rc = order_one(p, &p->peers[i]);
        if (rc == -EAGAIN) { /* more than fit into the socket: the monitor's */
            rc = 0;
            break;
        }
        if (rc < 0)
            (void)mui_fail(err, rc, "processes: memory for worker %u", i);
    }
    if (rc < 0)
        return rc;
    rc = mui_thread_start(&p->monitor, "muster-monitor", monitor_main, p);
    if (rc < 0)
        return mui_fail(err, rc, "processes: start the monitor");
    p->has_monitor = true;
    return wait_first(p, err);
}

static int processes_open(struct mui_layer *l,
                          const struct mui_layer_config *config,
                          struct mu_error *err)
{
    struct processes_layer *p = (struct processes_layer *)l;
    int rc;

    p->desk = config->desk;
    p->channel = -1;
    p->sandbox_fd = -1;
    p->alarm_ns = MU_NEVER;
    rc = mui_sandbox_prepare(config->terms->limits.sandbox,
                             config->terms->read_paths,
                             config->terms->write_paths, &p->sandbox_fd, err);
    if (rc == 0)
        rc = make_plan(p, config, err);
    if (rc == 0)
        rc = make_tables(p, err);
    if (rc < 0)
        return rc;
    rc = mui_nursery_ref(err);
    if (rc < 0)
        return rc;
    p->has_nursery = true;
    p->has_bells = true;
    rc = mui_bells_init(&p->bells);
    if (rc < 0)
        return mui_fail(err, rc, "processes: epoll");
    return start_workers(p, err);
}

static void processes_sleep(struct mui_layer *l, int64_t deadline_ns)
{
    struct processes_layer *p = (struct processes_layer *)l;
    uint64_t ids[IDS_MAX];
    unsigned n = mui_bells_sleep(&p->bells, deadline_ns, ids, IDS_MAX);

    if (n == 0)
        return;
    p->desk->ops->lock(p->desk);
    heed_ids(p, ids, n);
    p->desk->ops->unlock(p->desk);
}

static void processes_kick(struct mui_layer *l)
{
    mui_bells_kick(&((struct processes_layer *)l)->bells);
}

static void processes_alarm(struct mui_layer *l, int64_t when)
{
    struct processes_layer *p = (struct processes_layer *)l;

    if (when >= p->alarm_ns)
        return;
    p->alarm_ns = when;
    mui_bells_poke(&p->bells);
}

static void processes_kill(struct mui_layer *l, unsigned i_group, int how)
{
    struct processes_layer *p = (struct processes_layer *)l;
    struct mui_death death = {.i_lane = MUI_LANE_UNKNOWN};

    if (p->group_peers[i_group] < 0)
        return;
    death.how = how == MUI_DEATH_CORRUPT ? MUI_DEATH_CORRUPT : MUI_DEATH_KILLED;
    peer_died(p, &p->peers[p->group_peers[i_group]], &death);
}

static size_t processes_pids(struct mui_layer *l, int *pids, size_t n_max)
{
    struct processes_layer *p = (struct processes_layer *)l;
    size_t n = 0;

    for (unsigned i = 0; i < p->base.spec->width && n < n_max; i++)
        if (p->group_peers[i] >= 0 && p->peers[p->group_peers[i]].peer.pid > 0)
            pids[n++] = p->peers[p->group_peers[i]].peer.pid;
    return n;
}

/* Let those end that have nothing to do, kill the others. The lock is held. */
static void send_home(struct processes_layer *p)
{
    unsigned n_lanes = p->plan.shape.n_lanes;

    p->stopping = true;
    for (unsigned i = 0; i < p->n_peers; i++) {
        struct processes_peer *peer = &p->peers[i];

        if (peer->state != PEER_ORDERED)
            continue;
        if (!peer->up || mui_peer_is_busy(&peer->peer, n_lanes)) {
            bury_later(p, peer);
            continue;
        }
        for (unsigned j = 0; j < n_lanes; j++)
            mui_lane_close(&peer->peer.lanes[j]);
    }
}

static bool all_buried(struct processes_layer *p)
{
    for (unsigned i = 0; i < p->n_peers; i++)
        if (p->peers[i].state != PEER_FREE)
            return false;
    return true;
}

static void kill_all(struct processes_layer *p)
{
    for (unsigned i = 0; i < p->n_peers; i++) {
        if (p->peers[i].state == PEER_ORDERED)
            bury_later(p, &p->peers[i]);
        else if (p->peers[i].state == PEER_GONE)
            mui_peer_kill(&p->peers[i].peer);
    }
}

static void processes_stop(struct mui_layer *l)
{
    enum { GRACE_NS = 1000 * 1000 * 1000 };
    struct processes_layer *p = (struct processes_layer *)l;
    int64_t deadline = mu_after_ns(GRACE_NS);
    bool done;

    if (!p->has_monitor)
        return;
    p->desk->ops->lock(p->desk);
    send_home(p);
    p->desk->ops->unlock(p->desk);
    /* the monitor buries; what does not end by itself is killed */
    do {
        /* acquire, pairs with tidy() */
        uint32_t seen =
            atomic_load_explicit(&p->n_tidied, memory_order_acquire);

        p->desk->ops->lock(p->desk);
        done = all_buried(p);
        if (!done && mu_now_ns() >= deadline) {
            kill_all(p);
            deadline = MU_NEVER;
        }
        p->desk->ops->unlock(p->desk);
        if (!done)
            (void)mui_futex_wait(&p->n_tidied, seen, 0, deadline);
    } while (!done);
}

static void processes_fini(struct mui_layer *l)
{
    struct processes_layer *p = (struct processes_layer *)l;

    processes_stop(l);
    if (p->has_monitor) {
        p->desk->ops->lock(p->desk);
        p->quit = true;
        p->desk->ops->unlock(p->desk);
        mui_bells_poke(&p->bells);
        (void)pthread_join(p->monitor, NULL);
    }
    for (unsigned i = 0; p->peers && i < p->n_peers; i++)
        if (p->peers[i].state != PEER_FREE)
            mui_peer_close(&p->peers[i].peer, &p->plan.shape);
    if (p->channel >= 0)
        mui_nursery_disconnect(p->channel);
    if (p->sandbox_fd >= 0)
        (void)close(p->sandbox_fd);
    if (p->has_bells)
        mui_bells_fini(&p->bells);
    if (p->has_nursery)
        mui_nursery_unref();
    free(p->peers);
    free(p->group_peers);
    free(p->given_up);
}

const struct mui_layer_ops mui_layer_processes = {
    .name = "processes",
    .caps = MUI_LAYER_HOSTS | MUI_LAYER_ISOLATES,
    .size = sizeof(struct processes_layer),
    .rank = 2,
    .n_lanes = processes_n_lanes,
    .open = processes_open,
    .sleep = processes_sleep,
    .kick = processes_kick,
    .alarm = processes_alarm,
    .kill = processes_kill,
    .pids = processes_pids,
    .stop = processes_stop,
    .fini = processes_fini,
};
