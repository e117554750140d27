/* option_defs.c: the options. Those that GNU parallel has keep their names, their
 * letters and their meaning. */
#include "option_defs.h"

#include <limits.h>
#include <string.h>

#include "muster/pool.h"

#include "parse.h"
#include "say.h"

enum {
    BOTH = OPTIONS_MAP | OPTIONS_COMPARE,
    TRIES_MAX = 65536,
    MAX_ARGS_MAX = 100000,
    MEMORY_BYTES_MIN = 1024 * 1024
};

/* --each line|file|record=N|chunk=SIZE */
static int read_each(struct options *o, const struct option_def *def,
                     const char *value)
{
    const char *size = strchr(value, '=');

    (void)def;
    if (strcmp(value, "line") == 0) {
        o->each = EACH_LINE;
        return 0;
    }
    if (strcmp(value, "file") == 0) {
        o->each = EACH_FILE;
        return 0;
    }
    if (strncmp(value, "record=", 7) == 0)
        o->each = EACH_RECORD;
    else if (strncmp(value, "chunk=", 6) == 0)
        o->each = EACH_CHUNK;
    else
        return say_refuse("--each %s: it is line, file, record=BYTES or "
                          "chunk=SIZE",
                          value);
    if (parse_size(size + 1, &o->each_bytes) < 0 || o->each_bytes == 0)
        return say_refuse("--each %s: '%s' is no size: write 512, 64K, 1M",
                          value, size + 1);
    return 0;
}

static int read_halt(struct options *o, const struct option_def *def,
                     const char *value)
{
    (void)def;
    if (halt_parse(value, &o->halt) < 0)
        return say_refuse(
            "--halt %s: it is never, or now or soon, a comma, and "
            "fail=N, success=N or done=N (N from 1, or N%%): now,fail=1",
            value);
    return 0;
}

static int read_jobs(struct options *o, const struct option_def *def,
                     const char *value)
{
    unsigned jobs;

    (void)def;
    if (parse_jobs(value, 1, &jobs) < 0)
        return say_refuse(
            "-j %s: it is a number up to 4096, 0 for as many as can be, N%% "
            "of the CPUs, or +N or -N to add to their number",
            value);
    o->jobs = value;
    o->jobs_of_inputs = jobs == 0;
    return 0;
}

/* GNU parallel counts the tries in all, and 0 stands for no end of them: here for as
 * many as a pool makes. */
static int read_retries(struct options *o, const struct option_def *def,
                        const char *value)
{
    uint64_t tries;

    (void)def;
    if (parse_count(value, &tries) < 0 || tries > TRIES_MAX)
        return say_refuse("--retries %s: it is how often a task is tried in "
                          "all, up to %d: 3",
                          value, TRIES_MAX);
    o->tries = tries ? (unsigned)tries : TRIES_MAX;
    return 0;
}

static int read_timeout(struct options *o, const struct option_def *def,
                        const char *value)
{
    (void)def;
    if (strchr(value, '%'))
        return say_refuse("--timeout %s: a share of the median is not offered: "
                          "write seconds, or 1.5m, 2h",
                          value);
    if (parse_duration(value, &o->timeout_ns) < 0 || o->timeout_ns <= 0)
        return say_refuse("--timeout %s: it is seconds, or 1.5m, 2h, 1d: more "
                          "than 0, less than " PARSE_SECONDS_END " seconds",
                          value);
    return 0;
}

static int read_delay(struct options *o, const struct option_def *def,
                      const char *value)
{
    (void)def;
    if (parse_duration(value, &o->delay_ns) < 0)
        return say_refuse("--delay %s: it is seconds, or 1.5m, 2h: less "
                          "than " PARSE_SECONDS_END " seconds",
                          value);
    return 0;
}

static int read_memory(struct options *o, const struct option_def *def,
                       const char *value)
{
    (void)def;
    if (parse_size(value, &o->memory_bytes) < 0 ||
        o->memory_bytes < MEMORY_BYTES_MIN)
        return say_refuse("--memory %s: it is bytes for each worker, 1M or "
                          "more, less than " PARSE_BYTES_END ": 512M, 2G",
                          value);
    return 0;
}

static int read_children(struct options *o, const struct option_def *def,
                         const char *value)
{
    uint64_t n;

    (void)def;
    if (parse_count(value, &n) < 0 || n == 0 || n > INT_MAX)
        return say_refuse(
            "--children %s: it is how many processes the tasks of "
            "a worker may have: 10",
            value);
    o->n_children = (unsigned)n;
    return 0;
}

static int read_rounds(struct options *o, const struct option_def *def,
                       const char *value)
{
    uint64_t rounds;

    (void)def;
    if (parse_count(value, &rounds) < 0 || rounds == 0 || rounds > 1000)
        return say_refuse("--rounds %s: it is a number from 1 to 1000", value);
    o->rounds = (unsigned)rounds;
    return 0;
}

static int read_model(struct options *o, const struct option_def *def,
                      const char *value)
{
    struct mu_error err = {0};
    char full[256];

    (void)def;
    if (mu_model_check(value, full, sizeof full, &err) < 0)
        return say_refuse("--model %s: %s", value, err.text);
    o->model = value;
    return 0;
}

static int read_total(struct options *o, const struct option_def *def,
                      const char *value)
{
    (void)def;
    if (parse_count(value, &o->n_total) < 0)
        return say_refuse(
            "--total-jobs %s: it is how many inputs there will be: 1000",
            value);
    return 0;
}

static int read_delimiter(struct options *o, const struct option_def *def,
                          const char *value)
{
    (void)def;
    if (parse_byte(value, &o->delimiter) < 0)
        return say_refuse("-d '%s': it is one byte, or an escape of C for one: "
                          "\\n, \\0, \\x41",
                          value);
    return 0;
}

static int read_max_args(struct options *o, const struct option_def *def,
                         const char *value)
{
    uint64_t n;

    (void)def;
    if (parse_count(value, &n) < 0 || n == 0 || n > MAX_ARGS_MAX)
        return say_refuse(
            "-n %s: it is how many inputs a command gets: 1 to %d", value,
            MAX_ARGS_MAX);
    o->max_args = (unsigned)n;
    return 0;
}

/* -I{} of xargs: that is what there is. */
static int read_replace(struct options *o, const struct option_def *def,
                        const char *value)
{
    (void)o;
    (void)def;
    if (strcmp(value, "{}") != 0)
        return say_refuse("-I %s: the input is {}, and nothing else", value);
    return 0;
}

static int read_tag_string(struct options *o, const struct option_def *def,
                           const char *value)
{
    (void)def;
    o->tag_string = value;
    o->tag = 1;
    return 0;
}

static int read_resume_failed(struct options *o, const struct option_def *def,
                              const char *value)
{
    (void)def;
    (void)value;
    o->resume = RESUME_FAILED;
    return 0;
}

static int read_resume(struct options *o, const struct option_def *def,
                       const char *value)
{
    (void)def;
    (void)value;
    if (o->resume == RESUME_NO)
        o->resume = RESUME_UNFINISHED;
    return 0;
}

static int read_null(struct options *o, const struct option_def *def,
                     const char *value)
{
    (void)def;
    (void)value;
    o->delimiter = '\0';
    return 0;
}

static int read_help(struct options *o, const struct option_def *def,
                     const char *value)
{
    (void)o;
    (void)def;
    (void)value;
    return OPTIONS_HELP;
}

static int read_flag(struct options *o, const struct option_def *def,
                     const char *value)
{
    static const int is_set = 1;

    (void)value;
    memcpy((char *)o + def->offset, &is_set, sizeof is_set);
    return 0;
}

static int read_string(struct options *o, const struct option_def *def,
                       const char *value)
{
    if (!*value)
        return say_refuse("--%s needs a name, not an empty word", def->name);
    memcpy((char *)o + def->offset, &value, sizeof value);
    return 0;
}

/* Each is a source of its own, as those behind ::::. */
static int read_arg_file(struct options *o, const struct option_def *def,
                         const char *value)
{
    (void)def;
    if (!*value)
        return say_refuse("-a needs the name of a file, not an empty word");
    return options_add_source(o, (struct source){.file = value});
}

#define FLAG(name, letter, field, who)                                         \
    {                                                                          \
        name, letter, 0, who, read_flag, offsetof(struct options, field)       \
    }
#define STRING(name, letter, field, who)                                       \
    {                                                                          \
        name, letter, 1, who, read_string, offsetof(struct options, field)     \
    }

/* Names for the same stand together; the first is the one of the manual. */
static const struct option_def defs[] = {
    {"arg-file", 'a', 1, BOTH, read_arg_file, 0},
    FLAG("bar", 0, bar, OPTIONS_MAP),
    {"children", 0, 1, OPTIONS_MAP, read_children, 0},
    {"colsep", 'C', 1, OPTIONS_MAP, read_string,
     offsetof(struct options, colsep)},
    {"delay", 0, 1, OPTIONS_MAP, read_delay, 0},
    {"delimiter", 'd', 1, BOTH, read_delimiter, 0},
    FLAG("dry-run", 0, dry_run, OPTIONS_MAP),
    FLAG("dryrun", 0, dry_run, OPTIONS_MAP),
    {"each", 0, 1, BOTH, read_each, 0},
    FLAG("eta", 0, eta, OPTIONS_MAP),
    {"halt", 0, 1, OPTIONS_MAP, read_halt, 0},
    {"halt-on-error", 0, 1, OPTIONS_MAP, read_halt, 0},
    {"help", 'h', 0, BOTH, read_help, 0},
    STRING("joblog", 0, joblog, OPTIONS_MAP),
    STRING("jl", 0, joblog, OPTIONS_MAP),
    {"jobs", 'j', 1, BOTH, read_jobs, 0},
    {"max-procs", 'P', 1, BOTH, read_jobs, 0},
    FLAG("json", 0, json, BOTH),
    FLAG("keep-order", 'k', keep_order, OPTIONS_MAP),
    {"max-args", 'n', 1, OPTIONS_MAP, read_max_args, 0},
    {"max-replace-args", 'N', 1, OPTIONS_MAP, read_max_args, 0},
    {"memory", 0, 1, OPTIONS_MAP, read_memory, 0},
    {"model", 0, 1, OPTIONS_MAP, read_model, 0},
    STRING("models", 0, models, OPTIONS_COMPARE),
    FLAG("no-run-if-empty", 'r', no_blank, OPTIONS_MAP),
    {"null", '0', 0, BOTH, read_null, 0},
    FLAG("progress", 0, progress, OPTIONS_MAP),
    FLAG("quiet", 0, quiet, BOTH),
    FLAG("silent", 0, quiet, BOTH),
    STRING("reduce", 0, reduce, BOTH),
    {"replace", 'I', 1, OPTIONS_MAP, read_replace, 0},
    STRING("results", 0, results, OPTIONS_MAP),
    STRING("res", 0, results, OPTIONS_MAP),
    {"resume", 0, 0, OPTIONS_MAP, read_resume, 0},
    {"resume-failed", 0, 0, OPTIONS_MAP, read_resume_failed, 0},
    {"retries", 0, 1, OPTIONS_MAP, read_retries, 0},
    {"rounds", 0, 1, OPTIONS_COMPARE, read_rounds, 0},
    FLAG("tag", 0, tag, OPTIONS_MAP),
    {"tagstring", 0, 1, OPTIONS_MAP, read_tag_string, 0},
    {"timeout", 0, 1, BOTH, read_timeout, 0},
    {"total-jobs", 0, 1, OPTIONS_MAP, read_total, 0},
};

const struct option_def *option_defs(size_t *ret_n)
{
    *ret_n = sizeof defs / sizeof defs[0];
    return defs;
}
