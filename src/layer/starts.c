/* starts.c: pauses between starts of workers that fail. */
#include "layer/starts.h"

static int64_t pause_ns(unsigned n_failures)
{
    const unsigned shift_max = 10; /* beyond the longest */
    int64_t pause = (int64_t)MUI_STARTS_PAUSE_NS
                    << (n_failures < shift_max ? n_failures : shift_max);

    return pause < MUI_STARTS_PAUSE_MAX_NS ? pause : MUI_STARTS_PAUSE_MAX_NS;
}

void mui_starts_failed(struct mui_starts *s, bool any_up, int64_t now_ns)
{
    const int64_t patience_ns = MUI_STARTS_PATIENCE_S * INT64_C(1000000000);

    if (s->n_failures == 0 || any_up)
        s->since_ns = now_ns;
    s->not_before_ns = now_ns + pause_ns(s->n_failures);
    s->n_failures++;
    s->hopeless = s->succeeded ? now_ns - s->since_ns >= patience_ns
                               : s->n_failures >= MUI_STARTS_FAILURES_MAX;
}

void mui_starts_succeeded(struct mui_starts *s)
{
    *s = (struct mui_starts){.succeeded = true};
}

bool mui_starts_may(const struct mui_starts *s, int64_t now_ns)
{
    return !s->hopeless && s->not_before_ns <= now_ns;
}
