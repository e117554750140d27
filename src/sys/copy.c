/* copy.c: the copy past the caches, by x86's non-temporal stores.
 *
 * They fill whole lines in a buffer of the core and go to memory from there, in no
 * order: a fence behind them makes them as ordered as others. What does not fill a
 * line at either end is stored as ever. SSE2 is enough, for it is the memory that
 * limits: with registers of 32 and 64 bytes it was no faster. */
#include "sys/copy.h"

#include <stdint.h>
#include <string.h>

#include "sys/cpu.h"

#if defined(__x86_64__)
#    include <emmintrin.h>

/* One line; `to` lies at the start of one. */
static inline void line_copy(char *to, const char *from)
{
    __m128i v[4];

    memcpy(v, from, sizeof v);
    for (int i = 0; i < 4; i++)
        _mm_stream_si128((__m128i *)(void *)to + i, v[i]);
}

void mui_copy_to_memory(void *to, const void *from, size_t size)
{
    size_t before = -(uintptr_t)to % MUI_CACHE_LINE; /* the first whole line */
    const char *f = from;
    char *t = to;

    if (before > size)
        before = size;
    memcpy(t, f, before);
    for (t += before, f += before, size -= before; size >= MUI_CACHE_LINE;
         t += MUI_CACHE_LINE, f += MUI_CACHE_LINE, size -= MUI_CACHE_LINE)
        line_copy(t, f);
    memcpy(t, f, size);
#    ifndef BUG_COPY_NO_FENCE
    _mm_sfence();
#    endif
}

#else

void mui_copy_to_memory(void *to, const void *from, size_t size)
{
    memcpy(to, from, size);
}

#endif
