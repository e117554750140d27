/* test_sanitized.c: tasks compiled with the address sanitizer, the library without: what it
 * finds is one task's outcome, as a fuzz target needs it. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "support/pool.h"

enum { N_TASKS = 60, EVERY = 20 };

/* The sanitizer asks for this: a report ends by SIGABRT, whose frames the outcome has.
 * Its name: NOLINTBEGIN(readability-identifier-naming) */
__attribute__((visibility("default"))) const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "abort_on_error=1:detect_leaks=0";
}
/* NOLINTEND(readability-identifier-naming) */

static int read_beyond(struct mu_task *task)
{
    size_t size;
    const char *input = mu_task_input(task, &size);
    char *copy = malloc(4);
    volatile char last;

    if (!copy)
        return 1;
    memcpy(copy, input, 4);
    last = copy[size - 1];
    free(copy);
    return last;
}

/* Their outcomes, and that everybody else's input was fine. */
static void report_is_an_outcome_in(const char *model)
{
    static const char input[5] = "";
    struct mu_pool *pool = test_pool(model, NULL);
    unsigned n_found = 0;

    for (unsigned i = 0; i < N_TASKS; i++)
        assert_int_equal(mu_pool_submit(pool, read_beyond, input,
                                        i % EVERY == 0 ? 5 : 4,
                                        &(struct mu_submit){.tag = i}, NULL),
                         MU_OK);
    for (unsigned i = 0; i < N_TASKS; i++) {
        struct mu_outcome *o = test_take(pool);
        char text[1000];

        mu_outcome_describe(o, text, sizeof text);
        if (o->tag % EVERY != 0)
            assert_int_equal(o->status, MU_DONE);
        else {
            n_found++;
            assert_int_equal(o->status, MU_CRASHED);
            assert_int_equal(o->signal, SIGABRT);
            assert_non_null(strstr(text, "read_beyond"));
        }
        mu_outcome_free(o);
    }
    assert_int_equal(n_found, N_TASKS / EVERY);
    mu_pool_close(pool);
}

static void report_is_an_outcome(void **state)
{
    (void)state;
    report_is_an_outcome_in("processes:2");
    report_is_an_outcome_in("processes:2/threads:2");
}

/* A report does not come first: faults are the worker's to handle. */
static int fault(struct mu_task *task)
{
    size_t size;
    char *input =
        (char *)mu_task_input(task, &size); /* where it is read-only */

    input[0] = 1;
    return 0;
}

static void fault_is_an_outcome(void **state)
{
    struct mu_pool *pool = test_pool("processes:1", NULL);
    struct mu_outcome *o;

    (void)state;
    assert_int_equal(mu_pool_submit(pool, fault, "", 1, NULL, NULL), MU_OK);
    o = test_take(pool);
    assert_int_equal(o->status, MU_CRASHED);
    assert_int_equal(o->signal, SIGSEGV);
    assert_true(o->has_fault_address);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* Its shadow memory, terabytes of addresses, is not charged to a task. */
static int fill_little(struct mu_task *task)
{
    size_t size = (size_t)1 << 20;
    char *memory = malloc(size);

    (void)task;
    if (!memory)
        return 1;
    memset(memory, 1, size);
    free(memory);
    return 0;
}

static void memory_can_be_limited(void **state)
{
    const struct mu_pool_options options = {.memory_bytes = UINT64_C(256)
                                                            << 20};
    struct mu_pool *pool = test_pool("processes:1", &options);

    (void)state;
    test_run_as(pool, fill_little, MU_DONE);
    mu_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(report_is_an_outcome),
        cmocka_unit_test(fault_is_an_outcome),
        cmocka_unit_test(memory_can_be_limited),
    };

    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
