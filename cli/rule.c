/* rule.c: the rule that a compiler writes for make. In a name a blank and a # have a
 * backslash before them, a dollar sign is doubled, and backslashes before a blank are
 * doubled too; a backslash at the end of a line continues it. */
#include "rule.h"

#include <string.h>

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Backslashes at *at: half of them stand for themselves before a blank or a #, which
 * an odd one makes a part of the name. */
static void read_backslashes(const char **at, struct text *name)
{
    size_t n = strspn(*at, "\\");
    char next = (*at)[n];
    int escapes = next == ' ' || next == '\t' || next == '#';

    *at += n;
    for (size_t i = escapes ? n / 2 : n; i > 0; i--)
        text_putc(name, '\\');
    if (escapes && n % 2)
        text_putc(name, *(*at)++);
}

static const char *read_name(const char *at, struct text *name)
{
    text_clear(name);
    while (*at && !is_blank(*at)) {
        if (at[0] == '\\' && at[1] == '\n')
            break;
        if (*at == '\\') {
            read_backslashes(&at, name);
        } else {
            at += at[0] == '$' && at[1] == '$';
            text_putc(name, *at++);
        }
    }
    return at;
}

int rule_each(const struct text *rule,
              int (*visit)(void *ctx, const char *name), void *ctx)
{
    const char *at = strchr(text_string(rule), ':');
    struct text name = {0};
    int rc = 0;

    at = at ? at + 1 : "";
    while (rc == 0) {
        while (is_blank(*at) || (at[0] == '\\' && at[1] == '\n'))
            at++;
        if (!*at)
            break;
        at = read_name(at, &name);
        rc = visit(ctx, text_string(&name));
    }
    text_fini(&name);
    return rc;
}
