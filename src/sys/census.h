/* census.h: who belongs to this process: its threads and its children. */
#ifndef MUI_SYS_CENSUS_H
#define MUI_SYS_CENSUS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Threads of this process that are not a sanitizer's and have not ended: not one that was
 * joined. Without /proc 2 stands for any number above 1, and who was joined may count for a
 * moment. */
unsigned mui_census_threads(void);

/* Whether there are more than `n` of them; cheap where there are not. */
bool mui_census_has_threads_beyond(unsigned n);

/* Descriptors that this process has open; 0: the kernel does not tell (before 6.2). */
unsigned mui_census_files(void);

/* Whether it has a child, running or not waited for. Waits for none. */
bool mui_census_has_children(void);

/* Whether a child, or a thread beyond the `n_own` that belong here, was there before
 * `then_ns` (as mu_now_ns()). The kernel tells to 10 ms: who came within so much of it
 * does not count. True also where it does not tell. */
bool mui_census_has_older(unsigned n_own, int64_t then_ns);

/* A number that grows with each child that was waited for. */
uint64_t mui_census_waited(void);

/* Call `each` with every child there is. 0, or -errno where /proc does not tell: there is
 * none, or that of a PID namespace above ours. */
int mui_census_children(void (*each)(void *ctx, pid_t child), void *ctx);

/* The same without /proc: a child is who can be waited for. A second or so. */
void mui_census_try_children(void (*each)(void *ctx, pid_t child), void *ctx);

/* The children of another process, up to `n_max` of them; none where the kernel does
 * not tell. Returns how many. */
unsigned mui_census_children_of(pid_t pid, pid_t *ret_pids, unsigned n_max);

/* CPU time of a process, as RLIMIT_CPU counts it, also when it has ended and nobody has waited
 * for it yet; 0: it has gone. */
int64_t mui_census_cpu_ns(pid_t pid);

/* How a process ended that nobody has waited for yet, as waitpid() tells it; 0 where the kernel
 * does not say, and -1: it has gone. */
int mui_census_end_status(pid_t pid);

/* Whether none of its threads can run any more, though the process may not have ended: who
 * traces one of them can keep its end to himself. `was_killed`: it was sent SIGKILL, so that
 * who is stopped by a tracer is stopped at his end. False where nobody can tell. */
bool mui_census_is_over(pid_t pid, bool was_killed);

/* The parent of a process; -1: it has gone. */
pid_t mui_census_parent(pid_t pid);

/* The process of a thread; -1: it has gone. */
pid_t mui_census_process_of(pid_t thread);

/* Whether the kernel writes a core file of another process right now. */
bool mui_census_dumps_core(pid_t pid);

#endif
