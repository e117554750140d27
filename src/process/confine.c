/* confine.c: control groups of worker processes, v1 and v2: see cgroups(7). */
#include "process/confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/cgroup.h"
#include "sys/descriptor.h"

/* What a group may be too little for: the kernel's own memory for its processes. */
enum { SLACK_BYTES = 16 << 20, PATH = MUI_CGROUP_PATH + 64, TRIES = 16 };

static const char *const controllers[MUI_N_CONFINE_KINDS] = {
    [MUI_CONFINE_MEMORY] = "memory",
    [MUI_CONFINE_PROCESSES] = "pids",
};

static const char prefix[] = "muster-";

/* Set by the guardian, inherited by nursery and workers. */
static struct {
    int version;                 /* 0: no groups of this kind */
    char place[MUI_CGROUP_PATH]; /* where `base` is made */
    char base[PATH];
} kinds[MUI_N_CONFINE_KINDS];

/* Nursery. At first too: those of the workers that died with the nursery before it. */
static bool has_leftovers = true;

/* worker: of the group for processes */
static int max_fd = -1;
static int current_fd = -1;
static int events_fd = -1;
static struct mui_descriptor_mark events_mark;
static _Thread_local uint64_t n_struck; /* as this thread knows it */

/* -- files of a group -- */

static int open_file(const char *dir, const char *name, int flags)
{
    char path[PATH + 64];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int write_number(int fd, uint64_t number)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%" PRIu64, number);

    return pwrite(fd, text, (size_t)length, 0) == length ? 0 : -errno;
}

static int write_file(const char *dir, const char *name, const char *text)
{
    int fd = open_file(dir, name, O_WRONLY);
    int rc;

    if (fd < 0)
        return fd;
    rc = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    (void)close(fd);
    return rc;
}

static int write_limit(const char *dir, const char *name, uint64_t number)
{
    int fd = open_file(dir, name, O_WRONLY);
    int rc = fd < 0 ? fd : write_number(fd, number);

    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* The number in a line "KEY NUMBER", or the only number when `key` is "". 0: there is
 * none. Signal-safe. */
static uint64_t read_number(int fd, const char *key)
{
    char text[1024];
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    const char *at = text;
    size_t key_length = strlen(key);

    if (length <= 0)
        return 0;
    text[length] = '\0';
    while (at && strncmp(at, key, key_length) != 0) {
        at = strchr(at, '\n');
        at += at != NULL;
    }
    return at ? strtoull(at + key_length, NULL, 10) : 0;
}

/* -- places -- */

static bool is_writable(const struct mui_cgroup *group)
{
    char path[PATH];

    (void)snprintf(path, sizeof path, "%s/cgroup.procs", group->dir);
    return access(group->dir, W_OK) == 0 && access(path, W_OK) == 0;
}

/* Whether the groups below get this controller. */
static bool shares_out(const char *dir, const char *controller)
{
    char text[512];
    char *rest = text;
    const char *word;
    int fd = open_file(dir, "cgroup.subtree_control", O_RDONLY);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        (void)close(fd);
    text[length > 0 ? length : 0] = '\0';
    while ((word = strsep(&rest, " \n")) != NULL)
        if (strcmp(word, controller) == 0)
            return true;
    return false;
}

/* 0 or -ENOENT. */
static int find_place(const char *root, const char *controller,
                      struct mui_cgroup *ret)
{
    if (mui_cgroup_find(root, controller, 1, ret) == 0)
        return is_writable(ret) ? 0 : -ENOENT;
    if (mui_cgroup_find(root, controller, 2, ret) < 0)
        return -ENOENT;
    /* our own group cannot share out what it uses itself: go up */
    while (!shares_out(ret->dir, controller) || !is_writable(ret))
        if (mui_cgroup_up(ret) < 0)
            return -ENOENT;
    return 0;
}

bool mui_confine_is_possible(enum mui_confine_kind kind)
{
    struct mui_cgroup place;

    return find_place("", controllers[kind], &place) == 0;
}

/* Remove a directory of groups, none of which has processes any more. */
static void remove_base(const char *base)
{
    DIR *dir = opendir(base);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL)
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            (void)unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
    if (!dir)
        return;
    (void)closedir(dir);
    (void)rmdir(base);
}

/* What others left whose guardian and nursery were both killed. */
static void remove_abandoned(const char *place)
{
    char path[PATH + 300];
    DIR *dir = opendir(place);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL) {
        pid_t pid;

        if (strncmp(entry->d_name, prefix, sizeof prefix - 1) != 0)
            continue;
        pid = (pid_t)strtol(entry->d_name + sizeof prefix - 1, NULL, 10);
        if (pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", place, entry->d_name);
        remove_base(path);
    }
    if (dir)
        (void)closedir(dir);
}

/* A process is in one group of v2. So there is one place for all kinds, the highest: it
 * shares out what those below it do. */
static void choose_one_place(struct mui_cgroup places[MUI_N_CONFINE_KINDS])
{
    for (int i = 0; i < MUI_N_CONFINE_KINDS; i++)
        for (int j = 0; j < MUI_N_CONFINE_KINDS; j++)
            if (places[i].version == 2 && places[j].version == 2 &&
                strlen(places[j].dir) < strlen(places[i].dir))
                places[i] = places[j];
}

void mui_confine_init(const char *root)
{
    struct mui_cgroup places[MUI_N_CONFINE_KINDS];

    for (int i = 0; i < MUI_N_CONFINE_KINDS; i++)
        if (find_place(root, controllers[i], &places[i]) < 0)
            places[i].version = 0;
    choose_one_place(places);
    for (int i = 0; i < MUI_N_CONFINE_KINDS; i++) {
        kinds[i].version = places[i].version;
        if (!kinds[i].version)
            continue;
        memcpy(kinds[i].place, places[i].dir, sizeof kinds[i].place);
        (void)snprintf(kinds[i].base, sizeof kinds[i].base, "%.*s/%s%d",
                       MUI_CGROUP_PATH - 1, places[i].dir, prefix,
                       (int)getpid());
        remove_abandoned(kinds[i].place);
    }
}

void mui_confine_fini(void)
{
    for (int i = 0; i < MUI_N_CONFINE_KINDS; i++)
        if (kinds[i].version)
            remove_base(kinds[i].base);
}

/* -- worker -- */

static void name_group(enum mui_confine_kind kind, pid_t pid, char *ret_path,
                       size_t size)
{
    (void)snprintf(ret_path, size, "%s/%d", kinds[kind].base, (int)pid);
}

/* The base goes whenever its last group does, so it may have to be made again. Only
 * then: the place that it is made in is everybody's, and each who makes or removes
 * something there waits until all who came before him have, though it be for nothing. */
static int make_group(enum mui_confine_kind kind, const char *path)
{
    for (int i = 0; i < TRIES; i++) {
        if (mkdir(path, 0755) == 0)
            return 0;
        if (errno == EEXIST && kinds[kind].version == 2)
            return 0; /* made for the other kind */
        if (errno == EEXIST)
            (void)rmdir(path); /* of one with the same number before us */
        else if (errno == ENOENT)
            (void)mkdir(kinds[kind].base, 0755);
        else
            return -errno;
    }
    return -EBUSY;
}

/* By each worker, for another may have made the base and be about to do this; and when
 * there is a group in it, so that it stays. */
static void share_out(enum mui_confine_kind kind)
{
    char text[32];

    if (kinds[kind].version != 2 ||
        shares_out(kinds[kind].base, controllers[kind]))
        return;
    (void)snprintf(text, sizeof text, "+%s", controllers[kind]);
    (void)write_file(kinds[kind].base, "cgroup.subtree_control", text);
}

static int enter(enum mui_confine_kind kind, char *ret_path, size_t size)
{
    int rc;

    if (!kinds[kind].version)
        return -ENOTSUP;
    name_group(kind, getpid(), ret_path, size);
    rc = make_group(kind, ret_path);
    if (rc < 0)
        return rc;
    share_out(kind);
    return write_file(ret_path, "cgroup.procs", "0");
}

int mui_confine_memory(uint64_t bytes)
{
    char path[PATH + 32];
    int rc = enter(MUI_CONFINE_MEMORY, path, sizeof path);

    if (rc < 0)
        return rc;
    bytes = bytes > INT64_MAX - SLACK_BYTES ? INT64_MAX : bytes + SLACK_BYTES;
    if (kinds[MUI_CONFINE_MEMORY].version == 1) {
        rc = write_limit(path, "memory.limit_in_bytes", bytes);
        /* there is not everywhere swap to be limited */
        (void)write_limit(path, "memory.memsw.limit_in_bytes", bytes);
        return rc;
    }
    (void)write_limit(path, "memory.swap.max", 0);
    (void)write_limit(path, "memory.oom.group", 1);
    return write_limit(path, "memory.max", bytes);
}

int mui_confine_processes(void)
{
    char path[PATH + 32];
    int rc = enter(MUI_CONFINE_PROCESSES, path, sizeof path);

    if (rc < 0)
        return rc;
    max_fd = open_file(path, "pids.max", O_WRONLY);
    current_fd = open_file(path, "pids.current", O_RDONLY);
    events_fd = mui_descriptor_high(open_file(path, "pids.events", O_RDONLY));
    events_mark = mui_descriptor_mark(events_fd);
    return max_fd < 0 ? max_fd : current_fd < 0 ? current_fd : 0;
}

int mui_confine_limit_processes(unsigned n_more)
{
    /* more than that no machine has, and the kernel takes no larger number */
    enum { PROCESSES_MAX = 4 << 20 };
    uint64_t n = read_number(current_fd, "") + n_more;
    int rc = write_number(max_fd, n < PROCESSES_MAX ? n : PROCESSES_MAX);

    (void)close(max_fd);
    (void)close(current_fd);
    return rc;
}

bool mui_confine_has_struck(void)
{
    bool has_struck;
    uint64_t n;

    /* a task may have closed it, or put another in its place */
    if (events_fd < 0 || !mui_descriptor_is(events_fd, &events_mark))
        return false;
    n = read_number(events_fd, "max ");
    has_struck = n != n_struck;
    n_struck = n;
    return has_struck;
}

/* -- nursery -- */

static bool was_starved(pid_t worker)
{
    char path[PATH + 32];
    uint64_t n;
    int fd;

    name_group(MUI_CONFINE_MEMORY, worker, path, sizeof path);
    fd = open_file(path,
                   kinds[MUI_CONFINE_MEMORY].version == 1 ? "memory.oom_control"
                                                          : "memory.events",
                   O_RDONLY);
    if (fd < 0)
        return false;
    n = read_number(fd, "oom_kill ");
    (void)close(fd);
    return n > 0;
}

/* Whether there are groups of a kind. The last one takes the base along; so does a
 * worker that was killed when it had made the base and not yet its group. Looked at
 * first, see make_group(): the links of a directory are itself, its name and those
 * below it. */
static bool has_groups(int i_kind)
{
    struct stat base;

    if (!kinds[i_kind].version || stat(kinds[i_kind].base, &base) < 0)
        return false;
    return base.st_nlink > 2 ||
           (rmdir(kinds[i_kind].base) < 0 && errno != ENOENT);
}

bool mui_confine_end(pid_t worker)
{
    char path[PATH + 32];
    bool starved = false;

    for (int i = 0; i < MUI_N_CONFINE_KINDS; i++) {
        if (!has_groups(i))
            continue;
        if (i == MUI_CONFINE_MEMORY)
            starved = was_starved(worker);
        name_group(i, worker, path, sizeof path);
        if (rmdir(path) < 0 && errno == EBUSY)
            has_leftovers = true;
        else
            (void)has_groups(i);
    }
    return starved;
}

bool mui_confine_sweep(bool (*is_worker)(pid_t pid))
{
    char path[PATH + 300];

    if (!has_leftovers)
        return false;
    has_leftovers = false;
    for (int i = 0; i < MUI_N_CONFINE_KINDS; i++) {
        DIR *dir = kinds[i].version ? opendir(kinds[i].base) : NULL;
        struct dirent *entry;

        while (dir && (entry = readdir(dir)) != NULL) {
            pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

            if (pid <= 0 || is_worker(pid))
                continue;
            (void)snprintf(path, sizeof path, "%s/%s", kinds[i].base,
                           entry->d_name);
            if (rmdir(path) < 0 && errno == EBUSY)
                has_leftovers = true;
        }
        if (dir)
            (void)closedir(dir);
        (void)has_groups(i);
    }
    return has_leftovers;
}
