/* memory.c: the memory this process may use. */
#include "sys/memory.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sys/cgroup_walk.h"

static void lower(uint64_t *bytes, uint64_t limit)
{
    if (limit < *bytes)
        *bytes = limit;
}

/* Lower it to what a file of the directory says, unless that is "max", or not there. */
static void lower_to_file(uint64_t *bytes, const struct mui_cgroup *cgroup,
                          const char *file)
{
    char text[64];
    char *end;
    uint64_t limit;

    if (mui_cgroup_read(cgroup, file, text, sizeof text) < 0)
        return;
    limit = strtoull(text, &end, 10);
    if (end != text)
        lower(bytes, limit);
}

static void lower_by_limits(const struct mui_cgroup *cgroup, void *ctx)
{
    if (cgroup->version == 1) {
        lower_to_file(ctx, cgroup, "memory.limit_in_bytes");
    } else {
        lower_to_file(ctx, cgroup, "memory.max");
        lower_to_file(ctx, cgroup, "memory.high");
    }
}

uint64_t mui_memory_by_groups(const char *root, uint64_t n_bytes)
{
    mui_cgroup_walk(root, "memory", lower_by_limits, &n_bytes);
    return n_bytes;
}

uint64_t mui_memory_usable(void)
{
    static const int own[] = {RLIMIT_AS, RLIMIT_DATA};
    long n_pages = sysconf(_SC_PHYS_PAGES);
    uint64_t bytes =
        mui_memory_by_groups("", (uint64_t)(n_pages > 0 ? n_pages : 1) *
                                     (uint64_t)sysconf(_SC_PAGESIZE));

    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        struct rlimit limit;

        if (getrlimit((__rlimit_resource_t)own[i], &limit) == 0 &&
            limit.rlim_cur != RLIM_INFINITY)
            lower(&bytes, limit.rlim_cur);
    }
    return bytes;
}
