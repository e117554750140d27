/* results.h: --results NAME: the output of each task in files of its own, laid out
 * as GNU parallel does it. */
#ifndef CLI_RESULTS_H
#define CLI_RESULTS_H

#include "ended.h"
#include "text.h"

enum results_form {
    RESULTS_NONE = 0,
    RESULTS_TREE,     /* NAME/1/INPUT/2/.../{stdout,stderr,seq} */
    RESULTS_TEMPLATE, /* NAME has replacement strings */
    RESULTS_CSV,      /* NAME.csv or NAME.tsv */
    RESULTS_JSON      /* NAME.json: one object a line */
};

struct results {
    enum results_form form;
    const char *name;
    char separator;    /* of RESULTS_CSV */
    int fd;            /* of RESULTS_CSV and RESULTS_JSON, else -1 */
    int has_warned;    /* of two inputs with one name */
    int is_one_source; /* the values of an input come from one: -n */
    int lacks_header;  /* of RESULTS_CSV */
    struct text buffer;
};

/* Read the option; writes nothing. NULL: none. */
void results_init(struct results *r, const char *name);

/* Make the file or the directory. With `go_on`, a table is continued behind its last
 * whole row; what is none is refused.
 * Returns   0, or -1 after saying why */
int results_open(struct results *r, int go_on);

/* Where each task has files: write what one gave. Ends the command when there is no room
 * for anybody's.
 * Returns   0; -errno for a name that cannot be, with the reason in ret_why */
int results_save(struct results *r, const struct ended *e,
                 struct text *ret_why);

/* Where each task has a row: the same. Ends the command when it cannot be written. */
void results_add_row(struct results *r, const struct ended *e);

/* What was written is saved, as far as close() would tell; else ends the command. */
void results_settle(struct results *r);

/* Returns   0, or -1 after saying why what was written may be lost */
int results_close(struct results *r);

/* Append the name of the directory for an input: \ / tab and 0 are escaped, and so
 * is a name that would be no name or another directory's. */
void results_put_directory(struct text *t, const char *name, size_t size);

#endif
