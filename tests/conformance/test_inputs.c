/* test_inputs.c: what the pool copies can be read as a string, under every model; and
 * what a task or a submitter asks that cannot be. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance/models.h"
#include "support/check.h"

enum { SIZE_MAX_TRIED = 300 };

/* As text, an input is as long as it is, and so are its parts. */
static int is_a_string(struct mu_task *t)
{
    size_t size;

    for (size_t i = 0; i < mu_task_n_parts(t); i++)
        if (strlen(mu_task_part(t, i, &size)) != size)
            return 1;
    return 0;
}

static int arg_is_a_string(struct mu_task *t)
{
    size_t size;

    return strlen(mu_task_arg(t, &size)) != size;
}

/* Memory of sizes around it was used before: the longest come first. */
static void every_size_is_a_string(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);
    char text[SIZE_MAX_TRIED];
    unsigned n = 0;

    memset(text, 'x', sizeof text);
    for (int round = 0; round < 2; round++)
        for (size_t size = sizeof text + 1; size-- > 0; n++)
            assert_int_equal(
                mu_pool_submit(pool, is_a_string, text, size, NULL, NULL), 0);
    for (; n > 0; n--) {
        struct mu_outcome *o = test_take(pool);

        assert_int_equal(o->status, MU_DONE);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

static void every_part_is_a_string(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);
    char text[SIZE_MAX_TRIED];
    unsigned n = 0;

    memset(text, 'x', sizeof text);
    for (size_t size = sizeof text - 3; size-- > 0; n++) {
        const struct mu_span spans[] = {
            {text, size}, {text, size + 1}, {text, 0}, {text, size + 2}};
        const struct mu_submit how = {.n_parts = 4};

        assert_int_equal(
            mu_pool_submit(pool, is_a_string, spans, 0, &how, NULL), 0);
    }
    for (; n > 0; n--) {
        struct mu_outcome *o = test_take(pool);

        assert_int_equal(o->status, MU_DONE);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

static void arg_is_a_string_too(void **state)
{
    /* fills its block: nothing of it is a 0 by chance */
    static const char text[64] =
        "0123456789012345678901234567890123456789012345678901234567890123";
    const struct mu_pool_options options = {.arg = text,
                                            .arg_size = sizeof text};
    struct mu_pool *pool = models_open(state, &options);
    struct mu_outcome *o;

    assert_int_equal(mu_pool_submit(pool, arg_is_a_string, NULL, 0, NULL, NULL),
                     0);
    o = test_take(pool);
    assert_int_equal(o->status, MU_DONE);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* -- files that do not tell their size -- */

static struct mu_outcome *run_on_file(struct mu_pool *pool, mu_task_fn fn,
                                      const char *path, uint64_t offset,
                                      uint64_t size)
{
    const struct mu_submit how = {.path = path, .offset = offset, .size = size};
    struct mu_outcome *o;

    assert_int_equal(mu_pool_submit(pool, fn, NULL, 0, &how, NULL), 0);
    o = test_take(pool);
    assert_int_equal(o->status, MU_DONE);
    return o;
}

/* What `models_echo` was given of that file. */
static struct mu_outcome *echo_file(struct mu_pool *pool, const char *path,
                                    uint64_t offset, uint64_t size)
{
    return run_on_file(pool, models_echo, path, offset, size);
}

static void file_without_size_is_read(void **state)
{
    static const char path[] = "/proc/version"; /* the same for every process */
    enum { LARGE = 1 << 20 };                   /* more than is read at once */
    struct mu_pool *pool = models_open(state, NULL);
    char text[4096] = "";
    FILE *file = fopen(path, "re");
    struct mu_outcome *o;

    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    (void)fclose(file);
    o = echo_file(pool, path, 0, 0);
    assert_string_equal(o->output, text);
    mu_outcome_free(o);
    o = echo_file(pool, path, 2, 5);
    assert_memory_equal(o->output, text + 2, 5);
    assert_int_equal(o->output_size, 5);
    mu_outcome_free(o);
    if (access("/proc/self/pagemap", R_OK) == 0) {
        o = echo_file(pool, "/proc/self/pagemap", 0, LARGE);
        assert_int_equal(o->output_size, LARGE);
        mu_outcome_free(o);
    }
    o = echo_file(pool, path, 0, 0);
    assert_string_equal(o->output, text);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static void range_is_a_string(struct mu_pool *pool, const char *path,
                              uint64_t offset, uint64_t size)
{
    mu_outcome_free(run_on_file(pool, is_a_string, path, offset, size));
}

/* Those that are read and those that are mapped: which end in a page, with it, with the
 * file; the longest come first. */
static void every_range_is_a_string(void **state)
{
    enum { PAGE = 4096, LARGE = 1 << 20 };
    static const uint64_t ranges[][2] = {
        {0, 0},
        {0, LARGE},
        {PAGE, LARGE - PAGE},
        {77, 600000},
        {0, 300000},
        {100, 256 * 1024},
        {7, 2 * PAGE},
        {3, PAGE - 3},
        {PAGE, PAGE},
        {LARGE + 99, 1},
        {50, 10},
        {1, 1},
        {LARGE, 100},
        {LARGE / 2, 300001},
    };
    struct mu_pool *pool = models_open(state, NULL);
    char path[] = "/tmp/muster-string-XXXXXX";
    char *text = malloc(LARGE + 100);
    int fd = mkstemp(path);

    assert_non_null(text);
    assert_true(fd >= 0);
    memset(text, 'x', LARGE + 100);
    assert_int_equal(write(fd, text, LARGE + 100), LARGE + 100);
    free(text);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        range_is_a_string(pool, path, ranges[i][0], ranges[i][1]);
    assert_int_equal(ftruncate(fd, LARGE), 0);
    range_is_a_string(pool, path, 0, 0);
    range_is_a_string(pool, path, LARGE, 0);
    mu_pool_close(pool);
    (void)close(fd);
    (void)unlink(path);
}

static void expect_beyond(struct mu_pool *pool, const char *path,
                          uint64_t offset, uint64_t size)
{
    struct mu_submit how = {.path = path, .offset = offset, .size = size};
    struct mu_outcome *o;
    char text[200];

    assert_int_equal(mu_pool_submit(pool, models_echo, NULL, 0, &how, NULL), 0);
    o = test_take(pool);
    assert_int_equal(o->status, MU_FAILED);
    assert_int_equal(o->code, -ERANGE);
    (void)mu_outcome_describe(o, text, sizeof text);
    assert_non_null(strstr(text, "it ends before the range"));
    mu_outcome_free(o);
}

static void expect_size(struct mu_pool *pool, const char *path, uint64_t offset,
                        uint64_t size, size_t wanted)
{
    struct mu_outcome *o = echo_file(pool, path, offset, size);

    assert_int_equal(o->output_size, wanted);
    mu_outcome_free(o);
}

/* Never a part of what was asked for. */
static void range_has_to_be_there(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);
    char path[] = "/tmp/muster-range-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    /* of one that is empty, nothing, at its end */
    expect_size(pool, path, 0, 0, 0);
    expect_beyond(pool, path, 0, 1);
    expect_beyond(pool, path, 1, 0);
    expect_beyond(pool, path, 5000, 0);
    assert_int_equal(ftruncate(fd, 4096), 0);
    expect_beyond(pool, path, 0, 4097);
    expect_beyond(pool, path, 4096, 1);
    expect_beyond(pool, path, 4097, 0);
    expect_size(pool, path, 4096, 0, 0);
    expect_size(pool, path, 4000, 96, 96);
    mu_pool_close(pool);
    (void)close(fd);
    (void)unlink(path);
}

/* Also in a file that tells no size; but its end is there. */
static void range_has_to_be_there_in_a_file_without_size(void **state)
{
    static const char path[] = "/proc/version"; /* the same for every process */
    struct mu_pool *pool = models_open(state, NULL);
    struct mu_outcome *o = echo_file(pool, path, 0, 0);
    const size_t size = o->output_size;

    mu_outcome_free(o);
    assert_true(size > 2);
    expect_size(pool, path, 2, 0, size - 2);
    expect_size(pool, path, size, 0, 0);
    expect_beyond(pool, path, size + 1, 0);
    expect_beyond(pool, path, 100000, 0);
    expect_beyond(pool, path, 2, size);
    mu_pool_close(pool);
}

/* -- what cannot be -- */

static int commit_what_is_not_there(struct mu_task *t)
{
    char *room = mu_task_reserve(t, 10);

    if (mu_task_commit(t, 11) != -EINVAL ||
        mu_task_commit(t, (size_t)1 << 30) != -EINVAL)
        return 1;
    memcpy(room, "0123456789", 10); /* NOLINT: no 0 was reserved */
    if (mu_task_commit(t, 10) != 0 || mu_task_commit(t, 1) != -EINVAL)
        return 2;
    /* room is lent until the next call */
    if (!mu_task_reserve(t, 10) || mu_task_write(t, "ab", 2) != 0 ||
        mu_task_commit(t, 1) != -EINVAL)
        return 3;
    if (!mu_task_reserve(t, 10) || mu_task_printf(t, "c") != 0 ||
        mu_task_commit(t, 1) != -EINVAL)
        return 4;
    if (!mu_task_reserve(t, 10))
        return 5;
    mu_task_truncate(t, 12);
    return mu_task_commit(t, 1) == -EINVAL ? 0 : 6;
}

static int reserve(struct mu_task *t)
{
    return mu_task_reserve(t, 10) ? 0 : 1;
}

static int commit_of_another(struct mu_task *t)
{
    return mu_task_commit(t, 1) == -EINVAL ? 0 : 1;
}

static void only_what_was_reserved_is_committed(void **state)
{
    static int (*const fns[])(struct mu_task *) = {commit_what_is_not_there,
                                                   reserve, commit_of_another};
    struct mu_pool *pool = models_open(state, NULL);

    for (size_t i = 0; i < sizeof fns / sizeof *fns; i++) {
        struct mu_outcome *o;

        assert_int_equal(mu_pool_submit(pool, fns[i], NULL, 0, NULL, NULL), 0);
        o = test_take(pool);
        assert_int_equal(o->code, 0);
        assert_int_equal(o->status, MU_DONE);
        assert_string_equal(o->output, i == 0 ? "0123456789ab" : "");
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

enum { FULL = 16 };

static int print_to_the_last_byte(struct mu_task *t)
{
    if (mu_task_printf(t, "%s", "0123456789abcdefg") != -EFBIG ||
        mu_task_output_size(t) != 0)
        return 1;
    if (mu_task_printf(t, "%d", 0) != 0 ||
        mu_task_printf(t, "%s", "123456789abcdef") != 0)
        return 2;
    return mu_task_printf(t, "%s", "") == 0 && mu_task_printf(t, "x") == -EFBIG
               ? 0
               : 3;
}

static void output_is_printed_to_the_last_byte(void **state)
{
    const struct mu_pool_options options = {.output_bytes = FULL};
    struct mu_pool *pool = models_open(state, &options);
    struct mu_outcome *o = test_run(pool, print_to_the_last_byte);

    assert_int_equal(o->code, 0);
    assert_int_equal(o->output_size, FULL);
    assert_string_equal(o->output, "0123456789abcdef");
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static int reserve_all_there_is(struct mu_task *t)
{
    return mu_task_reserve(t, SIZE_MAX) ? 1 : mu_task_write(t, "ok", 2);
}

/* The task goes on as if it had not asked; what it reserved before, it has no more. */
static int reserve_beyond_the_limit(struct mu_task *t)
{
    char *room = mu_task_reserve(t, FULL);

    if (!room || mu_task_reserve(t, FULL + 1) || mu_task_commit(t, 1) == 0)
        return 1;
    if (mu_task_write(t, "01234567", FULL / 2) != 0 ||
        mu_task_reserve(t, FULL / 2 + 1))
        return 2;
    room = mu_task_reserve(t, FULL / 2);
    if (!room)
        return 3;
    memcpy(room, "89abcdef", FULL / 2); /* NOLINT: no 0 was reserved */
    if (mu_task_commit(t, FULL / 2) != 0)
        return 4;
    return mu_task_reserve(t, 1) ? 5 : 0;
}

static void no_more_than_the_limit_is_reserved(void **state)
{
    const struct mu_pool_options options = {.output_bytes = FULL};
    struct mu_pool *pool = models_open(state, &options);
    struct mu_outcome *o = test_run(pool, reserve_beyond_the_limit);

    assert_int_equal(o->code, 0);
    assert_int_equal(o->status, MU_DONE);
    assert_int_equal(o->output_size, FULL);
    assert_string_equal(o->output, "0123456789abcdef");
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* Where output_bytes says that there is no limit. */
static void all_there_is_cannot_be_reserved(void **state)
{
    const struct mu_pool_options options = {.output_bytes = UINT64_MAX};
    struct mu_outcome *o;
    struct mu_pool *pool;

    if (mu_model_isolates(*state))
        return; /* it has a limit of its own */
    pool = models_open(state, &options);
    o = test_run(pool, reserve_all_there_is);
    assert_int_equal(o->status, MU_DONE);
    assert_string_equal(o->output, "ok");
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static void unknown_flags_are_refused(void **state)
{
    static const unsigned flags[] = {0x80, 0x40000000U, 0x80000000U};
    struct mu_pool *pool = models_open(state, NULL);
    const struct mu_span span = {"x", 1};
    struct mu_outcome *o;
    size_t n;

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        const struct mu_submit how = {.flags = flags[i]};

        assert_int_equal(mu_pool_submit(pool, models_echo, "x", 1, &how, NULL),
                         -EINVAL);
        assert_int_equal(
            mu_pool_submit_many(pool, models_echo, &span, 1, &how, &n),
            -EINVAL);
        assert_int_equal(n, 0);
    }
    assert_int_equal(mu_pool_next(pool, MU_NOW, &o), MU_EMPTY);
    mu_pool_close(pool);
}

/* What counts is within its range, and what does not is not looked at. */
static void numbers_out_of_range_are_refused(void **state)
{
    static const struct mu_submit bad[] = {
        {.timeout_ns = -1},
        {.retries = 65536, .flags = MU_SUBMIT_RETRIES},
    };
    const struct mu_submit good = {.retries = 65536};
    struct mu_pool *pool = models_open(state, NULL);

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(
            mu_pool_submit(pool, models_echo, "x", 1, &bad[i], NULL), -EINVAL);
    assert_int_equal(mu_pool_submit(pool, models_echo, "x", 1, &good, NULL), 0);
    test_take_as(pool, MU_DONE);
    mu_pool_close(pool);
}

/* Not taken for copied: their memory may be gone by then. */
static void only_bytes_are_borrowed(void **state)
{
    static const struct mu_span part = {"x", 1};
    static const struct mu_submit hows[] = {
        {.flags = MU_SUBMIT_BORROW, .n_parts = 1},
        {.flags = MU_SUBMIT_BORROW, .path = "/dev/null"}};
    struct mu_pool *pool = models_open(state, NULL);
    struct mu_outcome *o;

    for (size_t i = 0; i < sizeof hows / sizeof *hows; i++)
        assert_int_equal(
            mu_pool_submit(pool, models_echo, &part, 0, &hows[i], NULL),
            -EINVAL);
    assert_int_equal(mu_pool_next(pool, MU_NOW, &o), MU_EMPTY);
    mu_pool_close(pool);
}

/* Also where their sum is more than can be. */
static void inputs_that_cannot_be_are_refused(void **state)
{
    static const struct mu_span null[] = {{"x", 1}, {NULL, 1}};
    static const struct mu_span huge[] = {{"x", SIZE_MAX}, {"x", 1}};
    static const struct mu_span sum[] = {{"x", SIZE_MAX / 2},
                                         {"x", SIZE_MAX / 2}};
    static const struct {
        const struct mu_span *spans;
        size_t n;
    } parts[] = {
        {NULL, 2}, {null, 2}, {huge, 2}, {sum, 2}, {null, SIZE_MAX / 4}};
    struct mu_pool *pool = models_open(state, NULL);
    struct mu_outcome *o;

    assert_int_equal(mu_pool_submit(pool, models_echo, NULL, 1, NULL, NULL),
                     -EINVAL);
    assert_int_equal(
        mu_pool_submit(pool, models_echo, "x", SIZE_MAX, NULL, NULL), -EINVAL);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const struct mu_submit how = {.n_parts = parts[i].n};

        assert_int_equal(
            mu_pool_submit(pool, models_echo, parts[i].spans, 0, &how, NULL),
            -EINVAL);
    }
    assert_int_equal(mu_pool_next(pool, MU_NOW, &o), MU_EMPTY);
    mu_pool_close(pool);
}

static struct mu_pool *idle_pool;
static struct mu_pool *busy_pool;

static int ask_who_runs(struct mu_task *t)
{
    uint64_t tags[2] = {0, 0};
    int own;

    if (mu_pool_running(idle_pool, tags, 2, &own) != 0 || own)
        return 1;
    if (mu_pool_running(busy_pool, tags, 2, &own) != 1 || !own)
        return 2;
    return tags[0] == mu_task_tag(t) ? 0 : 3;
}

/* Not what a task of another pool is that asks. */
static void idle_pool_runs_nothing(void **state)
{
    struct mu_outcome *o;

    idle_pool = models_open(state, NULL);
    busy_pool = test_pool("threads:1", NULL);
    o = test_run_tag(busy_pool, ask_who_runs, 77);
    assert_int_equal(o->code, 0);
    assert_int_equal(o->status, MU_DONE);
    mu_outcome_free(o);
    mu_pool_close(busy_pool);
    mu_pool_close(idle_pool);
}

static void pids_are_counted_without_room(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);
    const int isolates = mu_model_isolates(mu_pool_model(pool));
    const size_t least = !isolates ? 0 : mu_pool_width(pool) > 1 ? 2 : 1;
    const int64_t end = test_deadline();
    int pids[2] = {0, 0};

    /* word of their birth may still be on its way */
    while (mu_pool_pids(pool, NULL, 0) < least && mu_now_ns() < end)
        continue;
    assert_true(mu_pool_pids(pool, pids, 1) >= least);
    assert_int_equal(pids[0] > 0, isolates);
    assert_int_equal(pids[1], 0);
    mu_pool_close(pool);
}

static const struct model_test suite[] = {
    MODEL_TEST(every_size_is_a_string),
    MODEL_TEST(every_part_is_a_string),
    MODEL_TEST(arg_is_a_string_too),
    MODEL_TEST(only_what_was_reserved_is_committed),
    MODEL_TEST(file_without_size_is_read),
    MODEL_TEST(every_range_is_a_string),
    MODEL_TEST(range_has_to_be_there),
    MODEL_TEST(range_has_to_be_there_in_a_file_without_size),
    MODEL_TEST(output_is_printed_to_the_last_byte),
    MODEL_TEST(no_more_than_the_limit_is_reserved),
    MODEL_TEST(all_there_is_cannot_be_reserved),
    MODEL_TEST(unknown_flags_are_refused),
    MODEL_TEST(numbers_out_of_range_are_refused),
    MODEL_TEST(only_bytes_are_borrowed),
    MODEL_TEST(inputs_that_cannot_be_are_refused),
    MODEL_TEST(idle_pool_runs_nothing),
    MODEL_TEST(pids_are_counted_without_room),
};

int main(void)
{
    return models_run(suite, sizeof suite / sizeof *suite);
}
