/* groups.c: see groups.h. */
#include "chaos/groups.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sys/cgroup.h"

static size_t count_below(const char *dir, bool (*wanted)(pid_t guardian))
{
    char pattern[MUI_CGROUP_PATH + 16];
    glob_t found = {.gl_pathc = 0};
    size_t n = 0;

    (void)snprintf(pattern, sizeof pattern, "%s/muster-*", dir);
    if (glob(pattern, GLOB_ONLYDIR, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            n += wanted(
                (pid_t)strtol(strrchr(found.gl_pathv[i], '-') + 1, NULL, 10));
    globfree(&found);
    return n;
}

size_t groups_count(bool (*wanted)(pid_t guardian))
{
    static const char *const controllers[] = {"memory", "pids"};
    struct mui_cgroup group;
    size_t n = 0;

    for (int i = 0; i < 2; i++) {
        if (mui_cgroup_find("", controllers[i], 1, &group) == 0)
            n += count_below(group.dir, wanted);
        if (mui_cgroup_find("", controllers[i], 2, &group) != 0)
            continue;
        do
            n += count_below(group.dir, wanted);
        while (mui_cgroup_up(&group) == 0);
    }
    return n;
}

bool groups_own(pid_t guardian)
{
    char path[64];
    char line[256];
    FILE *status;
    pid_t parent = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)guardian);
    status = fopen(path, "re");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "PPid:", 5) == 0)
            parent = (pid_t)strtol(line + 5, NULL, 10);
    if (status)
        (void)fclose(status);
    return parent == getpid();
}
