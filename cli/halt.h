/* halt.h: --halt: after which outcomes no more tasks start. Pure: it counts, and
 * the caller acts. */
#ifndef CLI_HALT_H
#define CLI_HALT_H

#include <stdint.h>

enum halt_when { HALT_NEVER = 0, HALT_SOON, HALT_NOW };
enum halt_why { HALT_FAIL = 0, HALT_SUCCESS, HALT_DONE };

/* {0} never halts. */
struct halt_rule {
    enum halt_when when;
    enum halt_why why;
    unsigned is_percent;
    uint64_t count;
};

/* "never", "now,fail=1", "soon,success=30%", and the old forms 0, 1, 2, -1, -2,
 * 3%. Returns 0, or -1 for what is none of them; says nothing. */
int halt_parse(const char *text, struct halt_rule *ret_rule);

/* {.rule = ...} is before the first outcome. */
struct halt {
    struct halt_rule rule;
    uint64_t n_ended;
    uint64_t n_failed;
    int is_halted;
    int exit_status; /* once halted */
};

/* Count one outcome.
 * code      0 when it was a success; what the run exits with if one outcome halts
 * n_total   how many tasks there will be; 0 as long as that is not known: a
 *           percentage then waits
 * Returns   what is to be done now: HALT_NEVER for nothing */
enum halt_when halt_count(struct halt *h, int code, uint64_t n_total);

/* What GNU parallel exits with after these outcomes. */
int halt_exit_status(const struct halt *h);

#endif
