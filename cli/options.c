/* options.c: the command line of `muster map` and `muster compare`: its words, and
 * what goes with what. */
#include "options.h"

#include <string.h>

#include "option_defs.h"
#include "say.h"

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
    size_t n;
    const struct option_def *defs = option_defs(&n);

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

/* ":::" and what follows are inputs; "::::" names a file of them. */
static int read_inputs(struct options *o, struct reader *r)
{
    char **words = r->argv + r->i + 1;
    size_t n = (size_t)(r->argc - r->i - 1);

    for (size_t i = 0; i < n; i++)
        if (is_inputs(words[i]))
            return say_refuse(
                "'%s' behind '%s': there is one source of inputs: "
                "leave it out",
                words[i], r->argv[r->i]);
    if (strcmp(r->argv[r->i], ":::") != 0 && strcmp(r->argv[r->i], "::::") != 0)
        return say_refuse(
            "%s: inputs follow after :::, or :::: and the name of "
            "a file",
            r->argv[r->i]);
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
    if (check(&o, who) < 0)
        return OPTIONS_WRONG;
    *ret = o;
    return OPTIONS_RUN;
}

int options_inputs_are_many(const struct options *o)
{
    return o->max_args > 1 || o->colsep;
}

int options_inputs_are_files(const struct options *o)
{
    return o->each != EACH_LINE;
}
