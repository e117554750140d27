/* test_map.c: map and reduce, under every model. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance/models.h"
#include "support/gate.h"

/* -- map and reduce -- */

struct range {
    unsigned next;
    unsigned end;
    unsigned n_out;
    unsigned n_asked;
    int answer;
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
    struct mu_pool *pool = models_open(state, NULL);
    struct range r = {.end = 5000};
    struct mu_outcome *o;

    assert_int_equal(
        mu_map(pool, models_echo, 0, range_input, range_outcome, &r, NULL), 0);
    assert_int_equal(r.n_out, 5000);
    r = (struct range){.end = 1000000};
    assert_int_equal(
        mu_map(pool, models_echo, 64, range_input, range_outcome, &r, NULL),
        77);
    assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), MU_EMPTY);
    mu_pool_close(pool);
}

static int end_at_tenth(void *ctx, const struct mu_outcome *outcome)
{
    struct range *r = ctx;

    (void)outcome;
    return ++r->n_out == 10 ? r->answer : 0;
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
    return strtoul(mu_task_input(t, NULL), NULL, 10) % 2 ? 1 : models_echo(t);
}

static void reduce_is_ordered(void **state)
{
    static const unsigned counts[] = {0, 1, 2, 15, 16, 17, 255, 256, 257, 5000};
    struct mu_pool *pool = models_open(state, NULL);

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (unsigned step = 1; step <= 2; step++) {
            struct range r = {.end = counts[i]};
            struct mu_outcome *o;
            const char *at;

            assert_int_equal(
                mu_reduce(pool, step == 1 ? models_echo : echo_even,
                          concatenate, range_input, NULL, &r, &o, NULL),
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
    struct mu_pool *pool = models_open(state, NULL);
    struct range r = {.end = 2000, .pool = pool};
    struct mu_outcome *o;

    assert_int_equal(mu_map(pool, models_echo, 0, range_input,
                            interrupt_at_outcome, &r, NULL),
                     0);
    assert_int_equal(r.n_out, 2000);
    r = (struct range){.end = 2000, .pool = pool};
    assert_int_equal(mu_reduce(pool, models_echo, concatenate, range_input,
                               interrupt_at_outcome, &r, &o, NULL),
                     0);
    assert_int_equal(r.n_out, 2000);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* Has two inputs under way, and no more. */
static int sparing_input(void *ctx, struct mu_span *ret_input,
                         struct mu_submit *ret_how)
{
    struct range *r = ctx;

    if (r->next - r->n_out >= 2)
        return MU_FULL;
    return range_input(ctx, ret_input, ret_how);
}

static int count_outcome(void *ctx, const struct mu_outcome *outcome)
{
    struct range *r = ctx;

    r->n_out++;
    assert_int_equal(outcome->status, MU_DONE);
    return 0;
}

static int never_now(void *ctx, struct mu_span *ret_input,
                     struct mu_submit *ret_how)
{
    (void)ctx;
    (void)ret_input;
    (void)ret_how;
    return MU_FULL;
}

static void inputs_may_wait_for_an_outcome(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);
    struct range r = {.end = 500};
    struct mu_outcome *o;

    assert_int_equal(
        mu_map(pool, models_echo, 0, sparing_input, range_outcome, &r, NULL),
        0);
    assert_int_equal(r.n_out, 500);
    r = (struct range){.end = 500};
    assert_int_equal(mu_reduce(pool, models_echo, concatenate, sparing_input,
                               count_outcome, &r, &o, NULL),
                     0);
    assert_int_equal(r.n_out, 500);
    mu_outcome_free(o);
    /* none can come */
    assert_int_equal(
        mu_map(pool, models_echo, 0, never_now, range_outcome, &r, NULL),
        -EINVAL);
    mu_pool_close(pool);
}

static int other_answer(void *ctx, struct mu_span *ret_input,
                        struct mu_submit *ret_how)
{
    (void)ctx;
    (void)ret_input;
    (void)ret_how;
    return MU_TIMEOUT;
}

static void input_callback_answers_what_it_may(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);
    struct range r = {.end = 5};

    assert_int_equal(
        mu_map(pool, models_echo, 0, other_answer, range_outcome, &r, NULL),
        -EINVAL);
    mu_pool_close(pool);
}

/* Outcomes of other tasks would be taken for its own. */
static void other_tasks_are_refused(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);
    struct range r = {.end = 5};
    struct mu_outcome *o;

    test_submit(pool, models_echo, 7);
    assert_int_equal(
        mu_map(pool, models_echo, 0, range_input, range_outcome, &r, NULL),
        -EBUSY);
    assert_int_equal(mu_reduce(pool, models_echo, concatenate, range_input,
                               count_outcome, &r, &o, NULL),
                     -EBUSY);
    assert_int_equal(r.next, 0);
    o = test_take(pool);
    assert_int_equal(o->status, MU_DONE);
    mu_outcome_free(o);
    assert_int_equal(
        mu_map(pool, models_echo, 0, range_input, range_outcome, &r, NULL), 0);
    assert_int_equal(r.n_out, 5);
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
    struct mu_pool *pool = models_open(state, &options);
    struct mu_outcome *o = NULL;
    int left = 200;

    assert_int_equal(mu_reduce(pool, write_much, write_much, count_down, NULL,
                               &left, &o, NULL),
                     MU_OK);
    assert_int_equal(o->output_size, 100000);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* A queue without an end of its own, and those whose size and what workers are given on
 * top make 0. */
static void any_queue_has_a_window(void **state)
{
    for (size_t n_lanes = 0; n_lanes <= 4; n_lanes++) {
        struct mu_pool_options options = {
            .queue_tasks = n_lanes ? 0 - 256 * n_lanes : SIZE_MAX};
        struct mu_pool *pool = models_open(state, &options);
        struct range r = {.end = 500};
        struct mu_outcome *o = NULL;

        assert_int_equal(
            mu_map(pool, models_echo, 0, range_input, range_outcome, &r, NULL),
            0);
        assert_int_equal(r.n_out, 500);
        r = (struct range){.end = 500};
        assert_int_equal(mu_reduce(pool, models_echo, concatenate, range_input,
                                   count_outcome, &r, &o, NULL),
                         0);
        assert_int_equal(r.n_out, 500);
        mu_outcome_free(o);
        mu_pool_close(pool);
    }
}

/* -- an end that leaves what has not started -- */

enum { N_EARLY = 32 }; /* inputs: more than workers, and fewer than may wait */

struct early_end {
    struct range range;
    unsigned width;
};

/* The end comes when each worker is at the gate. */
static int early_input(void *ctx, struct mu_span *ret_input,
                       struct mu_submit *ret_how)
{
    struct early_end *e = ctx;

    if (e->range.next < N_EARLY)
        return range_input(&e->range, ret_input, ret_how);
    test_gate_await(e->width);
    return MU_CLOSED;
}

static int early_outcome(void *ctx, const struct mu_outcome *outcome)
{
    struct early_end *e = ctx;

    assert_true(outcome->status == MU_DONE || outcome->status == MU_CANCELLED);
    e->range.n_out += outcome->status == MU_DONE;
    return 0;
}

static int echo_at_gate(struct mu_task *t)
{
    (void)test_gate_pass(t);
    return models_echo(t);
}

static void *open_when_cancelled(void *pool)
{
    struct mu_stats stats;

    do {
        (void)sched_yield();
        mu_pool_stats(pool, &stats);
    } while (stats.ended[MU_CANCELLED] == 0);
    test_gate_open();
    return NULL;
}

/* Only what has begun runs to its end: one for each worker; none under serial. */
static void early_end(void **state, bool reduces)
{
    struct mu_pool *pool = models_open(state, NULL);
    struct early_end e = {.range = {.end = N_EARLY},
                          .width = models_width(state, pool)};
    struct mu_outcome *o = NULL;
    unsigned n_parts = 0;
    pthread_t opener;

    test_gate_shut();
    assert_int_equal(pthread_create(&opener, NULL, open_when_cancelled, pool),
                     0);
    if (reduces)
        assert_int_equal(mu_reduce(pool, echo_at_gate, concatenate, early_input,
                                   early_outcome, &e, &o, NULL),
                         0);
    else
        assert_int_equal(
            mu_map(pool, echo_at_gate, 0, early_input, early_outcome, &e, NULL),
            0);
    assert_int_equal(pthread_join(opener, NULL), 0);
    assert_int_equal(e.range.n_out, e.width);
    for (size_t i = 0; o && i < o->output_size; i++)
        n_parts += ((const char *)o->output)[i] == ' ';
    assert_int_equal(n_parts,
                     reduces ? e.width : 0); /* all that ran is in it */
    mu_outcome_free(o);
    assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), MU_EMPTY);
    mu_pool_close(pool);
}

static void early_end_leaves_what_waits(void **state)
{
    early_end(state, false);
}

static void early_end_of_reduce_leaves_what_waits(void **state)
{
    early_end(state, true);
}

/* -- interrupts while the oldest outcome is missing -- */

enum { N_INTERRUPTS = 200 };

/* Interrupts whenever it is asked, until it has been so often. */
static int interrupting_input(void *ctx, struct mu_span *ret_input,
                              struct mu_submit *ret_how)
{
    struct range *r = ctx;

    if (r->n_asked >= N_INTERRUPTS)
        test_gate_open();
    else
        mu_pool_interrupt(r->pool);
    r->n_asked++;
    return range_input(ctx, ret_input, ret_how);
}

/* The first ends when the gate is open. */
static int echo_first_at_gate(struct mu_task *t)
{
    const int64_t deadline = test_deadline();
    bool is_first = strtoul(mu_task_input(t, NULL), NULL, 10) == 0;

    while (is_first && !atomic_load(&gate->is_open)) {
        if (mu_now_ns() > deadline)
            return 1;
        (void)sched_yield();
    }
    return models_echo(t);
}

/* Each of them, though the window holds no more inputs: and each brings one. */
static void interrupts_are_heard_beyond_the_window(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);
    struct range r = {.end = 500, .pool = pool};

    test_gate_shut();
    assert_int_equal(mu_map(pool, echo_first_at_gate, 1, interrupting_input,
                            range_outcome, &r, NULL),
                     0);
    assert_int_equal(r.n_out, 500);
    mu_pool_close(pool);
}

static int give_nothing(struct mu_task *t)
{
    (void)t;
    return 0;
}

static int give_tags(struct mu_task *t)
{
    int rc = concatenate(t);

    return rc ? rc
              : mu_task_printf(t, "%llu ", (unsigned long long)mu_task_tag(t));
}

/* Whoever looks at what runs takes no two of them for one. */
static void steps_that_combine_have_tags_of_their_own(void **state)
{
    /* 16 of inputs, one of those, and one of that and the last input */
    enum { N_STEPS = 18 };
    struct mu_pool *pool = models_open(state, NULL);
    struct range r = {.end = 257};
    uint64_t tags[N_STEPS];
    struct mu_outcome *o;
    const char *at;

    assert_int_equal(mu_reduce(pool, give_nothing, give_tags, range_input, NULL,
                               &r, &o, NULL),
                     0);
    at = o->output;
    for (size_t i = 0; i < N_STEPS; i++) {
        char *end;

        tags[i] = strtoull(at, &end, 10);
        assert_true(tags[i] >= MU_REDUCE_TAGS);
        for (size_t j = 0; j < i; j++)
            assert_true(tags[j] != tags[i]);
        at = end + 1;
    }
    assert_ptr_equal(at, (const char *)o->output + o->output_size);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* -- how they end -- */

static int combine_fails(struct mu_task *t)
{
    (void)t;
    return 3;
}

static void reduce_says_when_combining_fails(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);
    struct range r = {.end = 100};
    struct mu_outcome *o;
    struct mu_error err;

    assert_int_equal(mu_reduce(pool, models_echo, combine_fails, range_input,
                               NULL, &r, &o, &err),
                     -ECANCELED);
    assert_int_equal(o->status, MU_FAILED);
    assert_int_equal(o->code, 3);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* Whatever it is: some values have a meaning where map and reduce wait themselves. */
static void outcome_callback_ends_with_what_it_returns(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);
    static const int answers[] = {MU_EMPTY, -ECANCELED};

    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct range r = {.end = 100, .answer = answers[i]};
        struct mu_error err = {.text = ""};
        struct mu_outcome *o = (struct mu_outcome *)&r;

        assert_int_equal(
            mu_map(pool, models_echo, 0, range_input, end_at_tenth, &r, &err),
            answers[i]);
        assert_int_equal(r.n_out, 10);
        assert_int_equal(err.code, answers[i]);
        assert_non_null(strstr(err.text, "callback for outcomes"));
        r = (struct range){.end = 100, .answer = answers[i]};
        err = (struct mu_error){.text = ""};
        assert_int_equal(mu_reduce(pool, models_echo, concatenate, range_input,
                                   end_at_tenth, &r, &o, &err),
                         answers[i]);
        assert_int_equal(r.n_out, 10);
        assert_int_equal(err.code, answers[i]);
        assert_null(o); /* no combine step ended it */
    }
    mu_pool_close(pool);
}

static void use_parents_pool(void *pool)
{
    struct range r = {.end = 0};
    struct mu_outcome *o;
    const struct mu_submit limited = {.timeout_ns = 1};
    uint64_t tag;
    int own;

    /* whatever the model can */
    CHECK_CHILD(mu_pool_submit(pool, models_echo, NULL, 0, &limited, NULL) ==
                -EINVAL);
    CHECK_CHILD(mu_map(pool, models_echo, 0, range_input, range_outcome, &r,
                       NULL) == -EINVAL);
    CHECK_CHILD(mu_reduce(pool, models_echo, concatenate, range_input, NULL, &r,
                          &o, NULL) == -EINVAL);
    CHECK_CHILD(mu_pool_running(pool, &tag, 1, &own) == 0 && !own);
}

/* Not as if it were one that has other tasks, or ends at once without inputs. */
static void child_of_fork_is_refused(void **state)
{
    struct mu_pool *pool = models_open(state, NULL);

    test_gate_shut();
    test_submit(pool, echo_at_gate, 0);
    test_gate_await(models_width(state, pool) > 0 ? 1 : 0);
    assert_int_equal(test_wait(test_fork(use_parents_pool, pool)), 0);
    test_gate_open();
    test_take_as(pool, MU_DONE);
    mu_pool_close(pool);
}

static const struct model_test suite[] = {
    MODEL_TEST(map_keeps_order),
    MODEL_TEST(reduce_is_ordered),
    MODEL_TEST(interrupts_ask_the_input_again),
    MODEL_TEST(interrupts_are_heard_beyond_the_window),
    MODEL_TEST(inputs_may_wait_for_an_outcome),
    MODEL_TEST(other_tasks_are_refused),
    MODEL_TEST(input_callback_answers_what_it_may),
    MODEL_TEST(reduce_goes_on_in_a_full_pool),
    MODEL_TEST(any_queue_has_a_window),
    MODEL_TEST(steps_that_combine_have_tags_of_their_own),
    MODEL_TEST(early_end_leaves_what_waits),
    MODEL_TEST(early_end_of_reduce_leaves_what_waits),
    MODEL_TEST(reduce_says_when_combining_fails),
    MODEL_TEST(outcome_callback_ends_with_what_it_returns),
    MODEL_TEST(child_of_fork_is_refused),
};

int main(void)
{
    test_gate_make();
    return models_run(suite, sizeof suite / sizeof *suite);
}
