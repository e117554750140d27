/* submit.c: work from outside the team.
 *
 * A ticket is the caller's own memory; a queue holds pointers to tickets in a ring of
 * cells (the bounded queue of D. Vyukov). A submitter keeps to one queue, so that
 * submitters do not meet.
 *
 *       submitter                             taker
 *       write the ticket
 *       claim put (relaxed)                   claim take (relaxed)
 *       cell.ticket := ticket (relaxed)
 *   Q1  cell.turn := put + 1 (seq_cst) ---->  Q2  load cell.turn (acquire)
 *                                             Q3  swap cell.ticket with NULL
 *   Q5  load cell.turn (acquire) <----------  Q4  cell.turn := take + N (release)
 *
 * Who waits for a ticket that is still in its cell takes it out by the same swap
 * (Q3) and runs it; the cell is then a hole that a taker skips. Only who swapped the
 * pointer out touches the ticket: a taker that comes late never sees it.
 *
 * ABA: the swap compares a pointer to a ticket that the comparing thread waits for.
 * It can be in one cell only, for it is not submitted again before the wait ends.
 *
 * Progress: submitting is wait-free but for the wake-up; when the ring is full, or
 * the next cell is still being emptied, the submitter runs the task itself. A thread
 * that stops between claiming take and Q4 keeps one cell; between claiming put and
 * Q1 it keeps back what was submitted after it to the same queue. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "sys/futex.h"
#include "team/team.h"

/* Weakened orders that tests/weak has to catch. */
#ifdef BUG_TICKET_RELAXED
#    define ORDER_TURN memory_order_relaxed
#    define ORDER_TAKE memory_order_relaxed
#else
#    define ORDER_TURN memory_order_seq_cst
#    define ORDER_TAKE memory_order_acq_rel
#endif

enum { TICKET_SETTLED = MUI_JOB_DONE | MUI_JOB_CANCELLED };

void mui_queues_init(struct mu_team *team)
{
    for (uint32_t q = 0; q < MUI_N_QUEUES; q++)
        for (uint32_t i = 0; i < MUI_QUEUE_CELLS; i++)
            /* relaxed: the team is not shared yet */
            atomic_store_explicit(&team->queues[q].cells[i].turn, i,
                                  memory_order_relaxed);
}

/* The status of a ticket is the region of its task. */
static struct mui_region *ticket_region(struct mu_ticket *ticket)
{
    return (struct mui_region *)&ticket->status;
}

/* A number for the calling thread: any will do, and it may change. */
__attribute__((noinline)) static uint32_t thread_number(void)
{
    static _Thread_local char here;

    return (uint32_t)(((uintptr_t)&here * UINT64_C(0x9e3779b97f4a7c15)) >> 60);
}

static bool queue_put(struct mui_queue *queue, struct mu_ticket *ticket)
{
    uint64_t put = atomic_load_explicit(&queue->put, memory_order_relaxed);

    for (;;) {
        struct mui_cell *cell = &queue->cells[put % MUI_QUEUE_CELLS];
        /* Q5, pairs with Q4 in queue_take() */
        uint64_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);

        if (turn < put)
            return false;
        if (turn > put) {
            put = atomic_load_explicit(&queue->put, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak_explicit(
                       &queue->put, &put, put + 1, memory_order_relaxed,
                       memory_order_relaxed)) {
            ticket->cell = cell;
            /* relaxed: Q1 publishes */
            atomic_store_explicit(&cell->ticket, ticket, memory_order_relaxed);
            /* Q1, pairs with Q2; W1, against S3 and S4 in idle.c */
            atomic_store_explicit(&cell->turn, put + 1, ORDER_TURN);
            return true;
        }
    }
}

/* Take the oldest ticket. NULL: there is none. */
static struct mu_ticket *queue_take(struct mui_queue *queue)
{
    uint64_t take = atomic_load_explicit(&queue->take, memory_order_relaxed);

    for (;;) {
        struct mui_cell *cell = &queue->cells[take % MUI_QUEUE_CELLS];
        /* Q2, pairs with Q1 in queue_put() */
        uint64_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
        struct mu_ticket *ticket;

        if (turn <= take)
            return NULL;
        if (turn > take + 1) {
            take = atomic_load_explicit(&queue->take, memory_order_relaxed);
            continue;
        }
        if (!atomic_compare_exchange_weak_explicit(
                &queue->take, &take, take + 1, memory_order_relaxed,
                memory_order_relaxed))
            continue;
        /* Q3, against ticket_take_back() */
        ticket =
            atomic_exchange_explicit(&cell->ticket, NULL, memory_order_acq_rel);
        /* Q4, pairs with Q5 in queue_put() */
        atomic_store_explicit(&cell->turn, take + MUI_QUEUE_CELLS,
                              memory_order_release);
        if (ticket)
            return ticket;
        take++;
    }
}

struct mu_ticket *mui_ticket_take(struct mu_team *team, uint32_t first)
{
    for (uint32_t i = 0; i < MUI_N_QUEUES; i++) {
        struct mui_queue *queue = &team->queues[(first + i) % MUI_N_QUEUES];
        struct mu_ticket *ticket;

        /* relaxed: a stale look costs a turn */
        if (atomic_load_explicit(&queue->put, memory_order_relaxed) ==
            atomic_load_explicit(&queue->take, memory_order_relaxed))
            continue;
        ticket = queue_take(queue);
        if (ticket)
            return ticket;
    }
    return NULL;
}

bool mui_queues_have(struct mu_team *team)
{
    for (uint32_t i = 0; i < MUI_N_QUEUES; i++) {
        struct mui_queue *queue = &team->queues[i];
        uint64_t take =
            atomic_load_explicit(&queue->take, memory_order_seq_cst);
        struct mui_cell *cell = &queue->cells[take % MUI_QUEUE_CELLS];

        /* S4, against W1 in queue_put() */
        if (atomic_load_explicit(&cell->turn, memory_order_seq_cst) == take + 1)
            return true;
    }
    return false;
}

/* Run a ticket that is in no cell, on a seat that works for its region. */
static void ticket_execute(struct mui_seat *seat, struct mu_ticket *ticket)
{
    _Atomic uint32_t *state = mui_job_state(&ticket->job);
    uint32_t how = MUI_JOB_DONE;

    (void)atomic_fetch_or_explicit(state, MUI_JOB_RUNNING,
                                   memory_order_relaxed);
    if (mui_region_status(ticket_region(ticket)) == 0)
        ticket->job.run(&ticket->job, mui_slot(seat, MUI_FIRST_SLOT));
    else
        how = MUI_JOB_CANCELLED;
    /* release, pairs with the acquire in mu_ticket_wait(), after which the ticket
     * is not ours */
    if (atomic_exchange_explicit(state, how, memory_order_acq_rel) &
        MUI_JOB_ASLEEP)
        (void)mui_futex_wake(state, INT32_MAX, 0);
}

void mui_ticket_run(struct mui_seat *seat, struct mu_ticket *ticket)
{
    mui_seat_start(seat, ticket_region(ticket));
    ticket_execute(seat, ticket);
    mui_seat_stop(seat);
}

/* Run a ticket that is in no cell on the calling thread. */
static int ticket_run_here(struct mu_team *team, struct mu_ticket *ticket)
{
    struct mui_seat *seat = mui_seat_take(team);

    if (!seat)
        return -ENOMEM;
    mui_seat_serve(seat, ticket_region(ticket));
    ticket_execute(seat, ticket);
    mui_seat_serve(seat, &seat->own_region);
    mui_seat_leave(seat);
    return 0;
}

int mu_ticket_submit(struct mu_team *team, struct mu_ticket *ticket)
{
    team = mui_team_or_default(team);
    if (!team)
        return -ENOMEM;
    ticket->team = team;
    ticket->cell = NULL;
    ticket->status = 0;
    /* relaxed: Q1 publishes */
    atomic_store_explicit(mui_job_state(&ticket->job), 0, memory_order_relaxed);
    if (!queue_put(&team->queues[thread_number() % MUI_N_QUEUES], ticket))
        return ticket_run_here(team, ticket);
    mui_team_wake(team);
    return 0;
}

/* Take a ticket out of its cell. False: somebody has it. */
static bool ticket_take_back(struct mu_ticket *ticket)
{
    struct mui_cell *cell = ticket->cell;
    struct mu_ticket *expected = ticket;

    /* relaxed, the first: a guess. Then Q3, against queue_take() */
    return cell &&
           atomic_load_explicit(&cell->ticket, memory_order_relaxed) ==
               ticket &&
           atomic_compare_exchange_strong_explicit(&cell->ticket, &expected,
                                                   NULL, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

int mu_ticket_wait(struct mu_ticket *ticket)
{
    struct mu_team *team = ticket->team;
    _Atomic uint32_t *word = mui_job_state(&ticket->job);
    int64_t since = 0;

    if (ticket_take_back(ticket)) {
        int rc = ticket_run_here(team, ticket);

        return rc < 0 ? rc : ticket->status;
    }
    for (;;) {
        /* acquire, pairs with the release in mui_ticket_run() */
        uint32_t state = atomic_load_explicit(word, memory_order_acquire);

        if (state & TICKET_SETTLED)
            return ticket->status;
        if (mui_team_is_orphan(team))
            return -EOWNERDEAD;
        if (since == 0)
            since = mu_now_ns();
        if (mu_now_ns() - since < MUI_JOIN_SPIN_NS) {
            if (team->is_crowded)
                (void)sched_yield();
            mui_cpu_pause();
        } else if ((state & MUI_JOB_ASLEEP) ||
                   atomic_compare_exchange_strong_explicit(
                       word, &state, state | MUI_JOB_ASLEEP,
                       memory_order_relaxed, memory_order_relaxed)) {
            (void)mui_futex_wait(word, state | MUI_JOB_ASLEEP, 0, MU_NEVER);
        }
    }
}

void mu_ticket_cancel(struct mu_ticket *ticket, int status)
{
    mui_region_cancel(ticket->team, ticket_region(ticket),
                      status < 0 ? status : -ECANCELED);
}
