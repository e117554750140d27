/* wakeup.c: what wakes the main thread while it waits. The state is global
 * because a signal handler can reach nothing else.
 *
 *       handler or reader                main thread
 *   R1  add to n_signals (release) ---> A1  load n_signals (acquire)
 *
 *   H1  add to n_ringing, then load     H1  store pool, then load n_ringing
 *       pool (both seq_cst)                 until it is 0 (both seq_cst)
 * Of the two sides of H1 at least one sees the other (Dekker): a ringer finds the
 * new pool, or the main thread waits until it has left the old one. A ringer leaves
 * with a release (R3), which the main thread's load acquires. The semaphore and
 * mu_pool_interrupt() order the rest. */
#include "wakeup.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

#include "muster/pool.h"

#define NS_PER_S INT64_C(1000000000)

static sem_t rings;
static void (*second_hook)(void); /* set before the handlers */
static _Atomic int n_signals;
static _Atomic int n_ringing;
static _Atomic(struct mu_pool *) waited_pool;

void wakeup_ring(void)
{
    int saved_errno = errno;
    struct mu_pool *pool;

    (void)sem_post(&rings);
    /* H1, the ringer's side; see wakeup_set_pool() */
    (void)atomic_fetch_add_explicit(&n_ringing, 1, memory_order_seq_cst);
    pool = atomic_load_explicit(&waited_pool, memory_order_seq_cst);
    if (pool)
        mu_pool_interrupt(pool);
    /* R3, pairs with the load in wakeup_set_pool() */
    (void)atomic_fetch_sub_explicit(&n_ringing, 1, memory_order_release);
    errno = saved_errno;
}

static void on_signal(int signal)
{
    static const struct sigaction by_default = {.sa_handler = SIG_DFL};
    /* R1, pairs with A1 in wakeup_n_signals() */
    int n = atomic_fetch_add_explicit(&n_signals, 1, memory_order_release) + 1;

    /* the third comes from somebody who has waited long enough */
    if (n > 2 && sigaction(signal, &by_default, NULL) == 0)
        (void)raise(signal);
    if (n == 2)
        second_hook();
    wakeup_ring();
}

void wakeup_init(void)
{
    /* A first wait, that ends at once: the thread sanitizer keeps signals in what it
     * allocates for a thread's first wait, and loses one that comes meanwhile. */
    (void)sem_init(&rings, 0, 1);
    (void)sem_wait(&rings);
}

void wakeup_catch_signals(void (*on_second)(void))
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    second_hook = on_second;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

int wakeup_is_ignored(int signal)
{
    struct sigaction action;

    return sigaction(signal, NULL, &action) == 0 &&
           action.sa_handler == SIG_IGN;
}

int wakeup_n_signals(void)
{
    /* A1, pairs with R1 in on_signal() */
    return atomic_load_explicit(&n_signals, memory_order_acquire);
}

void wakeup_set_pool(struct mu_pool *pool)
{
    /* H1, the main thread's side; see wakeup_ring() */
    atomic_store_explicit(&waited_pool, pool, memory_order_seq_cst);
    while (atomic_load_explicit(&n_ringing, memory_order_seq_cst) > 0)
        (void)sched_yield();
}

static void forget_rings(void)
{
    /* one look is enough for all the rings that came */
    while (sem_trywait(&rings) == 0)
        ;
}

void wakeup_wait(void)
{
    while (sem_wait(&rings) < 0 && errno == EINTR)
        ;
    forget_rings();
}

/* Wait for a ring until `deadline`, or for a second, for the clock of the wall may be
 * set meanwhile. In sem_clockwait() the thread sanitizer would hold signals back.
 * Returns 0 when it rang. */
static int wait_a_second(int64_t deadline)
{
    int64_t ns = deadline - mu_now_ns();
    struct timespec until;
    int rc;

    ns = ns < 0 ? 0 : ns > NS_PER_S ? NS_PER_S : ns;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    ns += until.tv_nsec;
    until.tv_sec += (time_t)(ns / NS_PER_S);
    until.tv_nsec = (long)(ns % NS_PER_S);
    do
        rc = sem_timedwait(&rings, &until);
    while (rc < 0 && errno == EINTR);
    return rc;
}

void wakeup_wait_until(int64_t deadline)
{
    while (wait_a_second(deadline) < 0 && mu_now_ns() < deadline)
        ;
    forget_rings();
}
