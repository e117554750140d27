/* cgroup_walk.c: from this process's control group up to the root. */
#include "sys/cgroup_walk.h"

void mui_cgroup_walk(const char *root, const char *controller,
                     mui_cgroup_see_fn see, void *ctx)
{
    struct mui_cgroup cgroup;

    if (mui_cgroup_find(root, controller, 1, &cgroup) < 0 &&
        mui_cgroup_find(root, controller, 2, &cgroup) < 0)
        return;
    do
        see(&cgroup, ctx);
    while (mui_cgroup_up(&cgroup) == 0);
}
