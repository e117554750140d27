/* test_limits.c: what worker processes may use at most, and that who met a limit is told
 * which. */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "chaos/deeds.h"
#include "chaos/expect.h"
#include "chaos/groups.h"
#include "process/confine.h"
#include "support/pool.h"

static const char *const models[] = {"processes:2", "processes:1/threads:2"};

static int grow_file(struct mu_task *task)
{
    char path[] = "/tmp/test-limits-XXXXXX";
    static char bytes[1 << 20];
    int fd = mkstemp(path);

    (void)task;
    (void)unlink(path);
    for (int i = 0; i < 16; i++)
        if (write(fd, bytes, sizeof bytes) < 0)
            return errno;
    return 0;
}

static int open_many(struct mu_task *task)
{
    (void)task;
    for (int i = 0; i < 100; i++)
        if (dup(1) < 0)
            return errno;
    return 0;
}

static void limits_name_themselves(void **state)
{
    struct mu_pool_options options = {.file_bytes = 4 << 20};

    (void)state;
    for (int i = 0; i < 2; i++) {
        options = (struct mu_pool_options){.file_bytes = 4 << 20};
        expect(models[i], &options, grow_file, "",
               "crashed: limit on file size (RLIMIT_FSIZE), SIGXFSZ in");
        options = (struct mu_pool_options){.open_files = 32};
        expect(
            models[i], &options, open_many, "",
            "failed: returned 24 at its limit on open files (RLIMIT_NOFILE)");
        options = (struct mu_pool_options){.cpu_ns = 1};
        expect(models[i], &options, deed_named("loop")->fn, "",
               "crashed: limit on CPU time (RLIMIT_CPU), SIGXCPU");
    }
}

/* As far as anybody may raise his own: as far as it was. */
static int raise_limits(struct mu_task *task)
{
    static const __rlimit_resource_t of[] = {RLIMIT_DATA, RLIMIT_FSIZE,
                                             RLIMIT_NOFILE};

    (void)task;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        struct rlimit limit;
        rlim_t was;

        (void)getrlimit(of[i], &limit);
        was = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(of[i], &limit);
        (void)getrlimit(of[i], &limit);
        if (limit.rlim_cur > was)
            return 100 + (int)i;
    }
    return 0;
}

static void limits_cannot_be_raised(void **state)
{
    const struct mu_pool_options options = {
        .memory_bytes = 64 << 20, .file_bytes = 4 << 20, .open_files = 32};

    (void)state;
    for (int i = 0; i < 2; i++)
        expect(models[i], &options, raise_limits, "", "done");
}

static int64_t used_cpu_ns(void)
{
    struct timespec used;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec * INT64_C(1000000000) + used.tv_nsec;
}

/* For as long as it may live: with SIGXCPU blocked, ignored, or put off. */
static int use_cpu_for_ever(struct mu_task *task)
{
    struct rlimit limit;
    sigset_t one;
    volatile bool for_ever = true;

    switch (mu_task_tag(task)) {
    case 0:
        (void)sigemptyset(&one);
        (void)sigaddset(&one, SIGXCPU);
        (void)pthread_sigmask(SIG_BLOCK, &one, NULL);
        break;
    case 1:
        (void)signal(SIGXCPU, SIG_IGN);
        break;
    default:
        (void)getrlimit(RLIMIT_CPU, &limit);
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_CPU, &limit);
    }
    while (for_ever)
        ;
    return 0;
}

static void cpu_time_is_limited_without_its_signal(void **state)
{
    enum { N = 3 };
    const struct mu_pool_options options = {.cpu_ns = 1};
    struct mu_pool *pool = test_pool("processes:3", &options);
    char text[200];

    (void)state;
    for (uint64_t tag = 0; tag < N; tag++) {
        const struct mu_submit how = {.tag = tag};

        assert_int_equal(
            mu_pool_submit(pool, use_cpu_for_ever, NULL, 0, &how, NULL), 0);
    }
    for (int i = 0; i < N; i++) {
        struct mu_outcome *o = test_take(pool);

        (void)mu_outcome_describe(o, text, sizeof text);
        if (!strstr(text, "crashed: limit on CPU time (RLIMIT_CPU), SIGKILL"))
            fail_msg("%d: %s", (int)o->tag, text);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

/* Some more than half of what it may. */
static int use_cpu(struct mu_task *task)
{
    const int64_t end_ns = used_cpu_ns() + 600 * 1000 * 1000;

    while (used_cpu_ns() < end_ns)
        ;
    return test_say_pid(task);
}

/* However much those before it used. */
static void each_task_has_its_cpu_time(void **state)
{
    enum { N_TASKS = 6 };
    const struct mu_pool_options options = {.cpu_ns = 1000 * 1000 * 1000};
    struct mu_pool *pool = test_pool("processes:1", &options);
    int first = 0;
    int last = 0;

    (void)state;
    for (int i = 0; i < N_TASKS; i++) {
        struct mu_outcome *o = test_run(pool, use_cpu);

        assert_int_equal(o->status, MU_DONE);
        last = atoi(o->output);
        first = i == 0 ? last : first;
        mu_outcome_free(o);
    }
    assert_int_not_equal(first, last);
    mu_pool_close(pool);
}

/* Less than a worker needs is an error that names the least, and that least is enough.
 * What no machine has is no limit. */
static void absurd_limits_are_refused(void **state)
{
    static const struct {
        struct mu_pool_options options;
        const char *error; /* NULL: the pool opens and works */
    } cases[] = {
        {{.memory_bytes = 100}, "1048576 are the least"},
        {{.memory_bytes = (1 << 20) - 1}, "1048576 are the least"},
        {{.memory_bytes = 1 << 20}, NULL},
        {{.memory_bytes = UINT64_MAX}, NULL},
        {{.open_files = 1}, "8 are the least"},
        {{.open_files = 7}, "8 are the least"},
        {{.open_files = 8}, NULL},
        {{.open_files = UINT_MAX}, NULL},
        {{.processes = UINT_MAX}, NULL},
        {{.cpu_ns = -1}, "the CPU time is below 0"},
        {{.cpu_ns = INT64_MAX}, NULL},
        {{.timeout_ns = -1}, "the timeout is below 0"},
        {{.timeout_ns = INT64_MAX}, NULL},
        {{.file_bytes = 1}, NULL},
        {{.file_bytes = UINT64_MAX}, NULL},
        {{.recycle_bytes = 1}, NULL},
    };

    (void)state;
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        const struct mu_pool_options *options = &cases[i / 2].options;
        const char *error = cases[i / 2].error;
        struct mu_error err = {.text = ""};
        struct mu_pool *pool;
        int rc = mu_pool_open(models[i % 2], options, &pool, &err);

        if (rc == MU_EMODEL && options->processes)
            continue; /* it can limit none here, and says so */
        assert_int_equal(rc, error ? -EINVAL : 0);
        if (error) {
            assert_non_null(strstr(err.text, error));
            assert_null(strchr(err.text, '\n'));
            continue;
        }
        for (int j = 0; j < 3; j++)
            assert_int_equal(
                mu_pool_submit(pool, deed_innocent, "x", 1, NULL, NULL), 0);
        for (int j = 0; j < 3; j++)
            test_take_as(pool, MU_DONE);
        mu_pool_close(pool);
    }
}

/* -- memory and processes -- */

/* 256 MiB of memory that is not private. */
static int hold_shared(struct mu_task *task)
{
    enum { SIZE = 256 << 20 };
    char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    (void)task;
    if (memory == MAP_FAILED)
        return errno;
    memset(memory, 1, SIZE);
    return munmap(memory, SIZE);
}

/* 40 MiB in each of 8 processes; the worker waits for all. */
static int hold_in_children(struct mu_task *task)
{
    enum { SIZE = 40 << 20, N = 8 };
    int fds[2];
    int status;
    int n_killed = 0;

    (void)task;
    if (pipe(fds) != 0)
        return errno;
    for (int i = 0; i < N; i++)
        if (fork() == 0) {
            volatile char *memory = malloc(SIZE);
            char byte;

            for (size_t j = 0; j < SIZE; j += 4096)
                memory[j] = 1;
            (void)close(fds[1]);
            (void)!read(fds[0], &byte, 1); /* until all have theirs */
            _exit(0);
        }
    (void)close(fds[0]);
    (void)close(fds[1]);
    while (wait(&status) > 0)
        n_killed += WIFSIGNALED(status);
    return n_killed;
}

/* As many children as the input says, all at once. */
static int have_children(struct mu_task *task)
{
    int n = atoi(mu_task_input(task, NULL));
    int rc = 0;

    for (int i = 0; i < n && rc == 0; i++) {
        pid_t pid = fork();

        if (pid == 0)
            for (;;)
                (void)pause();
        rc = pid < 0 ? errno : 0;
    }
    return rc; /* they are killed with the worker */
}

/* All that may be, and gives one back before it fails. */
static int have_had_children(struct mu_task *task)
{
    pid_t first = fork();
    int rc;

    if (first == 0)
        for (;;)
            (void)pause();
    rc = have_children(task);
    (void)test_kill(first, SIGKILL);
    (void)waitpid(first, NULL, 0);
    return rc;
}

/* As many MiB as the input says, or as there are; then the error that a request for
 * what it may not have gives. They are held when it returns. */
static int hold_and_fail(struct mu_task *task)
{
    int n = atoi(mu_task_input(task, NULL));
    char *volatile piece;

    while (n-- > 0 && (piece = malloc(1 << 20)) != NULL)
        memset(piece, 1, 1 << 20);
    piece = malloc(1 << 30);
    return piece ? 0 : -errno;
}

static bool have_groups(enum mui_confine_kind kind)
{
    if (mui_confine_is_possible(kind))
        return true;
    print_message("no control group can be made here\n");
    return false;
}

static void memory_limit_is_named(void **state)
{
    const struct mu_pool_options options = {.memory_bytes = 64 << 20};
    bool groups = have_groups(MUI_CONFINE_MEMORY);

    (void)state;
    for (int i = 0; i < 2; i++) {
        expect(models[i], &options, deed_named("leak")->fn, "",
               "out of memory: memory limit (RLIMIT_DATA), SIGSEGV");
        expect(models[i], &options, hold_and_fail, "1000",
               "failed: returned -12 at its memory limit (RLIMIT_DATA)");
        expect(models[i], &options, hold_and_fail, "40",
               "failed: returned -12 at its memory limit (RLIMIT_DATA)");
        expect(models[i], &options, hold_shared, "",
               groups ? "out of memory: memory limit (cgroup), SIGKILL"
                      : "done");
    }
}

/* The files that tell how much a worker has are among the rest. */
static int leak_without_files(struct mu_task *task)
{
    (void)close_range(3, ~0U, 0);
    return deed_named("leak")->fn(task);
}

static int fail_without_files(struct mu_task *task)
{
    (void)close_range(3, ~0U, 0);
    return hold_and_fail(task);
}

/* In the place of each a file of which every number is large. */
static int crash_with_other_files(struct mu_task *task)
{
    static const char text[] = "999999999 999999999 999999999 999999999 "
                               "999999999 999999999 999999999\n";
    int fd = memfd_create("other", MFD_CLOEXEC);

    (void)task;
    if (write(fd, text, sizeof text - 1) < 0)
        return errno;
    for (int i = 3; i < 256; i++)
        (void)dup2(fd, i);
    *(volatile int *)16 = 1;
    return 0;
}

/* Whatever has become of descriptors. */
static void memory_limit_is_named_without_files(void **state)
{
    const struct mu_pool_options options = {.memory_bytes = 64 << 20};
    struct mu_outcome *o;
    char text[200];

    (void)state;
    expect("processes:1", &options, leak_without_files, "",
           "out of memory: memory limit (RLIMIT_DATA), SIGSEGV");
    expect("processes:1", &options, fail_without_files, "1000",
           "failed: returned -12 at its memory limit (RLIMIT_DATA)");
    expect("processes:1", &options, fail_without_files, "10",
           "failed: returned -12");
    o = expect_outcome("processes:1", &options, crash_with_other_files, "");
    (void)mu_outcome_describe(o, text, sizeof text);
    assert_non_null(strstr(text, "crashed: SIGSEGV at 0x10"));
    mu_outcome_free(o);
}

/* Give as many MiB of output as the input says, none of which is written: it takes memory
 * of the program that reads it. */
static int claim_output(struct mu_task *task)
{
    size_t size = (size_t)atoi(mu_task_input(task, NULL)) << 20;

    return mu_task_reserve(task, size) ? -mu_task_commit(task, size) : 9;
}

static void output_goes_by_memory(void **state)
{
    const struct mu_pool_options options = {.memory_bytes = 32 << 20};
    const struct mu_pool_options roomy = {.memory_bytes = 32 << 20,
                                          .output_bytes = 128 << 20};

    (void)state;
    for (int i = 0; i < 2; i++) {
        expect(models[i], &options, claim_output, "64", "done");
        expect(models[i], &options, claim_output, "65", "failed: returned 9");
        expect(models[i], &roomy, claim_output, "65", "done");
    }
}

/* Use so many MiB of stack, and some. */
static int use_stack(int n_mib)
{
    volatile char piece[1 << 20];

    for (size_t i = sizeof piece; i-- > 0;)
        piece[i] = 1;
    return n_mib > 0 ? use_stack(n_mib - 1) * piece[0] : 0;
}

static int use_much_stack(struct mu_task *task)
{
    (void)task;
    return use_stack(80);
}

/* In a process of its own, whose workers have its limits. */
static void overflow_endless_stack(void *unused)
{
    const struct mu_pool_options options = {.memory_bytes = 64 << 20};
    const struct rlimit endless = {RLIM_INFINITY, RLIM_INFINITY};
    struct mu_pool *pool;
    struct mu_outcome *o;
    char text[200];

    (void)unused;
    if (setrlimit(RLIMIT_STACK, &endless) != 0)
        return; /* it has one that it may not lift */
    CHECK_CHILD(mu_pool_open("processes:1", &options, &pool, NULL) == 0);
    CHECK_CHILD(mu_pool_submit(pool, use_much_stack, NULL, 0, NULL, NULL) == 0);
    CHECK_CHILD(mu_pool_next(pool, MU_NEVER, &o) == 0);
    (void)mu_outcome_describe(o, text, sizeof text);
    (void)fprintf(stderr, "%s\n", text);
    CHECK_CHILD(strstr(text, "stack overflow"));
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static void endless_stack_is_limited_with_memory(void **state)
{
    (void)state;
    assert_int_equal(test_wait(test_fork(overflow_endless_stack, NULL)), 0);
}

/* Who is far from it when he fails has other reasons, for all that we know. */
static void memory_limit_is_not_named_for_nothing(void **state)
{
    const struct mu_pool_options options = {.memory_bytes = 64 << 20};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct mu_outcome *o =
            expect_outcome(models[i], &options, hold_and_fail, "10");
        char text[100];

        (void)mu_outcome_describe(o, text, sizeof text);
        assert_string_equal(text,
                            "failed: returned -12 (Cannot allocate memory)");
        mu_outcome_free(o);
    }
}

/* So much stack as the limit is, but not as there may be. */
static int use_stack_and_fail(struct mu_task *task)
{
    enum { PAGE = 4096 };
    volatile char stack[4 << 20];

    (void)task;
    for (size_t i = sizeof stack; i >= PAGE; i -= PAGE)
        stack[i - 1] = 1;
    return 5 + stack[0] * 0;
}

/* The stack is no part of what RLIMIT_DATA limits. */
static void stack_is_not_taken_for_data(void **state)
{
    const struct mu_pool_options options = {.memory_bytes = 4 << 20,
                                            .output_bytes = 64 << 20};
    struct mu_outcome *o =
        expect_outcome(models[0], &options, use_stack_and_fail, "");
    char text[100];

    (void)state;
    (void)mu_outcome_describe(o, text, sizeof text);
    assert_string_equal(text, "failed: returned 5");
    mu_outcome_free(o);
}

static void children_share_the_memory_limit(void **state)
{
    const struct mu_pool_options options = {.memory_bytes = 64 << 20};

    (void)state;
    if (!have_groups(MUI_CONFINE_MEMORY))
        return;
    for (int i = 0; i < 2; i++) {
        struct mu_outcome *o =
            expect_outcome(models[i], &options, hold_in_children, "");

        /* the kernel chooses whom it kills: children, or the worker */
        assert_true(o->status == MU_OUT_OF_MEMORY || o->status == MU_FAILED);
        mu_outcome_free(o);
    }
}

static void processes_are_limited(void **state)
{
    const struct mu_pool_options options = {.processes = 5};
    struct mu_pool *pool;
    struct mu_error err;

    (void)state;
    if (!mui_confine_is_possible(MUI_CONFINE_PROCESSES) && geteuid() == 0) {
        assert_int_equal(mu_pool_open("processes:1", &options, &pool, &err),
                         MU_EMODEL);
        assert_non_null(strstr(err.text, "RLIMIT_NPROC"));
        return;
    }
    for (int i = 0; i < 2; i++) {
        expect(models[i], &options, have_children, "5", "done");
        /* a flow that ends, for the worker is spent, makes room: 2 at most; what
         * the user's other processes leave him is not so exact */
        if (have_groups(MUI_CONFINE_PROCESSES))
            expect(models[i], &options, have_children, "8",
                   "returned 11 at its limit on processes (cgroup)");
        expect(models[i], &options, have_children, "1000", "returned 11");
    }
}

/* What it could not have it can do without, and the rest it gives back. */
static int strike_and_go_on(struct mu_task *task)
{
    enum { MANY = 8 };
    pid_t pids[MANY];
    int n = 0;

    (void)task;
    while (n < MANY && (pids[n] = fork()) > 0)
        n++;
    if (n < MANY && pids[n] == 0)
        for (;;)
            (void)pause();
    for (int i = 0; i < n; i++) {
        (void)test_kill(pids[i], SIGKILL);
        (void)waitpid(pids[i], NULL, 0);
    }
    return n < MANY ? 0 : 1;
}

static int fail_by_itself(struct mu_task *task)
{
    (void)task;
    return 5;
}

/* The kernel counts refusals of a whole group. */
static void limit_is_named_for_who_met_it(void **state)
{
    const struct mu_pool_options options = {.processes = 5};
    struct mu_pool *pool;
    struct mu_outcome *o;
    char text[200];

    (void)state;
    if (!have_groups(MUI_CONFINE_PROCESSES))
        return;
    pool = test_pool("processes:1", &options);
    for (int i = 0; i < 2; i++) {
        o = test_run(pool, i ? fail_by_itself : strike_and_go_on);
        (void)mu_outcome_describe(o, text, sizeof text);
        assert_string_equal(text, i ? "failed: returned 5" : "done");
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

/* Without a limit of its own: by a signal that others send, too. */
static int raise_cpu_signal(struct mu_task *task)
{
    (void)task;
    return raise(SIGXCPU);
}

static void limit_is_a_number(void **state)
{
    static const struct {
        struct mu_pool_options options;
        mu_task_fn fn;
        const char *input;
        enum mu_limit limit;
    } cases[] = {
        {{.file_bytes = 4 << 20}, grow_file, "", MU_LIMIT_FILE_SIZE},
        {{.open_files = 32}, open_many, "", MU_LIMIT_OPEN_FILES},
        {{.open_files = 32}, fail_by_itself, "", MU_LIMIT_NONE},
        {{.memory_bytes = 64 << 20}, hold_and_fail, "1000", MU_LIMIT_MEMORY},
        {{.memory_bytes = 64 << 20}, hold_and_fail, "0", MU_LIMIT_NONE},
        {{0}, raise_cpu_signal, "", MU_LIMIT_CPU_TIME},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mu_outcome *o = expect_outcome("processes:1", &cases[i].options,
                                              cases[i].fn, cases[i].input);

        if (o->limit != cases[i].limit)
            fail_msg("case %u: %s", i, mu_limit_name(o->limit));
        mu_outcome_free(o);
    }
    assert_string_equal(mu_limit_name(MU_LIMIT_NONE), "no limit");
    assert_string_equal(mu_limit_name(MU_N_LIMITS), "unknown");
}

static int do_nothing(struct mu_task *task)
{
    (void)task;
    return 0;
}

static int meet_limit_once(struct mu_task *task)
{
    return mu_task_attempt(task) == 1 ? open_many(task) : 0;
}

/* Not of an attempt before, nor of a task whose place in memory it has. */
static void limit_is_of_the_last_attempt(void **state)
{
    const struct mu_pool_options options = {.open_files = 32, .retries = 1};
    struct mu_pool *pool = test_pool("processes:1", &options);
    static const struct {
        mu_task_fn fn;
        enum mu_limit limit;
    } tasks[] = {
        {meet_limit_once, MU_LIMIT_NONE},
        {open_many, MU_LIMIT_OPEN_FILES},
        {do_nothing, MU_LIMIT_NONE},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        struct mu_outcome *o = test_run(pool, tasks[i].fn);

        assert_int_equal(o->attempts, tasks[i].fn == do_nothing ? 1 : 2);
        assert_int_equal(o->limit, tasks[i].limit);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

/* As a user who may make no control groups, in a process of its own. He has nothing
 * else here nor, RLIMIT_NPROC counts it too, in other containers of this kernel. */
static void limit_as_nobody(mu_task_fn fn, const char *n, const char *expected)
{
    const uid_t nobody = 20000 + (uid_t)getpid() % 40000;
    const struct mu_pool_options options = {.processes = 5};
    struct mu_pool *pool;
    struct mu_outcome *o;
    char text[200];

    CHECK_CHILD(geteuid() != 0 || setgroups(0, NULL) == 0);
    CHECK_CHILD(geteuid() != 0 || setresgid(nobody, nobody, nobody) == 0);
    CHECK_CHILD(geteuid() != 0 || setresuid(nobody, nobody, nobody) == 0);
    CHECK_CHILD(prctl(PR_SET_DUMPABLE, 1) == 0); /* or /proc/self is not ours */
    CHECK_CHILD(mu_pool_open("processes:2", &options, &pool, NULL) == 0);
    CHECK_CHILD(mu_pool_submit(pool, fn, n, strlen(n) + 1, NULL, NULL) == 0);
    CHECK_CHILD(mu_pool_next(pool, MU_NEVER, &o) == 0);
    (void)mu_outcome_describe(o, text, sizeof text);
    (void)fprintf(stderr, "%s children: %s\n", n, text);
    CHECK_CHILD(strstr(text, expected));
    mu_outcome_free(o);
    mu_pool_close(pool);
    _exit(0);
}

/* RLIMIT_NPROC, by contrast, counts what the user has elsewhere too: enough for a
 * fork bomb, and for those few who are allowed. */
static void processes_are_limited_without_groups(void **state)
{
    static const char struck[] =
        "returned 11 at its limit on processes (RLIMIT_NPROC)";
    static const struct {
        mu_task_fn fn;
        const char *n;
        const char *expected;
    } cases[] = {
        {have_children, "5", "done"},
        {have_children, "1000", struck},
        {have_had_children, "1000", struck},
    };

    (void)state;
    if (geteuid() != 0 && mui_confine_is_possible(MUI_CONFINE_PROCESSES))
        return; /* there is no other user to be */
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
            alarm(300);
            limit_as_nobody(cases[i].fn, cases[i].n, cases[i].expected);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

/* What had orphans in it goes with the last of them; nobody tells us when. */
static void await_no_groups(void)
{
    const struct timespec pause = {.tv_nsec = 1000 * 1000};

    for (int i = 0; i < 60000 && groups_count(groups_own) > 0; i++)
        (void)nanosleep(&pause, NULL);
    assert_int_equal(groups_count(groups_own), 0);
}

/* Also when tasks left children in them, or died. */
static void groups_go_with_their_pool(void **state)
{
    const struct mu_pool_options options = {.memory_bytes = 64 << 20,
                                            .processes = 300,
                                            .timeout_ns =
                                                INT64_C(100000000000)};
    struct mu_pool *pool;

    (void)state;
    if (!have_groups(MUI_CONFINE_MEMORY) || !have_groups(MUI_CONFINE_PROCESSES))
        return;
    await_no_groups(); /* those of the tests before */
    pool = test_pool("processes:2", &options);
    for (unsigned j = 0; j < n_deeds; j++) {
        struct mu_outcome *o;

        if (deeds[j].allowed & 1U << MU_TIMED_OUT)
            continue;
        assert_int_equal(mu_pool_submit(pool, deeds[j].fn, "", 1, NULL, NULL),
                         0);
        o = test_take(pool);
        if (o->status == MU_TIMED_OUT)
            fail_msg("%s did not end", deeds[j].name);
        mu_outcome_free(o);
    }
    assert_true(groups_count(groups_own) > 0);
    mu_pool_close(pool);
    await_no_groups();
}

static int say_score(struct mu_task *task)
{
    char text[16] = "";
    FILE *file = fopen("/proc/self/oom_score_adj", "re");

    if (!file || !fgets(text, sizeof text, file))
        return errno;
    (void)fclose(file);
    return mu_task_write(task, text, strlen(text));
}

static void workers_are_killed_before_the_program(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct mu_pool *pool = test_pool(models[i], NULL);
        struct mu_outcome *o;

        assert_int_equal(mu_pool_submit(pool, say_score, NULL, 0, NULL, NULL),
                         0);
        o = test_take(pool);
        assert_int_equal(o->status, MU_DONE);
        assert_string_equal(o->output, "1000\n");
        mu_outcome_free(o);
        mu_pool_close(pool);
    }
}

static void threads_cannot_have_them(void **state)
{
    const struct mu_pool_options options[] = {
        {.processes = 1},     {.sandbox = MU_SANDBOX_PURE},
        {.file_bytes = 1},    {.cpu_ns = 1},
        {.recycle_tasks = 1}, {.recycle_bytes = 1},
        {.open_files = 9},    {.timeout_ns = 1},
        {.memory_bytes = 1},
    };
    const struct mu_submit late = {.timeout_ns = 1};
    struct mu_pool *pool;

    (void)state;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        assert_int_equal(mu_pool_open("threads:2", &options[i], &pool, NULL),
                         MU_EMODEL);
    assert_int_equal(mu_pool_open("threads:2", NULL, &pool, NULL), 0);
    assert_int_equal(mu_pool_submit(pool, deed_innocent, NULL, 0, &late, NULL),
                     MU_EMODEL);
    mu_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_name_themselves),
        cmocka_unit_test(limits_cannot_be_raised),
        cmocka_unit_test(cpu_time_is_limited_without_its_signal),
        cmocka_unit_test(each_task_has_its_cpu_time),
        cmocka_unit_test(absurd_limits_are_refused),
        cmocka_unit_test(memory_limit_is_named),
        cmocka_unit_test(memory_limit_is_not_named_for_nothing),
        cmocka_unit_test(memory_limit_is_named_without_files),
        cmocka_unit_test(output_goes_by_memory),
        cmocka_unit_test(stack_is_not_taken_for_data),
        cmocka_unit_test(endless_stack_is_limited_with_memory),
        cmocka_unit_test(children_share_the_memory_limit),
        cmocka_unit_test(processes_are_limited),
        cmocka_unit_test(limit_is_named_for_who_met_it),
        cmocka_unit_test(limit_is_a_number),
        cmocka_unit_test(limit_is_of_the_last_attempt),
        cmocka_unit_test(processes_are_limited_without_groups),
        cmocka_unit_test(groups_go_with_their_pool),
        cmocka_unit_test(workers_are_killed_before_the_program),
        cmocka_unit_test(threads_cannot_have_them),
    };

    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
