/* test_sandbox.c: what the kernel refuses to worker processes when it was asked to. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "chaos/deeds.h"
#include "chaos/expect.h"
#include "support/refuse.h"

static const char *const models[] = {"processes:2", "processes:1/threads:2"};

/* -- tasks: 0 when what they tried was allowed, else errno -- */

static int read_file(struct mu_task *task)
{
    char byte;
    int fd = open(mu_task_input(task, NULL), O_RDONLY);

    if (fd < 0)
        return errno;
    return read(fd, &byte, 1) < 0 ? errno : 0;
}

static int read_input(struct mu_task *task)
{
    char byte;

    (void)task;
    return read(STDIN_FILENO, &byte, 1) >= 0 ? 0 : errno;
}

static int write_file(struct mu_task *task)
{
    int fd = open(mu_task_input(task, NULL), O_WRONLY | O_CREAT, 0600);

    if (fd < 0)
        return errno;
    return write(fd, "x", 1) == 1 ? 0 : errno;
}

/* A file that is not there, with the flags of that number: ENOENT where it may be, or it is
 * made. */
static int open_missing(struct mu_task *task)
{
    static const char path[] = "/tmp/muster-test-none";
    const int fd = open(path, atoi(mu_task_input(task, NULL)), 0600);
    const int error = errno;

    (void)unlink(path);
    return fd >= 0 ? 0 : error;
}

static int remove_file(struct mu_task *task)
{
    return unlink(mu_task_input(task, NULL)) == 0 ? 0 : errno;
}

static int make_public(struct mu_task *task)
{
    return chmod(mu_task_input(task, NULL), 0644) == 0 ? 0 : errno;
}

/* The request of ioctl() of that number, of nothing: EBADF where it may be made. */
static int request(struct mu_task *task)
{
    return syscall(SYS_ioctl, -1, strtoul(mu_task_input(task, NULL), NULL, 16),
                   NULL) == 0
               ? 0
               : errno;
}

/* ENOENT where it may be asked for. */
static int open_queue(struct mu_task *task)
{
    const int flags = *(const char *)mu_task_input(task, NULL) == 'r'
                          ? O_RDONLY
                          : O_RDWR | O_CREAT;
    const long fd = syscall(SYS_mq_open, "muster-test-none", flags, 0600, NULL);

    (void)syscall(SYS_mq_unlink, "muster-test-none");
    return fd >= 0 ? 0 : errno;
}

/* How many of the libraries that few need are mapped. */
static int count_libraries(struct mu_task *task)
{
    static const char *const names[] = {
        MUSTER_HWLOC,
        MUSTER_LIBDW,
        MUSTER_SECCOMP,
#ifdef MUSTER_SODIUM
        MUSTER_SODIUM,
#endif
    };
    int n = 0;

    (void)task;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        n += dlopen(names[i], RTLD_NOW | RTLD_NOLOAD) != NULL;
    return n;
}

/* The system call of that number, with nothing sensible. */
static int call_number(struct mu_task *task)
{
    const long number = atol(mu_task_input(task, NULL));

    return syscall(number, -1, -1, -1, -1, -1, -1) == -1 ? errno : 0;
}

/* Of the domain of that number. */
static int open_socket(struct mu_task *task)
{
    const int domain = atoi(mu_task_input(task, NULL));

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

/* By the call that raise() and abort() make. */
static int kill_thread_of_parent(struct mu_task *task)
{
    (void)task;
    return syscall(SYS_tgkill, getppid(), getppid(), 0) == 0 ? 0 : errno;
}

/* Which could have it killed: nor is that a signal to others. */
static int limit_parent(struct mu_task *task)
{
    const struct rlimit none = {.rlim_cur = RLIM_INFINITY,
                                .rlim_max = RLIM_INFINITY};

    (void)task;
    return prlimit(getppid(), RLIMIT_CPU, &none, NULL) == 0 ? 0 : errno;
}

/* By the advice of that number, for no memory at all. */
static int advise(struct mu_task *task)
{
    const int advice = atoi(mu_task_input(task, NULL));

    return madvise(NULL, 0, advice) == 0 ? 0 : errno;
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

static int compare_bytes(const void *a, const void *b)
{
    return memcmp(a, b, 1);
}

/* Before glibc 2.37 qsort() asks how much memory there is. */
static int sort(struct mu_task *task)
{
    static char bytes[4096];
    struct sysinfo info;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7 % 128);
    qsort(bytes, sizeof bytes, 1, compare_bytes);
    (void)task;
    return sysinfo(&info) == 0 && bytes[0] == 0 &&
                   bytes[sizeof bytes - 1] == 127
               ? 0
               : 1;
}

static int take_mutex(struct mu_task *task)
{
    static struct mu_mutex mutex;

    (void)task;
    return mu_mutex_lock(&mutex, MU_NOW);
}

static int take_to_read(struct mu_task *task)
{
    static struct mu_rwlock lock;

    (void)task;
    return mu_rwlock_read(&lock, MU_NOW);
}

static int take_to_write(struct mu_task *task)
{
    static struct mu_rwlock lock;

    (void)task;
    return mu_rwlock_write(&lock, MU_NOW);
}

static int do_nothing(void *unused)
{
    (void)unused;
    return 0;
}

static int run_once(struct mu_task *task)
{
    static struct mu_once once;

    (void)task;
    return mu_once_run(&once, do_nothing, NULL, MU_NOW);
}

/* 0 when each does as anywhere. */
static int wait_for_what_nobody_holds(struct mu_task *task)
{
    static struct mu_semaphore semaphore;
    static struct mu_barrier barrier;
    static struct mu_latch latch;
    static struct mu_counter counter;

    (void)task;
    return mu_semaphore_take(&semaphore, MU_NOW) != MU_TIMEOUT ||
           mu_barrier_init(&barrier, 1) != 0 ||
           mu_barrier_wait(&barrier, MU_NOW, NULL) != 0 ||
           mu_latch_wait(&latch, MU_NOW) != 0 ||
           mu_counter_wait(&counter, 1, mu_after_ns(1000000)) != MU_TIMEOUT;
}

static int look_for_own_cpu(struct mu_task *task)
{
    cpu_set_t cpus;

    (void)task;
    return sched_getaffinity(0, sizeof cpus, &cpus) == 0 &&
                   CPU_COUNT(&cpus) == 1
               ? 0
               : 1;
}

static int leave_cpu(struct mu_task *task)
{
    cpu_set_t cpus;

    (void)task;
    (void)sched_getaffinity(0, sizeof cpus, &cpus);
    return sched_setaffinity(getppid(), sizeof cpus, &cpus) == 0 ? 0 : errno;
}

/* -- tests -- */

/* One that takes a number. */
static void expect_number(const struct mu_pool_options *options, mu_task_fn fn,
                          long number, const char *words)
{
    char text[16];

    (void)snprintf(text, sizeof text, "%ld", number);
    expect(models[number % 2], options, fn, text, words);
}

/* The system call of that number. */
static void expect_call(const struct mu_pool_options *options, long number,
                        const char *words)
{
    expect_number(options, call_number, number, words);
}

static void pure_refuses_what_is_not_computing(void **state)
{
    const struct mu_pool_options options = {.sandbox = MU_SANDBOX_PURE,
                                            .memory_bytes = 128 << 20};

    (void)state;
    for (int i = 0; i < 2; i++) {
        expect(models[i], &options, compute, "", "done");
        expect(models[i], &options, sort, "", "done");
        expect(models[i], &options, read_file, "/etc/passwd",
               "SIGSYS: openat refused in");
        expect(models[i], &options, read_input, "", "SIGSYS: read refused in");
        expect(models[i], &options, write_file, "/tmp/x", "SIGSYS: openat");
        expect(models[i], &options, remove_file, "/tmp/x", "SIGSYS: unlink");
        expect(models[i], &options, open_socket, "1", "SIGSYS: socket");
        expect(models[i], &options, fork_child, "", "SIGSYS: clone");
        expect(models[i], &options, kill_parent, "", "SIGSYS: kill");
        expect(models[i], &options, kill_thread_of_parent, "",
               "SIGSYS: tgkill");
        expect(models[i], &options, limit_parent, "", "SIGSYS: prlimit64");
        expect(models[i], &options, deed_named("segv")->fn, "",
               "crashed: SIGSEGV");
        expect(models[i], &options, deed_named("abort")->fn, "",
               "crashed: SIGABRT");
        expect(models[i], &options, deed_named("exit")->fn, "",
               "exited with status 3");
    }
    expect_call(&options, SYS_tkill, "SIGSYS: tkill");
    expect_call(&options, SYS_rt_sigqueueinfo, "SIGSYS: rt_sigqueueinfo");
    expect_call(&options, SYS_rt_tgsigqueueinfo, "SIGSYS: rt_tgsigqueueinfo");
    expect_number(&options, advise, MADV_DONTNEED, "done");
    expect_number(&options, advise, MADV_HWPOISON, "SIGSYS: madvise");
    expect_number(&options, advise, MADV_HWPOISON + 1, "SIGSYS: madvise");
}

/* To be named as the holder of one a thread looks into /proc. */
static void locks_that_name_their_holder_are_refused(void **state)
{
    static const char *const read_paths[] = {"/usr", NULL};
    static const mu_task_fn takes[] = {take_mutex, take_to_read, take_to_write,
                                       run_once};
    const struct mu_pool_options options[] = {{.sandbox = MU_SANDBOX_PURE},
                                              {.read_paths = read_paths}};
    /* the first call that does not pass: stat() or, by a newer C library, newfstatat() */
    static const char *const words[] = {"stat", "SIGSYS: openat refused in"};

    (void)state;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++) {
            for (size_t n = 0; n < sizeof takes / sizeof *takes; n++)
                expect(models[i], &options[k], takes[n], "", words[k]);
            expect(models[i], &options[k], wait_for_what_nobody_holds, "",
                   "done");
        }
}

/* Which a worker does with its first task, in its sandbox. */
static void pure_worker_is_pinned(void **state)
{
    const struct mu_pool_options options = {.sandbox = MU_SANDBOX_PURE,
                                            .pin = 1};

    (void)state;
    for (int i = 0; i < 2; i++) {
        expect(models[i], &options, look_for_own_cpu, "", "done");
        expect(models[i], &options, leave_cpu, "", "SIGSYS: sched_setaffinity");
    }
}

static void no_network_refuses_sockets(void **state)
{
    static const int refused[] = {AF_UNSPEC, AF_INET,    AF_INET6,
                                  AF_PACKET, AF_NETLINK, AF_VSOCK};
    const struct mu_pool_options options = {.sandbox = MU_SANDBOX_NO_NETWORK};

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        expect_number(&options, open_socket, refused[i], "SIGSYS: socket");
    for (int i = 0; i < 2; i++) {
        expect(models[i], &options, open_socket, "2", "SIGSYS: socket");
        expect(models[i], &options, open_socket, "1", "done");
        expect(models[i], &options, read_file, "/etc/passwd", "done");
    }
    /* which could make one, too */
    expect_call(&options, SYS_io_uring_setup, "returned 38");
}

static int fail_or_open_socket(struct mu_task *task)
{
    return mu_task_tag(task) % 2 ? socket(AF_INET, SOCK_STREAM, 0) : 5;
}

/* A worker that looks at its limits is excused for what it does then; the task that comes
 * next, in the same breath, is not. */
static void task_after_a_look_is_refused_too(void **state)
{
    enum { N = 20 };

    (void)state;
    for (unsigned processes = 0; processes <= 100; processes += 100) {
        const struct mu_pool_options options = {
            .sandbox = MU_SANDBOX_NO_NETWORK, .processes = processes};
        struct mu_pool *pool;

        if (mu_pool_open("processes:1", &options, &pool, NULL) != 0) {
            assert_int_equal(processes, 100); /* optional */
            continue;
        }
        for (unsigned i = 0; i < N; i++)
            test_submit(pool, fail_or_open_socket, i);
        for (unsigned i = 0; i < N; i++) {
            struct mu_outcome *o = test_take(pool);

            assert_int_equal(o->status, o->tag % 2 ? MU_CRASHED : MU_FAILED);
            mu_outcome_free(o);
        }
        mu_pool_close(pool);
    }
}

#ifdef __x86_64__
/* By another ABI's number, which no filter names: the task ends at once all the same. */
static void foreign_calls_are_refused(void **state)
{
    static const unsigned sandboxes[] = {MU_SANDBOX_PURE, MU_SANDBOX_READ_ONLY,
                                         MU_SANDBOX_NO_NETWORK};
    char x32[16];

    (void)state;
    (void)snprintf(x32, sizeof x32, "%d", 0x40000000 | SYS_getpid);
    for (int i = 0; i < 2; i++)
        for (size_t j = 0; j < sizeof sandboxes / sizeof *sandboxes; j++) {
            const struct mu_pool_options options = {.sandbox = sandboxes[j]};

            expect(models[i], &options, call_number, x32, "crashed: SIGSYS");
        }
}
#endif

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
        expect(models[i], &options, write_file, outside, "SIGSYS: openat");
        expect(models[i], &options, remove_file, "/etc/passwd",
               "SIGSYS: unlink");
        options = (struct mu_pool_options){.read_paths = read_paths};
        expect(models[i], &options, read_file, "/etc/passwd", "done");
        expect(models[i], &options, read_file, "/etc/group",
               "SIGSYS: openat refused in read_file");
        expect(models[i], &options, write_file, path, "SIGSYS: openat");
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
#ifdef __x86_64__ /* newer processors have but those above */
        SYS_chmod,
        SYS_chown,
        SYS_creat,
        SYS_futimesat,
        SYS_lchown,
        SYS_link,
        SYS_mkdir,
        SYS_mknod,
        SYS_rename,
        SYS_renameat,
        SYS_rmdir,
        SYS_symlink,
        SYS_unlink,
        SYS_utime,
        SYS_utimes,
#endif
    };
    static const int changing[] = {O_WRONLY, O_RDWR, O_CREAT, O_TRUNC};
    const struct mu_pool_options options = {.sandbox = MU_SANDBOX_READ_ONLY};

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        expect_call(&options, refused[i], "SIGSYS: ");
    for (size_t i = 0; i < sizeof changing / sizeof *changing; i++)
        expect_number(&options, open_missing, changing[i], "SIGSYS: openat");
    expect_call(&options, SYS_openat2, "returned 38");
    expect_call(&options, SYS_io_uring_setup, "returned 38");
}

static void expect_request(const struct mu_pool_options *options,
                           unsigned long number, const char *words)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%lx", number);
    expect(models[number % 2], options, request, text, words);
}

/* Of what file systems have to change what is open for reading. */
static void requests_that_change_files_are_refused(void **state)
{
    static const char *const write_paths[] = {"/tmp", NULL};
    static const char *const read_paths[] = {"/usr", NULL};
    /* flags, with what the kernel does not look at too; a version by ext4; a subvolume of
     * btrfs made and destroyed; a frozen file system; what no kernel has yet */
    static const unsigned long refused[] = {FS_IOC_SETFLAGS,
                                            FS_IOC_SETFLAGS | 1UL << 32,
                                            _IOW('f', 4, long),
                                            _IOW(0x94, 14, char[4096]),
                                            _IOW(0x94, 15, char[4096]),
                                            FIFREEZE,
                                            _IOW(0xfe, 200, int)};
    static const unsigned long made[] = {FIOCLEX,
                                         FIONREAD,
                                         FIONBIO,
                                         TCGETS,
                                         TIOCGWINSZ,
                                         FS_IOC_GETFLAGS,
                                         FS_IOC_GETFLAGS | 1UL << 32};
    const struct mu_pool_options options[] = {
        {.sandbox = MU_SANDBOX_READ_ONLY},
        {.read_paths = read_paths},
        {.write_paths = write_paths},
        {.sandbox = MU_SANDBOX_READ_ONLY, .write_paths = write_paths}};

    (void)state;
    for (int i = 0; i < 4; i++) {
        for (size_t k = 0; k < sizeof made / sizeof *made; k++)
            expect_request(&options[i], made[k], "returned 9");
        for (size_t k = options[i].write_paths ? 2 : 0;
             k < sizeof refused / sizeof *refused; k++)
            expect_request(&options[i], refused[k], "SIGSYS: ioctl refused in");
        if (options[i].write_paths) {
            expect_request(&options[i], FS_IOC_SETFLAGS, "returned 9");
            expect_request(&options[i], FICLONE, "returned 9");
        }
    }
}

/* All on one worker: each may be made. */
static void expect_made(const struct mu_pool_options *options,
                        const unsigned long *numbers, size_t n)
{
    struct mu_pool *pool = test_pool(models[0], options);
    char text[24];

    for (size_t i = 0; i < n; i++) {
        struct mu_outcome *o;

        (void)snprintf(text, sizeof text, "%lx", numbers[i]);
        assert_int_equal(
            mu_pool_submit(pool, request, text, strlen(text) + 1, NULL, NULL),
            MU_OK);
        o = test_take(pool);
        if (o->status != MU_FAILED || o->code != EBADF)
            fail_msg("request %s: status %d, code %d", text, (int)o->status,
                     o->code);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

/* Of terminals and of interfaces programs ask much; terminals, which are no files, are
 * changed where some paths may be written. What fakes input, or changes interfaces, is not
 * harmless. */
static void requests_of_harmless_programs_are_made(void **state)
{
    static const char *const write_paths[] = {"/tmp", NULL};
    static const char *const read_paths[] = {"/usr", NULL};
    static const unsigned long asks[] = {
        TIOCGPGRP,     TIOCGSID,       TIOCOUTQ,       TIOCGPTN,
        TIOCGETD,      TIOCGSOFTCAR,   TIOCMGET,       SIOCATMARK,
        SIOCGIFNAME,   SIOCGIFCONF,    SIOCGIFFLAGS,   SIOCGIFADDR,
        SIOCGIFINDEX,  SIOCGIFDSTADDR, SIOCGIFNETMASK, SIOCGIFBRDADDR,
        SIOCGIFMETRIC, SIOCGIFMTU,     SIOCGIFHWADDR,  SIOCGIFMAP,
        SIOCGIFTXQLEN};
    static const unsigned long sets[] = {
        TCSETS,    TCSETSW,   TCSETSF,    TCSBRK,     TCXONC,    TCFLSH,
        TIOCSCTTY, TIOCNOTTY, TIOCSWINSZ, TIOCSPTLCK, TIOCSPGRP, TIOCGPTPEER};
    static const unsigned long refused[] = {
        TIOCSTI,      TIOCCONS,    TIOCSETD,    TIOCMSET,
        SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNAME, SIOCETHTOOL};
    const struct mu_pool_options options[] = {
        {.sandbox = MU_SANDBOX_READ_ONLY},
        {.read_paths = read_paths},
        {.write_paths = write_paths},
        {.sandbox = MU_SANDBOX_READ_ONLY, .write_paths = write_paths}};

    (void)state;
    for (int i = 0; i < 4; i++) {
        expect_made(&options[i], asks, sizeof asks / sizeof *asks);
        for (size_t k = 0; k < sizeof refused / sizeof *refused; k++)
            expect_request(&options[i], refused[k], "SIGSYS: ioctl refused in");
        if (options[i].write_paths)
            expect_made(&options[i], sets, sizeof sets / sizeof *sets);
        else
            for (size_t k = 0; k < sizeof sets / sizeof *sets; k++)
                expect_request(&options[i], sets[k], "SIGSYS: ioctl refused");
    }
}

static void queues_are_kept(void **state)
{
    static const char *const write_paths[] = {"/tmp", NULL};
    const struct mu_pool_options none = {.sandbox = 0};
    const struct mu_pool_options options[] = {{.sandbox = MU_SANDBOX_READ_ONLY},
                                              {.write_paths = write_paths}};

    (void)state;
    if (syscall(SYS_mq_unlink, "muster-test-none") < 0 && errno == ENOSYS)
        skip();
    expect(models[0], &none, open_queue, "read", "returned 2");
    for (int i = 0; i < 2; i++) {
        expect(models[i], &options[i], open_queue, "write", "SIGSYS: mq_open");
        expect(models[i], &options[i], open_queue, "read", "SIGSYS: mq_unlink");
    }
}

/* The worker opens it: no task is to be charged with what it did not do. */
static void pure_takes_no_path(void **state)
{
    const struct mu_pool_options options = {.sandbox = MU_SANDBOX_PURE};
    const struct mu_submit how = {.path = "/etc/passwd"};
    struct mu_pool *pool = test_pool(models[0], &options);

    (void)state;
    assert_int_equal(mu_pool_submit(pool, read_input, NULL, 0, &how, NULL),
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

struct refusal {
    int error;
    const char *text;
};

static void open_without_landlock(void *arg)
{
    const struct mu_pool_options options = {.sandbox = MU_SANDBOX_READ_ONLY};
    const struct refusal *refusal = arg;
    struct mu_pool *pool;
    struct mu_error err;

    /* as containers and the kernel's command line do */
    test_refuse(SYS_landlock_create_ruleset, refusal->error);
    CHECK_CHILD(mu_pool_open("processes:1", &options, &pool, &err) ==
                MU_EMODEL);
    CHECK_CHILD(strstr(err.text, refusal->text));
}

static void missing_landlock_is_told_from_a_refused_one(void **state)
{
    static struct refusal refusals[] = {{ENOSYS, "has no Landlock"},
                                        {EOPNOTSUPP, "started without"},
                                        {EPERM, "refused here"}};

    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        assert_int_equal(
            test_wait(test_fork(open_without_landlock, &refusals[i])), 0);
}

/* 0 when it is told so; mu_init() is no error, for other pools can be opened. */
static int open_a_pool(struct mu_task *task)
{
    struct mu_error err = {.text = ""};
    struct mu_pool *pool;

    (void)task;
    if (mu_init(NULL) != 0 ||
        mu_pool_open("processes:1", NULL, &pool, &err) != MU_EMODEL)
        return 1;
    return strstr(err.text, "a sandbox keeps") ? 0 : 2;
}

static void kept_files_keep_pools_away(void **state)
{
    static const char *const paths[] = {"/", NULL};
    const struct mu_pool_options read_only = {.sandbox = MU_SANDBOX_READ_ONLY};
    const struct mu_pool_options lists = {.read_paths = paths};

    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        expect(models[i], &read_only, open_a_pool, "", "done");
        expect(models[i], &lists, open_a_pool, "", "done");
    }
}

/* A fork copies them, used or not. First of all: a nursery keeps what it has. */
static void no_worker_has_what_nobody_needs(void **state)
{
    const struct mu_pool_options none = {.retries = 0};
    const struct mu_pool_options sandbox = {.sandbox = MU_SANDBOX_NO_NETWORK};

    (void)state;
    expect("processes:2", &none, count_libraries, "", "done");
    expect("processes:2", &sandbox, count_libraries, "", "returned 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_worker_has_what_nobody_needs),
        cmocka_unit_test(pure_refuses_what_is_not_computing),
        cmocka_unit_test(locks_that_name_their_holder_are_refused),
        cmocka_unit_test(pure_worker_is_pinned),
        cmocka_unit_test(no_network_refuses_sockets),
        cmocka_unit_test(task_after_a_look_is_refused_too),
#ifdef __x86_64__
        cmocka_unit_test(foreign_calls_are_refused),
#endif
        cmocka_unit_test(files_are_kept),
        cmocka_unit_test(read_only_names_what_it_refuses),
        cmocka_unit_test(requests_that_change_files_are_refused),
        cmocka_unit_test(requests_of_harmless_programs_are_made),
        cmocka_unit_test(queues_are_kept),
        cmocka_unit_test(pure_takes_no_path),
        cmocka_unit_test(missing_path_is_an_error_of_open),
        cmocka_unit_test(missing_landlock_is_told_from_a_refused_one),
        cmocka_unit_test(kept_files_keep_pools_away),
    };

    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
