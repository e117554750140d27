/* path_list.c: rules by device and inode, and the way up. */
#include "process/path_list.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "sys/descriptor.h"
#include "sys/memfd.h"

/* The first is of no file: what the lists restrict at all. */
struct mui_path_rule {
    uint64_t device;
    uint64_t inode;
    uint64_t may; /* MUI_PATH_... */
};

/* -- making -- */

static uint64_t count(const char *const *paths)
{
    uint64_t n = 0;

    while (paths && paths[n])
        n++;
    return n;
}

static int add_rules(const char *const *paths, uint64_t may,
                     struct mui_path_rule *rules, struct mu_error *err)
{
    struct stat st;

    for (uint64_t i = 0; paths && paths[i]; i++) {
        if (stat(paths[i], &st) < 0)
            return mui_fail(err, -errno, "sandbox: %s", paths[i]);
        rules[i] = (struct mui_path_rule){st.st_dev, st.st_ino, may};
    }
    return 0;
}

int mui_path_list_make(const char *const *read_paths,
                       const char *const *write_paths, struct mu_error *err)
{
    const uint64_t n_read = count(read_paths);
    const uint64_t n = 1 + n_read + count(write_paths);
    const size_t bytes = n * sizeof(struct mui_path_rule);
    struct mui_path_rule *rules = calloc(n, sizeof *rules);
    int fd = -ENOMEM;
    int rc;

    if (!rules)
        return mui_fail(err, -ENOMEM, "sandbox: lists of paths");
    rules[0].may = MUI_PATH_WRITE | (read_paths ? MUI_PATH_READ : 0U);
    rc = add_rules(read_paths, MUI_PATH_READ, rules + 1, err);
    if (rc == 0)
        rc = add_rules(write_paths, MUI_PATH_READ | MUI_PATH_WRITE,
                       rules + 1 + n_read, err);
    if (rc == 0) {
        fd = mui_memfd_open("muster-paths", bytes);
        rc = fd;
        if (fd >= 0 && pwrite(fd, rules, bytes, 0) != (ssize_t)bytes) {
            rc = -errno;
            (void)close(fd);
        }
        if (rc < 0)
            (void)mui_fail(err, rc, "sandbox: lists of paths");
    }
    free(rules);
    return rc < 0 ? rc : fd;
}

int mui_path_list_load(int fd, struct mui_path_list *ret_list)
{
    struct stat st;
    struct mui_path_rule *rules;

    if (fstat(fd, &st) < 0)
        return -errno;
    rules = malloc((size_t)st.st_size);
    if (!rules)
        return -ENOMEM;
    if (pread(fd, rules, (size_t)st.st_size, 0) != st.st_size) {
        free(rules);
        return -EIO;
    }
    *ret_list = (struct mui_path_list){rules, (uint64_t)st.st_size /
                                                  sizeof(struct mui_path_rule)};
    return 0;
}

/* -- asking -- */

static uint64_t rights_of(const struct mui_path_list *list,
                          const struct stat *st)
{
    uint64_t may = 0;

    for (uint64_t i = 1; i < list->n_rules; i++)
        if (list->rules[i].device == st->st_dev &&
            list->rules[i].inode == st->st_ino)
            may |= list->rules[i].may;
    return may;
}

int mui_path_open(int dir_fd, const char *path, int flags)
{
    return (int)syscall(SYS_openat, dir_fd, path, O_PATH | O_CLOEXEC | flags,
                        0);
}

void mui_path_close(int fd)
{
    (void)syscall(SYS_close, fd);
}

/* Cuts the last name off an absolute path. False: it was the root. */
static bool go_up(char *path)
{
    char *slash = strrchr(path, '/');

    if (!slash || strcmp(path, "/") == 0)
        return false;
    slash[slash == path] = '\0';
    return true;
}

/* Of what is open as `fd`. Where no name leads to it, as to a pipe or to what was
 * removed, the kernel decides, and is not second-guessed. */
static bool refuses_open(const struct mui_path_list *list, int fd,
                         uint64_t need)
{
    const struct mui_descriptor_path link = mui_descriptor_path(fd);
    char path[PATH_MAX];
    struct stat st;
    ssize_t length;

    need &= list->rules[0].may;
    length = readlink(link.text, path, sizeof path - 1);
    if (length <= 0 || path[0] != '/' ||
        fstatat(fd, "", &st, AT_EMPTY_PATH) < 0 || st.st_nlink == 0 ||
        S_ISLNK(st.st_mode))
        return false;
    path[length] = '\0';
    do {
        if (stat(path, &st) < 0)
            return false;
        need &= ~rights_of(list, &st);
    } while (need && go_up(path));
    return need != 0;
}

bool mui_path_list_refuses(const struct mui_path_list *list, int dir_fd,
                           const char *path, unsigned need, bool follow)
{
    int fd = mui_path_open(dir_fd, path, follow ? 0 : O_NOFOLLOW);
    bool refuses;

    if (fd < 0)
        return false;
    refuses = refuses_open(list, fd, need);
    mui_path_close(fd);
    return refuses;
}

bool mui_path_list_refuses_entry(const struct mui_path_list *list, int dir_fd,
                                 const char *path, unsigned need)
{
    char parent[PATH_MAX];
    size_t length = strlen(path);

    if (length == 0 || length >= sizeof parent)
        return false;
    memcpy(parent, path, length + 1);
    while (length > 1 && parent[length - 1] == '/')
        parent[--length] = '\0';
    while (length > 0 && parent[length - 1] != '/')
        length--;
    parent[length] = '\0';
    return mui_path_list_refuses(list, dir_fd, length ? parent : ".", need,
                                 true);
}
