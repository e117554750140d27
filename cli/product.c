/* product.c: several sources of inputs: every combination of their values. */
#include "product.h"

#include <stdlib.h>
#include <string.h>

#include "muster/base.h"

#include "names.h"
#include "stream.h"

/* One source. */
struct column {
    struct names names;
    int has_begun; /* a value of it was read */
    int at_end;
};

/* Sources that are linked, and their rows: a value of each, with a byte of 0 behind
 * it. Of the first axis only the row that is current is kept. */
struct axis {
    struct column *columns;
    size_t n_columns;
    size_t n_read;    /* columns of the row that is being read */
    size_t row_start; /* where that row begins */
    struct text rows;
    size_t at; /* of the row whose turn it is */
    size_t end;
    int is_read;
};

struct product {
    struct column columns[SOURCES_MAX];
    struct axis axes[SOURCES_MAX];
    size_t n_columns;
    size_t n_axes;
    int has_row; /* of the first axis */
    int is_some; /* some source has a value */
};

static int column_open(const struct source *s, char delimiter,
                       struct column *ret)
{
    ret->names = (struct names){.args = s->args, .n_args = s->n_args};
    ret->names.delimiter = delimiter;
    return s->args ? 0 : stream_open(s->file, &ret->names.stream);
}

int product_open(const struct options *o, struct product **ret_product)
{
    struct product *p = text_alloc(1, sizeof *p);

    for (size_t i = 0; i < o->n_sources; i++) {
        if (column_open(&o->sources[i], o->delimiter, &p->columns[i]) < 0) {
            product_free(p);
            return -1;
        }
        p->n_columns++;
        if (i == 0 || !o->sources[i].is_linked)
            p->axes[p->n_axes++].columns = &p->columns[i];
        p->axes[p->n_axes - 1].n_columns++;
    }
    *ret_product = p;
    return 0;
}

void product_free(struct product *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_columns; i++)
        stream_free(p->columns[i].names.stream);
    for (size_t i = 0; i < p->n_axes; i++)
        text_fini(&p->axes[i].rows);
    free(p);
}

/* One more value for the row; of an empty source, an empty one. */
static int read_value(struct product *p, struct axis *a)
{
    struct column *c = &a->columns[a->n_read];
    const char *value = "";
    size_t size = 0;
    int rc = c->at_end ? MU_EMPTY : names_next(&c->names, &value, &size);

    if (rc == MU_EMPTY && !c->at_end) {
        c->at_end = 1;
        rc = c->has_begun ? rc : 0;
    } else if (rc == 0) {
        p->is_some = 1;
    }
    if (rc)
        return rc;
    c->has_begun = 1;
    rc = text_try_append_ended(&a->rows, value, strnlen(value, size));
    a->n_read += rc == 0;
    return rc;
}

/* Append a row to a->rows. What has come of it waits for the rest. */
static int read_row(struct product *p, struct axis *a)
{
    int rc = 0;

    if (a->n_read == 0)
        a->row_start = a->rows.size;
    while (a->n_read < a->n_columns && (rc = read_value(p, a)) == 0)
        ;
    if (rc == MU_EMPTY)
        a->rows.size = a->row_start; /* the shortest has ended */
    if (rc == 0)
        a->n_read = 0;
    return rc;
}

/* Where the row at `at` ends. */
static size_t row_end(const struct axis *a, size_t at)
{
    for (size_t i = 0; i < a->n_columns; i++)
        at += strlen(a->rows.data + at) + 1;
    return at;
}

static void axis_restart(struct axis *a)
{
    a->at = 0;
    a->end = row_end(a, 0);
}

/* All rows of the axes behind the first. */
static int read_others(struct product *p)
{
    for (size_t i = 1; i < p->n_axes; i++) {
        struct axis *a = &p->axes[i];
        int rc = 0;

        while (!a->is_read && (rc = read_row(p, a)) == 0)
            ;
        if (!a->is_read && rc != MU_EMPTY)
            return rc;
        a->is_read = 1;
    }
    return 0;
}

static int next_of_first(struct product *p)
{
    struct axis *first = &p->axes[0];
    int rc;

    p->has_row = 0;
    if (first->n_read == 0)
        text_clear(&first->rows);
    rc = read_row(p, first);
    if (rc == 0 && !p->is_some)
        rc = MU_EMPTY; /* all are empty */
    if (rc)
        return rc;
    p->has_row = 1;
    for (size_t i = 0; i < p->n_axes; i++)
        axis_restart(&p->axes[i]);
    return 0;
}

/* The last axis that has another row; those behind it start again. */
static int advance(struct product *p)
{
    for (size_t i = p->n_axes; i-- > 1;) {
        struct axis *a = &p->axes[i];

        if (a->end < a->rows.size) {
            a->at = a->end;
            a->end = row_end(a, a->at);
            return 0;
        }
        axis_restart(a);
    }
    return next_of_first(p);
}

int product_next(struct product *p, struct text *ret)
{
    int rc = read_others(p);

    if (rc == 0)
        rc = p->has_row ? advance(p) : next_of_first(p);
    if (rc)
        return rc;
    text_clear(ret);
    for (size_t i = 0; i < p->n_axes; i++) {
        const struct axis *a = &p->axes[i];

        rc = text_try_append(ret, a->rows.data + a->at, a->end - a->at);
        if (rc)
            return rc;
    }
    ret->size--; /* the last value ends without it */
    return 0;
}

void product_hold(struct product *p)
{
    for (size_t i = 0; i < p->axes[0].n_columns; i++)
        names_hold(&p->columns[i].names);
}

void product_rewind(struct product *p)
{
    struct axis *first = &p->axes[0];

    for (size_t i = 0; i < first->n_columns; i++) {
        names_rewind(&p->columns[i].names);
        p->columns[i].has_begun = 0;
        p->columns[i].at_end = 0;
    }
    first->n_read = 0;
    p->has_row = 0;
}

const struct stream *product_stream(const struct product *p)
{
    return p->columns[0].names.stream;
}
