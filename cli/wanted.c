/* wanted.c: what a C file says of how it is to be built. */
#include "wanted.h"

#include <string.h>

#include "say.h"

static const char marker[] = "muster:";

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '*' || c == '\r';
}

/* The end of the comment: its line, or for the kind with an end, that end. */
static const char *comment_end(const char *at, const char *end, int is_line)
{
    for (const char *c = at; c < end; c++) {
        if (is_line ? *c == '\n' : c + 1 < end && c[0] == '*' && c[1] == '/')
            return c;
    }
    return end;
}

static struct text *target(struct wanted *w, const char *key, size_t length)
{
    const struct {
        const char *name;
        struct text *text;
    } keys[] = {
        {"pkg-config", &w->pkg_config},
        {"link", &w->link},
        {"cflags", &w->cflags},
    };

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strlen(keys[i].name) == length &&
            memcmp(keys[i].name, key, length) == 0)
            return keys[i].text;
    return NULL;
}

/* key=value or key="several words" at `at`; moves it behind them. */
static int read_pair(const char *path, struct wanted *w, const char **at,
                     const char *end)
{
    const char *key = *at;
    const char *c = key;
    const char *value;
    struct text *text;
    size_t length;

    while (c < end && *c != '=' && !is_blank(*c) && *c != '\n')
        c++;
    length = (size_t)(c - key);
    text = target(w, key, length);
    if (!text || c == end || *c != '=')
        return say_refuse("%s: '%.*s' in its muster: comment is not one of "
                          "pkg-config=, link=, cflags=",
                          path, (int)(length > 40 ? 40 : length), key);
    c++;
    if (c < end && *c == '"') {
        value = ++c;
        while (c < end && *c != '"')
            c++;
    } else {
        value = c;
        while (c < end && !is_blank(*c) && *c != '\n')
            c++;
    }
    text_append(text, value, (size_t)(c - value));
    text_putc(text, ' ');
    *at = c < end && *c == '"' ? c + 1 : c;
    return 0;
}

static int read_comment(const char *path, struct wanted *w, const char *at,
                        const char *end)
{
    for (;;) {
        while (at < end && (is_blank(*at) || *at == '\n'))
            at++;
        if (at >= end)
            return 0;
        if (read_pair(path, w, &at, end) < 0)
            return -1;
    }
}

int wanted_read(const char *path, const char *source, size_t size,
                struct wanted *ret_wanted)
{
    const char *end = source + size;
    const char *c = source;

    *ret_wanted = (struct wanted){0};
    while ((c = memchr(c, '/', (size_t)(end - c))) && end - c > 2) {
        int is_line = c[1] == '/';
        const char *at = c + 2;

        if (!is_line && c[1] != '*') {
            c++;
            continue;
        }
        while (at < end && is_blank(*at))
            at++;
        if ((size_t)(end - at) >= sizeof marker - 1 &&
            memcmp(at, marker, sizeof marker - 1) == 0 &&
            read_comment(path, ret_wanted, at + sizeof marker - 1,
                         comment_end(at, end, is_line)) < 0)
            return -1;
        c = comment_end(c + 2, end, is_line);
    }
    return 0;
}

void wanted_fini(struct wanted *w)
{
    text_fini(&w->pkg_config);
    text_fini(&w->link);
    text_fini(&w->cflags);
}
