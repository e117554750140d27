/* forked.h: tell a process from its children by fork(), without a system call. */
#ifndef MUI_SYS_FORKED_H
#define MUI_SYS_FORKED_H

#include <stdatomic.h>
#include <stdint.h>

/* Counts the fork() calls between the program's start and this process, as far as
 * they came after the first call of this function. Keep it with an object and
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

#endif
