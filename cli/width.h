/* width.h: -j: how many workers the innermost layer of a model gets. */
#ifndef CLI_WIDTH_H
#define CLI_WIDTH_H

#include "options.h"
#include "text.h"

enum { WIDTH_MAX_FOR_0 = 256 /* what -j0, "as many as can be", comes to */ };

/* Append the model with the count of -j in it.
 * model     e.g. "processes/threads:2"
 * jobs      as given, or NULL
 * n_cpus    that may be used
 * n_inputs  0 when that is not known
 * Returns   0, or -1 after saying why they do not go together */
int width_apply(const char *model, const char *jobs, unsigned n_cpus,
                uint64_t n_inputs, struct text *ret_model);

#endif
