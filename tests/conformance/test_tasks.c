/* test_tasks.c: what a task is given and what comes of it, under every model. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conformance/models.h"
#include "support/check.h"

/* A sanitizer looks at each byte: fewer of them. */
#ifdef TEST_IS_SANITIZED
enum { LARGEST = 8 << 20, N_LARGE = 60 };
#else
enum { LARGEST = 40 << 20, N_LARGE = 300 };
#endif

static int fail_with_tag(struct mu_task *t)
{
    (void)mu_task_printf(t, "attempt %u", mu_task_attempt(t));
    return (int)mu_task_tag(t);
}

static int fail_until_third(struct mu_task *t)
{
    return mu_task_attempt(t) < 3;
}

/* Input: a size_t; output: that many bytes, a pattern. */
static int make_bytes(struct mu_task *t)
{
    size_t size;
    unsigned char *out;

    memcpy(&size, mu_task_input(t, NULL), sizeof size);
    out = mu_task_reserve(t, size);
    if (!out)
        return 1;
    for (size_t i = 0; i < size; i++)
        out[i] = (unsigned char)(i * 31 + i / 4096);
    mu_task_commit(t, size);
    return 0;
}

static int sum_bytes(struct mu_task *t)
{
    size_t size;
    const unsigned char *in = mu_task_input(t, &size);
    unsigned long sum = 0;

    for (size_t i = 0; i < size; i++)
        sum += in[i];
    return mu_task_printf(t, "%zu %lu", size, sum);
}

static int show_arg(struct mu_task *t)
{
    size_t size;
    const char *arg = mu_task_arg(t, &size);

    return mu_task_printf(t, "%.*s", (int)size, arg);
}

/* -- tests -- */

static void every_task_ends_once(void **state)
{
    enum { N = 20000 };
    struct mu_pool *pool = models_open(state, NULL);
    unsigned char *seen = calloc(N, 1);
    struct mu_outcome *o;
    struct mu_submit how = {.tag = 0};

    for (unsigned i = 0; i < N; i++) {
        how.tag = i;
        assert_int_equal(
            mu_pool_submit(pool, models_echo, &i, sizeof i, &how, NULL), MU_OK);
    }
    for (unsigned i = 0; i < N; i++) {
        unsigned value;

        o = test_take(pool);
        assert_int_equal(o->status, MU_DONE);
        assert_int_equal(o->output_size, sizeof value);
        memcpy(&value, o->output, sizeof value);
        assert_int_equal(value, o->tag);
        assert_int_equal(o->attempts, 1);
        seen[value]++;
        mu_outcome_free(o);
    }
    assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), MU_EMPTY);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(seen[i], 1);
    free(seen);
    mu_pool_close(pool);
}

static void sizes_of_all_kinds_travel(void **state)
{
    static const size_t sizes[] = {0,       1,      31,      32,
                                   33,      40,     41,      4095,
                                   4096,    65536,  1 << 20, (1 << 20) + 1,
                                   5 << 20, LARGEST};
    struct mu_pool *pool = models_open(state, NULL);

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct mu_outcome *o;
        struct mu_outcome *back;
        const unsigned char *bytes;

        assert_int_equal(mu_pool_submit(pool, make_bytes, &sizes[i],
                                        sizeof sizes[i], NULL, NULL),
                         MU_OK);
        o = test_take(pool);
        assert_int_equal(o->status, MU_DONE);
        assert_int_equal(o->output_size, sizes[i]);
        bytes = o->output;
        for (size_t j = 0; j < sizes[i]; j++)
            if (bytes[j] != (unsigned char)(j * 31 + j / 4096))
                fail_msg("byte %zu of %zu", j, sizes[i]);
        assert_int_equal(bytes[sizes[i]], 0);
        assert_int_equal(mu_pool_submit(pool, models_echo, o->output,
                                        o->output_size, NULL, NULL),
                         MU_OK);
        back = test_take(pool);
        assert_int_equal(back->output_size, sizes[i]);
        assert_memory_equal(back->output, o->output, sizes[i]);
        mu_outcome_free(back);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

static void many_outputs_in_flight(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);

    for (size_t i = 0; i < N_LARGE; i++) {
        size_t size = i * 7919 % 700000;

        assert_int_equal(
            mu_pool_submit(pool, make_bytes, &size, sizeof size, NULL, NULL),
            MU_OK);
    }
    for (size_t i = 0; i < N_LARGE; i++) {
        struct mu_outcome *o = test_take(pool);
        const unsigned char *bytes = o->output;

        for (size_t j = 0; j < o->output_size; j++)
            if (bytes[j] != (unsigned char)(j * 31 + j / 4096))
                fail_msg("byte %zu", j);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

static void failure_has_code_and_output(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);
    struct mu_submit how = {.tag = 42};
    struct mu_outcome *o;
    char text[100];

    assert_int_equal(mu_pool_submit(pool, fail_with_tag, NULL, 0, &how, NULL),
                     MU_OK);
    o = test_take(pool);
    assert_int_equal(o->status, MU_FAILED);
    assert_int_equal(o->code, 42);
    assert_string_equal(o->output, "attempt 1");
    (void)mu_outcome_describe(o, text, sizeof text);
    assert_string_equal(text, "failed: returned 42");
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* A function that forwards an error is understood. */
static void negative_code_is_told_in_words(void **state)
{
    static const struct {
        int code;
        const char *words;
    } codes[] = {
        {-EFBIG, " (File too large)"},
        {MU_EMODEL, " (the model is unknown or cannot give this)"},
        {MU_FULL, ""}, /* any function returns that */
        {-1, ""},
        {-4000, ""},
        {INT_MIN, ""},
    };
    struct mu_pool *pool = models_open(state, NULL);

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct mu_submit how = {.tag = (uint64_t)codes[i].code};
        struct mu_outcome *o;
        char expected[100];
        char text[100];

        assert_int_equal(
            mu_pool_submit(pool, fail_with_tag, NULL, 0, &how, NULL), MU_OK);
        o = test_take(pool);
        (void)mu_outcome_describe(o, text, sizeof text);
        (void)snprintf(expected, sizeof expected, "failed: returned %d%s",
                       codes[i].code, codes[i].words);
        assert_string_equal(text, expected);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

static void retries_until_done(void **state)
{
    struct mu_pool_options options = {.retries = 5};
    struct mu_pool *pool = models_open(state, &options);
    struct mu_submit how = {.flags = MU_SUBMIT_RETRIES, .retries = 1};
    struct mu_outcome *o;

    assert_int_equal(
        mu_pool_submit(pool, fail_until_third, NULL, 0, NULL, NULL), MU_OK);
    o = test_take(pool);
    assert_int_equal(o->status, MU_DONE);
    assert_int_equal(o->attempts, 3);
    mu_outcome_free(o);
    assert_int_equal(
        mu_pool_submit(pool, fail_until_third, NULL, 0, &how, NULL), MU_OK);
    o = test_take(pool);
    assert_int_equal(o->status, MU_FAILED);
    assert_int_equal(o->attempts, 2);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* A retry moves a task on without an outcome: its caller must not sleep through it. */
static void many_retries_in_a_row(void **state)
{
    enum { N = 500 };
    struct mu_pool_options options = {.retries = 5};
    struct mu_pool *pool = models_open(state, &options);

    for (int i = 0; i < N; i++) {
        struct mu_outcome *o;

        assert_int_equal(
            mu_pool_submit(pool, fail_until_third, NULL, 0, NULL, NULL), MU_OK);
        o = test_take(pool);
        assert_int_equal(o->attempts, 3);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

static void borrowed_input_is_read_in_place(void **state)
{
    enum { SIZE = 3 << 20 };
    struct mu_pool *pool = models_open(state, NULL);
    struct mu_submit how = {.flags = MU_SUBMIT_BORROW};
    unsigned char *memory = mu_pool_alloc(pool, SIZE);
    struct mu_outcome *o;

    memset(memory, 2, SIZE);
    assert_int_equal(mu_pool_submit(pool, sum_bytes, memory, SIZE, &how, NULL),
                     MU_OK);
    o = test_take(pool);
    assert_string_equal(o->output, "3145728 6291456");
    mu_outcome_free(o);
    mu_pool_free(pool, memory);
    /* nothing is borrowed from nowhere */
    assert_int_equal(mu_pool_submit(pool, sum_bytes, NULL, 0, &how, NULL),
                     MU_OK);
    o = test_take(pool);
    assert_string_equal(o->output, "0 0");
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static void file_input_is_mapped(void **state)
{
    static const char text[] = "0123456789";
    char path[] = "/tmp/muster-test-XXXXXX";
    struct mu_pool *pool = models_open(state, NULL);
    struct mu_submit how = {.path = path};
    struct mu_outcome *o;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, 10), 10);
    assert_int_equal(mu_pool_submit(pool, models_echo, NULL, 0, &how, NULL),
                     MU_OK);
    o = test_take(pool);
    assert_string_equal(o->output, "0123456789");
    mu_outcome_free(o);
    how.offset = 3;
    how.size = 4;
    assert_int_equal(mu_pool_submit(pool, models_echo, NULL, 0, &how, NULL),
                     MU_OK);
    o = test_take(pool);
    assert_string_equal(o->output, "3456");
    mu_outcome_free(o);
    (void)unlink(path);
    (void)close(fd);
    assert_int_equal(mu_pool_submit(pool, models_echo, NULL, 0, &how, NULL),
                     MU_OK);
    o = test_take(pool);
    assert_int_equal(o->status, MU_FAILED);
    assert_int_equal(o->code, -ENOENT);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static void arg_is_seen(void **state)
{
    struct mu_pool_options options = {.arg = "context", .arg_size = 7};
    struct mu_pool *pool = models_open(state, &options);
    struct mu_outcome *o;

    assert_int_equal(mu_pool_submit(pool, show_arg, NULL, 0, NULL, NULL),
                     MU_OK);
    o = test_take(pool);
    assert_string_equal(o->output, "context");
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static int print_little(struct mu_task *t)
{
    return mu_task_printf(t, "%s", "little");
}

static void little_text_fits_a_small_limit(void **state)
{
    struct mu_pool_options options = {.output_bytes = 64};
    struct mu_pool *pool = models_open(state, &options);
    struct mu_outcome *o;

    assert_int_equal(mu_pool_submit(pool, print_little, NULL, 0, NULL, NULL),
                     MU_OK);
    o = test_take(pool);
    assert_int_equal(o->status, MU_DONE);
    assert_string_equal(o->output, "little");
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* Under `serial`, where there is no other flow that could be late. */
static void time_between_tasks_is_of_none(void **state)
{
    struct mu_pool *pool;

    if (strcmp(*state, "serial") != 0)
        return;
    pool = models_open(state, NULL);
    for (int i = 0; i < 3; i++) {
        const int64_t begin = mu_now_ns();
        struct mu_outcome *o;

        assert_int_equal(mu_pool_submit(pool, models_echo, "", 1, NULL, NULL),
                         MU_OK);
        o = test_take(pool);
        assert_true(o->queue_ns + o->run_ns <= mu_now_ns() - begin);
        mu_outcome_free(o);
        while (mu_now_ns() - begin < 1000000)
            continue;
    }
    mu_pool_close(pool);
}

static void close_with_work_left(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);

    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(
            mu_pool_submit(pool, models_echo, &i, sizeof i, NULL, NULL), MU_OK);
    mu_pool_close(pool);
}

static void outcome_outlives_pool(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);
    struct mu_outcome *o;
    size_t size = 100000;

    assert_int_equal(
        mu_pool_submit(pool, make_bytes, &size, sizeof size, NULL, NULL),
        MU_OK);
    o = test_take(pool);
    mu_pool_close(pool);
    assert_int_equal(o->output_size, size);
    assert_int_equal(((const unsigned char *)o->output)[1], 31);
    mu_outcome_free(o);
}

/* Those of several pools, also of one that is closed; small outputs and large ones. */
static void outcomes_go_back_together(void **state)
{
    enum { N = 24 };
    struct mu_pool *pools[] = {models_open(state, NULL),
                               models_open(state, NULL)};
    struct mu_outcome *outcomes[N];

    for (size_t i = 0; i < N; i++) {
        struct mu_pool *pool = pools[i / 3 % 2];
        size_t size = i % 4 ? i : 100000;

        assert_int_equal(
            mu_pool_submit(pool, make_bytes, &size, sizeof size, NULL, NULL),
            MU_OK);
        outcomes[i] = test_take(pool);
        assert_int_equal(outcomes[i]->output_size, size);
    }
    mu_pool_close(pools[0]);
    mu_outcome_free_many(outcomes, N / 2);
    mu_outcome_free_many(outcomes, 0);
    for (size_t size = 0; size < N; size++) { /* what comes next is as new */
        struct mu_outcome *o;

        assert_int_equal(mu_pool_submit(pools[1], make_bytes, &size,
                                        sizeof size, NULL, NULL),
                         MU_OK);
        o = test_take(pools[1]);
        assert_int_equal(o->output_size, size);
        mu_outcome_free(o);
    }
    mu_pool_close(pools[1]);
    mu_outcome_free_many(outcomes + N / 2, N / 2);
}

/* -- many attempts -- */

enum { N_ATTEMPTS = 300 };

static int fail_long(struct mu_task *t)
{
    unsigned attempt = mu_task_attempt(t);

    mu_task_truncate(t, 0);
    return attempt < N_ATTEMPTS ? 1 : mu_task_printf(t, "%u", attempt);
}

/* Several: alone or together, a task sees its own count. */
static void every_attempt_has_its_number(void **state)
{
    enum { N_TASKS = 40 };
    struct mu_pool_options options = {.retries = N_ATTEMPTS + 10};
    struct mu_pool *pool = models_open(state, &options);

    for (uint64_t i = 0; i < N_TASKS; i++)
        test_submit(pool, fail_long, i);
    for (int i = 0; i < N_TASKS; i++) {
        struct mu_outcome *o = test_take(pool);

        assert_int_equal(o->status, MU_DONE);
        assert_int_equal(o->attempts, N_ATTEMPTS);
        assert_string_equal(o->output, "300");
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

static const struct model_test suite[] = {
    MODEL_TEST(every_task_ends_once),
    MODEL_TEST(sizes_of_all_kinds_travel),
    MODEL_TEST(many_outputs_in_flight),
    MODEL_TEST(failure_has_code_and_output),
    MODEL_TEST(negative_code_is_told_in_words),
    MODEL_TEST(retries_until_done),
    MODEL_TEST(many_retries_in_a_row),
    MODEL_TEST(every_attempt_has_its_number),
    MODEL_TEST(borrowed_input_is_read_in_place),
    MODEL_TEST(file_input_is_mapped),
    MODEL_TEST(arg_is_seen),
    MODEL_TEST(little_text_fits_a_small_limit),
    MODEL_TEST(time_between_tasks_is_of_none),
    MODEL_TEST(close_with_work_left),
    MODEL_TEST(outcome_outlives_pool),
    MODEL_TEST(outcomes_go_back_together),
};

int main(void)
{
    return models_run(suite, sizeof suite / sizeof *suite);
}
