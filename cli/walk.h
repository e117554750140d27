/* walk.h: the regular files at or below a path, in the order of their names, so
 * that the same tree gives the same sequence again (--resume counts on it).
 * Symbolic links below the path are not followed. */
#ifndef CLI_WALK_H
#define CLI_WALK_H

#include <stdint.h>

struct walk;

/* Begin at a file or a directory. 0 and *ret_walk given, or -errno. */
int walk_open(const char *path, struct walk **ret_walk);
void walk_free(struct walk *w); /* accepts NULL */

/* From here on, tell nobody of what cannot be read. */
void walk_hush(struct walk *w);

/* The next file: its path, lent until the next call; NULL at the end. What cannot
 * be read on the way is told and left out, and counted in walk_n_unread(). */
const char *walk_next(struct walk *w);
unsigned walk_n_unread(const struct walk *w);

/* How many files a walk from here would give. Says nothing. */
uint64_t walk_count(const char *path);

#endif
