/* arithmetic.h: how the processor computes for the calling thread. */
#ifndef MUI_SYS_ARITHMETIC_H
#define MUI_SYS_ARITHMETIC_H

#include <stdint.h>

/* Of floating-point numbers: rounding, what traps, and what is flushed to zero, as the
 * processor keeps it, but not what has happened so far. 0 where it is not known how to
 * ask: <fenv.h> needs libm. */
static inline uint64_t mui_arithmetic(void)
{
#if defined(__x86_64__)
    enum { HAPPENED = 0x3f };
    uint16_t x87; /* where long double is computed; its precision too */

    __asm__("fnstcw %0" : "=m"(x87));
    return (uint64_t)x87 << 32 |
           (__builtin_ia32_stmxcsr() & ~(unsigned)HAPPENED);
#elif defined(__aarch64__) && !defined(__clang__)
    return __builtin_aarch64_get_fpcr();
#else
    return 0;
#endif
}

/* Put right what every function may rely on, and a task can leave otherwise: the
 * direction of string instructions, no checks of alignment, and the stack of the x87,
 * where long double is computed, empty: not with values, nor as MMX leaves it that is not
 * ended. What happened there is forgotten first, or what it was to trap would do so
 * here: that is 17 of some 25 ns on Zen 3. */
static inline void mui_arithmetic_restore(void)
{
#if defined(__x86_64__)
    enum { BACKWARDS = 1 << 10, CHECKS = 1 << 18 };

    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() &
                                   ~(unsigned long long)(BACKWARDS | CHECKS));
    __asm__ volatile("fnclex\n\t"
                     "emms" ::
                         : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)",
                           "st(6)", "st(7)");
#endif
}

#endif
