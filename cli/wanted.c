/* wanted.c: what a C file says of how it is to be built. */
#include "wanted.h"

#include <ctype.h>
#include <string.h>

#include "say.h"

static const char marker[] = "muster:";

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '*' || c == '\r';
}

/* Of a name or a number. */
static int is_of_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (c & 0x80);
}

/* The end of the name or number at `at`; a quote within a number is a part of it. */
static const char *word_end(const char *at, const char *end)
{
    int is_number = isdigit((unsigned char)*at);
    const char *c = at;

    while (c < end && (is_of_word(*c) || (is_number && *c == '\'' &&
                                          end - c > 1 && is_of_word(c[1]))))
        c++;
    return c;
}

/* The end of the literal with its quote at `at`; a quote that the line does not close stands
 * alone. */
static const char *literal_end(const char *at, const char *end)
{
    for (const char *c = at + 1; c < end && *c != '\n'; c++) {
        if (*c == *at)
            return c + 1;
        if (*c == '\\' && end - c > 1)
            c++;
    }
    return at + 1;
}

/* The same of R"x(...)x". */
static const char *raw_end(const char *at, const char *end)
{
    const char *c = memchr(at, '(', (size_t)(end - at));
    ptrdiff_t n = c ? c - at - 1 : 0; /* of the x */

    for (; c && end - c > n + 1; c++)
        if (*c == ')' && c[n + 1] == '"' &&
            memcmp(c + 1, at + 1, (size_t)n) == 0)
            return c + n + 2;
    return literal_end(at, end);
}

/* Behind the words and literals at `at`, where a comment can begin. */
static const char *next_outside(const char *at, const char *end)
{
    static const char *const raw[] = {"R", "LR", "uR", "UR", "u8R"};
    const char *c = word_end(at, end);

    if (c == at)
        return *at == '"' || *at == '\'' ? literal_end(at, end) : at + 1;
    for (size_t i = 0; i < sizeof raw / sizeof raw[0]; i++)
        if (c < end && *c == '"' && (size_t)(c - at) == strlen(raw[i]) &&
            memcmp(at, raw[i], strlen(raw[i])) == 0)
            return raw_end(c, end);
    return c;
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
    while (end - c > 2) {
        int is_line = c[1] == '/';
        const char *at = c + 2;

        if (*c != '/' || (!is_line && c[1] != '*')) {
            c = next_outside(c, end);
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
        if (!is_line && end - c > 2)
            c += 2;
    }
    return 0;
}

void wanted_fini(struct wanted *w)
{
    text_fini(&w->pkg_config);
    text_fini(&w->link);
    text_fini(&w->cflags);
}
