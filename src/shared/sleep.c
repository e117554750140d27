/* sleep.c: one slice of sleep on a shared word. */
#include "shared/sleep.h"

int mui_sleep_wait(struct mui_sleep *s, const _Atomic uint32_t *word,
                   uint32_t expected)
{
    int64_t now;
    int64_t until;
    int rc;

    if (s->deadline == MU_NOW)
        return MU_TIMEOUT;
    now = mu_now_ns();
    if (now >= s->deadline)
        return MU_TIMEOUT;
    if (s->slice_end == 0)
        s->slice_end = now + s->slice_ns;
    until = s->slice_end < s->deadline ? s->slice_end : s->deadline;
    rc = now < until ? mui_futex_wait(word, expected, 1, until) : MU_TIMEOUT;
    if (rc != MU_TIMEOUT)
        return 0;
    if (until == s->deadline)
        return MU_TIMEOUT;
    s->slice_end = 0;
    if (s->slice_ns < MUI_SLICE_MAX_NS)
        s->slice_ns *= 2;
    return MU_EMPTY;
}
