/* refusal.c: a thread that is told of each system call that names a path.
 *
 *   task                          this thread
 *   openat() is held           -> receives it, looks where the path leads
 *                                 allowed: CONTINUE
 *   openat() goes on           <-
 *                                 not: SIGSYS to that thread, with the number of the
 *                                 call; then -EACCES as its result
 *   the handler ends the task  <-
 *
 * The signal is there before the result: the task does not run on between the two, unless
 * it blocks SIGSYS; then it ends by it as it returns (mui_crash_settle()). The
 * thread has no filter itself, being older, and Landlock holds it like the task. It has
 * descriptors of its own, where no task can close the one by which it is told: whatever
 * closed it, all later tasks of the worker would have ENOSYS for such calls. */
#include "process/refusal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <seccomp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "process/crash.h"
#include "process/filter.h"
#include "process/path_list.h"
#include "sys/futex.h"
#include "sys/thread.h"

enum { STACK_BYTES = 256 * 1024, NO_DIR = -1 };

enum kind {
    OPENS,     /* by flags */
    OPENS_HOW, /* by struct open_how */
    CREATES,   /* as open() does that makes and empties */
    RUNS,
    CUTS,    /* a file that is there */
    MAKES,   /* what is not there yet */
    REMOVES, /* what is there */
    LINKS,   /* the same from somewhere */
    RENAMES, /* and removes that */
    BINDS    /* a socket to a path */
};

/* Arguments that say where: a directory, or NO_DIR, and a path. */
struct place {
    int i_dir;
    int i_path;
};

static const struct call {
    int number;
    enum kind kind;
    struct place at;
    struct place from; /* of LINKS and RENAMES */
    int i_more;        /* flags, struct open_how, or a size */
} calls[] = {
    {SCMP_SYS(open), OPENS, .at = {NO_DIR, 0}, .i_more = 1},
    {SCMP_SYS(openat), OPENS, .at = {0, 1}, .i_more = 2},
    {SCMP_SYS(openat2), OPENS_HOW, .at = {0, 1}, .i_more = 2},
    {SCMP_SYS(creat), CREATES, .at = {NO_DIR, 0}},
    {SCMP_SYS(execve), RUNS, .at = {NO_DIR, 0}},
    {SCMP_SYS(execveat), RUNS, .at = {0, 1}},
    {SCMP_SYS(truncate), CUTS, .at = {NO_DIR, 0}},
    {SCMP_SYS(mkdir), MAKES, .at = {NO_DIR, 0}},
    {SCMP_SYS(mkdirat), MAKES, .at = {0, 1}},
    {SCMP_SYS(mknod), MAKES, .at = {NO_DIR, 0}},
    {SCMP_SYS(mknodat), MAKES, .at = {0, 1}},
    {SCMP_SYS(symlink), MAKES, .at = {NO_DIR, 1}},
    {SCMP_SYS(symlinkat), MAKES, .at = {1, 2}},
    {SCMP_SYS(rmdir), REMOVES, .at = {NO_DIR, 0}},
    {SCMP_SYS(unlink), REMOVES, .at = {NO_DIR, 0}},
    {SCMP_SYS(unlinkat), REMOVES, .at = {0, 1}},
    {SCMP_SYS(link), LINKS, .at = {NO_DIR, 1}, .from = {NO_DIR, 0}},
    {SCMP_SYS(linkat), LINKS, .at = {2, 3}, .from = {0, 1}},
    {SCMP_SYS(rename), RENAMES, .at = {NO_DIR, 1}, .from = {NO_DIR, 0}},
    {SCMP_SYS(renameat), RENAMES, .at = {2, 3}, .from = {0, 1}},
    {SCMP_SYS(renameat2), RENAMES, .at = {2, 3}, .from = {0, 1}},
    {SCMP_SYS(bind), BINDS, .at = {NO_DIR, 1}, .i_more = 2},
};

enum { N_CALLS = sizeof calls / sizeof *calls };

enum { NOT_YET = -1, NEVER = -2, TAKEN = -3 };

static struct {
    /* futex: NOT_YET, then NEVER or what the thread is to take, then TAKEN */
    _Atomic int notify_fd;
    int rc; /* of taking; by notify_fd */
    struct mui_path_list list;
    struct seccomp_notif *request;
    struct seccomp_notif_resp *response;
} the;

/* -- the arguments, in memory that the task can change, protect and unmap -- */

static bool read_bytes(uint64_t address, void *bytes, size_t size)
{
    const struct iovec here = {bytes, size};
    const struct iovec there = {(void *)(uintptr_t)address, size};

    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == (ssize_t)size;
}

/* By pages: the next one need not be there. False: that is no path. */
static bool read_path(uint64_t address, char *path)
{
    enum { PAGE = 4096 };

    for (size_t n = 0; n < PATH_MAX;) {
        size_t size = PAGE - (address + n) % PAGE;

        size = size < PATH_MAX - n ? size : PATH_MAX - n;
        if (!read_bytes(address + n, path + n, size))
            return false;
        if (memchr(path + n, '\0', size))
            return true;
        n += size;
    }
    return false;
}

/* False: not the address of a socket that has a path. */
static bool read_socket_path(uint64_t address, uint64_t size, char *path)
{
    enum { HEAD = offsetof(struct sockaddr_un, sun_path) };
    struct sockaddr_un name = {.sun_family = AF_UNSPEC};

    size = size < sizeof name ? size : sizeof name;
    if (size <= HEAD || !read_bytes(address, &name, size))
        return false;
    memcpy(path, name.sun_path, sizeof name.sun_path);
    path[size - HEAD] = '\0';
    return name.sun_family == AF_UNIX && path[0] != '\0';
}

/* -- the verdict -- */

/* What the kernel says before it asks Landlock, as that there is no such file, is no
 * refusal: programs ask for files that may be missing, and make what may be there. */

struct where {
    int dir_fd; /* ours, or AT_FDCWD; else no path has been read */
    char path[PATH_MAX + 1];
};

/* A descriptor of the thread that calls, as one of ours, given; or below 0. */
static int copy_dir(uint32_t tid, int fd)
{
    char link[64];

    (void)snprintf(link, sizeof link, "/proc/self/task/%u/fd/%d", tid, fd);
    return mui_path_open(AT_FDCWD, link, 0);
}

static bool read_where(const struct place *place, uint32_t tid,
                       const uint64_t *args, struct where *ret)
{
    int dir_fd = place->i_dir < 0 ? AT_FDCWD : (int)args[place->i_dir];

    ret->dir_fd = AT_FDCWD;
    if (!read_path(args[place->i_path], ret->path))
        return false;
    if (dir_fd != AT_FDCWD && ret->path[0] != '/')
        ret->dir_fd = copy_dir(tid, dir_fd);
    return ret->dir_fd == AT_FDCWD || ret->dir_fd >= 0;
}

static void forget_where(const struct where *w)
{
    if (w->dir_fd >= 0)
        mui_path_close(w->dir_fd);
}

static bool exists(const struct where *w)
{
    struct stat st;

    return fstatat(w->dir_fd, w->path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool refuses_file(const struct where *w, unsigned need, bool follow)
{
    return mui_path_list_refuses(&the.list, w->dir_fd, w->path, need, follow);
}

static bool refuses_entry(const struct where *w, unsigned need)
{
    return mui_path_list_refuses_entry(&the.list, w->dir_fd, w->path,
                                       need | MUI_PATH_WRITE);
}

static bool refuses_to_open(const struct where *w, uint64_t flags)
{
    unsigned need = 0;

    if (flags & O_PATH)
        return false;
    if ((flags & O_ACCMODE) != O_WRONLY)
        need |= MUI_PATH_READ;
    if ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC)
        need |= MUI_PATH_WRITE;
    if (flags & O_CREAT && !exists(w))
        return refuses_entry(w, need);
    if (flags & O_CREAT && flags & O_EXCL)
        return false;
    return refuses_file(w, need, !(flags & O_NOFOLLOW));
}

/* `from`: of calls that link and rename; else NULL */
static bool refuses_there(const struct call *call, const uint64_t *args,
                          const struct where *at, const struct where *from)
{
    struct open_how how = {.flags = O_PATH};

    switch (call->kind) {
    case OPENS:
        return refuses_to_open(at, args[call->i_more]);
    case OPENS_HOW:
        (void)read_bytes(args[call->i_more], &how.flags, sizeof how.flags);
        return refuses_to_open(at, how.flags);
    case CREATES:
        return refuses_to_open(at, O_CREAT | O_WRONLY | O_TRUNC);
    case RUNS:
        return refuses_file(at, MUI_PATH_READ, true);
    case CUTS:
        return refuses_file(at, MUI_PATH_WRITE, true);
    case MAKES:
    case BINDS:
        return !exists(at) && refuses_entry(at, 0);
    case LINKS:
        return exists(from) && !exists(at) && refuses_entry(at, 0);
    case REMOVES:
        return exists(at) && refuses_entry(at, 0);
    case RENAMES:
        return exists(from) && (refuses_entry(from, 0) || refuses_entry(at, 0));
    }
    return false;
}

static bool refuses_call(const struct call *call, uint32_t tid,
                         const uint64_t *args)
{
    struct where from;
    struct where at;
    bool refuses;

    from.dir_fd = AT_FDCWD;
    at.dir_fd = AT_FDCWD;
    if (call->kind == BINDS)
        refuses = read_socket_path(args[call->at.i_path], args[call->i_more],
                                   at.path);
    else
        refuses = read_where(&call->at, tid, args, &at);
    if (call->kind == LINKS || call->kind == RENAMES)
        refuses = refuses && read_where(&call->from, tid, args, &from);
    refuses = refuses && refuses_there(call, args, &at, &from);
    forget_where(&from);
    forget_where(&at);
    return refuses;
}

static bool refuses(const struct seccomp_notif *request)
{
    uint64_t args[6];
    size_t i = 0;

    memcpy(args, request->data.args, sizeof args);
    while (i < N_CALLS && calls[i].number != request->data.nr)
        i++;
    return i < N_CALLS && refuses_call(&calls[i], request->pid, args);
}

/* -- the thread -- */

/* Of ours, not of a child. */
static bool is_thread(uint32_t tid)
{
    return syscall(SYS_tgkill, getpid(), tid, 0) == 0;
}

static void answer(const struct seccomp_notif *request,
                   struct seccomp_notif_resp *response)
{
    *response = (struct seccomp_notif_resp){
        .id = request->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    if (!is_thread(request->pid) || !refuses(request))
        return;
    mui_crash_refuse((pid_t)request->pid, request->data.nr);
    response->flags = 0;
    response->error = -EACCES;
}

/* How it is once it is not `was` any more. */
static int await_other(int was)
{
    int now;

    /* acquire, pairs with tell_other() */
    while ((now = atomic_load_explicit(&the.notify_fd, memory_order_acquire)) ==
           was)
        (void)mui_futex_wait((_Atomic uint32_t *)&the.notify_fd, (uint32_t)was,
                             0, MU_NEVER);
    return now;
}

static void tell_other(int now)
{
    /* release, pairs with await_other(): what it works with is there */
    atomic_store_explicit(&the.notify_fd, now, memory_order_release);
    mui_futex_wake((_Atomic uint32_t *)&the.notify_fd, 1, 0);
}

/* Have descriptors of our own, and of all only this one. 0 or -errno. */
static int take_alone(int fd)
{
    if (syscall(SYS_close_range, fd + 1, ~0U, CLOSE_RANGE_UNSHARE) < 0)
        return -errno;
    if (fd > 0)
        (void)syscall(SYS_close_range, 0, fd - 1, 0);
    return 0;
}

/* ioctl(), as mui_path_open() is open(). */
static int request(int fd, unsigned long what, void *arg)
{
    return (int)syscall(SYS_ioctl, fd, what, arg);
}

static void *listen_to_calls(void *arg)
{
    int fd = await_other(NOT_YET);

    (void)arg;
    if (fd == NEVER)
        return NULL;
    the.rc = take_alone(fd);
    tell_other(TAKEN);
    while (the.rc == 0) {
        memset(the.request, 0, sizeof *the.request);
        if (request(fd, SECCOMP_IOCTL_NOTIF_RECV, the.request) == 0) {
            answer(the.request, the.response);
            (void)request(fd, SECCOMP_IOCTL_NOTIF_SEND, the.response);
        } else if (errno != EINTR && errno != ENOENT) {
            break; /* with the thread its descriptors end: ENOSYS */
        }
    }
    return NULL;
}

/* -- the filter -- */

/* Both then take turns on one CPU, instead of waking another each time: Linux 6.6. */
static void wake_on_this_cpu(int fd)
{
    const uint64_t sync_wake_up = 1;

    (void)ioctl(fd, _IOW('!', 4, uint64_t), sync_wake_up);
}

/* The descriptor that tells of held calls, or -errno. */
static int hold_calls(void)
{
    int numbers[N_CALLS];

    for (size_t i = 0; i < N_CALLS; i++)
        numbers[i] = calls[i].number;
    return mui_filter_hold(numbers, N_CALLS, &the.request, &the.response);
}

int mui_refusal_begin(int list_fd)
{
    pthread_t thread;
    int fd;
    int rc;

    /* relaxed: nobody listens yet */
    atomic_store_explicit(&the.notify_fd, NOT_YET, memory_order_relaxed);
    rc = mui_path_list_load(list_fd, &the.list);
    if (rc < 0)
        return rc;
    rc = mui_thread_start_stack(&thread, "muster-paths", listen_to_calls, NULL,
                                STACK_BYTES);
    if (rc < 0)
        return rc;
    fd = hold_calls();
    if (fd < 0) {
        tell_other(NEVER);
        (void)pthread_join(thread, NULL);
        return 0;
    }
    wake_on_this_cpu(fd);
    tell_other(fd);
    (void)await_other(fd);
    (void)close(fd);
    return the.rc;
}
