/* test_supervisor.c: the supervisor, the nursery and the guardian are killed, in
 * every phase, with workers that are busy: no process is left, and no file. */
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "muster/muster.h"

#include "chaos/deeds.h"
#include "chaos/descent.h"
#include "chaos/groups.h"
#include "chaos/table.h"
#include "layer/processes.h"
#include "pool/pool.h"
#include "sys/census.h"

static size_t count_files(void)
{
    glob_t found = {.gl_pathc = 0};
    size_t n = 0;

    if (glob("/dev/shm/muster*", GLOB_NOSORT, NULL, &found) == 0)
        n += found.gl_pathc;
    globfree(&found);
    if (glob("/tmp/*muster*", GLOB_NOSORT, NULL, &found) == 0)
        n += found.gl_pathc;
    globfree(&found);
    return n;
}

/* A task that never ends, with a child in a session of its own. */
static int busy(struct mu_task *task)
{
    (void)task;
    if (fork() == 0) {
        (void)setsid();
        if (fork() == 0)
            for (;;)
                (void)pause();
        for (;;)
            continue;
    }
    for (;;)
        continue;
}

/* Long after all that is to happen. */
static const int64_t a_while_ns = INT64_C(100000000000);

static int say_pid(struct mu_task *task)
{
    (void)mu_task_printf(task, "%d", (int)getpid());
    return 0;
}

/* What a supervisor does before it is killed; each phase writes a byte when it is
 * reached, and stays there. */
enum phase {
    STARTING, /* and killed at any time after */
    AFTER_INIT,
    AFTER_OPEN,
    BUSY,
    CRASHING,
    CLOSING,
    N_PHASES
};

static const char *const phase_names[N_PHASES] = {
    [STARTING] = "starting",     [AFTER_INIT] = "after mu_init()",
    [AFTER_OPEN] = "after open", [BUSY] = "busy",
    [CRASHING] = "crashing",     [CLOSING] = "closing",
};

static void reached(int fd)
{
    (void)!write(fd, "", 1);
}

static _Noreturn void supervise(enum phase phase, const char *model, int fd)
{
    /* so that workers have control groups, where they can be made */
    const struct mu_pool_options options = {.memory_bytes = 256 << 20};
    struct mu_pool *pool;
    struct mu_outcome *o;

    if (phase == STARTING)
        reached(fd);
    if (mu_init(NULL) != 0)
        _exit(1);
    if (phase == AFTER_INIT) {
        reached(fd);
        (void)pause();
    }
    if (mu_pool_open(model, &options, &pool, NULL) != 0)
        _exit(2);
    if (phase == AFTER_OPEN) {
        reached(fd);
        (void)pause();
    }
    for (int i = 0; i < 8; i++)
        if (mu_pool_submit(pool, phase == CRASHING ? deeds[0].fn : busy, NULL,
                           0, NULL, NULL) != 0)
            _exit(3);
    if (phase == CRASHING)
        for (bool told = false;;) {
            if (mu_pool_next(pool, MU_NEVER, &o) != 0)
                _exit(4);
            mu_outcome_free(o);
            if (!told)
                reached(fd);
            told = true;
            if (mu_pool_submit(pool, deeds[0].fn, NULL, 0, NULL, NULL) != 0)
                _exit(5);
        }
    if (mu_pool_next(pool, mu_after_ns(20 * 1000 * 1000), &o) == 0)
        _exit(6);
    if (phase != STARTING)
        reached(fd);
    if (phase == CLOSING)
        mu_pool_close(pool);
    for (;;)
        (void)pause();
}

/* Start ourselves again as a supervisor, which gives it a mark of its own. */
static pid_t start(enum phase phase, const char *model, int *ret_fd)
{
    char phase_text[16];
    char fd_text[16];
    int fds[2];
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    (void)snprintf(phase_text, sizeof phase_text, "%d", (int)phase);
    (void)snprintf(fd_text, sizeof fd_text, "%d", fds[1]);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)execl("/proc/self/exe", "supervisor", phase_text, model, fd_text,
                    NULL);
        _exit(9);
    }
    (void)close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

/* Returns the nanoseconds that it took. "Within a second" is the promise; the test
 * waits longer before it gives up only because other tests share the machine. */
static int64_t nothing_is_left(pid_t supervisor)
{
    const struct timespec pause = {.tv_nsec = 200 * 1000};
    int64_t start_ns = mu_now_ns();
    int64_t end_ns = mu_after_ns(INT64_C(60000000000));
    size_t n;

    do { /* nobody tells us when the last has gone */
        n = descent_count(supervisor, NULL, 0);
        if (n > 0)
            (void)nanosleep(&pause, NULL);
    } while (n > 0 && mu_now_ns() < end_ns);
    assert_int_equal(n, 0);
    return mu_now_ns() - start_ns;
}

/* A moment that is not always the same. */
static void pass_some_time(int round)
{
    const int64_t end_ns = mu_after_ns((round * INT64_C(7919) % 20) * 150000);

    while (mu_now_ns() < end_ns)
        continue;
}

/* Of the supervisor that is killed; 0: it had none yet. The control groups of others,
 * who may end at the same time, do not count. */
static pid_t guardian_now;

static bool is_of_guardian_now(pid_t guardian)
{
    return guardian == guardian_now;
}

static int64_t kill_in_phase(enum phase phase, const char *model, int round)
{
    int64_t start_ns;
    int fd;
    char byte;
    pid_t pid = start(phase, model, &fd);

    assert_int_equal(read(fd, &byte, 1), 1);
    pass_some_time(round);
    if (mui_census_children_of(pid, &guardian_now, 1) == 0)
        guardian_now = 0;
    start_ns = mu_now_ns();
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    (void)nothing_is_left(pid);
    assert_int_equal(groups_count(is_of_guardian_now), 0);
    (void)close(fd);
    return mu_now_ns() - start_ns;
}

/* $TORTURE_ROUNDS says how often in each phase. */
static void killed_supervisor_leaves_nothing(void **state)
{
    static const char *const models[] = {"processes:4",
                                         "processes:2/threads:2"};
    const char *rounds = getenv("TORTURE_ROUNDS");
    const int n_rounds = rounds ? atoi(rounds) : 3;
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    size_t n_files = count_files();

    (void)state;
    for (int i_model = 0; i_model < 2; i_model++)
        for (enum phase phase = 0; phase < N_PHASES; phase++) {
            char deed[80];
            char outcome[80];
            struct table_row row = {
                .deed = deed, .model = models[i_model], .outcome = outcome};
            int64_t longest = 0;

            for (int round = 0; round < n_rounds; round++) {
                int64_t took = kill_in_phase(phase, models[i_model], round);

                longest = took > longest ? took : longest;
            }
            (void)snprintf(deed, sizeof deed, "SIGKILL of supervisor, %s",
                           phase_names[phase]);
            (void)snprintf(outcome, sizeof outcome,
                           "%d times: all gone within %lld ms", n_rounds,
                           (long long)longest / 1000000 + 1);
            table_add(&row);
            print_message("%s under %s: %s\n", deed, row.model, outcome);
        }
    /* others may use these folders at the same time */
    for (int i = 0; i < 60000 && count_files() > n_files; i++)
        (void)nanosleep(&pause, NULL);
    assert_in_range(count_files(), 0, n_files);
}

/* -- nursery and guardian -- */

/* Its state, a letter, and its parent; 0: it has gone. */
static char look_up(pid_t pid, pid_t *ret_parent)
{
    char path[64];
    char text[512] = "";
    int fd;

    *ret_parent = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY);
    if (fd < 0)
        return 0;
    (void)!read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (!strrchr(text, ')'))
        return 0;
    *ret_parent = (pid_t)strtol(strrchr(text, ')') + 4, NULL, 10);
    return strrchr(text, ')')[2];
}

/* 0: it has gone. */
static pid_t parent_of(pid_t pid)
{
    pid_t parent;

    (void)look_up(pid, &parent);
    return parent;
}

static pid_t run_one(struct mu_pool *pool)
{
    struct mu_outcome *o;
    pid_t pid;

    assert_int_equal(mu_pool_submit(pool, say_pid, NULL, 0, NULL, NULL), 0);
    assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), 0);
    assert_int_equal(o->status, MU_DONE);
    pid = (pid_t)strtol(o->output, NULL, 10);
    mu_outcome_free(o);
    return pid;
}

static void innocents_survive(struct mu_pool *pool, const char *deed,
                              pid_t victim)
{
    enum { N = 2000 };
    struct mu_outcome *o;
    unsigned char seen[N] = {0};
    struct table_row row = {
        .deed = deed, .model = mu_pool_model(pool), .outcome = "replaced"};

    for (unsigned i = 0; i < N; i++) {
        const struct mu_submit how = {.tag = i};

        assert_int_equal(
            mu_pool_submit(pool, deed_innocent, &i, sizeof i, &how, NULL), 0);
        if (i == N / 2)
            assert_int_equal(kill(victim, SIGKILL), 0);
    }
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), 0);
        assert_int_equal(o->status, MU_DONE);
        assert_int_equal(++seen[o->tag], 1);
        assert_int_equal(o->attempts, 1);
        row.done++;
        mu_outcome_free(o);
    }
    table_add(&row);
}

/* The nursery after `last`. A worker can outlive that by a task or two, and is then a
 * child of the guardian. */
static pid_t next_nursery(struct mu_pool *pool, pid_t last, pid_t guardian)
{
    pid_t next = 0;

    for (int i = 0;
         i < 100000 && (next == 0 || next == last || next == guardian); i++)
        next = parent_of(run_one(pool));
    assert_int_not_equal(next, last);
    assert_int_not_equal(next, guardian);
    return next;
}

static void killed_nursery_is_replaced(void **state)
{
    struct mu_pool *pool;

    (void)state;
    assert_int_equal(mu_pool_open("processes:3", NULL, &pool, NULL), 0);
    for (int i = 0; i < 3; i++) {
        pid_t nursery = parent_of(run_one(pool));
        pid_t guardian = parent_of(nursery);

        innocents_survive(pool, "SIGKILL of nursery", nursery);
        (void)next_nursery(pool, nursery, guardian);
    }
    mu_pool_close(pool);
}

/* Who is stopped forks and buries nobody, and pools wait for him. */
static void stopped_nursery_is_replaced(void **state)
{
    struct mu_pool *pool;
    pid_t nursery;
    pid_t guardian;

    (void)state;
    assert_int_equal(mu_pool_open("processes:3", NULL, &pool, NULL), 0);
    nursery = parent_of(run_one(pool));
    guardian = parent_of(nursery);
    assert_int_equal(kill(nursery, SIGSTOP), 0);
    (void)next_nursery(pool, nursery, guardian);
    mu_pool_close(pool);
}

static int kill_parent(struct mu_task *task)
{
    (void)task;
    (void)kill(getppid(), SIGKILL);
    for (;;)
        (void)pause();
}

/* It is the nursery's death each time that it is tried, a few ms after the last. */
static void task_that_kills_its_parent_is_lost(void **state)
{
    struct mu_pool *pool;
    struct mu_outcome *o;

    (void)state;
    assert_int_equal(mu_pool_open("processes:1", NULL, &pool, NULL), 0);
    assert_int_equal(mu_pool_submit(pool, kill_parent, NULL, 0, NULL, NULL), 0);
    assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), 0);
    assert_int_equal(o->status, MU_LOST);
    mu_outcome_free(o);
    (void)run_one(pool);
    mu_pool_close(pool);
}

/* Take nearly all of something from the parent of a worker, or from that one's, which
 * keeps the right to have it back. */
struct squeeze {
    int resource;
    bool grandparent;
    struct rlimit before;
};

static int squeeze(struct mu_task *task)
{
    const struct squeeze *how = mu_task_input(task, NULL);
    const struct rlimit least = {1,
                                 how->grandparent ? how->before.rlim_max : 1};

    return prlimit(how->grandparent ? parent_of(getppid()) : getppid(),
                   (__rlimit_resource_t)how->resource, &least, NULL);
}

static int crash(struct mu_task *task)
{
    (void)task;
    return raise(SIGSEGV);
}

static int is_as_before(struct mu_task *task)
{
    const struct squeeze *how = mu_task_input(task, NULL);
    struct rlimit now;

    (void)getrlimit((__rlimit_resource_t)how->resource, &now);
    return memcmp(&now, &how->before, sizeof now);
}

static void run_squeezed(struct mu_pool *pool, mu_task_fn fn,
                         const struct squeeze *how, enum mu_status expected)
{
    struct mu_outcome *o;

    assert_int_equal(mu_pool_submit(pool, fn, how, sizeof *how, NULL, NULL), 0);
    assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), 0);
    assert_int_equal(o->status, expected);
    mu_outcome_free(o);
}

/* More workers are forked than stood ready, and none inherits it. */
static void task_that_limits_its_parent_limits_nobody(void **state)
{
    enum { N_FORKED = 4 };
    static const int resources[] = {RLIMIT_NOFILE, RLIMIT_AS,  RLIMIT_DATA,
                                    RLIMIT_NPROC,  RLIMIT_CPU, RLIMIT_FSIZE};
    struct mu_pool *pool;

    (void)state;
    assert_int_equal(mu_pool_open("processes:1", NULL, &pool, NULL), 0);
    for (size_t i = 0; i < 2 * sizeof resources / sizeof *resources; i++) {
        struct squeeze how = {.resource = resources[i / 2],
                              .grandparent = i % 2 == 1};
        pid_t nursery = parent_of(run_one(pool));

        (void)getrlimit((__rlimit_resource_t)how.resource, &how.before);
        run_squeezed(pool, squeeze, &how, MU_DONE);
        if (how.grandparent)
            assert_int_equal(kill(nursery, SIGKILL), 0);
        for (int j = 0; j < N_FORKED; j++) {
            run_squeezed(pool, crash, &how, MU_CRASHED);
            run_squeezed(pool, is_as_before, &how, MU_DONE);
        }
    }
    mu_pool_close(pool);
}

/* By its nursery, which gets a nursery: after it either can be killed again. */
static void killed_guardian_is_replaced(void **state)
{
    struct mu_pool *pool;
    struct mu_pool *second;
    pid_t nursery;

    (void)state;
    assert_int_equal(mu_pool_open("processes:3", NULL, &pool, NULL), 0);
    nursery = parent_of(run_one(pool));
    for (int i = 0; i < 3; i++) {
        pid_t guardian = nursery;

        innocents_survive(pool, "SIGKILL of guardian", parent_of(nursery));
        nursery = next_nursery(pool, guardian, guardian);
        assert_int_equal(parent_of(nursery), guardian);
        innocents_survive(pool, "SIGKILL of nursery after it", nursery);
        nursery = next_nursery(pool, nursery, guardian);
        assert_int_equal(parent_of(nursery), guardian);
        assert_int_equal(mu_pool_open("processes:1", NULL, &second, NULL), 0);
        assert_int_equal(parent_of(run_one(second)), nursery);
        mu_pool_close(second);
    }
    mu_pool_close(pool);
}

static void stop(pid_t pid)
{
    pid_t parent;

    assert_int_equal(kill(pid, SIGSTOP), 0);
    while (look_up(pid, &parent) != 'T')
        (void)sched_yield();
}

/* It only goes on: a pool that is open keeps its workers. The same of the one that took
 * a killed one's place. */
static void stopped_guardian_goes_on(void **state)
{
    struct mu_pool *pool;
    struct mu_pool *second;
    pid_t nursery;
    pid_t worker;

    (void)state;
    assert_int_equal(mu_pool_open("processes:1", NULL, &pool, NULL), 0);
    worker = run_one(pool);
    for (int i = 0; i < 2; i++) {
        nursery = parent_of(worker);
        stop(parent_of(nursery));
        assert_int_equal(mu_pool_open("processes:1", NULL, &second, NULL), 0);
        assert_int_equal(parent_of(run_one(second)), nursery);
        assert_int_equal(run_one(pool), worker);
        mu_pool_close(second);
        assert_int_equal(kill(parent_of(nursery), SIGKILL), 0);
        (void)next_nursery(pool, nursery, nursery);
        worker = run_one(pool);
    }
    mu_pool_close(pool);
}

/* A pool that is opened right then waits for who takes its place. */
static void pool_opens_as_the_guardian_dies(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct mu_pool *pool;
        pid_t guardian;

        assert_int_equal(mu_pool_open("processes:1", NULL, &pool, NULL), 0);
        guardian = parent_of(parent_of(run_one(pool)));
        mu_pool_close(pool);
        assert_int_equal(kill(guardian, SIGKILL), 0);
        assert_int_equal(mu_pool_open("processes:1", NULL, &pool, NULL), 0);
        (void)run_one(pool);
        mu_pool_close(pool);
    }
}

/* Without mu_init() the last pool that closes ends the guardian, and waits for it. */
static void close_with_a_stopped_guardian(void **state)
{
    int status;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        struct mu_pool *pool;

        alarm(300);
        if (mu_pool_open("processes:1", NULL, &pool, NULL) != 0)
            _exit(1);
        stop(parent_of(parent_of(run_one(pool))));
        mu_pool_close(pool);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* The nursery is stopped too, so that nobody reports the end of a worker. */
static void close_with_all_stopped(void **state)
{
    struct mu_pool *pool;
    pid_t nursery;
    pid_t guardian;
    pid_t parent;
    char how;

    (void)state;
    assert_int_equal(mu_pool_open("processes:1", NULL, &pool, NULL), 0);
    nursery = parent_of(run_one(pool));
    guardian = parent_of(nursery);
    stop(guardian);
    stop(nursery);
    mu_pool_close(pool);
    how = look_up(nursery, &parent);
    (void)kill(guardian, SIGCONT); /* or it would outlive a test that fails */
    assert_int_not_equal(how, 'T');
}

static pid_t host; /* who waits for outcomes */

/* Once the host sleeps. */
static _Noreturn int end_silently(struct mu_task *task)
{
    pid_t parent;

    (void)task;
    while (look_up(host, &parent) != 'S')
        (void)sched_yield();
    _exit(3);
}

/* The next outcome, after guardian and nursery were stopped by us: they go on. */
static struct mu_outcome *take_stopped(struct mu_pool *pool, pid_t guardian)
{
    struct mu_outcome *o;
    int rc = mu_pool_next(pool, mu_after_ns(a_while_ns), &o);

    (void)kill(-getpgid(guardian), SIGCONT); /* or the test would hang */
    assert_int_equal(rc, 0);
    return o;
}

/* Until all workers are up, spares too: nothing is awaited of the nursery. */
static void await_quiet(struct mu_pool *pool)
{
    const struct mui_processes *p = (struct mui_processes *)pool->layer;
    unsigned n_up;
    unsigned n;

    do {
        n = 0;
        n_up = 0;
        (void)sched_yield();
        (void)pthread_mutex_lock(&pool->lock);
        for (unsigned i = 0; i < p->n_peers; i++) {
            n += p->peers[i].state != MUI_PEER_FREE;
            n_up += p->peers[i].state == MUI_PEER_ORDERED && p->peers[i].up;
        }
        (void)pthread_mutex_unlock(&pool->lock);
    } while (n != n_up || n_up < pool->n_groups + p->n_spares);
}

/* So that nobody reports it: only the nursery knows how a worker ended that left no word,
 * and nobody but the pool lets it go on. */
static void silent_end_with_all_stopped(void **state)
{
    struct mu_outcome *o;
    struct mu_pool *pool;
    pid_t nursery;
    pid_t guardian;

    (void)state;
    assert_int_equal(mu_pool_open("processes:2", NULL, &pool, NULL), 0);
    nursery = parent_of(run_one(pool));
    guardian = parent_of(nursery);
    await_quiet(pool);
    stop(guardian);
    stop(nursery);
    assert_int_equal(mu_pool_submit(pool, end_silently, NULL, 0, NULL, NULL),
                     0);
    o = take_stopped(pool, guardian);
    assert_int_equal(o->status, MU_EXITED);
    assert_int_equal(o->code, 3);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* After the pool let it go on to have another nursery, and before it has: it pauses
 * there. */
static void guardian_stops_at_its_work(void **state)
{
    struct mu_outcome *o;
    struct mu_pool *pool;
    pid_t nursery;
    pid_t guardian;
    pid_t parent;

    (void)state;
    assert_int_equal(mu_pool_open("processes:2", NULL, &pool, NULL), 0);
    nursery = parent_of(run_one(pool));
    guardian = parent_of(nursery);
    stop(guardian);
    assert_int_equal(kill(nursery, SIGKILL), 0);
    while (look_up(guardian, &parent) == 'T')
        (void)sched_yield();
    assert_int_equal(kill(guardian, SIGSTOP), 0);
    assert_int_equal(mu_pool_submit(pool, say_pid, NULL, 0, NULL, NULL), 0);
    o = take_stopped(pool, guardian);
    assert_int_equal(o->status, MU_DONE);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* Submit a task that crashes and is to be tried again, with its worker's end reported by
 * nobody for a second or so: meanwhile it waits. Returns its id. */
static uint64_t hold_back(struct mu_pool *pool)
{
    struct mu_outcome *o;
    struct mu_stats stats;
    pid_t nursery;
    uint64_t n_died;
    uint64_t id;
    int rc;

    nursery = parent_of(run_one(pool));
    stop(parent_of(nursery));
    stop(nursery);
    mu_pool_stats(pool, &stats);
    n_died = stats.n_workers_died;
    assert_int_equal(mu_pool_submit(pool, crash, NULL, 0, NULL, &id), 0);
    do {
        rc = mu_pool_next(pool, mu_after_ns(1000000), &o);
        mu_pool_stats(pool, &stats);
    } while (rc == MU_TIMEOUT && stats.n_workers_died == n_died);
    assert_int_equal(rc, MU_TIMEOUT);
    return id;
}

/* Whether a task that was held back could be cancelled: unless that second was over. */
static bool cancel_held(struct mu_pool *pool)
{
    uint64_t id = hold_back(pool);
    struct mu_outcome *o;
    bool cancelled;

    (void)mu_pool_cancel(pool, id, 0);
    assert_int_equal(mu_pool_next(pool, mu_after_ns(a_while_ns), &o), 0);
    cancelled = o->status == MU_CANCELLED && o->attempts == 1;
    mu_outcome_free(o);
    return cancelled;
}

/* It can be cancelled, and its pool be closed. */
static void held_task_is_cancelled(void **state)
{
    enum { TRIES = 10 };
    const struct mu_pool_options options = {.retries = 1};
    struct mu_pool *pool;
    bool cancelled = false;

    (void)state;
    assert_int_equal(mu_pool_open("processes:1", &options, &pool, NULL), 0);
    for (int i = 0; i < TRIES && !cancelled; i++)
        cancelled = cancel_held(pool);
    assert_true(cancelled);
    (void)hold_back(pool);
    mu_pool_close(pool);
}

/* Nor does it wait for a report that will not come. */
static void held_task_outlives_the_nursery(void **state)
{
    const struct mu_pool_options options = {.retries = 1};
    struct mu_outcome *o;
    struct mu_pool *pool;
    pid_t nursery;

    (void)state;
    assert_int_equal(mu_pool_open("processes:1", &options, &pool, NULL), 0);
    nursery = parent_of(run_one(pool));
    (void)hold_back(pool);
    assert_int_equal(kill(nursery, SIGKILL), 0);
    assert_int_equal(mu_pool_next(pool, mu_after_ns(a_while_ns), &o), 0);
    assert_int_equal(o->status, MU_CRASHED);
    assert_int_equal(o->attempts, 2);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static void await_end(pid_t pid)
{
    while (parent_of(pid) > 0)
        (void)sched_yield();
}

/* In one call, for each replaces the other: they are a process group. Stopping one first
 * does not help: the pool lets a stopped guardian go on when it misses the nursery. */
static void kill_both(pid_t nursery)
{
    pid_t group = getpgid(nursery);

    if (group <= 1 || group == getpgrp() || kill(-group, SIGKILL) != 0)
        _exit(7);
    await_end(nursery);
}

/* When both are gone nothing hangs: the tasks say so, and so does the next pool,
 * unless it can have new ones. In a process of its own. */
static void lose_both(void)
{
    struct mu_pool *pool;
    struct mu_pool *second;
    struct mu_outcome *o;
    struct mu_error err;
    pid_t nursery;
    char text[200];
    int rc;

    if (mu_init(NULL) != 0 ||
        mu_pool_open("processes:2", NULL, &pool, NULL) != 0)
        _exit(1);
    nursery = parent_of(run_one(pool));
    kill_both(nursery);
    /* until it is noticed: a task ends by it, and then none is taken */
    while ((rc = mu_pool_submit(pool, say_pid, NULL, 0, NULL, NULL)) == 0) {
        if (mu_pool_next(pool, MU_NEVER, &o) != 0)
            _exit(2);
        (void)mu_outcome_describe(o, text, sizeof text);
        if (o->status != MU_DONE &&
            !(o->status == MU_LOST &&
              strstr(text, "no worker could be started any more: processes: ")))
            _exit(3);
        mu_outcome_free(o);
    }
    if (rc != MU_ECRASHED)
        _exit(6);
    /* the pool that is open has a thread */
    if (mu_pool_open("processes:2", NULL, &second, &err) != MU_EINIT ||
        !strstr(err.text, "threads"))
        _exit(4);
    mu_pool_close(pool);
    if (mu_pool_open("processes:2", NULL, &second, &err) != 0)
        _exit(5);
    (void)run_one(second);
    mu_pool_close(second);
}

static void loss_of_both_is_said(void **state)
{
    int status;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(300);
        lose_both();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_supervisor_leaves_nothing),
        cmocka_unit_test(killed_nursery_is_replaced),
        cmocka_unit_test(stopped_nursery_is_replaced),
        cmocka_unit_test(task_that_kills_its_parent_is_lost),
        cmocka_unit_test(task_that_limits_its_parent_limits_nobody),
        cmocka_unit_test(stopped_guardian_goes_on),
        cmocka_unit_test(pool_opens_as_the_guardian_dies),
        cmocka_unit_test(close_with_a_stopped_guardian),
        cmocka_unit_test(close_with_all_stopped),
        cmocka_unit_test(silent_end_with_all_stopped),
        cmocka_unit_test(guardian_stops_at_its_work),
        cmocka_unit_test(held_task_is_cancelled),
        cmocka_unit_test(held_task_outlives_the_nursery),
        cmocka_unit_test(loss_of_both_is_said),
        cmocka_unit_test(killed_guardian_is_replaced),
    };

    descent_mark(argv);
    host = getpid();
    if (argc == 4)
        supervise((enum phase)atoi(argv[1]), argv[2], atoi(argv[3]));
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
