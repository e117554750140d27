/* wanted.h: what a C file says of how it is to be built, in a comment:
 *
 *     muster: pkg-config=libcrypto link=-lm cflags="-O3 -Wall"
 *
 * right behind the beginning of a comment of either kind. */
#ifndef CLI_WANTED_H
#define CLI_WANTED_H

#include <stddef.h>

#include "text.h"

/* Words separated by blanks; each may have been given several times. */
struct wanted {
    struct text pkg_config; /* packages of pkg-config */
    struct text link;       /* words for the end of the compiler's command */
    struct text cflags;     /* words for its beginning */
};

/* Read the comments in `source`.
 * path      for messages
 * Returns   0, or -1 after saying which word is unknown; wanted_fini() either way */
int wanted_read(const char *path, const char *source, size_t size,
                struct wanted *ret_wanted);
void wanted_fini(struct wanted *w);

#endif
