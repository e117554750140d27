/* heap.h: the allocator inside an arena. Offsets only; every process maps the
 * same bytes somewhere else. */
#ifndef MUI_SHARED_HEAP_H
#define MUI_SHARED_HEAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "muster/lock.h"

#define MUI_HEAP_BINS 256 /* 4 for each power of two */

/* Lies in shared memory. All but `lock` is written under the lock, and all but
 * the blocks themselves can be made again from the blocks. */
struct mui_heap {
    struct mu_mutex lock;
    uint32_t is_broken; /* not 0: the blocks make no sense; never used again */
    uint32_t unused;
    uint64_t first;  /* offset of the first block */
    uint64_t end;    /* offset of the last block, which is empty and in use */
    uint64_t backed; /* before it all pages are there, or need not be */
    uint64_t free_bytes;
    uint64_t bin_map[MUI_HEAP_BINS / 64];
    uint64_t bins[MUI_HEAP_BINS]; /* offset of the first free block; 0: none */
};

/* A mapping of it, in this process's own memory: what the checks go by. */
struct mui_heap_view {
    struct mui_heap *heap;
    char *base;
    uint64_t first;
    uint64_t end;
};

/* Lay out an empty heap over [from, to) of the mapping at `base`. With `must_back` no
 * block is given of which a page may turn out not to be had. 0; -ENOMEM. */
int mui_heap_init(struct mui_heap *h, char *base, uint64_t from, uint64_t to,
                  bool must_back);

/* Look at a heap made before. 0; MU_ECORRUPT when it does not fit in `size`. */
int mui_heap_view(struct mui_heap *h, char *base, uint64_t size,
                  struct mui_heap_view *ret_view);

/* All three lock the heap until the deadline: MU_TIMEOUT, MU_ECORRUPT. */

/* A block of at least `bytes`; its offset is 64-byte aligned. -ENOMEM, also when a page of
 * it is not to be had. */
int mui_heap_take(struct mui_heap_view *v, size_t bytes, int64_t deadline,
                  uint64_t *ret_offset);
/* -EINVAL when no block in use begins there. */
int mui_heap_give(struct mui_heap_view *v, uint64_t offset, int64_t deadline);
/* Free bytes in all and in the largest block. */
int mui_heap_free_bytes(struct mui_heap_view *v, int64_t deadline,
                        uint64_t *ret_all, uint64_t *ret_largest);

#endif
