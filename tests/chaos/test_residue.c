/* test_residue.c: what pools, their workers and their ends leave: nothing; and what
 * workers have of the program: nothing that is not theirs. */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "support/pool.h"
#include "sys/census.h"

/* How many lines of our mappings have both texts. */
static int count_mappings(const char *name, const char *rights)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    int n = 0;

    while (maps && fgets(line, sizeof line, maps))
        n += strstr(line, name) && strstr(line, rights);
    if (maps)
        (void)fclose(maps);
    return n;
}

static int crash(struct mu_task *task)
{
    (void)task;
    return raise(SIGSEGV);
}

static void pause_shortly(void)
{
    const struct timespec pause = {.tv_nsec = 1000 * 1000};

    (void)nanosleep(&pause, NULL);
}

/* -- what workers have, where the nursery is forked for a pool that is there -- */

static int look_at_inputs(struct mu_task *task)
{
    (void)task;
    return count_mappings("muster-arena", " r--s ") == 0   ? 1
           : count_mappings("muster-arena", " rw-s ") != 0 ? 2
                                                           : 0;
}

/* Without mu_init(), so the program has mapped them to write when it forks. */
static void worker_inherits_no_inputs(void **state)
{
    struct mu_pool *pool = test_pool("processes:1", NULL);

    (void)state;
    test_run_as(pool, look_at_inputs, MU_DONE);
    mu_pool_close(pool);
}

static int read_from_host(struct mu_task *task)
{
    char bytes[16];

    (void)task;
    return read(STDIN_FILENO, bytes, sizeof bytes) == 0 ? 0 : 1;
}

static void standard_input_is_the_hosts(void **state)
{
    const int before = dup(STDIN_FILENO);
    struct mu_pool *pool;
    char bytes[16];
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "mine", 4), 4);
    assert_int_equal(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
    pool = test_pool("processes:1", NULL);
    test_run_as(pool, read_from_host, MU_DONE);
    mu_pool_close(pool);
    assert_int_equal(read(STDIN_FILENO, bytes, sizeof bytes), 4);
    if (before >= 0)
        (void)dup2(before, STDIN_FILENO);
    (void)close(before);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* -- limits of the nursery -- */

/* So that all is as before but what it could be set to. */
static int lower_parent(struct mu_task *task)
{
    struct rlimit limit;

    (void)task;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return errno;
    limit.rlim_max = limit.rlim_cur;
    return prlimit(getppid(), RLIMIT_NOFILE, &limit, NULL);
}

static int is_as_before(struct mu_task *task)
{
    struct rlimit now;

    return getrlimit(RLIMIT_NOFILE, &now) != 0 ||
           memcmp(&now, mu_task_input(task, NULL), sizeof now) != 0;
}

/* Where nobody may raise it again the nursery ends, at any time, and with it who runs. */
static void run_unlimited(struct mu_pool *pool, mu_task_fn fn,
                          const struct rlimit *limit)
{
    struct mu_outcome *o;

    assert_int_equal(mu_pool_submit(pool, fn, limit, sizeof *limit, NULL, NULL),
                     0);
    o = test_take(pool);
    assert_true(o->status == MU_DONE || o->status == MU_LOST);
    mu_outcome_free(o);
}

static void lowered_hard_limit_is_of_no_worker(void **state)
{
    enum { N_FORKED = 6 }; /* more than stood ready */
    const struct mu_pool_options options = {.recycle_tasks = 1};
    struct mu_pool *pool;
    struct rlimit before;
    struct rlimit limit;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = before.rlim_max < 600 ? before.rlim_max / 2 : 300;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    pool = test_pool("processes:1", &options);
    run_unlimited(pool, lower_parent, &limit);
    for (int i = 0; i < N_FORKED; i++)
        run_unlimited(pool, is_as_before, &limit);
    mu_pool_close(pool);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* -- what stays in the program and its nursery -- */

static void program_forgets_dead_workers(void **state)
{
    enum { N_CRASHES = 60, FEW = N_CRASHES / 2 };
    const int before = count_mappings("muster-up", "");
    const int64_t end_ns = test_deadline();
    struct mu_pool *pool = test_pool("processes:2", NULL);

    (void)state;
    for (int i = 0; i < N_CRASHES; i++)
        test_run_as(pool, crash, MU_CRASHED);
    /* their ends come after their outcomes */
    while (count_mappings("muster-up", "") > before + FEW) {
        assert_true(mu_now_ns() < end_ns);
        pause_shortly();
    }
    mu_pool_close(pool);
    assert_int_equal(count_mappings("muster-up", ""), before);
}

/* By a worker of the pool, which is there. */
static pid_t nursery_of(struct mu_pool *pool)
{
    struct mu_outcome *o = test_run(pool, test_say_pid);
    pid_t nursery = mui_census_parent((pid_t)atoi(o->output));

    mu_outcome_free(o);
    assert_true(nursery > 1);
    return nursery;
}

static int count_descriptors(pid_t pid)
{
    char path[64];
    DIR *dir;
    int n = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n;
}

static void nursery_forgets_closed_pools(void **state)
{
    enum { N_POOLS = 20, FEW = N_POOLS / 2 };
    const int64_t end_ns = test_deadline();
    struct mu_pool *pool;
    pid_t nursery;
    int n;

    (void)state;
    assert_int_equal(mu_init(NULL), 0);
    pool = test_pool("processes:1", NULL);
    nursery = nursery_of(pool);
    n = count_descriptors(nursery);
    for (int i = 0; i < N_POOLS; i++) {
        mu_pool_close(pool);
        pool = test_pool("processes:1", NULL);
        assert_int_equal(nursery_of(pool), nursery);
    }
    /* it hears of an end when it comes to it */
    while (count_descriptors(nursery) > n + FEW) {
        assert_true(mu_now_ns() < end_ns);
        pause_shortly();
    }
    mu_pool_close(pool);
}

/* -- all ancestors at once -- */

enum { N_BUSY = 2 };

static struct {
    _Atomic int n_begun;
    pid_t workers[N_BUSY];
    pid_t nursery;
} * family;

static int be_busy(struct mu_task *task)
{
    family->workers[mu_task_tag(task)] = getpid();
    family->nursery = getppid();
    atomic_fetch_add(&family->n_begun, 1);
    for (;;)
        (void)pause();
}

static void be_program(void *unused)
{
    const struct mu_pool_options options = {.window = 1};
    struct mu_pool *pool;
    struct mu_outcome *o;

    (void)unused;
    CHECK_CHILD(mu_init(NULL) == 0);
    CHECK_CHILD(mu_pool_open("processes:2", &options, &pool, NULL) == 0);
    for (int i = 0; i < N_BUSY; i++) {
        const struct mu_submit how = {.tag = (uint64_t)i};

        CHECK_CHILD(mu_pool_submit(pool, be_busy, NULL, 0, &how, NULL) == 0);
    }
    CHECK_CHILD(mu_pool_next(pool, MU_NEVER, &o) != 0); /* none of them ends */
}

static bool is_stopped(pid_t pid)
{
    char text[512] = "";
    FILE *file;
    const char *name_end;

    (void)snprintf(text, sizeof text, "/proc/%d/stat", (int)pid);
    file = fopen(text, "re");
    name_end =
        file && fgets(text, sizeof text, file) ? strrchr(text, ')') : NULL;
    if (file)
        (void)fclose(file);
    return name_end && name_end[2] == 'T';
}

/* Each is stopped before the next, so that none acts upon another's end; and killed after
 * the next, for the kernel lets stopped ones go on that lose who could. */
static void workers_end_with_all_their_ancestors(void **state)
{
    const int64_t end_ns = test_deadline();
    struct pollfd ends[N_BUSY];
    pid_t ancestors[3];
    bool ended = true;

    (void)state;
    atomic_store(&family->n_begun, 0);
    ancestors[0] = test_fork(be_program, NULL);
    while (atomic_load(&family->n_begun) < N_BUSY) {
        assert_true(mu_now_ns() < end_ns);
        pause_shortly();
    }
    for (int i = 0; i < N_BUSY; i++) {
        ends[i] = (struct pollfd){
            .fd = (int)syscall(SYS_pidfd_open, family->workers[i], 0),
            .events = POLLIN};
        assert_true(ends[i].fd >= 0);
    }
    ancestors[1] = mui_census_parent(family->nursery);
    ancestors[2] = family->nursery;
    for (int i = 0; i < 3; i++) {
        assert_true(ancestors[i] > 1);
        assert_int_equal(test_kill(ancestors[i], SIGSTOP), 0);
        while (!is_stopped(ancestors[i])) {
            assert_true(mu_now_ns() < end_ns);
            pause_shortly();
        }
    }
    for (int i = 3; i-- > 0;)
        (void)test_kill(ancestors[i], SIGKILL);
    (void)test_wait(ancestors[0]);
    for (int i = 0; i < N_BUSY; i++) {
        if (poll(&ends[i], 1, TEST_HANG_NS / 1000000) != 1) {
            ended = false;
            (void)test_kill(family->workers[i], SIGKILL);
        }
        (void)close(ends[i].fd);
    }
    assert_true(ended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* before there is a nursery that stays */
        cmocka_unit_test(worker_inherits_no_inputs),
        cmocka_unit_test(standard_input_is_the_hosts),
        cmocka_unit_test(lowered_hard_limit_is_of_no_worker),
        cmocka_unit_test(program_forgets_dead_workers),
        cmocka_unit_test(workers_end_with_all_their_ancestors),
        cmocka_unit_test(nursery_forgets_closed_pools),
    };
    const struct rlimit no_core = {0, 0};

    family = test_shared(sizeof *family);
    (void)setrlimit(RLIMIT_CORE, &no_core);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
