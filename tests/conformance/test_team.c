/* test_team.c: fork, join, loops and reductions inside the tasks of a pool: the same
 * under every model. Under `processes` the team is the worker's own. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "conformance/models.h"
#include "support/check.h"
#include "unit/team_works.h"

enum { MY_ERROR = -5555, N_TASKS = TEAM_IS_SLOW ? 12 : 60, N_DEEP = 3 };

/* What a task tells: its answer, and the process it ran in. */
struct report {
    uint64_t answer;
    int status;
    pid_t process;
    int is_elsewhere; /* some of it ran in another process */
};

static int tell(struct mu_task *t, uint64_t answer, int status,
                int is_elsewhere)
{
    struct report report = {.answer = answer,
                            .status = status,
                            .process = getpid(),
                            .is_elsewhere = is_elsewhere};

    return mu_task_write(t, &report, sizeof report);
}

static int number_of(struct mu_task *t)
{
    int n;

    memcpy(&n, mu_task_input(t, NULL), sizeof n);
    return n;
}

/* Run `fn` on 0 to n - 1 and expect `answer` of each. */
static void run_tasks(void **state, int n, mu_task_fn fn,
                      uint64_t (*answer)(int number))
{
    struct mu_pool *pool = models_open(state, NULL);

    for (int i = 0; i < n; i++) {
        struct mu_submit how = {.tag = (uint64_t)i};

        assert_int_equal(mu_pool_submit(pool, fn, &i, sizeof i, &how, NULL),
                         MU_OK);
    }
    for (int i = 0; i < n; i++) {
        struct mu_outcome *o = test_take(pool);
        struct report report;

        assert_int_equal(o->status, MU_DONE);
        assert_int_equal(o->output_size, sizeof report);
        memcpy(&report, o->output, sizeof report);
        assert_int_equal(report.answer, answer((int)o->tag));
        assert_int_equal(report.status, 0);
        assert_int_equal(report.is_elsewhere, 0);
        assert_int_equal(report.process == getpid(),
                         strncmp(*state, "processes", 9) != 0);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

/* -- fork and join -- */

static int fib_task(struct mu_task *t)
{
    struct mu_job *j = mu_team_enter(NULL);
    long result;

    if (!j)
        return 1;
    result = fib(j, 12 + number_of(t) % 10);
    return tell(t, (uint64_t)result, mu_team_leave(j), 0);
}

static uint64_t fib_answer(int number)
{
    return (uint64_t)fib_serial(12 + number % 10);
}

static void tasks_fork_and_join(void **state)
{
    run_tasks(state, N_TASKS, fib_task, fib_answer);
}

/* -- loops in loops, and forks in those -- */

enum { N_OUTER = 40, N_INNER = 50 };

struct sums {
    _Atomic uint64_t sum;
    _Atomic int is_elsewhere;
    pid_t process;
};

static void inner(struct mu_job *j, size_t begin, size_t end, size_t outer,
                  struct sums *sums);
MU_LOOP(inner, size_t, struct sums *)
static void inner(struct mu_job *j, size_t begin, size_t end, size_t outer,
                  struct sums *sums)
{
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add_explicit(&sums->sum, (uint64_t)fib(j, 3) * outer * i,
                                  memory_order_relaxed);
    if (getpid() != sums->process)
        atomic_store_explicit(&sums->is_elsewhere, 1, memory_order_relaxed);
}

static void outer(struct mu_job *j, size_t begin, size_t end,
                  struct sums *sums);
MU_LOOP(outer, struct sums *)
static void outer(struct mu_job *j, size_t begin, size_t end, struct sums *sums)
{
    for (size_t i = begin; i < end; i++)
        mu_for(j, 0, N_INNER, inner, i, sums);
}

static int loop_task(struct mu_task *t)
{
    struct sums sums = {.process = getpid()};
    struct mu_job *j = mu_team_enter(NULL);
    int status;

    if (!j)
        return 1;
    mu_for(j, 0, N_OUTER + (size_t)number_of(t), outer, &sums);
    status = mu_team_leave(j);
    return tell(t, sums.sum, status, sums.is_elsewhere);
}

static uint64_t loop_answer(int number)
{
    uint64_t n = N_OUTER + (uint64_t)number;

    return 2 * (n * (n - 1) / 2) * (N_INNER * (N_INNER - 1) / 2);
}

static void tasks_loop_in_loops(void **state)
{
    run_tasks(state, N_TASKS, loop_task, loop_answer);
}

/* -- reductions: the same to the last bit -- */

static double harmonic(struct mu_job *j, size_t begin, size_t end,
                       double first);
static double plus(double a, double b)
{
    return a + b;
}
MU_REDUCIBLE(double, harmonic, plus, double)
static double harmonic(struct mu_job *j, size_t begin, size_t end, double first)
{
    double sum = 0;

    (void)j;
    for (size_t i = begin; i < end; i++)
        sum += 1 / (first + (double)i);
    return sum;
}

static uint64_t harmonic_bits(struct mu_team *team, int number, int *ret_status)
{
    struct mu_job *j = mu_team_enter(team);
    double sum;
    uint64_t bits;

    assert_non_null(j);
    sum = mu_for_reduce(j, 0, 20000, harmonic, 1.0 + number);
    memcpy(&bits, &sum, sizeof bits);
    *ret_status = mu_team_leave(j);
    return bits;
}

static int reduce_task(struct mu_task *t)
{
    int status;
    uint64_t bits = harmonic_bits(NULL, number_of(t), &status);

    return tell(t, bits, status, 0);
}

static struct mu_team *alone; /* a team of one thread, in the test's process */

static uint64_t reduce_answer(int number)
{
    int status;
    uint64_t bits = harmonic_bits(alone, number, &status);

    assert_int_equal(status, 0);
    return bits;
}

static void tasks_reduce_to_the_same_bits(void **state)
{
    alone = team_of(1);
    run_tasks(state, N_TASKS, reduce_task, reduce_answer);
    mu_team_close(alone);
}

/* -- cancellation: it stays in its region, and the join says so -- */

static int one(struct mu_job *j, _Atomic int *n);
MU_FORKABLE(int, one, _Atomic int *)
static int one(struct mu_job *j, _Atomic int *n)
{
    (void)j;
    atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
    return 1;
}

static int cancel_task(struct mu_task *t)
{
    struct mu_job *first = mu_team_enter(NULL);
    struct mu_job *second;
    _Atomic int n = 0;
    int result = 77;
    int joined;
    int left;

    if (!first)
        return 1;
    mu_job_cancel(first, MY_ERROR - number_of(t));
    mu_fork(first, one, &n);
    joined = mu_join_status(first, one, &result);
    left = mu_team_leave(first);

    second = mu_team_enter(NULL);
    if (!second)
        return 1;
    mu_fork(second, one, &n);
    n += 10 * mu_join(second, one);
    if (left != joined || left != MY_ERROR - number_of(t))
        return 2;
    return tell(t, (uint64_t)n * 100 + (uint64_t)result, mu_team_leave(second),
                0);
}

static uint64_t cancel_answer(int number)
{
    (void)number;
    return 11 * 100 + 77;
}

static void tasks_cancel_their_own_region(void **state)
{
    run_tasks(state, N_TASKS, cancel_task, cancel_answer);
}

/* An error found deep in the work of one task ends that, and no other's. */
static long fail_at(struct mu_job *j, int n, int error);
MU_FORKABLE(long, fail_at, int, int)
static long fail_at(struct mu_job *j, int n, int error)
{
    long sum;

    if (n == 0 && error)
        mu_job_cancel(j, error);
    if (n <= 0)
        return 1;
    mu_fork(j, fail_at, n - 1, 0);
    sum = fail_at(j, n - 1, error);
    return sum + mu_join(j, fail_at);
}

static int fail_task(struct mu_task *t)
{
    int number = number_of(t);
    struct mu_job *j = mu_team_enter(NULL);
    long sum;
    int status;

    if (!j)
        return 1;
    sum = fail_at(j, 10, number % 2 ? MY_ERROR - number : 0);
    status = mu_team_leave(j);
    return tell(t, status == 0 ? (uint64_t)sum : (uint64_t)-status, 0, 0);
}

static uint64_t fail_answer(int number)
{
    return number % 2 ? (uint64_t)(number - MY_ERROR) : 1024;
}

static void tasks_fail_one_by_one(void **state)
{
    run_tasks(state, N_TASKS, fail_task, fail_answer);
}

/* -- a million forks deep: on a stack of the team, which is deep enough -- */

enum { DEPTH = TEAM_IS_SLOW ? 20000 : 1000000 };

static long deep(struct mu_job *j, long depth);
MU_FORKABLE(long, deep, long)
/* NOLINTNEXTLINE(misc-no-recursion): that is the test */
static long deep(struct mu_job *j, long depth)
{
    long below;

    if (depth == 0)
        return 0;
    mu_fork(j, deep, 0);
    below = deep(j, depth - 1);
    return 1 + below + mu_join(j, deep);
}

static int deep_task(struct mu_task *t)
{
    struct mu_team_options options = {.n_threads = 2};
    struct mu_ticket ticket = {0};
    struct mu_team *team;
    long depth = 0;
    int status;

    if (mu_team_open(&options, &team, NULL) != 0 || mu_team_width(team) != 2 ||
        mu_team_submit(team, &ticket, deep, DEPTH) != 0)
        return 1;
    /* a wait may run it here, where the stack is as deep as its thread's */
    while (__atomic_load_n(&ticket.job.state, __ATOMIC_ACQUIRE) == 0)
        continue;
    status = mu_team_wait(&ticket, deep, &depth);
    mu_team_close(team);
    return tell(t, (uint64_t)depth, status, 0);
}

static uint64_t deep_answer(int number)
{
    (void)number;
    return DEPTH;
}

static void tasks_recurse_a_million_deep(void **state)
{
    run_tasks(state, N_DEEP, deep_task, deep_answer);
}

static const struct model_test suite[] = {
    MODEL_TEST(tasks_fork_and_join),
    MODEL_TEST(tasks_loop_in_loops),
    MODEL_TEST(tasks_reduce_to_the_same_bits),
    MODEL_TEST(tasks_cancel_their_own_region),
    MODEL_TEST(tasks_fail_one_by_one),
    MODEL_TEST(tasks_recurse_a_million_deep),
};

int main(void)
{
    /* the team of this process starts threads, and `processes` comes after it */
    if (mu_init(NULL) != 0)
        return 1;
    return models_run(suite, sizeof suite / sizeof *suite);
}
