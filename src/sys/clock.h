/* clock.h: the time for who asks for it again and again. */
#ifndef MUI_SYS_CLOCK_H
#define MUI_SYS_CLOCK_H

#include <stdint.h>

/* What the clock said last. {0} is ready. One thread at a time. */
struct mui_clock {
    int64_t now_ns;
    uint64_t ticks; /* of the processor's own counter */
};

/* As mu_now_ns(), but up to a microsecond late, which costs less than half. */
int64_t mui_clock_now(struct mui_clock *clock);

#endif
