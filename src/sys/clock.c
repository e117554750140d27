/* clock.c: the one clock: CLOCK_MONOTONIC in nanoseconds. */
#include <time.h>

#include "muster/base.h"

int64_t mu_now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t mu_after_ns(int64_t delay_ns)
{
    int64_t now = mu_now_ns();

    if (delay_ns <= 0)
        return now;
    return delay_ns > MU_NEVER - now ? MU_NEVER : now + delay_ns;
}
