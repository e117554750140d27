/* policy.c: who is guilty, who runs again, how much to give ahead. */
#include "pool/policy.h"

#include <signal.h>

/* Tasks that outlive this many workers without being to blame are `lost`; long
 * before, they get a worker without neighbours that can take it down; and if that does
 * not help, for a task can kill the nursery with every worker, they take turns. */
enum { RERUNS_MAX = 20, RERUNS_IN_COMPANY = 4, RERUNS_TOGETHER = 8 };

bool mui_policy_runs_apart(const struct mui_job *job)
{
    return job->n_reruns >= RERUNS_TOGETHER;
}

bool mui_policy_retries(const struct mui_job *job, enum mu_status status)
{
    switch (status) {
    case MU_FAILED:
    case MU_CRASHED:
    case MU_EXITED:
    case MU_TIMED_OUT:
    case MU_OUT_OF_MEMORY:
        return !job->cancelled &&
               job->out.attempts <= mui_job_extras(job)->retries;
    case MU_DONE:
    case MU_CANCELLED:
    case MU_LOST:
        break;
    }
    return false;
}

static struct mui_judgement guilty(const struct mui_job *job,
                                   enum mu_status status)
{
    return (struct mui_judgement){
        mui_policy_retries(job, status) ? MUI_RETRY : MUI_END, status};
}

static struct mui_judgement innocent(const struct mui_job *job,
                                     enum mui_verdict verdict)
{
    if (job->n_reruns >= RERUNS_MAX)
        return (struct mui_judgement){MUI_END, MU_LOST};
    if (job->n_reruns >= RERUNS_IN_COMPANY)
        verdict = MUI_ALONE;
    return (struct mui_judgement){verdict, MU_LOST};
}

static enum mu_status status_of(const struct mui_death *death)
{
    if (death->out_of_memory)
        return MU_OUT_OF_MEMORY;
    return death->how == MUI_DEATH_EXITED ? MU_EXITED : MU_CRASHED;
}

/* Whether it died of what another task of the process can have written. */
static bool is_of_memory(const struct mui_death *death)
{
    if (death->how != MUI_DEATH_CRASHED || death->stack_overflow)
        return false;
    return death->signal == SIGSEGV || death->signal == SIGBUS ||
           death->signal == SIGILL || death->signal == SIGFPE ||
           death->signal == SIGABRT;
}

/* Those before can have leaked the memory or damaged the heap; and where nobody says who
 * it was, can have left a timer, a thread or a child that does it. */
static bool may_be_of_others_before(const struct mui_death *death)
{
    return !death->fresh && (death->out_of_memory || death->in_common ||
                             (death->i_lane < 0 && death->neighbours));
}

struct mui_judgement mui_policy_death(const struct mui_death *death,
                                      const struct mui_job *job, bool started,
                                      bool on_culprit, unsigned n_suspects)
{
    bool only = n_suspects == 1;

    if (job->cancelled && (!started || job->doom == MU_CANCELLED))
        return (struct mui_judgement){MUI_END, MU_CANCELLED};
    if (!started)
        return innocent(job, MUI_AGAIN);
    /* one beside it can hold what it waits for, or have written over what it reads */
    if (job->doom == MU_TIMED_OUT && death->shared && !job->alone)
        return innocent(job, MUI_ALONE);
    if (job->doom != MU_DONE)
        return guilty(job, (enum mu_status)job->doom);

    switch (death->how) {
    case MUI_DEATH_KILLED: /* because of another task */
    case MUI_DEATH_RETIRED:
    case MUI_DEATH_VANISHED:
        return innocent(job, MUI_AGAIN);
    case MUI_DEATH_CORRUPT:
        /* any task of this process can have written there, also one that is over:
         * sure only of a task that had the worker for itself */
        break;
    case MUI_DEATH_CRASHED:
    case MUI_DEATH_EXITED:
    case MUI_DEATH_STOPPED:
        if (death->i_lane >= 0 && !on_culprit)
            return innocent(job, MUI_AGAIN);
        if (may_be_of_others_before(death) && !job->alone)
            return innocent(job, MUI_ALONE);
        /* one beside it can have written over its stack or its data */
        if (death->in_company && is_of_memory(death) && !job->alone)
            return innocent(job, MUI_ALONE);
        if (only && death->i_lane != MUI_LANE_FOREIGN)
            return guilty(job, status_of(death));
        break;
    }
    if (only && job->alone)
        return guilty(job, status_of(death));
    return innocent(job, MUI_ALONE);
}

static uint64_t at_least(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t at_most(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

unsigned mui_policy_window(unsigned asked, int64_t run_ns, unsigned n_slots,
                           uint64_t n_waiting, unsigned n_lanes)
{
    const int64_t ahead_ns = 1000 * 1000;
    const int64_t wake_ns = 50 * 1000;
    uint64_t share = n_waiting / n_lanes + (n_waiting % n_lanes != 0);
    uint64_t half = n_waiting / 2 + n_waiting % 2;
    uint64_t window = asked;

    if (!asked)
        window =
            run_ns > 0 ? at_least((uint64_t)(ahead_ns / run_ns), 2) : n_slots;
    /* Waking one more worker has to pay. But two get work where two can: when one is
     * long at a task, the other runs dry and has it looked into. */
    if (run_ns > 0)
        share = at_least(share, at_most((uint64_t)(wake_ns / run_ns), half));
    return (unsigned)at_most(at_most(window, at_least(share, 1)), n_slots);
}
