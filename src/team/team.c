/* team.c: opening and closing teams, the team of the process, entering.
 *
 * fork(): a child has the thread that called fork and none of the team's. It sees
 * that by mui_forked() and goes on alone: nobody is counted as idle, so nobody is
 * woken; what its own seats expose it takes back at the join. A job or chunk that a
 * lost thread was running will never be done: its region is cancelled with
 * -EOWNERDEAD, and nothing waits for it. Seats that other threads had taken stay
 * taken. There are no locks that could be left held. Where a thread of the team forks,
 * the child's copy of it ends with the job that did. */
#include "team/team.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "muster/pool.h"

#include "base/error.h"
#include "sys/forked.h"

enum { MAX_THREADS = 4096 };

static _Atomic(struct mu_team *) default_team; /* written once; never freed */
static _Atomic uint64_t n_teams;               /* gives the ids */

static struct mu_team *team_new(const struct mu_team_options *options)
{
    unsigned n_cpus = mu_usable_cpus();
    unsigned n = options->n_threads > 0 ? options->n_threads : n_cpus;
    struct mu_team *team =
        aligned_alloc(_Alignof(struct mu_team), sizeof *team);

    if (!team)
        return NULL;
    memset(team, 0, sizeof *team);
    team->id = atomic_fetch_add_explicit(&n_teams, 1, memory_order_relaxed) + 1;
    team->forked = mui_forked();
    team->n_threads = n;
    team->n_asked = n;
    team->is_crowded = n > n_cpus;
    team->stack_bytes = options->stack_bytes;
    team->spin_ns = MUI_SPIN_NS;
    team->sentinel_ns = MUI_SENTINEL_NS;
    if (options->spin_ns != 0)
        team->sentinel_ns = options->spin_ns > 0 ? options->spin_ns : 0;
    if (team->sentinel_ns < team->spin_ns)
        team->spin_ns = team->sentinel_ns;
    team->threads = mui_threads_new(n);
    if (!team->threads) {
        free(team);
        return NULL;
    }
    return team;
}

static void team_free(struct mu_team *team)
{
    for (uint32_t i = 0; i < MUI_MAX_SEATS; i++)
        mui_seat_free(
            atomic_load_explicit(&team->seats[i], memory_order_relaxed));
    mui_cpu_sets_free(team->cpus);
    mui_threads_free(team->threads, team->n_asked);
    free(team);
}

int mu_team_open(const struct mu_team_options *options,
                 struct mu_team **ret_team, struct mu_error *err)
{
    static const struct mu_team_options defaults = {0};
    struct mu_team *team;

    if (!options)
        options = &defaults;
    if (options->n_threads > MAX_THREADS)
        return mui_fail(err, -EINVAL, "team: %u threads, at most %d",
                        options->n_threads, MAX_THREADS);
    if (options->pin && mui_cpu_sets_load() < 0)
        return mui_fail(err, -ELIBACC, "team: to pin its threads takes %s",
                        MUSTER_HWLOC);
    team = team_new(options);
    if (!team)
        return mui_fail(err, -ENOMEM, "team: %zu bytes", sizeof *team);
    if (options->pin)
        team->cpus = mui_cpu_sets_new(team->n_threads);
    mui_threads_start(team);
    *ret_team = team;
    return 0;
}

void mu_team_close(struct mu_team *team)
{
    if (!team)
        return;
    if (!mui_team_is_orphan(team))
        mui_threads_stop(team);
    team_free(team);
}

bool mui_team_is_orphan(const struct mu_team *team)
{
    return team->forked != mui_forked_since();
}

MUI_HOT struct mu_team *mui_team_or_default(struct mu_team *team)
{
    struct mu_team *other = NULL;

    if (!team)
        /* acquire, pairs with the exchange below */
        team = atomic_load_explicit(&default_team, memory_order_acquire);
    if (!team) {
        if (mu_team_open(NULL, &team, NULL) < 0)
            return NULL;
        if (!atomic_compare_exchange_strong_explicit(&default_team, &other,
                                                     team, memory_order_acq_rel,
                                                     memory_order_acquire)) {
            mu_team_close(team);
            team = other;
        }
    }
    if (mui_team_is_orphan(team))
        /* relaxed: threads of the child write the same */
        atomic_store_explicit(&team->idle, 0, memory_order_relaxed);
    return team;
}

unsigned mu_team_width(struct mu_team *team)
{
    team = mui_team_or_default(team);
    return !team || mui_team_is_orphan(team) ? 1 : team->n_threads;
}

MUI_HOT struct mu_job *mu_team_enter(struct mu_team *team)
{
    struct mui_seat *seat;

    team = mui_team_or_default(team);
    seat = team ? mui_seat_take(team) : NULL;
    return seat ? mui_slot(seat, MUI_FIRST_SLOT) : NULL;
}

MUI_HOT int mu_team_leave(struct mu_job *j)
{
    int status = mu_job_status(j);

    mui_seat_leave(mui_seat_of(j));
    return status;
}
