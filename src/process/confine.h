/* confine.h: a control group for each worker process that has a limit which only the
 * kernel's groups keep: on all the memory that it and its children hold, and on how
 * many they are.
 *
 * Groups are made where this process may make them: below its own group (v1), or
 * below the nearest one above that shares out the controller (v2):
 *
 *     .../muster-<guardian>/<worker>
 *
 * The worker enters its group before its first task. The nursery asks the group of
 * a dead worker what struck and removes it; who ends last of guardian and nursery
 * removes all. What was left when both were killed is removed by the next guardian
 * in the same place. */
#ifndef MUI_PROCESS_CONFINE_H
#define MUI_PROCESS_CONFINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum mui_confine_kind {
    MUI_CONFINE_MEMORY,
    MUI_CONFINE_PROCESSES,
    MUI_N_CONFINE_KINDS
};

/* Whether groups of a kind can be made here. Any process; reads /proc. */
bool mui_confine_is_possible(enum mui_confine_kind kind);

/* Guardian, before it forks: find the places. Its children know them. `root` goes
 * before /proc and every mount point: "", or a tree made by a test. */
void mui_confine_init(const char *root);

/* Worker with one thread: enter a group of its own, in which all may hold so many
 * bytes (0: no limit). 0 or -errno. */
int mui_confine_memory(uint64_t bytes);
/* The same, with a limit on processes that is set later. */
int mui_confine_processes(void);
/* From now on so many more than there are. 0 or -errno. */
int mui_confine_limit_processes(unsigned n_more);
/* Whether that limit has struck since this was asked last. Any thread. */
bool mui_confine_has_struck(void);

/* Nursery: remove the group of a worker that has ended. Returns whether the kernel
 * killed in it for want of memory. */
bool mui_confine_end(pid_t worker);
/* Nursery: remove groups that could not be when their workers ended, since orphans
 * were in them, and those of a nursery before. Returns whether some are left: who was
 * in them has been killed and is not gone yet. */
bool mui_confine_sweep(bool (*is_worker)(pid_t pid));

/* Guardian, nursery, when nothing that descends from them is left: remove all. */
void mui_confine_fini(void);

#endif
