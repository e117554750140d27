/* command.h: the task that runs a command: `-- command {}`. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "muster/task.h"

#include "template.h"

enum { COMMAND_GIVEN_MAX = 256 }; /* shells take those below */

/* The argument of a pool that runs commands: this, then the template. */
struct command_config {
    int64_t timeout_ns; /* 0: none */
    uint64_t feeds;     /* the input goes to the command's standard input */
    /* whose descriptors /dev/fd/N means, and a bit for each that this process was given
     * itself: what it opened is its own */
    int64_t pid;
    uint64_t given[COMMAND_GIVEN_MAX / 64];
};

/* Fill in the last two, for the calling process. */
void command_note_given(struct command_config *config);

/* Run the command for one input. What it prints is the task's output: standard
 * output, then standard error, then struct command_result. The command is its own
 * process group; it is told to end (TERM, then KILL, as GNU parallel does) when its
 * time is over or the task is cancelled, and killed when its worker dies.
 * Returns the exit status of the command, or 128 + the signal that ended it. */
int command_task(struct mu_task *task);

/* CLOCK_REALTIME, in which logs have the start of a task. */
int64_t command_now_ns(void);

/* The last bytes of the output of command_task(). */
struct command_result {
    uint64_t magic;
    uint64_t stdout_size;
    uint64_t stderr_size;
    int64_t start_ns; /* CLOCK_REALTIME */
    int64_t run_ns;
    int32_t code;
    int32_t signal;
    uint32_t is_timed_out;
    uint32_t is_cancelled;
};

/* Find the result at the end of an output.
 * Returns 0, or -1 when there is none: the worker ended first */
int command_result_read(const void *output, size_t output_size,
                        struct command_result *ret_result);

#endif
