/* template.c: a command with replacement strings: reading it, filling it in. */
#include "template.h"

#include <stdlib.h>
#include <string.h>

#include "program.h"
#include "say.h"

static const struct {
    const char *name;
    enum template_part part;
} parts[] = {
    {"", PART_INPUT},       {".", PART_NO_EXTENSION}, {"/", PART_BASE},
    {"//", PART_DIRECTORY}, {"/.", PART_BASE_NO_EXT}, {"#", PART_SEQ},
    {"%", PART_SLOT},
};
enum { N_PARTS = sizeof parts / sizeof parts[0], COLUMN_MAX = 100000 };

/* The number that {12/} begins with; *at is behind it. 0: none, or none that can be. */
static uint32_t read_column(const char **at)
{
    uint32_t column = 0;

    if (**at == '0')
        return 0;
    while (**at >= '0' && **at <= '9' && column < COLUMN_MAX)
        column = column * 10 + (uint32_t)(*(*at)++ - '0');
    return column;
}

enum template_part template_part_at(const char *text, size_t *ret_length,
                                    uint32_t *ret_column)
{
    const char *name = text + 1;
    const char *close;
    uint32_t column;

    if (text[0] != '{')
        return PART_TEXT;
    close = strchr(text, '}');
    if (!close)
        return PART_TEXT;
    column = read_column(&name);
    for (size_t i = 0; i < N_PARTS; i++) {
        size_t n = strlen(parts[i].name);

        if ((size_t)(close - name) != n || memcmp(name, parts[i].name, n) != 0)
            continue;
        if (column && parts[i].part >= PART_SEQ)
            return PART_TEXT;
        *ret_length = (size_t)(close + 1 - text);
        *ret_column = column;
        return parts[i].part;
    }
    return PART_TEXT;
}

/* Segments and text grow apart and are joined at the end. */
struct builder {
    struct text segments;
    struct text text;
    uint32_t n_segments;
    uint32_t program; /* as in struct template */
    uint32_t column;  /* of the segments that are added */
    int is_many;
    int has_string; /* some replacement string was seen */
};

static void add_segment(struct builder *b, enum template_part part,
                        const char *text, size_t size)
{
    struct template_segment s = {.part = part, .column = b->column};

    if (part == PART_TEXT) {
        s.offset = (uint32_t)b->text.size;
        s.size = (uint32_t)size;
        text_append(&b->text, text, size);
    }
    text_append(&b->segments, &s, sizeof s);
    b->n_segments++;
}

/* What GNU parallel would replace and we do not is refused, not left as it is. */
static int refuse_foreign(const char *text)
{
    if (strncmp(text, "{=", 2) == 0)
        return say_refuse("'%.12s...': expressions of Perl are not offered; "
                          "there are {} {.} {/} {//} {/.} {#} {%%}",
                          text);
    return 0;
}

/* {1} is all of an input that is one value, and there is no {2} of it. */
static int check_column(uint32_t column, int is_many, const char *text,
                        size_t length)
{
    if (is_many || column <= 1)
        return 0;
    return say_refuse("'%.*s': an input is one value, {} or {1}: another :::, "
                      "--colsep or -n give it several",
                      (int)length, text);
}

int template_check(const char *string, int is_many)
{
    while (*string) {
        size_t length = 1;
        uint32_t column = 0;

        if (template_part_at(string, &length, &column) == PART_TEXT) {
            if (refuse_foreign(string) < 0)
                return -1;
        } else if (check_column(column, is_many, string, length) < 0) {
            return -1;
        }
        string += length;
    }
    return 0;
}

static int add_word(struct builder *b, const char *word)
{
    const char *plain = word;

    while (*word) {
        size_t length = 0;
        uint32_t column = 0;
        enum template_part part = template_part_at(word, &length, &column);

        if (part == PART_TEXT) {
            if (word[0] == '{' && refuse_foreign(word) < 0)
                return -1;
            word++;
            continue;
        }
        if (word > plain)
            add_segment(b, PART_TEXT, plain, (size_t)(word - plain));
        if (check_column(column, b->is_many, word, length) < 0)
            return -1;
        b->column = b->is_many ? column : 0;
        add_segment(b, part, NULL, 0);
        b->column = 0;
        b->has_string = 1;
        word += length;
        plain = word;
    }
    if (word > plain)
        add_segment(b, PART_TEXT, plain, (size_t)(word - plain));
    add_segment(b, PART_END_OF_WORD, NULL, 0);
    return 0;
}

/* A word alone is a line for the shell if a shell would see more in it than a
 * word. */
static int is_shell_line(const char *word)
{
    for (const char *c = word; *c; c++) {
        size_t length;
        uint32_t column;

        if (template_part_at(c, &length, &column) != PART_TEXT)
            c += length - 1;
        else if (strchr(" \t\n|&;<>()$`\\\"'*?[]#~=!", *c))
            return 1;
    }
    return 0;
}

static enum template_kind kind_of(char *const *words, size_t n_words)
{
    if (n_words == 0 || (n_words == 1 && strcmp(words[0], "{}") == 0))
        return TEMPLATE_INPUT;
    return n_words == 1 && is_shell_line(words[0]) ? TEMPLATE_SHELL
                                                   : TEMPLATE_ARGV;
}

/* Look the program up now, so that a wrong name is told before anything runs and
 * the workers need not search. */
static int find_program(struct builder *b, const char *word)
{
    char *path;

    for (const char *c = word; *c; c++) {
        size_t length;
        uint32_t column;

        if (template_part_at(c, &length, &column) != PART_TEXT)
            return 0;
    }
    path =
        program_find(word, "a line for the shell is one word, in quotes", "");
    if (!path)
        return -1;
    b->program = (uint32_t)b->text.size + 1;
    text_append(&b->text, path, strlen(path) + 1);
    free(path);
    return 0;
}

static struct template *join(const struct builder *b, enum template_kind kind,
                             unsigned flags, size_t *ret_size)
{
    size_t size = sizeof(struct template) + b->segments.size + b->text.size;
    struct template *t = text_alloc(1, size);

    t->kind = kind;
    t->n_segments = b->n_segments;
    t->program = b->program;
    t->is_many = (flags & TEMPLATE_MANY) != 0;
    if (b->segments.size)
        memcpy(t->segments, b->segments.data, b->segments.size);
    if (b->text.size)
        memcpy((char *)t->segments + b->segments.size, b->text.data,
               b->text.size);
    *ret_size = size;
    return t;
}

int template_read(char *const *words, size_t n_words, unsigned flags,
                  struct template **ret_template, size_t *ret_size)
{
    enum template_kind kind = kind_of(words, n_words);
    struct builder b = {.is_many = (flags & TEMPLATE_MANY) != 0};
    int rc = 0;

    if (kind == TEMPLATE_INPUT) {
        add_segment(&b, PART_INPUT, NULL, 0);
        add_segment(&b, PART_END_OF_WORD, NULL, 0);
        b.has_string = 1;
    } else {
        for (size_t i = 0; i < n_words && rc == 0; i++)
            rc = add_word(&b, words[i]);
    }
    if (rc == 0 && !b.has_string && !(flags & TEMPLATE_NO_APPEND)) {
        if (kind == TEMPLATE_SHELL) {
            /* before the end of the one word */
            b.segments.size -= sizeof(struct template_segment);
            b.n_segments--;
            add_segment(&b, PART_TEXT, " ", 1);
        }
        add_segment(&b, PART_INPUT, NULL, 0);
        add_segment(&b, PART_END_OF_WORD, NULL, 0);
    }
    if (rc == 0 && kind == TEMPLATE_ARGV)
        rc = find_program(&b, words[0]);
    if (rc == 0)
        *ret_template = join(&b, kind, flags, ret_size);
    text_fini(&b.segments);
    text_fini(&b.text);
    return rc;
}

/* The range of `input` without its extension: the last dot behind the last slash
 * and what follows it. */
static size_t without_extension(const char *input, size_t size)
{
    for (size_t i = size; i > 0 && input[i - 1] != '/'; i--)
        if (input[i - 1] == '.')
            return i - 1;
    return size;
}

static size_t base_start(const char *input, size_t size)
{
    while (size > 0 && input[size - 1] != '/')
        size--;
    return size;
}

/* As dirname(1) has it: "." without a slash, "/" for what lies in the root; and
 * a slash at the end belongs to the name before it. */
static void put_directory(const char *input, size_t size, struct text *ret)
{
    while (size > 1 && input[size - 1] == '/')
        size--;
    if (size == 1 && input[0] == '/') {
        text_putc(ret, '/');
        return;
    }
    size = base_start(input, size);
    if (size == 0) {
        text_putc(ret, '.');
        return;
    }
    while (size > 1 && input[size - 1] == '/')
        size--;
    text_append(ret, input, size);
}

/* Append one value of an input: as a whole, or the part that `part` names. */
static void put_plain(enum template_part part, const struct template_values *v,
                      struct text *ret_value)
{
    size_t base = base_start(v->input, v->input_size);

    switch (part) {
    case PART_INPUT:
        text_append(ret_value, v->input, v->input_size);
        break;
    case PART_NO_EXTENSION:
        text_append(ret_value, v->input,
                    without_extension(v->input, v->input_size));
        break;
    case PART_BASE:
        text_append(ret_value, v->input + base, v->input_size - base);
        break;
    case PART_DIRECTORY:
        put_directory(v->input, v->input_size, ret_value);
        break;
    case PART_BASE_NO_EXT:
        text_append(ret_value, v->input + base,
                    without_extension(v->input, v->input_size) - base);
        break;
    case PART_SEQ:
        text_printf(ret_value, "%llu", (unsigned long long)v->seq);
        break;
    case PART_SLOT:
        text_printf(ret_value, "%u", v->slot);
        break;
    default:
        break;
    }
}

static const char *text_of(const struct template *t)
{
    return (const char *)(t->segments + t->n_segments);
}

/* One of many, from 1; an empty one at NULL where there are fewer. */
static struct template_values pick(const struct template_values *v,
                                   uint32_t column)
{
    struct template_values one = *v;
    const char *at = v->input;
    const char *end = at + v->input_size;

    for (; column > 1 && at <= end; column--)
        at += strnlen(at, (size_t)(end - at)) + 1;
    one.input = at <= end ? at : NULL;
    one.input_size = at <= end ? strnlen(at, (size_t)(end - at)) : 0;
    return one;
}

/* All of them, with blanks between. */
static void put_joined(enum template_part part, const struct template_values *v,
                       struct text *ret)
{
    size_t start = ret->size;

    put_plain(part, v, ret);
    for (size_t i = start; i < ret->size; i++)
        if (ret->data[i] == '\0')
            ret->data[i] = ' ';
}

void template_expand(const char *string, const struct template_values *v,
                     struct text *ret)
{
    while (*string) {
        size_t length = 1;
        uint32_t column = 0;
        enum template_part part = template_part_at(string, &length, &column);

        if (part == PART_TEXT || (column > 1 && !v->is_many)) {
            text_append(ret, string, length);
        } else if (column && v->is_many) {
            const struct template_values one = pick(v, column);

            if (one.input)
                put_plain(part, &one, ret);
        } else {
            put_joined(part, v, ret);
        }
        string += length;
    }
}

/* One value, as a word or within one. */
static void put_value(const struct template *t, enum template_part part,
                      const struct template_values *v, struct text *ret_words)
{
    struct text value = {0};

    if (t->kind != TEMPLATE_SHELL) {
        put_plain(part, v, ret_words);
        return;
    }
    put_plain(part, v, &value);
    text_put_shell(ret_words, text_string(&value), value.size);
    text_fini(&value);
}

/* Whether segment i is a word of its own. */
static int is_whole_word(const struct template *t, uint32_t i)
{
    const struct template_segment *s = t->segments;

    return t->kind == TEMPLATE_ARGV &&
           (i == 0 || s[i - 1].part == PART_END_OF_WORD) &&
           s[i + 1].part == PART_END_OF_WORD;
}

/* What stands in the place of segment i: of many inputs the one of its column, nothing
 * where there are fewer; or all, each a word where the place is one, else separated by
 * blanks. */
static void put_values(const struct template *t, uint32_t i,
                       const struct template_values *v, struct text *ret_words)
{
    const struct template_segment *s = &t->segments[i];
    const char *at = v->input;
    const char *end = at + v->input_size;
    struct template_values one = *v;

    if (s->part >= PART_SEQ || s->column) {
        if (s->column)
            one = pick(v, s->column);
        /* in a line for the shell, what is not there is not '' either */
        if (one.input)
            put_value(t, s->part, &one, ret_words);
        return;
    }
    do {
        one.input = at;
        one.input_size = strnlen(at, (size_t)(end - at));
        if (at > v->input)
            text_putc(ret_words, is_whole_word(t, i) ? '\0' : ' ');
        put_value(t, s->part, &one, ret_words);
        at += one.input_size + 1;
    } while (t->is_many && at <= end);
}

void template_fill(const struct template *t, const struct template_values *v,
                   struct text *ret_words)
{
    for (uint32_t i = 0; i < t->n_segments; i++) {
        const struct template_segment *s = &t->segments[i];

        if (s->part == PART_TEXT) {
            text_append(ret_words, text_of(t) + s->offset, s->size);
        } else if (s->part == PART_END_OF_WORD) {
            text_putc(ret_words, '\0');
        } else {
            put_values(t, i, v, ret_words);
        }
    }
}

void template_show(const struct template *t, const struct template_values *v,
                   struct text *ret_line)
{
    struct text words = {0};
    const char *word;

    template_fill(t, v, &words);
    word = words.data;
    if (t->kind != TEMPLATE_ARGV) {
        text_append(ret_line, word, words.size - 1);
    } else {
        while (word < words.data + words.size) {
            const char *end =
                memchr(word, '\0', (size_t)(words.data + words.size - word));

            if (word > words.data)
                text_putc(ret_line, ' ');
            text_put_shell(ret_line, word, (size_t)(end - word));
            word = end + 1;
        }
    }
    text_fini(&words);
}

const char *template_program(const struct template *t)
{
    return t->program ? text_of(t) + t->program - 1 : NULL;
}
