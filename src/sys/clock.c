/* clock.c: the one clock: CLOCK_MONOTONIC in nanoseconds. */
#include "sys/clock.h"

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

int64_t mui_clock_now(struct mui_clock *clock)
{
#if defined(__x86_64__)
    /* Counters of 1 GHz and more count so many in a microsecond at the most. Of a
     * counter that jumps, or differs from CPU to CPU, the difference is large. */
    enum { TICKS = 1000 };
    uint64_t ticks = __builtin_ia32_rdtsc();

    if (ticks - clock->ticks < TICKS)
        return clock->now_ns;
    clock->ticks = ticks;
#endif
    clock->now_ns = mu_now_ns();
    return clock->now_ns;
}
