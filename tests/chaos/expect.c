/* expect.c: see expect.h. */
#include "chaos/expect.h"

#include <string.h>

struct mu_outcome *expect_outcome(const char *model,
                                  const struct mu_pool_options *options,
                                  mu_task_fn fn, const char *input)
{
    struct mu_pool *pool = test_pool(model, options);
    struct mu_outcome *o;

    assert_int_equal(
        mu_pool_submit(pool, fn, input, strlen(input) + 1, NULL, NULL), MU_OK);
    o = test_take(pool);
    mu_pool_close(pool);
    return o;
}

void expect(const char *model, const struct mu_pool_options *options,
            mu_task_fn fn, const char *input, const char *words)
{
    struct mu_outcome *o = expect_outcome(model, options, fn, input);
    char text[500];

    (void)mu_outcome_describe(o, text, sizeof text);
    if (!strstr(text, words))
        fail_msg("under %s with '%s': %s", model, input, text);
    mu_outcome_free(o);
}
