/* forked.h: tell a process from its children by fork(), without a system call; and what
 * a child has to make anew. */
#ifndef MUI_SYS_FORKED_H
#define MUI_SYS_FORKED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Rises with each fork() between the program's start and this process, as far as
 * it came after the first call of this function. Keep it with an object and
 * compare: another value means that this is a child. Thread-safe. */
uint32_t mui_forked(void);

/* Raised by the handler that the first call of mui_forked() installs. */
extern _Atomic uint32_t mui_n_forks;

/* The same after the first call: one load. */
static inline uint32_t mui_forked_since(void)
{
    /* relaxed: it changes only where there is one thread */
    return atomic_load_explicit(&mui_n_forks, memory_order_relaxed);
}

/* From now on in_child() is called in each child, as by pthread_atfork(). `is_heeded`, static
 * and false at first, tells later calls that it is so. Thread-safe: of threads that come
 * first together each may add it, so it has to bear being called twice. */
void mui_forked_heed(_Atomic bool *is_heeded, void (*in_child)(void));

/* In a child, by such a handler: a lock that its parent may have held is free, and
 * recursive. To unlock it is its owner's, which is a thread that is not here, or has
 * another number. What the lock protects may be half written: say beside the handler what
 * the child may rely on. */
void mui_forked_renew_lock(pthread_mutex_t *lock);

#endif
