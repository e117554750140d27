/* width.c: -j: how many workers the innermost layer of a model gets. */
#include "width.h"

#include <string.h>

#include "parse.h"
#include "say.h"

/* The end of the last layer without a count; 0 when each has one. */
static size_t open_layer(const char *model)
{
    size_t found = 0;
    size_t start = 0;

    for (;;) {
        size_t n = strcspn(model + start, "/");

        if (n && !memchr(model + start, ':', n))
            found = start + n;
        if (!model[start + n])
            return found;
        start += n + 1;
    }
}

int width_apply(const char *model, const char *jobs, unsigned n_cpus,
                uint64_t n_inputs, struct text *ret_model)
{
    size_t end = open_layer(model);
    unsigned n;

    if (!jobs) {
        text_put(ret_model, model);
        return 0;
    }
    if (parse_jobs(jobs, n_cpus, &n) < 0)
        return say_refuse("-j %s: too many: it is up to 4096 in all", jobs);
    if (n == 0)
        n = n_inputs && n_inputs < WIDTH_MAX_FOR_0 ? (unsigned)n_inputs
                                                   : WIDTH_MAX_FOR_0;
    if (strcmp(model, "serial") == 0) {
        if (n != 1)
            return say_refuse("--model serial runs one task at a time: leave "
                              "-j %s out, or take processes",
                              jobs);
        text_put(ret_model, model);
        return 0;
    }
    if (!end)
        return say_refuse(
            "the model %s has its counts already: leave -j %s out", model,
            jobs);
    text_append(ret_model, model, end);
    text_printf(ret_model, ":%u%s", n, model + end);
    return 0;
}
