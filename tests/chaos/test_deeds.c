/* test_deeds.c: for each deed, innocent tasks around it, under models that isolate:
 * only that task is lost, its outcome names the deed, nobody innocent is lost or
 * charged, the pool goes on, and nothing is left behind. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "muster/muster.h"

#include "chaos/deeds.h"
#include "chaos/descent.h"

static const char *const models[] = {"processes:2", "processes:2/threads:2"};

enum { N_MODELS = 2, N_USUAL = 400 };

/* Tasks of an experiment; `make torture` asks for more by $TORTURE_TASKS. */
static unsigned n_tasks = N_USUAL;

struct experiment {
    const struct deed *deed;
    const char *model;
    char name[64];
};

/* Guardian and nursery: what mu_init() left. */
enum { N_STANDING = 2 };

static struct mu_pool *open_pool(const char *model)
{
    const struct mu_pool_options options = {.timeout_ns = INT64_C(100000000000),
                                            .memory_bytes = 64 << 20,
                                            .output_bytes = 16 << 20};
    struct mu_pool *pool;
    struct mu_error err;

    if (mu_pool_open(model, &options, &pool, &err) != 0)
        fail_msg("%s: %s", model, err.text);
    return pool;
}

static void submit(struct mu_pool *pool, unsigned i, const struct deed *deed)
{
    /* soon for what has to end by it; never, on a busy machine, for the others */
    const bool late = i == n_tasks / 2 && deed->allowed & 1u << MU_TIMED_OUT;
    const struct mu_submit how = {.tag = i,
                                  .timeout_ns = late ? INT64_C(1000000000) : 0};
    mu_task_fn fn = i == n_tasks / 2 ? deed->fn : deed_innocent;

    assert_int_equal(mu_pool_submit(pool, fn, &i, sizeof i, &how, NULL), 0);
}

static void check_guilty(const struct mu_outcome *o, const struct deed *deed)
{
    char text[500];

    (void)mu_outcome_describe(o, text, sizeof text);
    if (!(deed->allowed & 1u << o->status) ||
        (deed->signal && deed->signal != o->signal) ||
        (o->status == MU_EXITED && deed->code != o->code) ||
        (deed->says && !strstr(text, deed->says)))
        fail_msg("%s ended as: %s", deed->name, text);
}

static void check_innocent(const struct mu_outcome *o, const struct deed *deed)
{
    unsigned value = 0;
    char text[500];

    (void)mu_outcome_describe(o, text, sizeof text);
    if (o->status != MU_DONE)
        fail_msg("beside %s innocent %u ended as: %s", deed->name,
                 (unsigned)o->tag, text);
    assert_int_equal(o->output_size, sizeof value);
    memcpy(&value, o->output, sizeof value);
    assert_int_equal(value, o->tag);
    assert_int_equal(o->attempts, 1);
}

static void only_the_deed_is_lost(void **state)
{
    const struct experiment *e = *state;
    struct mu_pool *pool = open_pool(e->model);
    unsigned char *seen = calloc(n_tasks, 1);
    struct mu_outcome *o;

    /* twice: the pool goes on */
    for (int round = 1; round <= 2; round++) {
        for (unsigned i = 0; i < n_tasks; i++)
            submit(pool, i, e->deed);
        for (unsigned i = 0; i < n_tasks; i++) {
            assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), 0);
            if (o->tag == n_tasks / 2)
                check_guilty(o, e->deed);
            else
                check_innocent(o, e->deed);
            assert_int_equal(++seen[o->tag], round);
            mu_outcome_free(o);
        }
        assert_int_equal(mu_pool_next(pool, MU_NOW, &o), MU_EMPTY);
    }
    mu_pool_close(pool);
    free(seen);
    /* what a worker left is killed as soon as it is seen, which takes a turn of
     * the nursery */
    for (int i = 0; i < 5000 && descent_count(0, NULL, 0) > N_STANDING; i++)
        (void)usleep(1000);
    assert_int_equal(descent_count(0, NULL, 0), N_STANDING);
}

/* Workers are killed from outside, at random, while tasks run: each task ends
 * once, killed or done. $TORTURE_SECONDS says for how long. */
static void random_kills_lose_nothing(void **state)
{
    const char *text = getenv("TORTURE_SECONDS");
    int64_t end = mu_after_ns((text ? atoi(text) : 1) * INT64_C(1000000000));
    int64_t next = 0;
    struct mu_pool *pool = open_pool("processes:4");
    uint64_t seed = 88172645463325252u;
    unsigned n_killed = 0;
    unsigned n_ended = 0;
    unsigned n_submitted = 0;
    struct mu_outcome *o;

    (void)state;
    while (mu_now_ns() < end) {
        int pids[4];
        size_t n = mu_pool_pids(pool, pids, 4);

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        if (n > 0 && mu_now_ns() >= next) {
            n_killed += kill(pids[(seed >> 33) % n], SIGKILL) == 0;
            next = mu_after_ns(10 * 1000 * 1000); /* 100 a second */
        }
        for (int i = 0; i < 100; i++, n_submitted++)
            assert_int_equal(
                mu_pool_submit(pool, deed_innocent, "x", 1, NULL, NULL), 0);
        while (n_submitted - n_ended > 200) {
            assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), 0);
            assert_true(o->status == MU_DONE ||
                        (o->status == MU_CRASHED && o->signal == SIGKILL));
            n_ended++;
            mu_outcome_free(o);
        }
    }
    while (mu_pool_next(pool, MU_NEVER, &o) == 0) {
        n_ended++;
        mu_outcome_free(o);
    }
    assert_int_equal(n_ended, n_submitted);
    assert_true(n_killed > 0);
    mu_pool_close(pool);
}

int main(int argc, char **argv)
{
    struct experiment *experiments =
        calloc((size_t)n_deeds * N_MODELS, sizeof *experiments);
    struct CMUnitTest *tests =
        calloc((size_t)n_deeds * N_MODELS + 1, sizeof *tests);
    size_t n = 0;

    descent_mark(argv);
    if (getenv("TORTURE_TASKS"))
        n_tasks = (unsigned)atoi(getenv("TORTURE_TASKS"));
    if (mu_init(NULL) != 0)
        return 1;
    for (unsigned i = 0; i < n_deeds; i++)
        for (unsigned j = 0; j < N_MODELS; j++) {
            struct experiment *e = &experiments[n];

            e->deed = &deeds[i];
            e->model = models[j];
            (void)snprintf(e->name, sizeof e->name, "%s under %s",
                           deeds[i].name, models[j]);
            if (argc > 1 && !strstr(e->name, argv[1]))
                continue;
            tests[n++] = (struct CMUnitTest){.name = e->name,
                                             .test_func = only_the_deed_is_lost,
                                             .initial_state = e};
        }
    if (argc == 1 || strstr("random_kills", argv[1]))
        tests[n++] =
            (struct CMUnitTest)cmocka_unit_test(random_kills_lose_nothing);
    return _cmocka_run_group_tests("deeds", tests, n, NULL, NULL);
}
