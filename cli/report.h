/* report.h: what is said at the end of a run: how many ended how, each failure
 * with its input, and how fast it went. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include <stdint.h>

#include "ended.h"
#include "text.h"

enum {
    REPORT_FAILURES_MAX = 50, /* told one by one; the others are counted */
    REPORT_FRAMES_MAX = 5     /* of a backtrace */
};

struct report_failure {
    uint64_t seq;
    enum mu_status status;
    unsigned limit; /* enum mu_limit */
    struct text name;
    struct text how;
    struct text frames;
    struct mu_outcome *outcome; /* ours: described when the report is written */
};

struct report {
    uint64_t ended[MU_N_STATUS];
    uint64_t n_skipped;   /* had run before: --resume */
    uint64_t n_abandoned; /* still ran as the command ended: no outcome came */
    struct report_failure failures[REPORT_FAILURES_MAX];
    unsigned n_failures;
    int64_t start_ns;
};

/* Count an outcome. When it is a failure that will be told, its outcome is taken and
 * 1 returned; else 0 and it stays the caller's. With may_take 0 it is described at
 * once, which can take a second, and never taken. */
int report_add(struct report *r, const struct ended *e,
               struct mu_outcome *outcome, int may_take);

/* Append how a task failed, in a line, and the first frames of a crash, a line each.
 * Looking up their names can take a second. */
void report_describe(const struct ended *e, struct text *ret_how,
                     struct text *ret_frames);

/* Append what a task had of these as a member of an object, `limit`, `frames`; nothing
 * when it had none. */
void report_put_limit_json(struct text *t, unsigned limit);
void report_put_frames_json(struct text *t, const struct text *frames);

uint64_t report_n_ended(const struct report *r);

/* Those that neither succeeded nor were cancelled. */
uint64_t report_n_failed(const struct report *r);

/* Append the report, as lines for a person or as one JSON object.
 * model     as mu_pool_model() gives it
 * now       as mu_now_ns() */
void report_format(struct report *r, const char *model, int64_t now,
                   struct text *ret_text);
void report_format_json(struct report *r, const char *model, int64_t now,
                        struct text *ret_text);
void report_fini(struct report *r);

#endif
