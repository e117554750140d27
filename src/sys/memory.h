/* memory.h: how much memory this process may use. */
#ifndef MUI_SYS_MEMORY_H
#define MUI_SYS_MEMORY_H

#include <stdint.h>

/* The least of `n_bytes` and every limit on memory on the way from this process's control
 * group up to the root, v1 and v2. `root` as in mui_cgroup_find(). */
uint64_t mui_memory_by_groups(const char *root, uint64_t n_bytes);

/* The same of the machine's memory and of this process's own limits on address space and
 * data. Takes some 0.2 ms. */
uint64_t mui_memory_usable(void);

#endif
