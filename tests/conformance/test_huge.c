/* test_huge.c: a task whose input and output are 1 GiB each. Needs 5 GiB of memory,
 * and is skipped where there is less and under sanitizers, which take more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "muster/muster.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define SANITIZED 1
#elif defined(__has_feature)
#    define SANITIZED                                                          \
        (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#    define SANITIZED 0
#endif

static const size_t gibibyte = (size_t)1 << 30;

static uint64_t word_at(size_t i)
{
    return (uint64_t)i * UINT64_C(0x9e3779b97f4a7c15);
}

static int invert(struct mu_task *t)
{
    size_t size;
    const uint64_t *in = mu_task_input(t, &size);
    uint64_t *out = mu_task_reserve(t, size);

    if (!out)
        return 1;
    for (size_t i = 0; i < size / 8; i++)
        out[i] = ~in[i];
    mu_task_commit(t, size);
    return 0;
}

static void a_gibibyte_travels_both_ways(void **state)
{
    struct mu_pool *pool;
    struct mu_outcome *o;
    const uint64_t *out;
    uint64_t *in;

    if (SANITIZED ||
        (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) <
            5 * (uint64_t)gibibyte)
        skip();
    in = malloc(gibibyte);
    assert_non_null(in);
    for (size_t i = 0; i < gibibyte / 8; i++)
        in[i] = word_at(i);
    assert_int_equal(mu_pool_open(*state, NULL, &pool, NULL), 0);
    assert_int_equal(mu_pool_submit(pool, invert, in, gibibyte, NULL, NULL), 0);
    assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), 0);
    assert_int_equal(o->status, MU_DONE);
    assert_int_equal(o->output_size, gibibyte);
    out = o->output;
    for (size_t i = 0; i < gibibyte / 8; i++)
        if (out[i] != ~word_at(i))
            fail_msg("word %zu", i);
    mu_outcome_free(o);
    mu_pool_close(pool);
    free(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"threads:2", a_gibibyte_travels_both_ways, NULL, NULL, "threads:2"},
        {"processes:2", a_gibibyte_travels_both_ways, NULL, NULL,
         "processes:2"},
    };

    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
