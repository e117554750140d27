/* apart.h: work that is done in a process of its own, for the sake of what it runs and
 * writes: a signal ends both, and so does our end, by whatever. */
#ifndef CLI_APART_H
#define CLI_APART_H

#include "text.h"

/* Do it in a child, and wait for that. What it runs is ended by a SIGINT or SIGTERM of
 * ours, which comes to us behind its end.
 * body       returns 0, or a negative number after saying what is wrong; *ret_bytes, up to
 *            4 KiB, is copied to ours
 * Returns    0, or -1 after it was said why not */
int apart_do(int (*body)(void *ctx, struct text *ret_bytes), void *ctx,
             struct text *ret_bytes);

/* In `body`: run a program and wait for it, and when a signal comes, or our parent has
 * died, end it with all that it has started in its process group. Its standard error is
 * ours.
 * argv        argv[0] is searched in PATH
 * ret_output  optional: gets its standard output; else that is ours too
 * Returns     its exit status; 128 + the signal that ended it; -EINTR when we ended it;
 *             another -errno when it could not be started */
int apart_run(char *const *argv, struct text *ret_output);

#endif
