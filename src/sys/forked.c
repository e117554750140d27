/* forked.c: a counter that a fork handler raises in the child, and its locks. */
#include "sys/forked.h"

#include <stdatomic.h>

_Atomic uint32_t mui_n_forks;

static void count_in_child(void)
{
    /* relaxed: the child has one thread */
    atomic_fetch_add_explicit(&mui_n_forks, 1, memory_order_relaxed);
}

uint32_t mui_forked(void)
{
    static _Atomic bool is_heeded;

    mui_forked_heed(&is_heeded, count_in_child);
    return mui_forked_since();
}

void mui_forked_heed(_Atomic bool *is_heeded, void (*in_child)(void))
{
    /* acquire, pairs with the store below: the handler is there */
    if (atomic_load_explicit(is_heeded, memory_order_acquire))
        return;
    (void)pthread_atfork(NULL, NULL, in_child);
    atomic_store_explicit(is_heeded, true, memory_order_release);
}

void mui_forked_renew_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attr;

    (void)pthread_mutexattr_init(&attr);
    (void)pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    (void)pthread_mutex_init(lock, &attr);
    (void)pthread_mutexattr_destroy(&attr);
}
