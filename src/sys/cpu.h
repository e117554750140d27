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

/* Have the cache line at `address` ready to be written. */
static inline void mui_cpu_prefetch_write(const void *address)
{
#if defined(__x86_64__)
    /* a no-operation where it is unknown; gcc's builtin would only read */
    __asm__ volatile("prefetchw %0" ::"m"(*(const char *)address));
#else
    __builtin_prefetch(address, 1);
#endif
}

#endif
