/* test_locale.c: a program whose thread has a locale of its own, as languages with another
 * idea of locales set it: tasks have it on every thread of a worker, and it is no change. */
#include <locale.h>
#include <string.h>

#include "support/pool.h"

static int say_locale(struct mu_task *task)
{
    return mu_task_printf(task, "%d",
                          uselocale((locale_t)0) != LC_GLOBAL_LOCALE);
}

static void tasks_have_the_program_s_locale(void **state)
{
    enum { N = 20 };
    const struct mu_pool_options options = {.strict = 1};
    struct mu_pool *pool = test_pool(*state, &options);
    struct mu_stats stats;

    for (unsigned i = 0; i < N; i++) {
        struct mu_outcome *o;

        assert_int_equal(mu_pool_submit(pool, say_locale, NULL, 0, NULL, NULL),
                         0);
        o = test_take(pool);
        assert_string_equal(o->output, "1");
        mu_outcome_free(o);
    }
    mu_pool_stats(pool, &stats);
    assert_int_equal(stats.n_workers_started, 1);
    mu_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"processes", tasks_have_the_program_s_locale, NULL, NULL,
         "processes:1"},
        {"processes/threads", tasks_have_the_program_s_locale, NULL, NULL,
         "processes:1/threads:2"},
    };

    (void)uselocale(newlocale(LC_ALL_MASK, "C", NULL));
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
