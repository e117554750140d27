/* verdict.h: medians, and which model to take and why. Pure: figures in, a
 * sentence out. */
#ifndef CLI_VERDICT_H
#define CLI_VERDICT_H

#include <stddef.h>

#include "text.h"

struct verdict_spread {
    double median;
    double min;
    double max;
};

/* Of n > 0 values, which it sorts. */
struct verdict_spread verdict_spread_of(double *values, size_t n);

/* What is known of one model. */
struct verdict_model {
    const char *name;
    int isolates;
    struct verdict_spread rate; /* tasks a second, more than 0 */
};

/* Choose the model to take.
 * models    [n], n > 0
 * Returns   its index, or n when they cannot be told apart; the sentence that says
 *           why is appended to *ret_why */
size_t verdict_choose(const struct verdict_model *models, size_t n,
                      struct text *ret_why);

#endif
