/* standard.c: standard input and output of the command itself. */
#include "standard.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "say.h"

enum {
    N_TAKEN = 2,
    /* out of the way of what the command is given, and tables of so many are small yet */
    HIGH = 200
};

static const char *const names[N_TAKEN] = {"/dev/stdin", "/dev/stdout"};

/* Written before there are threads. */
static int taken[N_TAKEN] = {STDIN_FILENO, STDOUT_FILENO};
static char paths[N_TAKEN][48]; /* reach them from a child too */
static pid_t owner;

/* Lower where the limit is. -1 and errno: there is no room */
static int copy_high(int fd)
{
    int copy = -1;

    for (int from = HIGH; copy < 0 && from > STDERR_FILENO; from /= 2)
        copy = fcntl(fd, F_DUPFD_CLOEXEC, from);
    return copy;
}

/* What is at its end. Programs may take a pipe for something to read, so that is for where
 * there is no /dev alone. */
static int open_empty(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int ends[2];

    if (fd >= 0 || pipe2(ends, O_CLOEXEC) < 0)
        return fd;
    (void)close(ends[1]);
    return ends[0];
}

/* A daemon that a task makes of itself is nobody whom readers of our output wait for. In
 * what the library forks of itself the numbers may be those of others by now. */
static void close_in_child(void)
{
    if (getppid() != owner)
        return;
    for (int fd = 0; fd < N_TAKEN; fd++)
        (void)close(taken[fd]);
}

int standard_take(void)
{
    int empty = open_empty();

    for (int fd = 0; fd < N_TAKEN; fd++) {
        taken[fd] = copy_high(fd);
        (void)snprintf(paths[fd], sizeof paths[fd], "/proc/%d/fd/%d",
                       (int)getpid(), taken[fd]);
    }
    if (empty < 0 || taken[0] < 0 || taken[1] < 0 ||
        dup2(empty, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return say_refuse("cannot keep standard input and output apart from "
                          "those of tasks: %s",
                          say_reason(errno));
    (void)close(empty);
    owner = getpid();
    (void)pthread_atfork(NULL, NULL, close_in_child);
    (void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    return 0;
}

int standard_input(void)
{
    return taken[STDIN_FILENO];
}

int standard_output(void)
{
    return taken[STDOUT_FILENO];
}

/* -1: it names another file. */
static int descriptor_of(const char *path)
{
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/",
                                          "/proc/thread-self/fd/"};

    for (int fd = 0; fd < N_TAKEN; fd++)
        if (strcmp(path, names[fd]) == 0)
            return fd;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        size_t n = strlen(folders[i]);

        if (strncmp(path, folders[i], n) == 0 &&
            (strcmp(path + n, "0") == 0 || strcmp(path + n, "1") == 0))
            return path[n] - '0';
    }
    return -1;
}

const char *standard_path(const char *path)
{
    int fd = descriptor_of(path);

    return fd >= 0 && taken[fd] != fd ? paths[fd] : path;
}
