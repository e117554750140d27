/* test_lies.c: what a worker can reach, it can falsify. The supervisor stays in
 * charge: of its tables, of who is to blame, of deadlines, of processes. */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "muster/muster.h"

#include "process/block.h"
#include "support/check.h"

/* Of a worker; it writes it there itself. */
static pid_t *shared_pid;

/* Workers that have not looked at their lanes yet. */
static struct mu_latch *all_look;

static struct mu_pool *open_pool(const char *model, int64_t timeout_ns)
{
    const struct mu_pool_options options = {.timeout_ns = timeout_ns};
    struct mu_pool *pool;
    struct mu_error err;

    if (mu_pool_open(model, &options, &pool, &err) != 0)
        fail_msg("%s: %s", model, err.text);
    return pool;
}

/* The outcome, or a failure after 20 s. */
static struct mu_outcome *take(struct mu_pool *pool)
{
    struct mu_outcome *o = NULL;

    assert_int_equal(mu_pool_next(pool, mu_after_ns(INT64_C(60000000000)), &o),
                     0);
    return o;
}

static struct mu_outcome *run(struct mu_pool *pool, mu_task_fn fn)
{
    assert_int_equal(mu_pool_submit(pool, fn, NULL, 0, NULL, NULL), 0);
    return take(pool);
}

/* Where this process has mapped what is called so. */
static void *find_mapping(const char *name)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long start = 0;
    char line[512];

    while (maps && fgets(line, sizeof line, maps)) {
        if (strstr(line, name) && sscanf(line, "%lx-", &start) == 1)
            break;
        start = 0;
    }
    if (maps)
        (void)fclose(maps);
    return (void *)start;
}

/* -- the table of modules -- */

static int scribble_modules(struct mu_task *t)
{
    unsigned char *table = find_mapping("muster-modules");

    if (!table)
        return 1;
    if (mprotect(table, 4096, PROT_READ | PROT_WRITE) == 0)
        return mu_task_printf(t, "mprotect") < 0 ? 2 : 3;
    memset(table, 0xff, 4096);
    return 4;
}

static int do_nothing(struct mu_task *t)
{
    (void)t;
    return 0;
}

static void module_table_is_out_of_reach(void **state)
{
    struct mu_pool *pool = open_pool("processes:1", 0);
    struct mu_outcome *o = run(pool, scribble_modules);

    (void)state;
    assert_int_equal(o->status, MU_CRASHED);
    assert_int_equal(o->signal, SIGSEGV);
    mu_outcome_free(o);
    o = run(pool, do_nothing);
    assert_int_equal(o->status, MU_DONE);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* -- the lane -- */

/* How many memories are mapped by that name; one can be mapped in several pieces. */
static int count_memories(const char *name)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long last = 0;
    unsigned long inode;
    char line[512];
    int n = 0;

    while (maps && fgets(line, sizeof line, maps))
        if (strstr(line, name) &&
            sscanf(line, "%*s %*s %*s %*s %lu", &inode) == 1 && inode != last) {
            last = inode;
            n++;
        }
    if (maps)
        (void)fclose(maps);
    return n;
}

/* What can be done to the memory behind a mapping: 0 nothing, 1 it can be cut or
 * grown, 2 it can be mapped to write. Where the kernel lets nobody at it, 0. */
static int try_memory(const char *name)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char path[100] = "";
    char line[512];
    void *base;
    int fd;
    int found;

    while (maps && fgets(line, sizeof line, maps))
        if (strstr(line, name))
            (void)snprintf(path, sizeof path, "/proc/self/map_files/%.*s",
                           (int)strcspn(line, " "), line);
    if (maps)
        (void)fclose(maps);
    fd = open(path, O_RDWR);
    if (fd < 0)
        return 0;
    found = ftruncate(fd, 0) == 0 || ftruncate(fd, INT64_C(1) << 40) == 0;
    base = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base != MAP_FAILED)
        found |= 2;
    (void)close(fd);
    return found;
}

/* Each worker sees the lane of nobody else, and what it sees is sealed. */
static int look_at_lane(struct mu_task *t)
{
    static const char *const names[] = {"muster-down", "muster-up"};

    static bool has_met;

    /* each worker has one before any goes on to the next */
    if (!has_met && (mu_latch_count_down(all_look, 1) != 0 ||
                     mu_latch_wait(all_look, mu_after_ns(TEST_HANG_NS)) != 0))
        return 30;
    has_met = true;
    for (int i = 0; i < 2; i++)
        if (count_memories(names[i]) != 1)
            return 10 + i;
    if (try_memory("muster-down") != 0)
        return 20;
    /* that it may write */
    if (try_memory("muster-up") & 1)
        return 21;
    return mu_task_printf(t, "%d", (int)getpid());
}

static void lane_is_sealed_and_of_one_worker(void **state)
{
    struct mu_pool *pool = open_pool("processes:4", 0);

    (void)state;
    mu_latch_init(all_look, 4);
    for (int i = 0; i < 40; i++)
        assert_int_equal(
            mu_pool_submit(pool, look_at_lane, NULL, 0, NULL, NULL), 0);
    for (int i = 0; i < 40; i++) {
        struct mu_outcome *o = take(pool);

        assert_int_equal(o->code, 0);
        assert_int_equal(o->status, MU_DONE);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

/* -- what it says that it has started -- */

static void deny_start(void)
{
    /* the first word of the first lane, behind the head's page */
    _Atomic uint32_t *started =
        (_Atomic uint32_t *)((char *)find_mapping("muster-up") + 4096);

    (*started)--;
}

static int deny_and_die(struct mu_task *t)
{
    (void)t;
    deny_start();
    return kill(getpid(), SIGKILL);
}

static int deny_and_stay(struct mu_task *t)
{
    (void)t;
    deny_start();
    for (;;)
        (void)pause();
}

static void who_denies_its_start_is_to_blame(void **state)
{
    struct mu_pool *pool = open_pool("processes:2", 0);
    struct mu_outcome *o = run(pool, deny_and_die);

    (void)state;
    assert_int_equal(o->status, MU_CRASHED);
    assert_int_equal(o->signal, SIGKILL);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static void who_denies_its_start_times_out(void **state)
{
    struct mu_pool *pool = open_pool("processes:2", INT64_C(50000000));
    struct mu_outcome *o = run(pool, deny_and_stay);

    (void)state;
    assert_int_equal(o->status, MU_TIMED_OUT);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* -- that it dies, and of what -- */

/* A whole crash record, which says that a core is being written; and lives on. */
static int feign_death(struct mu_task *t)
{
    struct mui_worker_head *head = find_mapping("muster-up");

    *shared_pid = getpid();
    head->crash.kind = MUI_CRASH_SIGNAL;
    head->crash.signal = SIGILL;
    head->crash.i_lane = 0;
    head->crash.dumps_core = 1;
    atomic_store_explicit(&head->crash.stage, MUI_CRASH_WHOLE,
                          memory_order_release);
    for (int fd = 3; fd < 16; fd++) /* one of them is the bell */
        (void)send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    return deny_and_stay(t);
}

/* It is believed, and then looked after, while the pool is open. */
static void who_feigns_death_is_killed(void **state)
{
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    const int64_t end_ns = mu_after_ns(INT64_C(60000000000));
    struct mu_pool *pool = open_pool("processes:2", 0);
    struct mu_outcome *o = run(pool, feign_death);

    (void)state;
    assert_int_equal(o->status, MU_CRASHED);
    assert_int_equal(o->signal, SIGILL);
    mu_outcome_free(o);
    /* nobody tells us when */
    while (kill(*shared_pid, 0) == 0 && mu_now_ns() < end_ns)
        (void)nanosleep(&pause, NULL);
    assert_int_equal(kill(*shared_pid, 0), -1);
    mu_pool_close(pool);
}

/* -- what is left of an attempt before -- */

static int crash_first(struct mu_task *t)
{
    return mu_task_attempt(t) == 1 ? raise(SIGSEGV) : 0;
}

static int stop_first(struct mu_task *t)
{
    if (mu_task_attempt(t) > 1)
        abort();
    return raise(SIGSTOP);
}

static void second_attempt_inherits_nothing(void **state)
{
    const struct mu_pool_options options = {.retries = 1};
    struct mu_pool *pool;
    struct mu_outcome *o;
    char text[200];

    (void)state;
    assert_int_equal(mu_pool_open("processes:1", &options, &pool, NULL), 0);
    o = run(pool, crash_first);
    assert_int_equal(o->status, MU_DONE);
    assert_int_equal(o->attempts, 2);
    assert_int_equal(o->signal, 0);
    assert_int_equal(mu_outcome_backtrace(o, text, sizeof text), 0);
    mu_outcome_free(o);
    o = run(pool, stop_first);
    assert_int_equal(o->signal, SIGABRT);
    (void)mu_outcome_describe(o, text, sizeof text);
    assert_null(strstr(text, "stopped"));
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* -- bad company -- */

/* Long for its neighbours, of which each kills the worker: the length is the deed,
 * here and below. */
static int take_long(struct mu_task *t)
{
    (void)usleep(300 * 1000);
    return mu_task_printf(t, "%u", mu_task_attempt(t));
}

static int crash_soon(struct mu_task *t)
{
    (void)t;
    (void)usleep(10 * 1000);
    return raise(SIGSEGV);
}

/* A long task whose neighbours take its worker down all the time ends well. */
static void innocent_gets_a_worker_alone(void **state)
{
    enum { N_CRASHES = 60 };
    struct mu_pool *pool = open_pool("processes:1/threads:2", 0);
    const struct mu_submit how = {.tag = 1};
    struct mu_outcome *o;

    (void)state;
    assert_int_equal(mu_pool_submit(pool, take_long, NULL, 0, &how, NULL), 0);
    for (int i = 0; i < N_CRASHES; i++)
        assert_int_equal(mu_pool_submit(pool, crash_soon, NULL, 0, NULL, NULL),
                         0);
    for (int i = 0; i <= N_CRASHES; i++) {
        o = take(pool);
        assert_int_equal(o->status, o->tag ? MU_DONE : MU_CRASHED);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

/* -- what has ended -- */

/* Leave a byte in the file that the input names. */
static int leave_byte(struct mu_task *t)
{
    int fd = open(mu_task_input(t, NULL), O_WRONLY | O_APPEND);

    if (write(fd, "x", 1) != 1)
        return 1;
    return close(fd);
}

static int crash_now(struct mu_task *t)
{
    (void)t;
    return raise(SIGSEGV);
}

/* A task has run and its reply is there: a crash after it does not undo that. */
static void what_has_ended_does_not_run_again(void **state)
{
    enum { N_ROUNDS = 30, N_EACH = 20 };
    char path[] = "/tmp/test-lies-XXXXXX";
    const int fd = mkstemp(path);
    struct mu_pool *pool = open_pool("processes:1", 0);

    (void)state;
    assert_true(fd >= 0);
    for (int round = 1; round <= N_ROUNDS; round++) {
        for (int i = 0; i < N_EACH; i++)
            assert_int_equal(
                mu_pool_submit(pool, leave_byte, path, sizeof path, NULL, NULL),
                0);
        assert_int_equal(mu_pool_submit(pool, crash_now, NULL, 0, NULL, NULL),
                         0);
        for (int i = 0; i <= N_EACH; i++)
            mu_outcome_free(take(pool));
        assert_int_equal(lseek(fd, 0, SEEK_END), round * N_EACH);
    }
    mu_pool_close(pool);
    (void)close(fd);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(module_table_is_out_of_reach),
        cmocka_unit_test(lane_is_sealed_and_of_one_worker),
        cmocka_unit_test(who_denies_its_start_is_to_blame),
        cmocka_unit_test(who_denies_its_start_times_out),
        cmocka_unit_test(who_feigns_death_is_killed),
        cmocka_unit_test(second_attempt_inherits_nothing),
        cmocka_unit_test(innocent_gets_a_worker_alone),
        cmocka_unit_test(what_has_ended_does_not_run_again),
    };

    shared_pid = test_shared(sizeof *shared_pid);
    all_look = test_shared(sizeof *all_look);
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
