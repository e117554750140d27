/* thread.h: threads of the library's own. */
#ifndef MUI_SYS_THREAD_H
#define MUI_SYS_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Start a thread named `name` that takes no asynchronous signal: those of the host
 * go on to the host's threads. Faults (SIGSEGV, ...) are not blocked. It has an
 * alternate signal stack, so that a handler can run after a stack overflow. The
 * caller's signal mask is as before when this returns. 0 or -errno. */
int mui_thread_start(pthread_t *ret_thread, const char *name,
                     void *(*body)(void *), void *arg);

/* The same with a C stack of stack_bytes; 0: as long as the system gives. */
int mui_thread_start_stack(pthread_t *ret_thread, const char *name,
                           void *(*body)(void *), void *arg,
                           size_t stack_bytes);

/* Give the calling thread an alternate signal stack, unless it has one; the same again
 * when it was switched off. Its memory lives as long as the thread; mui_thread_start()
 * calls it. 0 or -errno. */
int mui_thread_altstack(void);

/* A word that is 0 when the calling thread has ended, in whatever way: the kernel writes
 * it, and wakes one that sleeps on it as on a shared futex. Lent until the thread is
 * joined. NULL: this kernel does not say where. */
const _Atomic uint32_t *mui_thread_end_word(void);

/* How many CPUs the calling thread may use, or -errno. */
int mui_thread_cpus(void);

/* Bind the calling thread to the i-th of the CPUs that it may use, counted round.
 * 0 or -errno. */
int mui_thread_pin(unsigned i_cpu);
/* The same for another thread, or the first thread of a process; counted of the CPUs
 * that the caller may use. */
int mui_thread_pin_thread(pthread_t thread, unsigned i_cpu);
int mui_thread_pin_process(int pid, unsigned i_cpu);

#endif
