/* cgroup_walk.h: every directory that limits this process. */
#ifndef MUI_SYS_CGROUP_WALK_H
#define MUI_SYS_CGROUP_WALK_H

#include "sys/cgroup.h"

typedef void (*mui_cgroup_see_fn)(const struct mui_cgroup *cgroup, void *ctx);

/* Call see() for each directory on the way from this process's control group up to the
 * root, in the hierarchy that has `controller`: one of v1, or else that of v2, since no
 * controller is in two (cgroups(7)). `root` as in mui_cgroup_find(). */
void mui_cgroup_walk(const char *root, const char *controller,
                     mui_cgroup_see_fn see, void *ctx);

#endif
