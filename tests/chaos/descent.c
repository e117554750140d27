/* descent.c: find processes by a mark in their environment. */
#include "chaos/descent.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char variable[] = "MUSTER_TEST_DESCENT";

void descent_mark(char **argv)
{
    char value[32];

    /* the kernel shows the environment that a program was started with */
    (void)snprintf(value, sizeof value, "%d", (int)getpid());
    if (getenv(variable) && strcmp(getenv(variable), value) == 0)
        return;
    (void)setenv(variable, value, 1);
    (void)execv("/proc/self/exe", argv);
    abort();
}

static int carries(const char *pid, const char *mark)
{
    static char text[1 << 16];
    char path[64];
    ssize_t length;
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%.20s/environ", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    length = read(fd, text, sizeof text);
    (void)close(fd);
    return length > 0 &&
           memmem(text, (size_t)length, mark, strlen(mark) + 1) != NULL;
}

size_t descent_count(pid_t origin, pid_t *pids, size_t n_max)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    char mark[64];
    size_t n = 0;

    (void)snprintf(mark, sizeof mark, "%s=%d", variable,
                   (int)(origin ? origin : getpid()));
    while (proc && (entry = readdir(proc)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

        if (pid <= 0 || pid == getpid() || !carries(entry->d_name, mark))
            continue;
        if (pids && n < n_max)
            pids[n] = pid;
        n++;
    }
    if (proc)
        (void)closedir(proc);
    return n;
}
