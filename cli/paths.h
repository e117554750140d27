/* paths.h: names of files and directories. */
#ifndef CLI_PATHS_H
#define CLI_PATHS_H

#include <sys/stat.h>

#include "text.h"

/* The end of a name from its last dot on; "" when it has none. */
const char *paths_extension(const char *path);

/* Make the directories that lead to the last slash of `path`, which is unchanged
 * afterwards. Returns 0 or -errno. */
int paths_make(struct text *path, mode_t mode);

#endif
