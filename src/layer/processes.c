/* processes.c: each worker is a process, which serves its lanes with the layer
 * below; what it does to itself stays with it. The parts: processes.h. */
#include "layer/processes.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "muster/pool.h"

#include "base/error.h"
#include "process/sandbox.h"
#include "sync/fence.h"
#include "sys/futex.h"
#include "sys/thread.h"

enum {
    REGION_SLACK =
        8 << 20 /* of a lane, beyond one output: see layer/output.h */
};

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

static int make_plan(struct mui_processes *p,
                     const struct mui_layer_config *config,
                     struct mu_error *err)
{
    struct mui_processes_plan *plan = &p->plan;
    uint64_t output = config->terms->output_bytes;
    unsigned n = 0;

    do
        plan->below[n] = config->spec[1 + n];
    while (!(plan->below[n++].ops->caps & MUI_LAYER_LEAF) &&
           n < MUI_PLAN_LAYERS);
    if (output > UINT64_C(1) << 40)
        return mui_fail(err, -EINVAL,
                        "processes: output_bytes above 1 TiB a task");
    plan->terms = *config->terms;
    plan->has_ruleset = p->files.ruleset_fd >= 0;
    plan->has_lists = p->files.list_fd >= 0;
    if (plan->has_ruleset && !config->terms->write_paths)
        plan->terms.limits.sandbox |= MUI_SANDBOX_NO_WRITING;
    if (plan->terms.pin && plan->terms.limits.sandbox & MU_SANDBOX_PURE)
        plan->terms.limits.sandbox |= MUI_SANDBOX_MOVES;
    plan->shape = (struct mui_block_shape){
        .n_lanes = lanes_below(plan->below),
        .n_slots = config->terms->n_slots,
        .region_bytes =
            ((output + 4095) & ~UINT64_C(4095)) + (uint64_t)REGION_SLACK};
    return 0;
}

static int make_tables(struct mui_processes *p, struct mu_error *err)
{
    unsigned width = p->base.spec->width;
    int rc;

    p->n_spares = (width > 1) + 1 + width / 4;
    p->n_peers = 4 * (width + p->n_spares);
    p->plan.terms.limits.own_processes = p->n_peers * p->plan.shape.n_lanes;
    p->peers = calloc(p->n_peers, sizeof *p->peers);
    p->group_peers = malloc(width * sizeof *p->group_peers);
    p->given_up = calloc(width, sizeof *p->given_up);
    if (!p->peers || !p->group_peers || !p->given_up)
        return mui_fail(err, -ENOMEM, "processes: no memory");
    p->plan.n_places = p->n_peers;
    rc = mui_board_open(p->n_peers, &p->board_fd, &p->board);
    if (rc < 0)
        return mui_fail(err, rc, "processes: memory for a pool");
    p->board_mark = mui_descriptor_mark(p->board_fd);
    for (unsigned i = 0; i < width; i++)
        p->group_peers[i] = -1;
    return 0;
}

/* The first worker is most often up by the time the others are ordered: see that here,
 * where neither the monitor has to wake up nor it has to wake us. What does not go so
 * well is the monitor's. */
static void greet_first(struct mui_processes *p)
{
    struct mui_desk *desk = p->desk;
    uint64_t ids[MUI_PROCESSES_IDS];
    unsigned n;

    /* relaxed: written by this thread */
    while (atomic_load_explicit(&p->first, memory_order_relaxed) ==
               MUI_FIRST_AWAITED &&
           p->starts.n_failures == 0 && p->peers[0].state == MUI_PEER_ORDERED) {
        n = mui_bells_watch(&p->bells, mu_after_ns(MUI_ROUSE_NS), ids,
                            MUI_PROCESSES_IDS);
        mui_nursery_rouse();
        desk->ops->lock(desk);
        mui_processes_heed_ids(p, ids, n);
        desk->ops->unlock(desk);
    }
}

/* Wait for the first worker, so that one that cannot start is an error of open. */
static int wait_first(struct mui_processes *p, struct mu_error *err)
{
    uint32_t first;

    /* acquire, pairs with give_up() */
    while ((first = atomic_load_explicit(&p->first, memory_order_acquire)) ==
           MUI_FIRST_AWAITED) {
        (void)mui_futex_wait(&p->first, MUI_FIRST_AWAITED, 0,
                             mu_after_ns(MUI_ROUSE_NS));
        mui_nursery_rouse();
    }
    if (first == MUI_FIRST_UP)
        return 0;
    if (err)
        *err = p->failure;
    return p->failure.code;
}

static int start_workers(struct mui_processes *p, struct mu_error *err)
{
    unsigned n = p->base.spec->width; /* spares are the monitor's */
    int rc = mui_processes_connect_nursery(p, err);

    for (unsigned i = 0; i < n && rc == 0; i++) {
        rc = mui_processes_order_one(p, &p->peers[i]);
        /* more than fit into the socket, or the nursery has gone and another is on
         * its way: the monitor's */
        if (rc == -EAGAIN || rc == -EPIPE) {
            rc = 0;
            break;
        }
        if (rc < 0)
            (void)mui_fail(err, rc, "processes: memory for worker %u", i);
    }
    if (rc < 0)
        return rc;
    greet_first(p);
    mui_bells_poke(&p->bells);
    rc = mui_thread_start(&p->monitor, "muster-monitor", mui_processes_monitor,
                          p);
    if (rc < 0)
        return mui_fail(err, rc, "processes: start a thread");
    p->has_monitor = true;
    return wait_first(p, err);
}

static int processes_open(struct mui_layer *l,
                          const struct mui_layer_config *config,
                          struct mu_error *err)
{
    struct mui_processes *p = (struct mui_processes *)l;
    int rc;

    p->desk = config->desk;
    p->channel = -1;
    p->dead_channel = -1;
    p->files = (struct mui_sandbox_files){-1, -1};
    p->alarm_ns = MU_NEVER;
    p->rouse_ns = MU_NEVER;
    rc = mui_limits_check(&config->terms->limits, err);
    if (rc < 0)
        return rc;
    rc = mui_sandbox_prepare(config->terms->limits.sandbox,
                             config->terms->read_paths,
                             config->terms->write_paths, &p->files, err);
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
        return mui_fail(err, rc, "processes: open a pool");
    return start_workers(p, err);
}

/* Nothing rang for long. A worker that has ended while a child of it traces one of its threads
 * and has its bell is told of by nobody. The lock is held. */
static void ask_about_all(struct mui_processes *p)
{
    if (mu_now_ns() < p->ask_ns || mui_processes_robbed(p) || p->channel < 0)
        return;
    p->ask_ns = mu_after_ns(MUI_ASK_NS);
    for (unsigned i = 0; i < p->base.spec->width; i++)
        if (p->group_peers[i] >= 0)
            /* what is lost for want of room is asked next time */
            (void)mui_nursery_look(p->channel,
                                   p->peers[p->group_peers[i]].peer.id);
}

static void processes_sleep(struct mui_layer *l, int64_t deadline_ns)
{
    struct mui_processes *p = (struct mui_processes *)l;
    uint64_t ids[MUI_PROCESSES_IDS];
    bool stay;
    unsigned n;

    p->desk->ops->lock(p->desk);
    stay = mui_processes_robbed(p);
    if (!stay) {
        mui_board_set_attended(p->board, false);
        /* D, pairs with publish_quietly(): one that died a moment ago either sees that
         * nobody attends, and rings, or is seen here */
        mui_fence_full();
        stay = mui_processes_look(p) || mu_now_ns() < p->dying_until_ns;
    }
    p->desk->ops->unlock(p->desk);
    if (stay)
        return;
    n = mui_bells_sleep(&p->bells, deadline_ns, ids, MUI_PROCESSES_IDS);
    if (n > 0 || mu_now_ns() >= deadline_ns) {
        p->desk->ops->lock(p->desk);
        if (n > 0)
            mui_processes_heed_ids(p, ids, n);
        else
            ask_about_all(p);
        p->desk->ops->unlock(p->desk);
    }
    /* nothing rang: it may be gone, and its numbers others' */
    if (n > 0 || mui_processes_has_board(p))
        mui_bells_rise(&p->bells);
}

static bool processes_look(struct mui_layer *l)
{
    /* a caller that never sleeps is told some time, too */
    enum { LOOKS = 4096 };
    struct mui_processes *p = (struct mui_processes *)l;

    if (++p->n_looks % LOOKS == 0 && mui_processes_robbed(p))
        return false;
    mui_board_set_attended(p->board, true);
    return mui_processes_look(p);
}

static void processes_kick(struct mui_layer *l)
{
    struct mui_processes *p = (struct mui_processes *)l;

    if (mui_processes_has_board(p))
        mui_bells_kick(&p->bells);
}

static void processes_alarm(struct mui_layer *l, int64_t when)
{
    struct mui_processes *p = (struct mui_processes *)l;

    if (when >= p->alarm_ns)
        return;
    p->alarm_ns = when;
    if (mui_processes_has_board(p))
        mui_bells_poke(&p->bells);
}

static void processes_kill(struct mui_layer *l, unsigned i_group, int how)
{
    struct mui_processes *p = (struct mui_processes *)l;
    struct mui_death death = {.i_lane = MUI_LANE_UNKNOWN};

    if (p->group_peers[i_group] < 0)
        return;
    death.how = how == MUI_DEATH_CORRUPT ? MUI_DEATH_CORRUPT : MUI_DEATH_KILLED;
    mui_processes_died(p, &p->peers[p->group_peers[i_group]], &death);
}

static int64_t processes_up_since(struct mui_layer *l, unsigned i_group)
{
    const struct mui_processes *p = (struct mui_processes *)l;
    int i = p->group_peers[i_group];

    return i >= 0 && p->peers[i].up ? p->peers[i].up_ns : MU_NEVER;
}

static size_t processes_pids(struct mui_layer *l, int *pids, size_t n_max)
{
    struct mui_processes *p = (struct mui_processes *)l;
    size_t n = 0;

    for (unsigned i = 0; i < p->base.spec->width; i++) {
        int pid =
            p->group_peers[i] < 0 ? 0 : p->peers[p->group_peers[i]].peer.pid;

        if (pid <= 0)
            continue;
        if (n < n_max)
            pids[n] = pid;
        n++;
    }
    return n;
}

/* Let those end that have nothing to do, kill the others. The lock is held. */
static void send_home(struct mui_processes *p)
{
    unsigned n_lanes = p->plan.shape.n_lanes;

    p->stopping = true;
    for (unsigned i = 0; i < p->n_peers; i++) {
        struct mui_processes_peer *peer = &p->peers[i];

        if (peer->state != MUI_PEER_ORDERED)
            continue;
        if (!peer->up || mui_peer_is_busy(&peer->peer, n_lanes)) {
            mui_processes_bury_later(p, peer);
            continue;
        }
        for (unsigned j = 0; j < n_lanes; j++)
            mui_lane_close(&peer->peer.lanes[j]);
        mui_board_call(p->board, i);
    }
}

static bool all_buried(struct mui_processes *p)
{
    for (unsigned i = 0; i < p->n_peers; i++)
        if (p->peers[i].state != MUI_PEER_FREE)
            return false;
    return true;
}

static void kill_all(struct mui_processes *p)
{
    for (unsigned i = 0; i < p->n_peers; i++) {
        if (p->peers[i].state == MUI_PEER_ORDERED)
            mui_processes_bury_later(p, &p->peers[i]);
        else if (p->peers[i].state == MUI_PEER_GONE)
            mui_processes_kill_peer(p, &p->peers[i]);
    }
}

static void processes_stop(struct mui_layer *l)
{
    enum { GRACE_NS = 1000 * 1000 * 1000, N_GRACES = 5 };
    struct mui_processes *p = (struct mui_processes *)l;
    int64_t deadline = mu_after_ns(GRACE_NS);
    unsigned n_graces = 0;
    bool done;

    if (!p->has_monitor)
        return;
    p->desk->ops->lock(p->desk);
    if (!mui_processes_robbed(p))
        send_home(p);
    p->desk->ops->unlock(p->desk);
    /* the monitor buries; what does not end by itself is killed, and whose end nobody
     * tells is left to the nursery */
    do {
        /* acquire, pairs with mui_processes_monitor() */
        uint32_t seen =
            atomic_load_explicit(&p->n_tidied, memory_order_acquire);

        p->desk->ops->lock(p->desk);
        done = mui_processes_robbed(p) || all_buried(p);
        if (!done && mu_now_ns() >= deadline) {
            kill_all(p);
            mui_nursery_rouse();
            deadline = mu_after_ns(GRACE_NS);
            if (++n_graces == N_GRACES && p->channel >= 0)
                mui_nursery_hang_up(p->channel);
        }
        p->desk->ops->unlock(p->desk);
        if (!done)
            (void)mui_futex_wait(&p->n_tidied, seen, 0, deadline);
    } while (!done);
}

static void processes_fini(struct mui_layer *l)
{
    struct mui_processes *p = (struct mui_processes *)l;

    processes_stop(l);
    if (p->has_monitor) {
        p->desk->ops->lock(p->desk);
        p->quit = true;
        if (mui_processes_robbed(p))
            (void)pthread_cancel(p->monitor);
        else
            mui_bells_poke(&p->bells);
        p->desk->ops->unlock(p->desk);
        (void)pthread_join(p->monitor, NULL);
    }
    if (p->robbed) {
        p->files = (struct mui_sandbox_files){-1, -1};
        p->board_fd = -1;
        p->has_bells = false;
        mui_nursery_await_end();
    }
    for (unsigned i = 0; p->peers && i < p->n_peers; i++)
        if (p->peers[i].state != MUI_PEER_FREE)
            mui_peer_close(&p->peers[i].peer, &p->plan.shape);
    if (p->channel >= 0)
        mui_nursery_disconnect(p->channel);
    mui_processes_close_dead_channel(p);
    mui_sandbox_close(&p->files);
    mui_board_close(p->board, p->n_peers, p->board_fd);
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
    .size = sizeof(struct mui_processes),
    .rank = 2,
    .n_lanes = processes_n_lanes,
    .open = processes_open,
    .sleep = processes_sleep,
    .look = processes_look,
    .kick = processes_kick,
    .alarm = processes_alarm,
    .kill = processes_kill,
    .up_since = processes_up_since,
    .pids = processes_pids,
    .stop = processes_stop,
    .fini = processes_fini,
};
