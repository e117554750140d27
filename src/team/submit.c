/* submit.c: work from outside the team.
 *
 * A ticket is the caller's own memory; a queue holds pointers to tickets in a ring of
 * cells. A cell is one word, {ticket, lap}: position `at` of the queue is lap
 * at / N of cell at % N.
 *
 *       {NULL, lap} --put--> {ticket, lap} --taken--> {NULL, lap + 1}
 *
 *       submitter                             taker, or who waits for the ticket
 *       write the ticket
 *       claim put (relaxed)
 *   Q1  cell := {ticket, lap} (seq_cst) --->  Q2  load the cell (acquire)
 *   Q4  load the cell (acquire) <-----------  Q3  swap it for {NULL, lap + 1}
 *
 * Whoever swaps owns the task; so what nobody has started can be had by anybody,
 * however long the task before it runs. `take` is where takers begin to look, and
 * is moved on after the swap, past cells that were emptied.
 *
 * ABA: laps wrap after 2048 of them. A taker that slept that long may swap a ticket
 * that lies where another of the same address lay; it is in its cell, so it may be
 * taken, and the lap that it leaves is the right one.
 *
 * Moving a tiny task to another CPU costs more than running it: four cache lines.
 * So takers measure. While tasks are tiny they leave the queue alone as long as the
 * submitter is submitting, and the submitter runs what comes on top of a few.
 *
 * Progress: submitting is wait-free but for the wake-up; when the ring is full the
 * submitter runs the task itself. A thread that stops between claiming put and Q1
 * keeps back what was submitted after it to the same queue. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "sys/futex.h"
#include "team/team.h"

/* Weakened orders that tests/weak has to catch. */
#ifdef BUG_TICKET_RELAXED
#    define ORDER_PUT  memory_order_relaxed
#    define ORDER_TAKE memory_order_relaxed
#else
#    define ORDER_PUT  memory_order_seq_cst
#    define ORDER_TAKE memory_order_acq_rel
#endif

enum {
    /* Tickets are aligned as malloc() does, addresses have 57 bits: 11 for the
     * lap. */
    TICKET_BITS = 53,
    TICKET_ALIGN = 16,
    MAX_RUN = 16,   /* tickets until a thread looks for other work again */
    FEW_TINY = 32,  /* tiny tasks that are queued before the submitter helps */
    TINY_NS = 150,  /* and its measurement: less than fetching it takes */
    LOOK_NS = 1000, /* between two looks at a queue of tiny tasks */
    OLD_NS = 200000 /* after which a tiny task is taken */
};
#define LAP_MASK (((uint64_t)1 << (64 - TICKET_BITS)) - 1)

_Static_assert(_Alignof(struct mu_ticket) == TICKET_ALIGN,
               "the low bits of a ticket's address are 0");

static uint64_t cell_pack(const struct mu_ticket *ticket, uint64_t lap)
{
    return (uint64_t)(uintptr_t)ticket / TICKET_ALIGN | lap << TICKET_BITS;
}

static struct mu_ticket *cell_ticket(uint64_t word)
{
    uint64_t bits = word & (((uint64_t)1 << TICKET_BITS) - 1);

    return (struct mu_ticket *)(uintptr_t)(bits * TICKET_ALIGN);
}

static uint64_t cell_lap(uint64_t word)
{
    return word >> TICKET_BITS;
}

static _Atomic uint64_t *queue_cell(struct mui_queue *queue, uint64_t at)
{
    return &queue->cells[at % MUI_QUEUE_CELLS];
}

static uint64_t queue_lap(uint64_t at)
{
    return at / MUI_QUEUE_CELLS & LAP_MASK;
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
        _Atomic uint64_t *cell = queue_cell(queue, put);
        uint64_t now = put;
        /* Q4, pairs with Q3 */
        uint64_t word = atomic_load_explicit(cell, memory_order_acquire);

        if (word == cell_pack(NULL, queue_lap(put))) {
            if (!atomic_compare_exchange_weak_explicit(
                    &queue->put, &put, put + 1, memory_order_relaxed,
                    memory_order_relaxed))
                continue;
            ticket->cell = cell;
            /* Q1, pairs with Q2; W1, against S3 and S4 in idle.c */
            atomic_store_explicit(cell, cell_pack(ticket, queue_lap(put)),
                                  ORDER_PUT);
            return true;
        }
        put = atomic_load_explicit(&queue->put, memory_order_relaxed);
        if (put == now)
            return false;
    }
}

/* The oldest ticket that nobody has taken: its position and its cell. */
static bool queue_find(struct mui_queue *queue, uint64_t *ret_at,
                       uint64_t *ret_word)
{
    /* relaxed, both: where to begin. What was put needed the cell of a lap before:
     * up to there all were emptied, by those who waited when takers did not come. */
    uint64_t take = atomic_load_explicit(&queue->take, memory_order_relaxed);
    uint64_t put = atomic_load_explicit(&queue->put, memory_order_relaxed);
    bool is_behind = put > take + MUI_QUEUE_CELLS;
    uint64_t at = is_behind ? put - MUI_QUEUE_CELLS : take;
    uint64_t word;

    for (;; at++) {
        /* Q2, pairs with Q1; seq_cst: S4, against W1 in queue_put() */
        word =
            atomic_load_explicit(queue_cell(queue, at), memory_order_seq_cst);
        if (cell_lap(word) == queue_lap(at))
            break;
    }
    if (at != take)
        /* relaxed: all between were emptied. Who fails was overtaken. */
        (void)atomic_compare_exchange_strong_explicit(&queue->take, &take, at,
                                                      memory_order_relaxed,
                                                      memory_order_relaxed);
    *ret_at = at;
    *ret_word = word;
    return cell_ticket(word) != NULL;
}

/* Take a ticket out of its cell, whose word was seen. False: somebody has it. */
static bool cell_empty(_Atomic uint64_t *cell, uint64_t word)
{
    /* Q3, pairs with Q1, and with Q4 */
    return atomic_compare_exchange_strong_explicit(
        cell, &word, cell_pack(NULL, (cell_lap(word) + 1) & LAP_MASK),
        ORDER_TAKE, memory_order_relaxed);
}

/* Take the oldest ticket. NULL: there is none. */
static struct mu_ticket *queue_take(struct mui_queue *queue)
{
    uint64_t at;
    uint64_t word;

    while (queue_find(queue, &at, &word))
        if (cell_empty(queue_cell(queue, at), word))
            return cell_ticket(word);
    return NULL;
}

bool mui_queues_have(struct mu_team *team)
{
    uint64_t at;
    uint64_t word;

    for (uint32_t i = 0; i < MUI_N_QUEUES; i++)
        if (queue_find(&team->queues[i], &at, &word))
            return true;
    return false;
}

/* Have a task that another CPU wrote here before it is timed: fetching it may take
 * longer than running it. A ticket may lie across two lines. */
static void job_fetch(const struct mu_job *job)
{
    const volatile char *bytes = (const volatile char *)job;

    (void)bytes[0];
    (void)bytes[sizeof *job - 1];
}

/* The end of a ticket that is in no cell. A cancel that comes after this look at its
 * status has come too late, and the result stands. */
static void ticket_settle(struct mu_ticket *ticket)
{
    _Atomic uint32_t *state = mui_job_state(&ticket->job);
    uint32_t how = mui_region_status(ticket_region(ticket)) == 0
                       ? MUI_JOB_DONE
                       : MUI_JOB_CANCELLED;

    /* release, pairs with the acquire in mu_ticket_wait(), after which the ticket
     * is not ours */
    if (atomic_exchange_explicit(state, how, memory_order_acq_rel) &
        MUI_JOB_ASLEEP)
        (void)mui_futex_wake(state, INT32_MAX, 0);
}

/* Run a ticket that is in no cell, on a seat that works for its region. */
static void ticket_execute(struct mui_seat *seat, struct mu_ticket *ticket,
                           int64_t *ret_took_ns)
{
    int64_t since = 0;

    if (ret_took_ns) {
        job_fetch(&ticket->job);
        since = mu_now_ns();
    }
    if (mui_region_status(ticket_region(ticket)) == 0)
        ticket->job.run(&ticket->job, mui_slot(seat, MUI_FIRST_SLOT));
    if (ret_took_ns)
        *ret_took_ns = mu_now_ns() - since;
    ticket_settle(ticket);
}

/* Run some tickets of a queue. False: there were none. */
static bool queue_run(struct mui_seat *me, struct mui_queue *queue)
{
    struct mu_team *team = me->team;
    struct mu_ticket *ticket = queue_take(queue);
    int64_t took_ns;
    bool is_tiny;
    int n = 0;

    if (!ticket)
        return false;
    mui_idle_found(team);
    do {
        mui_seat_start(me, ticket_region(ticket));
        ticket_execute(me, ticket, n == 0 ? &took_ns : NULL);
        mui_seat_stop(me);
        /* a child that the task forked leaves the others to its parent */
        ticket = ++n < MAX_RUN && !mui_team_is_orphan(team) ? queue_take(queue)
                                                            : NULL;
    } while (ticket);
    is_tiny = took_ns < TINY_NS;
    /* relaxed, both: a hint */
    if (atomic_load_explicit(&queue->is_tiny, memory_order_relaxed) != is_tiny)
        atomic_store_explicit(&queue->is_tiny, is_tiny, memory_order_relaxed);
    mui_idle_search(team);
    return true;
}

/* Whether it is worth taking tickets now: always, unless they are tiny. Those are
 * left alone until the submitter does something else, or they are old. */
static bool queue_is_ripe(struct mui_queue *queue,
                          struct mui_queue_sight *sight, int64_t now)
{
    uint64_t n_submits;
    uint64_t take;
    bool is_same;

    /* relaxed, all: hints */
    if (!atomic_load_explicit(&queue->is_tiny, memory_order_relaxed))
        return true;
    if (now < sight->next_ns)
        return false;
    sight->next_ns = now + LOOK_NS;
    n_submits = atomic_load_explicit(&queue->n_submits, memory_order_relaxed);
    take = atomic_load_explicit(&queue->take, memory_order_relaxed);
    is_same = n_submits == sight->n_submits;
    sight->n_submits = n_submits;
    if (take != sight->take) {
        sight->take = take;
        sight->since_ns = now;
    }
    return is_same || now - sight->since_ns >= OLD_NS;
}

bool mui_tickets_run(struct mui_seat *me,
                     struct mui_queue_sight sights[MUI_N_QUEUES], int64_t now)
{
    for (uint32_t i = 0; i < MUI_N_QUEUES; i++) {
        uint32_t q = (me->index + i) % MUI_N_QUEUES;

        if (queue_is_ripe(&me->team->queues[q], &sights[q], now) &&
            queue_run(me, &me->team->queues[q]))
            return true;
    }
    return false;
}

/* Run a ticket that is in no cell on the calling thread. Where there is no seat it is
 * cancelled with -ENOMEM: nobody else could find it any more. */
static int ticket_run_here(struct mu_team *team, struct mu_ticket *ticket)
{
    struct mui_seat *seat = mui_seat_take(team);

    if (!seat) {
        mui_region_cancel(team, ticket_region(ticket), -ENOMEM);
        ticket_settle(ticket);
        return -ENOMEM;
    }
    mui_seat_serve(seat, ticket_region(ticket));
    ticket_execute(seat, ticket, NULL);
    /* relaxed: nobody has worked in the own region, so none of it is cancelled */
    atomic_store_explicit(&seat->region, &seat->own_region,
                          memory_order_relaxed);
    mui_seat_leave(seat);
    return 0;
}

/* Whether a submitter had better run its task itself: tasks are tiny, and the one
 * that was put FEW_TINY before still waits. `take` does not tell: it stays behind. */
static bool queue_is_loaded(struct mui_queue *queue)
{
    /* relaxed, all: hints */
    uint64_t n = atomic_load_explicit(&queue->n_submits, memory_order_relaxed);
    uint64_t at = atomic_load_explicit(&queue->put, memory_order_relaxed);

    atomic_store_explicit(&queue->n_submits, n + 1, memory_order_relaxed);
    if (at < FEW_TINY ||
        !atomic_load_explicit(&queue->is_tiny, memory_order_relaxed))
        return false;
    at -= FEW_TINY;
    return cell_lap(atomic_load_explicit(
               queue_cell(queue, at), memory_order_relaxed)) == queue_lap(at);
}

int mu_ticket_submit(struct mu_team *team, struct mu_ticket *ticket)
{
    struct mui_queue *queue;

    team = mui_team_or_default(team);
    if (!team)
        return -ENOMEM;
    ticket->team = team;
    ticket->cell = NULL;
    ticket->status = 0;
    /* relaxed: Q1 publishes */
    atomic_store_explicit(mui_job_state(&ticket->job), 0, memory_order_relaxed);
    queue = &team->queues[thread_number() % MUI_N_QUEUES];
    if (queue_is_loaded(queue) || !queue_put(queue, ticket))
        return ticket_run_here(team, ticket);
    mui_team_wake(team);
    return 0;
}

/* Take a ticket out of its cell. False: somebody has it. */
static bool ticket_take_back(struct mu_ticket *ticket)
{
    _Atomic uint64_t *cell = ticket->cell;
    uint64_t word;

    if (!cell)
        return false;
    /* relaxed: a guess */
    word = atomic_load_explicit(cell, memory_order_relaxed);
    return cell_ticket(word) == ticket && cell_empty(cell, word);
}

int mu_ticket_wait(struct mu_ticket *ticket)
{
    struct mu_team *team = ticket->team;
    _Atomic uint32_t *word = mui_job_state(&ticket->job);
    int64_t since = 0;

    if (ticket_take_back(ticket))
        /* what came of it is in its state */
        (void)ticket_run_here(team, ticket);
    for (;;) {
        /* acquire, pairs with the release in ticket_settle() */
        uint32_t state = atomic_load_explicit(word, memory_order_acquire);

        if (state & MUI_JOB_DONE)
            return 0;
        if (state & MUI_JOB_CANCELLED)
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
