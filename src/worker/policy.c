/* policy.c: restart strategies and restart intensity.
 * Source: Erlang/OTP, "Supervisor Behaviour"; Armstrong 2003, chapter 5. */
#include "worker/policy.h"

/* Note a restart. False when there were too many within the period. */
static bool restart_is_allowed(struct mui_policy *p, int64_t now)
{
    unsigned room = p->restarts_max + 1;

    while (p->n > 0 && now - p->times[p->i_old] > p->period_ns) {
        p->i_old = (p->i_old + 1) % room;
        p->n--;
    }
    if (p->n == p->restarts_max)
        return false;
    p->times[(p->i_old + p->n) % room] = now;
    p->n++;
    return true;
}

struct mui_decision mui_policy_decide(struct mui_policy *p, size_t i, size_t n,
                                      enum mu_restart restart,
                                      const struct mu_worker_exit *how,
                                      int64_t now)
{
    struct mui_decision d = {.verdict = MUI_LEAVE, .first = i, .last = i + 1};
    bool is_normal = how->end == MU_WORKER_RETURNED && how->code == 0;

    if (restart == MU_RESTART_NEVER ||
        (restart == MU_RESTART_FAILED && is_normal))
        return d;
    if (!restart_is_allowed(p, now)) {
        d.verdict = MUI_GIVE_UP;
        d.first = 0;
        d.last = n;
        return d;
    }
    d.verdict = MUI_RESTART;
    if (p->strategy == MU_ONE_FOR_ALL)
        d.first = 0;
    if (p->strategy != MU_ONE_FOR_ONE)
        d.last = n;
    return d;
}
