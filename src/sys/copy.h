/* copy.h: a copy whose bytes do not stay in the caches of the core that makes it. */
#ifndef MUI_SYS_COPY_H
#define MUI_SYS_COPY_H

#include <stddef.h>

/* Copy for a reader whose core shares no cache with this one. It finds the bytes in
 * memory, which costs less than to take each line out of this core's cache, and the
 * next writer need not take the line back. Stores that follow are seen after the copy,
 * as behind a plain one. Where the processor knows no such stores: memcpy(). */
void mui_copy_to_memory(void *to, const void *from, size_t size);

#endif
