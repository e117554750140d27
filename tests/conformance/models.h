/* models.h: the runner of the conformance suite: each test once for every model, which
 * it finds in *state. */
#ifndef TEST_MODELS_H
#define TEST_MODELS_H

#include "support/pool.h"

struct model_test {
    const char *name;
    void (*run)(void **state);
};

#define MODEL_TEST(test)                                                       \
    {                                                                          \
#        test, test                                                            \
    }

/* As cmocka_run_group_tests(): how many failed. Names are MODEL/TEST. */
int models_run(const struct model_test *suite, size_t n_tests);

/* A pool of the model of this test. */
struct mu_pool *models_open(void **state,
                            const struct mu_pool_options *options);

/* How many tasks run while the caller does something else. */
unsigned models_width(void **state, const struct mu_pool *pool);

/* A task: its output is its input. */
int models_echo(struct mu_task *task);

#endif
