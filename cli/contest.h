/* contest.h: what `muster compare` found out, and how that is shown: a row for each model,
 * and which to take. */
#ifndef CLI_CONTEST_H
#define CLI_CONTEST_H

#include <stddef.h>
#include <stdint.h>

#include "text.h"

enum { MODELS_MAX = 16 };

/* One model and its figures, one of each a round. */
struct contender {
    const char *model;
    char *full; /* with all counts; NULL: not run yet */
    int isolates;
    struct text broke; /* how a round of it broke off; empty: none did */
    uint64_t n_failed; /* in the round where most did */
    double *rates;     /* tasks a second */
    double *cpu_seconds;
    double *peak_bytes; /* 0: of that round nobody knows */
    double *switches;
};

struct contest {
    struct contender contenders[MODELS_MAX];
    size_t n_asked;                        /* of them */
    struct contender *running[MODELS_MAX]; /* those that can */
    size_t n;
    unsigned n_rounds; /* that are complete */
    uint64_t n_tasks;  /* of one run */
    uint64_t n_failed; /* of the first run */
};

/* Begin one, with room for so many rounds. */
struct contender *contest_add(struct contest *c, const char *model,
                              unsigned rounds);
void contest_fini(struct contest *c);

/* Leave out models that do not isolate. */
void contest_keep_isolating(struct contest *c);

int contest_all_failed(const struct contest *c);

/* Whether a round of any model broke off. */
int contest_has_broken(const struct contest *c);

/* Append the table, with the verdict below it when `tells`; or all as JSON. Sorts the
 * figures of each model. */
void contest_put(struct text *t, struct contest *c, int tells);
void contest_put_json(struct text *t, struct contest *c);

#endif
