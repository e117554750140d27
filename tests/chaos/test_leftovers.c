/* test_leftovers.c: what a task leaves in its process, and who comes after it does not
 * see or miss: state of the process (with `strict`), memory and descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "muster/muster.h"

#include "support/pool.h"
#include "support/traced.h"
#include "sys/arithmetic.h"

/* -- state -- */

/* What one task changes. */
enum change {
    NOTHING,
    AN_ALARM,
    A_TIMER,
    ROUNDING,
    PRECISION,
    FLAGS,
    HANDLER_STACK,
    USER,
    GROUP,
    GROUPS,
    NICE,
    UMASK,
    POLICY,
    STREAM,
    N_FOR_ALL,
    /* where it has its process alone */
    MASK = N_FOR_ALL,
    CPUS,
    N_CHANGES
};

static int round_up(void)
{
#ifdef __x86_64__
    enum { UP = 0x4000 };

    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | UP);
#endif
    return 0;
}

/* Of long double; with `change` it is less after that. */
static int precision(bool change)
{
    uint16_t now = 0;
#ifdef __x86_64__
    const uint16_t single = 0x7f; /* all is masked, as ever */

    __asm__("fnstcw %0" : "=m"(now));
    if (change)
        __asm__ volatile("fldcw %0" : : "m"(single));
#endif
    return change ? 0 : now;
}

/* Those of the direction of string instructions, and of checks of alignment. */
static int set_flags(bool set)
{
#ifdef __x86_64__
    enum { BOTH = 1 << 10 | 1 << 18 };
    unsigned long long now = __builtin_ia32_readeflags_u64();

    if (set)
        __builtin_ia32_writeeflags_u64(now | BOTH);
    return (now & BOTH) != 0;
#else
    return 0 * set;
#endif
}

static int use_one_cpu(void)
{
    cpu_set_t cpus;
    int i = 0;

    if (sched_getaffinity(0, sizeof cpus, &cpus) < 0)
        return errno;
    while (!CPU_ISSET(i, &cpus))
        i++;
    CPU_ZERO(&cpus);
    CPU_SET(i, &cpus);
    return sched_setaffinity(0, sizeof cpus, &cpus);
}

static int change(enum change what)
{
    enum { NOBODY = 65534, NEVER_S = 1000000 };
    const struct itimerspec when = {.it_value = {.tv_sec = NEVER_S}};
    const struct sched_param plain = {.sched_priority = 0};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL,
                             .sigev_signo = SIGUSR1};
    const gid_t groups[] = {NOBODY, NOBODY, NOBODY};
    const stack_t off = {.ss_flags = SS_DISABLE};
    sigset_t one;
    timer_t timer;

    switch (what) {
    case AN_ALARM:
        return (int)alarm(NEVER_S);
    case A_TIMER:
        return timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 ||
               timer_settime(timer, 0, &when, NULL) < 0;
    case ROUNDING:
        return round_up();
    case PRECISION:
        return precision(true);
    case FLAGS:
        return set_flags(true);
    case HANDLER_STACK:
        return sigaltstack(&off, NULL);
    case USER: /* whoever is no other already */
        return geteuid() == 0 && setresuid(NOBODY, NOBODY, 0) < 0;
    case GROUP:
        return geteuid() == 0 && setresgid(NOBODY, NOBODY, 0) < 0;
    case GROUPS:
        return geteuid() == 0 && setgroups(3, groups) < 0;
    case UMASK:
        (void)umask(0123);
        return 0;
    case NICE:
        return setpriority(PRIO_PROCESS, 0, 5);
    case POLICY:
        return sched_setscheduler(0, SCHED_BATCH, &plain);
    case STREAM:
        return dup2(1, 0) < 0;
    case MASK:
        (void)sigemptyset(&one);
        (void)sigaddset(&one, SIGUSR1);
        return pthread_sigmask(SIG_BLOCK, &one, NULL);
    case CPUS:
        return use_one_cpu();
    default:
        return 0;
    }
}

/* Whether there is one of timer_create(): the kernel counts them from 0. Its list of them is
 * a file, which not every task may open. */
static bool has_timer(void)
{
    enum { SOME = 64 };
    struct itimerspec now;

    for (int id = 0; id < SOME; id++)
        if (syscall(SYS_timer_gettime, id, &now) == 0)
            return true;
    return false;
}

/* Without it no handler runs after a stack overflow, to tell of it. */
static bool has_handler_stack(void)
{
    stack_t now;

    return sigaltstack(NULL, &now) == 0 && !(now.ss_flags & SS_DISABLE);
}

/* Say what there is; then change what the tag names. */
static int say_and_change(struct mu_task *t)
{
    struct itimerval alarm_now = {.it_value = {.tv_sec = 0}};
    struct stat in = {.st_ino = 0};
    sigset_t blocked;
    cpu_set_t cpus;
    int flags = set_flags(false);
    mode_t mask = umask(0);

    (void)umask(mask);
    (void)getitimer(ITIMER_REAL, &alarm_now);
    (void)fstat(0, &in);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    CPU_ZERO(&cpus);
    (void)sched_getaffinity(0, sizeof cpus, &cpus);
    (void)mu_task_printf(t,
                         "alarm %d timer %d round %llx precision %x flags %d "
                         "stack %d user %d group %d groups %d nice "
                         "%d policy %d umask %o in %lu",
                         alarm_now.it_value.tv_sec != 0, has_timer(),
                         (unsigned long long)mui_arithmetic(),
                         (unsigned)precision(false), flags, has_handler_stack(),
                         (int)getuid(), (int)getgid(), getgroups(0, NULL),
                         getpriority(PRIO_PROCESS, 0), sched_getscheduler(0),
                         (unsigned)mask, (unsigned long)in.st_ino);
    if (mu_task_arg(t, NULL))
        (void)mu_task_printf(t, " mask %d cpus %d",
                             sigismember(&blocked, SIGUSR1), CPU_COUNT(&cpus));
    return change((enum change)mu_task_tag(t));
}

static void strict_hides(const char *model, bool alone,
                         const char *const *read_paths)
{
    const struct mu_pool_options options = {.strict = 1,
                                            .arg = alone ? "" : NULL,
                                            .arg_size = alone,
                                            .read_paths = read_paths};
    struct mu_pool *pool;
    struct mu_outcome *first;
    int rc = mu_pool_open(model, &options, &pool, NULL);

    if (rc == MU_EMODEL && read_paths)
        return; /* no sandbox can be had here */
    assert_int_equal(rc, 0);
    first = test_run_tag(pool, say_and_change, NOTHING);
    assert_int_equal(first->status, MU_DONE);
    for (unsigned what = 0; what < (alone ? N_CHANGES : N_FOR_ALL); what++) {
        struct mu_outcome *o = test_run_tag(pool, say_and_change, what);

        assert_int_equal(o->status, MU_DONE);
        mu_outcome_free(o);
        o = test_run_tag(pool, say_and_change, NOTHING);
        if (strcmp(o->output, first->output) != 0)
            fail_msg("%s after change %u: %s", (const char *)first->output,
                     what, (const char *)o->output);
        mu_outcome_free(o);
    }
    mu_outcome_free(first);
    mu_pool_close(pool);
}

static void strict_hides_state(void **state)
{
    (void)state;
    strict_hides("processes:1", true, NULL);
    strict_hides("processes:1/threads:2", false, NULL);
}

/* Nor where a worker has a thread more, which looks at paths, and /proc is not one that
 * may be opened. */
static void strict_hides_state_without_proc(void **state)
{
    static const char *const paths[] = {"/usr", NULL};

    (void)state;
    strict_hides("processes:1", true, paths);
    strict_hides("processes:1/threads:2", false, paths);
}

/* Who changes nothing keeps the worker: nothing of what is compared is our own doing. */
static void strict_keeps_the_unchanged(void **state)
{
    static const char *const models[] = {"processes:1",
                                         "processes:1/threads:2"};
    static const char *const paths[] = {"/usr", NULL};

    (void)state;
    for (int i = 0; i < 8; i++) {
        const struct mu_pool_options options = {
            .strict = 1, .pin = i % 2, .read_paths = i >= 4 ? paths : NULL};
        struct mu_pool *pool;
        struct mu_stats stats;

        if (mu_pool_open(models[i / 2 % 2], &options, &pool, NULL) != 0) {
            assert_non_null(options.read_paths); /* optional */
            continue;
        }
        for (int k = 0; k < 20; k++)
            mu_outcome_free(test_run_tag(pool, say_and_change, NOTHING));
        mu_pool_stats(pool, &stats);
        assert_int_equal(stats.n_workers_died, 0);
        mu_pool_close(pool);
    }
}

/* A child of a child, which has lost its parent when the task ends. */
static int leave_orphan(struct mu_task *task)
{
    int ends[2];
    pid_t orphan = 0;
    pid_t child;

    if (pipe(ends) < 0)
        return errno;
    child = fork();
    if (child == 0) {
        orphan = fork();
        while (orphan == 0)
            (void)pause();
        _exit(write(ends[1], &orphan, sizeof orphan) != sizeof orphan);
    }
    if (waitpid(child, NULL, 0) != child ||
        read(ends[0], &orphan, sizeof orphan) != sizeof orphan)
        return -1;
    (void)close(ends[0]);
    (void)close(ends[1]);
    return mu_task_printf(task, "%d", (int)orphan);
}

/* While the pool goes on, and its worker too. */
static void strict_kills_orphans(void **state)
{
    static const char *const models[] = {"processes:1",
                                         "processes:1/threads:2"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct mu_pool_options options = {.strict = 1};
        struct mu_pool *pool = test_pool(models[i], &options);
        struct mu_stats stats;

        for (int k = 0; k < 3; k++) {
            struct mu_outcome *o = test_run(pool, leave_orphan);

            assert_int_equal(o->status, MU_DONE);
            test_await_end((pid_t)strtol(o->output, NULL, 10));
            mu_outcome_free(o);
        }
        mu_pool_stats(pool, &stats);
        assert_int_equal(stats.n_workers_died, 0);
        mu_pool_close(pool);
    }
}

/* -- what it keeps -- */

enum { LIMIT = 64 << 20, PIECE = 1 << 20 };

/* As many pieces as the tag says, kept for ever, but less than the limit. */
static int keep(struct mu_task *t)
{
    for (uint64_t i = 0; i < mu_task_tag(t); i++) {
        char *volatile piece = malloc(PIECE);

        if (!piece)
            return ENOMEM;
        memset(piece, 1, PIECE);
    }
    return test_say_pid(t);
}

/* A task that looks whether there is memory, as it should. */
static int want(struct mu_task *t)
{
    size_t size = mu_task_tag(t) * PIECE;
    char *volatile piece = malloc(size);

    if (!piece)
        return ENOMEM;
    memset(piece, 1, size);
    free(piece);
    return 0;
}

static void kept_memory_is_not_missed(void **state)
{
    static const char *const models[] = {"processes:1",
                                         "processes:1/threads:2"};
    const struct mu_pool_options options = {.memory_bytes = LIMIT};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct mu_pool *pool = test_pool(models[i], &options);

        for (int k = 0; k < 3; k++) {
            struct mu_outcome *o = test_run_tag(pool, keep, 50);

            assert_int_equal(o->status, MU_DONE);
            mu_outcome_free(o);
            o = test_run_tag(pool, want, 40);
            assert_int_equal(o->status, MU_DONE);
            assert_int_equal(o->attempts, 1);
            mu_outcome_free(o);
        }
        mu_pool_close(pool);
    }
}

/* A cache that does not grow is worth its worker. */
static void little_memory_is_kept(void **state)
{
    const struct mu_pool_options options = {.memory_bytes = LIMIT};
    struct mu_pool *pool = test_pool("processes:1", &options);
    long pid = 0;

    (void)state;
    for (int k = 0; k < 3; k++) {
        struct mu_outcome *o = test_run_tag(pool, keep, 3);
        long now = strtol(o->output, NULL, 10);

        assert_int_equal(o->status, MU_DONE);
        assert_true(k == 0 || now == pid);
        pid = now;
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

/* Open as many as the tag says. */
static int open_some(struct mu_task *t)
{
    for (uint64_t i = 0; i < mu_task_tag(t); i++)
        if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
            return errno;
    test_take_long();
    return 0;
}

static void kept_descriptors_are_not_missed(void **state)
{
    const struct mu_pool_options options = {.open_files = 100};
    struct mu_pool *pool;
    struct stat st;

    (void)state;
    if (stat("/proc/self/fd", &st) != 0 || st.st_size == 0)
        skip(); /* before Linux 6.2: nobody tells how many there are */
    pool = test_pool("processes:1", &options);
    for (int k = 0; k < 5; k++) {
        struct mu_outcome *o = test_run_tag(pool, open_some, 50);

        assert_int_equal(o->status, MU_DONE);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

static int open_all(struct mu_task *task)
{
    (void)task;
    while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
        continue;
    return 0;
}

static int open_one(struct mu_task *task)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)task;
    if (fd < 0)
        return errno;
    (void)close(fd);
    return 0;
}

/* The first behind it may fail, if that comes before a look at the worker. */
static void lack_of_descriptors_is_noticed(void **state)
{
    enum { N_BEHIND = 10 };
    const struct mu_pool_options options = {.open_files = 50};
    struct mu_pool *pool;
    struct stat st;

    (void)state;
    if (stat("/proc/self/fd", &st) != 0 || st.st_size == 0)
        skip(); /* before Linux 6.2: nobody tells how many there are */
    pool = test_pool("processes:1", &options);
    for (int k = 0; k < 5; k++) {
        unsigned n_failed = 0;

        test_submit(pool, open_all, 0);
        for (int i = 0; i < N_BEHIND; i++)
            test_submit(pool, open_one, 0);
        for (int i = 0; i <= N_BEHIND; i++) {
            struct mu_outcome *o = test_take(pool);

            n_failed += o->status != MU_DONE;
            mu_outcome_free(o);
        }
        assert_true(n_failed <= 1);
    }
    mu_pool_close(pool);
}

/* -- who traces the worker -- */

/* A child that hears of its worker's end, and does not tell; its output is who. */
static int leave_tracer(struct mu_task *task)
{
    pid_t child = test_traced_by_child(getpid());

    return child > 0 ? mu_task_write(task, &child, sizeof child) : 1;
}

/* Though it is the only one to hear that the worker has ended, and nothing else does. */
static void tracer_is_killed(void **state)
{
    struct mu_pool *pool = test_pool("processes:1", NULL);
    struct mu_outcome *o = test_run(pool, leave_tracer);
    const int64_t end = test_deadline();
    pid_t tracer;

    (void)state;
    assert_int_equal(o->status, MU_DONE);
    memcpy(&tracer, o->output, sizeof tracer);
    mu_outcome_free(o);
    while (test_kill(tracer, 0) == 0) {
        assert_true(mu_now_ns() < end);
        (void)sched_yield();
    }
    mu_pool_close(pool);
}

/* The nursery becomes the tracer of the thread, and hears of that alone. */
static int be_traced_and_crash(struct mu_task *task)
{
    (void)task;
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    return raise(SIGSEGV);
}

static void traced_thread_does_not_hang(void **state)
{
    static const char *const models[] = {"processes:1",
                                         "processes:1/threads:2"};

    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct mu_pool *pool = test_pool(models[i], NULL);

        test_run_as(pool, be_traced_and_crash, MU_CRASHED);
        mu_pool_close(pool);
    }
}

static int cancel_itself(struct mu_task *task)
{
    (void)task;
    return -pthread_cancel(pthread_self());
}

static int does_nothing(struct mu_task *task)
{
    (void)task;
    return 0;
}

static void cancelled_thread_ends_with_its_task(void **state)
{
    struct mu_pool *pool = test_pool("processes:1", NULL);

    (void)state;
    test_run_as(pool, cancel_itself, MU_EXITED);
    test_run_as(pool, does_nothing, MU_DONE);
    mu_pool_close(pool);
}

static int end_its_thread(struct mu_task *task)
{
    (void)task;
    return (int)syscall(SYS_exit, 7);
}

/* The kernel tells nobody the status of a thread that is not the last of its process. */
static void status_of_a_thread_is_not_made_up(void **state)
{
    static const struct {
        const char *model;
        mu_task_fn fn;
        const char *text;
    } cases[] = {
        {"processes:1", end_its_thread, "exited with status 7"},
        {"processes:1/threads:1", end_its_thread, "exited: its thread ended"},
        {"processes:1/threads:1", cancel_itself, "exited: its thread ended"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mu_pool *pool = test_pool(cases[i].model, NULL);
        struct mu_outcome *o = test_run(pool, cases[i].fn);
        char text[64];

        assert_int_equal(o->status, MU_EXITED);
        (void)mu_outcome_describe(o, text, sizeof text);
        assert_string_equal(text, cases[i].text);
        mu_outcome_free(o);
        mu_pool_close(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancelled_thread_ends_with_its_task),
        cmocka_unit_test(status_of_a_thread_is_not_made_up),
        cmocka_unit_test(traced_thread_does_not_hang),
        cmocka_unit_test(strict_hides_state),
        cmocka_unit_test(strict_hides_state_without_proc),
        cmocka_unit_test(strict_keeps_the_unchanged),
        cmocka_unit_test(strict_kills_orphans),
        cmocka_unit_test(kept_memory_is_not_missed),
        cmocka_unit_test(little_memory_is_kept),
        cmocka_unit_test(kept_descriptors_are_not_missed),
        cmocka_unit_test(lack_of_descriptors_is_noticed),
        cmocka_unit_test(tracer_is_killed),
    };

    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
