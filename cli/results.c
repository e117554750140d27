/* results.c: --results NAME: the output of each task in files of its own. */
#include "results.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "digest.h"
#include "paths.h"
#include "rows.h"
#include "say.h"
#include "standard.h"
#include "template.h"
#include "whole.h"

static const char option[] = "--results "; /* in messages */

static const char *const columns[] = {
    "Seq",     "Host",    "Starttime", "JobRuntime", "Send",
    "Receive", "Exitval", "Signal",    "Command",
};
static const char json_head[] = "{ \"Seq\": ";
enum {
    N_COLUMNS = sizeof columns / sizeof columns[0],
    SEQ_BYTES_MAX = 32,
    NAME_SHOWN = 200, /* of its bytes, in messages */
    DIGEST_SHOWN = 16 /* of its characters */
};

static int has_replacement(const char *name)
{
    for (; *name; name++) {
        size_t length;
        uint32_t column;

        if (template_part_at(name, &length, &column) != PART_TEXT)
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

/* One value of an input. */
struct value {
    const char *bytes;
    size_t size;
    unsigned number; /* 1 is the first; 0: none was asked for yet */
};

/* Go to the next value; returns 0 when there is none. {0} stands before the first. */
static int next_value(const struct ended *e, struct value *v)
{
    const char *end = e->name + e->name_size;
    const char *at = v->number ? v->bytes + v->size + 1 : e->name;

    if (v->number && (!e->is_many || at > end))
        return 0;
    v->bytes = at;
    v->size = e->is_many ? strnlen(at, (size_t)(end - at)) : e->name_size;
    v->number++;
    return 1;
}

/* The first row tells how many values a row has. */
static void put_header(struct results *r, const struct ended *e)
{
    struct value v = {0};

    for (size_t i = 0; i < N_COLUMNS; i++)
        text_printf(&r->buffer, "%s%c", columns[i], r->separator);
    while (next_value(e, &v))
        text_printf(&r->buffer, "V%u%c", v.number, r->separator);
    text_printf(&r->buffer, "Stdout%cStderr\n", r->separator);
}

static int refuse_name(const char *name, int rc)
{
    return say_refuse("cannot write to --results %s: %s", name,
                      say_reason(-rc));
}

/* "-.csv" is standard output. */
static int open_stdout(struct results *r, int go_on, off_t *ret_size)
{
    struct stat st;

    r->fd = fcntl(standard_output(), F_DUPFD_CLOEXEC, 3);
    if (r->fd < 0 || fstat(r->fd, &st) < 0)
        return refuse_name(r->name, -errno);
    *ret_size = go_on ? st.st_size : 0;
    return 0;
}

/* Cut off a torn last row. Nothing is cut off, nor appended to, what is no table. */
static int go_on_with(struct results *r, off_t *ret_size)
{
    const char head[] = {'S', 'e', 'q', r->separator};
    int is_csv = r->form == RESULTS_CSV;
    int rc = is_csv ? rows_begin_with(r->fd, head, sizeof head)
                    : rows_begin_with(r->fd, json_head, sizeof json_head - 1);

    if (rc == 0)
        return say_refuse("%s is no table of --results: name the one of the "
                          "run to go on with, or a new file",
                          r->name);
    if (rc > 0)
        rc = rows_trim(r->fd, is_csv ? r->separator : 0, ret_size);
    if (rc == -EBADMSG)
        return say_refuse(
            "%s has a torn row with others behind it: mend that row, or "
            "name a new file",
            r->name);
    return rc < 0 ? refuse_name(r->name, rc) : 0;
}

/* How to open what is there: a pipe that is read, too, would never tell that its reader
 * has gone. */
static int open_flags(const char *name, int go_on)
{
    struct stat st;

    if (!go_on)
        return O_WRONLY | O_TRUNC;
    return stat(name, &st) == 0 && !S_ISREG(st.st_mode) ? O_WRONLY : O_RDWR;
}

static int open_table(struct results *r, int go_on)
{
    off_t size = 0;
    int rc = 0;

    if (strncmp(r->name, "-.", 2) == 0) {
        rc = open_stdout(r, go_on, &size);
    } else {
        r->fd = open(
            r->name,
            O_CREAT | O_APPEND | O_CLOEXEC | open_flags(r->name, go_on), 0666);
        if (r->fd < 0)
            return refuse_name(r->name, -errno);
        rc = go_on ? go_on_with(r, &size) : 0;
    }
    r->lacks_header = r->form == RESULTS_CSV && size == 0;
    return rc;
}

int results_open(struct results *r, int go_on)
{
    struct text path = {0};
    struct stat st;
    int rc;

    if (r->form == RESULTS_CSV || r->form == RESULTS_JSON)
        return open_table(r, go_on);
    if (r->form != RESULTS_TREE)
        return 0;
    text_printf(&path, "%s/", r->name);
    rc = paths_make(&path, 0777);
    text_fini(&path);
    if (rc == 0 && (stat(r->name, &st) < 0 || access(r->name, W_OK) < 0))
        rc = -errno;
    else if (rc == 0 && !S_ISDIR(st.st_mode))
        rc = -ENOTDIR;
    return rc ? refuse_name(r->name, rc) : 0;
}

/* A name that a directory cannot have, or that means another one. */
static int is_special(const char *name, size_t size)
{
    return size == 0 ||
           (name[0] == '.' && (size == 1 || (size == 2 && name[1] == '.')));
}

/* What is too long for a name is cut, and told from others with the same beginning
 * by the digest of all of it. */
static void shorten(struct text *t, size_t start)
{
    char digest[DIGEST_TEXT_BYTES];
    struct digest d;

    if (t->size - start <= NAME_MAX)
        return;
    digest_init(&d);
    digest_add(&d, t->data + start, t->size - start);
    digest_text(&d, digest);
    t->size = start + NAME_MAX - DIGEST_SHOWN - 1;
    text_putc(t, '~');
    text_append(t, digest, DIGEST_SHOWN);
}

void results_put_directory(struct text *t, const char *name, size_t size)
{
    size_t start = t->size;

    if (is_special(name, size))
        text_put(t, "\\");
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
    shorten(t, start);
}

/* An input's "../" does not lead out of where NAME leads. */
static void escape_parents(struct text *path)
{
    struct text safe = {0};
    const char *at = text_string(path);

    for (;;) {
        size_t n = strcspn(at, "/");

        if (n == 2 && at[0] == '.' && at[1] == '.')
            text_putc(&safe, '\\');
        text_append(&safe, at, n);
        if (!at[n])
            break;
        text_putc(&safe, '/');
        at += n + 1;
    }
    text_fini(path);
    *path = safe;
}

/* The number of the source, and its value. */
static void put_tree_path(const struct results *r, const struct ended *e,
                          struct text *ret)
{
    struct value v = {0};

    text_printf(ret, "%s/", r->name);
    while (next_value(e, &v)) {
        text_printf(ret, "%u/", r->is_one_source ? 1 : v.number);
        results_put_directory(ret, v.bytes, v.size);
        text_putc(ret, '/');
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
        .is_many = e->is_many,
    };
    struct text rest = {0};
    size_t n_own;

    if (r->form == RESULTS_TREE) {
        put_tree_path(r, e, ret);
        return;
    }
    /* its last name may become '..' with what follows */
    n_own = strcspn(r->name, "{");
    while (n_own && r->name[n_own - 1] != '/')
        n_own--;
    text_append(&rest, "", 0);
    template_expand(r->name + n_own, &v, &rest);
    escape_parents(&rest);
    text_append(ret, r->name, n_own);
    text_append(ret, rest.data, rest.size);
    text_fini(&rest);
}

static void die_of_name(const char *name, int rc)
{
    say_fatal("cannot write to --results %s: %s", name, say_reason(-rc));
}

/* Whether it is the name of one task's files that cannot be, and not the place of all. */
static int is_of_name(int rc)
{
    static const int codes[] = {ENOENT,       ENOTDIR, EISDIR, EEXIST,
                                ENAMETOOLONG, ELOOP,   EINVAL, EILSEQ,
                                ETXTBSY,      ENXIO,   ENODEV};

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i] == -rc)
            return 1;
    return 0;
}

/* The name of one task's files cannot be: only it has no place then. */
static int refuse_own_name(const char *name, int rc, struct text *ret_why)
{
    if (!is_of_name(rc))
        die_of_name(name, rc);
    text_printf(ret_why, "cannot write to --results %.*s: %s", NAME_SHOWN, name,
                say_reason(-rc));
    return rc;
}

/* One file of a task: its name is the one of all with an end. */
struct file {
    const char *end;
    const char *bytes;
    size_t size;
    int fd;
};
enum { FILES_EACH = 3 };

static void close_files(struct file *files, size_t n)
{
    while (n-- > 0)
        (void)close(files[n].fd);
}

/* All of them before any is written: one that has no place for its last writes over no
 * other input's with its first. */
static int open_files(struct text *path, struct file *files,
                      struct text *ret_why)
{
    const size_t start = path->size;

    for (size_t i = 0; i < FILES_EACH; i++) {
        text_put(path, files[i].end);
        files[i].fd = open(path->data, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (files[i].fd < 0) {
            int rc = refuse_own_name(path->data, -errno, ret_why);

            close_files(files, i);
            text_cut(path, start);
            return rc;
        }
        text_cut(path, start);
    }
    return 0;
}

/* In the place of what is there; closes it. */
static void write_file(struct text *path, const struct file *file)
{
    const size_t start = path->size;
    struct stat st;
    int rc;

    text_put(path, file->end);
    if (fstat(file->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
        ftruncate(file->fd, 0) < 0)
        die_of_name(path->data, -errno);
    whole_write_or_die(file->fd, option, path->data, file->bytes, file->size);
    rc = whole_close(file->fd);
    if (rc)
        die_of_name(path->data, rc);
    text_cut(path, start);
}

/* Tell, once, when another input has left its number with its files: `shared` is one of
 * them, and of ours. An empty number is what a full disk left. */
static void warn_of_other(struct results *r, const char *shared,
                          const char *other_seq, const char *seq)
{
    struct text before = {0};

    if (!r->has_warned && whole_read(other_seq, SEQ_BYTES_MAX, &before) == 0 &&
        before.size &&
        strspn(text_string(&before), "0123456789") == before.size &&
        strcmp(text_string(&before), seq) != 0) {
        r->has_warned = 1;
        say("--results: input %s writes over what input %s left in %s", seq,
            text_string(&before), shared);
    }
    text_fini(&before);
}

/* The ends of the names of a task's files, but for the one of its output. */
static const char error_end[] = ".err";
static const char seq_end[] = ".seq";

/* One of our files is one of an input whose name ends differently: x and x.err. */
static void warn_of_end(struct results *r, const struct text *path,
                        const char *end, const char *seq)
{
    size_t n = strlen(end);
    struct text shared = {0};
    struct text other_seq = {0};

    text_printf(&shared, "%s%s", path->data, end);
    text_printf(&other_seq, "%s%s", shared.data, seq_end);
    warn_of_other(r, shared.data, other_seq.data, seq);
    if (path->size > n && strcmp(path->data + path->size - n, end) == 0) {
        text_clear(&other_seq);
        text_append(&other_seq, path->data, path->size - n);
        text_put(&other_seq, seq_end);
        warn_of_other(r, path->data, other_seq.data, seq);
    }
    text_fini(&shared);
    text_fini(&other_seq);
}

/* Two inputs that have a file in common: what the later one writes stays. */
static void warn_of_others(struct results *r, const struct text *path,
                           int is_directory, const char *seq)
{
    struct text own_seq = {0};

    if (r->has_warned)
        return;
    if (!is_directory) {
        warn_of_end(r, path, error_end, seq);
        warn_of_end(r, path, seq_end, seq);
    }
    text_printf(&own_seq, "%s%s", path->data, is_directory ? "seq" : seq_end);
    warn_of_other(r, path->data, own_seq.data, seq);
    text_fini(&own_seq);
}

static int write_files(struct results *r, const struct ended *e,
                       struct text *path, struct text *ret_why)
{
    int is_directory = path->size && path->data[path->size - 1] == '/';
    char seq[SEQ_BYTES_MAX];
    int n = snprintf(seq, sizeof seq, "%llu", (unsigned long long)e->seq);
    struct file files[FILES_EACH] = {
        {is_directory ? "seq" : seq_end, seq, (size_t)n, -1},
        {is_directory ? "stderr" : error_end, e->err, e->err_size, -1},
        {is_directory ? "stdout" : "", e->out, e->out_size, -1},
    };
    int rc = open_files(path, files, ret_why);

    if (rc < 0)
        return rc;
    warn_of_others(r, path, is_directory, seq);
    for (size_t i = 0; i < FILES_EACH; i++)
        write_file(path, &files[i]);
    return 0;
}

int results_save(struct results *r, const struct ended *e, struct text *ret_why)
{
    struct text path = {0};
    int rc;

    if (r->form != RESULTS_TREE && r->form != RESULTS_TEMPLATE)
        return 0;
    put_path(r, e, &path);
    rc = paths_make(&path, 0777);
    if (rc)
        rc = refuse_own_name(path.data, rc, ret_why);
    else
        rc = write_files(r, e, &path, ret_why);
    text_fini(&path);
    return rc;
}

static void put_csv(struct results *r, const struct ended *e)
{
    struct text *t = &r->buffer;
    struct value v = {0};
    char c = r->separator;

    if (r->lacks_header)
        put_header(r, e);
    r->lacks_header = 0;
    text_printf(t, "%llu%c:%c%.3f%c%.3f%c%llu%c%zu%c%d%c%d%c",
                (unsigned long long)e->seq, c, c, (double)e->start_ns / 1e9, c,
                (double)e->run_ns / 1e9, c, (unsigned long long)e->sent_bytes,
                c, e->out_size, c, ended_exit_value(e), c, e->signal, c);
    put_field(t, c, e->line, e->line_size);
    text_putc(t, c);
    while (next_value(e, &v)) {
        put_field(t, c, v.bytes, v.size);
        text_putc(t, c);
    }
    put_field(t, c, e->out, e->out_size);
    text_putc(t, c);
    put_field(t, c, e->err, e->err_size);
    text_putc(t, '\n');
}

static void put_json(struct results *r, const struct ended *e)
{
    struct text *t = &r->buffer;
    struct value v = {0};

    text_printf(t,
                "%s%llu, \"Host\": \":\", \"Starttime\": %.3f, "
                "\"JobRuntime\": %.3f, \"Send\": %llu, \"Receive\": %zu, "
                "\"Exitval\": %d, \"Signal\": %d, \"Command\": ",
                json_head, (unsigned long long)e->seq,
                (double)e->start_ns / 1e9, (double)e->run_ns / 1e9,
                (unsigned long long)e->sent_bytes, e->out_size,
                ended_exit_value(e), e->signal);
    text_put_json(t, e->line, e->line_size);
    text_put(t, ", \"V\": [ ");
    while (next_value(e, &v)) {
        text_put(t, v.number > 1 ? "," : "");
        text_put_json(t, v.bytes, v.size);
    }
    text_put(t, " ], \"Stdout\": ");
    text_put_json(t, e->out, e->out_size);
    text_put(t, ", \"Stderr\": ");
    text_put_json(t, e->err, e->err_size);
    text_put(t, " }\n");
}

void results_add_row(struct results *r, const struct ended *e)
{
    text_clear(&r->buffer);
    switch (r->form) {
    case RESULTS_CSV:
        put_csv(r, e);
        break;
    case RESULTS_JSON:
        put_json(r, e);
        break;
    default:
        return;
    }
    whole_write_or_die(r->fd, option, r->name, r->buffer.data, r->buffer.size);
}

void results_settle(struct results *r)
{
    int rc = r->fd < 0 ? 0 : whole_settle(r->fd);

    if (rc)
        die_of_name(r->name, rc);
}

int results_close(struct results *r)
{
    int rc = r->fd < 0 ? 0 : whole_close(r->fd);

    text_fini(&r->buffer);
    r->fd = -1;
    return rc ? refuse_name(r->name, rc) : 0;
}
