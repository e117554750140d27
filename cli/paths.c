/* paths.c: names of files and directories. */
#include "paths.h"

#include <errno.h>
#include <string.h>

const char *paths_extension(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash ? slash : path, '.');

    return dot ? dot : "";
}

int paths_make(struct text *path, mode_t mode)
{
    char *slash = path->data;
    int rc = 0;

    while (slash && rc == 0 && (slash = strchr(slash + 1, '/'))) {
        *slash = '\0';
        if (mkdir(path->data, mode) < 0 && errno != EEXIST)
            rc = -errno;
        *slash = '/';
    }
    return rc;
}
