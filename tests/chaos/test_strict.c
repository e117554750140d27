/* test_strict.c: where the kernel says whether a task made a system call (sys/calls.h): what
 * tasks change is hidden whether they made one or not, from the next task on in pools that
 * are strict, before long in others; and they end as they do where nobody watches. What is
 * hidden at all: test_renewal.c, test_leftovers.c. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "chaos/deeds.h"
#include "support/calls.h"
#include "support/pool.h"
#include "sys/arithmetic.h"
#include "sys/calls.h"

static const struct mu_pool_options strict = {.strict = 1};

/* -- who is watched -- */

/* Its output is whether a call of its would be noticed: until the first one. */
static int say_watched(struct mu_task *task)
{
    const char watched = mui_calls_were_none();

    return mu_task_write(task, &watched, 1);
}

static int call_once(struct mu_task *task)
{
    int rc = say_watched(task);

    (void)syscall(SYS_getppid);
    return rc;
}

static void check_watched(struct mu_pool *pool, mu_task_fn fn, bool watched)
{
    struct mu_outcome *o = test_run(pool, fn);

    assert_int_equal(o->status, MU_DONE);
    assert_int_equal(o->output_size, 1);
    assert_int_equal(*(const char *)o->output, watched);
    mu_outcome_free(o);
}

static void one_thread_is_watched(void **state)
{
    static const char *const paths[] = {"/", NULL};
    static const struct {
        const char *model;
        struct mu_pool_options options;
        bool watched;
    } cases[] = {
        {"processes:1", {.strict = 1}, true},
        {"processes:1", {.strict = 1, .pin = 1}, true},
        {"processes:1", {.strict = 1, .memory_bytes = 64 << 20}, true},
        {"processes:1/threads:1", {.strict = 1}, false},
        {"processes:1/threads:2", {.strict = 1}, false},
        /* optional */
        {"processes:1", {.strict = 1, .sandbox = MU_SANDBOX_NO_NETWORK}, true},
        {"processes:1", {.strict = 1, .sandbox = MU_SANDBOX_READ_ONLY}, true},
        {"processes:1", {.strict = 1, .sandbox = MU_SANDBOX_PURE}, false},
        {"processes:1", {.strict = 1, .read_paths = paths}, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const bool watched = cases[i].watched && test_tells_calls();
        struct mu_pool *pool;

        if (mu_pool_open(cases[i].model, &cases[i].options, &pool, NULL) != 0) {
            assert_true(cases[i].options.sandbox ||
                        cases[i].options.read_paths);
            continue;
        }
        check_watched(pool, say_watched, false); /* once a worker */
        for (int k = 0; k < 2; k++) {
            check_watched(pool, say_watched, watched);
            check_watched(pool, call_once, watched);
        }
        mu_pool_close(pool);
    }
}

/* As long as tasks run before they are looked at. */
static int compute(struct mu_task *task)
{
    const int64_t end = mu_after_ns(1100 * 1000);

    (void)task;
    while (mu_now_ns() < end)
        ;
    return 0;
}

/* Run tasks until one is watched: with `strict` the second, else one that a look came
 * before. */
static void await_watched(struct mu_pool *pool)
{
    enum { TRIES = 1000 };

    for (int i = 0; i < TRIES; i++) {
        struct mu_outcome *o = test_run(pool, say_watched);
        const bool watched = *(const char *)o->output;

        assert_int_equal(o->status, MU_DONE);
        mu_outcome_free(o);
        if (watched || !test_tells_calls())
            return;
        test_run_as(pool, compute, MU_DONE);
    }
    fail_msg("nobody watches");
}

/* -- what they change -- */

static const char name[] = "MUSTER_TEST_STRICT";

static void round_up(void)
{
#ifdef __x86_64__
    enum { UP = 0x4000 };

    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | UP);
#endif
}

static void set_flag(void)
{
#ifdef __x86_64__
    enum { CHECKS = 1 << 18 };

    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | CHECKS);
#endif
}

/* Of its own: inlined into a larger function gcc 12 can read another word of the stack. */
__attribute__((noinline)) static int get_flag(void)
{
#ifdef __x86_64__
    enum { CHECKS = 1 << 18 };

    return (__builtin_ia32_readeflags_u64() & CHECKS) != 0;
#else
    return 0;
#endif
}

/* As MMX does whose end is missing: there is no room for a long double. */
static void fill_stack(void)
{
#ifdef __x86_64__
    __asm__ volatile("fld1; fld1; fld1; fld1; fld1; fld1; fld1; fld1");
#endif
}

/* A division by zero, which the next that computes would be signalled. */
static void leave_division(void)
{
#ifdef __x86_64__
    const uint16_t traps = 0x37b;

    __asm__ volatile("fldcw %0; fld1; fldz; fdivrp" : : "m"(traps));
#endif
}

__attribute__((noinline)) static double compute_long(void)
{
    volatile long double one_and_a_half = 1.5L;

    return (double)(one_and_a_half * one_and_a_half);
}

static void edit_in_place(void)
{
    char *value = getenv(name);

    if (value)
        *value = 'y';
}

static void replace_list(void)
{
    static char other[] = "MUSTER_TEST_STRICT=z";
    static char *list[] = {other, NULL};

    environ = list;
}

static void set_locale(void)
{
    (void)setlocale(LC_NUMERIC, "C.UTF-8");
}

/* Of this thread alone; it takes no file. */
static void use_locale(void)
{
    (void)uselocale(newlocale(LC_ALL_MASK, "C", NULL));
}

/* In memory, without a system call but perhaps the last. */
static void (*const in_memory[])(void) = {
    edit_in_place, replace_list,   round_up,   set_flag,
    fill_stack,    leave_division, set_locale, use_locale};

static void on_signal(int signal)
{
    (void)signal;
}

static void change_directory(void)
{
    (void)syscall(SYS_chdir, "/");
}

static void change_mask(void)
{
    (void)syscall(SYS_umask, 0123);
}

static void ignore(void)
{
    (void)signal(SIGUSR2, SIG_IGN);
}

/* Those that system() ignores for a while. */
static void ignore_interrupt(void)
{
    (void)signal(SIGINT, SIG_IGN);
}

static void handle_quit(void)
{
    (void)signal(SIGQUIT, on_signal);
}

static void handle_first(void)
{
    (void)signal(SIGHUP, on_signal);
}

static void handle_last(void)
{
    (void)signal(SIGRTMAX, on_signal);
}

static void handle_sigsys(void)
{
    (void)signal(SIGSYS, on_signal);
}

static void ignore_sigsys(void)
{
    (void)signal(SIGSYS, SIG_IGN);
}

static void block_all(void)
{
    sigset_t all;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
}

/* What a handler asks for besides. */
static void change_flags(void)
{
    struct sigaction action;

    (void)sigaction(SIGFPE, NULL, &action);
    action.sa_flags ^= SA_ONSTACK;
    (void)sigaction(SIGFPE, &action, NULL);
}

static void change_blocked(void)
{
    struct sigaction action;

    (void)sigaction(SIGFPE, NULL, &action);
    (void)sigdelset(&action.sa_mask, SIGUSR1);
    (void)sigaction(SIGFPE, &action, NULL);
}

static void forget_children(void)
{
    const struct sigaction action = {.sa_handler = SIG_DFL,
                                     .sa_flags = SA_NOCLDWAIT};

    (void)sigaction(SIGCHLD, &action, NULL);
}

/* Behind calls that change nothing. */
static void change_directory_late(void)
{
    (void)lseek(-1, 0, SEEK_SET);
    (void)write(1, "", 0);
    change_directory();
}

static void lower_limit(void)
{
    const struct rlimit low = {.rlim_cur = 61, .rlim_max = 61};

    (void)setrlimit(RLIMIT_NOFILE, &low);
}

/* The soft one; and what nobody raises again. */
static void lower_cpu(void)
{
    struct rlimit low;

    (void)getrlimit(RLIMIT_CPU, &low);
    low.rlim_cur = 1000 * 1000;
    (void)setrlimit(RLIMIT_CPU, &low);
}

static void lower_hard_cpu(void)
{
    struct rlimit low;

    (void)getrlimit(RLIMIT_CPU, &low);
    low.rlim_max = 1000 * 1000 * 1000;
    if (low.rlim_cur > low.rlim_max)
        low.rlim_cur = low.rlim_max;
    (void)setrlimit(RLIMIT_CPU, &low);
}

/* In 1000 s of CPU time. */
static void start_timer_of_cpu(void)
{
    const struct itimerval late = {.it_value = {.tv_sec = 1000}};

    (void)setitimer(ITIMER_PROF, &late, NULL);
}

static void start_timer_of_user_cpu(void)
{
    const struct itimerval late = {.it_value = {.tv_sec = 1000}};

    (void)setitimer(ITIMER_VIRTUAL, &late, NULL);
}

static void replace_errors(void)
{
    const int fd = open("/dev/null", O_WRONLY);

    (void)dup2(fd, 2);
    (void)close(fd);
}

/* The same file, but nothing can be written to it. */
static void reopen_output(void)
{
    const int fd = open("/proc/self/fd/1", O_RDONLY | O_NONBLOCK);

    (void)dup2(fd, 1);
    (void)close(fd);
}

static void close_output_at_exec(void)
{
    (void)fcntl(1, F_SETFD, FD_CLOEXEC);
}

/* Where files are asked for as somebody else: who is root can. */
static void be_another_to_files(void)
{
    (void)setfsuid(65534);
}

/* Who is root could come to be this one, or a member of that group. */
static void save_another_user(void)
{
    (void)setresuid((uid_t)-1, (uid_t)-1, 65534);
}

static void save_another_group(void)
{
    (void)setresgid((gid_t)-1, (gid_t)-1, 65534);
}

static void be_of_another_group_to_files(void)
{
    (void)setfsgid(65534);
}

/* A stack that a handler would not survive. */
static void replace_stack(void)
{
    static char gone[1 << 16];
    const stack_t stack = {.ss_sp = gone, .ss_size = sizeof gone};

    (void)sigaltstack(&stack, NULL);
}

/* One whose first and last system call changes something. */
static void (*const by_a_call[])(void) = {change_directory,
                                          change_mask,
                                          ignore,
                                          ignore_interrupt,
                                          handle_quit,
                                          handle_first,
                                          handle_last,
                                          handle_sigsys,
                                          ignore_sigsys,
                                          block_all,
                                          lower_limit,
                                          lower_cpu,
                                          lower_hard_cpu,
                                          start_timer_of_cpu,
                                          start_timer_of_user_cpu,
                                          replace_errors,
                                          reopen_output,
                                          close_output_at_exec,
                                          be_another_to_files,
                                          be_of_another_group_to_files,
                                          save_another_user,
                                          save_another_group,
                                          replace_stack,
                                          change_flags,
                                          change_blocked,
                                          forget_children,
                                          change_directory_late};

/* The calls of those behind it are not made known to us by the kernel. */
static void end_watch(void)
{
    (void)prctl(59, 0, 0, 0, 0);
}

static void watch_itself(void)
{
    static char selector;

    (void)prctl(59, 1, 0, 0, &selector);
}

static int change(struct mu_task *task)
{
    void (*const *deed)(void) = mu_task_input(task, NULL);

    (*deed)();
    return 0;
}

static void *handler_of(int s)
{
    struct sigaction action;

    (void)sigaction(s, NULL, &action);
    return (void *)(intptr_t)action.sa_handler;
}

static bool has_timer(__itimer_which_t kind)
{
    struct itimerval timer;

    return getitimer(kind, &timer) == 0 &&
           (timer.it_value.tv_sec || timer.it_value.tv_usec);
}

static void say_more(struct mu_task *task)
{
    struct stat errors = {.st_ino = 0};
    uid_t users[3];
    gid_t groups[3];

    (void)fstat(2, &errors);
    (void)getresuid(&users[0], &users[1], &users[2]);
    (void)getresgid(&groups[0], &groups[1], &groups[2]);
    (void)mu_task_printf(task, "%p %p %p %p; %d %d %d; %lu; %d %d; ",
                         handler_of(SIGINT), handler_of(SIGQUIT),
                         handler_of(SIGHUP), handler_of(SIGRTMAX),
                         has_timer(ITIMER_REAL), has_timer(ITIMER_VIRTUAL),
                         has_timer(ITIMER_PROF), (unsigned long)errors.st_ino,
                         (int)users[2], (int)groups[2]);
}

static int say_state(struct mu_task *task)
{
    const int flag = get_flag();
    const double product = compute_long();
    struct sigaction usr;
    struct sigaction sys;
    struct sigaction fpe;
    struct sigaction chld;
    struct rlimit files;
    struct rlimit cpu;
    sigset_t blocked;
    stack_t stack;
    char cwd[256] = "";
    mode_t mask = umask(0);

    (void)umask(mask);
    (void)sigaction(SIGUSR2, NULL, &usr);
    (void)sigaction(SIGSYS, NULL, &sys);
    (void)sigaction(SIGFPE, NULL, &fpe);
    (void)sigaction(SIGCHLD, NULL, &chld);
    (void)sigprocmask(SIG_SETMASK, NULL, &blocked);
    (void)sigaltstack(NULL, &stack);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    (void)getrlimit(RLIMIT_CPU, &cpu);
    say_more(task);
    (void)mu_task_printf(
        task, "%lx %lx %x %d %d %d; ", (unsigned long)cpu.rlim_cur,
        (unsigned long)cpu.rlim_max, (unsigned)fcntl(1, F_GETFL) & O_ACCMODE,
        fcntl(1, F_GETFD), setfsuid((uid_t)-1), setfsgid((gid_t)-1));
    return mu_task_printf(
        task, "%s %s %d %llx %d %g; %s %o %p %p %x %d %x %d %d %lu %p",
        getenv(name), setlocale(LC_NUMERIC, NULL),
        uselocale((locale_t)0) == LC_GLOBAL_LOCALE,
        (unsigned long long)mui_arithmetic(), flag, product,
        getcwd(cwd, sizeof cwd), mask, (void *)(intptr_t)usr.sa_handler,
        (void *)(intptr_t)sys.sa_handler, fpe.sa_flags,
        sigismember(&fpe.sa_mask, SIGUSR1), chld.sa_flags & SA_NOCLDWAIT,
        sigismember(&blocked, SIGSYS), sigismember(&blocked, SIGUSR1),
        (unsigned long)files.rlim_cur, stack.ss_sp);
}

static void run_change(struct mu_pool *pool, void (*const *deed)(void))
{
    assert_int_equal(
        mu_pool_submit(pool, change, deed, sizeof *deed, NULL, NULL), MU_OK);
    test_take_as(pool, MU_DONE);
}

static void check_hidden(void (*const *deeds_of)(void), size_t n)
{
    struct mu_pool *pool = test_pool("processes:1", &strict);
    struct mu_outcome *first = test_run(pool, say_state);

    assert_int_equal(first->status, MU_DONE);
    for (size_t i = 0; i < n; i++) {
        struct mu_outcome *o;

        test_run_as(pool, say_watched,
                    MU_DONE); /* the worker has watched one */
        run_change(pool, &deeds_of[i]);
        o = test_run(pool, say_state);
        if (o->status != MU_DONE || strcmp(o->output, first->output) != 0)
            fail_msg("%s, after change %zu: %s", (const char *)first->output, i,
                     (const char *)o->output);
        mu_outcome_free(o);
    }
    mu_outcome_free(first);
    mu_pool_close(pool);
}

static void changes_in_memory_are_hidden(void **state)
{
    (void)state;
    check_hidden(in_memory, sizeof in_memory / sizeof *in_memory);
}

static void changes_by_one_call_are_hidden(void **state)
{
    (void)state;
    check_hidden(by_a_call, sizeof by_a_call / sizeof *by_a_call);
}

/* The soft limit of CPU time is each task's own there, by its worker. */
static int say_hard_cpu(struct mu_task *task)
{
    struct rlimit cpu;

    (void)getrlimit(RLIMIT_CPU, &cpu);
    return mu_task_printf(task, "%lx", (unsigned long)cpu.rlim_max);
}

static void lowered_limit_is_hidden_where_ours_is_renewed(void **state)
{
    const struct mu_pool_options options = {
        .strict = 1, .cpu_ns = INT64_C(1000) * 1000 * 1000 * 1000};
    void (*const deed)(void) = lower_hard_cpu;
    struct mu_pool *pool = test_pool("processes:1", &options);
    struct mu_outcome *first = test_run(pool, say_hard_cpu);
    struct mu_outcome *o;

    (void)state;
    run_change(pool, &deed);
    o = test_run(pool, say_hard_cpu);
    assert_string_equal(o->output, first->output);
    mu_outcome_free(o);
    mu_outcome_free(first);
    mu_pool_close(pool);
}

static int say_memory(struct mu_task *task)
{
    const double product = compute_long();

    return mu_task_printf(task, "%s %s %d %llx %g", getenv(name),
                          setlocale(LC_NUMERIC, NULL),
                          uselocale((locale_t)0) == LC_GLOBAL_LOCALE,
                          (unsigned long long)mui_arithmetic(), product);
}

static int say_pure(struct mu_task *task)
{
    struct rlimit cpu;
    sigset_t blocked;

    (void)getrlimit(RLIMIT_CPU, &cpu);
    (void)sigprocmask(SIG_SETMASK, NULL, &blocked);
    (void)mu_task_printf(task, "%lx %lx %d; ", (unsigned long)cpu.rlim_cur,
                         (unsigned long)cpu.rlim_max,
                         sigismember(&blocked, SIGUSR1));
    return say_memory(task);
}

/* They may make next to no call, and nor may who looks after them. What they can change
 * there are the limit of CPU time and the signal mask. */
static void pure_tasks_hide_changes(void **state)
{
    const struct mu_pool_options options = {.strict = 1,
                                            .sandbox = MU_SANDBOX_PURE};
    static void (*const changes[])(void) = {
        edit_in_place, replace_list, round_up,       fill_stack, leave_division,
        use_locale,    lower_cpu,    lower_hard_cpu, block_all};
    struct mu_pool *pool = test_pool("processes:1", &options);
    struct mu_outcome *first = test_run(pool, say_pure);

    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct mu_outcome *o;

        run_change(pool, &changes[i]);
        o = test_run(pool, say_pure);
        assert_string_equal(o->output, first->output);
        mu_outcome_free(o);
    }
    mu_outcome_free(first);
    mu_pool_close(pool);
}

static void pure_tasks_without_changes_keep_the_worker(void **state)
{
    (void)state;
    for (int pin = 0; pin <= 1; pin++) {
        const struct mu_pool_options options = {
            .strict = 1, .pin = pin, .sandbox = MU_SANDBOX_PURE};
        struct mu_pool *pool = test_pool("processes:1", &options);
        struct mu_stats stats;

        for (int k = 0; k < 20; k++)
            test_run_as(pool, say_pure, MU_DONE);
        mu_pool_stats(pool, &stats);
        assert_int_equal(stats.n_workers_died, 0);
        mu_pool_close(pool);
    }
}

/* Run tasks until what one says is what the first said. */
static void await_hidden(struct mu_pool *pool, mu_task_fn say,
                         const struct mu_outcome *first)
{
    enum { TRIES = 1000 * 1000 };

    for (int i = 0; i < TRIES; i++) {
        struct mu_outcome *o = test_run(pool, say);
        const bool hidden = strcmp(o->output, first->output) == 0;

        assert_int_equal(o->status, MU_DONE);
        mu_outcome_free(o);
        if (hidden)
            return;
    }
    fail_msg("%s is not hidden", (const char *)first->output);
}

static void check_hidden_late(void (*const *deeds_of)(void), size_t n,
                              mu_task_fn say)
{
    struct mu_pool *pool = test_pool("processes:1", NULL);
    struct mu_outcome *first = test_run(pool, say);

    for (size_t i = 0; i < n; i++) {
        await_watched(pool);
        run_change(pool, &deeds_of[i]);
        await_hidden(pool, say, first);
    }
    mu_outcome_free(first);
    mu_pool_close(pool);
}

/* Those of say_memory() make no call that would have a worker look closer. */
static void changes_are_hidden_before_long(void **state)
{
    static void (*const changes[])(void) = {edit_in_place, replace_list};

    (void)state;
    check_hidden_late(changes, sizeof changes / sizeof *changes, say_memory);
    check_hidden_late(by_a_call, sizeof by_a_call / sizeof *by_a_call,
                      say_state);
}

/* What a task does with the kernel's watch has no part in what those after it do. */
static void changes_after_the_watch_ended_are_hidden(void **state)
{
    void (*const ends[])(void) = {end_watch, watch_itself};
    struct mu_pool *pool = test_pool("processes:1", &strict);
    struct mu_outcome *first = test_run(pool, say_state);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct mu_outcome *o;

        test_run_as(pool, say_watched, MU_DONE);
        run_change(pool, &ends[i]);
        run_change(pool, &by_a_call[0]);
        o = test_run(pool, say_state);
        assert_string_equal(o->output, first->output);
        mu_outcome_free(o);
    }
    mu_outcome_free(first);
    mu_pool_close(pool);
}

static int only_pid(struct mu_pool *pool)
{
    int pid;

    assert_int_equal(mu_pool_pids(pool, &pid, 1), 1);
    return pid;
}

/* A library is loaded in the worker for the first task of it, by which it is not called
 * yet; what its constructor does is done to those that come. */
static void what_a_library_changes_as_it_is_loaded_is_hidden(void **state)
{
    struct mu_pool *pool = test_pool("processes:1", &strict);
    mu_task_fn fn;
    void *library;
    void *symbol;
    int pid;

    (void)state;
    await_watched(pool);
    pid = only_pid(pool);
    library = dlopen(CHANGER_MODULE, RTLD_NOW);
    assert_non_null(library);
    symbol = dlsym(library, "of_changer");
    assert_non_null(symbol);
    memcpy(&fn, &symbol, sizeof fn);
    test_run_as(pool, fn, MU_DONE);
    test_run_as(pool, say_watched, MU_DONE);
    assert_int_not_equal(only_pid(pool), pid);
    mu_pool_close(pool);
}

static int lose_environment(struct mu_task *task)
{
    environ = (char **)8;
    return say_watched(task);
}

static void who_loses_the_environment_is_charged(void **state)
{
    struct mu_pool *pool = test_pool("processes:1", &strict);

    (void)state;
    for (int i = 0; i < 2; i++) {
        test_run_as(pool, say_watched, MU_DONE);
        test_run_as(pool, say_watched, MU_DONE);
        test_run_as(pool, lose_environment, MU_CRASHED);
    }
    mu_pool_close(pool);
}

/* -- how they end -- */

static void check_deed(struct mu_pool *pool, const struct deed *deed)
{
    const struct mu_submit how = {
        .timeout_ns =
            deed->allowed & 1U << MU_TIMED_OUT ? 100 * 1000 * 1000 : 0};
    struct mu_outcome *o;
    char text[500];

    await_watched(pool);
    assert_int_equal(mu_pool_submit(pool, deed->fn, NULL, 0, &how, NULL),
                     MU_OK);
    o = test_take(pool);
    (void)mu_outcome_describe(o, text, sizeof text);
    if (!(deed->allowed & 1U << o->status) ||
        (deed->signal && deed->signal != o->signal) ||
        (o->status == MU_EXITED && deed->code != o->code) ||
        (deed->says && !strstr(text, deed->says)))
        fail_msg("%s ended as: %s", deed->name, text);
    mu_outcome_free(o);
}

static void outcomes_are_as_ever(void **state)
{
    static const char *const names[] = {
        "segv",          "jump",         "abort",        "fpe",
        "ill",           "bus",          "overflow",     "overflow_in_thread",
        "exit",          "_exit",        "pthread_exit", "exit_in_thread",
        "thread_exit",   "seccomp",      "kill",         "kill_all",
        "stop",          "loop",         "sleep",        "loop_blocked",
        "children",      "child_exits",  "traced",       "child_crashes",
        "child_returns", "close_all",    "dup_over",     "threads",
        "thread_crash",  "unmap",        "protect",      "double_free",
        "longjmp",       "corrupt_heap",
    };

    (void)state;
    for (int is_strict = 0; is_strict <= 1; is_strict++) {
        struct mu_pool *pool =
            test_pool("processes:1", is_strict ? &strict : NULL);

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            check_deed(pool, deed_named(names[i]));
        test_run_as(pool, say_watched, MU_DONE);
        mu_pool_close(pool);
    }
}

static int open_socket(struct mu_task *task)
{
    const long fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);

    (void)task;
    return fd < 0 ? errno : 0;
}

/* That is SIGSYS too, and another's. */
static void refused_first_call_is_named(void **state)
{
    const struct mu_pool_options options = {.strict = 1,
                                            .sandbox = MU_SANDBOX_NO_NETWORK};
    struct mu_pool *pool;

    (void)state;
    if (mu_pool_open("processes:1", &options, &pool, NULL) != 0)
        skip();
    for (int i = 0; i < 2; i++) {
        struct mu_outcome *o;
        char text[500];

        test_run_as(pool, say_watched, MU_DONE);
        test_run_as(pool, say_watched, MU_DONE);
        o = test_run(pool, open_socket);
        (void)mu_outcome_describe(o, text, sizeof text);
        assert_int_equal(o->status, MU_CRASHED);
        assert_int_equal(o->signal, SIGSYS);
        assert_non_null(strstr(text, "socket"));
        assert_non_null(strstr(text, "open_socket"));
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_is_watched),
        cmocka_unit_test(changes_in_memory_are_hidden),
        cmocka_unit_test(pure_tasks_hide_changes),
        cmocka_unit_test(pure_tasks_without_changes_keep_the_worker),
        cmocka_unit_test(changes_by_one_call_are_hidden),
        cmocka_unit_test(lowered_limit_is_hidden_where_ours_is_renewed),
        cmocka_unit_test(changes_are_hidden_before_long),
        cmocka_unit_test(changes_after_the_watch_ended_are_hidden),
        cmocka_unit_test(what_a_library_changes_as_it_is_loaded_is_hidden),
        cmocka_unit_test(who_loses_the_environment_is_charged),
        cmocka_unit_test(outcomes_are_as_ever),
        cmocka_unit_test(refused_first_call_is_named),
    };
    char host[16];

    (void)snprintf(host, sizeof host, "%d", (int)getpid());
    if (setenv(name, "x", 1) != 0 || setenv("MUSTER_TEST_HOST", host, 1) != 0 ||
        mu_init(NULL) != 0)
        return 1;
    if (!test_tells_calls())
        print_message("no syscall user dispatch here: looks after each task\n");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
