/* option_defs.h: the options: their names, and what reads the value of each. */
#ifndef CLI_OPTION_DEFS_H
#define CLI_OPTION_DEFS_H

#include <stddef.h>

#include "options.h"

struct option_def {
    const char *name;
    char letter; /* 0: none */
    char has_value;
    unsigned who; /* enum options_command */
    /* Take the value, NULL for an option without one, into the options.
     * Returns   enum options_answer: OPTIONS_WRONG after saying why */
    int (*read)(struct options *o, const struct option_def *def,
                const char *value);
    size_t offset; /* of what is set, where `read` is one for many */
};

/* All of them; *ret_n is their number. */
const struct option_def *option_defs(size_t *ret_n);

#endif
