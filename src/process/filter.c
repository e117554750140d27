/* filter.c: filters of seccomp, by libseccomp. */
#include "process/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "muster/pool.h"

#include "process/sandbox.h"
#include "sys/library.h"
#include "sys/module.h"

#define FUNCTIONS(F)                                                           \
    F(seccomp_init)                                                            \
    F(seccomp_reset)                                                           \
    F(seccomp_release)                                                         \
    F(seccomp_attr_set)                                                        \
    F(seccomp_rule_add)                                                        \
    F(seccomp_load)                                                            \
    F(seccomp_arch_native)                                                     \
    F(seccomp_syscall_resolve_num_arch)                                        \
    F(seccomp_notify_fd)                                                       \
    F(seccomp_notify_alloc)
MUI_LIBRARY(library, sc, MUSTER_SECCOMP, FUNCTIONS);

int mui_filter_load(void)
{
    return mui_library_load(&library);
}

int mui_filter_load_ahead(void)
{
    int rc = mui_library_load(&library);
    const void *address;
    uint64_t code;

    if (rc < 0)
        return rc;
    memcpy(&address, &sc.seccomp_init, sizeof address);
    (void)mui_module_encode(address, &code); /* or each worker loads it */
    return 0;
}

static int load_and_release(scmp_filter_ctx filter, int rc)
{
    if (rc == 0)
        rc = sc.seccomp_load(filter);
    sc.seccomp_release(filter);
    return rc < 0 ? rc : 0;
}

/* Calls by another ABI (int 0x80, x32), whose numbers mean something else: libseccomp
 * would end the thread alone, which does not tell why. */
static int refuse_foreign(scmp_filter_ctx filter)
{
    return sc.seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH,
                               SCMP_ACT_KILL_PROCESS);
}

/* -- all but computing -- */

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
    SCMP_SYS(sysinfo), /* qsort() of more than 1 KiB, before glibc 2.37 */
    SCMP_SYS(time),
    SCMP_SYS(uname),
    449, /* futex_waitv, not in every header: a worker waits for its threads */
};

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
    /* root can take memory from the machine by that and the next, also what others share */
    rc |= sc.seccomp_rule_add(filter, allow, SCMP_SYS(madvise), 1,
                              SCMP_A2(SCMP_CMP_LT, MADV_HWPOISON, 0));
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

int mui_filter_refuse_all(unsigned flags)
{
    scmp_filter_ctx filter = sc.seccomp_init(SCMP_ACT_TRAP);
    int rc;

    if (!filter)
        return -ENOMEM;
    rc = sc.seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    return load_and_release(filter, rc ? rc : allow_pure(filter, flags));
}

/* -- the network, and rings -- */

/* What a ring does is not in the arguments of a call; who uses one can do without. */
static int refuse_rings(scmp_filter_ctx filter)
{
    return refuse_foreign(filter) |
           sc.seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS),
                               SCMP_SYS(io_uring_setup), 0);
}

/* Sockets but those of this machine. */
static int refuse_network(scmp_filter_ctx filter)
{
    return sc.seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(socket), 1,
                               SCMP_A0(SCMP_CMP_NE, AF_UNIX, 0));
}

/* -- calls that write files, told by their arguments -- */

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
    rc |= trap_writing(filter, SCMP_SYS(open), 1);
    rc |= trap_writing(filter, SCMP_SYS(openat), 2);
    rc |= trap_writing(filter, SCMP_SYS(open_by_handle_at), 2);
    /* nor is what this does */
    rc |= sc.seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2),
                              0);
    return rc;
}

/* Message queues are no files below a path, and Landlock knows nothing of them. */
static int refuse_queues(scmp_filter_ctx filter)
{
    return sc.seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(mq_unlink), 0) |
           trap_writing(filter, SCMP_SYS(mq_open), 1);
}

/* -- requests of ioctl() -- */

/* A file that is open for reading can be changed by requests of its file system, which are
 * many, and new ones come: its flags, its version, a directory's subvolumes. So only these
 * can be made. They tell something, or change no more than the descriptor. */
static const uint32_t reading_requests[] = {
    FIOCLEX, FIONCLEX, FIONBIO, FIOASYNC, FIONREAD, FIOQSIZE,
    /* terminals; ends of pipes and sockets */
    TCGETS, 0x802c542a /* TCGETS2 */, TIOCGWINSZ, TIOCGPGRP, TIOCGSID, TIOCOUTQ,
    TIOCGPTN, TIOCGETD, TIOCGSOFTCAR, TIOCMGET, SIOCATMARK, SIOCGIFNAME,
    SIOCGIFCONF, SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFDSTADDR, SIOCGIFNETMASK,
    SIOCGIFBRDADDR, SIOCGIFMETRIC, SIOCGIFMTU, SIOCGIFHWADDR, SIOCGIFMAP,
    SIOCGIFTXQLEN, SIOCGIFINDEX,
    /* files */
    FIGETBSZ, FS_IOC_FIEMAP, FS_IOC_GETFLAGS, FS_IOC32_GETFLAGS,
    FS_IOC_GETVERSION, FS_IOC32_GETVERSION, FS_IOC_FSGETXATTR,
    FS_IOC_GETFSLABEL, 0x80111500 /* FS_IOC_GETFSUUID */,
    /* disks */
    BLKROGET, BLKGETSIZE, BLKGETSIZE64, BLKSSZGET, BLKPBSZGET, BLKIOMIN,
    BLKIOOPT, BLKALIGNOFF, BLKROTATIONAL};

/* Where some paths may be written, and attributes changed of all: also these. The first two
 * write to what is open for writing; the last are of terminals, which are no files. */
static const uint32_t writing_requests[] = {FICLONE,
                                            FICLONERANGE,
                                            FS_IOC_SETFLAGS,
                                            FS_IOC32_SETFLAGS,
                                            FS_IOC_FSSETXATTR,
                                            TCSETS,
                                            TCSETSW,
                                            TCSETSF,
                                            TCSBRK,
                                            TCXONC,
                                            TCFLSH,
                                            TIOCSWINSZ,
                                            TIOCSPGRP,
                                            TIOCSCTTY,
                                            TIOCNOTTY,
                                            TIOCSPTLCK,
                                            TIOCGPTPEER};

enum {
    N_READING = sizeof reading_requests / sizeof *reading_requests,
    N_WRITING = sizeof writing_requests / sizeof *writing_requests,
    N_REQUESTS = N_READING + N_WRITING
};

/* The kernel takes the lower half of the argument for the request. */
enum {
    LOW_HALF = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0,
    I_REQUEST = offsetof(struct seccomp_data, args[1]) + LOW_HALF
};

/* The rules of libseccomp say what is refused, or for all calls what is not. */
static int refuse_requests(unsigned flags)
{
    const unsigned n = flags & MUI_SANDBOX_NO_WRITING ? N_READING : N_REQUESTS;
    struct sock_filter code[4 + N_REQUESTS + 2];
    struct sock_fprog program = {.filter = code};
    unsigned at = 0;

    code[at++] = (struct sock_filter)BPF_STMT(
        BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                              SYS_ioctl, 1, 0);
    code[at++] =
        (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[at++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, I_REQUEST);
    for (unsigned i = 0; i < n; i++)
        code[at++] = (struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JEQ | BPF_K,
            i < N_READING ? reading_requests[i]
                          : writing_requests[i - N_READING],
            (uint8_t)(n - i), 0);
    code[at++] =
        (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    code[at++] =
        (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    program.len = (unsigned short)at;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0
               ? -errno
               : 0;
}

int mui_filter_refuse(unsigned flags)
{
    scmp_filter_ctx filter = sc.seccomp_init(SCMP_ACT_ALLOW);
    int rc;

    if (!filter)
        return -ENOMEM;
    rc = refuse_rings(filter);
    if (flags & MU_SANDBOX_NO_NETWORK)
        rc |= refuse_network(filter);
    if (flags & MUI_SANDBOX_FILES)
        rc |= refuse_queues(filter);
    if (flags & MUI_SANDBOX_NO_WRITING)
        rc |= refuse_writing(filter);
    rc = load_and_release(filter, rc);
    return rc == 0 && flags & MUI_SANDBOX_FILES ? refuse_requests(flags) : rc;
}

/* -- for others to look at -- */

/* The library keeps the descriptor for the process, and for more filters, as if each
 * could have it; before 2.5.1, which has no such reset, in the filter. */
static int take_from_library(int fd)
{
    int ours = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    if (ours < 0)
        ours = -errno;
    if (sc.seccomp_reset(NULL, 0) < 0)
        (void)close(fd);
    return ours;
}

int mui_filter_hold(const int *numbers, size_t n,
                    struct seccomp_notif **ret_request,
                    struct seccomp_notif_resp **ret_response)
{
    scmp_filter_ctx filter = sc.seccomp_init(SCMP_ACT_ALLOW);
    int rc;
    int fd;

    if (!filter)
        return -ENOMEM;
    rc = sc.seccomp_notify_alloc(ret_request, ret_response);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = sc.seccomp_rule_add(filter, SCMP_ACT_NOTIFY, numbers[i], 0);
    if (rc == 0)
        rc = sc.seccomp_load(filter);
    fd = rc == 0 ? sc.seccomp_notify_fd(filter) : rc;
    sc.seccomp_release(filter);
    return fd < 0 ? fd : take_from_library(fd);
}

char *mui_filter_call_name(int number)
{
    if (mui_library_load(&library) < 0)
        return NULL;
    return sc.seccomp_syscall_resolve_num_arch(sc.seccomp_arch_native(),
                                               number);
}
