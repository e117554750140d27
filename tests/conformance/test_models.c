/* test_models.c: one suite that runs for every model: what a pool promises
 * whatever its workers are. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "muster/muster.h"

static const char *const models[] = {
    "serial",      "threads:1",   "threads:4",
    "processes:1", "processes:4", "processes:2/threads:2",
};

#define N_OF(array) (sizeof(array) / sizeof(array)[0])

static struct mu_pool *open_pool(void **state, struct mu_pool_options *options)
{
    struct mu_pool *pool = NULL;
    struct mu_error err = {.text = ""};

    if (mu_pool_open(*state, options, &pool, &err) != 0)
        fail_msg("%s: %s", (const char *)*state, err.text);
    return pool;
}

static struct mu_outcome *take(struct mu_pool *pool)
{
    struct mu_outcome *o = NULL;

    assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), MU_OK);
    return o;
}

/* -- tasks -- */

static int echo(struct mu_task *t)
{
    size_t size;
    const void *input = mu_task_input(t, &size);

    return mu_task_write(t, input, size);
}

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

static int wait_for_cancel(struct mu_task *t)
{
    while (!mu_task_is_cancelled(t))
        continue;
    return 7;
}

/* -- tests -- */

static void every_task_ends_once(void **state)
{
    enum { N = 20000 };
    struct mu_pool *pool = open_pool(state, NULL);
    unsigned char *seen = calloc(N, 1);
    struct mu_outcome *o;
    struct mu_submit how = {.tag = 0};

    for (unsigned i = 0; i < N; i++) {
        how.tag = i;
        assert_int_equal(mu_pool_submit(pool, echo, &i, sizeof i, &how, NULL),
                         MU_OK);
    }
    for (unsigned i = 0; i < N; i++) {
        unsigned value;

        o = take(pool);
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
    static const size_t sizes[] = {0,       1,       31,      32,
                                   33,      40,      41,      4095,
                                   4096,    65536,   1 << 20, (1 << 20) + 1,
                                   5 << 20, 40 << 20};
    struct mu_pool *pool = open_pool(state, NULL);

    for (size_t i = 0; i < N_OF(sizes); i++) {
        struct mu_outcome *o;
        struct mu_outcome *back;
        const unsigned char *bytes;

        assert_int_equal(mu_pool_submit(pool, make_bytes, &sizes[i],
                                        sizeof sizes[i], NULL, NULL),
                         MU_OK);
        o = take(pool);
        assert_int_equal(o->status, MU_DONE);
        assert_int_equal(o->output_size, sizes[i]);
        bytes = o->output;
        for (size_t j = 0; j < sizes[i]; j++)
            if (bytes[j] != (unsigned char)(j * 31 + j / 4096))
                fail_msg("byte %zu of %zu", j, sizes[i]);
        assert_int_equal(bytes[sizes[i]], 0);
        assert_int_equal(
            mu_pool_submit(pool, echo, o->output, o->output_size, NULL, NULL),
            MU_OK);
        back = take(pool);
        assert_int_equal(back->output_size, sizes[i]);
        assert_memory_equal(back->output, o->output, sizes[i]);
        mu_outcome_free(back);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

static void many_outputs_in_flight(void **state)
{
    enum { N = 300 };
    struct mu_pool *pool = open_pool(state, NULL);

    for (size_t i = 0; i < N; i++) {
        size_t size = i * 7919 % 700000;

        assert_int_equal(
            mu_pool_submit(pool, make_bytes, &size, sizeof size, NULL, NULL),
            MU_OK);
    }
    for (size_t i = 0; i < N; i++) {
        struct mu_outcome *o = take(pool);
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
    struct mu_pool *pool = open_pool(state, NULL);
    struct mu_submit how = {.tag = 42};
    struct mu_outcome *o;
    char text[100];

    assert_int_equal(mu_pool_submit(pool, fail_with_tag, NULL, 0, &how, NULL),
                     MU_OK);
    o = take(pool);
    assert_int_equal(o->status, MU_FAILED);
    assert_int_equal(o->code, 42);
    assert_string_equal(o->output, "attempt 1");
    (void)mu_outcome_describe(o, text, sizeof text);
    assert_string_equal(text, "failed: returned 42");
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static void retries_until_done(void **state)
{
    struct mu_pool_options options = {.retries = 5};
    struct mu_pool *pool = open_pool(state, &options);
    struct mu_submit how = {.flags = MU_SUBMIT_RETRIES, .retries = 1};
    struct mu_outcome *o;

    assert_int_equal(
        mu_pool_submit(pool, fail_until_third, NULL, 0, NULL, NULL), MU_OK);
    o = take(pool);
    assert_int_equal(o->status, MU_DONE);
    assert_int_equal(o->attempts, 3);
    mu_outcome_free(o);
    assert_int_equal(
        mu_pool_submit(pool, fail_until_third, NULL, 0, &how, NULL), MU_OK);
    o = take(pool);
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
    struct mu_pool *pool = open_pool(state, &options);

    for (int i = 0; i < N; i++) {
        struct mu_outcome *o;

        assert_int_equal(
            mu_pool_submit(pool, fail_until_third, NULL, 0, NULL, NULL), MU_OK);
        o = take(pool);
        assert_int_equal(o->attempts, 3);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

static void borrowed_input_is_read_in_place(void **state)
{
    enum { SIZE = 3 << 20 };
    struct mu_pool *pool = open_pool(state, NULL);
    struct mu_submit how = {.flags = MU_SUBMIT_BORROW};
    unsigned char *memory = mu_pool_alloc(pool, SIZE);
    struct mu_outcome *o;

    memset(memory, 2, SIZE);
    assert_int_equal(mu_pool_submit(pool, sum_bytes, memory, SIZE, &how, NULL),
                     MU_OK);
    o = take(pool);
    assert_string_equal(o->output, "3145728 6291456");
    mu_outcome_free(o);
    mu_pool_free(pool, memory);
    mu_pool_close(pool);
}

static void file_input_is_mapped(void **state)
{
    static const char text[] = "0123456789";
    char path[] = "/tmp/muster-test-XXXXXX";
    struct mu_pool *pool = open_pool(state, NULL);
    struct mu_submit how = {.path = path};
    struct mu_outcome *o;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, 10), 10);
    assert_int_equal(mu_pool_submit(pool, echo, NULL, 0, &how, NULL), MU_OK);
    o = take(pool);
    assert_string_equal(o->output, "0123456789");
    mu_outcome_free(o);
    how.offset = 3;
    how.size = 4;
    assert_int_equal(mu_pool_submit(pool, echo, NULL, 0, &how, NULL), MU_OK);
    o = take(pool);
    assert_string_equal(o->output, "3456");
    mu_outcome_free(o);
    (void)unlink(path);
    (void)close(fd);
    assert_int_equal(mu_pool_submit(pool, echo, NULL, 0, &how, NULL), MU_OK);
    o = take(pool);
    assert_int_equal(o->status, MU_FAILED);
    assert_int_equal(o->code, -ENOENT);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static void arg_is_seen(void **state)
{
    struct mu_pool_options options = {.arg = "context", .arg_size = 7};
    struct mu_pool *pool = open_pool(state, &options);
    struct mu_outcome *o;

    assert_int_equal(mu_pool_submit(pool, show_arg, NULL, 0, NULL, NULL),
                     MU_OK);
    o = take(pool);
    assert_string_equal(o->output, "context");
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* No worker ends before it has done anything. */
static void workers_stay(void **state)
{
    enum { N = 20 };
    struct mu_pool_stats stats;

    for (int i = 0; i < N; i++) {
        struct mu_pool *pool = open_pool(state, NULL);

        /* time for those that would go */
        for (unsigned j = 0; j < mu_pool_width(pool); j++) {
            assert_int_equal(mu_pool_submit(pool, echo, NULL, 0, NULL, NULL),
                             MU_OK);
            mu_outcome_free(take(pool));
        }
        (void)usleep(2000);
        mu_pool_stats(pool, &stats);
        assert_int_equal(stats.n_workers_died, 0);
        mu_pool_close(pool);
    }
}

static int print_little(struct mu_task *t)
{
    return mu_task_printf(t, "%s", "little");
}

static void little_text_fits_a_small_limit(void **state)
{
    struct mu_pool_options options = {.output_bytes = 64};
    struct mu_pool *pool = open_pool(state, &options);
    struct mu_outcome *o;

    assert_int_equal(mu_pool_submit(pool, print_little, NULL, 0, NULL, NULL),
                     MU_OK);
    o = take(pool);
    assert_int_equal(o->status, MU_DONE);
    assert_string_equal(o->output, "little");
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static int write_much(struct mu_task *t)
{
    enum { SIZE = 100000 };
    char *room = mu_task_reserve(t, SIZE);

    if (!room)
        return 1;
    memset(room, 'x', SIZE);
    mu_task_commit(t, SIZE);
    return 0;
}

static int count_down(void *ctx, struct mu_span *ret_input,
                      struct mu_submit *ret_how)
{
    int *left = ctx;

    (void)ret_input;
    (void)ret_how;
    return (*left)-- > 0 ? MU_OK : MU_EMPTY;
}

/* Outputs that nobody has taken yet fill the pool; combining them goes on. */
static void reduce_goes_on_in_a_full_pool(void **state)
{
    struct mu_pool_options options = {.queue_bytes = 300000};
    struct mu_pool *pool = open_pool(state, &options);
    struct mu_outcome *o = NULL;
    int left = 200;

    assert_int_equal(mu_reduce(pool, write_much, write_much, count_down, NULL,
                               &left, &o, NULL),
                     MU_OK);
    assert_int_equal(o->output_size, 100000);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static int take_a_while(struct mu_task *t)
{
    (void)t;
    return usleep(20 * 1000);
}

/* Also those that were given to a worker ahead. */
static void cancelled_before_its_start_does_not_run(void **state)
{
    enum { N = 100 };
    struct mu_pool *pool = open_pool(state, NULL);
    unsigned n_done = 0;

    for (int i = 0; i < N; i++)
        assert_int_equal(
            mu_pool_submit(pool, take_a_while, NULL, 0, NULL, NULL), MU_OK);
    (void)usleep(5 * 1000);
    assert_int_equal(mu_pool_cancel_all(pool, 0), 0);
    for (int i = 0; i < N; i++) {
        struct mu_outcome *o = take(pool);

        n_done += o->status == MU_DONE;
        mu_outcome_free(o);
    }
    assert_in_range(n_done, 0, 4 * mu_pool_width(pool));
    mu_pool_close(pool);
}

static void full_queue_says_so(void **state)
{
    struct mu_pool_options options = {.queue_tasks = 4, .window = 1};
    struct mu_pool *pool = open_pool(state, &options);
    struct mu_submit how = {.flags = MU_SUBMIT_NO_WAIT};
    unsigned n = 0;
    struct mu_outcome *o;

    while (mu_pool_submit(pool, wait_for_cancel, NULL, 0, &how, NULL) == MU_OK)
        n++;
    assert_int_equal(
        n, 4 + (strcmp(*state, "serial") == 0 ? 1 : mu_pool_width(pool)));
    assert_int_equal(mu_pool_cancel_all(pool, 0), 0);
    while (n-- > 0) {
        o = take(pool);
        assert_int_equal(o->status, MU_CANCELLED);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

static void queue_is_full_of_bytes_too(void **state)
{
    enum { SIZE = 100000, FIT = 10 };
    static const char bytes[SIZE];
    struct mu_pool_options options = {.queue_bytes = FIT * SIZE};
    struct mu_pool *pool = open_pool(state, &options);
    struct mu_submit how = {.flags = MU_SUBMIT_NO_WAIT};
    unsigned n = 0;

    while (n < 100 && mu_pool_submit(pool, wait_for_cancel, bytes, SIZE, &how,
                                     NULL) == MU_OK)
        n++;
    assert_int_equal(n, FIT + 1); /* the last one is let in */
    assert_int_equal(mu_pool_cancel_all(pool, 0), 0);
    while (n-- > 0)
        mu_outcome_free(take(pool));
    mu_pool_close(pool);
}

static void cancel_waiting_leaves_what_runs(void **state)
{
    enum { N = 100 };
    struct mu_pool_options options = {.queue_tasks = N};
    struct mu_pool *pool = open_pool(state, &options);
    struct mu_pool_stats stats;
    struct mu_outcome *o;
    unsigned n_cancelled = 0;
    int is_serial = strcmp(*state, "serial") == 0;

    for (unsigned i = 0; i < N; i++)
        assert_int_equal(
            mu_pool_submit(pool, wait_for_cancel, NULL, 0, NULL, NULL), MU_OK);
    assert_int_equal(mu_pool_cancel_waiting(pool), 0);
    while (n_cancelled < N &&
           mu_pool_next(pool, mu_after_ns(20000000), &o) == MU_OK) {
        assert_int_equal(o->status, MU_CANCELLED);
        mu_outcome_free(o);
        n_cancelled++;
    }
    mu_pool_stats(pool, &stats);
    assert_in_range(N - n_cancelled, 0, is_serial ? 0 : mu_pool_width(pool));
    assert_int_equal(stats.n_queued, 0);
    assert_int_equal(mu_pool_cancel_all(pool, 0), 0);
    while (n_cancelled < N) {
        o = take(pool);
        assert_int_equal(o->status, MU_CANCELLED);
        mu_outcome_free(o);
        n_cancelled++;
    }
    mu_pool_close(pool);
}

static void wait_takes_one_task(void **state)
{
    struct mu_pool *pool = open_pool(state, NULL);
    uint64_t ids[100];
    struct mu_outcome *o;

    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(
            mu_pool_submit(pool, echo, &i, sizeof i, NULL, &ids[i]), MU_OK);
    for (unsigned i = 100; i-- > 0;) {
        assert_int_equal(mu_pool_wait(pool, ids[i], MU_NEVER, &o), MU_OK);
        assert_memory_equal(o->output, &i, sizeof i);
        mu_outcome_free(o);
        assert_int_equal(mu_pool_wait(pool, ids[i], MU_NEVER, &o), MU_EMPTY);
    }
    assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), MU_EMPTY);
    mu_pool_close(pool);
}

static void interrupt_ends_a_wait(void **state)
{
    struct mu_pool *pool = open_pool(state, NULL);
    struct mu_outcome *o;

    if (strcmp(*state, "serial") == 0) {
        mu_pool_close(pool);
        return; /* the caller runs the task itself: it never waits */
    }
    assert_int_equal(mu_pool_submit(pool, wait_for_cancel, NULL, 0, NULL, NULL),
                     MU_OK);
    mu_pool_interrupt(pool);
    assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), -EINTR);
    assert_int_equal(mu_pool_next(pool, MU_NOW, &o), MU_TIMEOUT);
    assert_int_equal(mu_pool_next(pool, mu_after_ns(1000), &o), MU_TIMEOUT);
    assert_int_equal(mu_pool_cancel_all(pool, 0), 0);
    mu_outcome_free(take(pool));
    mu_pool_close(pool);
}

static void close_with_work_left(void **state)
{
    struct mu_pool *pool = open_pool(state, NULL);

    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(mu_pool_submit(pool, echo, &i, sizeof i, NULL, NULL),
                         MU_OK);
    mu_pool_close(pool);
}

static void outcome_outlives_pool(void **state)
{
    struct mu_pool *pool = open_pool(state, NULL);
    struct mu_outcome *o;
    size_t size = 100000;

    assert_int_equal(
        mu_pool_submit(pool, make_bytes, &size, sizeof size, NULL, NULL),
        MU_OK);
    o = take(pool);
    mu_pool_close(pool);
    assert_int_equal(o->output_size, size);
    assert_int_equal(((const unsigned char *)o->output)[1], 31);
    mu_outcome_free(o);
}

/* -- map and reduce -- */

struct range {
    unsigned next;
    unsigned end;
    unsigned n_out;
    struct mu_pool *pool;
    char text[64];
};

static int range_input(void *ctx, struct mu_span *ret_input,
                       struct mu_submit *ret_how)
{
    struct range *r = ctx;

    (void)ret_how;
    if (r->next == r->end)
        return MU_EMPTY;
    *ret_input = (struct mu_span){
        r->text, (size_t)snprintf(r->text, sizeof r->text, "%u ", r->next++)};
    return 0;
}

static int range_outcome(void *ctx, const struct mu_outcome *outcome)
{
    struct range *r = ctx;

    assert_int_equal(strtoul(outcome->output, NULL, 10), r->n_out);
    r->n_out++;
    return r->n_out == 500 && r->end == 1000000 ? 77 : 0;
}

static void map_keeps_order(void **state)
{
    struct mu_pool *pool = open_pool(state, NULL);
    struct range r = {.end = 5000};
    struct mu_outcome *o;

    assert_int_equal(
        mu_map(pool, echo, 0, range_input, range_outcome, &r, NULL), 0);
    assert_int_equal(r.n_out, 5000);
    r = (struct range){.end = 1000000};
    assert_int_equal(
        mu_map(pool, echo, 64, range_input, range_outcome, &r, NULL), 77);
    assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), MU_EMPTY);
    mu_pool_close(pool);
}

static int concatenate(struct mu_task *t)
{
    for (size_t i = 0; i < mu_task_n_parts(t); i++) {
        size_t size;
        const void *part = mu_task_part(t, i, &size);
        int rc = mu_task_write(t, part, size);

        if (rc < 0)
            return rc;
    }
    return 0;
}

static int echo_even(struct mu_task *t)
{
    return strtoul(mu_task_input(t, NULL), NULL, 10) % 2 ? 1 : echo(t);
}

static void reduce_is_ordered(void **state)
{
    static const unsigned counts[] = {0, 1, 2, 15, 16, 17, 255, 256, 257, 5000};
    struct mu_pool *pool = open_pool(state, NULL);

    for (size_t i = 0; i < N_OF(counts); i++)
        for (unsigned step = 1; step <= 2; step++) {
            struct range r = {.end = counts[i]};
            struct mu_outcome *o;
            const char *at;

            assert_int_equal(mu_reduce(pool, step == 1 ? echo : echo_even,
                                       concatenate, range_input, NULL, &r, &o,
                                       NULL),
                             0);
            at = o->output;
            for (unsigned j = 0; j < counts[i]; j += step) {
                char *end;

                assert_int_equal(strtoul(at, &end, 10), j);
                at = end + 1;
            }
            assert_ptr_equal(at, (const char *)o->output + o->output_size);
            mu_outcome_free(o);
        }
    mu_pool_close(pool);
}

/* Interrupts at every outcome: the input callback is asked again and goes on. */
static int interrupt_at_outcome(void *ctx, const struct mu_outcome *outcome)
{
    struct range *r = ctx;

    (void)outcome;
    r->n_out++;
    mu_pool_interrupt(r->pool);
    return 0;
}

static void interrupts_ask_the_input_again(void **state)
{
    struct mu_pool *pool = open_pool(state, NULL);
    struct range r = {.end = 2000, .pool = pool};
    struct mu_outcome *o;

    assert_int_equal(
        mu_map(pool, echo, 0, range_input, interrupt_at_outcome, &r, NULL), 0);
    assert_int_equal(r.n_out, 2000);
    r = (struct range){.end = 2000, .pool = pool};
    assert_int_equal(mu_reduce(pool, echo, concatenate, range_input,
                               interrupt_at_outcome, &r, &o, NULL),
                     0);
    assert_int_equal(r.n_out, 2000);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* -- an end that leaves what has not started -- */

struct early_end {
    struct range range;
    unsigned end_after; /* outcomes */
};

static int early_input(void *ctx, struct mu_span *ret_input,
                       struct mu_submit *ret_how)
{
    struct early_end *e = ctx;

    if (e->range.n_out >= e->end_after)
        return MU_CLOSED;
    return range_input(&e->range, ret_input, ret_how);
}

static int early_outcome(void *ctx, const struct mu_outcome *outcome)
{
    struct early_end *e = ctx;

    if (outcome->status == MU_CANCELLED)
        return 0;
    assert_int_equal(outcome->status, MU_DONE);
    if (++e->range.n_out == e->end_after)
        mu_pool_interrupt(e->range.pool);
    return 0;
}

static int echo_slowly(struct mu_task *t)
{
    (void)usleep(2000);
    return echo(t);
}

/* Far more inputs are under way than run before the end is known. */
static void early_end_leaves_what_waits(void **state)
{
    struct mu_pool *pool = open_pool(state, NULL);
    struct early_end e = {.range = {.end = 1500, .pool = pool}, .end_after = 5};
    struct mu_outcome *o;
    unsigned n_most = 5 + 4 * mu_pool_width(pool);
    unsigned n_parts = 0;

    assert_int_equal(
        mu_map(pool, echo_slowly, 0, early_input, early_outcome, &e, NULL), 0);
    assert_in_range(e.range.n_out, 5, n_most);
    e = (struct early_end){.range = {.end = 1500, .pool = pool},
                           .end_after = 5};
    assert_int_equal(mu_reduce(pool, echo_slowly, concatenate, early_input,
                               early_outcome, &e, &o, NULL),
                     0);
    assert_in_range(e.range.n_out, 5, n_most);
    for (size_t i = 0; i < o->output_size; i++)
        n_parts += ((const char *)o->output)[i] == ' ';
    assert_int_equal(n_parts, e.range.n_out); /* all that ran is in it */
    mu_outcome_free(o);
    assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), MU_EMPTY);
    mu_pool_close(pool);
}

static int combine_fails(struct mu_task *t)
{
    (void)t;
    return 3;
}

static void reduce_says_when_combining_fails(void **state)
{
    struct mu_pool *pool = open_pool(state, NULL);
    struct range r = {.end = 100};
    struct mu_outcome *o;
    struct mu_error err;

    assert_int_equal(
        mu_reduce(pool, echo, combine_fails, range_input, NULL, &r, &o, &err),
        -ECANCELED);
    assert_int_equal(o->status, MU_FAILED);
    assert_int_equal(o->code, 3);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

#define T(test)                                                                \
    {                                                                          \
#        test, test                                                            \
    }
static const struct {
    const char *name;
    void (*run)(void **state);
} suite[] = {
    T(every_task_ends_once),
    T(sizes_of_all_kinds_travel),
    T(many_outputs_in_flight),
    T(failure_has_code_and_output),
    T(retries_until_done),
    T(many_retries_in_a_row),
    T(borrowed_input_is_read_in_place),
    T(file_input_is_mapped),
    T(arg_is_seen),
    T(workers_stay),
    T(little_text_fits_a_small_limit),
    T(reduce_goes_on_in_a_full_pool),
    T(cancelled_before_its_start_does_not_run),
    T(full_queue_says_so),
    T(queue_is_full_of_bytes_too),
    T(cancel_waiting_leaves_what_runs),
    T(wait_takes_one_task),
    T(interrupt_ends_a_wait),
    T(close_with_work_left),
    T(outcome_outlives_pool),
    T(map_keeps_order),
    T(reduce_is_ordered),
    T(interrupts_ask_the_input_again),
    T(early_end_leaves_what_waits),
    T(reduce_says_when_combining_fails),
};

int main(void)
{
    struct CMUnitTest tests[N_OF(suite) * N_OF(models)];
    char names[N_OF(suite) * N_OF(models)][80];
    size_t n = 0;

    for (size_t m = 0; m < N_OF(models); m++)
        for (size_t i = 0; i < N_OF(suite); i++, n++) {
            (void)snprintf(names[n], sizeof names[n], "%s/%s", models[m],
                           suite[i].name);
            tests[n] = (struct CMUnitTest){.name = names[n],
                                           .test_func = suite[i].run,
                                           .initial_state =
                                               (void *)(uintptr_t)models[m]};
        }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
