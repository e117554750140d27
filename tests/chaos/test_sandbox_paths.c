/* test_sandbox_paths.c: what lists of paths refuse ends the task and is named; all else goes
 * on as if they were not there. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chaos/expect.h"

static const char *const models[] = {"processes:1", "processes:1/threads:2"};

/* The tree: read/f, read/out (a link to ../none/f), write/f, alone (read, and in no
 * directory that may be), none/f, none/d/. Nothing else is in the lists. */
static const struct mu_pool_options *options;

static int make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    return fd < 0 ? -1 : close(fd);
}

static char tree[] = "/tmp/muster-test-XXXXXX";

/* Before there are workers, which are where we are. */
static int make_tree(void)
{
    static const char *const read_paths[] = {"read", "alone", NULL};
    static const char *const write_paths[] = {"write", NULL};
    static const struct mu_pool_options of_lists = {.read_paths = read_paths,
                                                    .write_paths = write_paths};

    options = &of_lists;
    return !mkdtemp(tree) || chdir(tree) < 0 || mkdir("read", 0755) < 0 ||
                   mkdir("write", 0755) < 0 || mkdir("none", 0755) < 0 ||
                   mkdir("none/d", 0755) < 0 || make_file("read/f") < 0 ||
                   make_file("write/f") < 0 || make_file("none/f") < 0 ||
                   make_file("alone") < 0 ||
                   symlink("../none/f", "read/out") < 0
               ? -1
               : 0;
}

static int remove_tree(void **state)
{
    char command[64];

    (void)state;
    (void)snprintf(command, sizeof command, "rm -r %s", tree);
    return system(command);
}

/* -- tasks: 0, or errno -- */

static int bind_to(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(name.sun_path, path);
    return bind(fd, (struct sockaddr *)&name, sizeof name);
}

static int open_how(const char *path, uint64_t flags)
{
    struct open_how how = {.flags = flags};

    return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

static int run(const char *path)
{
    char *const argv[] = {(char *)path, NULL};

    return execv(path, argv);
}

/* Below a directory that is open, which needs no right to read it. */
static int open_below(const char *directory, const char *name)
{
    int fd = open(directory, O_PATH | O_DIRECTORY);

    return openat(fd, name, O_RDONLY);
}

/* "CALL PATH [OTHER]" */
static int call(struct mu_task *task)
{
    char name[16] = "";
    char path[64] = "";
    char other[64] = "";
    int rc = -1;

    (void)sscanf(mu_task_input(task, NULL), "%15s %63s %63s", name, path,
                 other);
    errno = EDOM;
    if (!strcmp(name, "open"))
        rc = open(path, O_RDONLY);
    else if (!strcmp(name, "open_write"))
        rc = open(path, O_RDWR);
    else if (!strcmp(name, "open_create"))
        rc = open(path, O_WRONLY | O_CREAT, 0600);
    else if (!strcmp(name, "open_excl"))
        rc = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    else if (!strcmp(name, "open_trunc"))
        rc = open(path, O_RDONLY | O_TRUNC);
    else if (!strcmp(name, "open_path"))
        rc = open(path, O_PATH);
    else if (!strcmp(name, "open_below"))
        rc = open_below(path, other);
    else if (!strcmp(name, "openat2"))
        rc = open_how(path, O_RDONLY);
    else if (!strcmp(name, "creat"))
#ifdef SYS_creat /* newer processors have openat() alone */
        rc = (int)syscall(SYS_creat, path, 0600);
#else
        rc = creat(path, 0600);
#endif
    else if (!strcmp(name, "execve"))
        rc = run(path);
    else if (!strcmp(name, "truncate"))
        rc = truncate(path, 0);
    else if (!strcmp(name, "mkdir"))
        rc = mkdir(path, 0700);
    else if (!strcmp(name, "mknod"))
        rc = mknod(path, S_IFIFO | 0600, 0);
    else if (!strcmp(name, "mknod_file"))
        rc = mknod(path, S_IFREG | 0600, 0);
    else if (!strcmp(name, "mknod_char"))
        rc = mknod(path, S_IFCHR | 0600, 0);
    else if (!strcmp(name, "mknod_block"))
        rc = mknod(path, S_IFBLK | 0600, 0);
    else if (!strcmp(name, "symlink"))
        rc = symlink("x", path);
    else if (!strcmp(name, "rmdir"))
        rc = rmdir(path);
    else if (!strcmp(name, "unlink"))
        rc = unlink(path);
    else if (!strcmp(name, "link"))
        rc = link(path, other);
    else if (!strcmp(name, "rename"))
        rc = rename(path, other);
    else if (!strcmp(name, "bind"))
        rc = bind_to(path);
    return rc >= 0 ? 0 : errno;
}

static int child_calls(struct mu_task *task)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(call(task));
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status)
               ? WEXITSTATUS(status)
               : -1;
}

/* A path that ends at the end of a page, behind which nothing is, or is not there. */
static int open_at_edge(struct mu_task *task)
{
    const char *path = mu_task_input(task, NULL);
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *at = pages + 4096 - strlen(path) - 1;

    strcpy(at, path);
    (void)munmap(pages + 4096, 4096);
    if (open(at, O_RDONLY) < 0)
        return errno;
    at[strlen(path)] = 'x'; /* no end */
    return open(at, O_RDONLY) < 0 && errno == EFAULT ? 0 : -1;
}

/* "PATH OTHER": what a child does is its own affair. It gets the error for the one; and
 * it is its memory that counts, where the other stands in the same place. */
static int child_opens(struct mu_task *task)
{
    char path[64] = "";
    char other[64] = "";
    int status;
    pid_t pid;

    (void)sscanf(mu_task_input(task, NULL), "%63s %63s", path, other);
    pid = fork();
    if (pid == 0) {
        if (open(path, O_RDONLY) >= 0 || errno != EACCES)
            _exit(1);
        memcpy(path, other, sizeof path);
        _exit(open(path, O_RDONLY) < 0 ? errno : 0);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status)
               ? WEXITSTATUS(status)
               : -1;
}

static void *open_in_thread(void *arg)
{
    (void)open(arg, O_RDONLY);
    return NULL;
}

static int thread_opens(struct mu_task *task)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, open_in_thread,
                       (void *)mu_task_input(task, NULL)) != 0)
        return -1;
    return pthread_join(thread, NULL);
}

static int open_blocking(struct mu_task *task)
{
    sigset_t all;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    return open(mu_task_input(task, NULL), O_RDONLY) < 0 ? errno : 0;
}

static int open_ignoring(struct mu_task *task)
{
    (void)signal(SIGSYS, SIG_IGN);
    return open(mu_task_input(task, NULL), O_RDONLY) < 0 ? errno : 0;
}

static void *sleep_for_ever(void *arg)
{
    for (;;)
        (void)pause();
    return arg;
}

static int leave_thread(struct mu_task *task)
{
    pthread_t thread;

    (void)task;
    return pthread_create(&thread, NULL, sleep_for_ever, NULL);
}

static int unblock(struct mu_task *task)
{
    sigset_t none;

    (void)task;
    (void)sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL);
}

/* -- tests -- */

struct expected {
    const char *what;
    const char *words;
};

static void expect_all(mu_task_fn fn, const struct expected *list, size_t n)
{
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; k < n; k++)
            expect(models[i], options, fn, list[k].what, list[k].words);
}

#define EXPECT_ALL(fn, list) expect_all(fn, list, sizeof(list) / sizeof *(list))

static void what_lists_refuse_is_named(void **state)
{
    static const struct expected list[] = {
        {"open none/f", "SIGSYS: openat refused in call"},
        {"open read/out", "SIGSYS: openat"},
        {"open read/../none/f", "SIGSYS: openat"},
        {"open none", "SIGSYS: openat"},
        {"open_below none f", "SIGSYS: openat"},
        {"open_below read ../none/f", "SIGSYS: openat"},
        {"open_write read/f", "SIGSYS: openat"},
        {"open_write alone", "SIGSYS: openat"},
        {"open_trunc read/f", "SIGSYS: openat"},
        {"open_create none/new", "SIGSYS: openat"},
        {"open_create read/new", "SIGSYS: openat"},
        {"open_create new", "SIGSYS: openat"},
        {"open_excl none/new", "SIGSYS: openat"},
        {"openat2 none/f", "SIGSYS: openat2"},
        {"creat read/f", "SIGSYS: creat"},
        {"creat none/new", "SIGSYS: creat"},
        {"execve /bin/true", "SIGSYS: execve"},
        {"truncate read/f", "SIGSYS: truncate"},
        {"mkdir none/new", "SIGSYS: mkdir"},
        {"mkdir none/new/", "SIGSYS: mkdir"},
        {"mknod read/new", "SIGSYS: mknod"},
        {"symlink none/new", "SIGSYS: symlink"},
        {"rmdir none/d", "SIGSYS: rmdir"},
        {"unlink read/f", "SIGSYS: unlink"},
        {"unlink alone", "SIGSYS: unlink"},
        {"link write/f none/new", "SIGSYS: link"},
        {"rename none/f write/new", "SIGSYS: rename"},
        {"rename write/f none/new", "SIGSYS: rename"},
        {"bind none/new", "SIGSYS: bind"},
    };

    (void)state;
    EXPECT_ALL(call, list);
    expect(models[0], options, open_at_edge, "none/f", "SIGSYS: openat");
    expect(models[0], options, thread_opens, "none/f", "SIGSYS: openat");
    assert_int_equal(access("none/new", F_OK), -1);
    assert_int_equal(access("read/new", F_OK), -1);
}

/* Nor does who comes next. */
static void who_blocks_the_signal_does_not_escape(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        expect(models[i], options, open_blocking, "none/f",
               "crashed: SIGSYS: openat");
        expect(models[i], options, open_ignoring, "none/f", "crashed: SIGSYS");
    }
}

/* A worker looks at files that lists refuse to it, after a task that blocks signals. */
static void looks_leave_no_signal_behind(void **state)
{
    enum { N = 100 };
    struct mu_pool_options strict = *options;

    (void)state;
    strict.strict = 1;
    for (int m = 0; m < 2; m++) {
        struct mu_pool *pool = test_pool(models[m], &strict);

        for (int i = 0; i < N; i++)
            assert_int_equal(
                mu_pool_submit(pool, i % 10 == 5 ? open_blocking : unblock,
                               "read/f", 7, NULL, NULL),
                MU_OK);
        for (int i = 0; i < N; i++)
            test_take_as(pool, MU_DONE);
        mu_pool_close(pool);
    }
}

static void what_lists_allow_is_done(void **state)
{
    static const struct expected list[] = {
        {"open read/f", "done"},
        {"open read", "done"},
        {"open alone", "done"},
        {"open_below read f", "done"},
        {"open_path none/f", "done"},
        {"openat2 read/f", "done"},
        {"open_write write/f", "done"},
        {"open_create write/new", "done"},
        {"creat write/new", "done"},
        {"truncate write/new", "done"},
        {"rename write/new write/newer", "done"},
        {"link write/newer write/new", "done"},
        {"unlink write/new", "done"},
        {"unlink write/newer", "done"},
        {"mkdir write/new", "done"},
        {"rmdir write/new/", "done"},
        {"mknod write/new", "done"},
        {"unlink write/new", "done"},
        {"symlink write/new", "done"},
        {"unlink write/new", "done"},
        {"bind write/new", "done"},
        {"unlink write/new", "done"},
    };

    (void)state;
    EXPECT_ALL(call, list);
    expect(models[0], options, open_at_edge, "read/f", "done");
    expect(models[0], options, thread_opens, "read/f", "done");
}

/* Where Landlock knows of it: its second version, Linux 5.19. */
static void files_move_between_directories(void **state)
{
    static const struct expected list[] = {
        {"mkdir write/d", "done"},
        {"open_create write/new", "done"},
        {"rename write/new write/d/new", "done"},
        {"link write/d/new write/new", "done"},
        {"unlink write/new", "done"},
        {"unlink write/d/new", "done"},
        {"rmdir write/d", "done"},
    };

    (void)state;
    if (syscall(SYS_landlock_create_ruleset, NULL, 0,
                LANDLOCK_CREATE_RULESET_VERSION) < 2)
        skip();
    EXPECT_ALL(call, list);
}

/* Programs ask for what may be missing, and make what may be there. */
static void other_errors_are_as_ever(void **state)
{
    static const struct expected list[] = {
        {"open none/missing", "returned 2"},   /* ENOENT */
        {"open none/missing/x", "returned 2"}, /* ENOENT */
        {"open none/f/x", "returned 20"},      /* ENOTDIR */
        {"open_excl none/f", "returned 17"},   /* EEXIST */
        {"open_create no/such", "returned 2"},
        {"mkdir none", "returned 17"},
        {"mkdir /", "returned 17"},
        {"mkdir none/d", "returned 17"},
        {"mkdir no/such", "returned 2"},
        {"symlink none/f", "returned 17"},
        {"unlink none/missing", "returned 2"},
        {"rmdir none/missing", "returned 2"},
        {"rename none/missing none/x", "returned 2"},
        {"link none/missing none/x", "returned 2"},
        {"execve none/missing", "returned 2"},
        {"bind none/f", "returned 98"},
    };

    (void)state;
    EXPECT_ALL(call, list);
}

static void child_gets_the_error(void **state)
{
    (void)state;
    expect(models[0], options, child_opens, "none/f read/f", "done");
}

/* Whom nobody looks at: Landlock alone keeps files from it, each in its way. */
static void child_changes_nothing(void **state)
{
    static const struct expected list[] = {
        {"open none/f", "returned 13"}, /* EACCES */
        {"open none/d", "returned 13"},
        {"execve /bin/true", "returned 13"},
        {"open_write read/f", "returned 13"},
        {"open_write alone", "returned 13"},
        {"unlink read/f", "returned 13"},
        {"rmdir none/d", "returned 13"},
        {"rename read/f read/new", "returned 13"},
        {"open_create none/new", "returned 13"},
        {"mknod_file none/new", "returned 13"},
        {"mknod_char none/new", "returned 13"},
        {"mknod_block none/new", "returned 13"},
        {"mknod none/new", "returned 13"},
        {"mkdir none/new", "returned 13"},
        {"symlink none/new", "returned 13"},
        {"bind none/new", "returned 13"},
        {"open_create write/new", "done"},
        {"unlink write/new", "done"},
    };

    (void)state;
    EXPECT_ALL(child_calls, list);
    assert_int_equal(access("none/new", F_OK), -1);
    assert_int_equal(access("read/new", F_OK), -1);
}

/* Where Landlock knows of it: its third version, Linux 6.2. */
static void child_truncates_nothing(void **state)
{
    static const struct expected list[] = {
        {"truncate read/f", "returned 13"},
        {"truncate none/f", "returned 13"},
        {"open_trunc read/f", "returned 13"},
        {"truncate write/f", "done"},
    };

    (void)state;
    if (syscall(SYS_landlock_create_ruleset, NULL, 0,
                LANDLOCK_CREATE_RULESET_VERSION) < 3)
        skip();
    EXPECT_ALL(child_calls, list);
}

/* One of many tasks on one worker, which looks at itself after each: who they are that a
 * task leaves is in files that the lists refuse to it. */
static void others_are_not_disturbed(void **state)
{
    enum { N = 200 };
    struct mu_pool_options strict = *options;
    struct mu_pool *pool;

    (void)state;
    strict.strict = 1;
    pool = test_pool(models[0], &strict);
    for (int i = 0; i < N; i++) {
        const char *what = i % 20 ? "open read/f" : "open none/f";

        assert_int_equal(mu_pool_submit(pool,
                                        i % 20 == 10 ? leave_thread : call,
                                        what, strlen(what) + 1, NULL, NULL),
                         MU_OK);
    }
    for (int i = 0; i < N; i++)
        test_take_as(pool, i % 20 ? MU_DONE : MU_CRASHED);
    mu_pool_close(pool);
}

/* As a stray double close() does, or closefrom(): who lets calls go on does it still. */
static int close_others(struct mu_task *task)
{
    return close_range(STDERR_FILENO + 1, ~0U, 0) == 0
               ? mu_task_printf(task, "closed")
               : errno;
}

/* On one worker each, which is looked at only when it has nothing to do. */
static void closing_descriptors_harms_nobody(void **state)
{
    enum { N = 200 };

    (void)state;
    for (int m = 0; m < 2; m++) {
        struct mu_pool *pool = test_pool(models[m], options);

        for (int i = 0; i < N; i++)
            assert_int_equal(
                i % 20 == 10
                    ? mu_pool_submit(pool, close_others, NULL, 0, NULL, NULL)
                    : mu_pool_submit(pool, call, "open read/f", 12, NULL, NULL),
                MU_OK);
        for (int i = 0; i < N; i++)
            test_take_as(pool, MU_DONE);
        mu_pool_close(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lists_refuse_is_named),
        cmocka_unit_test(who_blocks_the_signal_does_not_escape),
        cmocka_unit_test(looks_leave_no_signal_behind),
        cmocka_unit_test(what_lists_allow_is_done),
        cmocka_unit_test(files_move_between_directories),
        cmocka_unit_test(other_errors_are_as_ever),
        cmocka_unit_test(child_gets_the_error),
        cmocka_unit_test(child_changes_nothing),
        cmocka_unit_test(child_truncates_nothing),
        cmocka_unit_test(others_are_not_disturbed),
        cmocka_unit_test(closing_descriptors_harms_nobody),
    };

    if (make_tree() < 0 || mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, remove_tree);
}
