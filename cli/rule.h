/* rule.h: the rule that a compiler writes for make (-MMD): what a file was made of. */
#ifndef CLI_RULE_H
#define CLI_RULE_H

#include <stddef.h>

#include "text.h"

/* Call `visit` for each name behind the first colon, without the escapes of make, until
 * it returns non-zero.
 * Returns   that, or 0 */
int rule_each(const struct text *rule,
              int (*visit)(void *ctx, const char *name), void *ctx);

#endif
