/* verdict.c: which model to take and why. The fastest wins; what is not slower
 * beyond the noise counts as equally fast; and of equals, first the one that loses
 * nothing in a crash, then the simpler one. Where the noise is all there is, none. */
#include "verdict.h"

#include <stdlib.h>
#include <string.h>

/* Slower by no more than this share counts as no slower; by no more than the second,
 * when their rounds overlap. */
#define SHARE_EQUAL   0.05
#define SHARE_OVERLAP 0.2
/* Rounds that lie further apart than this share of their median measure little. */
#define SHARE_NOISE 0.5

static int by_value(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;

    return (*x > *y) - (*x < *y);
}

struct verdict_spread verdict_spread_of(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return (struct verdict_spread){
        .median =
            n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2,
        .min = values[0],
        .max = values[n - 1],
    };
}

static int is_equally_fast(const struct verdict_model *m,
                           const struct verdict_model *fastest)
{
    double share = 1 - m->rate.median / fastest->rate.median;

    return share <= SHARE_EQUAL ||
           (share <= SHARE_OVERLAP && m->rate.max >= fastest->rate.min);
}

static int is_serial(const struct verdict_model *m)
{
    return strcmp(m->name, "serial") == 0;
}

static const struct verdict_model *fastest_of(
    const struct verdict_model *models, size_t n)
{
    const struct verdict_model *best = models;

    for (size_t i = 1; i < n; i++)
        if (models[i].rate.median > best->rate.median)
            best = &models[i];
    return best;
}

/* The first in the list that serves: the list goes from simple to compound. */
static const struct verdict_model *first_equal(
    const struct verdict_model *models, size_t n,
    const struct verdict_model *fastest, int isolates)
{
    for (size_t i = 0; i < n; i++)
        if (models[i].isolates == isolates &&
            is_equally_fast(&models[i], fastest))
            return &models[i];
    return NULL;
}

static const struct verdict_model *fastest_isolating(
    const struct verdict_model *models, size_t n)
{
    const struct verdict_model *best = NULL;

    for (size_t i = 0; i < n; i++)
        if (models[i].isolates &&
            (!best || models[i].rate.median > best->rate.median))
            best = &models[i];
    return best;
}

static int has_equal(const struct verdict_model *models, size_t n,
                     const struct verdict_model *fastest)
{
    for (size_t i = 0; i < n; i++)
        if (&models[i] != fastest && is_equally_fast(&models[i], fastest))
            return 1;
    return 0;
}

static int is_noisy(const struct verdict_model *m)
{
    return m->rate.max - m->rate.min > SHARE_NOISE * m->rate.median;
}

/* The first that may as well be slower as faster than the fastest, for all that these
 * rounds say. */
static const struct verdict_model *first_unclear(
    const struct verdict_model *models, size_t n,
    const struct verdict_model *fastest)
{
    for (size_t i = 0; i < n; i++)
        if (&models[i] != fastest && models[i].rate.max >= fastest->rate.min &&
            (is_noisy(&models[i]) || is_noisy(fastest)))
            return &models[i];
    return NULL;
}

static void put_how_fast(struct text *t, const struct verdict_model *m,
                         const struct verdict_model *fastest, int is_close)
{
    double share = 1 - m->rate.median / fastest->rate.median;

    if (m == fastest && is_close)
        text_put(t, "it is as fast as any, by a margin that says nothing");
    else if (m == fastest)
        text_put(t, "it is the fastest");
    else
        text_printf(t, "it is within %.0f %% of the fastest (%s)",
                    share * 100 < 1 ? 1.0 : share * 100, fastest->name);
}

size_t verdict_choose(const struct verdict_model *models, size_t n,
                      struct text *ret_why)
{
    const struct verdict_model *fastest = fastest_of(models, n);
    const struct verdict_model *chosen = first_equal(models, n, fastest, 1);
    const struct verdict_model *isolating = fastest_isolating(models, n);
    const struct verdict_model *unclear = first_unclear(models, n, fastest);
    int is_close = has_equal(models, n, fastest);

    if (n == 1) {
        text_printf(ret_why, "Take %s: it is the only one that is left.",
                    fastest->name);
        return 0;
    }
    if (unclear) {
        text_printf(ret_why,
                    "No verdict: these rounds do not tell %s from %s, for they "
                    "vary and overlap. More inputs or more --rounds would.",
                    fastest->name, unclear->name);
        return n;
    }
    if (chosen) {
        text_printf(ret_why, "Take %s: ", chosen->name);
        put_how_fast(ret_why, chosen, fastest, is_close);
        text_put(ret_why,
                 ", and a task that crashes costs nothing but itself.");
        return (size_t)(chosen - models);
    }
    chosen = first_equal(models, n, fastest, 0);
    text_printf(ret_why, "Take %s: ", chosen->name);
    put_how_fast(ret_why, chosen, fastest, is_close);
    if (is_serial(chosen)) {
        text_put(ret_why, ": at ");
        text_put_number(ret_why, 1e6 / chosen->rate.median);
        text_put(ret_why, " us a task more workers gain nothing");
    }
    if (isolating)
        text_printf(
            ret_why,
            "; %s, which would survive a crash, has %.0f %% of its speed",
            isolating->name,
            isolating->rate.median / chosen->rate.median * 100);
    text_put(ret_why, ".");
    return (size_t)(chosen - models);
}
