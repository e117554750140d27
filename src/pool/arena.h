/* arena.h: memory for inputs that workers can read in place.
 *
 * For threads it is the heap. For processes it is one large sparse memfd, written
 * by the supervisor and mapped read-only in every worker; what is freed in large
 * pieces goes back to the kernel, but for a reserve. The book-keeping is the
 * supervisor's alone. Thread-safe. */
#ifndef MUI_POOL_ARENA_H
#define MUI_POOL_ARENA_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "muster/base.h"

#include "sys/descriptor.h"

enum { MUI_ARENA_CLASSES = 160 };

struct mui_arena {
    uint8_t *base; /* NULL: the heap */
    uint64_t bytes;
    int read_fd; /* it, opened for reading: what workers get; -1 for the heap */
    struct mui_descriptor_mark read_mark;
    uint64_t
        top; /* bytes handed out so far, never handed out again as a whole */
    pthread_mutex_t lock;
    void *free_lists[MUI_ARENA_CLASSES]; /* blocks given back, by size class */
    void *punched_lists[MUI_ARENA_CLASSES]; /* the same, without memory */
    uint64_t kept_bytes; /* of the large blocks in free_lists */
};

/* 0 or -errno, and then fini has to be called, too. */
int mui_arena_init(struct mui_arena *arena, bool shared, struct mu_error *err);
void mui_arena_fini(struct mui_arena *arena);

/* 64-byte aligned; NULL: no memory. */
void *mui_arena_alloc(struct mui_arena *arena, size_t size);
void mui_arena_free(struct mui_arena *arena, void *memory);

/* Whether the workers can read these bytes. */
bool mui_arena_holds(struct mui_arena *arena, const void *bytes, size_t size);

/* How an order names memory of this arena: an offset, or a pointer. */
uint64_t mui_arena_address(const struct mui_arena *arena, const void *memory);

#endif
