/* arithmetic.h: how the calling thread computes with floating-point numbers. */
#ifndef MUI_SYS_ARITHMETIC_H
#define MUI_SYS_ARITHMETIC_H

#include <stdint.h>

/* Rounding, what traps, and what is flushed to zero, as the processor keeps it, but not
 * what has happened so far. 0 where it is not known how to ask: <fenv.h> needs libm. */
static inline uint64_t mui_arithmetic(void)
{
#if defined(__x86_64__)
    enum { HAPPENED = 0x3f };

    return __builtin_ia32_stmxcsr() & ~(unsigned)HAPPENED;
#elif defined(__aarch64__) && !defined(__clang__)
    return __builtin_aarch64_get_fpcr();
#else
    return 0;
#endif
}

#endif
