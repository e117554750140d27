/* cpu.h: the processor: a pause for spinning, and what may be used of it. */
#ifndef MUI_SYS_CPU_H
#define MUI_SYS_CPU_H

#define MUI_CACHE_LINE 64

/* Tell the CPU that this is a spin loop. */
static inline void mui_cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

#endif
