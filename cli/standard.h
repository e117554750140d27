/* standard.h: standard input and output of the command itself.
 *
 * A function has the descriptors of the process that it runs in. Under serial and threads
 * that is the command: what it, or a program that it starts, read from 0 would be inputs
 * lost. And under every model what it prints on 1 would be amid the outputs. So the command
 * keeps its own elsewhere, closed by exec() and by fork(), and leaves nothing to read at 0,
 * and standard error at 1. */
#ifndef CLI_STANDARD_H
#define CLI_STANDARD_H

/* Do so; what is printed goes out line by line from there on, for who prints it may die.
 * Once, before there are threads and other processes; 0 to 2 are open.
 * Returns   0, or -1 after saying why */
int standard_take(void);

/* Where the command reads and writes; before standard_take() 0 and 1. */
int standard_input(void);
int standard_output(void);

/* What opens the same file as `path` did before standard_take(): another name for
 * /dev/stdin, /dev/stdout and the descriptors 0 and 1, else `path` itself. */
const char *standard_path(const char *path) __attribute__((nonnull));

#endif
