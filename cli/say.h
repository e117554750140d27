/* say.h: what the command says to people: one line each, on standard error. */
#ifndef CLI_SAY_H
#define CLI_SAY_H

#include <stddef.h>

#include "muster/base.h"

/* Exit status for everything that is not a count of failed tasks. */
enum { SAY_EXIT_OTHER = 255 };

/* Print "muster: ..." and a newline. */
void say(const char *format, ...) MU_PRINTF(1, 2);

/* The same; returns -1, so that a caller can say why and give up in one line. */
int say_refuse(const char *format, ...) MU_PRINTF(1, 2);

/* Say it and end the process with status 255. */
_Noreturn void say_fatal(const char *format, ...) MU_PRINTF(1, 2);

/* What an errno says and what would help, where that is known: for the end of a line.
 * Lent until the next call of the same thread. */
const char *say_reason(int code);

/* How many letters have to be put in, left out, changed or swapped with their
 * neighbour to make one word of the other. Words over 64 letters count as
 * different. */
size_t say_distance(const char *a, const char *b);

/* Keeps the word nearest to the one that was typed: fill in `typed`, offer every
 * known word, read `best` (NULL when nothing is near enough to be meant). The
 * words are borrowed for as long as `best` is used. */
struct say_nearest {
    const char *typed;
    const char *best;
    size_t distance;
};
void say_nearest_offer(struct say_nearest *n, const char *word);

#endif
