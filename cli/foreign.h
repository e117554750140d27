/* foreign.h: options of GNU parallel and xargs that are not offered, and what does the
 * same here. */
#ifndef CLI_FOREIGN_H
#define CLI_FOREIGN_H

#include <stddef.h>

/* What to do instead; NULL for an option that is nobody's. */
const char *foreign_long(const char *name, size_t length);
const char *foreign_letter(char letter);

#endif
