/* forked.c: a counter that a fork handler raises in the child, and its locks. */
#include "sys/forked.h"

#include <stdatomic.h>

_Atomic uint32_t mui_n_forks;

static void in_child(void)
{
    /* relaxed: the child has one thread */
    atomic_fetch_add_explicit(&mui_n_forks, 1, memory_order_relaxed);
}

static void install(void)
{
    (void)pthread_atfork(NULL, NULL, in_child);
}

uint32_t mui_forked(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, install);
    return mui_forked_since();
}

void mui_forked_renew_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attr;

    (void)pthread_mutexattr_init(&attr);
    (void)pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    (void)pthread_mutex_init(lock, &attr);
    (void)pthread_mutexattr_destroy(&attr);
}
