/* clock.c: the one clock: CLOCK_MONOTONIC in nanoseconds. */
#include "sys/clock.h"

#include <time.h>

int64_t mu_now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t mu_after_ns(int64_t delay_ns)
{
    return mui_clock_add(mu_now_ns(), delay_ns > 0 ? delay_ns : 0);
}

#if defined(__x86_64__)

/* The clock is asked once in so many ticks, 5 to 20 us: then whatever the counter does,
 * when it jumps, changes its speed, or differs from CPU to CPU, is over. */
enum { SPAN_TICKS = 20000 };

/* How fast the counter is, by what has passed since that was seen last. */
static void learn_scale(struct mui_clock *clock)
{
    enum { LONG_TICKS = 4000000 };
    uint64_t since = clock->ticks - clock->base_ticks;
    int64_t passed_ns = clock->said_ns - clock->base_ns;
    uint64_t scale;

    if (since < LONG_TICKS)
        return;
    if (since <= UINT32_MAX && passed_ns <= INT32_MAX) {
        scale = ((uint64_t)passed_ns << 32) / since;
        /* both readings can be late by less than that part of the time between: what is
         * reckoned is never ahead of the clock */
        scale -= scale / 1024;
        /* counters that count time have 1 GHz and more */
        if (scale > 0 && scale <= UINT32_MAX)
            clock->scale = scale;
    }
    clock->base_ns = clock->said_ns;
    clock->base_ticks = clock->ticks;
}

static int64_t ask(struct mui_clock *clock, uint64_t ticks)
{
    /* longer than this, and the thread was interrupted between the readings */
    enum { QUICK_TICKS = 1000 };
    int64_t now = mu_now_ns();
    uint64_t after = __builtin_ia32_rdtsc();

    if (after - ticks > QUICK_TICKS)
        return now;
    clock->said_ns = now;
    clock->ticks = after;
    learn_scale(clock);
    return now;
}

int64_t mui_clock_now(struct mui_clock *clock)
{
    uint64_t ticks = __builtin_ia32_rdtsc();
    uint64_t since = ticks - clock->ticks;
    int64_t now = since < SPAN_TICKS && clock->scale
                      ? clock->said_ns + (int64_t)(since * clock->scale >> 32)
                      : ask(clock, ticks);

    if (now > clock->now_ns)
        clock->now_ns = now;
    return clock->now_ns;
}

#else

int64_t mui_clock_now(struct mui_clock *clock)
{
    clock->now_ns = mu_now_ns();
    return clock->now_ns;
}

#endif
