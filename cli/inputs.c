/* inputs.c: the inputs of a run, one after another. */
#include "inputs.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "muster/base.h"

#include "cut.h"
#include "names.h"
#include "product.h"
#include "say.h"
#include "standard.h"
#include "stream.h"
#include "text.h"
#include "walk.h"
#include "whole.h"

enum { UNSIZED_BYTES_MAX = 64 * 1024 * 1024 };
#define PIPE_BYTES_MAX ((size_t)1 << 30)

struct inputs {
    const struct options *options;
    uint64_t seq; /* of the input given last */
    int at_end;
    int is_counting;    /* what is read is counted, to be read again */
    uint64_t n_counted; /* 0: not counted */

    const struct source *source; /* the only one; not used with a product */
    struct product *product;     /* of several sources */
    struct names names; /* words or lines; not used when a stream is cut */
    struct text name;   /* ends with 0, or the name of a piece */
    struct walk *walk;  /* the directory we are in */
    unsigned n_unread;

    struct stream *stream; /* read by names, or cut */
    struct text cut_name;  /* of the file that is cut */
    struct cut cut;
    int is_cutting;

    struct text content;   /* of a file without a size; values with tabs */
    struct stream *pipe;   /* a named pipe or a device, as a file */
    const char *pipe_path; /* not NULL: its contents still arrive */
    regex_t colsep;        /* of --colsep */
    struct text group;     /* of -n, --colsep, several sources: with a byte of 0
                              between them */
    unsigned n_grouped;
};

void inputs_hint_terminal(const struct options *o)
{
    for (size_t i = 0; i < o->n_sources; i++)
        if (!o->sources[i].args && strcmp(o->sources[i].file, "-") == 0 &&
            isatty(standard_input()))
            say("reading inputs from the terminal, one a line: end with "
                "Ctrl-D, or "
                "give them after :::");
}

static int cuts(const struct options *o)
{
    return o->each == EACH_RECORD || o->each == EACH_CHUNK;
}

static int cut_begin(struct inputs *in, const char *path)
{
    text_clear(&in->cut_name);
    text_put(&in->cut_name, path);
    /* the stream keeps the name for its messages */
    if (stream_open(text_string(&in->cut_name), &in->stream) < 0)
        return -1;
    cut_init(&in->cut, in->stream, in->options->each_bytes,
             in->options->each == EACH_CHUNK);
    in->is_cutting = 1;
    return 0;
}

/* An extended regular expression, in which \t is a tab. */
static int compile_colsep(const char *colsep, regex_t *ret_regex)
{
    char why[128];
    struct text regex = {0};
    int rc;

    for (const char *c = colsep; *c; c++) {
        if (c[0] == '\\' && c[1] == 't') {
            text_putc(&regex, '\t');
            c++;
        } else {
            text_putc(&regex, *c);
            if (c[0] == '\\' && c[1])
                text_putc(&regex, *++c);
        }
    }
    rc = regcomp(ret_regex, text_string(&regex), REG_EXTENDED);
    text_fini(&regex);
    if (rc == 0)
        return 0;
    (void)regerror(rc, ret_regex, why, sizeof why);
    return say_refuse("--colsep '%s': %s: it is a regular expression: , or \\t",
                      colsep, why);
}

int inputs_open(const struct options *o, struct inputs **ret_inputs)
{
    struct inputs *in;
    int rc;

    inputs_hint_terminal(o);
    in = text_alloc(1, sizeof *in);
    in->options = o;
    in->source = &o->sources[0];
    if (o->colsep && compile_colsep(o->colsep, &in->colsep) < 0) {
        free(in);
        return -1;
    }
    in->names = (struct names){.delimiter = o->delimiter};
    if (o->n_sources > 1) {
        rc = product_open(o, &in->product);
    } else if (in->source->args) {
        in->names.args = in->source->args;
        in->names.n_args = in->source->n_args;
        rc = 0;
    } else if (cuts(o)) {
        rc = cut_begin(in, in->source->file);
    } else {
        rc = stream_open(in->source->file, &in->stream);
        in->names.stream = in->stream;
    }
    if (rc < 0) {
        inputs_free(in);
        return -1;
    }
    *ret_inputs = in;
    return 0;
}

void inputs_free(struct inputs *in)
{
    if (!in)
        return;
    stream_free(in->stream);
    stream_free(in->pipe);
    walk_free(in->walk);
    product_free(in->product);
    text_fini(&in->name);
    text_fini(&in->cut_name);
    if (in->options->colsep)
        regfree(&in->colsep);
    text_fini(&in->group);
    text_fini(&in->content);
    free(in);
}

static int name_set(struct inputs *in, const char *name, size_t size)
{
    text_clear(&in->name);
    return text_try_append(&in->name, name, size);
}

/* Nothing but blanks, and the bytes of 0 between several values. */
static int is_blank(const char *name, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!memchr(" \t\n\v\f\r", name[i], 7))
            return 0;
    return 1;
}

/* The next file: those below a directory, or the name itself. A name that cannot
 * be opened is given too, for then the failure is recorded as a task's. */
static int next_file(struct inputs *in, const char **ret_path)
{
    for (;;) {
        const char *name;
        size_t size;
        int rc;

        if (in->walk) {
            name = walk_next(in->walk);
            if (name) {
                *ret_path = name;
                return 0;
            }
            in->n_unread += walk_n_unread(in->walk);
            walk_free(in->walk);
            in->walk = NULL;
        }
        rc = names_next(&in->names, &name, &size);
        if (rc)
            return rc;
        if (in->options->no_blank && is_blank(name, size))
            continue;
        rc = name_set(in, name, size);
        if (rc)
            return rc;
        if (walk_open(text_string(&in->name), &in->walk) < 0) {
            *ret_path = text_string(&in->name);
            return 0;
        }
        if (in->is_counting)
            walk_hush(in->walk);
    }
}

static int next_line(struct inputs *in, struct input *ret)
{
    int rc = names_next(&in->names, &ret->name, &ret->name_size);

    ret->data = ret->name;
    ret->size = ret->name_size;
    return rc;
}

/* What is several values, for who gets it: a command has a word for each, a function
 * gets them with tabs between. */
static int set_values(struct inputs *in, struct input *ret)
{
    int rc;

    ret->name = ret->data = text_string(&in->group);
    ret->name_size = ret->size = in->group.size;
    if (in->options->is_command)
        return 0;
    text_clear(&in->content);
    rc = text_try_append(&in->content, in->group.data, in->group.size);
    if (rc)
        return rc;
    for (size_t i = 0; i < in->content.size; i++)
        if (in->content.data[i] == '\0')
            in->content.data[i] = '\t';
    ret->data = in->content.data;
    return 0;
}

/* A value of each source. */
static int next_combination(struct inputs *in, struct input *ret)
{
    int rc = product_next(in->product, &in->group);

    return rc ? rc : set_values(in, ret);
}

/* -n: up to so many lines as one input; what has come so far waits for the rest. */
static int next_group(struct inputs *in, struct input *ret)
{
    const char *name;
    size_t size;
    int rc = 0;

    while (in->n_grouped < in->options->max_args) {
        rc = names_next(&in->names, &name, &size);
        if (rc == MU_EMPTY && in->n_grouped)
            break;
        if (rc)
            return rc;
        size = strnlen(name, size);
        rc = text_try_reserve(&in->group, size + 1);
        if (rc)
            return rc;
        if (in->n_grouped++ == 0)
            text_clear(&in->group);
        else
            text_putc(&in->group, '\0');
        text_append(&in->group, name, size);
    }
    in->n_grouped = 0;
    return set_values(in, ret);
}

/* What separates the column that begins at `at` from the next one, as in Perl: an empty
 * match does so between two bytes. */
static int find_separator(const struct inputs *in, const char *at,
                          regmatch_t *ret_match)
{
    int flags = at > in->name.data ? REG_NOTBOL : 0;

    if (regexec(&in->colsep, at, 1, ret_match, flags) != 0)
        return 0;
    if (ret_match->rm_eo == 0 && *at) {
        if (regexec(&in->colsep, at + 1, 1, ret_match, REG_NOTBOL) != 0)
            return 0;
        ret_match->rm_so++;
        ret_match->rm_eo++;
    }
    return at[ret_match->rm_so] != '\0';
}

/* --colsep: the columns of a line. */
static int next_columns(struct inputs *in, struct input *ret)
{
    int rc = next_line(in, ret);
    const char *at;
    regmatch_t match;

    if (rc == 0)
        rc = name_set(in, ret->name, strnlen(ret->name, ret->name_size));
    text_clear(&in->group);
    at = text_string(&in->name);
    while (rc == 0 && find_separator(in, at, &match)) {
        rc = text_try_append_ended(&in->group, at, (size_t)match.rm_so);
        at += match.rm_eo;
    }
    if (rc == 0)
        rc = text_try_append(&in->group, at, strlen(at));
    return rc ? rc : set_values(in, ret);
}

/* Files of /proc have no size and nothing to map, but contents: those are read here.
 * Whether `path` was such a file. */
static int read_unsized(struct inputs *in, const char *path)
{
    struct stat st;

    text_clear(&in->content);
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0 &&
           whole_read(path, UNSIZED_BYTES_MAX, &in->content) == 0 &&
           in->content.size;
}

/* Named pipes, devices: nothing that a worker could map, and it may take long to open
 * and to read one. */
static int is_pipe(const char *path)
{
    struct stat st;

    return stat(standard_path(path), &st) == 0 && !S_ISREG(st.st_mode) &&
           !S_ISDIR(st.st_mode);
}

/* A worker process cannot open it: it is read here, as a pipe is. */
static int is_of_process(const char *path)
{
    return stream_is_of_process(path) && access(standard_path(path), R_OK) == 0;
}

/* What the pipe holds becomes one input, once it is at its end.
 * Returns   0; MU_TIMEOUT; MU_EMPTY: it cannot be read, said so */
static int gather_pipe(struct inputs *in, struct input *ret)
{
    int rc = 0;

    ret->path = in->pipe_path;
    if (!in->pipe && stream_open(in->pipe_path, &in->pipe) < 0)
        rc = -1;
    while (rc == 0) {
        (void)stream_data(in->pipe, &ret->size);
        if (ret->size > PIPE_BYTES_MAX)
            rc = say_refuse("%s gives more than 1 GiB: --each chunk=SIZE cuts "
                            "it",
                            in->pipe_path);
        else
            rc = stream_fill(in->pipe);
    }
    if (rc == MU_TIMEOUT)
        return rc;
    if (rc == -ENOMEM)
        say("there is no memory for all that %s gives: --each chunk=SIZE cuts "
            "it",
            in->pipe_path);
    if (rc == MU_EMPTY)
        ret->data = stream_data(in->pipe, &ret->size);
    in->pipe_path = NULL;
    in->n_unread += rc < 0;
    return rc < 0 ? MU_EMPTY : 0;
}

static int next_whole_file(struct inputs *in, struct input *ret)
{
    int reads = !in->options->is_command && !in->is_counting;
    int rc = 0;

    do {
        if (!in->pipe_path) {
            rc = next_file(in, &ret->path);
            stream_free(in->pipe);
            in->pipe = NULL;
            if (rc)
                return rc;
            if (reads && (is_pipe(ret->path) || is_of_process(ret->path)))
                in->pipe_path = ret->path;
        }
        if (in->pipe_path)
            rc = gather_pipe(in, ret);
    } while (rc == MU_EMPTY);
    if (rc)
        return rc;
    ret->name = ret->path;
    ret->name_size = strlen(ret->path);
    if (in->pipe) {
        ret->path = NULL;
    } else if (reads && read_unsized(in, ret->path)) {
        ret->path = NULL;
        ret->data = text_string(&in->content);
        ret->size = in->content.size;
    }
    return 0;
}

/* The file that was cut is at its end: open the next, when there are several. */
static int cut_another(struct inputs *in)
{
    const char *path;
    int rc;

    in->is_cutting = 0;
    if (!in->names.args)
        return MU_EMPTY;
    stream_free(in->stream);
    in->stream = NULL;
    for (;;) {
        rc = next_file(in, &path);
        if (rc)
            return rc;
        if (in->is_counting && access(standard_path(path), R_OK) < 0)
            continue; /* told when it is read, and once */
        if (in->is_counting && is_pipe(path))
            return say_refuse("--halt N%% cannot count the pieces of %s and "
                              "then read it again: give it by -a, or the "
                              "number by --total-jobs",
                              path);
        if (cut_begin(in, path) == 0)
            return 0;
        in->n_unread++;
    }
}

static int next_piece(struct inputs *in, struct input *ret)
{
    struct cut_piece piece;
    int rc;

    for (;;) {
        rc = in->is_cutting ? cut_next(&in->cut, &piece) : MU_EMPTY;
        if (rc != MU_EMPTY)
            break;
        rc = cut_another(in);
        if (rc)
            return rc;
    }
    if (rc)
        return rc;

    text_clear(&in->name);
    text_printf(&in->name, "%s@%llu+%llu", text_string(&in->cut_name),
                (unsigned long long)piece.offset,
                (unsigned long long)piece.size);
    ret->name = text_string(&in->name);
    ret->name_size = in->name.size;
    if (piece.data) {
        ret->data = piece.data;
        ret->size = (size_t)piece.size;
    } else {
        ret->path = text_string(&in->cut_name);
        ret->offset = piece.offset;
        ret->range = piece.size;
    }
    return 0;
}

/* A line or word, or several as one input. */
static int next_of_lines(struct inputs *in, struct input *ret)
{
    if (in->product)
        return next_combination(in, ret);
    if (in->options->colsep)
        return next_columns(in, ret);
    return in->options->max_args > 1 ? next_group(in, ret) : next_line(in, ret);
}

/* With -r what is blank is no input. */
static int next_wanted(struct inputs *in, struct input *ret)
{
    int rc;

    do
        rc = next_of_lines(in, ret);
    while (rc == 0 && in->options->no_blank &&
           is_blank(ret->name, ret->name_size));
    return rc;
}

static int next_of_each(struct inputs *in, struct input *ret)
{
    switch (in->options->each) {
    case EACH_LINE:
        return next_wanted(in, ret);
    case EACH_FILE:
        return next_whole_file(in, ret);
    default:
        return next_piece(in, ret);
    }
}

/* Back to the first input, when all were counted. */
static int count_ended(struct inputs *in)
{
    in->is_counting = 0;
    in->n_unread = 0; /* they will be told, and counted, again */
    if (in->product)
        product_rewind(in->product);
    names_rewind(&in->names);
    if (in->stream && !in->names.stream)
        stream_rewind(in->stream);
    if (cuts(in->options) && !in->names.args) {
        in->is_cutting = 1;
        cut_init(&in->cut, in->stream, in->options->each_bytes,
                 in->options->each == EACH_CHUNK);
    }
    return 0;
}

static int count_on(struct inputs *in)
{
    struct input input = {0};
    int rc;

    while ((rc = next_of_each(in, &input)) == 0)
        in->n_counted++;
    return rc == MU_EMPTY ? count_ended(in) : rc;
}

/* The next input does not fit into memory. */
static int refuse_large(const struct inputs *in)
{
    const uint64_t n_read = in->is_counting ? in->n_counted : in->seq;

    return say_refuse("there is no memory to read input %llu, and nothing "
                      "behind it is read: what is large goes in pieces, with "
                      "--each chunk=SIZE",
                      (unsigned long long)n_read + 1);
}

int inputs_next(struct inputs *in, struct input *ret_input)
{
    struct input input = {0};
    int rc = 0;

    if (in->at_end)
        return MU_EMPTY;
    if (in->is_counting)
        rc = count_on(in);
    if (rc == 0)
        rc = next_of_each(in, &input);
    if (rc == -ENOMEM)
        rc = refuse_large(in);
    if (rc) {
        in->at_end = rc == MU_EMPTY || rc < 0;
        return rc;
    }
    input.seq = ++in->seq;
    *ret_input = input;
    return 0;
}

/* For a file of lines: as many as would fill it at the mean length so far. */
static uint64_t estimate(const struct inputs *in)
{
    const struct stream *stream =
        in->product ? product_stream(in->product) : in->stream;
    uint64_t size;
    uint64_t position;

    if (!stream || in->names.args)
        return 0;
    size = stream_file_size(stream);
    position = in->is_cutting ? in->cut.offset : stream_position(stream);
    if (!size || !position || in->options->each == EACH_FILE)
        return 0;
    return (uint64_t)((double)in->seq * (double)size / (double)position);
}

uint64_t inputs_total(const struct inputs *in, int *ret_is_exact)
{
    const struct options *o = in->options;
    uint64_t total = 0;
    int is_exact = 1;

    if (o->n_total) {
        total = o->n_total;
    } else if (in->at_end) {
        total = in->seq;
    } else if (in->n_counted && !in->is_counting) {
        total = in->n_counted;
    } else if (o->each == EACH_LINE && options_n_words(o)) {
        total = (options_n_words(o) + o->max_args - 1) / o->max_args;
    } else {
        total = estimate(in);
        is_exact = 0;
    }
    if (ret_is_exact)
        *ret_is_exact = is_exact && total;
    return total;
}

void inputs_count(struct inputs *in)
{
    const struct options *o = in->options;

    if (o->each != EACH_FILE || !in->source->args)
        return;
    in->n_counted = 0;
    for (size_t i = 0; i < in->source->n_args; i++)
        in->n_counted += walk_count(in->source->args[i]);
}

void inputs_count_first(struct inputs *in)
{
    in->is_counting = 1;
    in->n_counted = 0;
    if (in->product)
        product_hold(in->product);
    if (in->stream)
        stream_hold(in->stream);
}

unsigned inputs_n_unread(const struct inputs *in)
{
    return in->n_unread;
}
