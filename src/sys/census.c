/* census.c: threads and children of this process, from /proc. See proc(5). */
#include "sys/census.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/sanitize.h"

/* threads of the sanitizer's own */
enum { N_FOREIGN = MUI_TSAN };

unsigned mui_census_threads(void)
{
    struct stat st;

    /* a directory has two links of its own and one for each below it */
    if (stat("/proc/self/task", &st) < 0 || st.st_nlink < 3 + N_FOREIGN)
        return 1;
    return (unsigned)st.st_nlink - 2 - N_FOREIGN;
}

bool mui_census_has_children(void)
{
    siginfo_t info;

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

/* The parent of a process, from "PID (NAME) STATE PPID ...". -1: it has gone. */
static pid_t parent_of(pid_t pid)
{
    char text[512];
    char *end;
    ssize_t length;
    int fd;

    (void)snprintf(text, sizeof text, "/proc/%d/stat", (int)pid);
    fd = open(text, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    length = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (length <= 0)
        return -1;
    text[length] = '\0';
    end = strrchr(text, ')'); /* the name may hold any character */
    return end && strlen(end) > 4 ? (pid_t)strtol(end + 4, NULL, 10) : -1;
}

bool mui_census_dumps_core(pid_t pid)
{
    char text[4096];
    ssize_t length;
    int fd;

    (void)snprintf(text, sizeof text, "/proc/%d/status", (int)pid);
    fd = open(text, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    length = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[length > 0 ? length : 0] = '\0';
    return strstr(text, "\nCoreDumping:\t1") != NULL;
}

static int walk_all(void (*each)(void *ctx, pid_t child), void *ctx)
{
    DIR *proc = opendir("/proc");
    pid_t self = getpid();
    struct dirent *entry;

    if (!proc)
        return -errno;
    while ((entry = readdir(proc)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

        if (pid > 0 && parent_of(pid) == self)
            each(ctx, pid);
    }
    (void)closedir(proc);
    return 0;
}

int mui_census_children(void (*each)(void *ctx, pid_t child), void *ctx)
{
    char path[64];
    FILE *file;
    int pid;

    /* of the calling thread only: enough where there is one */
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children",
                   (int)gettid());
    file = fopen(path, "re");
    if (!file) /* not in every kernel */
        return walk_all(each, ctx);
    while (fscanf(file, "%d", &pid) == 1)
        each(ctx, (pid_t)pid);
    (void)fclose(file);
    return 0;
}
