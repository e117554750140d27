/* orphans.c: what is left of a pool whose supervisor is killed. COMMAND is a supervisor
 * with four busy tasks, each of which writes one byte to standard output when it begins.
 * Prints how many processes are left a second after the kill; with --time how many ms
 * the last of them lived. All are killed then.
 * Usage: orphans [--time] COMMAND... */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

enum { N_TASKS = 4, WATCHED_MS = 1000 };

/* Call `visit` for each process that descends from pid. Returns how many there are; what
 * has ended and was not waited for counts too. */
static int visit_family(int pid, void (*visit)(int pid))
{
    char path[64];
    struct dirent *entry;
    DIR *tasks;
    int n = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/task", pid);
    tasks = opendir(path);
    while (tasks && (entry = readdir(tasks)) != NULL) {
        int child;
        FILE *file;

        (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid,
                       atoi(entry->d_name));
        file = fopen(path, "r");
        while (file && fscanf(file, "%d", &child) == 1) {
            n += 1 + visit_family(child, visit);
            visit(child);
        }
        if (file)
            (void)fclose(file);
    }
    if (tasks)
        (void)closedir(tasks);
    return n;
}

static void leave_alone(int pid)
{
    (void)pid;
}

static void end(int pid)
{
    (void)kill(pid, SIGKILL);
}

/* Returns 0 when no process is left that descends from this one. */
static int reap(void)
{
    int pid;

    do {
        pid = waitpid(-1, NULL, WNOHANG);
    } while (pid > 0);
    return pid == 0;
}

/* Start the supervisor; returns its pid when all of its tasks run. */
static pid_t start(char *const *command)
{
    int busy[2];
    char byte[N_TASKS];
    ssize_t n = 0;
    ssize_t got;
    pid_t pid;

    if (pipe(busy) < 0)
        exit(1);
    pid = fork();
    if (pid < 0)
        exit(1);
    if (pid == 0) {
        if (dup2(busy[1], STDOUT_FILENO) >= 0) {
            (void)close(busy[0]);
            (void)close(busy[1]);
            (void)execvp(command[0], command);
        }
        _exit(BENCH_SKIPPED);
    }
    (void)close(busy[1]);
    while (n < N_TASKS && (got = read(busy[0], byte, sizeof byte)) > 0)
        n += got;
    if (n < N_TASKS) {
        int status = 0;

        (void)waitpid(pid, &status, 0);
        exit(WIFEXITED(status) && WEXITSTATUS(status) == BENCH_SKIPPED
                 ? BENCH_SKIPPED
                 : 1);
    }
    return pid;
}

int main(int argc, char **argv)
{
    int is_time = argc > 1 && strcmp(argv[1], "--time") == 0;
    int64_t begin;
    int64_t now;
    int n_left = 0;

    if (argc < 2 + is_time)
        return 2;
    /* whose parent ends becomes ours, wherever it has gone */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return BENCH_SKIPPED;
    if (kill(start(argv + 1 + is_time), SIGKILL) < 0)
        return 1;
    begin = bench_now_ns();
    do {
        (void)usleep(100);
        now = bench_now_ns();
    } while (reap() && now - begin < (int64_t)WATCHED_MS * 1000000);
    if (reap()) {
        n_left = visit_family(getpid(), leave_alone);
        while (reap()) {
            (void)visit_family(getpid(), end);
            (void)usleep(1000);
        }
    }
    if (is_time && n_left > 0)
        return 1;
    (void)printf("%g\n", is_time ? (double)(now - begin) / 1e6 : n_left);
    return 0;
}
