/* round.h: one run in a process of its own, which begins as the command does and knows
 * nothing of the runs before it: what a work keeps is paid for in each, what a crash or a
 * task that hangs ends is that run alone, and the kernel counts what it used to its end,
 * workers that died and commands too.
 *
 * The process that starts the runs has one thread and never runs a task. */
#ifndef CLI_ROUND_H
#define CLI_ROUND_H

#include <signal.h>
#include <stdint.h>

enum { ROUND_MODEL_BYTES = 256, ROUND_WORDS_BYTES = 256 };

/* What processes used so far. */
struct round_used {
    double cpu_seconds;
    uint64_t n_switches; /* of context, asked for or not */
};

/* What a run tells of itself: written by its process, read once that has ended. */
struct round_report {
    char model[ROUND_MODEL_BYTES]; /* with all counts */
    char words[ROUND_WORDS_BYTES]; /* how it broke off; "" when nobody told */
    double seconds;
    uint64_t n_ended;
    uint64_t n_failed;
    uint64_t n_dead;        /* tasks that took their process with them */
    uint64_t peak_bytes;    /* of memory; 0: nobody knows */
    struct round_used used; /* since round_begins() */
    int is_whole;           /* it came to its end */
    int is_refused;         /* it said why it cannot be */
};

enum round_end {
    ROUND_WHOLE = 0,
    ROUND_BROKE,      /* report.words says how */
    ROUND_REFUSED,    /* it, or this process, said why it cannot be */
    ROUND_INTERRUPTED /* SIGINT or SIGTERM came, and ended it */
};

/* Shows how far all is; returns when to be called again at the latest. */
typedef int64_t (*round_look_fn)(void *ctx);

struct rounds {
    struct round_report *shared; /* of the run and of who started it */
    round_look_fn look;          /* NULL: none */
    void *ctx;
    sigset_t before; /* the mask */
    sigset_t heard;  /* signals that are waited for */
    int signal;      /* the one that interrupted; 0: none */
};

/* Hold SIGINT and SIGTERM back from now on: they end what runs, and round_run() tells.
 * Returns 0, or -1 after saying why not. */
int rounds_init(struct rounds *r);

/* Let them go again: this process ends of one that came. */
void rounds_fini(struct rounds *r);

/* Run `body` in a new process and wait for that to end. The body fills in the report and
 * returns 0, or -1 after saying why it cannot. */
enum round_end round_run(struct rounds *r,
                         int (*body)(void *ctx, struct round_report *report),
                         void *ctx, struct round_report *ret_report);

/* In the body: what was used up to now does not count. */
void round_begins(struct round_report *report);

#endif
