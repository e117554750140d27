/* groups.h: the control groups of worker processes that there are. */
#ifndef TESTS_CHAOS_GROUPS_H
#define TESTS_CHAOS_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Count those of guardians that are `wanted`. */
size_t groups_count(bool (*wanted)(pid_t guardian));

/* For it: a child of this process. */
bool groups_own(pid_t guardian);

#endif
