/* processes_deaths.c: workers come up, die, and are replaced by spares. The desk's
 * lock is held in all of it. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "layer/processes.h"
#include "sys/futex.h"

struct mui_processes_peer *mui_processes_peer_by_id(struct mui_processes *p,
                                                    uint32_t id)
{
    for (unsigned i = 0; i < p->n_peers; i++)
        if (p->peers[i].state != MUI_PEER_FREE && p->peers[i].peer.id == id)
            return &p->peers[i];
    return NULL;
}

void mui_processes_silence(struct mui_processes *p,
                           struct mui_processes_peer *peer)
{
    if (peer->peer.bell < 0)
        return;
    mui_bells_remove(&p->bells, peer->peer.bell);
    (void)close(peer->peer.bell);
    peer->peer.bell = -1;
}

static void attach(struct mui_processes *p, struct mui_processes_peer *peer,
                   unsigned i_group)
{
    uint32_t place = (uint32_t)(peer - p->peers);

    peer->i_group = (int)i_group;
    p->group_peers[i_group] = (int)place;
    p->desk->ops->attach(p->desk, i_group, peer->peer.lanes,
                         p->plan.shape.n_lanes);
    /* it may be another's, or nobody's, by now: the desk may have killed this one */
    mui_board_call(p->board, place);
}

/* How soon a spare can run a task. */
static int readiness(const struct mui_processes_peer *peer)
{
    return !peer->up ? 0 : !mui_peer_is_awake(&peer->peer) ? 1 : 2;
}

/* One that a dying worker woke, or else that is up, or else that will be. */
static struct mui_processes_peer *find_spare(struct mui_processes *p)
{
    struct mui_processes_peer *found = NULL;

    for (unsigned i = 0; i < p->n_peers; i++) {
        struct mui_processes_peer *peer = &p->peers[i];

        if (peer->state != MUI_PEER_ORDERED || peer->i_group >= 0)
            continue;
        if (!found || readiness(peer) > readiness(found))
            found = peer;
    }
    return found;
}

/* Tell the workers which spare to wake when one of them dies. */
static void choose_next(struct mui_processes *p)
{
    const struct mui_processes_peer *spare = find_spare(p);

    mui_board_set_next(
        p->board, spare && spare->up ? (uint32_t)(spare - p->peers) + 1 : 0);
}

void mui_processes_fill_groups(struct mui_processes *p)
{
    for (unsigned i = 0; i < p->base.spec->width && !p->stopping; i++) {
        struct mui_processes_peer *spare;

        if (p->group_peers[i] >= 0 || p->given_up[i])
            continue;
        spare = find_spare(p);
        if (!spare)
            break;
        attach(p, spare, i);
    }
    choose_next(p);
}

void mui_processes_kill_peer(struct mui_processes *p,
                             struct mui_processes_peer *peer)
{
    if (mui_peer_kill(&peer->peer) != -EPERM || p->channel < 0 ||
        mui_nursery_kill(p->channel, peer->peer.id) != -EAGAIN)
        return;
    /* when the nursery has read some of what it was sent */
    peer->kill_ns = mu_after_ns(MUI_BACKOFF_NS);
    mui_bells_poke(&p->bells);
}

void mui_processes_tidy_later(struct mui_processes *p)
{
    if (p->stopping)
        mui_bells_poke(&p->bells);
    else if (!p->tidy_due)
        mui_bells_poke_later(&p->bells, MUI_TIDY_AFTER_NS);
    p->tidy_due = true;
}

void mui_processes_bury_later(struct mui_processes *p,
                              struct mui_processes_peer *peer)
{
    peer->state = MUI_PEER_GONE;
    if (peer->kill_ns == 0 && !peer->waits)
        mui_processes_kill_peer(p, peer);
    mui_processes_silence(p, peer);
    mui_processes_tidy_later(p);
}

void mui_processes_died(struct mui_processes *p,
                        struct mui_processes_peer *peer,
                        struct mui_death *death)
{
    int i_group = peer->i_group;
    bool left_word = peer->waits || peer->kill_ns != 0;
    /* what runs there, perhaps on several lanes, is not to go on meanwhile */
    bool kills_first = !left_word && !peer->reaped;

    if (peer->state != MUI_PEER_ORDERED || p->robbed)
        return;
    death->worker = peer->peer.id;
    death->ended = peer->reaped;
    peer->i_group = -1;
    peer->state = MUI_PEER_GONE;
    if (i_group >= 0) {
        p->group_peers[i_group] = -1;
        if (!p->stopping)
            p->desk->ops->died(p->desk, (unsigned)i_group, death);
    }
    if (kills_first && !mui_processes_robbed(p))
        mui_processes_bury_later(p, peer);
    /* the next one first: killing, and telling the monitor, can wait, and so can seeing
     * that we have what that is done with, for system calls are dear just then */
    mui_processes_fill_groups(p);
    if (!kills_first && !mui_processes_robbed(p))
        mui_processes_bury_later(p, peer);
}

void mui_processes_ended(struct mui_processes *p,
                         struct mui_processes_peer *peer)
{
    peer->reaped = true;
    if (peer->state == MUI_PEER_GONE &&
        !p->stopping) /* else the desk has closed */
        p->desk->ops->ended(p->desk, peer->peer.id);
}

/* -- how a worker died -- */

static void death_from_words(const struct mui_crash *crash,
                             struct mui_death *ret)
{
    ret->how = crash->kind == MUI_CRASH_SIGNAL    ? MUI_DEATH_CRASHED
               : crash->kind == MUI_CRASH_RETIRED ? MUI_DEATH_RETIRED
                                                  : MUI_DEATH_EXITED;
    ret->thread_ended = crash->kind == MUI_CRASH_ENDED;
    ret->signal = crash->kind == MUI_CRASH_SIGNAL ? crash->signal : 0;
    ret->code = crash->code;
    ret->out_of_memory = crash->out_of_memory != 0;
    ret->limit = ret->out_of_memory ? MU_LIMIT_MEMORY : MU_LIMIT_NONE;
    ret->stack_overflow = crash->stack_overflow != 0;
    ret->in_common = crash->in_common != 0;
    ret->i_lane = crash->i_lane == MUI_CRASH_LANE_FOREIGN ? MUI_LANE_FOREIGN
                  : crash->i_lane >= 0                    ? crash->i_lane
                                                          : MUI_LANE_UNKNOWN;
    ret->has_address = crash->has_address != 0;
    ret->fault_address = crash->address;
    ret->n_frames = crash->n_frames;
    memcpy(ret->frames, crash->frames, crash->n_frames * sizeof *ret->frames);
}

/* A worker is dying and writes why: meanwhile the spare that will follow it can
 * wake. Once a peer, for it is only its word. */
static void heed_announcement(struct mui_processes *p,
                              struct mui_processes_peer *peer)
{
    struct mui_processes_peer *spare;

    if (peer->announced ||
        mui_crash_look(&mui_block_head(&peer->peer.block)->crash) !=
            MUI_CRASH_COMING)
        return;
    peer->announced = true;
    p->dying_until_ns = mu_after_ns(MUI_DYING_NS);
    /* one that parks on the board was woken by the dying worker itself; one of several
     * lanes sleeps on those */
    spare = find_spare(p);
    if (spare)
        mui_lane_alert(&spare->peer.lanes[0]);
}

bool mui_processes_look(struct mui_processes *p)
{
    bool died = false;

    for (unsigned i = 0; i < p->base.spec->width; i++) {
        struct mui_processes_peer *peer;

        if (p->group_peers[i] < 0)
            continue;
        peer = &p->peers[p->group_peers[i]];
        if (peer->state == MUI_PEER_ORDERED &&
            mui_crash_look(&mui_block_head(&peer->peer.block)->crash) !=
                MUI_CRASH_SILENT)
            died |= mui_processes_heed_last_words(p, peer);
    }
    return died;
}

bool mui_processes_heed_last_words(struct mui_processes *p,
                                   struct mui_processes_peer *peer)
{
    struct mui_death death = {.i_lane = MUI_LANE_UNKNOWN};
    struct mui_crash crash;

    if (peer->state != MUI_PEER_ORDERED)
        return false;
    heed_announcement(p, peer);
    if (!mui_peer_last_words(&peer->peer, p->plan.shape.n_lanes, &crash))
        return false;
    death_from_words(&crash, &death);
    if (crash.dumps_core)
        peer->kill_ns = mu_after_ns(MUI_DUMP_LOOK_NS);
    /* the end of a process takes a CPU for long, perhaps the one on which the next is to
     * run */
    peer->waits = !crash.dumps_core && p->plan.shape.n_lanes == 1;
    mui_processes_died(p, peer, &death);
    return true;
}

void mui_processes_count_failure(struct mui_processes *p)
{
    bool any_up = false;

    for (unsigned i = 0; i < p->n_peers; i++)
        any_up |= p->peers[i].state == MUI_PEER_ORDERED && p->peers[i].up;
    mui_starts_failed(&p->starts, any_up, mu_now_ns());
}

static void note_failure(struct mui_processes *p,
                         struct mui_processes_peer *peer,
                         const struct mui_nursery_report *report)
{
    mui_processes_count_failure(p);
    if (mui_peer_stage(&peer->peer, &p->failure) == MUI_STAGE_FAILED)
        return;
    if (report->news == MUI_NURSERY_FAILED)
        (void)mui_fail(&p->failure, report->value, "processes: fork%s",
                       report->value == -EMFILE
                           ? ", under the limit on open files of mu_init()"
                           : "");
    else
        (void)mui_fail(&p->failure, MU_ECRASHED,
                       "processes: a worker %s %d before its first task",
                       report->news == MUI_NURSERY_EXITED
                           ? "exited with status"
                           : "was killed by signal",
                       report->value);
}

void mui_processes_see_stage(struct mui_processes *p,
                             struct mui_processes_peer *peer)
{
    if (peer->up || peer->peer.pidfd < 0 ||
        mui_peer_stage(&peer->peer, NULL) != MUI_STAGE_UP)
        return;
    peer->up = true;
    peer->up_ns = mu_now_ns();
    choose_next(p);
    /* the others may start too; and who sleeps until this one is late need not */
    if (p->starts.n_failures > 0 || !p->tidy_due)
        mui_bells_poke(&p->bells);
    mui_starts_succeeded(&p->starts);
    /* relaxed: it carries nothing but itself */
    if (atomic_exchange_explicit(&p->first, MUI_FIRST_UP,
                                 memory_order_relaxed) != MUI_FIRST_UP)
        mui_futex_wake(&p->first, 1, 0);
}

int64_t mui_processes_see_late(struct mui_processes *p)
{
    struct mui_death death = {.i_lane = MUI_LANE_UNKNOWN,
                              .how = MUI_DEATH_VANISHED};
    int64_t next = MU_NEVER;

    for (unsigned i = 0; i < p->n_peers && !p->robbed; i++) {
        struct mui_processes_peer *peer = &p->peers[i];
        int64_t late_ns = peer->ordered_ns + MUI_STARTS_LATE_NS;

        if (peer->state != MUI_PEER_ORDERED)
            continue;
        mui_processes_see_stage(p, peer);
        if (peer->up)
            continue;
        if (mu_now_ns() < late_ns) {
            if (late_ns < next)
                next = late_ns;
            continue;
        }
        mui_processes_count_failure(p);
        (void)mui_fail(&p->failure, -ETIMEDOUT,
                       "processes: a worker was not up after %d s",
                       (int)(MUI_STARTS_LATE_NS / 1000000000));
        mui_processes_died(p, peer, &death);
    }
    return next;
}

static bool is_mute(const struct mui_processes *p,
                    const struct mui_processes_peer *peer)
{
    if (peer->state != MUI_PEER_ORDERED || !peer->up || peer->peer.bell >= 0)
        return false;
    for (unsigned i = 0; i < p->plan.shape.n_lanes; i++)
        if (mui_lane_in_flight(&peer->peer.lanes[i]) > 0)
            return true;
    return false;
}

int64_t mui_processes_see_mute(const struct mui_processes *p)
{
    for (unsigned i = 0; i < p->n_peers; i++)
        if (is_mute(p, &p->peers[i]))
            return mu_after_ns(MUI_MUTE_LOOK_NS);
    return MU_NEVER;
}

static bool used_its_cpu(const struct mui_processes *p,
                         const struct mui_nursery_report *report)
{
    return report->value == SIGKILL &&
           mui_limits_cpu_was_used(&p->plan.terms.limits, report->cpu_ns);
}

static void peer_ended(struct mui_processes *p, struct mui_processes_peer *peer,
                       const struct mui_nursery_report *report)
{
    struct mui_death death = {.i_lane = MUI_LANE_UNKNOWN,
                              .how = MUI_DEATH_VANISHED};

    mui_processes_ended(p, peer);
    if (peer->state != MUI_PEER_ORDERED)
        return;
    mui_processes_see_stage(p, peer);
    if (!peer->up)
        note_failure(p, peer, report);
    else if (mui_processes_heed_last_words(p, peer))
        return;
    else if (report->news == MUI_NURSERY_EXITED) {
        death.how = MUI_DEATH_EXITED;
        death.code = report->value;
    } else {
        death.how = MUI_DEATH_CRASHED;
        death.signal = report->value;
        death.out_of_memory = report->starved != 0;
        death.limit = death.out_of_memory       ? MU_LIMIT_GROUP_MEMORY
                      : used_its_cpu(p, report) ? MU_LIMIT_CPU_TIME
                                                : MU_LIMIT_NONE;
    }
    mui_processes_died(p, peer, &death);
}

static void peer_forked(struct mui_processes *p,
                        struct mui_processes_peer *peer,
                        const struct mui_nursery_report *report)
{
    peer->peer.pid = report->pid;
    peer->peer.pidfd = report->pidfd;
    if (peer->state == MUI_PEER_GONE) /* killed before it was born */
        mui_processes_kill_peer(p, peer);
    else
        mui_processes_see_stage(p, peer);
}

void mui_processes_heed_report(struct mui_processes *p,
                               const struct mui_nursery_report *report)
{
    struct mui_processes_peer *peer = mui_processes_peer_by_id(p, report->id);
    struct mui_death death = {.how = MUI_DEATH_STOPPED,
                              .i_lane = MUI_LANE_UNKNOWN,
                              .signal = report->value};

    if (!peer) {
        if (report->pidfd >= 0)
            (void)close(report->pidfd);
        return;
    }
    switch ((enum mui_nursery_news)report->news) {
    case MUI_NURSERY_FULL: /* of no worker */
        break;
    case MUI_NURSERY_FORKED:
        peer_forked(p, peer, report);
        break;
    case MUI_NURSERY_STOPPED:
        mui_processes_died(p, peer, &death);
        break;
    case MUI_NURSERY_FAILED:
    case MUI_NURSERY_EXITED:
    case MUI_NURSERY_KILLED:
        peer_ended(p, peer, report);
        break;
    }
}
