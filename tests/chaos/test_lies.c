/* test_lies.c: what a worker can reach, it can falsify. The supervisor stays in
 * charge: of its tables, of who is to blame, of deadlines, of processes. */
#include <dirent.h>
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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "pool/pool.h"
#include "process/block.h"
#include "support/pool.h"
#include "sync/lane_memory.h"

static pid_t host;

/* Of a worker; it writes it there itself. */
static pid_t *shared_pid;

/* Workers that have not looked at their lanes yet. */
static struct mu_latch *all_look;

static struct mu_pool *open_pool(const char *model, int64_t timeout_ns)
{
    const struct mu_pool_options options = {.timeout_ns = timeout_ns};

    return test_pool(model, &options);
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
    struct mu_outcome *o = test_run(pool, scribble_modules);

    (void)state;
    assert_int_equal(o->status, MU_CRASHED);
    assert_int_equal(o->signal, SIGSEGV);
    mu_outcome_free(o);
    test_run_as(pool, do_nothing, MU_DONE);
    mu_pool_close(pool);
}

/* -- what it may only read -- */

/* Returns 0 when nothing of it can be made writable. */
static int make_writable(struct mu_task *t)
{
    static const char *const names[] = {"muster-board", "muster-arena",
                                        "muster-down", "muster-modules"};

    (void)t;
    for (int i = 0; i < 4; i++) {
        void *base = find_mapping(names[i]);

        if (!base)
            return 10 + i;
        if (mprotect(base, 4096, PROT_READ | PROT_WRITE) == 0)
            return 20 + i;
        if (errno != EACCES)
            return 30 + i;
    }
    return 0;
}

static void what_it_reads_cannot_be_made_writable(void **state)
{
    static const char input[1000]; /* not in its order */
    struct mu_pool *pool = open_pool("processes:2", 0);

    (void)state;
    for (int i = 0; i < 10; i++) {
        struct mu_outcome *o;

        assert_int_equal(mu_pool_submit(pool, make_writable, input,
                                        sizeof input, NULL, NULL),
                         0);
        o = test_take(pool);
        assert_int_equal(o->code, 0);
        assert_int_equal(o->status, MU_DONE);
        mu_outcome_free(o);
    }
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
        struct mu_outcome *o = test_take(pool);

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

/* What the tasks of the tests below tell each other. */
static struct {
    struct mu_latch all_here;
    _Atomic int denier;  /* its worker's process; 0: it has not begun */
    _Atomic int n_begun; /* tasks, each time that they run */
    struct mu_latch over;
} * left;

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
    struct mu_outcome *o = test_run(pool, deny_and_die);

    (void)state;
    assert_int_equal(o->status, MU_CRASHED);
    assert_int_equal(o->signal, SIGKILL);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static void who_denies_its_start_times_out(void **state)
{
    struct mu_pool *pool = open_pool("processes:2", INT64_C(50000000));
    struct mu_outcome *o = test_run(pool, deny_and_stay);

    (void)state;
    assert_int_equal(o->status, MU_TIMED_OUT);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* -- when it says that it has started -- */

static _Atomic int64_t *said_start(void)
{
    struct mui_lane_up *up =
        (struct mui_lane_up *)((char *)find_mapping("muster-up") + 4096);

    return &up->start_ns;
}

static int start_later(struct mu_task *t)
{
    (void)t;
    atomic_store(said_start(), INT64_MAX / 2);
    for (;;)
        (void)pause();
}

/* It has just begun, whenever one looks. */
static int start_again(struct mu_task *t)
{
    _Atomic int64_t *start_ns = said_start();

    (void)t;
    for (;;)
        atomic_store(start_ns, mu_now_ns());
}

static void who_lies_about_when_it_started_times_out(void **state)
{
    static const mu_task_fn fns[] = {start_later, start_again};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct mu_pool *pool = open_pool("processes:1", INT64_C(200000000));

        test_run_as(pool, fns[i], MU_TIMED_OUT);
        mu_pool_close(pool);
    }
}

/* -- what it leaves before it -- */

static int deny_once(struct mu_task *t)
{
    return atomic_fetch_add(&left->n_begun, 1) == 0 ? deny_and_stay(t) : 0;
}

/* Nothing has a deadline, and nobody else is there to run what lies before the worker;
 * the caller never sleeps in a call. */
static void what_is_left_lying_runs_again(void **state)
{
    enum { N = 4 };
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    const int64_t end_ns = test_deadline();
    struct mu_pool *pool = open_pool("processes:1", 0);
    struct mu_outcome *o;

    (void)state;
    atomic_store(&left->n_begun, 0);
    test_submit(pool, deny_once, 0);
    for (int i = 1; i < N; i++)
        test_submit(pool, do_nothing, 0);
    for (int i = 0; i < N; i++) {
        while (mu_pool_next(pool, MU_NOW, &o) != MU_OK && mu_now_ns() < end_ns)
            (void)nanosleep(&pause, NULL);
        assert_true(mu_now_ns() < end_ns);
        assert_int_equal(o->status, MU_DONE);
        assert_int_equal(o->attempts, 1);
        mu_outcome_free(o);
    }
    assert_int_equal(atomic_load(&left->n_begun), 2);
    mu_pool_close(pool);
}

/* One on each lane: the first on the first lane of its process denies that it began, and
 * stays; who is beside it in the process stays too, until the others are over. */
static int deny_or_stay(struct mu_task *t)
{
    const bool first_lane = mu_task_worker(t) % 2 == 0;
    int nobody = 0;

    atomic_fetch_add(&left->n_begun, 1);
    (void)mu_latch_count_down(&left->all_here, 1);
    if (mu_latch_wait(&left->all_here, mu_after_ns(TEST_HANG_NS)) != 0)
        return 1;
    if (first_lane &&
        atomic_compare_exchange_strong(&left->denier, &nobody, getpid()))
        return deny_and_stay(t);
    while (atomic_load(&left->denier) == 0)
        (void)sched_yield();
    if (atomic_load(&left->denier) == getpid() && !first_lane)
        return mu_latch_wait(&left->over, mu_after_ns(TEST_HANG_NS));
    return 0;
}

/* Who says that he is at a task may be honest, and long at it. */
static void who_runs_beside_is_not_harmed(void **state)
{
    enum { N = 4 };
    struct mu_pool *pool = open_pool("processes:2/threads:2", 0);

    (void)state;
    mu_latch_init(&left->all_here, N);
    mu_latch_init(&left->over, 1);
    atomic_store(&left->denier, 0);
    atomic_store(&left->n_begun, 0);
    for (int i = 0; i < N; i++)
        test_submit(pool, deny_or_stay, 0);
    for (int i = 1; i < N; i++)
        test_take_as(pool, MU_DONE);
    assert_int_equal(mu_latch_count_down(&left->over, 1), 0);
    test_take_as(pool, MU_DONE);
    /* and the denier again */
    assert_int_equal(atomic_load(&left->n_begun), N + 1);
    mu_pool_close(pool);
}

/* -- whether it leaves -- */

/* As its flow would at its end; when another runs beside. */
static int say_left(struct mu_task *t)
{
    _Atomic uint32_t *sleeping =
        (_Atomic uint32_t *)((char *)find_mapping("muster-up") + 4096 +
                             MUI_CACHE_LINE);

    (void)t;
    while (atomic_load(&left->n_begun) < 1)
        (void)sched_yield();
    *sleeping = MUI_LEFT;
    atomic_fetch_add(&left->n_begun, 1);
    return mu_latch_wait(&left->over, mu_after_ns(TEST_HANG_NS));
}

static int say_begun(struct mu_task *t)
{
    (void)t;
    atomic_fetch_add(&left->n_begun, 1);
    return mu_latch_wait(&left->over, mu_after_ns(TEST_HANG_NS));
}

/* Who runs beside is not harmed, and then there is another worker. */
static void who_only_says_that_it_left_is_replaced(void **state)
{
    struct mu_pool *pool = open_pool("processes:1/threads:2", 0);
    struct mu_outcome *o;

    (void)state;
    mu_latch_init(&left->over, 1);
    atomic_store(&left->n_begun, 0);
    test_submit(pool, say_left, 0);
    test_submit(pool, say_begun, 0);
    while (atomic_load(&left->n_begun) < 2)
        (void)sched_yield();
    /* of what waits nothing is given to it any more */
    test_submit(pool, test_say_pid, 0);
    (void)pthread_mutex_lock(&pool->lock);
    (void)mui_pool_see_off(pool);
    (void)pthread_mutex_unlock(&pool->lock);
    assert_int_equal(mu_pool_next(pool, MU_NOW, &o), MU_TIMEOUT);
    assert_int_equal(mu_latch_count_down(&left->over, 1), 0);
    for (int i = 0; i < 3; i++)
        test_take_as(pool, MU_DONE);
    assert_int_equal(atomic_load(&left->n_begun), 2);
    mu_pool_close(pool);
}

/* -- what is left of its replies -- */

/* What the tasks of one worker tell each other, and the test. */
static struct {
    struct mu_latch go;      /* the first may end */
    struct mu_latch written; /* the second wrote over what the first left */
    _Atomic int n_ended;
    _Atomic int n_wiped;
} * meet;

/* Whether no thread of a process runs. */
static bool is_stopped(pid_t pid)
{
    char path[300];
    char line[300];
    DIR *dir;
    struct dirent *entry;
    bool stopped = true;

    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    dir = opendir(path);
    while (dir && stopped && (entry = readdir(dir)) != NULL) {
        FILE *file;
        const char *name_end;

        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "/proc/%d/task/%s/stat", (int)pid,
                       entry->d_name);
        file = fopen(path, "re");
        name_end =
            file && fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
        stopped = name_end && name_end[2] == 'T';
        if (file)
            (void)fclose(file);
    }
    if (dir)
        (void)closedir(dir);
    return stopped;
}

/* End when told, and so that nobody reads the reply before the next task runs: the
 * supervisor is stopped until that one lets it go on. */
static int end_unseen(struct mu_task *t)
{
    (void)t;
    if (mu_latch_wait(&meet->go, mu_after_ns(TEST_HANG_NS)) != 0)
        return 2;
    if (atomic_fetch_add(&meet->n_ended, 1) > 0)
        return 0;
    if (test_kill(host, SIGSTOP) != 0)
        return 1;
    while (!is_stopped(host))
        (void)sched_yield();
    return 0;
}

/* Write over what the worker says of its first lane, and stay. The input is the
 * byte to write, and how often. */
static int wipe_and_stay(struct mu_task *t)
{
    const unsigned char *how = mu_task_input(t, NULL);

    if (atomic_fetch_add(&meet->n_wiped, 1) >= how[1])
        return 0;
    memset((char *)find_mapping("muster-up") + 4096, how[0], 4096);
    (void)mu_latch_count_down(&meet->written, 1); /* the first time */
    (void)test_kill(host, SIGCONT);
    for (;;)
        (void)pause();
}

/* A pool whose one worker has been given a task, one that writes over the reply of
 * that one before it is read, and two more, for orders are given by twos. */
static struct mu_pool *lose_reply(const unsigned char *how, int64_t timeout_ns,
                                  int64_t timeout_behind_ns)
{
    const struct mu_pool_options options = {.window = 4};
    const struct mu_submit first = {.tag = 0};
    const struct mu_submit second = {.tag = 1, .timeout_ns = timeout_ns};
    const struct mu_submit behind = {.tag = 2, .timeout_ns = timeout_behind_ns};
    struct mu_pool *pool;
    int rc = mu_pool_open("processes:1", &options, &pool, NULL);

    mu_latch_init(&meet->go, 1);
    mu_latch_init(&meet->written, 1);
    atomic_store(&meet->n_ended, 0);
    atomic_store(&meet->n_wiped, 0);
    assert_int_equal(rc, 0);
    rc = mu_pool_submit(pool, end_unseen, NULL, 0, &first, NULL);
    assert_int_equal(rc, 0);
    rc = mu_pool_submit(pool, wipe_and_stay, how, 2, &second, NULL);
    assert_int_equal(rc, 0);
    for (int i = 0; i < 2; i++) {
        rc = mu_pool_submit(pool, do_nothing, NULL, 0, &behind, NULL);
        assert_int_equal(rc, 0);
    }
    assert_int_equal(mu_latch_count_down(&meet->go, 1), 0);
    assert_int_equal(mu_latch_wait(&meet->written, test_deadline()), 0);
    return pool;
}

static void check_outcomes(struct mu_pool *pool, const enum mu_status *expect)
{
    for (int i = 0; i < 4; i++) {
        struct mu_outcome *o = test_take(pool);

        assert_int_equal(o->status, expect[o->tag]);
        assert_int_equal(o->attempts, 1);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

/* Its deadline passes although its worker is not known to be at it; and it need have
 * none. */
static void noise_over_replies_is_seen(void **state)
{
    const enum mu_status expect[] = {MU_DONE, MU_CRASHED, MU_DONE};
    const unsigned char how[] = {0xa5, 9};

    (void)state;
    check_outcomes(lose_reply(how, INT64_C(500000000), 0), expect);
    check_outcomes(lose_reply(how, 0, 0), expect);
}

/* The worker says that it has begun nothing, and may be at any of them: a deadline of
 * one is enough, and charges nobody. */
static void wiped_replies_are_no_excuse(void **state)
{
    const enum mu_status expect[] = {MU_DONE, MU_DONE, MU_DONE};
    const unsigned char how[] = {0, 1};

    (void)state;
    check_outcomes(lose_reply(how, 0, INT64_C(500000000)), expect);
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
    struct mu_pool *pool = open_pool("processes:2", 0);
    struct mu_outcome *o = test_run(pool, feign_death);

    (void)state;
    assert_int_equal(o->status, MU_CRASHED);
    assert_int_equal(o->signal, SIGILL);
    mu_outcome_free(o);
    test_await_end(*shared_pid);
    mu_pool_close(pool);
}

/* -- what is left of an attempt before -- */

static int crash_first(struct mu_task *t)
{
    return mu_task_attempt(t) == 1 ? raise(SIGSEGV) : 0;
}

static int fault_first(struct mu_task *t)
{
    return mu_task_attempt(t) == 1 ? *(volatile int *)64 : 0;
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
    o = test_run(pool, crash_first);
    assert_int_equal(o->status, MU_DONE);
    assert_int_equal(o->attempts, 2);
    assert_int_equal(o->signal, 0);
    assert_int_equal(mu_outcome_backtrace(o, text, sizeof text), 0);
    mu_outcome_free(o);
    o = test_run(pool, fault_first);
    assert_int_equal(o->status, MU_DONE);
    assert_int_equal(o->attempts, 2);
    assert_int_equal(o->has_fault_address, 0);
    assert_null(o->fault_address);
    mu_outcome_free(o);
    o = test_run(pool, stop_first);
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
        o = test_take(pool);
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
            mu_outcome_free(test_take(pool));
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
        cmocka_unit_test(what_it_reads_cannot_be_made_writable),
        cmocka_unit_test(lane_is_sealed_and_of_one_worker),
        cmocka_unit_test(who_denies_its_start_is_to_blame),
        cmocka_unit_test(who_denies_its_start_times_out),
        cmocka_unit_test(who_lies_about_when_it_started_times_out),
        cmocka_unit_test(what_is_left_lying_runs_again),
        cmocka_unit_test(who_runs_beside_is_not_harmed),
        cmocka_unit_test(who_only_says_that_it_left_is_replaced),
        cmocka_unit_test(noise_over_replies_is_seen),
        cmocka_unit_test(wiped_replies_are_no_excuse),
        cmocka_unit_test(who_feigns_death_is_killed),
        cmocka_unit_test(second_attempt_inherits_nothing),
        cmocka_unit_test(innocent_gets_a_worker_alone),
        cmocka_unit_test(what_has_ended_does_not_run_again),
    };

    host = getpid();
    shared_pid = test_shared(sizeof *shared_pid);
    all_look = test_shared(sizeof *all_look);
    meet = test_shared(sizeof *meet);
    left = test_shared(sizeof *left);
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
