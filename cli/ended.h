/* ended.h: a task that has ended, as logs and reports see it: the same for a
 * function and a command. */
#ifndef CLI_ENDED_H
#define CLI_ENDED_H

#include <stddef.h>
#include <stdint.h>

#include "muster/pool.h"

struct ended {
    uint64_t seq;
    const char *name; /* of the input */
    size_t name_size;
    int is_many; /* the name is several values, with a byte of 0 between them */
    const char *tag; /* before each line of its output */
    size_t tag_size;
    const char *line; /* as work_show() writes it; NULL when nobody wants it */
    size_t line_size;
    enum mu_status status;
    int code;       /* 0 for a success; else what it failed with */
    int signal;     /* the signal that ended it, or 0 */
    unsigned limit; /* enum mu_limit that it met */
    const char *out;
    size_t out_size;
    const char *err;
    size_t err_size;
    uint64_t sent_bytes; /* to the standard input of a command */
    int64_t start_ns;    /* CLOCK_REALTIME */
    int64_t run_ns;
    unsigned attempts;
    unsigned worker;
    const struct mu_outcome *outcome; /* what it was read from */
    int is_command;      /* and the command itself told how it ended */
    const char *trouble; /* what we had with it besides; NULL: none */
    int is_spoilt;       /* and for that alone it counts as failed */
};

/* Read what the outcome says, and for commands what command_task() wrote. Fills
 * everything from `status` on but sent_bytes and start_ns of functions. Points into
 * the outcome. */
void ended_read(struct ended *e, const struct mu_outcome *outcome,
                int is_command);

/* We had trouble with it, in words that are lent, such as an output that could not be
 * saved: one that ended well has failed then, with `code`, a negative errno. */
void ended_spoil(struct ended *e, int code, const char *trouble);

/* The columns Exitval of a joblog: 0 only for a success or a death by signal; -1
 * for what was stopped from outside. */
int ended_exit_value(const struct ended *e);

/* What a shell would show as exit status: 128 + the signal for a death. */
int ended_exit_status(const struct ended *e);

#endif
