/* thread.c: a thread of the team: search, work, rest.
 *
 * A search looks through the seats for a loop to take part in and an exposed job to
 * steal; where work has been going on for a while and nothing is exposed, it asks
 * (raises the limit). Then it looks into the queues of tickets. */
#include "sys/thread.h"

#include <sched.h>
#include <stdlib.h>

#include "team/team.h"

/* What a thread saw of a seat at its last search. */
struct sight {
    uint64_t epoch;
    int64_t since_ns;
};

struct mui_thread {
    pthread_t thread;
    struct mu_team *team;
    struct mui_seat *seat;
    struct sight
        *sights; /* [MUI_MAX_SEATS], touched as far as there are seats */
    struct mui_queue_sight queue_sights[MUI_N_QUEUES];
    int64_t turn_ns; /* when it last offered its CPU to others */
    uint32_t next;   /* where the next search begins */
    uint32_t
        *near; /* the seats of the team's threads, near ones first; or NULL */
    uint32_t n_near;
    bool is_started;
};

/* Stacks are address space; they shrink before a thread is given up. */
static const size_t default_stack_bytes = sizeof(void *) > 4 ? (size_t)1 << 30
                                                             : (size_t)1 << 24;
static const size_t least_stack_bytes = (size_t)1 << 18;

/* For how long this thread has seen the same work on a seat. */
static int64_t thread_sees(struct mui_thread *t, uint32_t i, uint64_t epoch,
                           int64_t now)
{
    struct sight *sight = &t->sights[i];

    if (sight->epoch != epoch)
        *sight = (struct sight){.epoch = epoch, .since_ns = now};
    return now - sight->since_ns;
}

/* Ask for work where it has been going on for long enough. */
static void thread_ask(struct mui_seat *seat, uint64_t epoch, int64_t age_ns)
{
    bool expects_long = seat->is_kept || mui_seat_expects_long(seat, epoch);

    /* relaxed: a hint that saves the stores */
    if (age_ns < (expects_long ? MUI_ASK_SOON_NS : MUI_ASK_AGE_NS) ||
        atomic_load_explicit(&seat->limit, memory_order_relaxed) == MUI_HUNGRY)
        return;
    /* relaxed: a hint for the work after this */
    atomic_store_explicit(&seat->asked_epoch, epoch, memory_order_relaxed);
    mui_seat_ask(seat);
}

/* Look at one seat; do a piece of work of it. */
static bool thread_visit(struct mui_thread *t, uint32_t i, int64_t now)
{
    struct mu_team *team = t->team;
    struct mui_seat *seat =
        atomic_load_explicit(&team->seats[i], memory_order_acquire);
    struct mu_job *job;
    uint64_t epoch;
    int64_t age_ns;

    if (!seat || seat == t->seat)
        return false;
    /* relaxed: a stale look costs a turn */
    epoch = atomic_load_explicit(&seat->epoch, memory_order_relaxed);
    if (epoch % 2 == 0)
        return false;
    age_ns = thread_sees(t, i, epoch, now);
    if (age_ns >= MUI_ASK_SOON_NS && mui_loop_has_units(seat) &&
        mui_loop_join(t->seat, seat))
        return true;
    job = mui_seat_steal(seat, 0);
    if (!job) {
        thread_ask(seat, epoch, age_ns);
        return false;
    }
    mui_idle_found(team);
    mui_job_run_stolen(t->seat, seat, job, MUI_FIRST_SLOT);
    mui_idle_search(team);
    return true;
}

/* One round of looking; true when it found something and has done it. */
static bool thread_look(struct mui_thread *t, int64_t now)
{
    uint32_t n_seats =
        atomic_load_explicit(&t->team->n_seats, memory_order_acquire);

    /* fewer threads may have started than were asked for */
    if (n_seats < t->n_near)
        n_seats = t->n_near;
    for (uint32_t k = 0; k < n_seats; k++) {
        uint32_t i = (t->next + k) % n_seats;

        /* the threads' seats are the first ones; nobody knows where those are who
         * enter */
        if (t->near)
            i = k < t->n_near ? t->near[k] : k;

        if (thread_visit(t, i, now)) {
            /* where there was work there may be more */
            t->next = i;
            return true;
        }
    }
    return mui_tickets_run(t->seat, t->queue_sights, now);
}

static void thread_pause(const struct mu_team *team, int64_t idle_ns)
{
    enum { SHORT_NS = 20000, N_SHORT = 4, N_LONG = 16 };
    int n = idle_ns < SHORT_NS ? N_SHORT : N_LONG;

    if (team->is_crowded)
        (void)sched_yield();
    while (n-- > 0)
        mui_cpu_pause();
}

/* Offer the CPU to other programs, now and then, while nobody waits for this thread:
 * who is descheduled had better be so here than amid a job. */
static bool thread_yield(struct mui_thread *t, int64_t now)
{
    if (now - t->turn_ns < MUI_TURN_NS)
        return false;
    (void)sched_yield();
    t->turn_ns = mu_now_ns();
    return true;
}

static void *thread_main(void *arg)
{
    struct mui_thread *t = arg;
    struct mu_team *team = t->team;
    int64_t since = mu_now_ns(); /* when it last had work, or was woken */

    if (team->cpus)
        mui_cpu_sets_bind(team->cpus, t->seat->index);
    for (;;) {
        int64_t now = mu_now_ns();
        bool is_fresh = thread_look(t, now);

        /* the work forked, and this is the child: there is nobody to work for */
        if (is_fresh && mui_team_is_orphan(team))
            return NULL;
        if (!is_fresh &&
            atomic_load_explicit(&team->is_closing, memory_order_acquire) &&
            !mui_queues_have(team))
            return NULL;
        if (!is_fresh && now - since > team->spin_ns)
            is_fresh = mui_idle_rest(team);
        if (!is_fresh && now - since > team->sentinel_ns)
            is_fresh = mui_idle_sleep(team);
        if (is_fresh)
            since = mu_now_ns();
        else if (!thread_yield(t, now))
            thread_pause(team, now - since);
    }
}

static int thread_start(struct mui_thread *t, struct mu_team *team)
{
    size_t stack_bytes = team->stack_bytes;
    int rc;

    t->team = team;
    t->sights = calloc(MUI_MAX_SEATS, sizeof *t->sights);
    t->seat = mui_seat_new(team, true);
    if (!t->sights || !t->seat)
        return -1;
    t->next = t->seat->index + 1;
    if (team->cpus)
        t->near = calloc(team->n_threads - 1, sizeof *t->near);
    if (t->near) {
        t->n_near = team->n_threads - 1;
        mui_cpu_sets_near(team->cpus, t->seat->index, t->n_near, t->near);
    }
    if (stack_bytes == 0)
        stack_bytes = t->seat->mapped_bytes < default_stack_bytes
                          ? t->seat->mapped_bytes
                          : default_stack_bytes;
    do {
        rc = mui_thread_start_stack(&t->thread, "mu-team", thread_main, t,
                                    stack_bytes);
        stack_bytes /= 2;
    } while (rc < 0 && stack_bytes >= least_stack_bytes);
    t->is_started = rc == 0;
    return rc;
}

struct mui_thread *mui_threads_new(uint32_t n)
{
    return calloc(n, sizeof(struct mui_thread));
}

void mui_threads_free(struct mui_thread *threads, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        free(threads[i].near);
        free(threads[i].sights);
    }
    free(threads);
}

void mui_threads_start(struct mu_team *team)
{
    uint32_t n_started = 0;

    while (n_started + 1 < team->n_threads) {
        mui_idle_search(team);
        if (thread_start(&team->threads[n_started], team) < 0) {
            (void)atomic_fetch_sub_explicit(&team->idle, 1,
                                            memory_order_relaxed);
            break;
        }
        n_started++;
    }
    team->n_threads = n_started + 1;
}

void mui_threads_stop(struct mu_team *team)
{
    uint64_t idle;

    /* seq_cst, against the look between announcing and sleeping in idle.c */
    atomic_store_explicit(&team->is_closing, true, memory_order_seq_cst);
    idle = atomic_load_explicit(&team->idle, memory_order_seq_cst);
    while (!atomic_compare_exchange_weak_explicit(
        &team->idle, &idle, mui_pair(mui_low(idle) + mui_high(idle), 0),
        memory_order_seq_cst, memory_order_seq_cst))
        ;
    mui_semaphore_post(&team->wakeups, team->n_threads);
    for (uint32_t i = 0; i < team->n_threads; i++)
        if (team->threads[i].is_started)
            (void)pthread_join(team->threads[i].thread, NULL);
}
