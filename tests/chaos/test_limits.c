/* test_limits.c: limits, sandboxes and recycling of worker processes. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <locale.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "muster/muster.h"

#include "chaos/deeds.h"
#include "chaos/groups.h"
#include "process/confine.h"
#include "support/check.h"

static const char *const models[] = {"processes:2", "processes:1/threads:2"};

static struct mu_outcome *run(const char *model,
                              const struct mu_pool_options *options,
                              mu_task_fn fn, const char *input)
{
    struct mu_pool *pool;
    struct mu_outcome *o;
    struct mu_error err;

    if (mu_pool_open(model, options, &pool, &err) != 0)
        fail_msg("%s: %s", model, err.text);
    assert_int_equal(
        mu_pool_submit(pool, fn, input, strlen(input) + 1, NULL, NULL), 0);
    assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), 0);
    mu_pool_close(pool);
    return o;
}

static void expect(const char *model, const struct mu_pool_options *options,
                   mu_task_fn fn, const char *input, const char *expected)
{
    struct mu_outcome *o = run(model, options, fn, input);
    char text[500];

    (void)mu_outcome_describe(o, text, sizeof text);
    if (!strstr(text, expected))
        fail_msg("under %s with '%s': %s", model, input, text);
    mu_outcome_free(o);
}

/* -- tasks: 0 when what they tried was allowed, else errno -- */

static int read_file(struct mu_task *task)
{
    char byte;
    int fd = open(mu_task_input(task, NULL), O_RDONLY);

    if (fd < 0)
        return errno;
    return read(fd, &byte, 1) < 0 ? errno : 0;
}

/* access() is not restricted: so what a list refuses is told from what modes do. */
static int refused_by_list(struct mu_task *task)
{
    const char *path = mu_task_input(task, NULL);

    return open(path, O_RDONLY) < 0 && errno == EACCES &&
                   access(path, R_OK) == 0
               ? 0
               : -1;
}

static int write_file(struct mu_task *task)
{
    int fd = open(mu_task_input(task, NULL), O_WRONLY | O_CREAT, 0600);

    if (fd < 0)
        return errno;
    return write(fd, "x", 1) == 1 ? 0 : errno;
}

static int remove_file(struct mu_task *task)
{
    return unlink(mu_task_input(task, NULL)) == 0 ? 0 : errno;
}

static int make_public(struct mu_task *task)
{
    return chmod(mu_task_input(task, NULL), 0644) == 0 ? 0 : errno;
}

/* As chattr(1) does, on a file that needs to be open for reading only. */
static int flag_file(struct mu_task *task)
{
    (void)task;
    return ioctl(-1, FS_IOC_SETFLAGS, NULL) == 0 ? 0 : errno;
}

/* The system call of that number, with nothing sensible. */
static int call_number(struct mu_task *task)
{
    const long number = atol(mu_task_input(task, NULL));

    return syscall(number, -1, -1, -1, -1, -1, -1) == -1 ? errno : 0;
}

static int open_socket(struct mu_task *task)
{
    int domain =
        *(const char *)mu_task_input(task, NULL) == 'u' ? AF_UNIX : AF_INET;

    return socket(domain, SOCK_STREAM, 0) >= 0 ? 0 : errno;
}

static int fork_child(struct mu_task *task)
{
    (void)task;
    return fork() >= 0 ? 0 : errno;
}

static int kill_parent(struct mu_task *task)
{
    (void)task;
    return kill(getppid(), 0) == 0 ? 0 : errno;
}

static int compute(struct mu_task *task)
{
    char *memory = malloc(50 << 20);
    double x = 0;

    memset(memory, 1, 50 << 20);
    for (int i = 0; i < 1000; i++)
        x += memory[i * 1000];
    free(memory);
    return mu_task_printf(task, "%g\n", x);
}

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

static void on_signal(int signal)
{
    (void)signal;
}

/* Change one thing, that which the input names; say what there is of all. */
static int change_state(struct mu_task *task)
{
    const struct rlimit low = {.rlim_cur = 64, .rlim_max = 64};
    const struct rlimit *files = &low;
    struct rlimit now;
    struct sigaction action;
    char cwd[256] = "";
    mode_t mask = umask(0);

    (void)umask(mask);
    (void)getrlimit(RLIMIT_NOFILE, &now);
    (void)sigaction(SIGUSR1, NULL, &action);
    (void)mu_task_printf(task, "%s %o %s %s %d %d", getcwd(cwd, sizeof cwd),
                         (unsigned)mask, getenv("CHANGED") ? "set" : "unset",
                         setlocale(LC_ALL, NULL), action.sa_handler == SIG_DFL,
                         now.rlim_cur == files->rlim_cur);
    switch (mu_task_tag(task)) {
    case 0:
        return chdir("/");
    case 1:
        (void)umask(0123);
        return 0;
    case 2:
        return setenv("CHANGED", "1", 1);
    case 3:
        return setlocale(LC_ALL, "C.UTF-8") == NULL;
    case 4:
        return signal(SIGUSR1, on_signal) == SIG_ERR;
    case 5:
        return setrlimit(RLIMIT_NOFILE, files);
    default:
        return 0;
    }
}

static void strict_hides_changes(void **state)
{
    const struct mu_pool_options options = {.strict = 1};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct mu_pool *pool;
        struct mu_outcome *o;
        char first[300] = "";

        assert_int_equal(mu_pool_open(models[i], &options, &pool, NULL), 0);
        for (uint64_t tag = 0; tag < 7; tag++) {
            const struct mu_submit how = {.tag = tag};

            assert_int_equal(
                mu_pool_submit(pool, change_state, NULL, 0, &how, NULL), 0);
            assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), 0);
            assert_int_equal(o->status, MU_DONE);
            if (tag == 0)
                (void)snprintf(first, sizeof first, "%s",
                               (const char *)o->output);
            assert_string_equal(o->output, first);
            mu_outcome_free(o);
        }
        mu_pool_close(pool);
    }
}

static const struct deed *find_deed(const char *name)
{
    for (unsigned i = 0; i < n_deeds; i++)
        if (strcmp(deeds[i].name, name) == 0)
            return &deeds[i];
    fail_msg("no deed %s", name);
    return NULL;
}

/* No lane of its worker, be there several, gives what one task changed to a task
 * that began when that had ended. */
static void strict_hides_changes_from_all_lanes(void **state)
{
    enum { ROUNDS = 100, N = 4 };
    static const char *const wide[] = {"processes:2", "processes:1/threads:4"};
    const struct mu_pool_options options = {.strict = 1};
    const struct deed *deed = find_deed("change_all");

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct mu_pool *pool;
        struct mu_outcome *o;

        assert_int_equal(mu_pool_open(wide[i], &options, &pool, NULL), 0);
        for (int round = 0; round < ROUNDS; round++) {
            mu_task_fn fn = deed->fn;

            for (int n = 1; n <= N; n += N - 1, fn = deed->around) {
                for (int j = 0; j < n; j++)
                    assert_int_equal(
                        mu_pool_submit(pool, fn, "x", 1, NULL, NULL), 0);
                for (int j = 0; j < n; j++) {
                    assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), 0);
                    assert_int_equal(o->status, MU_DONE);
                    mu_outcome_free(o);
                }
            }
        }
        mu_pool_close(pool);
    }
}

/* -- tests -- */

static void pure_refuses_what_is_not_computing(void **state)
{
    const struct mu_pool_options options = {.sandbox = MU_SANDBOX_PURE,
                                            .memory_bytes = 128 << 20};

    (void)state;
    for (int i = 0; i < 2; i++) {
        expect(models[i], &options, compute, "", "done");
        expect(models[i], &options, read_file, "/etc/passwd",
               "SIGSYS: openat refused in");
        expect(models[i], &options, write_file, "/tmp/x", "SIGSYS: openat");
        expect(models[i], &options, remove_file, "/tmp/x", "SIGSYS: unlink");
        expect(models[i], &options, open_socket, "unix", "SIGSYS: socket");
        expect(models[i], &options, fork_child, "", "SIGSYS: clone");
        expect(models[i], &options, kill_parent, "", "SIGSYS: kill");
        expect(models[i], &options, deeds[0].fn, "", "crashed: SIGSEGV");
        expect(models[i], &options, deeds[2].fn, "", "crashed: SIGABRT");
        expect(models[i], &options, deeds[7].fn, "", "exited with status 3");
    }
}

/* Of the system call of that number. */
static void expect_call(const struct mu_pool_options *options, long number,
                        const char *expected)
{
    char text[16];

    (void)snprintf(text, sizeof text, "%ld", number);
    expect(models[number % 2], options, call_number, text, expected);
}

static void no_network_refuses_sockets(void **state)
{
    const struct mu_pool_options options = {.sandbox = MU_SANDBOX_NO_NETWORK};

    (void)state;
    for (int i = 0; i < 2; i++) {
        expect(models[i], &options, open_socket, "inet", "SIGSYS: socket");
        expect(models[i], &options, open_socket, "unix", "done");
        expect(models[i], &options, read_file, "/etc/passwd", "done");
    }
    /* which could make one, too */
    expect_call(&options, SYS_io_uring_setup, "returned 38");
}

static void files_are_kept(void **state)
{
    static const char *const write_paths[] = {"/tmp", NULL};
    static const char *const read_paths[] = {"/usr", "/etc/passwd", NULL};
    struct mu_pool_options options = {.sandbox = MU_SANDBOX_READ_ONLY};
    char path[64];
    char outside[64];

    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/test-limits.%d", (int)getpid());
    (void)snprintf(outside, sizeof outside, "/var/tmp/test-limits.%d",
                   (int)getpid());
    for (int i = 0; i < 2; i++) {
        options = (struct mu_pool_options){.sandbox = MU_SANDBOX_READ_ONLY};
        expect(models[i], &options, read_file, "/etc/passwd", "done");
        expect(models[i], &options, write_file, path,
               "SIGSYS: openat refused in");
        expect(models[i], &options, remove_file, path, "SIGSYS: unlink");
        expect(models[i], &options, make_public, path, "SIGSYS: chmod");
        options.write_paths = write_paths;
        expect(models[i], &options, write_file, path, "done");
        expect(models[i], &options, make_public, path, "done");
        expect(models[i], &options, remove_file, path, "done");
        expect(models[i], &options, write_file, outside, "returned 13");
        expect(models[i], &options, remove_file, "/etc/passwd", "returned 13");
        options = (struct mu_pool_options){.read_paths = read_paths};
        expect(models[i], &options, read_file, "/etc/passwd", "done");
        expect(models[i], &options, read_file, "/etc/group", "returned 13");
        expect(models[i], &options, refused_by_list, "/etc/group", "done");
        expect(models[i], &options, write_file, path, "returned 13");
    }
}

/* Where nothing may be written, each call that would is named. */
static void read_only_names_what_it_refuses(void **state)
{
    enum {
        FCHMODAT2 = 452,
        SETXATTRAT = 463,
        REMOVEXATTRAT = 466,
        FILE_SETATTR = 469
    };
    static const long refused[] = {
        SYS_linkat,
        SYS_mkdirat,
        SYS_mknodat,
        SYS_renameat2,
        SYS_symlinkat,
        SYS_truncate,
        SYS_unlinkat,
        SYS_fchmod,
        SYS_fchmodat,
        SYS_fchown,
        SYS_fchownat,
        SYS_fremovexattr,
        SYS_fsetxattr,
        SYS_lremovexattr,
        SYS_lsetxattr,
        SYS_removexattr,
        SYS_setxattr,
        SYS_utimensat,
        SYS_open_by_handle_at,
        FCHMODAT2,
        SETXATTRAT,
        REMOVEXATTRAT,
        FILE_SETATTR,
    };
    const struct mu_pool_options options = {.sandbox = MU_SANDBOX_READ_ONLY};

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        expect_call(&options, refused[i], "SIGSYS: ");
    expect_call(&options, SYS_openat2, "returned 38");
    expect_call(&options, SYS_io_uring_setup, "returned 38");
    expect(models[0], &options, flag_file, "", "SIGSYS: ioctl");
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
        expect(models[i], &options, find_deed("loop")->fn, "",
               "crashed: limit on CPU time (RLIMIT_CPU), SIGXCPU");
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
        expect(models[i], &options, find_deed("leak")->fn, "",
               "out of memory: memory limit (RLIMIT_DATA), SIGSEGV");
        expect(models[i], &options, hold_shared, "",
               groups ? "out of memory: memory limit (cgroup), SIGKILL"
                      : "done");
    }
}

static void children_share_the_memory_limit(void **state)
{
    const struct mu_pool_options options = {.memory_bytes = 64 << 20};

    (void)state;
    if (!have_groups(MUI_CONFINE_MEMORY))
        return;
    for (int i = 0; i < 2; i++) {
        struct mu_outcome *o = run(models[i], &options, hold_in_children, "");

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
        /* a flow that ends, for the worker is spent, makes room: 2 at most */
        expect(models[i], &options, have_children, "8",
               have_groups(MUI_CONFINE_PROCESSES)
                   ? "returned 11 at its limit on processes (cgroup)"
                   : "returned 11");
        expect(models[i], &options, have_children, "1000", "returned 11");
    }
}

/* As a user who may make no control groups, in a process of its own. */
static void limit_as_nobody(const char *n, const char *expected)
{
    enum { NOBODY = 65534 };
    const struct mu_pool_options options = {.processes = 5};
    struct mu_pool *pool;
    struct mu_outcome *o;
    char text[200];

    CHECK_CHILD(geteuid() != 0 || setgroups(0, NULL) == 0);
    CHECK_CHILD(geteuid() != 0 || setresgid(NOBODY, NOBODY, NOBODY) == 0);
    CHECK_CHILD(geteuid() != 0 || setresuid(NOBODY, NOBODY, NOBODY) == 0);
    CHECK_CHILD(prctl(PR_SET_DUMPABLE, 1) == 0); /* or /proc/self is not ours */
    CHECK_CHILD(mu_pool_open("processes:2", &options, &pool, NULL) == 0);
    CHECK_CHILD(
        mu_pool_submit(pool, have_children, n, strlen(n) + 1, NULL, NULL) == 0);
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
    static const char *const cases[][2] = {
        {"5", "done"},
        {"1000", "returned 11 at its limit on processes (RLIMIT_NPROC)"},
    };

    (void)state;
    if (geteuid() != 0 && mui_confine_is_possible(MUI_CONFINE_PROCESSES))
        return; /* there is no other user to be */
    for (int i = 0; i < 2; i++) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
            alarm(300);
            limit_as_nobody(cases[i][0], cases[i][1]);
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
    struct mu_outcome *o;

    (void)state;
    if (!have_groups(MUI_CONFINE_MEMORY) || !have_groups(MUI_CONFINE_PROCESSES))
        return;
    await_no_groups(); /* those of the tests before */
    assert_int_equal(mu_pool_open("processes:2", &options, &pool, NULL), 0);
    for (unsigned j = 0; j < n_deeds; j++) {
        if (deeds[j].allowed & 1U << MU_TIMED_OUT)
            continue;
        assert_int_equal(mu_pool_submit(pool, deeds[j].fn, "", 1, NULL, NULL),
                         0);
        assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), 0);
        if (o->status == MU_TIMED_OUT)
            fail_msg("%s did not end", deeds[j].name);
        mu_outcome_free(o);
    }
    assert_true(groups_count(groups_own) > 0);
    mu_pool_close(pool);
    await_no_groups();
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
    assert_int_equal(mu_pool_submit(pool, compute, NULL, 0, &late, NULL),
                     MU_EMODEL);
    mu_pool_close(pool);
}

static void missing_path_is_an_error_of_open(void **state)
{
    static const char *const paths[] = {"/no/such/path", NULL};
    const struct mu_pool_options options = {.read_paths = paths};
    struct mu_pool *pool;
    struct mu_error err;

    (void)state;
    assert_int_equal(mu_pool_open("processes:2", &options, &pool, &err),
                     -ENOENT);
    assert_non_null(strstr(err.text, "/no/such/path"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pure_refuses_what_is_not_computing),
        cmocka_unit_test(no_network_refuses_sockets),
        cmocka_unit_test(files_are_kept),
        cmocka_unit_test(read_only_names_what_it_refuses),
        cmocka_unit_test(limits_name_themselves),
        cmocka_unit_test(memory_limit_is_named),
        cmocka_unit_test(children_share_the_memory_limit),
        cmocka_unit_test(processes_are_limited),
        cmocka_unit_test(processes_are_limited_without_groups),
        cmocka_unit_test(groups_go_with_their_pool),
        cmocka_unit_test(strict_hides_changes),
        cmocka_unit_test(strict_hides_changes_from_all_lanes),
        cmocka_unit_test(threads_cannot_have_them),
        cmocka_unit_test(missing_path_is_an_error_of_open),
    };

#if defined(__has_feature)
#    if __has_feature(thread_sanitizer)
    return 0; /* its runtime cannot work within a sandbox */
#    endif
#endif
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
