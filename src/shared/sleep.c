/* sleep.c: one slice of sleep on a shared word. */
#include "shared/sleep.h"

int mui_sleep_wait_as(struct mui_sleep *s, const _Atomic uint32_t *word,
                      uint32_t expected, uint32_t kind)
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
    rc = now < until ? mui_futex_wait_as(word, expected, kind, 1, until)
                     : MU_TIMEOUT;
    if (rc != MU_TIMEOUT)
        return 0;
    if (until == s->deadline)
        return MU_TIMEOUT;
    s->slice_end = 0;
    if (s->slice_ns < MUI_SLICE_MAX_NS)
        s->slice_ns *= 2;
    return MU_EMPTY;
}

int mui_sleep_wait(struct mui_sleep *s, const _Atomic uint32_t *word,
                   uint32_t expected)
{
    return mui_sleep_wait_as(s, word, expected, UINT32_MAX);
}
