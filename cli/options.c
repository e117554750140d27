/* options.c: the command line of `muster map` and `muster compare`: its words, and
 * what goes with what. */
#include "options.h"

#include <string.h>

#include "foreign.h"
#include "option_defs.h"
#include "say.h"
#include "template.h"
#include "work.h"

static const char *command_name(enum options_command who)
{
    return who == OPTIONS_MAP ? "map" : "compare";
}

static const struct option_def *find_long(const char *name, size_t length,
                                          enum options_command who)
{
    size_t n;
    const struct option_def *defs = option_defs(&n);

    for (size_t i = 0; i < n; i++)
        if ((defs[i].who & (unsigned)who) &&
            strncmp(defs[i].name, name, length) == 0 && !defs[i].name[length])
            return &defs[i];
    return NULL;
}

static const struct option_def *find_letter(char letter,
                                            enum options_command who)
{
    size_t n;
    const struct option_def *defs = option_defs(&n);

    for (size_t i = 0; i < n; i++)
        if ((defs[i].who & (unsigned)who) && defs[i].letter == letter)
            return &defs[i];
    return NULL;
}

static int refuse_unknown(const char *word, size_t length,
                          enum options_command who)
{
    char name[64] = "";
    struct say_nearest nearest = {.typed = name};
    const char *remedy = foreign_long(word, length);
    size_t n;
    const struct option_def *defs = option_defs(&n);

    if (remedy)
        return say_refuse("no option --%.*s: %s", (int)length, word, remedy);
    if (length < sizeof name)
        memcpy(name, word, length);
    for (size_t i = 0; i < n; i++)
        if (defs[i].who & (unsigned)who)
            say_nearest_offer(&nearest, defs[i].name);
    if (nearest.best)
        return say_refuse("no option --%.*s: did you mean --%s?", (int)length,
                          word, nearest.best);
    return say_refuse("no option --%.*s: see muster %s --help", (int)length,
                      word, command_name(who));
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
    if (def->has_value && !value) {
        if (r->i + 1 >= r->argc)
            return say_refuse("--%s needs a value: see muster %s --help",
                              def->name, command_name(r->who));
        value = r->argv[++r->i];
    }
    return def->read(o, def, value);
}

static int read_long(struct options *o, struct reader *r, const char *word)
{
    const char *value = strchr(word, '=');
    size_t length = value ? (size_t)(value - word) : strlen(word);
    const struct option_def *def = find_long(word, length, r->who);

    if (!def)
        return refuse_unknown(word, length, r->who);
    if (value && !def->has_value)
        return say_refuse("--%s takes no value: leave it out", def->name);
    return take_option(o, r, def, value ? value + 1 : NULL);
}

/* Letters may stand together: -k0j4. */
static int read_letters(struct options *o, struct reader *r, const char *word)
{
    for (const char *c = word; *c; c++) {
        const struct option_def *def = find_letter(*c, r->who);
        int rc;

        if (!def && foreign_letter(*c))
            return say_refuse("no option -%c: %s", *c, foreign_letter(*c));
        if (!def)
            return say_refuse("no option -%c: see muster %s --help", *c,
                              command_name(r->who));
        rc = take_option(o, r, def, def->has_value && c[1] ? c + 1 : NULL);
        if (rc != OPTIONS_RUN || def->has_value)
            return rc;
    }
    return OPTIONS_RUN;
}

/* Words that stand between WORK and INPUTS; also those that GNU parallel has. */
static int is_inputs(const char *word)
{
    return strncmp(word, ":::", 3) == 0 && word[strspn(word, ":+")] == '\0';
}

int options_add_source(struct options *o, struct source source)
{
    if (o->n_sources == SOURCES_MAX)
        return say_refuse("there are more than %d sources of inputs: put some "
                          "into one file",
                          SOURCES_MAX);
    o->sources[o->n_sources++] = source;
    return 0;
}

/* What follows after one of ::: :::+ :::: ::::+, up to the next of them: inputs, or
 * files of them. */
static int read_source(struct options *o, const char *mark, char **words,
                       size_t n_words)
{
    const int is_files = strncmp(mark, "::::", 4) == 0;
    const char *rest = mark + (is_files ? 4 : 3);
    const int is_linked = *rest == '+';
    int rc = 0;

    if (rest[is_linked])
        return say_refuse("%s: inputs follow after :::, or :::: and the name "
                          "of a file",
                          mark);
    if (is_linked && o->n_sources == 0)
        return say_refuse("%s goes along with the source before it: begin "
                          "with %.*s",
                          mark, (int)(rest - mark), mark);
    if (!is_files)
        return options_add_source(o, (struct source){.args = words,
                                                     .n_args = n_words,
                                                     .is_linked = is_linked});
    if (n_words == 0)
        return say_refuse("%s needs the name of a file of inputs", mark);
    for (size_t i = 0; i < n_words && rc == 0; i++)
        rc = options_add_source(
            o, (struct source){.file = words[i], .is_linked = is_linked});
    return rc;
}

/* All sources, to the end of the command line. */
static int read_inputs(struct options *o, struct reader *r)
{
    while (r->i < r->argc) {
        const char *mark = r->argv[r->i++];
        char **words = r->argv + r->i;
        size_t n = 0;

        for (; r->i < r->argc && !is_inputs(r->argv[r->i]); r->i++)
            n++;
        if (read_source(o, mark, words, n) < 0)
            return OPTIONS_WRONG;
    }
    return OPTIONS_RUN;
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
    if (o->work && !work_names_function(o->work))
        return say_refuse("'%s' after %s: for a command write -- %s %s", word,
                          o->work, o->work, word);
    if (o->work)
        return say_refuse("'%s' after WORK %s: inputs follow after :::", word,
                          o->work);
    o->work = word;
    return OPTIONS_RUN;
}

static int check_reduce(const struct options *o)
{
    if (o->is_command)
        return say_refuse("--reduce combines the outputs of a C function: "
                          "WORK has to be file.c:function or lib.so:function");
    if (o->resume)
        return say_refuse(
            "--resume cannot go with --reduce: the outputs of the "
            "earlier run are gone, leave one out");
    if (o->tag || o->json)
        return say_refuse("--%s cannot go with --reduce: one output is left, "
                          "leave it out",
                          o->tag ? "tag" : "json");
    return 0;
}

static int is_stdin(const struct source *s)
{
    return !s->args && strcmp(s->file, "-") == 0;
}

static int check_sources(const struct options *o)
{
    int n_stdin = 0;

    for (size_t i = 0; i < o->n_sources; i++)
        n_stdin += is_stdin(&o->sources[i]);
    if (n_stdin > 1)
        return say_refuse("standard input can be read once: '-' stands for it "
                          "%d times",
                          n_stdin);
    if (o->n_sources < 2)
        return 0;
    if (o->each != EACH_LINE)
        return say_refuse("--each %s takes one source of inputs: several make "
                          "combinations of words or lines",
                          o->each == EACH_FILE     ? "file"
                          : o->each == EACH_RECORD ? "record"
                                                   : "chunk");
    if (o->colsep || o->max_args > 1)
        return say_refuse("%s takes one source of inputs: leave one out",
                          o->colsep ? "--colsep" : "-n");
    return 0;
}

/* What goes with what. */
static int check(const struct options *o, enum options_command who)
{
    if (!o->work && !o->is_command)
        return say_refuse("WORK is missing: muster %s file.c:function, "
                          "lib.so:function, or -- command {}",
                          command_name(who));
    if (check_sources(o) < 0)
        return -1;
    if (o->resume && !o->joblog)
        return say_refuse(
            "--resume needs --joblog FILE: it tells what has run");
    if (o->resume && strcmp(o->joblog, "-") == 0)
        return say_refuse("--resume cannot read --joblog -: name a file");
    if (o->reduce && check_reduce(o) != 0)
        return -1; /* it has been said */
    if (o->max_args > 1 && (!o->is_command || o->each != EACH_LINE))
        return say_refuse("-n %u is for commands that get names: -- command {}",
                          o->max_args);
    if (o->colsep && (!o->is_command || o->each != EACH_LINE))
        return say_refuse("--colsep is for commands, which get columns as {1} "
                          "{2}: -- command {1}");
    if (o->colsep && o->max_args > 1)
        return say_refuse("--colsep cannot go with -n %u: each line is one "
                          "input then, leave one out",
                          o->max_args);
    if (o->tag_string &&
        template_check(o->tag_string, options_inputs_are_many(o)) < 0)
        return -1;
    if (o->results &&
        template_check(o->results, options_inputs_are_many(o)) < 0)
        return -1;
    if (o->tag && o->json)
        return say_refuse("--tag cannot go with --json: each object has its "
                          "input, leave it out");
    return 0;
}

enum options_answer options_read(struct options *ret, enum options_command who,
                                 int argc, char **argv)
{
    struct options o = {
        .delimiter = '\n', .tries = 1, .max_args = 1, .rounds = 5};
    struct reader r = {.who = who, .argv = argv, .argc = argc};

    for (r.i = 1; r.i < argc; r.i++) {
        int rc = read_word(&o, &r);

        if (rc != OPTIONS_RUN)
            return rc == OPTIONS_HELP ? OPTIONS_HELP : OPTIONS_WRONG;
    }
    if (o.n_sources == 0)
        o.sources[o.n_sources++] = (struct source){.file = "-"};
    if (check(&o, who) < 0)
        return OPTIONS_WRONG;
    *ret = o;
    return OPTIONS_RUN;
}

int options_inputs_are_many(const struct options *o)
{
    return o->max_args > 1 || o->colsep || o->n_sources > 1;
}

/* The words of source i and of those linked to it: the fewest; *ret_next is the source
 * behind them. Of several sources, an empty one counts as one empty value. */
static uint64_t n_linked(const struct options *o, size_t i, size_t *ret_next)
{
    uint64_t n = UINT64_MAX;

    do {
        uint64_t own = o->sources[i].n_args;

        if (own == 0 && o->n_sources > 1)
            own = 1;
        n = own < n ? own : n;
    } while (++i < o->n_sources && o->sources[i].is_linked);
    *ret_next = i;
    return n;
}

uint64_t options_n_words(const struct options *o)
{
    uint64_t n = 1;

    for (size_t i = 0; i < o->n_sources; i++)
        if (!o->sources[i].args)
            return 0;
    for (size_t i = 0; i < o->n_sources;)
        if (__builtin_mul_overflow(n, n_linked(o, i, &i), &n))
            return 0;
    return n;
}

int options_inputs_are_files(const struct options *o)
{
    return o->each != EACH_LINE;
}
