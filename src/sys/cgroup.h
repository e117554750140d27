/* cgroup.h: where this process stands in the control groups, v1 or v2. */
#ifndef MUI_SYS_CGROUP_H
#define MUI_SYS_CGROUP_H

#include <stddef.h>

enum { MUI_CGROUP_PATH = 4096 };

/* A directory of a hierarchy; those above it, up to and with its mount point,
 * limit it too. */
struct mui_cgroup {
    int version;         /* 1 or 2 */
    size_t mount_length; /* of the mount point's part of `dir` */
    char dir[MUI_CGROUP_PATH];
};

/* The directory of this process in the hierarchy of `version` (of v1, the one
 * with `controller`). `root` goes before /proc and every mount point: "", or a
 * tree made by a test. 0, or -ENOENT when there is no such hierarchy. */
int mui_cgroup_find(const char *root, const char *controller, int version,
                    struct mui_cgroup *ret_cgroup);

/* Go one directory up. 0, or -ENOENT at the mount point. */
int mui_cgroup_up(struct mui_cgroup *cgroup);

/* Read a file of the directory as text, its newline cut.
 * 0; -errno; -ENAMETOOLONG */
int mui_cgroup_read(const struct mui_cgroup *cgroup, const char *file,
                    char *text, size_t size);

#endif
