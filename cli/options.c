/* options.c: the command line of `muster map` and `muster compare`. Options that
 * GNU parallel has keep their names, their letters and their meaning. */
#include "options.h"

#include <limits.h>
#include <string.h>

#include "muster/pool.h"

#include "parse.h"
#include "say.h"

enum option_id {
    OPT_ARG_FILE,
    OPT_BAR,
    OPT_CHILDREN,
    OPT_DRY_RUN,
    OPT_EACH,
    OPT_ETA,
    OPT_HALT,
    OPT_HELP,
    OPT_JOBLOG,
    OPT_JOBS,
    OPT_JSON,
    OPT_KEEP_ORDER,
    OPT_MEMORY,
    OPT_MODEL,
    OPT_MODELS,
    OPT_NULL,
    OPT_PROGRESS,
    OPT_QUIET,
    OPT_REDUCE,
    OPT_RESULTS,
    OPT_RESUME,
    OPT_RESUME_FAILED,
    OPT_RETRIES,
    OPT_ROUNDS,
    OPT_TAG,
    OPT_TIMEOUT,
    OPT_TOTAL
};

struct option_def {
    const char *name;
    enum option_id id;
    char letter; /* 0: none */
    char has_value;
    unsigned who; /* enum options_command */
};

enum { BOTH = OPTIONS_MAP | OPTIONS_COMPARE, TRIES_MAX = 65536 };

static const struct option_def defs[] = {
    {"arg-file", OPT_ARG_FILE, 'a', 1, BOTH},
    {"bar", OPT_BAR, 0, 0, OPTIONS_MAP},
    {"children", OPT_CHILDREN, 0, 1, OPTIONS_MAP},
    {"dry-run", OPT_DRY_RUN, 0, 0, OPTIONS_MAP},
    {"each", OPT_EACH, 0, 1, BOTH},
    {"eta", OPT_ETA, 0, 0, OPTIONS_MAP},
    {"halt", OPT_HALT, 0, 1, OPTIONS_MAP},
    {"halt-on-error", OPT_HALT, 0, 1, OPTIONS_MAP},
    {"help", OPT_HELP, 'h', 0, BOTH},
    {"joblog", OPT_JOBLOG, 0, 1, OPTIONS_MAP},
    {"jl", OPT_JOBLOG, 0, 1, OPTIONS_MAP},
    {"jobs", OPT_JOBS, 'j', 1, BOTH},
    {"max-procs", OPT_JOBS, 'P', 1, BOTH},
    {"json", OPT_JSON, 0, 0, BOTH},
    {"keep-order", OPT_KEEP_ORDER, 'k', 0, OPTIONS_MAP},
    {"memory", OPT_MEMORY, 0, 1, OPTIONS_MAP},
    {"model", OPT_MODEL, 0, 1, OPTIONS_MAP},
    {"models", OPT_MODELS, 0, 1, OPTIONS_COMPARE},
    {"null", OPT_NULL, '0', 0, BOTH},
    {"progress", OPT_PROGRESS, 0, 0, OPTIONS_MAP},
    {"quiet", OPT_QUIET, 0, 0, BOTH},
    {"silent", OPT_QUIET, 0, 0, BOTH},
    {"reduce", OPT_REDUCE, 0, 1, BOTH},
    {"results", OPT_RESULTS, 0, 1, OPTIONS_MAP},
    {"res", OPT_RESULTS, 0, 1, OPTIONS_MAP},
    {"resume", OPT_RESUME, 0, 0, OPTIONS_MAP},
    {"resume-failed", OPT_RESUME_FAILED, 0, 0, OPTIONS_MAP},
    {"retries", OPT_RETRIES, 0, 1, OPTIONS_MAP},
    {"rounds", OPT_ROUNDS, 0, 1, OPTIONS_COMPARE},
    {"tag", OPT_TAG, 0, 0, OPTIONS_MAP},
    {"timeout", OPT_TIMEOUT, 0, 1, OPTIONS_MAP},
    {"total-jobs", OPT_TOTAL, 0, 1, OPTIONS_MAP},
};
enum { N_DEFS = sizeof defs / sizeof defs[0] };

static const char *command_name(enum options_command who)
{
    return who == OPTIONS_MAP ? "map" : "compare";
}

static const struct option_def *find_long(const char *name, size_t length,
                                          enum options_command who)
{
    for (size_t i = 0; i < N_DEFS; i++)
        if ((defs[i].who & (unsigned)who) &&
            strncmp(defs[i].name, name, length) == 0 && !defs[i].name[length])
            return &defs[i];
    return NULL;
}

static const struct option_def *find_letter(char letter,
                                            enum options_command who)
{
    for (size_t i = 0; i < N_DEFS; i++)
        if ((defs[i].who & (unsigned)who) && defs[i].letter == letter)
            return &defs[i];
    return NULL;
}

static int refuse_unknown(const char *word, size_t length,
                          enum options_command who)
{
    char name[64] = "";
    struct say_nearest nearest = {.typed = name};

    if (length < sizeof name)
        memcpy(name, word, length);
    for (size_t i = 0; i < N_DEFS; i++)
        if (defs[i].who & (unsigned)who)
            say_nearest_offer(&nearest, defs[i].name);
    if (nearest.best)
        return say_refuse("no option --%.*s: did you mean --%s?", (int)length,
                          word, nearest.best);
    return say_refuse("no option --%.*s: see muster %s --help", (int)length,
                      word, command_name(who));
}

/* --each line|file|record=N|chunk=SIZE */
static int read_each(struct options *o, const char *value)
{
    const char *size = strchr(value, '=');

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

static int read_halt(struct options *o, const char *value)
{
    if (halt_parse(value, &o->halt) < 0)
        return say_refuse(
            "--halt %s: it is never, or now or soon, a comma, and "
            "fail=N, success=N or done=N (or N%%): now,fail=1",
            value);
    return 0;
}

static int read_jobs(struct options *o, const char *value)
{
    unsigned jobs;

    if (parse_jobs(value, 1, &jobs) < 0)
        return say_refuse("-j %s: it is a number, 0 for as many as can be, N%% "
                          "of the CPUs, or +N or -N to add to their number",
                          value);
    o->jobs = value;
    return 0;
}

/* GNU parallel counts the tries in all, and 0 stands for no end of them: here, as
 * many as a pool will make. */
static int read_retries(struct options *o, const char *value)
{
    uint64_t tries;

    if (parse_count(value, &tries) < 0 || tries > TRIES_MAX)
        return say_refuse("--retries %s: it is how often a task is tried in "
                          "all: 3",
                          value);
    o->tries = tries ? (unsigned)tries : TRIES_MAX;
    return 0;
}

static int read_timeout(struct options *o, const char *value)
{
    if (strchr(value, '%'))
        return say_refuse("--timeout %s: a share of the median is not offered: "
                          "write seconds, or 1.5m, 2h",
                          value);
    if (parse_duration(value, &o->timeout_ns) < 0 || o->timeout_ns <= 0)
        return say_refuse("--timeout %s: it is seconds, or 1.5m, 2h, 1d",
                          value);
    return 0;
}

static int read_memory(struct options *o, const char *value)
{
    if (parse_size(value, &o->memory_bytes) < 0 || o->memory_bytes == 0)
        return say_refuse("--memory %s: it is bytes for each worker: 512M, 2G",
                          value);
    return 0;
}

static int read_children(struct options *o, const char *value)
{
    uint64_t n;

    if (parse_count(value, &n) < 0 || n == 0 || n > INT_MAX)
        return say_refuse(
            "--children %s: it is how many processes the tasks of "
            "a worker may have: 10",
            value);
    o->n_children = (unsigned)n;
    return 0;
}

static int read_rounds(struct options *o, const char *value)
{
    uint64_t rounds;

    if (parse_count(value, &rounds) < 0 || rounds == 0 || rounds > 1000)
        return say_refuse("--rounds %s: it is a number from 1 to 1000", value);
    o->rounds = (unsigned)rounds;
    return 0;
}

static int read_model(const char *value)
{
    struct mu_error err = {0};
    char full[256];

    if (mu_model_check(value, full, sizeof full, &err) < 0)
        return say_refuse("--model %s: %s", value, err.text);
    return 0;
}

static int read_string(const char **ret, const struct option_def *def,
                       const char *value)
{
    if (!*value)
        return say_refuse("--%s needs a name, not an empty word", def->name);
    *ret = value;
    return 0;
}

/* Options with a value. */
static int take_value(struct options *o, const struct option_def *def,
                      const char *value)
{
    switch (def->id) {
    case OPT_ARG_FILE:
        if (o->arg_file)
            return say_refuse("-a %s: there is one input file, and %s was "
                              "given before",
                              value, o->arg_file);
        return read_string(&o->arg_file, def, value);
    case OPT_CHILDREN:
        return read_children(o, value);
    case OPT_EACH:
        return read_each(o, value);
    case OPT_HALT:
        return read_halt(o, value);
    case OPT_JOBLOG:
        return read_string(&o->joblog, def, value);
    case OPT_JOBS:
        return read_jobs(o, value);
    case OPT_MEMORY:
        return read_memory(o, value);
    case OPT_MODEL:
        o->model = value;
        return read_model(value);
    case OPT_MODELS:
        return read_string(&o->models, def, value);
    case OPT_REDUCE:
        return read_string(&o->reduce, def, value);
    case OPT_RESULTS:
        return read_string(&o->results, def, value);
    case OPT_RETRIES:
        return read_retries(o, value);
    case OPT_ROUNDS:
        return read_rounds(o, value);
    case OPT_TIMEOUT:
        return read_timeout(o, value);
    default: /* OPT_TOTAL */
        if (parse_count(value, &o->n_total) < 0)
            return say_refuse("--total-jobs %s: it is a number", value);
        return 0;
    }
}

/* Options that are there or not. */
static void take_flag(struct options *o, const struct option_def *def)
{
    switch (def->id) {
    case OPT_BAR:
        o->bar = 1;
        break;
    case OPT_DRY_RUN:
        o->dry_run = 1;
        break;
    case OPT_ETA:
        o->eta = 1;
        break;
    case OPT_JSON:
        o->json = 1;
        break;
    case OPT_KEEP_ORDER:
        o->keep_order = 1;
        break;
    case OPT_NULL:
        o->delimiter = '\0';
        break;
    case OPT_PROGRESS:
        o->progress = 1;
        break;
    case OPT_QUIET:
        o->quiet = 1;
        break;
    case OPT_RESUME:
        if (o->resume == RESUME_NO)
            o->resume = RESUME_UNFINISHED;
        break;
    case OPT_RESUME_FAILED:
        o->resume = RESUME_FAILED;
        break;
    default: /* OPT_TAG */
        o->tag = 1;
    }
}

/* The words still to be read. */
struct reader {
    enum options_command who;
    char **argv;
    int argc;
    int i;
};

static int take_option(struct options *o, struct reader *r,
                       const struct option_def *def, const char *value)
{
    if (def->id == OPT_HELP)
        return OPTIONS_HELP;
    if (!def->has_value) {
        take_flag(o, def);
        return OPTIONS_RUN;
    }
    if (!value) {
        if (r->i + 1 >= r->argc)
            return say_refuse("--%s needs a value: see muster %s --help",
                              def->name, command_name(r->who));
        value = r->argv[++r->i];
    }
    return take_value(o, def, value);
}

static int read_long(struct options *o, struct reader *r, const char *word)
{
    const char *value = strchr(word, '=');
    size_t length = value ? (size_t)(value - word) : strlen(word);
    const struct option_def *def = find_long(word, length, r->who);

    if (!def)
        return refuse_unknown(word, length, r->who);
    if (value && !def->has_value)
        return say_refuse("--%s takes no value", def->name);
    return take_option(o, r, def, value ? value + 1 : NULL);
}

/* Letters may stand together: -k0j4. */
static int read_letters(struct options *o, struct reader *r, const char *word)
{
    for (const char *c = word; *c; c++) {
        const struct option_def *def = find_letter(*c, r->who);
        int rc;

        if (!def)
            return say_refuse("no option -%c: see muster %s --help", *c,
                              command_name(r->who));
        rc = take_option(o, r, def, def->has_value && c[1] ? c + 1 : NULL);
        if (rc != OPTIONS_RUN || def->has_value)
            return rc;
    }
    return OPTIONS_RUN;
}

/* ":::" and what follows are inputs; "::::" names a file of them. */
static int read_inputs(struct options *o, struct reader *r)
{
    char **words = r->argv + r->i + 1;
    size_t n = (size_t)(r->argc - r->i - 1);

    for (size_t i = 0; i < n; i++)
        if (strcmp(words[i], ":::") == 0 || strcmp(words[i], "::::") == 0)
            return say_refuse("%s a second time: there is one source of inputs",
                              words[i]);
    if (strcmp(r->argv[r->i], "::::") == 0) {
        if (n != 1 || o->arg_file)
            return say_refuse(":::: takes the name of one file of inputs");
        o->arg_file = words[0];
    } else {
        o->args = words;
        o->n_args = n;
        o->has_args = 1;
    }
    r->i = r->argc;
    return OPTIONS_RUN;
}

static int is_inputs(const char *word)
{
    return strcmp(word, ":::") == 0 || strcmp(word, "::::") == 0;
}

static int read_command(struct options *o, struct reader *r)
{
    if (o->work)
        return say_refuse("WORK is %s already: a command after -- stands "
                          "instead of it",
                          o->work);
    o->is_command = 1;
    o->command = r->argv + r->i + 1;
    for (r->i++; r->i < r->argc && !is_inputs(r->argv[r->i]); r->i++)
        o->n_command++;
    return r->i < r->argc ? read_inputs(o, r) : OPTIONS_RUN;
}

static int read_word(struct options *o, struct reader *r)
{
    const char *word = r->argv[r->i];

    if (strcmp(word, "--") == 0)
        return read_command(o, r);
    if (is_inputs(word))
        return read_inputs(o, r);
    if (word[0] == '-' && word[1] == '-')
        return read_long(o, r, word + 2);
    if (word[0] == '-' && word[1])
        return read_letters(o, r, word + 1);
    if (o->work)
        return say_refuse("'%s' after WORK %s: inputs follow after :::", word,
                          o->work);
    o->work = word;
    return OPTIONS_RUN;
}

/* What goes with what. */
static int check(const struct options *o, enum options_command who)
{
    if (!o->work && !o->is_command)
        return say_refuse("WORK is missing: muster %s file.c:function, "
                          "lib.so:function, or -- command {}",
                          command_name(who));
    if (o->has_args && o->arg_file)
        return say_refuse("inputs come from ::: or from -a %s, not from both",
                          o->arg_file);
    if (o->resume && !o->joblog)
        return say_refuse(
            "--resume needs --joblog FILE: it tells what has run");
    if (o->resume && strcmp(o->joblog, "-") == 0)
        return say_refuse("--resume cannot read --joblog -: name a file");
    if (o->reduce && o->is_command)
        return say_refuse("--reduce combines the outputs of a C function: "
                          "WORK has to be file.c:function or lib.so:function");
    if (o->reduce && o->resume)
        return say_refuse(
            "--resume cannot go with --reduce: the outputs of the "
            "earlier run are gone");
    if (o->reduce && (o->tag || o->json))
        return say_refuse("--%s cannot go with --reduce: one output is left",
                          o->tag ? "tag" : "json");
    if (o->tag && o->json)
        return say_refuse("--tag cannot go with --json: each object has its "
                          "input");
    return 0;
}

enum options_answer options_read(struct options *ret, enum options_command who,
                                 int argc, char **argv)
{
    struct options o = {.delimiter = '\n', .tries = 1, .rounds = 5};
    struct reader r = {.who = who, .argv = argv, .argc = argc};

    for (r.i = 1; r.i < argc; r.i++) {
        int rc = read_word(&o, &r);

        if (rc != OPTIONS_RUN)
            return rc == OPTIONS_HELP ? OPTIONS_HELP : OPTIONS_WRONG;
    }
    if (check(&o, who) < 0)
        return OPTIONS_WRONG;
    *ret = o;
    return OPTIONS_RUN;
}

int options_inputs_are_files(const struct options *o)
{
    return o->each != EACH_LINE;
}
