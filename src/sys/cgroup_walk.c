/* cgroup_walk.c: from this process's control group up to the root. */
#include "sys/cgroup_walk.h"

void mui_cgroup_walk(const char *root, const char *controller,
                     mui_cgroup_see_fn see, void *ctx)
{
    struct mui_cgroup cgroup;

    for (int version = 1; version <= 2; version++) {
        if (mui_cgroup_find(root, controller, version, &cgroup) < 0)
            continue;
        do
            see(&cgroup, ctx);
        while (mui_cgroup_up(&cgroup) == 0);
    }
}
