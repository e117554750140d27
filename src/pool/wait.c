/* wait.c: callers that wait: by running tasks themselves, spinning, sleeping. */
#include <errno.h>
#include <limits.h>
#include <sched.h>

#include "pool/pool.h"
#include "sys/forked.h"
#include "sys/futex.h"

int mui_pool_check(const struct mu_pool *pool)
{
    return mui_forked_since() == pool->forked ? 0 : -EINVAL;
}

void mui_pool_news(struct mu_pool *pool)
{
    /* release: what is new comes before it */
    atomic_fetch_add_explicit(&pool->news, 1, memory_order_release);
    if (pool->layer && pool->layer->ops->kick)
        pool->layer->ops->kick(pool->layer);
    else
        mui_futex_wake(&pool->news, INT_MAX, 0);
}

void mui_pool_tell(struct mu_pool *pool)
{
    pool->n_moves++;
    if (pool->n_waiting)
        mui_pool_news(pool);
}

void mu_pool_interrupt(struct mu_pool *pool)
{
    if (mui_pool_check(pool) < 0)
        return; /* whom it would wake is our parent */
    /* release: as above; signal-safe, and so are the wake-ups */
    atomic_store_explicit(&pool->interrupted, 1, memory_order_release);
    mui_pool_news(pool);
}

bool mui_pool_take_interrupt(struct mu_pool *pool)
{
    /* relaxed first: nearly always 0 */
    return atomic_load_explicit(&pool->interrupted, memory_order_relaxed) &&
           atomic_exchange_explicit(&pool->interrupted, 0,
                                    memory_order_acquire);
}

/* The same, for a look. */
static bool is_interrupted(const struct mu_pool *pool)
{
    /* relaxed: who is, takes it with acquire */
    return atomic_load_explicit(&pool->interrupted, memory_order_relaxed);
}

/* What comes around a task (the caller's turn, handing over, the lock) costs as much
 * as some very short ones: so many of those are run as this time holds. */
enum { RUN_NS = 50 * 1000, RUN_MAX = 256 };

static int how_many_to_run(const struct mu_pool *pool)
{
    int64_t n = pool->run_ns > 0 ? RUN_NS / pool->run_ns : 1;

    if (n > RUN_MAX)
        n = RUN_MAX;
    return n > 1 ? (int)n : 1;
}

/* Run a task on this thread, or several that are short, where the model works so.
 * Returns whether one ran. Lock held, and let go meanwhile. */
static bool run_some(struct mu_pool *pool)
{
    int n;

    if (!(pool->layer->ops->caps & MUI_LAYER_PUMPED) || pool->pumping)
        return false;
    n = how_many_to_run(pool);
    pool->pumping = true;
    (void)pthread_mutex_unlock(&pool->lock);
    n = pool->layer->ops->pump(pool->layer, n);
    (void)pthread_mutex_lock(&pool->lock);
    pool->pumping = false;
    if (pool->n_waiting)
        mui_pool_news(pool);
    return n > 0;
}

/* Whether some worker is at what it was given: none is while those that were given
 * something wake up. */
static bool any_started(const struct mu_pool *pool)
{
    for (unsigned i = 0; i < pool->n_groups; i++) {
        const struct mui_group *group = &pool->groups[i];

        for (unsigned j = 0; group->lanes && j < group->n_lanes; j++)
            if (mui_lane_started(&group->lanes[j], NULL) !=
                group->lanes[j].head)
                return true;
    }
    return false;
}

bool mui_pool_look(struct mu_pool *pool)
{
    return pool->layer->ops->look && pool->layer->ops->look(pool->layer);
}

/* Spin for the time that a wake-up would cost, if a CPU can be spared for it; longer
 * while workers wake up themselves, for the wait has not begun. Others may move
 * things meanwhile: look at n_moves afterwards. */
static void spin_until(struct mu_pool *pool, int64_t deadline, uint64_t n_moves)
{
    enum {
        WAKING = 3, /* times spin_ns, at the most */
        PATIENT = 16
    };
    int64_t now = mu_now_ns();
    int64_t last = now + WAKING * (int64_t)pool->terms.spin_ns;
    bool started = false;
    int64_t end = last;

    do {
        for (int i = 0; i < 64; i++) {
            bool moved =
                i < PATIENT ? mui_pool_pump_waiting(pool) : mui_pool_pump(pool);

            if (moved || mui_pool_look(pool))
                return;
            mui_cpu_pause();
        }
        /* not sooner: it takes a line from a worker who is at work */
        started = started || any_started(pool);
        /* others wait for the lock: a layer's thread, other callers */
        (void)pthread_mutex_unlock(&pool->lock);
        if (!started)
            /* whom we woke may have been put on this CPU: a virtual one that is idle
             * can look taken to the scheduler, and ours the only one */
            (void)sched_yield();
        (void)pthread_mutex_lock(&pool->lock);
        now = mu_now_ns();
        if (started && end == last && now + pool->terms.spin_ns < last)
            end = now + pool->terms.spin_ns;
    } while (pool->n_moves == n_moves && now < end && now < deadline);
}

/* Whether a wait is likely to end before a wake-up would. Tasks may be long and the
 * waits for them short, when the caller is nearly as long at something else; but then
 * who spins must not take the CPU of a worker. */
static bool is_worth_spinning(const struct mu_pool *pool)
{
    if (pool->run_ns <= pool->terms.spin_ns)
        return pool->terms.spin_ns > 0;
    return pool->has_spare_cpu && pool->wait_ns <= pool->terms.spin_ns;
}

/* Learn from a wait that is over when it could have been, had waking taken no time. */
static void learn_wait(struct mu_pool *pool, int64_t begin_ns)
{
    int64_t now = mu_now_ns();
    /* a worker's word: within what is possible */
    int64_t end_ns = pool->end_ns < now ? pool->end_ns : now;
    int64_t wait_ns = end_ns > begin_ns ? end_ns - begin_ns : 0;

    pool->wait_ns += (wait_ns - pool->wait_ns) / 4;
}

static void sleep_for_news(struct mu_pool *pool, int64_t deadline)
{
    /* acquire: pairs with mui_pool_news() */
    uint32_t seen = atomic_load_explicit(&pool->news, memory_order_acquire);

    pool->n_waiting++;
    mui_pool_want_news(pool);
    /* Looked for behind the acquire above: an interrupt that came before it would not
     * change `news` again. */
    if (is_interrupted(pool)) {
        pool->n_waiting--;
        return;
    }
    if (!mui_pool_pump(pool) && !mui_pool_see_off(pool) &&
        !mui_pool_doubt(pool)) {
        if (pool->look_ns < deadline)
            deadline = pool->look_ns;
        if (pool->doubt_ns < deadline)
            deadline = pool->doubt_ns;
        (void)pthread_mutex_unlock(&pool->lock);
        if (pool->layer->ops->sleep)
            pool->layer->ops->sleep(pool->layer, deadline);
        else
            (void)mui_futex_wait(&pool->news, seen, 0, deadline);
        (void)pthread_mutex_lock(&pool->lock);
        (void)mui_pool_pump(pool);
    }
    pool->n_waiting--;
    /* what rang for us used up the wish of others who sleep, too: see mui_pool_rung() */
    if (pool->n_waiting)
        do
            mui_pool_want_news(pool);
        while (mui_pool_pump(pool));
}

static bool is_over(int64_t deadline)
{
    return deadline != MU_NEVER &&
           (deadline == MU_NOW || deadline <= mu_now_ns());
}

int mui_pool_progress(struct mu_pool *pool, int64_t deadline)
{
    uint64_t n_moves = pool->n_moves;
    int64_t begin_ns;
    bool moved;

    if (pool->closing)
        return MU_CLOSED;
    moved = mui_pool_look(pool) || mui_pool_pump_waiting(pool);
    /* before a task is run here, which may be as long as any wait. Who does not wait leaves
     * it to who does */
    if (is_interrupted(pool) && !is_over(deadline) &&
        mui_pool_take_interrupt(pool))
        return -EINTR;
    if (run_some(pool)) {
        (void)mui_pool_pump(pool);
        moved = true;
    }
    if (is_over(deadline)) {
        (void)mui_pool_pump(pool);
        (void)mui_pool_doubt(pool);
        return MU_TIMEOUT;
    }
    if (moved)
        return 0;
    /* the clock takes long beside a short task */
    begin_ns = pool->run_ns > pool->terms.spin_ns ? mu_now_ns() : 0;
    if (is_worth_spinning(pool))
        spin_until(pool, deadline, n_moves);
    if (pool->n_moves == n_moves)
        sleep_for_news(pool, deadline);
    if (pool->n_moves != n_moves && begin_ns)
        learn_wait(pool, begin_ns);
    return mui_pool_take_interrupt(pool) ? -EINTR : 0;
}
