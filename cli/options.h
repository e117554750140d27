/* options.h: the command line of `muster map` and `muster compare`. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "halt.h"

/* Which subcommands know an option. */
enum options_command { OPTIONS_MAP = 1, OPTIONS_COMPARE = 2 };

/* What one input is. */
enum each { EACH_LINE = 0, EACH_FILE, EACH_RECORD, EACH_CHUNK };

enum { SOURCES_MAX = 64 };

/* Where inputs come from: the words after ":::", or the lines or bytes of a file. */
struct source {
    char **args; /* [n_args]; NULL: the file */
    size_t n_args;
    const char *file; /* "-" is standard input */
    int is_linked;    /* goes along with the source before it: :::+ */
};

enum resume { RESUME_NO = 0, RESUME_UNFINISHED, RESUME_FAILED };

/* Everything the command line said; strings are borrowed from argv. */
struct options {
    /* WORK: a spec, or the words of a command after "--" */
    const char *work;
    char **command;
    size_t n_command;
    int is_command;

    /* INPUTS: one source or, with --each line, several */
    struct source sources[SOURCES_MAX];
    size_t n_sources;
    char delimiter;
    enum each each;
    uint64_t each_bytes;
    int no_blank;      /* inputs of blanks alone are left out: -r */
    unsigned max_args; /* inputs for one command */
    const char
        *colsep; /* what separates the columns of a line; NULL: one column */

    /* the pool */
    const char *model;
    const char *jobs;
    int jobs_of_inputs; /* they are 0: as many as there are inputs */
    unsigned tries;
    int64_t timeout_ns;
    int64_t delay_ns; /* between the starts of two tasks */
    uint64_t memory_bytes;
    unsigned n_children; /* 0: no limit */

    /* what happens with outcomes */
    const char *reduce;
    const char *joblog;
    const char *results;
    enum resume resume;
    struct halt_rule halt;
    uint64_t n_total; /* --total-jobs */
    int keep_order;
    int tag;
    const char *tag_string; /* with replacement strings; NULL: the input */
    int dry_run;
    int bar;
    int progress;
    int eta;
    int quiet;
    int json;

    /* compare */
    unsigned rounds;
    const char *models;
};

enum options_answer { OPTIONS_RUN = 0, OPTIONS_HELP = 1, OPTIONS_WRONG = -1 };

/* Read argv[1] and what follows; argv[0] is the name of the subcommand.
 * Returns   OPTIONS_RUN; OPTIONS_HELP when --help was among them;
 *           OPTIONS_WRONG: said why */
enum options_answer options_read(struct options *ret, enum options_command who,
                                 int argc, char **argv);

/* Whether an input is several values, with a byte of 0 between them: -n, --colsep,
 * several sources. */
int options_inputs_are_many(const struct options *o);

/* Returns   0, or -1 after saying that there are too many */
int options_add_source(struct options *o, struct source source);

/* How many inputs there are when all sources are words; 0 when not. */
uint64_t options_n_words(const struct options *o);

/* Whether the inputs are names of files: --each file, record, chunk. */
int options_inputs_are_files(const struct options *o);

#endif
