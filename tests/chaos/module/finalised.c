/* finalised.c: a library that knows nothing of muster, and is finalised after it. It calls the
 * program back at its end, or all the time from a thread, for which it waits then. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define PUBLIC __attribute__((visibility("default")))

PUBLIC void finalised_call_at_end(void (*fn)(void));
PUBLIC int finalised_call_until_end(void (*fn)(void));

static void (*at_end)(void);
static void (*until_end)(void);
static pthread_t thread;
static _Atomic bool is_ending;
static _Atomic unsigned n_calls; /* that have returned */

void finalised_call_at_end(void (*fn)(void))
{
    at_end = fn;
}

static void *call(void *arg)
{
    while (!atomic_load(&is_ending)) {
        until_end();
        atomic_fetch_add(&n_calls, 1);
    }
    return arg;
}

int finalised_call_until_end(void (*fn)(void))
{
    until_end = fn;
    return pthread_create(&thread, NULL, call, NULL);
}

/* One call that begins now, too, is waited for. */
__attribute__((destructor)) static void finalise(void)
{
    const unsigned n = atomic_load(&n_calls);

    if (at_end)
        at_end();
    if (!until_end)
        return;
    while (atomic_load(&n_calls) - n < 2)
        (void)sched_yield();
    atomic_store(&is_ending, true);
    (void)pthread_join(thread, NULL);
}
