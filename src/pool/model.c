/* model.c: the grammar of models. */
#include "pool/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "muster/pool.h"

#include "base/error.h"

#define LEGAL_ORDER                                                            \
    "legal: serial, threads, processes or processes/threads, each layer with " \
    ":count if wished, as in processes:4/threads:2"

static const struct mui_layer_ops *layer_find(const char *name, size_t length)
{
    for (const struct mui_layer_ops *const *ops = mui_layers; *ops; ops++)
        if (strlen((*ops)->name) == length &&
            strncmp((*ops)->name, name, length) == 0)
            return *ops;
    return NULL;
}

/* Known names whose layer this build lacks get a better answer than "unknown". */
static int refuse_name(const char *name, size_t length, struct mu_error *err)
{
    static const char *const coming[] = {"fibers", "mpi"};

    for (size_t i = 0; i < sizeof coming / sizeof coming[0]; i++)
        if (strlen(coming[i]) == length &&
            strncmp(coming[i], name, length) == 0)
            return mui_fail(err, MU_EMODEL,
                            "model: this build of muster has no layer '%s'; it "
                            "has serial, threads and processes",
                            coming[i]);
    if (length == strlen("serial") && strncmp(name, "serial", length) == 0)
        return mui_fail(err, MU_EMODEL,
                        "model: 'serial' stands alone, without count or other "
                        "layers");
    return mui_fail(err, MU_EMODEL, "model: unknown layer '%.*s'; " LEGAL_ORDER,
                    (int)(length > 40 ? 40 : length), name);
}

/* One `layer[:count]` of [text, end). */
static int parse_layer(const char *text, const char *end,
                       struct mui_layer_spec *ret_spec, struct mu_error *err)
{
    const char *colon = memchr(text, ':', (size_t)(end - text));
    const char *name_end = colon ? colon : end;
    char *count_end = NULL;
    unsigned long width = 0;

    if (name_end == text)
        return mui_fail(err, MU_EMODEL,
                        "model: a layer is empty; " LEGAL_ORDER);
    ret_spec->ops = layer_find(text, (size_t)(name_end - text));
    if (!ret_spec->ops)
        return refuse_name(text, (size_t)(name_end - text), err);
    if (colon) {
        if (colon[1] >= '0' && colon[1] <= '9')
            width = strtoul(colon + 1, &count_end, 10);
        if (count_end != end || width < 1 || width > MUI_MODEL_WORKERS_MAX)
            return mui_fail(
                err, MU_EMODEL,
                "model: the count of '%.*s' is '%.*s'; it has to be "
                "a number from 1 to %d",
                (int)(name_end - text), text,
                (int)(end - colon - 1 > 40 ? 40 : end - colon - 1), colon + 1,
                MUI_MODEL_WORKERS_MAX);
    }
    ret_spec->width = (unsigned)width;
    return 0;
}

/* Counts left out share what the written ones leave of the CPUs: the outermost
 * takes all of it, those below 1. */
static void fill_widths(struct mui_model *m, unsigned n_cpus)
{
    unsigned written = 1;

    for (unsigned i = 0; i < m->n_layers; i++)
        if (m->layers[i].width)
            written *= m->layers[i].width;
    for (unsigned i = 0; i < m->n_layers; i++) {
        unsigned rest = n_cpus / written;

        if (m->layers[i].width)
            continue;
        m->layers[i].width = rest ? rest : 1;
        written *= m->layers[i].width;
    }
}

bool mui_model_isolates(const struct mui_model *m)
{
    return (m->layers[0].ops->caps & MUI_LAYER_ISOLATES) != 0;
}

unsigned mui_model_lanes_below(const struct mui_model *m, unsigned i_layer)
{
    unsigned n = 1;

    for (unsigned i = m->n_layers; i-- > i_layer + 1;)
        n = m->layers[i].ops->n_lanes(m->layers[i].width, n);
    return n;
}

static void write_text(struct mui_model *m)
{
    size_t length = 0;

    if (m->n_layers == 1) {
        (void)snprintf(m->text, sizeof m->text, "serial");
        return;
    }
    for (unsigned i = 0; i + 1 < m->n_layers; i++)
        length += (size_t)snprintf(m->text + length, sizeof m->text - length,
                                   "%s%s:%u", i ? "/" : "",
                                   m->layers[i].ops->name, m->layers[i].width);
}

int mui_model_parse(const char *text, unsigned n_cpus,
                    struct mui_model *ret_model, struct mu_error *err)
{
    struct mui_model m = {.n_layers = 0};
    const char *at = text;
    unsigned rank = 0;
    int rc;

    if (!text)
        return mui_fail(err, MU_EMODEL, "model: none given; " LEGAL_ORDER);
    while (strcmp(text, "serial") != 0) {
        const char *end = strchrnul(at, '/');
        struct mui_layer_spec *spec = &m.layers[m.n_layers];

        rc = parse_layer(at, end, spec, err);
        if (rc < 0)
            return rc;
        if (m.n_layers > 0 &&
            (spec->ops->rank <= rank || m.n_layers + 2 > MUI_MODEL_LAYERS))
            return mui_fail(err, MU_EMODEL,
                            "model: '%s' cannot stand below '%s'; " LEGAL_ORDER,
                            spec->ops->name, spec[-1].ops->name);
        rank = spec->ops->rank;
        m.n_layers++;
        if (!*end)
            break;
        at = end + 1;
    }
    m.layers[m.n_layers++] =
        (struct mui_layer_spec){.ops = &mui_layer_serial, .width = 1};
    fill_widths(&m, n_cpus);
    m.n_lanes = m.layers[0].ops->n_lanes(m.layers[0].width,
                                         mui_model_lanes_below(&m, 0));
    if (m.n_lanes > MUI_MODEL_WORKERS_MAX)
        return mui_fail(
            err, MU_EMODEL,
            "model: '%.80s' has %u workers; at most %d are possible", text,
            m.n_lanes, MUI_MODEL_WORKERS_MAX);
    write_text(&m);
    *ret_model = m;
    return 0;
}

int mu_model_check(const char *model, char *ret_text, size_t text_size,
                   struct mu_error *err)
{
    struct mui_model m;
    int rc = mui_model_parse(model, mu_usable_cpus(), &m, err);

    if (rc == 0 && ret_text && text_size)
        (void)snprintf(ret_text, text_size, "%s", m.text);
    return rc;
}

int mu_model_isolates(const char *model)
{
    struct mui_model m;
    int rc = mui_model_parse(model, 1, &m, NULL);

    if (rc < 0)
        return rc;
    return mui_model_isolates(&m);
}
