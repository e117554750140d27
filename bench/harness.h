/* harness.h: how every suite of bench/ measures: the same rounds, the same
 * median, the same table and the same JSON.
 *
 * A suite is a list of entries. An entry is one runtime doing one piece of
 * work; it gives one figure a round. The rounds are interleaved: every entry
 * runs once before any runs again, so that a machine whose speed drifts slows
 * all of them alike. Rivals run as programs of their own, because two runtimes
 * in one process take the CPUs from each other. */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <stdint.h>
#include <stdio.h>

/* What a measuring program exits with when it cannot run here. */
#define BENCH_SKIPPED 77

/* Set the figure of one round. Returns 0, or BENCH_SKIPPED. */
typedef int (*bench_fn)(void *arg, double *ret_figure);

struct bench_entry {
    const char *work;    /* "fib(35), 4 workers" */
    const char *runtime; /* "muster"; the others are its rivals */
    const char *unit;    /* "ns a fork" */
    /* Either a program, [NULL-terminated], whose standard output begins with the
     * figure; or a function of this program. */
    const char *const *argv;
    bench_fn fn;
    void *arg;
    int more_is_better; /* speed-ups and rates; 0 for times */
    int is_no_rival; /* shown, but not "the best rival": a floor, a variant */
    const char *missing; /* set: not run; says why ("set MUSTER_LACE_DIR") */
};

struct bench_suite {
    const char *name;      /* "team" */
    const char *our_name;  /* whose runtimes are ours: "muster", "muster ..." */
    unsigned n_rounds;     /* 5 at least */
    const char *json_path; /* optional: where the JSON goes */
    const char *only;      /* optional: only works that contain this text */
    int64_t timeout_ns;    /* of one run; 0: one minute */
};

/* Run every entry n_rounds times, print the table to `table` and write the JSON.
 * Entries of one work have to stand next to each other.
 * Returns   0; 1 when an entry of ours failed or the JSON was not written */
int bench_run(const struct bench_suite *suite,
              const struct bench_entry *entries, size_t n_entries, FILE *table);

/* Read the options every suite takes: --rounds N, --json FILE, --only TEXT.
 * Returns   0, or 2 after it has said what is wrong */
int bench_options(struct bench_suite *suite, int argc, char **argv);

/* CLOCK_MONOTONIC, in nanoseconds. */
int64_t bench_now_ns(void);

/* CPU time of all threads of this process, in nanoseconds. */
int64_t bench_cpu_ns(void);

/* The median of values[n]; it sorts them. n is at least 1. */
double bench_median(double *values, size_t n);

#endif
