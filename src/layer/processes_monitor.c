/* processes_monitor.c: the layer's own thread: answers bells and the nursery when no
 * caller does, buries the dead, orders spares. */
#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/error.h"
#include "layer/processes.h"
#include "sys/census.h"
#include "sys/futex.h"

static const uint64_t id_channel = UINT64_C(1) << 40;

/* -- the nursery -- */

int mui_processes_connect_nursery(struct mui_processes *p, struct mu_error *err)
{
    int fds[] = {p->base.terms->arena_fd, p->board_fd, p->files.ruleset_fd,
                 p->files.list_fd};
    int rc = mui_nursery_connect(
        mui_processes_worker_main, &p->plan, sizeof p->plan, fds,
        2U + p->plan.has_ruleset + p->plan.has_lists, &p->channel, err);

    if (rc < 0) {
        p->channel = -1;
        return rc;
    }
    p->heard = false;
    p->full = false;
    p->channel_mark = mui_descriptor_mark(p->channel);
    rc = mui_bells_add_other(&p->bells, p->channel, id_channel);
    if (rc < 0) {
        mui_nursery_disconnect(p->channel);
        p->channel = -1;
        return mui_fail(err, rc, "processes: open a pool");
    }
    return 0;
}

void mui_processes_close_dead_channel(struct mui_processes *p)
{
    if (p->dead_channel >= 0 &&
        mui_descriptor_is(p->dead_channel, &p->channel_mark))
        mui_nursery_disconnect(p->dead_channel);
    p->dead_channel = -1;
}

/* Whether there is a nursery, another if need be. */
static bool has_nursery(struct mui_processes *p)
{
    int rc;

    if (p->channel >= 0)
        return true;
    mui_processes_close_dead_channel(p);
    rc = mui_processes_connect_nursery(p, &p->failure);
    if (rc == MU_EINIT)
        p->starts.hopeless = true; /* there will be none */
    else if (rc < 0)
        mui_processes_count_failure(p);
    return rc == 0;
}

static void give_up(struct mui_processes *p)
{
    for (unsigned i = 0; i < p->base.spec->width; i++) {
        if (p->group_peers[i] >= 0 || p->given_up[i])
            continue;
        p->given_up[i] = true;
        p->desk->ops->gave_up(p->desk, i, &p->failure);
    }
    if (atomic_load_explicit(&p->first, memory_order_relaxed) ==
        MUI_FIRST_AWAITED) {
        /* release, pairs with wait_first(): `failure` comes before it */
        atomic_store_explicit(&p->first, MUI_FIRST_HOPELESS,
                              memory_order_release);
        mui_futex_wake(&p->first, 1, 0);
    }
}

/* The nursery was killed, and every worker with it. Another one is on its way. */
static void nursery_died(struct mui_processes *p)
{
    struct mui_death death = {.i_lane = MUI_LANE_UNKNOWN,
                              .how = MUI_DEATH_VANISHED};

    mui_bells_remove_other(&p->bells, p->channel);
    p->dead_channel = p->channel;
    p->channel = -1;
    for (unsigned i = 0; i < p->n_peers; i++) {
        struct mui_processes_peer *peer = &p->peers[i];

        if (peer->state == MUI_PEER_FREE)
            continue;
        peer->reaped = true;
        if (peer->state == MUI_PEER_ORDERED && peer->i_group < 0)
            mui_processes_bury_later(p, peer);
    }
    for (unsigned i = 0; i < p->n_peers; i++)
        if (p->peers[i].state == MUI_PEER_ORDERED &&
            !mui_processes_heed_last_words(p, &p->peers[i]))
            mui_processes_died(p, &p->peers[i], &death);
    /* those too that had died before, now that all that is given goes to others */
    for (unsigned i = 0; i < p->n_peers; i++)
        if (p->peers[i].state == MUI_PEER_GONE)
            mui_processes_ended(p, &p->peers[i]);
    if (p->heard)
        return;
    mui_processes_count_failure(p);
    if (p->full) {
        mui_nursery_say_full(&p->failure);
        return;
    }
    /* it was killed as it began, or could not be forked, or not take what it was sent */
    (void)mui_fail(
        &p->failure, -EMFILE,
        "processes: no room for another pool, as files and processes "
        "are limited");
}

/* -- the monitor -- */

static void heed_channel(struct mui_processes *p)
{
    struct mui_nursery_report report;
    int rc = MU_CLOSED;

    while (p->channel >= 0 &&
           (rc = mui_nursery_report(p->channel, &report)) == 0) {
        if (report.news == MUI_NURSERY_FULL) {
            p->full = true;
            continue;
        }
        p->heard = true;
        mui_processes_heed_report(p, &report);
    }
    if (p->channel >= 0 && rc != MU_EMPTY)
        nursery_died(p);
}

void mui_processes_heed_ids(struct mui_processes *p, const uint64_t *ids,
                            unsigned n)
{
    /* who waits for the next worker is not to wait for what follows */
    (void)mui_processes_look(p);
    for (unsigned i = 0; i < n; i++) {
        struct mui_processes_peer *peer;

        if (ids[i] == id_channel) {
            heed_channel(p);
            continue;
        }
        peer = mui_processes_peer_by_id(p, (uint32_t)ids[i]);
        if (!peer || peer->peer.bell < 0)
            continue;
        if (!mui_peer_answer(&peer->peer)) {
            /* its end is reported, or comes after its task */
            mui_processes_silence(p, peer);
            mui_processes_tidy_later(p); /* should nobody report it */
        }
        mui_processes_see_stage(p, peer);
        (void)mui_processes_heed_last_words(p, peer);
    }
}

/* What there is to do, decided under the lock and done without it: callers wait for the
 * lock, and a system call that wakes somebody can hand him our CPU. */
enum { ERRANDS_MAX = 8 };

struct errands {
    struct mui_peer corpses[ERRANDS_MAX];
    struct mui_processes_peer
        *places[ERRANDS_MAX];             /* free: workers are missing */
    struct mui_peer to_kill[ERRANDS_MAX]; /* lent */
    unsigned n_corpses;
    unsigned n_places;
    unsigned n_to_kill;
};

/* Those that left word and wait for their end. */
static void find_waiting(struct mui_processes *p, struct errands *errands)
{
    for (unsigned i = 0; i < p->n_peers && errands->n_to_kill < ERRANDS_MAX;
         i++) {
        struct mui_processes_peer *peer = &p->peers[i];

        if (peer->state != MUI_PEER_GONE || !peer->waits)
            continue;
        peer->waits = false;
        if (!peer->reaped)
            errands->to_kill[errands->n_to_kill++] = peer->peer;
    }
}

/* Take those that can be buried out of the table. */
static void find_corpses(struct mui_processes *p, struct errands *errands)
{
    for (unsigned i = 0; i < p->n_peers && errands->n_corpses < ERRANDS_MAX;
         i++) {
        struct mui_processes_peer *peer = &p->peers[i];

        if (peer->state != MUI_PEER_GONE || !peer->reaped)
            continue;
        errands->corpses[errands->n_corpses++] = peer->peer;
        peer->state = MUI_PEER_FREE;
    }
}

/* Places for the workers that are missing, if they can be started now. */
static void find_places(struct mui_processes *p, struct errands *errands)
{
    unsigned n_wanted = p->n_spares;
    unsigned n_starting = 0;
    unsigned n = 0;

    if (p->stopping || p->robbed || !mui_starts_may(&p->starts, mu_now_ns()) ||
        !has_nursery(p))
        return;
    p->starts.not_before_ns = 0;
    for (unsigned i = 0; i < p->base.spec->width; i++)
        n_wanted += !p->given_up[i];
    for (unsigned i = 0; i < p->n_peers; i++) {
        n += p->peers[i].state == MUI_PEER_ORDERED;
        n_starting += p->peers[i].state == MUI_PEER_ORDERED && !p->peers[i].up;
    }
    /* when they die at start one at a time is tried, so that each pause is kept */
    if (p->starts.n_failures > 0)
        n_wanted = n_starting > 0 || n >= n_wanted ? n : n + 1;
    for (unsigned i = 0;
         i < p->n_peers && n < n_wanted && errands->n_places < ERRANDS_MAX; i++)
        if (p->peers[i].state == MUI_PEER_FREE) {
            errands->places[errands->n_places++] = &p->peers[i];
            n++;
        }
}

/* The lock is held. */
static void find_errands(struct mui_processes *p, struct errands *errands)
{
    *errands = (struct errands){.n_places = 0};
    find_waiting(p, errands);
    find_places(p, errands);
    find_corpses(p, errands);
}

/* It is in the table, but the nursery does not know of it. */
static void disown(struct mui_processes *p, struct mui_processes_peer *peer)
{
    struct mui_desk *desk = p->desk;
    struct mui_death death = {.i_lane = MUI_LANE_UNKNOWN,
                              .how = MUI_DEATH_VANISHED};

    desk->ops->lock(desk);
    mui_processes_ended(p, peer);
    p->starts.not_before_ns = mu_after_ns(MUI_BACKOFF_NS);
    mui_processes_died(p, peer, &death);
    desk->ops->unlock(desk);
}

int mui_processes_order_one(struct mui_processes *p,
                            struct mui_processes_peer *place)
{
    struct mui_desk *desk = p->desk;
    uint32_t i_place = (uint32_t)(place - p->peers);
    uint32_t id = p->n_ids;
    struct mui_peer peer;
    int theirs[3];
    int channel;
    int rc = mui_peer_open(&peer, &p->plan.shape, id, theirs);

    if (rc < 0)
        return rc;
    rc = mui_bells_add(&p->bells, peer.bell, id);
    mui_board_clear(p->board, i_place);
    desk->ops->lock(desk);
    channel = p->channel;
    /* one that is ordered now would be sent home by nobody */
    if (rc == 0 && (channel < 0 || p->stopping))
        rc = -EPIPE;
    if (rc == 0) {
        p->n_ids++;
        *place = (struct mui_processes_peer){.peer = peer,
                                             .state = MUI_PEER_ORDERED,
                                             .i_group = -1,
                                             .ordered_ns = mu_now_ns()};
        mui_processes_fill_groups(p);
    }
    desk->ops->unlock(desk);
    if (rc < 0) {
        mui_peer_close(&peer, &p->plan.shape);
    } else {
        rc = mui_nursery_order(channel, id, i_place, theirs, 3);
        if (rc < 0)
            disown(p, place);
    }
    mui_peer_ordered(theirs);
    return rc;
}

/* The nursery is behind with what it was sent, or on its way: what it has to say wakes
 * us. */
static bool is_passing(int rc)
{
    return rc == -EPIPE || rc == -EAGAIN;
}

static void kill_waiting(struct mui_processes *p, const struct mui_peer *lent)
{
    struct mui_processes_peer *peer;

    if (mui_peer_kill(lent) != -EPERM)
        return;
    p->desk->ops->lock(p->desk);
    peer = mui_processes_peer_by_id(p, lent->id);
    if (peer)
        mui_processes_kill_peer(p, peer);
    p->desk->ops->unlock(p->desk);
}

/* Without the lock. Returns 0, or why a worker could not be ordered. */
static int do_errands(struct mui_processes *p, const struct errands *errands)
{
    int rc = 0;

    for (unsigned i = 0; i < errands->n_to_kill; i++)
        kill_waiting(p, &errands->to_kill[i]);
    for (unsigned i = 0; i < errands->n_places && rc == 0; i++)
        rc = mui_processes_order_one(p, errands->places[i]);
    for (unsigned i = 0; i < errands->n_corpses; i++) {
        struct mui_peer corpse = errands->corpses[i];

        mui_peer_close(&corpse, &p->plan.shape);
    }
    return is_passing(rc) ? 0 : rc;
}

/* Kill who only says that it writes a core, and who could not be killed before. Returns
 * when to look again. */
static int64_t kill_late(struct mui_processes *p)
{
    int64_t next = MU_NEVER;

    for (unsigned i = 0; i < p->n_peers; i++) {
        struct mui_processes_peer *peer = &p->peers[i];

        if (peer->state != MUI_PEER_GONE || peer->kill_ns == 0 || peer->reaped)
            continue;
        if (mu_now_ns() >= peer->kill_ns) {
            peer->kill_ns = 0;
            if (mui_census_dumps_core(peer->peer.pid))
                peer->kill_ns = mu_after_ns(MUI_DUMP_LOOK_NS);
            else
                mui_processes_kill_peer(p, peer);
        }
        if (peer->kill_ns != 0 && peer->kill_ns < next)
            next = peer->kill_ns;
    }
    return next;
}

/* Whether the nursery has yet to say of a worker that it is there, or that it ended. */
static bool is_awaited(const struct mui_processes_peer *peer)
{
    switch (peer->state) {
    case MUI_PEER_FREE:
        break;
    case MUI_PEER_ORDERED:
        return !peer->up || peer->peer.bell < 0;
    case MUI_PEER_GONE:
        return !peer->reaped;
    }
    return false;
}

/* One that has ended may be kept from being told of, by who traces it. */
static void ask_about(const struct mui_processes *p,
                      const struct mui_processes_peer *peer)
{
    if (p->channel < 0)
        return;
    /* what is lost for want of room is asked next time */
    if (peer->state == MUI_PEER_GONE && peer->kill_ns == 0)
        (void)mui_nursery_kill(p->channel, peer->peer.id);
    else
        (void)mui_nursery_look(p->channel, peer->peer.id);
}

/* Guardian and nursery can be stopped, and nothing else would tell: while they owe a
 * word, let them go on now and then. `ordering`: for workers that are ordered next. */
static void rouse_late(struct mui_processes *p, bool ordering)
{
    bool any = ordering;

    for (unsigned i = 0; i < p->n_peers && !any; i++)
        any = is_awaited(&p->peers[i]);
    if (!any || p->robbed) {
        p->rouse_ns = MU_NEVER;
    } else if (p->rouse_ns == MU_NEVER) {
        p->rouse_ns = mu_after_ns(MUI_ROUSE_NS);
    } else if (mu_now_ns() >= p->rouse_ns) {
        mui_nursery_rouse();
        for (unsigned i = 0; i < p->n_peers; i++)
            if (is_awaited(&p->peers[i]))
                ask_about(p, &p->peers[i]);
        p->rouse_ns = mu_after_ns(MUI_ROUSE_NS);
    }
}

static int64_t next_time(struct mui_processes *p, int64_t late_ns)
{
    int64_t next = kill_late(p);
    int64_t mute_ns = mui_processes_see_mute(p);

    if (mute_ns < next)
        next = mute_ns;
    if (p->rouse_ns < next)
        next = p->rouse_ns;
    if (late_ns < next)
        next = late_ns;
    if (p->alarm_ns < next)
        next = p->alarm_ns;
    return p->starts.not_before_ns > 0 && p->starts.not_before_ns < next &&
                   !p->starts.hopeless
               ? p->starts.not_before_ns
               : next;
}

/* Deal with what rang, and see what else there is to do. Returns when to come again. The
 * lock is held. */
static int64_t heed(struct mui_processes *p, const uint64_t *ids, unsigned n,
                    struct errands *errands)
{
    int64_t late_ns;

    p->tidy_due = true; /* here: nobody has to poke us */
    mui_processes_heed_ids(p, ids, n);
    late_ns = mui_processes_see_late(p);
    p->alarm_ns = MU_NEVER;
    if (!p->stopping) { /* else the desk has closed */
        int64_t next = p->desk->ops->rung(p->desk);

        p->alarm_ns = next < p->alarm_ns ? next : p->alarm_ns;
    }
    find_errands(p, errands);
    if (errands->n_places > 0 && late_ns == MU_NEVER)
        late_ns = mu_after_ns(MUI_STARTS_LATE_NS); /* of those ordered next */
    if (p->starts.hopeless)
        give_up(p);
    rouse_late(p, errands->n_places > 0);
    p->tidy_due = false;
    if (errands->n_to_kill == ERRANDS_MAX || errands->n_places == ERRANDS_MAX ||
        errands->n_corpses == ERRANDS_MAX)
        return MU_NOW;
    return next_time(p, late_ns);
}

/* What follows from it the next round sees to. */
static void note_order_failure(struct mui_processes *p, int rc)
{
    p->desk->ops->lock(p->desk);
    mui_processes_count_failure(p);
    (void)mui_fail(&p->failure, rc, "processes: memory for a worker");
    p->desk->ops->unlock(p->desk);
}

void *mui_processes_monitor(void *arg)
{
    struct mui_processes *p = arg;
    struct mui_desk *desk = p->desk;
    uint64_t ids[MUI_PROCESSES_IDS];
    struct errands errands;
    int64_t next = MU_NOW;
    bool stopping;
    bool quit;

    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    do {
        unsigned n;
        int rc;

        /* who closes a pool that was robbed has no other means to end the wait */
        (void)pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        n = mui_bells_watch(&p->bells, next, ids, MUI_PROCESSES_IDS);
        (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        desk->ops->lock(desk);
        quit = mui_processes_robbed(p);
        next = heed(p, ids, quit ? 0 : n, &errands);
        quit |= p->quit;
        stopping = p->stopping;
        desk->ops->unlock(desk);
        rc = do_errands(p, &errands);
        if (rc < 0) {
            note_order_failure(p, rc);
            next = MU_NOW;
        }
        if (stopping) {
            /* release, pairs with processes_stop() */
            atomic_fetch_add_explicit(&p->n_tidied, 1, memory_order_release);
            mui_futex_wake(&p->n_tidied, 1, 0);
        }
    } while (!quit);
    return NULL;
}
