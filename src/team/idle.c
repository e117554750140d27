/* idle.c: who looks for work, who sleeps, and who wakes whom.
 *
 * `idle` counts the threads of the team that search and those that sleep. Two rules
 * follow from it:
 *
 *   - As long as one searches, nobody is woken: it will find what there is. Whoever
 *     makes work public while nobody searches wakes one sleeper (mui_team_wake),
 *     and that one counts as searching from then on.
 *   - Whenever nobody searches and somebody sleeps, the limit of every seat at work
 *     is raised: its owner exposes work at its next fork or join, and wakes one.
 *
 * So the woken wake the next, each time one of them has found work and there is more
 * (mui_idle_found), and the caller of a region wakes at most one itself.
 *
 * The last one to search, the sentinel, stays for a few milliseconds. Its way to
 * sleep, against someone who makes work public:
 *
 *       sentinel (mui_idle_sleep)            who makes work public
 *   S3  searching := 0 (seq_cst)         W1  expose a job, open a loop, put a
 *   S4  look at every seat and queue         ticket (seq_cst)
 *       (seq_cst)                        W2  look at `idle` (seq_cst)
 *       sleep on the semaphore               nobody searches: mui_team_wake
 *
 * In the one order of the four either S4 sees the work or W2 sees that nobody
 * searches. Both may: the exchange on `idle` lets one of them through, and a wake-up
 * that was posted stays in the semaphore until a sleeper takes it. tests/model/
 * sleep.pml has all interleavings. Who stops searching because he has found work
 * (mui_idle_found) stands where the sentinel does, and wakes the next. */
#include "team/team.h"

/* Ask every seat at work to expose some. Returns whether there is work in public. */
static bool idle_ask_all(struct mu_team *team)
{
    uint32_t n_seats =
        atomic_load_explicit(&team->n_seats, memory_order_acquire);
    bool has_work = false;

    for (uint32_t i = 0; i < n_seats; i++) {
        struct mui_seat *seat =
            atomic_load_explicit(&team->seats[i], memory_order_acquire);

        /* S4, against S1 in seat_try() and mui_seat_start() */
        if (!seat ||
            atomic_load_explicit(&seat->epoch, memory_order_seq_cst) % 2 == 0)
            continue;
        mui_seat_ask(seat);
        has_work |= mui_seat_has_work(seat);
    }
    return has_work || mui_queues_have(team);
}

void mui_team_wake(struct mu_team *team)
{
    /* W2, against S3 in mui_idle_sleep() */
    uint64_t idle = atomic_load_explicit(&team->idle, memory_order_seq_cst);

    while (mui_idle_needs_waking(idle)) {
        if (atomic_compare_exchange_weak_explicit(
                &team->idle, &idle, mui_pair(1, mui_high(idle) - 1),
                memory_order_seq_cst, memory_order_seq_cst)) {
            mui_semaphore_post(&team->wakeups, 1);
            return;
        }
    }
}

void mui_idle_search(struct mu_team *team)
{
    /* relaxed: to be counted a moment late costs a wake-up at most */
    (void)atomic_fetch_add_explicit(&team->idle, 1, memory_order_relaxed);
}

void mui_idle_found(struct mu_team *team)
{
    /* S3, against L2 in mui_seat_lower() and S2 in seat_begin() */
    uint64_t idle =
        atomic_fetch_sub_explicit(&team->idle, 1, memory_order_seq_cst) - 1;

    /* S4, against W1 and W2: who made more public while this thread searched has woken
     * nobody for it */
    if (mui_idle_needs_waking(idle) && idle_ask_all(team))
        mui_team_wake(team);
}

bool mui_idle_rest(struct mu_team *team)
{
    uint64_t idle = atomic_load_explicit(&team->idle, memory_order_relaxed);

    while (mui_low(idle) > 1) {
        if (atomic_compare_exchange_weak_explicit(
                &team->idle, &idle,
                mui_pair(mui_low(idle) - 1, mui_high(idle) + 1),
                memory_order_seq_cst, memory_order_relaxed)) {
            /* seq_cst, against mui_threads_stop() */
            if (!atomic_load_explicit(&team->is_closing, memory_order_seq_cst))
                mui_semaphore_wait(&team->wakeups);
            return true;
        }
    }
    return false;
}

bool mui_idle_sleep(struct mu_team *team)
{
    uint64_t idle = atomic_load_explicit(&team->idle, memory_order_relaxed);

    /* S3, against W2 in mui_team_wake() and L2 in mui_seat_lower() */
    if (mui_low(idle) != 1 ||
        !atomic_compare_exchange_strong_explicit(
            &team->idle, &idle, mui_pair(0, mui_high(idle) + 1),
            memory_order_seq_cst, memory_order_relaxed))
        return false;
    if (idle_ask_all(team) ||
        atomic_load_explicit(&team->is_closing, memory_order_seq_cst)) {
        idle = atomic_load_explicit(&team->idle, memory_order_relaxed);
        while (mui_idle_needs_waking(idle)) {
            if (atomic_compare_exchange_weak_explicit(
                    &team->idle, &idle, mui_pair(1, mui_high(idle) - 1),
                    memory_order_seq_cst, memory_order_relaxed))
                return true;
        }
        if (atomic_load_explicit(&team->is_closing, memory_order_seq_cst))
            return true;
    }
    /* somebody searches again: by a wake-up posted for one of the sleepers */
    mui_semaphore_wait(&team->wakeups);
    return true;
}
