/* cpus.h: how many CPUs the control groups leave to this process. */
#ifndef MUI_SYS_CPUS_H
#define MUI_SYS_CPUS_H

/* The least of `n_cpus` and every CPU quota on the way from this process's control
 * group up to the root, v1 and v2, rounded up, at least 1. `root` as in
 * mui_cgroup_find(). */
unsigned mui_cpus_by_quota(const char *root, unsigned n_cpus);

#endif
