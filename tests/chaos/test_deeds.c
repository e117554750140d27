/* test_deeds.c: for each deed, innocent tasks around it, under models that isolate:
 * only that task is lost, its outcome names the deed, nobody innocent is lost or
 * charged, the pool goes on, and nothing is left behind. */
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "chaos/deeds.h"
#include "chaos/descent.h"
#include "chaos/table.h"
#include "support/pool.h"

static const char *const models[] = {"processes:2", "processes:2/threads:2"};

enum { N_MODELS = 2, N_USUAL = 400, N_TASKS_MAX = 1000000 };

/* Tasks of an experiment; `make torture` asks for more by $TORTURE_TASKS. */
static unsigned n_tasks = N_USUAL;

struct experiment {
    const struct deed *deed;
    const char *model;
    char name[64];
};

/* Guardian and nursery: what mu_init() left. */
enum { N_STANDING = 2 };

/* How often each innocent was started: shared by all processes. It is so large that
 * the deeds which write over everything pass it by. */
static struct {
    _Atomic unsigned char n_starts[N_TASKS_MAX];
    char unused[100 << 20];
} * record;

static void open_record(void)
{
    record = mmap(NULL, sizeof *record, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (record == MAP_FAILED)
        abort();
}

/* The innocents of the experiment, counted. */
static int count_start(struct mu_task *task)
{
    const mu_task_fn *around = mu_task_arg(task, NULL);
    const unsigned *place = mu_task_input(task, NULL);

    /* relaxed: read when all is over */
    (void)atomic_fetch_add_explicit(&record->n_starts[*place], 1,
                                    memory_order_relaxed);
    return (*around)(task);
}

static struct mu_pool *open_pool(const char *model, const struct deed *deed)
{
    /* strict hides a deed from the next task, not from those beside it */
    const mu_task_fn around = deed && deed->around && !strchr(model, '/')
                                  ? deed->around
                                  : deed_innocent;
    const struct mu_pool_options options = {.timeout_ns = INT64_C(100000000000),
                                            .memory_bytes = 64 << 20,
                                            .output_bytes = 16 << 20,
                                            .arg = &around,
                                            .arg_size = sizeof around,
                                            .strict = deed ? deed->strict : 0,
                                            .window = deed ? deed->window : 0};

    return test_pool(model, &options);
}

static void submit(struct mu_pool *pool, unsigned i, const struct deed *deed)
{
    /* soon for what has to end by it; never, on a busy machine, for the others */
    const bool late = i == n_tasks / 2 && deed->allowed & 1U << MU_TIMED_OUT;
    const struct mu_submit how = {.tag = i,
                                  .timeout_ns = late ? INT64_C(1000000000) : 0};
    mu_task_fn fn = i == n_tasks / 2 ? deed->fn : count_start;

    assert_int_equal(mu_pool_submit(pool, fn, &i, sizeof i, &how, NULL), 0);
}

static void check_guilty(const struct mu_outcome *o, const struct deed *deed,
                         char *text, size_t text_size)
{
    (void)mu_outcome_describe(o, text, text_size);
    if (!(deed->allowed & 1U << o->status) ||
        (deed->signal && deed->signal != o->signal) ||
        (o->status == MU_EXITED && deed->code != o->code) ||
        (deed->says && !strstr(text, deed->says)))
        fail_msg("%s ended as: %s", deed->name, text);
}

static void check_innocent(const struct mu_outcome *o, const struct deed *deed,
                           struct table_row *row)
{
    unsigned value = 0;
    char text[500];

    row->done += o->status == MU_DONE;
    row->charged += o->status != MU_DONE || o->attempts != 1;
    (void)mu_outcome_describe(o, text, sizeof text);
    if (o->status != MU_DONE)
        fail_msg("beside %s innocent %u ended as: %s", deed->name,
                 (unsigned)o->tag, text);
    assert_int_equal(o->output_size, sizeof value);
    memcpy(&value, o->output, sizeof value);
    assert_int_equal(value, o->tag);
    assert_int_equal(o->attempts, 1);
}

/* What a worker left is killed as soon as it is seen, which takes a turn of the
 * nursery: nobody tells us when that is over, so look again and again. */
static size_t count_left(void)
{
    const int64_t end = mu_after_ns(INT64_C(60000000000));
    size_t n;

    do
        n = descent_count(0, NULL, 0);
    while (n != N_STANDING && mu_now_ns() < end);
    return n - N_STANDING;
}

static void only_the_deed_is_lost(void **state)
{
    const struct experiment *e = *state;
    struct mu_pool *pool = open_pool(e->model, e->deed);
    unsigned char *seen = calloc(n_tasks, 1);
    char text[500] = "";
    struct table_row row = {
        .deed = e->deed->name, .model = e->model, .outcome = text};
    struct mu_outcome *o;

    memset(record->n_starts, 0, sizeof record->n_starts);
    /* twice: the pool goes on */
    for (int round = 1; round <= 2; round++) {
        for (unsigned i = 0; i < n_tasks; i++)
            submit(pool, i, e->deed);
        for (unsigned i = 0; i < n_tasks; i++) {
            o = test_take(pool);
            if (o->tag == n_tasks / 2)
                check_guilty(o, e->deed, text, sizeof text);
            else
                check_innocent(o, e->deed, &row);
            row.twice += ++seen[o->tag] != round;
            assert_int_equal(seen[o->tag], round);
            mu_outcome_free(o);
        }
        assert_int_equal(mu_pool_next(pool, MU_NOW, &o), MU_EMPTY);
    }
    mu_pool_close(pool);
    free(seen);
    row.lost = 2UL * (n_tasks - 1) - row.done;
    for (unsigned i = 0; i < n_tasks; i++)
        row.again += record->n_starts[i] > 2;
    row.left = count_left();
    table_add(&row);
    assert_int_equal(row.left, 0);
}

/* Returns whether the one of before that had its place was started more than once. */
static bool submit_next(struct mu_pool *pool, unsigned long tag, bool *awaited)
{
    const unsigned value = (unsigned)(tag % N_TASKS_MAX);
    const struct mu_submit how = {.tag = tag};
    bool again;

    assert_false(awaited[value]);
    awaited[value] = true;
    /* relaxed: nobody runs either of them */
    again = atomic_exchange_explicit(&record->n_starts[value], 0,
                                     memory_order_relaxed) > 1;
    assert_int_equal(
        mu_pool_submit(pool, count_start, &value, sizeof value, &how, NULL), 0);
    return again;
}

/* Of one that was awaited: done with its own output, or killed. */
static void check_killed_or_done(const struct mu_outcome *o, bool *awaited)
{
    const unsigned value = (unsigned)(o->tag % N_TASKS_MAX);

    assert_true(awaited[value]);
    awaited[value] = false;
    assert_int_equal(o->attempts, 1);
    if (o->status == MU_DONE) {
        assert_int_equal(o->output_size, sizeof value);
        assert_memory_equal(o->output, &value, sizeof value);
        return;
    }
    assert_int_equal(o->status, MU_CRASHED);
    assert_int_equal(o->signal, SIGKILL);
}

/* Workers are killed from outside, at random, while tasks run: each task ends
 * once, killed or done, and of those killed there are no more than kills. None runs
 * twice but beside another in the same process. $TORTURE_SECONDS says for how long. */
static void random_kills_lose_nothing(void **state)
{
    enum { WORKERS_MAX = 4, PIECE = 100, AHEAD = 200 };
    const char *model = *state;
    const char *seconds = getenv("TORTURE_SECONDS");
    int64_t end =
        mu_after_ns((seconds ? atoi(seconds) : 1) * INT64_C(1000000000));
    int64_t next = 0;
    struct mu_pool *pool = open_pool(model, NULL);
    uint64_t seed = 88172645463325252U;
    unsigned long n_killed = 0;
    unsigned long n_submitted = 0;
    unsigned long n_ended = 0;
    char text[80];
    struct table_row row = {
        .deed = "SIGKILL from outside", .model = model, .outcome = text};
    bool *awaited = calloc(N_TASKS_MAX, sizeof *awaited);
    struct mu_outcome *o;
    bool over = false;

    memset(record->n_starts, 0, sizeof record->n_starts);
    while (!over || n_ended < n_submitted) {
        int pids[WORKERS_MAX];
        size_t n = mu_pool_pids(pool, pids, WORKERS_MAX);

        seed = seed * 6364136223846793005U + 1442695040888963407U;
        over = n_killed > 0 && mu_now_ns() >= end;
        if (!over && n > 0 && mu_now_ns() >= next) {
            n_killed += test_kill(pids[(seed >> 33) % n], SIGKILL) == 0;
            next = mu_after_ns(10 * 1000 * 1000); /* 100 a second */
        }
        for (int i = 0; i < PIECE && !over; i++, n_submitted++)
            row.again += submit_next(pool, n_submitted, awaited);
        while (n_submitted - n_ended > (over ? 0 : AHEAD)) {
            o = test_take(pool);
            check_killed_or_done(o, awaited);
            n_ended++;
            row.done += o->status == MU_DONE;
            mu_outcome_free(o);
        }
    }
    assert_int_equal(mu_pool_next(pool, MU_NOW, &o), MU_EMPTY);
    mu_pool_close(pool);
    free(awaited);
    for (unsigned i = 0; i < N_TASKS_MAX; i++)
        row.again += record->n_starts[i] > 1;
    if (!strchr(model, '/')) /* or one beside who is charged can */
        assert_int_equal(row.again, 0);
    /* who runs while his worker is killed cannot be told from who kills it */
    assert_in_range(n_ended - row.done, 0, n_killed);
    (void)snprintf(text, sizeof text, "%lu kills: %lu crashed: SIGKILL",
                   n_killed, n_ended - row.done);
    row.left = count_left();
    table_add(&row);
    assert_int_equal(row.left, 0);
}

int main(int argc, char **argv)
{
    struct experiment *experiments =
        calloc(((size_t)n_deeds + 1) * N_MODELS, sizeof *experiments);
    struct CMUnitTest *tests =
        calloc(((size_t)n_deeds + 1) * N_MODELS, sizeof *tests);
    size_t n = 0;

    (void)argc;
    descent_mark(argv);
    if (getenv("TORTURE_TASKS"))
        n_tasks = (unsigned)atoi(getenv("TORTURE_TASKS"));
    if (n_tasks > N_TASKS_MAX)
        n_tasks = N_TASKS_MAX;
    open_record(); /* before the nursery: workers have it */
    if (mu_init(NULL) != 0)
        return 1;
    for (unsigned i = 0; i < n_deeds; i++)
        for (unsigned j = 0; j < N_MODELS; j++) {
            struct experiment *e = &experiments[n];

            e->deed = &deeds[i];
            e->model = models[j];
            (void)snprintf(e->name, sizeof e->name, "%s under %s",
                           deeds[i].name, models[j]);
            tests[n++] = (struct CMUnitTest){.name = e->name,
                                             .test_func = only_the_deed_is_lost,
                                             .initial_state = e};
        }
    for (unsigned j = 0; j < N_MODELS; j++) {
        struct experiment *e = &experiments[n];

        (void)snprintf(e->name, sizeof e->name, "random kills under %s",
                       models[j]);
        tests[n++] =
            (struct CMUnitTest){.name = e->name,
                                .test_func = random_kills_lose_nothing,
                                .initial_state = (void *)(uintptr_t)models[j]};
    }
    return _cmocka_run_group_tests("deeds", tests, n, NULL, NULL);
}
