/* test_blame.c: a worker dies of what a task before, or beside, did to it: who met
 * the end of it is not charged. */
#include <fcntl.h>
#include <sched.h>
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

#include "support/pool.h"

/* -- the heap -- */

enum { LARGE = 8000 }; /* beyond the allocator's caches */

/* Leave a free chunk whose size is nonsense: the next large malloc() finds it. */
static int damage_heap(struct mu_task *task)
{
    char *volatile before = malloc(LARGE); /* or it is joined to what is free */
    volatile char *volatile chunk = malloc(LARGE);
    char *volatile behind = malloc(LARGE);

    free((char *)chunk);
    for (int i = 1; i <= 8; i++)
        chunk[-i] = 0x7f;
    (void)before;
    (void)behind;
    return test_say_pid(task);
}

static int use_heap(struct mu_task *task)
{
    char *volatile chunk = malloc(LARGE * 2);

    if (!chunk)
        return 1;
    memset(chunk, 0, (size_t)LARGE * 2);
    free(chunk);
    return test_say_pid(task);
}

static int damage_and_use(struct mu_task *task)
{
    (void)damage_heap(task);
    return use_heap(task);
}

static void finder_of_a_damaged_heap_is_not_charged(void **state)
{
    struct mu_pool *pool = test_pool("processes:1", NULL);

    (void)state;
    for (int i = 0; i < 5; i++) {
        struct mu_outcome *first = test_run(pool, damage_heap);
        struct mu_outcome *second = test_run(pool, use_heap);

        assert_int_equal(first->status, MU_DONE);
        assert_int_equal(second->status, MU_DONE);
        assert_int_equal(second->attempts, 1);
        /* elsewhere than where the damage was */
        assert_string_not_equal(first->output, second->output);
        mu_outcome_free(first);
        mu_outcome_free(second);
    }
    mu_pool_close(pool);
}

/* Who does it to himself is charged, on a worker that ran others too. */
static void damage_to_oneself_is_charged(void **state)
{
    static const char *const models[] = {"processes:1",
                                         "processes:1/threads:2"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct mu_pool *pool = test_pool(models[i], NULL);

        test_run_as(pool, test_say_pid, MU_DONE);
        test_run_as(pool, damage_and_use, MU_CRASHED);
        test_run_as(pool, use_heap, MU_DONE);
        mu_pool_close(pool);
    }
}

/* -- what a worker looks at between tasks -- */

static int break_environment(struct mu_task *task)
{
    environ = (char **)8;
    return test_say_pid(task);
}

/* Longer than a task after which its worker is not looked at. */
static int be_looked_after(struct mu_task *task)
{
    test_take_long();
    return test_say_pid(task);
}

static void who_is_looked_after_is_not_charged(void **state)
{
    const struct mu_pool_options strict = {.strict = 1};
    struct mu_pool *pool = test_pool("processes:1", NULL);

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct mu_outcome *first = test_run(pool, break_environment);

        test_run_as(pool, be_looked_after, MU_DONE);
        mu_outcome_free(first); /* it is looked at too if it took long */
    }
    mu_pool_close(pool);
    /* here it always is */
    pool = test_pool("processes:1", &strict);
    test_run_as(pool, test_say_pid, MU_DONE);
    test_run_as(pool, break_environment, MU_CRASHED);
    test_run_as(pool, test_say_pid, MU_DONE);
    mu_pool_close(pool);
}

/* -- memory -- */

enum { LIMIT = 64 << 20 };

/* Leave nearly nothing of what the worker may have. */
static int hoard(struct mu_task *task)
{
    for (int i = 0; i < 55; i++) {
        char *volatile piece = malloc(1 << 20);

        memset(piece, 1, 1 << 20);
    }
    return test_say_pid(task);
}

static int want_some(struct mu_task *task)
{
    char *volatile piece = malloc(20 << 20);

    memset(piece, 1, 20 << 20); /* a crash when there is none */
    free(piece);
    return test_say_pid(task);
}

static void who_comes_after_a_hoarder_is_not_charged(void **state)
{
    /* or it would cost the worker */
    const struct mu_pool_options options = {.memory_bytes = LIMIT,
                                            .recycle_bytes = LIMIT};
    struct mu_pool *pool = test_pool("processes:1", &options);

    (void)state;
    for (int i = 0; i < 3; i++) {
        test_run_as(pool, hoard, MU_DONE);
        test_run_as(pool, want_some, MU_DONE);
    }
    mu_pool_close(pool);
}

/* -- memory that another took away -- */

/* Each run of a task is counted: shared by all processes. */
static _Atomic int *n_runs;

/* A page of the program: private to each worker, from its fork on. */
enum { PAGE = 4096 };
static _Alignas(PAGE) char page[PAGE];

static int protect_page(struct mu_task *task)
{
    return mprotect(page, PAGE, PROT_READ) != 0 ? 1 : test_say_pid(task);
}

static int write_page(struct mu_task *task)
{
    atomic_fetch_add_explicit(n_runs, 1, memory_order_relaxed);
    *(volatile char *)page = 1;
    return test_say_pid(task);
}

static int protect_and_write(struct mu_task *task)
{
    (void)protect_page(task);
    return write_page(task);
}

/* As deep as a task of this test goes. Gives a page within. */
static __attribute__((noinline)) void *go_deep(void)
{
    volatile char frame[64 * PAGE];

    for (size_t i = sizeof frame; i-- > 0;)
        frame[i] = 1;
    return (char *)((uintptr_t)(frame + sizeof frame / 2) / PAGE * PAGE);
}

static int protect_stack(struct mu_task *task)
{
    return mprotect(go_deep(), PAGE, PROT_NONE) != 0 ? 1 : test_say_pid(task);
}

/* Looks like a stack that runs over. */
static int use_stack(struct mu_task *task)
{
    atomic_fetch_add_explicit(n_runs, 1, memory_order_relaxed);
    (void)go_deep();
    return test_say_pid(task);
}

static int protect_and_use_stack(struct mu_task *task)
{
    (void)protect_stack(task);
    return use_stack(task);
}

/* What the pool mapped for all tasks of this process, by its name. */
static int unmap(const char *name)
{
    static char maps[1 << 16];
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t n;

    while ((n = read(fd, maps + length, sizeof maps - 1 - length)) > 0)
        length += (size_t)n;
    maps[length] = '\0';
    (void)close(fd);
    for (char *line = maps; *line; line = strchr(line, '\n') + 1) {
        unsigned long start;
        unsigned long end;

        if (sscanf(line, "%lx-%lx", &start, &end) == 2 &&
            memmem(line, strcspn(line, "\n"), name, strlen(name)))
            return munmap((void *)start, end - start);
    }
    return -1;
}

static int unmap_inputs(struct mu_task *task)
{
    return unmap("muster-arena") != 0 ? 1 : test_say_pid(task);
}

static int read_input(struct mu_task *task)
{
    atomic_fetch_add_explicit(n_runs, 1, memory_order_relaxed);
    return *(const volatile char *)mu_task_input(task, NULL) == 'x'
               ? test_say_pid(task)
               : 1;
}

static int unmap_and_read(struct mu_task *task)
{
    (void)unmap_inputs(task);
    return read_input(task);
}

static int read_nowhere(struct mu_task *task)
{
    atomic_fetch_add_explicit(n_runs, 1, memory_order_relaxed);
    return *(volatile char *)8 + test_say_pid(task);
}

/* Run it on an input that lies in the arena. */
static struct mu_outcome *run_large(struct mu_pool *pool, mu_task_fn fn)
{
    static char input[1000] = "x";

    atomic_store_explicit(n_runs, 0, memory_order_relaxed);
    assert_int_equal(mu_pool_submit(pool, fn, input, sizeof input, NULL, NULL),
                     0);
    return test_take(pool);
}

static void who_meets_what_another_took_away_is_not_charged(void **state)
{
    static const mu_task_fn pairs[][2] = {{protect_page, write_page},
                                          {unmap_inputs, read_input},
                                          {protect_stack, use_stack}};
    struct mu_pool *pool = test_pool("processes:1", NULL);

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct mu_outcome *first = test_run(pool, pairs[i][0]);
        struct mu_outcome *second = run_large(pool, pairs[i][1]);

        assert_int_equal(first->status, MU_DONE);
        assert_int_equal(second->status, MU_DONE);
        assert_int_equal(second->attempts, 1);
        assert_int_equal(atomic_load_explicit(n_runs, memory_order_relaxed), 2);
        assert_string_not_equal(first->output, second->output);
        mu_outcome_free(first);
        mu_outcome_free(second);
    }
    mu_pool_close(pool);
}

/* Who took it away himself is charged, once he has met it alone; a pointer to
 * nowhere at once, for nobody else can have made it one. */
static void who_took_it_away_is_charged(void **state)
{
    static const struct {
        mu_task_fn fn;
        int n_runs;
    } cases[] = {{protect_and_write, 2},
                 {unmap_and_read, 2},
                 {protect_and_use_stack, 2},
                 {read_nowhere, 1}};
    struct mu_pool *pool = test_pool("processes:1", NULL);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mu_outcome *o;

        test_run_as(pool, test_say_pid, MU_DONE); /* it is not the first */
        o = run_large(pool, cases[i].fn);
        assert_int_equal(o->status, MU_CRASHED);
        assert_int_equal(o->signal, SIGSEGV);
        assert_int_equal(o->attempts, 1);
        assert_int_equal(atomic_load_explicit(n_runs, memory_order_relaxed),
                         cases[i].n_runs);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

/* -- suspects -- */

/* Crashes in a process that has run it before, in a way that somebody before may
 * be to blame for. */
static int n_before; /* tasks of this process */

static int crash_unless_first(struct mu_task *task)
{
    char *volatile chunk = malloc(LARGE);
    char *volatile again = chunk;

    free(chunk);
    if (n_before++ > 0) {
        free(again);
        abort(); /* where the allocator does not notice */
    }
    return test_say_pid(task);
}

/* So only one that runs alone on a fresh worker can end well, each time. */
static void suspects_run_on_fresh_workers(void **state)
{
    struct mu_pool *pool = test_pool("processes:2", NULL);

    (void)state;
    for (int i = 0; i < 20; i++)
        test_run_as(pool, crash_unless_first, MU_DONE);
    mu_pool_close(pool);
}

enum { BEGUN, STEP }; /* of n_runs */

/* One on each worker. */
static int run_beside(struct mu_task *task)
{
    (void)task;
    n_before++;
    atomic_fetch_add(&n_runs[BEGUN], 1);
    while (atomic_load(&n_runs[BEGUN]) < 2)
        (void)sched_yield();
    return 0;
}

static int wait_for_step(struct mu_task *task)
{
    while (atomic_load(&n_runs[STEP]) < (int)mu_task_tag(task))
        (void)sched_yield();
    return 0;
}

static int crash_at_step(struct mu_task *task)
{
    (void)wait_for_step(task);
    return crash_unless_first(task);
}

/* Also where another worker is there at once, idle, that has run something. */
static void suspects_wait_for_fresh_workers(void **state)
{
    const struct mu_pool_options options = {.window = 1};
    struct mu_pool *pool = test_pool("processes:2", &options);

    (void)state;
    for (int i = 0; i < 3; i++) {
        n_runs[BEGUN] = n_runs[STEP] = 0;
        test_submit(pool, run_beside, 0);
        test_submit(pool, run_beside, 0);
        test_take_as(pool, MU_DONE);
        test_take_as(pool, MU_DONE);
        test_submit(pool, wait_for_step, 1); /* on the first worker */
        test_submit(pool, crash_at_step, 2);
        atomic_store(&n_runs[STEP], 1);
        test_take_as(pool, MU_DONE);
        atomic_store(&n_runs[STEP], 2);
        test_take_as(pool, MU_DONE);
    }
    mu_pool_close(pool);
}

/* -- a neighbour's variables -- */

static _Atomic(_Atomic(int *) *) shown; /* of one process */

enum { VICTIM, WRITER };

/* Lend a pointer to whoever is beside, and use it once it has changed. */
static int be_written_over(struct mu_task *task)
{
    static int value;
    _Atomic(int *) mine = &value;

    (void)task;
    if (atomic_fetch_add(&n_runs[VICTIM], 1) > 0)
        return 0;
    atomic_store(&shown, &mine);
    while (atomic_load(&mine) == &value)
        ;
    return *atomic_load(&mine);
}

static int write_over(struct mu_task *task)
{
    _Atomic(int *) *other;

    (void)task;
    if (atomic_fetch_add(&n_runs[WRITER], 1) > 0)
        return 0;
    while (!(other = atomic_load(&shown)))
        ;
    atomic_store(other, NULL);
    for (;;)
        (void)pause();
}

static void who_was_written_over_is_not_charged(void **state)
{
    struct mu_pool *pool = test_pool("processes:1/threads:2", NULL);

    (void)state;
    n_runs[VICTIM] = n_runs[WRITER] = 0;
    test_submit(pool, be_written_over, 0);
    test_submit(pool, write_over, 1);
    test_take_as(pool, MU_DONE);
    test_take_as(pool, MU_DONE);
    assert_int_equal(n_runs[VICTIM], 2);
    assert_int_equal(n_runs[WRITER], 2);
    mu_pool_close(pool);
}

/* -- a neighbour's lock -- */

static _Atomic bool is_held; /* of one process */

/* Who waits for it waits for ever, as for any lock whose owner loops. */
static int wait_for_lock(struct mu_task *task)
{
    (void)task;
    if (atomic_fetch_add(&n_runs[VICTIM], 1) == 0)
        while (!atomic_load(&is_held))
            ;
    while (atomic_load(&is_held))
        (void)pause();
    return 0;
}

static int hold_lock(struct mu_task *task)
{
    const struct timespec turn = {.tv_nsec = 1000 * 1000};

    (void)task;
    atomic_store(&is_held, true);
    while (atomic_load(&n_runs[VICTIM]) < 2)
        (void)nanosleep(&turn, NULL); /* it is killed here */
    atomic_store(&is_held, false);
    return 0;
}

/* Its deadline passes first, for the other has none. */
static void who_waits_for_a_neighbour_is_not_charged(void **state)
{
    const struct mu_submit how = {.timeout_ns = INT64_C(3000000000)};
    struct mu_pool *pool = test_pool("processes:1/threads:2", NULL);

    (void)state;
    n_runs[VICTIM] = 0;
    assert_int_equal(mu_pool_submit(pool, wait_for_lock, NULL, 0, &how, NULL),
                     0);
    test_submit(pool, hold_lock, 1);
    test_take_as(pool, MU_DONE);
    test_take_as(pool, MU_DONE);
    assert_int_equal(n_runs[VICTIM], 2);
    mu_pool_close(pool);
}

/* Ends when another has begun in this process. */
static int meet_neighbour(struct mu_task *task)
{
    static _Atomic int n_here;

    (void)task;
    atomic_fetch_add(&n_here, 1);
    while (atomic_load(&n_here) < 2)
        (void)sched_yield();
    return 0;
}

static int wait_for_ever(struct mu_task *task)
{
    (void)task;
    atomic_fetch_add(&n_runs[VICTIM], 1);
    for (;;)
        (void)pause();
}

/* Who takes too long by himself is charged: at once where nobody was beside him, and
 * else once he has done so alone. */
static void who_takes_too_long_is_charged(void **state)
{
    static const char *const models[] = {"processes:1",
                                         "processes:1/threads:2"};
    const struct mu_submit how = {.timeout_ns = INT64_C(50000000)};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct mu_pool *pool = test_pool(models[i], NULL);

        n_runs[VICTIM] = 0;
        /* each thread has run something */
        for (int n = 0; n < 2; n++)
            test_submit(pool, i == 0 ? test_say_pid : meet_neighbour, 0);
        for (int n = 0; n < 2; n++)
            mu_outcome_free(test_take(pool));
        assert_int_equal(
            mu_pool_submit(pool, wait_for_ever, NULL, 0, &how, NULL), 0);
        test_take_as(pool, MU_TIMED_OUT);
        assert_int_equal(n_runs[VICTIM], i + 1);
        mu_pool_close(pool);
    }
}

/* -- every worker of the pool -- */

static int64_t now_ms(void)
{
    return mu_now_ns() / 1000000;
}

/* When the innocent runs beside it, or after a while when it does not, the nursery is
 * killed, and with it every worker. */
static int end_all_workers(struct mu_task *task)
{
    const int64_t end = now_ms() + 20;

    (void)task;
    while (!n_runs[VICTIM] && now_ms() < end)
        (void)sched_yield();
    n_runs[VICTIM] = 0;
    (void)kill(getppid(), SIGKILL);
    for (;;)
        (void)pause();
}

/* Not over before the other, should that run beside it. */
static int take_long(struct mu_task *task)
{
    const struct timespec long_ns = {.tv_nsec = 60 * 1000 * 1000};

    (void)task;
    n_runs[VICTIM] = 1;
    return nanosleep(&long_ns, NULL);
}

static void who_is_beside_one_that_ends_all_workers_is_not_lost(void **state)
{
    static const char *const models[] = {"processes:2",
                                         "processes:2/threads:2"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct mu_pool *pool = test_pool(models[i], NULL);

        n_runs[VICTIM] = 0;
        test_submit(pool, end_all_workers, 1);
        test_submit(pool, take_long, 2);
        for (int n = 0; n < 2; n++) {
            struct mu_outcome *o = test_take(pool);

            assert_int_equal(o->status, o->tag == 1 ? MU_LOST : MU_DONE);
            mu_outcome_free(o);
        }
        mu_pool_close(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finder_of_a_damaged_heap_is_not_charged),
        cmocka_unit_test(damage_to_oneself_is_charged),
        cmocka_unit_test(who_is_looked_after_is_not_charged),
        cmocka_unit_test(who_comes_after_a_hoarder_is_not_charged),
        cmocka_unit_test(who_meets_what_another_took_away_is_not_charged),
        cmocka_unit_test(who_took_it_away_is_charged),
        cmocka_unit_test(suspects_run_on_fresh_workers),
        cmocka_unit_test(suspects_wait_for_fresh_workers),
        cmocka_unit_test(who_was_written_over_is_not_charged),
        cmocka_unit_test(who_waits_for_a_neighbour_is_not_charged),
        cmocka_unit_test(who_takes_too_long_is_charged),
        cmocka_unit_test(who_is_beside_one_that_ends_all_workers_is_not_lost),
    };

    n_runs = test_shared(2 * sizeof *n_runs);
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
