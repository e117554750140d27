/* results.c: --results NAME: the output of each task in files of its own. */
#include "results.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "paths.h"
#include "say.h"
#include "template.h"
#include "whole.h"

static const char option[] = "--results "; /* in messages */

static const char *const columns[] = {
    "Seq",     "Host",   "Starttime", "JobRuntime", "Send",   "Receive",
    "Exitval", "Signal", "Command",   "V1",         "Stdout", "Stderr",
};
enum { N_COLUMNS = sizeof columns / sizeof columns[0] };

static int has_replacement(const char *name)
{
    for (; *name; name++) {
        size_t length;

        if (template_part_at(name, &length) != PART_TEXT)
            return 1;
    }
    return 0;
}

void results_init(struct results *r, const char *name)
{
    const char *extension = name ? paths_extension(name) : "";

    *r = (struct results){.name = name, .fd = -1};
    if (!name) {
        r->form = RESULTS_NONE;
    } else if (strcasecmp(extension, ".csv") == 0) {
        r->form = RESULTS_CSV;
        r->separator = ',';
    } else if (strcasecmp(extension, ".tsv") == 0) {
        r->form = RESULTS_CSV;
        r->separator = '\t';
    } else if (strcasecmp(extension, ".json") == 0) {
        r->form = RESULTS_JSON;
    } else {
        r->form = has_replacement(name) ? RESULTS_TEMPLATE : RESULTS_TREE;
    }
}

/* A field is quoted when it holds a blank, a quote or the separator. */
static void put_field(struct text *t, char separator, const char *bytes,
                      size_t size)
{
    int quoted = 0;

    for (size_t i = 0; i < size && !quoted; i++)
        quoted = bytes[i] == separator ||
                 (bytes[i] && strchr(" \t\n\r\f\v\"", bytes[i]));
    if (!quoted) {
        text_append(t, bytes, size);
        return;
    }
    text_putc(t, '"');
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '"')
            text_putc(t, '"');
        text_putc(t, bytes[i]);
    }
    text_putc(t, '"');
}

static void put_header(struct results *r)
{
    for (size_t i = 0; i < N_COLUMNS; i++) {
        text_put(&r->buffer, columns[i]);
        if (i + 1 < N_COLUMNS)
            text_putc(&r->buffer, r->separator);
    }
    text_putc(&r->buffer, '\n');
}

static int open_table(struct results *r, int go_on)
{
    struct stat st;

    /* "-.csv" is standard output */
    if (strncmp(r->name, "-.", 2) == 0)
        r->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    else
        r->fd = open(r->name,
                     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC |
                         (go_on ? 0 : O_TRUNC),
                     0666);
    if (r->fd < 0 || fstat(r->fd, &st) < 0)
        return say_refuse("cannot write to --results %s: %s", r->name,
                          strerrordesc_np(errno));
    if (r->form == RESULTS_CSV && !(go_on && st.st_size > 0)) {
        put_header(r);
        whole_write_or_die(r->fd, option, r->name, r->buffer.data,
                           r->buffer.size);
    }
    return 0;
}

int results_open(struct results *r, int go_on)
{
    struct text path = {0};
    int rc;

    if (r->form == RESULTS_CSV || r->form == RESULTS_JSON)
        return open_table(r, go_on);
    if (r->form != RESULTS_TREE)
        return 0;
    text_printf(&path, "%s/", r->name);
    rc = paths_make(&path, 0777);
    text_fini(&path);
    if (rc == 0 && access(r->name, W_OK) < 0)
        rc = -errno;
    return rc ? say_refuse("cannot write to --results %s: %s", r->name,
                           strerrordesc_np(-rc))
              : 0;
}

void results_put_directory(struct text *t, const char *name, size_t size)
{
    size_t start = t->size;

    for (size_t i = 0; i < size; i++) {
        switch (name[i]) {
        case '\\':
            text_put(t, "\\\\");
            break;
        case '\t':
            text_put(t, "\\t");
            break;
        case '\0':
            text_put(t, "\\0");
            break;
        case '/':
            text_put(t, "\\_");
            break;
        default:
            text_putc(t, name[i]);
        }
    }
    if (t->size - start > NAME_MAX) {
        t->size = start + NAME_MAX;
        t->data[t->size] = '\0';
    }
}

/* The name without its end: "DIR/" or the name of the file of the output. */
static void put_path(const struct results *r, const struct ended *e,
                     struct text *ret)
{
    struct template_values v = {
        .input = e->name,
        .input_size = e->name_size,
        .seq = e->seq,
        .slot = e->worker + 1,
    };
    const char *c = r->name;

    if (r->form == RESULTS_TREE) {
        text_printf(ret, "%s/1/", r->name);
        results_put_directory(ret, e->name, e->name_size);
        text_putc(ret, '/');
        return;
    }
    while (*c) {
        size_t length = 1;
        enum template_part part = template_part_at(c, &length);

        if (part == PART_TEXT)
            text_putc(ret, *c);
        else
            template_value(part, &v, ret);
        c += length;
    }
}

static void write_file(struct text *path, const char *end, const void *bytes,
                       size_t size)
{
    size_t start = path->size;
    int fd;

    text_put(path, end);
    fd = open(path->data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        say_fatal("cannot write to --results %s: %s", path->data,
                  strerrordesc_np(errno));
    whole_write_or_die(fd, option, path->data, bytes, size);
    (void)close(fd);
    path->size = start;
    path->data[start] = '\0';
}

static void write_files(const struct results *r, const struct ended *e)
{
    struct text path = {0};
    struct text seq = {0};
    int is_directory;
    int rc;

    put_path(r, e, &path);
    is_directory = path.size && path.data[path.size - 1] == '/';
    rc = paths_make(&path, 0777);
    if (rc)
        say_fatal("cannot make the directory of --results %s: %s", path.data,
                  strerrordesc_np(-rc));
    text_printf(&seq, "%llu", (unsigned long long)e->seq);
    write_file(&path, is_directory ? "seq" : ".seq", seq.data, seq.size);
    write_file(&path, is_directory ? "stderr" : ".err", e->err, e->err_size);
    write_file(&path, is_directory ? "stdout" : "", e->out, e->out_size);
    text_fini(&path);
    text_fini(&seq);
}

static void put_csv(struct results *r, const struct ended *e)
{
    struct text *t = &r->buffer;
    char c = r->separator;

    text_printf(t, "%llu%c:%c%.3f%c%.3f%c%llu%c%zu%c%d%c%d%c",
                (unsigned long long)e->seq, c, c, (double)e->start_ns / 1e9, c,
                (double)e->run_ns / 1e9, c, (unsigned long long)e->sent_bytes,
                c, e->out_size, c, ended_exit_value(e), c, e->signal, c);
    put_field(t, c, e->line, e->line_size);
    text_putc(t, c);
    put_field(t, c, e->name, e->name_size);
    text_putc(t, c);
    put_field(t, c, e->out, e->out_size);
    text_putc(t, c);
    put_field(t, c, e->err, e->err_size);
    text_putc(t, '\n');
}

static void put_json(struct results *r, const struct ended *e)
{
    struct text *t = &r->buffer;

    text_printf(t,
                "{ \"Seq\": %llu, \"Host\": \":\", \"Starttime\": %.3f, "
                "\"JobRuntime\": %.3f, \"Send\": %llu, \"Receive\": %zu, "
                "\"Exitval\": %d, \"Signal\": %d, \"Command\": ",
                (unsigned long long)e->seq, (double)e->start_ns / 1e9,
                (double)e->run_ns / 1e9, (unsigned long long)e->sent_bytes,
                e->out_size, ended_exit_value(e), e->signal);
    text_put_json(t, e->line, e->line_size);
    text_put(t, ", \"V\": [ ");
    text_put_json(t, e->name, e->name_size);
    text_put(t, " ], \"Stdout\": ");
    text_put_json(t, e->out, e->out_size);
    text_put(t, ", \"Stderr\": ");
    text_put_json(t, e->err, e->err_size);
    text_put(t, " }\n");
}

void results_write(struct results *r, const struct ended *e)
{
    text_clear(&r->buffer);
    switch (r->form) {
    case RESULTS_CSV:
        put_csv(r, e);
        break;
    case RESULTS_JSON:
        put_json(r, e);
        break;
    case RESULTS_NONE:
        return;
    default:
        write_files(r, e);
        return;
    }
    whole_write_or_die(r->fd, option, r->name, r->buffer.data, r->buffer.size);
}

void results_close(struct results *r)
{
    if (r->fd >= 0)
        (void)close(r->fd);
    text_fini(&r->buffer);
    r->fd = -1;
}
