/* inputs.h: the inputs of a run, one after another, numbered from 1: words after
 * ":::", lines of a file or of standard input as they arrive, files below
 * directories, records and chunks of files. Memory is bounded by the longest
 * single input. */
#ifndef CLI_INPUTS_H
#define CLI_INPUTS_H

#include <stddef.h>
#include <stdint.h>

#include "options.h"

/* One input. Everything is lent until the next call of inputs_next(). */
struct input {
    uint64_t seq;
    const char *name; /* for people, {} and logs; a byte of 0 may not follow */
    size_t name_size;
    const void *data; /* the bytes; not used when path is set */
    size_t size;
    const char *path; /* else the bytes are this range of a file */
    uint64_t offset;
    uint64_t range; /* 0: up to the end */
};

struct inputs;

/* A person at a terminal may wait for us while we wait for them: say so, where it is read. */
void inputs_hint_terminal(const struct options *o);

/* Check what can be checked without reading, and begin.
 * o         borrowed until inputs_free()
 * Returns   0, or -1 after saying what is wrong */
int inputs_open(const struct options *o, struct inputs **ret_inputs);
void inputs_free(struct inputs *in); /* accepts NULL */

/* Returns   0; MU_EMPTY: there are no more; MU_TIMEOUT: none has arrived yet,
 *           wakeup_ring() comes when one may have; -1: cannot go on, said why */
int inputs_next(struct inputs *in, struct input *ret_input);

/* How many inputs there will be: exact once they were counted or all given, or when
 * they are words; for a regular file an estimate from the bytes read; 0 when nobody
 * knows. ret_is_exact optional */
uint64_t inputs_total(const struct inputs *in, int *ret_is_exact);

/* Walk directories beforehand to know the total. Costs a walk. */
void inputs_count(struct inputs *in);

/* Count all inputs, whatever they are, before the first is given: those of a pipe
 * stay in memory for it. inputs_next() is MU_TIMEOUT as long as they arrive. */
void inputs_count_first(struct inputs *in);

/* Files and directories that could not be read, and were left out. */
unsigned inputs_n_unread(const struct inputs *in);

#endif
