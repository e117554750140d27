/* commands.h: the subcommands, and what they print about themselves. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

/* Each takes its own name as argv[0] and returns the exit status. */
int command_map(int argc, char **argv);
int command_compare(int argc, char **argv);

extern const char help_muster[];
extern const char help_map[];
extern const char help_compare[];

/* Print a page on standard output; returns the exit status. */
int help_print(const char *page);

#endif
