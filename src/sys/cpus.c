/* cpus.c: the CPUs this process may use. */
#include "sys/cpus.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "muster/pool.h"

#include "sys/cgroup_walk.h"

/* The quota of one directory, microseconds of CPU in each period. False: none. */
static bool read_quota(const struct mui_cgroup *cgroup, long long *ret_quota,
                       long long *ret_period)
{
    char text[128];
    char *end;

    if (cgroup->version == 2) {
        /* "max 100000" or "150000 100000" */
        if (mui_cgroup_read(cgroup, "cpu.max", text, sizeof text) < 0)
            return false;
        *ret_quota = strtoll(text, &end, 10);
        *ret_period = strtoll(end, NULL, 10);
    } else {
        if (mui_cgroup_read(cgroup, "cpu.cfs_quota_us", text, sizeof text) < 0)
            return false;
        *ret_quota = strtoll(text, NULL, 10); /* -1: none */
        if (mui_cgroup_read(cgroup, "cpu.cfs_period_us", text, sizeof text) < 0)
            return false;
        *ret_period = strtoll(text, NULL, 10);
    }
    return *ret_quota > 0 && *ret_period > 0;
}

static void lower_by_quota(const struct mui_cgroup *cgroup, void *ctx)
{
    unsigned *n_cpus = ctx;
    long long quota;
    long long period;

    if (read_quota(cgroup, &quota, &period) &&
        (quota - 1) / period + 1 < *n_cpus)
        *n_cpus = (unsigned)((quota - 1) / period + 1);
}

unsigned mui_cpus_by_quota(const char *root, unsigned n_cpus)
{
    mui_cgroup_walk(root, "cpu", lower_by_quota, &n_cpus);
    return n_cpus > 0 ? n_cpus : 1;
}

/* CPUs of the affinity mask. */
static unsigned affine_cpus(void)
{
    enum { N_MAX = 1 << 20 };

    for (size_t n = 1024; n <= N_MAX; n *= 2) {
        size_t size = CPU_ALLOC_SIZE(n);
        cpu_set_t *set = CPU_ALLOC(n);
        int rc;
        int count;

        if (!set)
            break;
        rc = sched_getaffinity(0, size, set) < 0 ? -errno : 0;
        count = rc == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0)
            return (unsigned)count;
        if (rc != -EINVAL) /* EINVAL: the kernel's mask is longer */
            break;
    }
    return 1;
}

unsigned mu_usable_cpus(void)
{
    return mui_cpus_by_quota("", affine_cpus());
}
