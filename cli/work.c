/* work.c: WORK: what runs for each input. */
#include "work.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compile.h"
#include "inputs.h"
#include "say.h"
#include "symbols.h"
#include "template.h"

enum { LIST_NAMES_MAX = 12, NAME_BYTES = 128 };

static int open_command(struct work *w, const struct options *o)
{
    int feeds = o->each == EACH_RECORD || o->each == EACH_CHUNK;
    struct template *t;
    size_t size;

    if (feeds && o->n_command == 0)
        return say_refuse("-- needs a command: with --each record or chunk the "
                          "inputs are its standard input");
    if (template_read(o->command, o->n_command,
                      (feeds ? TEMPLATE_NO_APPEND : 0) |
                          (options_inputs_are_many(o) ? TEMPLATE_MANY : 0),
                      &t, &size) < 0)
        return -1;
    for (uint32_t i = 0; feeds && i < t->n_segments; i++) {
        if (t->segments[i].part > PART_TEXT && t->segments[i].part < PART_SEQ) {
            free(t);
            return say_refuse("{} has no meaning with --each record or chunk: "
                              "the bytes are on the command's standard input, "
                              "leave it out");
        }
    }
    w->command_size = sizeof *w->command + size;
    w->command = text_alloc(1, w->command_size);
    w->command->timeout_ns = o->timeout_ns;
    w->command->feeds = (uint64_t)feeds;
    command_note_given(w->command);
    w->template = memcpy(w->command + 1, t, size);
    free(t);
    w->fn = command_task;
    w->spec = "--";
    return 0;
}

/* In C++ a function has the name that its ABI gives to `int f(struct mu_task *)`
 * outside of any namespace; the C name is between these two. */
static const char mangled_start[] = "_Z";
static const char mangled_end[] = "P7mu_task";

static void *find_symbol(const struct work *w, const char *name)
{
    void *address = dlsym(w->module, name);
    struct text mangled = {0};

    if (address)
        return address;
    text_printf(&mangled, "%s%zu%s%s", mangled_start, strlen(name), name,
                mangled_end);
    address = dlsym(w->module, mangled.data);
    text_fini(&mangled);
    return address;
}

/* What a module offers, for a name that it does not. */
struct offer {
    struct say_nearest nearest;
    char best[NAME_BYTES]; /* what nearest.best is */
    char word[NAME_BYTES];
    struct text names;
    unsigned n_names;
};

static void offer_name(void *ctx, const char *symbol)
{
    struct offer *offer = ctx;
    const char *before = offer->nearest.best;
    const char *name = symbol;
    char *end = NULL;
    size_t length = strlen(symbol);

    if (strncmp(symbol, mangled_start, sizeof mangled_start - 1) == 0) {
        length = strtoul(symbol + sizeof mangled_start - 1, &end, 10);
        name = end;
        if (length > strlen(end) || strcmp(end + length, mangled_end) != 0)
            return;
    }
    /* not what the linker and the C library put into every module */
    if (name[0] == '_' || length >= sizeof offer->word)
        return;
    (void)snprintf(offer->word, sizeof offer->word, "%.*s", (int)length, name);
    say_nearest_offer(&offer->nearest, offer->word);
    if (offer->nearest.best != before) {
        memcpy(offer->best, offer->word, sizeof offer->best);
        offer->nearest.best = offer->best;
    }
    if (offer->n_names++ < LIST_NAMES_MAX)
        text_printf(&offer->names, "%s%s", offer->names.size ? ", " : "",
                    offer->word);
}

static int refuse_function(const struct work *w, const char *file,
                           const char *name)
{
    struct offer offer = {.nearest = {.typed = name}};

    (void)symbols_each(w->module, offer_name, &offer);
    if (!offer.n_names)
        say("%s exports no function: is '%s' static?", file, name);
    else if (!*name)
        say("which function of %s? It has %s%s", file, offer.names.data,
            offer.n_names > LIST_NAMES_MAX ? ", ..." : "");
    else if (offer.nearest.best)
        say("no function '%s' in %s: did you mean '%s'?", name, file,
            offer.nearest.best);
    else
        say("no function '%s' in %s, unless it is static: it has %s%s", name,
            file, offer.names.data,
            offer.n_names > LIST_NAMES_MAX ? ", ..." : "");
    text_fini(&offer.names);
    return -1;
}

static mu_task_fn find_function(const struct work *w, const char *file,
                                const char *name)
{
    void *address = *name ? find_symbol(w, name) : NULL;
    mu_task_fn fn;

    if (!address) {
        (void)refuse_function(w, file, name);
        return NULL;
    }
    if (!symbols_is_function(address)) {
        say("'%s' in %s is not a function: WORK names an int f(struct mu_task "
            "*)",
            name, file);
        return NULL;
    }
    memcpy(&fn, &address, sizeof fn);
    return fn;
}

/* What the loader says of a module that it could not load, with a remedy. */
static int refuse_module(const char *file, const char *error)
{
    static const char undefined[] = "undefined symbol: ";
    const char *symbol = strstr(error, undefined);

    if (!symbol)
        return say_refuse("cannot load %s: %s: WORK is a shared library (cc "
                          "-shared -fPIC) or a file of C",
                          file, error);
    symbol += sizeof undefined - 1;
    return say_refuse("cannot load %s: '%.*s' is not defined: define it, or %s",
                      file, (int)strcspn(symbol, ", "), symbol,
                      compile_can(file)
                          ? "name its library in a comment, as in /* muster: "
                            "link=-lm */"
                          : "link the library that has it, with -l");
}

/* The file whose constructors run in this process; NULL: none do. */
static struct {
    const char *file;
    pid_t pid;
} loading;

/* A constructor called exit(): with the status of a run where all went well, perhaps. */
static void on_exit_call(int status, void *ctx)
{
    (void)ctx;
    if (!loading.file || getpid() != loading.pid)
        return;
    (void)say_refuse("cannot load %s: it called exit(%d), before any function "
                     "of it was called: look at its constructors",
                     loading.file, status);
    _exit(SAY_EXIT_OTHER);
}

static void *open_module(const char *file, const char *path)
{
    void *module;

    loading.pid = getpid();
    loading.file = on_exit(on_exit_call, NULL) == 0 ? file : NULL;
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    loading.file = NULL;
    return module;
}

static int load(struct work *w, const char *file)
{
    struct text path = {0};

    if (access(file, R_OK) < 0)
        return say_refuse("cannot read %s: %s (WORK is file.c:function, "
                          "lib.so:function, or -- command)",
                          file, say_reason(errno));
    if (compile_can(file)) {
        char *object = compile(file);

        if (!object)
            return -1;
        text_put(&path, object);
        free(object);
    } else {
        /* without a slash the loader would look elsewhere */
        text_printf(&path, "%s%s", strchr(file, '/') ? "" : "./", file);
    }
    w->module = open_module(file, path.data);
    text_fini(&path);
    if (!w->module)
        return refuse_module(
            file,
            dlerror()); // NOLINT(concurrency-mt-unsafe): one thread
    return 0;
}

int work_names_function(const char *spec)
{
    return strchr(spec, ':') || compile_can(spec) || strstr(spec, ".so");
}

static int open_function(struct work *w, const struct options *o)
{
    const char *colon = strrchr(o->work, ':');
    struct text file = {0};
    int rc;

    if (!work_names_function(o->work)) {
        text_put_shell(&file, o->work, strlen(o->work));
        rc = say_refuse("WORK '%s' is not file.c:function or lib.so:function: "
                        "for a command write -- %s",
                        o->work, text_string(&file));
        text_fini(&file);
        return rc;
    }
    text_append(&file, o->work,
                colon ? (size_t)(colon - o->work) : strlen(o->work));
    rc = load(w, file.data);
    if (rc == 0) {
        w->fn = find_function(w, file.data, colon ? colon + 1 : "");
        if (w->fn && o->reduce)
            w->reduce = find_function(w, file.data, o->reduce);
        if (!w->fn || (o->reduce && !w->reduce))
            rc = -1;
    }
    text_fini(&file);
    w->spec = o->work;
    return rc;
}

int work_open(struct work *w, const struct options *o)
{
    *w = (struct work){.is_many = options_inputs_are_many(o)};
    return o->is_command ? open_command(w, o) : open_function(w, o);
}

/* The module stays loaded: outcomes may still name its functions. */
void work_close(struct work *w)
{
    free(w->command);
    w->command = NULL;
}

void work_show(const struct work *w, const struct input *in, unsigned slot,
               struct text *ret_line)
{
    struct template_values v = {
        .input = in->name,
        .input_size = in->name_size,
        .seq = in->seq,
        .slot = slot,
    };
    struct text name = {0};

    if (w->command) {
        template_show(w->template, &v, ret_line);
        return;
    }
    text_printf(ret_line, "%s ", w->spec);
    /* as it got them: see inputs.c */
    text_append(&name, in->name, in->name_size);
    for (size_t i = 0; i < name.size; i++)
        if (w->is_many && name.data[i] == '\0')
            name.data[i] = '\t';
    text_put_shell(ret_line, text_string(&name), name.size);
    text_fini(&name);
}
