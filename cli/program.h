/* program.h: finding a program in PATH. */
#ifndef CLI_PROGRAM_H
#define CLI_PROGRAM_H

#include "text.h"

/* getenv(3). */
const char *program_env(const char *name);

/* The path of a program: the name itself when it holds a slash, else from PATH. A script
 * has its interpreter.
 * advice   what to do when there is none of a like name
 * instead  "", or how another program is named: the end of all that is said, and none of a
 *          like name is offered then
 * Returns  a string for free(), or NULL after saying what is wrong */
char *program_find(const char *name, const char *advice, const char *instead);

/* In messages: a script's path, and its interpreter. */
#define PROGRAM_NO_INTERPRETER                                                 \
    "cannot run %s: its first line names %s, which is not there: mend that "   \
    "line"

/* Whether a script cannot be run for want of the interpreter that its first line names,
 * which is appended. Of what cannot be read this is not known: 0. */
int program_lacks_interpreter(const char *path, struct text *ret_name);

#endif
