/* halt.c: --halt: after which outcomes no more tasks start. */
#include "halt.h"

#include <stdlib.h>
#include <string.h>

enum { EXIT_FAILED_MAX = 101 };

static int parse_limit(const char *text, struct halt_rule *rule)
{
    unsigned long long count;
    char *end;

    if (*text < '0' || *text > '9')
        return -1;
    count = strtoull(text, &end, 10);
    rule->is_percent = *end == '%';
    if (rule->is_percent)
        end++;
    /* after none of them it would have halted before the first */
    if (*end || count == 0 || (rule->is_percent && count > 100))
        return -1;
    rule->count = count;
    return 0;
}

int halt_parse(const char *text, struct halt_rule *ret_rule)
{
    static const struct {
        const char *short_form;
        const char *long_form;
    } old_forms[] = {
        {"0", "never"},           {"1", "soon,fail=1"},    {"2", "now,fail=1"},
        {"-1", "soon,success=1"}, {"-2", "now,success=1"},
    };
    static const struct {
        const char *name;
        enum halt_why why;
    } whys[] = {
        {"fail=", HALT_FAIL},
        {"success=", HALT_SUCCESS},
        {"done=", HALT_DONE},
    };
    struct halt_rule rule = {.when = HALT_SOON};

    for (size_t i = 0; i < sizeof old_forms / sizeof old_forms[0]; i++)
        if (strcmp(text, old_forms[i].short_form) == 0)
            text = old_forms[i].long_form;
    if (strcmp(text, "never") == 0) {
        *ret_rule = (struct halt_rule){0};
        return 0;
    }
    if (parse_limit(text, &rule) == 0 && rule.is_percent) {
        *ret_rule = rule;
        return 0;
    }
    if (strncmp(text, "now,", 4) == 0) {
        rule.when = HALT_NOW;
        text += 4;
    } else if (strncmp(text, "soon,", 5) == 0) {
        text += 5;
    } else {
        return -1;
    }
    for (size_t i = 0; i < sizeof whys / sizeof whys[0]; i++) {
        size_t n = strlen(whys[i].name);

        if (strncmp(text, whys[i].name, n) != 0)
            continue;
        rule.why = whys[i].why;
        if (parse_limit(text + n, &rule) < 0)
            return -1;
        *ret_rule = rule;
        return 0;
    }
    return -1;
}

static int percent_up(uint64_t part, uint64_t whole)
{
    return whole ? (int)((part * 100 + whole - 1) / whole) : 0;
}

static int failed_status(uint64_t n_failed)
{
    return n_failed > EXIT_FAILED_MAX ? EXIT_FAILED_MAX : (int)n_failed;
}

/* Whether one outcome was enough: also when that is the share of all. */
static int is_one(const struct halt_rule *rule, uint64_t n_total)
{
    return rule->is_percent ? rule->count * n_total == 100 : rule->count == 1;
}

static void halt_at(struct halt *h, int code, uint64_t n_total)
{
    h->is_halted = 1;
    if (h->rule.why == HALT_SUCCESS)
        h->exit_status = 0;
    else if (is_one(&h->rule, n_total))
        h->exit_status = code;
    else if (h->rule.is_percent)
        h->exit_status = percent_up(h->n_failed, n_total);
    else
        h->exit_status = failed_status(h->n_failed);
}

enum halt_when halt_count(struct halt *h, int code, uint64_t n_total)
{
    uint64_t reached;
    int applies;

    h->n_ended++;
    h->n_failed += code != 0;
    if (h->rule.when == HALT_NEVER || h->is_halted)
        return HALT_NEVER;

    switch (h->rule.why) {
    case HALT_FAIL:
        applies = code != 0;
        reached = h->n_failed;
        break;
    case HALT_SUCCESS:
        applies = code == 0;
        reached = h->n_ended - h->n_failed;
        break;
    default:
        applies = 1;
        reached = h->n_ended;
    }
    if (!applies)
        return HALT_NEVER;
    if (h->rule.is_percent) {
        /* at least that share: compared without rounding */
        if (!n_total || reached * 100 < n_total * h->rule.count)
            return HALT_NEVER;
    } else if (reached < h->rule.count) {
        return HALT_NEVER;
    }
    halt_at(h, code, n_total);
    return h->rule.when;
}

int halt_exit_status(const struct halt *h)
{
    if (h->is_halted)
        return h->exit_status;
    if (h->rule.when != HALT_NEVER && h->rule.is_percent)
        return percent_up(h->n_failed, h->n_ended);
    return failed_status(h->n_failed);
}
