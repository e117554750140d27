#include "conformance/models.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

static const char *const models[] = {
    "serial",      "threads:1",   "threads:4",
    "processes:1", "processes:4", "processes:2/threads:2",
};
enum { N_MODELS = sizeof models / sizeof *models };

int models_run(const struct model_test *suite, size_t n_tests)
{
    struct CMUnitTest *tests = calloc(n_tests * N_MODELS, sizeof *tests);
    char(*names)[80] = calloc(n_tests * N_MODELS, sizeof *names);
    size_t n = 0;

    if (!tests || !names)
        abort();
    /* what is freed is written over, so that its use shows in any build */
    (void)mallopt(M_PERTURB, 0x5a);
    for (size_t m = 0; m < N_MODELS; m++)
        for (size_t i = 0; i < n_tests; i++, n++) {
            (void)snprintf(names[n], sizeof names[n], "%s/%s", models[m],
                           suite[i].name);
            tests[n] = (struct CMUnitTest){.name = names[n],
                                           .test_func = suite[i].run,
                                           .initial_state =
                                               (void *)(uintptr_t)models[m]};
        }
    return _cmocka_run_group_tests("models", tests, n, NULL, NULL);
}

struct mu_pool *models_open(void **state, const struct mu_pool_options *options)
{
    return test_pool(*state, options);
}

unsigned models_width(void **state, const struct mu_pool *pool)
{
    return strcmp(*state, "serial") == 0 ? 0 : mu_pool_width(pool);
}

int models_echo(struct mu_task *task)
{
    size_t size;
    const void *input = mu_task_input(task, &size);

    return mu_task_write(task, input, size);
}
