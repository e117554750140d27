/* help.c: what a waiting join may run: only what was forked below the thing it
 * waits for. A thread that holds a lock over a join would otherwise find itself
 * inside a stranger that wants the same lock.
 *
 * A job that T stole from us runs on T's seat from slot `base` on, so everything
 * exposed there at `base` and above was forked below it. If T itself waits, for a
 * job at `base` or above that U stole, the same holds on U's seat, and so on.
 *
 * Those are looks at moving things. They are made again after the steal: while we
 * hold a job of some work on a seat, that work cannot end, so the seat cannot have
 * gone on to another in between; what the second look finds was true at the steal.
 * If it finds nothing the job goes back to its owner, which waits for it in no
 * other way than for any stolen job. */
#include "team/team.h"

enum {
    MAX_STEPS = 64
}; /* thieves of thieves followed; further ones are left */

/* Where a stolen job runs. */
struct place {
    struct mui_seat *seat;
    uint32_t base;
};

static bool place_find(struct mu_team *team, struct mu_job *job,
                       struct place *ret_place)
{
    /* acquire, pairs with T2 in mui_job_run_stolen() */
    uint32_t state =
        atomic_load_explicit(mui_job_state(job), memory_order_acquire);

    if (!(state & MUI_JOB_RUNNING))
        return false;
    ret_place->seat = atomic_load_explicit(
        &team->seats[state >> MUI_JOB_SEAT_SHIFT], memory_order_acquire);
    /* relaxed: as old as the state at least */
    ret_place->base =
        atomic_load_explicit(mui_job_base(job), memory_order_relaxed);
    return true;
}

/* The job that a place waits for in turn; NULL: none. */
static struct mu_job *place_next(const struct place *place)
{
    /* acquire, pairs with the release in join_stolen() */
    struct mu_job *job =
        atomic_load_explicit(&place->seat->waiting, memory_order_acquire);

    return job && mui_index_of(job) >= place->base ? job : NULL;
}

/* Whether slot `index` of `seat` was forked below `job`. */
static bool is_below(struct mu_team *team, struct mu_job *job,
                     const struct mui_seat *seat, uint32_t index)
{
    struct place place;

    for (int i = 0; job && i < MAX_STEPS; i++) {
        if (!place_find(team, job, &place))
            return false;
        if (place.seat == seat)
            return index >= place.base;
        job = place_next(&place);
    }
    return false;
}

static void place_ask(const struct place *place)
{
    struct mui_seat *seat = place->seat;
    /* saves the store; seq_cst, against L1, when the caller is about to sleep */
    if (atomic_load_explicit(&seat->limit, memory_order_seq_cst) != MUI_HUNGRY)
        mui_seat_ask(seat);
}

bool mui_help_job(struct mui_seat *me, struct mu_job *job, bool asks)
{
    struct mu_team *team = me->team;
    struct mu_job *next = job;
    struct mu_job *found = NULL;
    struct place place;

    for (int i = 0; next && !found && i < MAX_STEPS; i++) {
        if (!place_find(team, next, &place) || place.seat == me)
            return false;
        found = mui_seat_steal(place.seat, place.base);
        if (!found) {
            next = place_next(&place);
            if (asks && !next)
                place_ask(&place);
        }
    }
    if (!found)
        return false;
    if (is_below(team, job, place.seat, mui_index_of(found)))
        mui_job_run_stolen(me, place.seat, found, mui_index_of(job) + 1);
    else
        mui_job_return(found);
    return true;
}

bool mui_help_loop(struct mui_seat *me, uint32_t top, bool asks)
{
    struct mu_team *team = me->team;
    uint32_t n_seats =
        atomic_load_explicit(&team->n_seats, memory_order_acquire);

    for (uint32_t i = 0; i < n_seats; i++) {
        struct mui_seat *seat =
            atomic_load_explicit(&team->seats[i], memory_order_acquire);
        struct place place = {.seat = seat, .base = MUI_FIRST_SLOT};
        struct mu_job *found;

        /* acquire, pairs with the release in mui_loop_join() */
        if (!seat ||
            atomic_load_explicit(&seat->serving, memory_order_acquire) != me)
            continue;
        found = mui_seat_steal(seat, MUI_FIRST_SLOT);
        if (!found) {
            if (asks)
                place_ask(&place);
            continue;
        }
        /* a seat that serves this loop after the steal served it at the steal */
        if (atomic_load_explicit(&seat->serving, memory_order_acquire) == me)
            mui_job_run_stolen(me, seat, found, top);
        else
            mui_job_return(found);
        return true;
    }
    return false;
}
