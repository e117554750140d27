/* descent.h: every process that descends from this one, also those in sessions of
 * their own: each carries a mark of ours in its environment. */
#ifndef TESTS_CHAOS_DESCENT_H
#define TESTS_CHAOS_DESCENT_H

#include <stddef.h>
#include <sys/types.h>

/* Mark this process and all that come from it. First in main(). */
void descent_mark(char **argv);

/* Count processes with the mark of `origin` (0: our own), this one left out.
 * pids [n_max], optional. */
size_t descent_count(pid_t origin, pid_t *pids, size_t n_max);

#endif
