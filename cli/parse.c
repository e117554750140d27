/* parse.c: numbers and bytes of the command line, as GNU parallel writes them. */
#include "parse.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { JOBS_MAX = 4096 };

int parse_count(const char *text, uint64_t *ret_count)
{
    unsigned long long count;
    char *end;

    if (text[0] < '0' || text[0] > '9')
        return -1;
    errno = 0;
    count = strtoull(text, &end, 10);
    if (errno || *end)
        return -1;
    *ret_count = count;
    return 0;
}

int parse_byte(const char *text, char *ret_byte)
{
    static const char names[] = "abfnrtv\\";
    static const char bytes[] = "\a\b\f\n\r\t\v\\";
    const char *at;
    const char *digits;
    size_t n;
    unsigned long value;
    int is_hex;

    if (text[0] && !text[1]) {
        *ret_byte = text[0];
        return 0;
    }
    if (text[0] != '\\')
        return -1;
    at = strchr(names, text[1]);
    if (at && !text[2]) {
        *ret_byte = bytes[at - names];
        return 0;
    }
    is_hex = text[1] == 'x';
    digits = text + 1 + is_hex;
    n = strspn(digits, is_hex ? "0123456789abcdefABCDEF" : "01234567");
    if (n == 0 || n > (is_hex ? 2 : 3) || digits[n])
        return -1;
    value = strtoul(digits, NULL, is_hex ? 16 : 8);
    if (value > 0xff)
        return -1;
    *ret_byte = (char)value;
    return 0;
}

/* A number without sign, exponent, hexadecimal or names. */
static int parse_decimal(const char **text, double *ret_value)
{
    const char *t = *text;
    size_t n = strspn(t, "0123456789.");
    char digits[40];
    char *end;

    if (n == 0 || n >= sizeof digits)
        return -1;
    memcpy(digits, t, n);
    digits[n] = '\0';
    *ret_value = strtod(digits, &end);
    if (*end)
        return -1;
    *text = t + n;
    return 0;
}

static double size_unit(const char *unit)
{
    static const char letters[] = "kmgtp";
    const char *at;
    double base = 1000;
    double value = 1;
    char lower;

    if (!unit[0])
        return 1;
    lower = (char)(unit[0] | 0x20);
    at = strchr(letters, lower);
    if (!at || (unit[1] && strcmp(unit + 1, "i") != 0))
        return 0;
    if (unit[1] || unit[0] != lower)
        base = 1024;
    for (const char *c = letters; c <= at; c++)
        value *= base;
    return value;
}

int parse_size(const char *text, uint64_t *ret_bytes)
{
    double value;
    double unit;

    if (parse_decimal(&text, &value) < 0)
        return -1;
    unit = size_unit(text);
    if (unit == 0 || value * unit >= 0x1p63)
        return -1;
    *ret_bytes = (uint64_t)(value * unit);
    return 0;
}

int parse_duration(const char *text, int64_t *ret_ns)
{
    double seconds = 0;

    if (!*text)
        return -1;
    while (*text) {
        double value;

        if (parse_decimal(&text, &value) < 0)
            return -1;
        switch (*text | 0x20) {
        case 'd':
            value *= 24 * 60 * 60;
            break;
        case 'h':
            value *= 60 * 60;
            break;
        case 'm':
            value *= 60;
            break;
        case 's':
            break;
        default:
            if (*text)
                return -1;
        }
        if (*text)
            text++;
        seconds += value;
    }
    if (seconds >= 9e9)
        return -1;
    *ret_ns = (int64_t)(seconds * 1e9);
    return 0;
}

int parse_jobs(const char *text, unsigned n_cpus, unsigned *ret_jobs)
{
    const char *rest = text;
    double jobs;

    if (*rest == '+' || *rest == '-') {
        uint64_t count;

        if (parse_count(rest + 1, &count) < 0 || count > JOBS_MAX)
            return -1;
        jobs = *rest == '+' ? (double)n_cpus + (double)count
                            : (double)n_cpus - (double)count;
    } else {
        if (parse_decimal(&rest, &jobs) < 0)
            return -1;
        if (strcmp(rest, "%") == 0)
            jobs = jobs * n_cpus / 100;
        else if (*rest || strchr(text, '.'))
            return -1;
        else if (jobs == 0) {
            *ret_jobs = 0;
            return 0;
        }
    }
    jobs = ceil(jobs);
    if (jobs > JOBS_MAX)
        return -1;
    *ret_jobs = jobs < 1 ? 1 : (unsigned)jobs;
    return 0;
}
