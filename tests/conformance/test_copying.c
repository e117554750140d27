/* test_copying.c: a large input takes long to copy, and others do not wait for that; under
 * every model. Here its memory is missing at first: the copy stands still until the handler
 * of the fault puts it there. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "conformance/models.h"

enum { INPUT_BYTES = 64 << 10 };

static char *input;
static _Atomic bool is_copying; /* it has come to the memory that is missing */
static _Atomic bool may_go_on;

static void give_memory(int sig, siginfo_t *info, void *context)
{
    const int64_t deadline = test_deadline();

    (void)sig;
    (void)context;
    if ((char *)info->si_addr < input ||
        (char *)info->si_addr >= input + INPUT_BYTES)
        abort();
    atomic_store(&is_copying, true);
    while (!atomic_load(&may_go_on) && mu_now_ns() < deadline)
        (void)sched_yield();
    if (mprotect(input, INPUT_BYTES, PROT_READ) < 0)
        abort();
}

/* Shared with the tasks. */
static _Atomic unsigned *n_started;

static int count_start(struct mu_task *t)
{
    (void)t;
    atomic_fetch_add(n_started, 1);
    return 0;
}

/* A caller that submits it. */
struct submitter {
    struct mu_pool *pool;
    struct mu_submit how;
    pthread_t thread;
    _Atomic bool is_over;
    int rc;
};

static void *submit_input(void *arg)
{
    struct submitter *s = arg;
    const struct mu_span parts[] = {{"head", 4}, {input, INPUT_BYTES}};
    bool whole = s->how.n_parts == 0;

    s->rc = mu_pool_submit(s->pool, models_echo, whole ? input : (void *)parts,
                           whole ? INPUT_BYTES : 0, &s->how, NULL);
    atomic_store(&s->is_over, true);
    return NULL;
}

static void *submit_batch(void *arg)
{
    struct submitter *s = arg;
    const struct mu_span batch[] = {{"x", 1}, {"y", 1}, {input, INPUT_BYTES}};
    size_t n;

    s->rc = mu_pool_submit_many(s->pool, count_start, batch, 3, NULL, &n);
    return NULL;
}

/* It stands still when this returns. */
static void submitter_start(struct submitter *s, struct mu_pool *pool,
                            struct mu_submit how, void *(*body)(void *))
{
    const struct sigaction action = {.sa_sigaction = give_memory,
                                     .sa_flags = SA_SIGINFO};
    const int64_t deadline = test_deadline();

    *s = (struct submitter){.pool = pool, .how = how};
    assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
    input =
        mmap(NULL, INPUT_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(input, MAP_FAILED);
    atomic_store(&is_copying, false);
    atomic_store(&may_go_on, false);
    assert_int_equal(pthread_create(&s->thread, NULL, body, s), 0);
    while (!atomic_load(&is_copying)) {
        assert_true(mu_now_ns() < deadline);
        (void)sched_yield();
    }
}

static int submitter_end(struct submitter *s)
{
    atomic_store(&may_go_on, true);
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    (void)munmap(input, INPUT_BYTES);
    return s->rc;
}

static void submit_beside(void **state, struct mu_submit how)
{
    struct mu_pool *pool = models_open(state, NULL);
    struct submitter other;
    struct mu_outcome *o;

    submitter_start(&other, pool, how, submit_input);
    test_submit(pool, models_echo, 0);
    test_take_as(pool, MU_DONE);
    assert_false(atomic_load(&other.is_over));
    assert_int_equal(submitter_end(&other), MU_OK);
    o = test_take(pool);
    assert_int_equal(o->status, MU_DONE);
    assert_true(o->output_size >= INPUT_BYTES);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static void others_run_while_an_input_is_copied(void **state)
{
    submit_beside(state, (struct mu_submit){.tag = 1});
}

static void others_run_while_parts_are_copied(void **state)
{
    submit_beside(state, (struct mu_submit){.n_parts = 2});
}

/* Without a further call. */
static void those_before_it_run_while_an_input_is_copied(void **state)
{
    const int64_t deadline = test_deadline();
    struct mu_pool *pool = models_open(state, NULL);
    struct submitter other;

    atomic_store(n_started, 0);
    submitter_start(&other, pool, (struct mu_submit){.tag = 0}, submit_batch);
    while (models_width(state, pool) > 0 && atomic_load(n_started) < 2) {
        assert_true(mu_now_ns() < deadline);
        (void)sched_yield();
    }
    assert_int_equal(submitter_end(&other), MU_OK);
    for (int i = 0; i < 3; i++)
        test_take_as(pool, MU_DONE);
    mu_pool_close(pool);
}

/* The limit holds: what was copied waits, or is given up, like any other. */
static void room_that_is_taken_meanwhile_is_gone(void **state)
{
    const struct mu_pool_options options = {.queue_bytes = INPUT_BYTES - 1};
    static const char much[INPUT_BYTES];
    struct mu_pool *pool = models_open(state, &options);
    struct submitter other;

    submitter_start(&other, pool,
                    (struct mu_submit){.flags = MU_SUBMIT_NO_WAIT},
                    submit_input);
    assert_int_equal(
        mu_pool_submit(pool, models_echo, much, sizeof much, NULL, NULL),
        MU_OK);
    assert_int_equal(submitter_end(&other), MU_FULL);
    test_take_as(pool, MU_DONE);
    mu_pool_close(pool);
}

int main(void)
{
    static const struct model_test suite[] = {
        MODEL_TEST(others_run_while_an_input_is_copied),
        MODEL_TEST(others_run_while_parts_are_copied),
        MODEL_TEST(those_before_it_run_while_an_input_is_copied),
        MODEL_TEST(room_that_is_taken_meanwhile_is_gone),
    };

    n_started = test_shared(sizeof *n_started);
    if (mu_init(NULL) < 0)
        return 1;
    return models_run(suite, sizeof suite / sizeof suite[0]);
}
