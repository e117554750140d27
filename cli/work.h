/* work.h: WORK: what runs for each input. */
#ifndef CLI_WORK_H
#define CLI_WORK_H

#include <stddef.h>

#include "muster/pool.h"

#include "command.h"
#include "options.h"
#include "text.h"

struct input;

struct work {
    mu_task_fn fn;
    mu_task_fn reduce;              /* NULL: none */
    const char *spec;               /* "file.c:function", as it was written */
    struct command_config *command; /* NULL: a function. The pool's argument */
    struct template *template;      /* in `command` */
    size_t command_size;
    int is_many; /* an input is several values */
    void *module;
};

/* Whether it has the form of a function's name. */
int work_names_function(const char *spec);

/* Find WORK: compile it, load it, look the function up, or read the command.
 * Returns   0, or -1 after saying what is wrong; work_close() either way */
int work_open(struct work *w, const struct options *o);
void work_close(struct work *w);

/* Append the line of logs and of --dry-run: the command, or the function and its
 * input, as one would type them. */
void work_show(const struct work *w, const struct input *in, unsigned slot,
               struct text *ret_line);

#endif
