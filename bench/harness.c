/* harness.c: rounds, medians, the table and the JSON of every suite. */
#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_TIMEOUT_NS INT64_C(60000000000)
#define MIN_ROUNDS         5u

/* What became of one entry. */
struct result {
    double *figures; /* [n_rounds] */
    unsigned n_figures;
    int status; /* of the last run: 0, BENCH_SKIPPED, or a failure */
    double median;
};

int64_t bench_now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t bench_cpu_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare_doubles);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* Read what the child prints until it closes or the deadline passes. */
static int read_figure(int fd, int64_t deadline, char *text, size_t text_size)
{
    size_t length = 0;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left_ms = (deadline - bench_now_ns()) / 1000000;
        ssize_t n;

        if (left_ms <= 0 || poll(&p, 1, (int)left_ms) == 0)
            return -ETIMEDOUT;
        n = read(fd, text + length, text_size - 1 - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || length + (size_t)n >= text_size - 1)
            break;
        length += (size_t)n;
    }
    text[length] = '\0';
    return 0;
}

static int run_program(const char *const *argv, int64_t timeout_ns,
                       double *ret_figure)
{
    posix_spawn_file_actions_t actions;
    char text[4096] = "";
    char *end;
    int ends[2];
    int status = 0;
    int rc;
    pid_t pid;

    if (pipe(ends) < 0)
        return -errno;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    (void)posix_spawn_file_actions_addclose(&actions, ends[0]);
    (void)posix_spawn_file_actions_addclose(&actions, ends[1]);
    rc = -posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv,
                       environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    if (rc == 0) {
        rc = read_figure(ends[0], bench_now_ns() + timeout_ns, text,
                         sizeof text);
        if (rc < 0)
            (void)kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    (void)close(ends[0]);
    if (rc < 0)
        return rc;
    if (WIFEXITED(status) && WEXITSTATUS(status) == BENCH_SKIPPED)
        return BENCH_SKIPPED;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return -ECANCELED;
    *ret_figure = strtod(text, &end);
    return end == text ? -EBADMSG : 0;
}

static void run_entry(const struct bench_suite *suite,
                      const struct bench_entry *e, struct result *r)
{
    double figure = 0;

    if (e->missing)
        r->status = BENCH_SKIPPED;
    else if (e->argv)
        r->status = run_program(
            e->argv, suite->timeout_ns ? suite->timeout_ns : DEFAULT_TIMEOUT_NS,
            &figure);
    else
        r->status = e->fn(e->arg, &figure);
    if (r->status == 0)
        r->figures[r->n_figures++] = figure;
}

static int is_wanted(const struct bench_suite *suite,
                     const struct bench_entry *e)
{
    return !suite->only || strstr(e->work, suite->only);
}

/* "muster", and "muster threads" */
static int is_ours(const struct bench_suite *suite, const struct bench_entry *e)
{
    size_t length = strlen(suite->our_name);

    return strncmp(e->runtime, suite->our_name, length) == 0 &&
           (e->runtime[length] == '\0' || e->runtime[length] == ' ');
}

/* The best median among the rivals of entry i; 0 when there is none. */
static double best_rival(const struct bench_suite *suite,
                         const struct bench_entry *entries,
                         const struct result *results, size_t n_entries,
                         size_t i)
{
    double best = 0;

    for (size_t k = 0; k < n_entries; k++) {
        const struct bench_entry *e = &entries[k];

        if (strcmp(e->work, entries[i].work) != 0 || is_ours(suite, e) ||
            e->is_no_rival || results[k].n_figures == 0)
            continue;
        if (best == 0 || (e->more_is_better ? results[k].median > best
                                            : results[k].median < best))
            best = results[k].median;
    }
    return best;
}

static const char *why_missing(const struct bench_entry *e,
                               const struct result *r)
{
    if (e->missing)
        return e->missing;
    if (r->status == BENCH_SKIPPED)
        return "skipped: not installed or not able";
    if (r->status == -ETIMEDOUT)
        return "FAILED: took too long";
    return "FAILED";
}

static void print_table(const struct bench_suite *suite,
                        const struct bench_entry *entries,
                        const struct result *results, size_t n_entries,
                        FILE *table)
{
    (void)fprintf(table, "%s: median [min .. max] of %u interleaved rounds\n",
                  suite->name, suite->n_rounds);
    for (size_t i = 0; i < n_entries; i++) {
        const struct bench_entry *e = &entries[i];
        const struct result *r = &results[i];
        double best;

        if (!is_wanted(suite, e))
            continue;
        if (i == 0 || strcmp(entries[i - 1].work, e->work) != 0)
            (void)fprintf(table, "\n%s, in %s (%s is better)\n", e->work,
                          e->unit, e->more_is_better ? "more" : "less");
        if (r->n_figures == 0) {
            (void)fprintf(table, "  %-22s %s\n", e->runtime, why_missing(e, r));
            continue;
        }
        (void)fprintf(table, "  %-22s %10.4g  [%.4g .. %.4g]", e->runtime,
                      r->median, r->figures[0], r->figures[r->n_figures - 1]);
        best = best_rival(suite, entries, results, n_entries, i);
        if (is_ours(suite, e) && best > 0)
            (void)fprintf(table, "   %.2fx the best rival", r->median / best);
        if (r->n_figures < suite->n_rounds)
            (void)fprintf(table, "   FAILED in %u of %u rounds",
                          suite->n_rounds - r->n_figures, suite->n_rounds);
        (void)fprintf(table, "\n");
    }
    (void)fflush(table);
}

static void print_json_text(FILE *json, const char *name, const char *text)
{
    (void)fprintf(json, "\"%s\": \"", name);
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            (void)fputc('\\', json);
        (void)fputc(*c, json);
    }
    (void)fputs("\", ", json);
}

static int write_json(const struct bench_suite *suite,
                      const struct bench_entry *entries,
                      const struct result *results, size_t n_entries)
{
    const char *separator = "";
    FILE *json = fopen(suite->json_path, "we");
    int is_bad;

    if (!json) {
        (void)fprintf(stderr, "%s: %s\n", suite->json_path, strerror(errno));
        return 1;
    }
    (void)fputs("[", json);
    for (size_t i = 0; i < n_entries; i++) {
        const struct result *r = &results[i];

        if (r->n_figures == 0)
            continue;
        (void)fprintf(json, "%s\n  {", separator);
        print_json_text(json, "suite", suite->name);
        print_json_text(json, "work", entries[i].work);
        print_json_text(json, "runtime", entries[i].runtime);
        print_json_text(json, "unit", entries[i].unit);
        (void)fprintf(json,
                      "\"median\": %.6g, \"min\": %.6g, \"max\": %.6g, "
                      "\"rounds\": %u}",
                      r->median, r->figures[0], r->figures[r->n_figures - 1],
                      r->n_figures);
        separator = ",";
    }
    (void)fputs("\n]\n", json);
    is_bad = ferror(json);
    return fclose(json) != 0 || is_bad;
}

/* All rounds of all entries; a figure each. */
static void run_rounds(const struct bench_suite *suite,
                       const struct bench_entry *entries,
                       struct result *results, size_t n_entries)
{
    for (unsigned round = 0; round < suite->n_rounds; round++) {
        (void)fprintf(stderr, "\r%s: round %u of %u ", suite->name, round + 1,
                      suite->n_rounds);
        for (size_t i = 0; i < n_entries; i++) {
            /* what could not run in the first round will not in the next */
            if (is_wanted(suite, &entries[i]) &&
                (round == 0 || results[i].status != BENCH_SKIPPED))
                run_entry(suite, &entries[i], &results[i]);
        }
    }
    (void)fprintf(stderr, "\n");
}

int bench_run(const struct bench_suite *suite,
              const struct bench_entry *entries, size_t n_entries, FILE *table)
{
    struct result *results = calloc(n_entries + 1, sizeof *results);
    double *figures = calloc(n_entries * suite->n_rounds + 1, sizeof *figures);
    int rc = 1;

    if (!results || !figures)
        goto free_all;
    for (size_t i = 0; i < n_entries; i++)
        results[i].figures = &figures[i * suite->n_rounds];
    run_rounds(suite, entries, results, n_entries);

    rc = 0;
    for (size_t i = 0; i < n_entries; i++) {
        struct result *r = &results[i];

        if (r->n_figures > 0)
            r->median = bench_median(r->figures, r->n_figures);
        if (is_wanted(suite, &entries[i]) && is_ours(suite, &entries[i]) &&
            r->n_figures < suite->n_rounds && r->status != BENCH_SKIPPED)
            rc = 1;
    }
    print_table(suite, entries, results, n_entries, table);
    if (suite->json_path)
        rc |= write_json(suite, entries, results, n_entries);

free_all:
    free(figures);
    free(results);
    return rc;
}

int bench_options(struct bench_suite *suite, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (value && strcmp(argv[i], "--rounds") == 0)
            suite->n_rounds = (unsigned)strtoul(value, NULL, 10);
        else if (value && strcmp(argv[i], "--json") == 0)
            suite->json_path = value;
        else if (value && strcmp(argv[i], "--only") == 0)
            suite->only = value;
        else {
            (void)fprintf(
                stderr, "usage: %s [--rounds N] [--json FILE] [--only TEXT]\n",
                argv[0]);
            return 2;
        }
        i++;
    }
    if (suite->n_rounds == 0)
        suite->n_rounds = MIN_ROUNDS;
    return 0;
}
