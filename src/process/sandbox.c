/* sandbox.c: Landlock by its system calls, and the filters that go with it. */
#include "process/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "muster/pool.h"

#include "base/error.h"
#include "process/filter.h"
#include "process/path_list.h"
#include "process/refusal.h"
#include "sys/descriptor.h"

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
/* LANDLOCK_ACCESS_FS_REFER and _TRUNCATE, of kernels 5.19 and 6.2: not in every header.
 * What is not handled of the first is refused: to move a file to another directory. */
static const uint64_t refer_access = UINT64_C(1) << 13;
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

/* What a call for Landlock said. */
static const char *why_no_landlock(int error)
{
    switch (error) {
    case EOPNOTSUPP:
        return "the kernel was started without Landlock (its option lsm=)";
    case EPERM:
    case EACCES:
        return "Landlock is refused here, as by the filter of a container";
    default:
        return "this kernel has no Landlock";
    }
}

static int make_ruleset(const char *const *read_paths,
                        const char *const *write_paths, int *ret_fd,
                        struct mu_error *err)
{
    struct landlock_ruleset_attr attr = {.handled_access_fs = write_access};
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
                           LANDLOCK_CREATE_RULESET_VERSION);
    uint64_t newer = (version >= 2 ? refer_access : 0) |
                     (version >= 3 ? truncate_access : 0);
    int fd;
    int rc;

    if (version < 0)
        return mui_fail(err, MU_EMODEL, "sandbox: %s (%s)",
                        why_no_landlock(errno), mu_status_text(-errno));
    attr.handled_access_fs |= newer;
    if (read_paths)
        attr.handled_access_fs |= read_access;
    fd = mui_descriptor_above_stdio(
        (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0));
    if (fd < 0)
        return mui_fail(err, fd, "sandbox: landlock_create_ruleset");
    rc = add_paths(fd, read_paths, read_access, err);
    if (rc == 0)
        rc = add_paths(fd, write_paths, attr.handled_access_fs, err);
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int mui_sandbox_prepare(unsigned flags, const char *const *read_paths,
                        const char *const *write_paths,
                        struct mui_sandbox_files *ret_files,
                        struct mu_error *err)
{
    unsigned unknown;
    int rc;

    *ret_files = (struct mui_sandbox_files){-1, -1};
    unknown = flags &
              ~(MU_SANDBOX_PURE | MU_SANDBOX_READ_ONLY | MU_SANDBOX_NO_NETWORK);
    if (unknown)
        return mui_fail(err, -EINVAL, "sandbox: unknown flags 0x%x", unknown);
    if (!flags && !read_paths && !write_paths)
        return 0;
    if (mui_filter_load_ahead() < 0)
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

/* -- both -- */

static bool keeps_files;

int mui_sandbox_enter(struct mui_sandbox_files *files, unsigned flags)
{
    bool lists = files->list_fd >= 0;
    int rc = 0;

    keeps_files = files->ruleset_fd >= 0;
    if (flags || keeps_files) /* before its file may not be read */
        rc = mui_filter_load();
    if (rc == 0 && keeps_files)
        rc = restrict_files(files->ruleset_fd);
    if (!(flags & MU_SANDBOX_PURE)) { /* refuses what the others do, and more */
        if (rc == 0 && lists)
            rc = mui_refusal_begin(files->list_fd);
        if (rc == 0 && (keeps_files || flags & MU_SANDBOX_NO_NETWORK))
            rc = mui_filter_refuse(flags |
                                   (keeps_files ? MUI_SANDBOX_FILES : 0U));
    }
    mui_sandbox_close(files);
    return rc;
}

int mui_sandbox_enter_pure(unsigned flags)
{
    return flags & MU_SANDBOX_PURE ? mui_filter_refuse_all(flags) : 0;
}

bool mui_sandbox_keeps_files(void)
{
    return keeps_files;
}

int mui_sandbox_call_name(int number, char *text, size_t size)
{
    char *name = mui_filter_call_name(number);
    int length = name ? snprintf(text, size, "%s", name)
                      : snprintf(text, size, "system call %d", number);

    free(name);
    return length;
}
