/* text.c: a run of bytes that grows, and the three ways it is quoted. */
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "say.h"

enum { TEXT_CAPACITY_MIN = 64 };

int text_try_reserve(struct text *t, size_t size)
{
    size_t capacity = t->capacity ? t->capacity : TEXT_CAPACITY_MIN;
    char *data;

    if (t->capacity > t->size && t->capacity - t->size > size)
        return 0;
    if (size > SIZE_MAX / 4 || t->size > SIZE_MAX / 4)
        return -ENOMEM;
    while (capacity - t->size <= size)
        capacity *= 2;
    data = realloc(t->data, capacity);
    if (!data)
        return -ENOMEM;
    t->data = data;
    t->capacity = capacity;
    return 0;
}

char *text_reserve(struct text *t, size_t size)
{
    if (text_try_reserve(t, size) < 0)
        say_fatal("out of memory for %zu bytes more than %zu", size, t->size);
    return t->data + t->size;
}

int text_try_append(struct text *t, const void *bytes, size_t size)
{
    int rc = text_try_reserve(t, size);

    if (rc < 0)
        return rc;
    if (size)
        memcpy(t->data + t->size, bytes, size);
    t->size += size;
    t->data[t->size] = '\0';
    return 0;
}

int text_try_append_ended(struct text *t, const void *bytes, size_t size)
{
    int rc = text_try_reserve(t, size + 1);

    if (rc < 0)
        return rc;
    text_append(t, bytes, size);
    text_putc(t, '\0');
    return 0;
}

void text_append(struct text *t, const void *bytes, size_t size)
{
    (void)text_reserve(t, size);
    (void)text_try_append(t, bytes, size);
}

void text_put(struct text *t, const char *string)
{
    text_append(t, string, strlen(string));
}

void text_putc(struct text *t, char c)
{
    text_append(t, &c, 1);
}

void text_printf(struct text *t, const char *format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0)
        return;
    (void)text_reserve(t, (size_t)length);
    va_start(args, format);
    (void)vsnprintf(t->data + t->size, (size_t)length + 1, format, args);
    va_end(args);
    t->size += (size_t)length;
}

void text_cut(struct text *t, size_t size)
{
    t->size = size;
    t->data[size] = '\0';
}

void text_clear(struct text *t)
{
    t->size = 0;
    if (t->data)
        t->data[0] = '\0';
}

void text_fini(struct text *t)
{
    free(t->data);
    *t = (struct text){0};
}

const char *text_string(const struct text *t)
{
    return t->data ? t->data : "";
}

static int is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
           c == '+' || c == '/';
}

static int is_all_plain(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!is_plain((unsigned char)bytes[i]))
            return 0;
    return 1;
}

/* A run of single quotes goes into double quotes, everything else into single
 * ones; no empty pair is left at either end. */
void text_put_shell(struct text *t, const char *bytes, size_t size)
{
    size_t i = 0;

    if (size == 0) {
        text_put(t, "''");
        return;
    }
    if (is_all_plain(bytes, size)) {
        text_append(t, bytes, size);
        return;
    }
    while (i < size) {
        if (bytes[i] == '\'') {
            text_put(t, "\"'\"");
            i++;
            /* the same between two quotes: '"'"''"'"' */
            if (i < size && bytes[i] == '\'')
                text_put(t, "''");
        } else {
            const char *quote = memchr(bytes + i, '\'', size - i);
            size_t n = quote ? (size_t)(quote - (bytes + i)) : size - i;

            text_putc(t, '\'');
            text_append(t, bytes + i, n);
            text_putc(t, '\'');
            i += n;
        }
    }
}

size_t text_utf8_length(const char *bytes, size_t size)
{
    const unsigned char *b = (const unsigned char *)bytes;
    size_t n;

    if (b[0] < 0x80)
        return 1;
    if (b[0] < 0xc2 || b[0] > 0xf4)
        return 0;
    n = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    if (size < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    /* overlong forms, surrogates, and what lies beyond Unicode */
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) ||
        (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
        return 0;
    return n;
}

static void put_json_char(struct text *t, unsigned char c)
{
    switch (c) {
    case '"':
        text_put(t, "\\\"");
        break;
    case '\\':
        text_put(t, "\\\\");
        break;
    default:
        if (c < 0x20 || c == 0x7f)
            text_printf(t, "\\u%04x", (unsigned)c);
        else
            text_putc(t, (char)c);
    }
}

void text_put_json(struct text *t, const char *bytes, size_t size)
{
    size_t i = 0;

    text_putc(t, '"');
    while (i < size) {
        size_t n = text_utf8_length(bytes + i, size - i);

        if (n == 0)
            text_put(t, "\\ufffd");
        else if (n == 1)
            put_json_char(t, (unsigned char)bytes[i]);
        else
            text_append(t, bytes + i, n);
        i += n ? n : 1;
    }
    text_putc(t, '"');
}

void text_put_number(struct text *t, double number)
{
    char digits[40];
    size_t n;

    if (number < 999.5) {
        text_printf(t,
                    number < 9.995   ? "%.2f"
                    : number < 99.95 ? "%.1f"
                                     : "%.0f",
                    number);
        return;
    }
    n = (size_t)snprintf(digits, sizeof digits, "%.0f", number);
    for (size_t i = 0; i < n && i < sizeof digits; i++) {
        if (i && (n - i) % 3 == 0)
            text_putc(t, ',');
        text_putc(t, digits[i]);
    }
}

void *text_alloc(size_t n, size_t size)
{
    void *memory = calloc(n ? n : 1, size ? size : 1);

    if (!memory)
        say_fatal("out of memory for %zu times %zu bytes", n, size);
    return memory;
}

char *text_copy(const char *string)
{
    size_t size = strlen(string) + 1;

    return memcpy(text_alloc(1, size), string, size);
}
