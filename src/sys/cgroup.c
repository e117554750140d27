/* cgroup.c: find and read control groups. See cgroups(7), proc(5) on mountinfo. */
#include "sys/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whether a comma-separated list holds a word. */
static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, length) == 0 &&
            (at[length] == ',' || at[length] == '\0' || at[length] == '\n'))
            return true;
    }
    return false;
}

/* A line of /proc/self/cgroup: "4:cpu,cpuacct:/user" or "0::/user". Its path,
 * newline cut, or NULL when it is not the one asked for. */
static char *own_path(char *line, const char *controller, int version)
{
    char *list = strchr(line, ':');
    char *path = list ? strchr(list + 1, ':') : NULL;

    if (!path)
        return NULL;
    *path++ = '\0';
    list++;
    path[strcspn(path, "\n")] = '\0';
    if (version == 2)
        return *list == '\0' ? path : NULL;
    return has_word(list, controller) ? path : NULL;
}

/* A line of /proc/self/mountinfo: "36 35 98:0 ROOT POINT opts ... - TYPE dev
 * SUPER". */
static bool is_mount(char *line, const char *controller, int version,
                     char **ret_root, char **ret_point)
{
    char *tail = strstr(line, " - ");
    char *words[5] = {NULL};
    char *rest = line;
    char type[32];
    char super[1024];

    if (!tail || sscanf(tail, " - %31s %*s %1023s", type, super) != 2)
        return false;
    if (strcmp(type, version == 2 ? "cgroup2" : "cgroup") != 0)
        return false;
    if (version == 1 && !has_word(super, controller))
        return false;
    for (int i = 0; i < 5; i++)
        words[i] = strsep(&rest, " ");
    if (!words[4])
        return false;
    *ret_root = words[3];
    *ret_point = words[4];
    return true;
}

/* The part of our path below the root of the mount: a container may see only a
 * subtree of the hierarchy. */
static const char *below_root(const char *path, const char *root)
{
    size_t length = strlen(root);

    if (strcmp(root, "/") == 0)
        return path;
    if (strncmp(path, root, length) == 0 &&
        (path[length] == '/' || path[length] == '\0'))
        return path + length;
    return "";
}

static FILE *open_below(const char *root, const char *path)
{
    char name[MUI_CGROUP_PATH];

    if (snprintf(name, sizeof name, "%s%s", root, path) >= (int)sizeof name)
        return NULL;
    return fopen(name, "re");
}

static int find_path(const char *root, const char *controller, int version,
                     char path[MUI_CGROUP_PATH])
{
    FILE *file = open_below(root, "/proc/thread-self/cgroup");
    char *line = NULL;
    size_t size = 0;
    int rc = -ENOENT;

    if (!file)
        return -ENOENT;
    while (rc < 0 && getline(&line, &size, file) > 0) {
        const char *own = own_path(line, controller, version);

        if (own && strlen(own) < MUI_CGROUP_PATH) {
            strcpy(path, own);
            rc = 0;
        }
    }
    free(line);
    (void)fclose(file);
    return rc;
}

int mui_cgroup_find(const char *root, const char *controller, int version,
                    struct mui_cgroup *ret_cgroup)
{
    char path[MUI_CGROUP_PATH];
    FILE *file;
    char *line = NULL;
    size_t size = 0;
    int rc = find_path(root, controller, version, path);

    if (rc < 0)
        return rc;
    rc = -ENOENT;
    file = open_below(root, "/proc/thread-self/mountinfo");
    if (!file)
        return -ENOENT;
    while (rc < 0 && getline(&line, &size, file) > 0) {
        char *mount_root;
        char *point;
        const char *below;
        int length;

        if (!is_mount(line, controller, version, &mount_root, &point))
            continue;
        below = below_root(path, mount_root);
        length = snprintf(ret_cgroup->dir, sizeof ret_cgroup->dir, "%s%s%s",
                          root, point, strcmp(below, "/") == 0 ? "" : below);
        if (length < 0 || (size_t)length >= sizeof ret_cgroup->dir)
            continue;
        ret_cgroup->version = version;
        ret_cgroup->mount_length = strlen(root) + strlen(point);
        rc = 0;
    }
    free(line);
    (void)fclose(file);
    return rc;
}

int mui_cgroup_up(struct mui_cgroup *cgroup)
{
    char *slash = strrchr(cgroup->dir, '/');

    if (!slash || strlen(cgroup->dir) <= cgroup->mount_length)
        return -ENOENT;
    *slash = '\0';
    return 0;
}

int mui_cgroup_read(const struct mui_cgroup *cgroup, const char *file,
                    char *text, size_t size)
{
    char name[MUI_CGROUP_PATH + 64];
    ssize_t length;
    int fd;
    int rc;

    if (snprintf(name, sizeof name, "%s/%s", cgroup->dir, file) >=
        (int)sizeof name)
        return -ENAMETOOLONG;
    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    length = read(fd, text, size - 1);
    rc = length < 0 ? -errno : 0;
    (void)close(fd);
    if (rc < 0)
        return rc;
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return 0;
}
