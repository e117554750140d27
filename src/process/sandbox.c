/* sandbox.c: seccomp by libseccomp, Landlock by its system calls. */
#include "process/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "muster/pool.h"

#include "base/error.h"
#include "process/path_list.h"
#include "process/refusal.h"
#include "sys/library.h"
#include "sys/module.h"

#define FUNCTIONS(F)                                                           \
    F(seccomp_init)                                                            \
    F(seccomp_release)                                                         \
    F(seccomp_attr_set)                                                        \
    F(seccomp_rule_add)                                                        \
    F(seccomp_load)                                                            \
    F(seccomp_arch_native)                                                     \
    F(seccomp_syscall_resolve_num_arch)
MUI_LIBRARY(library, sc, MUSTER_SECCOMP, FUNCTIONS);

/* Beside MU_SANDBOX_... and MUI_SANDBOX_NO_WRITING. */
#define MUI_SANDBOX_LISTS 0x40000000u

/* -- files: Landlock -- */

static const uint64_t read_access = LANDLOCK_ACCESS_FS_EXECUTE |
                                    LANDLOCK_ACCESS_FS_READ_FILE |
                                    LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t write_access =
    LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
    LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
/* LANDLOCK_ACCESS_FS_TRUNCATE, of kernel 6.2: not in every header */
static const uint64_t truncate_access = UINT64_C(1) << 14;
/* what can be allowed for a file that is no directory */
static const uint64_t file_access =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |
    LANDLOCK_ACCESS_FS_WRITE_FILE | UINT64_C(1) << 14;

static int add_path(int ruleset, const char *path, uint64_t access,
                    struct mu_error *err)
{
    struct landlock_path_beneath_attr rule;
    struct stat st;
    int rc = 0;
    int fd = open(path, O_PATH | O_CLOEXEC);

    if (fd < 0)
        return mui_fail(err, -errno, "sandbox: %s", path);
    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
        access &= file_access;
    rule = (struct landlock_path_beneath_attr){.allowed_access = access,
                                               .parent_fd = fd};
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
                &rule, 0) < 0)
        rc = mui_fail(err, -errno, "sandbox: rule for %s", path);
    (void)close(fd);
    return rc;
}

static int add_paths(int ruleset, const char *const *paths, uint64_t access,
                     struct mu_error *err)
{
    int rc = 0;

    for (size_t i = 0; paths && paths[i] && rc == 0; i++)
        rc = add_path(ruleset, paths[i], access, err);
    return rc;
}

static int make_ruleset(const char *const *read_paths,
                        const char *const *write_paths, int *ret_fd,
                        struct mu_error *err)
{
    struct landlock_ruleset_attr attr = {.handled_access_fs = write_access};
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
                           LANDLOCK_CREATE_RULESET_VERSION);
    uint64_t truncation = version >= 3 ? truncate_access : 0;
    int fd;
    int rc;

    if (version < 0)
        return mui_fail(err, MU_EMODEL,
                        "sandbox: this kernel has no Landlock (%s)",
                        mu_status_text(-errno));
    attr.handled_access_fs |= truncation;
    if (read_paths)
        attr.handled_access_fs |= read_access;
    fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (fd < 0)
        return mui_fail(err, -errno, "sandbox: landlock_create_ruleset");
    rc = add_paths(fd, read_paths, read_access, err);
    if (rc == 0)
        rc = add_paths(fd, write_paths,
                       attr.handled_access_fs &
                           (write_access | truncation | read_access),
                       err);
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

/* Also in the nursery, before it forks: a worker has it then. */
static int load_ahead(void)
{
    int rc = mui_library_load(&library);
    const void *address;
    uint64_t code;

    if (rc < 0)
        return rc;
    memcpy(&address, &sc.seccomp_init, sizeof address);
    (void)mui_module_encode(address, &code); /* or each loads it */
    return 0;
}

int mui_sandbox_prepare(unsigned flags, const char *const *read_paths,
                        const char *const *write_paths,
                        struct mui_sandbox_files *ret_files,
                        struct mu_error *err)
{
    int rc;

    *ret_files = (struct mui_sandbox_files){-1, -1};
    if (flags &
        ~(MU_SANDBOX_PURE | MU_SANDBOX_READ_ONLY | MU_SANDBOX_NO_NETWORK))
        return mui_fail(err, -EINVAL,
                        "sandbox: flags 0x%x beside MU_SANDBOX_...", flags);
    if (!flags && !read_paths && !write_paths)
        return 0;
    if (load_ahead() < 0)
        return mui_fail(err, MU_EMODEL,
                        "sandbox: it takes %s, which is not here",
                        MUSTER_SECCOMP);
    if (!(flags & MU_SANDBOX_READ_ONLY) && !read_paths && !write_paths)
        return 0;
    rc = make_ruleset(read_paths, write_paths, &ret_files->ruleset_fd, err);
    if (rc < 0 || (!read_paths && !write_paths))
        return rc;
    ret_files->list_fd = mui_path_list_make(read_paths, write_paths, err);
    if (ret_files->list_fd >= 0)
        return 0;
    rc = ret_files->list_fd;
    mui_sandbox_close(ret_files);
    return rc;
}

void mui_sandbox_close(struct mui_sandbox_files *files)
{
    if (files->ruleset_fd >= 0)
        (void)close(files->ruleset_fd);
    if (files->list_fd >= 0)
        (void)close(files->list_fd);
    *files = (struct mui_sandbox_files){-1, -1};
}

static int restrict_files(int ruleset_fd)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        syscall(SYS_landlock_restrict_self, ruleset_fd, 0) < 0)
        return -errno;
    return 0;
}

/* -- system calls: seccomp -- */

/* What a computation needs of the kernel, besides what is allowed by argument:
 * memory, time, waiting, its end. None opens, creates, sends or changes anything
 * that outlives it. */
static const int pure_calls[] = {
    SCMP_SYS(brk),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(close),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(futex),
    SCMP_SYS(getcpu),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(getrandom),
    SCMP_SYS(gettid),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(madvise),
    SCMP_SYS(mprotect),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    SCMP_SYS(nanosleep),
    SCMP_SYS(pause),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(time),
    SCMP_SYS(uname),
    449, /* futex_waitv, not in every header: a worker waits for its threads */
};

/* Calls by another ABI (int 0x80, x32), whose numbers mean something else: libseccomp
 * would end the thread alone, which does not tell why. */
static int refuse_foreign(scmp_filter_ctx filter)
{
    return sc.seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH,
                               SCMP_ACT_KILL_PROCESS);
}

static int allow_pure(scmp_filter_ctx filter, unsigned flags)
{
    const uint32_t allow = SCMP_ACT_ALLOW;
    int rc = refuse_foreign(filter);

    for (size_t i = 0; i < sizeof pure_calls / sizeof *pure_calls; i++)
        rc |= sc.seccomp_rule_add(filter, allow, pure_calls[i], 0);
    /* memory without a file */
    rc |= sc.seccomp_rule_add(
        filter, allow, SCMP_SYS(mmap), 1,
        SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
    /* what is printed, to where the host prints */
    rc |= sc.seccomp_rule_add(filter, allow, SCMP_SYS(write), 1,
                              SCMP_A0(SCMP_CMP_LE, 2, 0));
    rc |= sc.seccomp_rule_add(filter, allow, SCMP_SYS(writev), 1,
                              SCMP_A0(SCMP_CMP_LE, 2, 0));
    /* ringing the bell, which has no other address to send to */
    rc |= sc.seccomp_rule_add(filter, allow, SCMP_SYS(sendto), 1,
                              SCMP_A4(SCMP_CMP_EQ, 0, 0));
    rc |= sc.seccomp_rule_add(filter, allow, SCMP_SYS(fstat), 0);
    rc |= sc.seccomp_rule_add(
        filter, allow, SCMP_SYS(newfstatat), 1,
        SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
    /* abort() and raise(): ourselves only */
    rc |= sc.seccomp_rule_add(filter, allow, SCMP_SYS(tgkill), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
    /* reading limits; renewing our own of CPU time; reading how much memory is used:
     * there is no other file open */
    rc |= sc.seccomp_rule_add(filter, allow, SCMP_SYS(prlimit64), 1,
                              SCMP_A2(SCMP_CMP_EQ, 0, 0));
    rc |= sc.seccomp_rule_add(filter, allow, SCMP_SYS(prlimit64), 2,
                              SCMP_A0(SCMP_CMP_EQ, 0, 0),
                              SCMP_A1(SCMP_CMP_EQ, RLIMIT_CPU, 0));
    rc |= sc.seccomp_rule_add(filter, allow, SCMP_SYS(pread64), 0);
    if (flags & MUI_SANDBOX_MOVES)
        rc |= sc.seccomp_rule_add(filter, allow, SCMP_SYS(sched_setaffinity), 1,
                                  SCMP_A0(SCMP_CMP_EQ, 0, 0));
    return rc;
}

/* What a ring does is not in the arguments of a call; who uses one can do without. */
static int refuse_rings(scmp_filter_ctx filter)
{
    return refuse_foreign(filter) |
           sc.seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS),
                               SCMP_SYS(io_uring_setup), 0);
}

/* Sockets but those of this machine, also by a ring. */
static int refuse_network(scmp_filter_ctx filter)
{
    return sc.seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(socket), 1,
                               SCMP_A0(SCMP_CMP_NE, AF_UNIX, 0)) |
           refuse_rings(filter);
}

/* -- system calls that write files, told by their arguments -- */

/* What makes, removes or changes a file, whatever the arguments. Landlock keeps the
 * first half of it too, but names nothing, and knows nothing of the second. */
static const int changing_calls[] = {
    SCMP_SYS(creat),
    SCMP_SYS(link),
    SCMP_SYS(linkat),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(rmdir),
    SCMP_SYS(symlink),
    SCMP_SYS(symlinkat),
    SCMP_SYS(truncate),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),

    SCMP_SYS(chmod),
    SCMP_SYS(chown),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(fchown),
    SCMP_SYS(fchownat),
    SCMP_SYS(fremovexattr),
    SCMP_SYS(fsetxattr),
    SCMP_SYS(futimesat),
    SCMP_SYS(lchown),
    SCMP_SYS(lremovexattr),
    SCMP_SYS(lsetxattr),
    SCMP_SYS(removexattr),
    SCMP_SYS(setxattr),
    SCMP_SYS(utime),
    SCMP_SYS(utimensat),
    SCMP_SYS(utimes),
    452, /* fchmodat2, setxattrat, removexattrat, file_setattr: younger than */
    463, /* the headers */
    466,
    469,
};

/* Requests of ioctl() that change a file which is open for reading: its flags, version
 * and project; verity; encryption of a directory (FS_IOC_SET_ENCRYPTION_POLICY). */
static const uint32_t changing_requests[] = {
    FS_IOC_SETFLAGS,     FS_IOC32_SETFLAGS, FS_IOC_SETVERSION,
    FS_IOC32_SETVERSION, FS_IOC_FSSETXATTR, 0x40806685 /* verity */,
    0x800c6613,
};

/* One whose flags, argument `i_flags`, ask for more than reading. */
static int trap_writing(scmp_filter_ctx filter, int call, unsigned i_flags)
{
    static const unsigned writing[] = {O_WRONLY, O_RDWR, O_CREAT, O_TRUNC};
    int rc = 0;

    for (size_t i = 0; i < sizeof writing / sizeof *writing; i++)
        rc |= sc.seccomp_rule_add(
            filter, SCMP_ACT_TRAP, call, 1,
            SCMP_CMP(i_flags, SCMP_CMP_MASKED_EQ, writing[i], writing[i]));
    return rc;
}

static int refuse_writing(scmp_filter_ctx filter)
{
    int rc = 0;

    for (size_t i = 0; i < sizeof changing_calls / sizeof *changing_calls; i++)
        rc |= sc.seccomp_rule_add(filter, SCMP_ACT_TRAP, changing_calls[i], 0);
    for (size_t i = 0; i < sizeof changing_requests / sizeof *changing_requests;
         i++)
        rc |= sc.seccomp_rule_add(
            filter, SCMP_ACT_TRAP, SCMP_SYS(ioctl), 1,
            SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, changing_requests[i]));
    rc |= trap_writing(filter, SCMP_SYS(open), 1);
    rc |= trap_writing(filter, SCMP_SYS(openat), 2);
    rc |= trap_writing(filter, SCMP_SYS(open_by_handle_at), 2);
    /* nor is what this does */
    rc |= sc.seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2),
                              0);
    return rc | refuse_rings(filter);
}

static int load_and_release(scmp_filter_ctx filter, int rc)
{
    if (rc == 0)
        rc = sc.seccomp_load(filter);
    sc.seccomp_release(filter);
    return rc < 0 ? rc : 0;
}

/* A trap, not a kill: the handler names the call and where it came from. */
static int refuse_calls(unsigned flags)
{
    scmp_filter_ctx filter = sc.seccomp_init(SCMP_ACT_ALLOW);
    int rc = 0;

    if (!filter)
        return -ENOMEM;
    if (flags & MU_SANDBOX_NO_NETWORK)
        rc |= refuse_network(filter);
    if (flags & MUI_SANDBOX_NO_WRITING)
        rc |= refuse_writing(filter);
    else if (flags & MUI_SANDBOX_LISTS)
        rc |= refuse_rings(filter);
    return load_and_release(filter, rc);
}

int mui_sandbox_enter(struct mui_sandbox_files *files, unsigned flags)
{
    int rc = 0;

    if (flags || files->ruleset_fd >= 0) /* before its file may not be read */
        rc = mui_library_load(&library);
    if (rc == 0 && files->ruleset_fd >= 0)
        rc = restrict_files(files->ruleset_fd);
    if (files->list_fd >= 0)
        flags |= MUI_SANDBOX_LISTS;
    if (flags & MU_SANDBOX_PURE) /* refuses what the others do, and more */
        flags = 0;
    if (rc == 0 && flags & (MU_SANDBOX_NO_NETWORK | MUI_SANDBOX_NO_WRITING |
                            MUI_SANDBOX_LISTS))
        rc = refuse_calls(flags);
    if (rc == 0 && flags & MUI_SANDBOX_LISTS)
        rc = mui_refusal_begin(files->list_fd);
    mui_sandbox_close(files);
    return rc;
}

int mui_sandbox_enter_pure(unsigned flags)
{
    scmp_filter_ctx filter;
    int rc;

    if (!(flags & MU_SANDBOX_PURE))
        return 0;
    filter = sc.seccomp_init(SCMP_ACT_TRAP);
    if (!filter)
        return -ENOMEM;
    rc = sc.seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    return load_and_release(filter, rc ? rc : allow_pure(filter, flags));
}

int mui_sandbox_call_name(int number, char *text, size_t size)
{
    char *name = NULL;
    int length;

    if (mui_library_load(&library) == 0)
        name = sc.seccomp_syscall_resolve_num_arch(sc.seccomp_arch_native(),
                                                   number);
    length = name ? snprintf(text, size, "%s", name)
                  : snprintf(text, size, "system call %d", number);
    free(name);
    return length;
}
