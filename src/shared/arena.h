/* arena.h: what lies at the start of an arena. */
#ifndef MUI_SHARED_ARENA_H
#define MUI_SHARED_ARENA_H

#include <stdatomic.h>
#include <stdint.h>

#include "shared/heap.h"

/* At offset 0. Written once by its maker, but for root and heap. */
struct mui_arena_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes;
    uint64_t size;
    uint64_t base;         /* where its maker mapped it */
    _Atomic uint64_t root; /* offset; 0 is none; any user may write it */
    struct mui_heap heap;
};

#endif
