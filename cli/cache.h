/* cache.h: the directory where compiled files are kept. */
#ifndef CLI_CACHE_H
#define CLI_CACHE_H

#include "text.h"

/* Append its name, with a slash at the end; it is made when it is missing.
 * Returns   0, or -1 after saying why there is none */
int cache_directory(struct text *ret_path);

/* Note that a file in it is of use. */
void cache_touch(const char *path);

/* Remove from it what was of no use for CACHE_DAYS. */
enum { CACHE_DAYS = 30 };
void cache_trim(const char *directory);

#endif
