/* progress.h: --bar, --progress and --eta: one line on standard error, drawn anew
 * at most ten times a second; where that is no terminal, a line each second. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdint.h>

#include "text.h"

enum { PROGRESS_WIDTH_DEFAULT = 80 };

/* What is to be shown: any of the three; none of them shows nothing. */
struct progress {
    int bar;
    int counts; /* --progress */
    int eta;
    int64_t start_ns;
    int64_t next_ns; /* when the line may be drawn again */
};

struct progress_state {
    uint64_t n_total;  /* 0: not known yet */
    uint64_t n_before; /* ended in an earlier run */
    uint64_t n_ended;  /* in this one */
    uint64_t n_failed;
    uint64_t n_running;
};

/* Draw, unless it is too early. `now` in nanoseconds, as mu_now_ns(). */
void progress_draw(struct progress *p, const struct progress_state *s,
                   int64_t now);

/* Draw for the last time, and end the line. */
void progress_end(struct progress *p, const struct progress_state *s,
                  int64_t now);

/* When to come back at the latest to draw: MU_NEVER when nothing is shown. */
int64_t progress_deadline(const struct progress *p);

/* The line itself, at most `width` columns. */
void progress_format(const struct progress *p, const struct progress_state *s,
                     int64_t now, unsigned width, struct text *ret_line);

#endif
