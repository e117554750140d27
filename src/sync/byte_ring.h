/* byte_ring.h: records of any length from one producer to one consumer, through
 * memory that two processes map.
 *
 * Each record is a header of 8 bytes and its payload. The header is the only word
 * that says whether the record is there: no index of the producer is shared, so a
 * record that fits in a cache line travels in one. Before the producer publishes
 * a record it writes 0 where the header of the next one will be; so the consumer
 * never looks at a word that was not written as a header.
 *
 *     ... |header 1|payload 1|header 2|payload 2|0| (old bytes) ...
 *          ^ head (consumer's own)               ^ tail (producer's own)
 *
 *       producer                             consumer
 *       write payload, 0 behind it
 *   R1  store header (release) ----------->  A1  load header (acquire)
 *                                                read payload
 *   A2  load head    (acquire) <-----------  R2  store head  (release)
 *
 * R1 publishes payload and the 0 behind it, also of a payload that went past the caches:
 * its copy ends in a fence (sys/copy.h). R2 gives the room back. The consumer stores
 * head when a sixteenth of the ring is free, or when it finds nothing more, and the
 * producer loads it only when the ring looks full. How long that takes tells a producer
 * of large payloads how far away its consumer runs (distance.h).
 *
 * Sleeping goes through two words, `*_asleep`, and the fence that costs only who
 * sleeps (fence.h):
 *       producer: R1, light fence, load consumer_asleep
 *       consumer: store consumer_asleep, heavy fence, A1 once more, sleep
 * and the same for room, with R2 and A2. Who is to wake and how is the caller's
 * business: the words only say that it is needed.
 *
 * Killed at any instruction: the producer's record is absent before R1 and whole
 * after it. The consumer's record is there until R2 and then gone; one that was
 * read and not given back dies with its reader. Neither leaves a lock.
 *
 * Trust: each side goes by its own position. The consumer reads a header once and
 * checks its length against the ring; the producer checks head against its tail.
 * A lying peer gets MU_ECORRUPT or its own garbage, never an access outside.
 *
 * Wrap-around: positions are 64-bit byte counts and do not wrap; data is mapped
 * twice in a row (sys/mirror.h), so a record never is in two pieces.
 * Progress: wait-free. Alignment: records and headers at multiples of 8. */
#ifndef MUI_SYNC_BYTE_RING_H
#define MUI_SYNC_BYTE_RING_H

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "muster/base.h"

#include "sync/distance.h"
#include "sync/fence.h"
#include "sys/copy.h"
#include "sys/cpu.h"

/* Bugs on purpose, that the tests have to see. */
#ifdef BUG_RING_RELAXED
#    define MUI_RING_R1 memory_order_relaxed
#else
#    define MUI_RING_R1 memory_order_release
#endif
#ifdef BUG_RING_ROOM_RELAXED
#    define MUI_RING_R2 memory_order_relaxed
#else
#    define MUI_RING_R2 memory_order_release
#endif

#define MUI_RING_HEADER 8

/* From so many bytes on a payload is copied as suits the distance of the consumer: of
 * fewer the way through memory takes longer than that from cache to cache. */
#define MUI_RING_LARGE 1024

/* How far ahead the producer asks for lines that the consumer had last. */
#define MUI_RING_AHEAD 512

/* Lies in shared memory; all 0 is an empty ring. One line a writer and purpose. */
struct mui_ring_words {
    _Alignas(MUI_CACHE_LINE) _Atomic uint64_t head; /* consumer */
    /* consumer sets, producer clears when it wakes */
    _Alignas(MUI_CACHE_LINE) _Atomic uint32_t consumer_asleep;
    _Atomic uint32_t consumer_closed; /* consumer; never cleared */
    /* producer sets, consumer clears when it wakes */
    _Alignas(MUI_CACHE_LINE) _Atomic uint32_t producer_asleep;
    _Atomic uint32_t producer_closed; /* producer; never cleared */
    _Atomic uint32_t producer_came;   /* the same; where somebody connects */
};
_Static_assert(sizeof(struct mui_ring_words) == 3 * MUI_CACHE_LINE, "layout");

/* Each side's own; nobody else writes it. */
struct mui_ring_producer {
    struct mui_ring_words *words;
    char *data;
    uint64_t bytes; /* a power of two */
    uint64_t tail;
    uint64_t head_seen;
    struct mui_distance consumer;
    bool is_timed; /* a large payload was copied: loads of head are timed */
};

struct mui_ring_consumer {
    struct mui_ring_words *words;
    char *data;
    uint64_t bytes;
    uint64_t head;
    uint64_t head_stored;
};

enum mui_ring_kind {
    MUI_RING_WHOLE = 1, /* a message, or its last piece */
    MUI_RING_MORE = 2,  /* a piece, more follow */
    MUI_RING_ABORT = 3, /* forget the pieces so far */
};

static inline _Atomic uint64_t *mui_ring_header(char *data, uint64_t bytes,
                                                uint64_t at)
{
    return (_Atomic uint64_t *)(void *)(data + (at & (bytes - 1)));
}

static inline uint64_t mui_ring_record(uint64_t size)
{
    return MUI_RING_HEADER + (size + 7) / 8 * 8;
}

/* The largest payload: with the 0 behind it, a record fills the ring. */
static inline uint64_t mui_ring_max(uint64_t bytes)
{
    return bytes - 2 * MUI_RING_HEADER;
}

/* Where to write `size` bytes of payload, size at most mui_ring_max(). 0; MU_FULL;
 * MU_ECORRUPT. Producer only. */
static inline int mui_ring_reserve(struct mui_ring_producer *p, uint64_t size,
                                   void **ret_payload)
{
    uint64_t need = mui_ring_record(size) + MUI_RING_HEADER;

    if (p->tail + need - p->head_seen > p->bytes) {
        /* A2, pairs with R2 in mui_ring_give_back() */
        uint64_t head =
            p->is_timed
                ? mui_distance_load(&p->consumer, &p->words->head, p->head_seen)
                : atomic_load_explicit(&p->words->head, memory_order_acquire);

        if (p->tail - head > p->bytes)
            return MU_ECORRUPT;
        p->head_seen = head;
        if (p->tail + need - head > p->bytes)
            return MU_FULL;
    }
    *ret_payload = p->data + (p->tail & (p->bytes - 1)) + MUI_RING_HEADER;
    return 0;
}

/* Write the 0 behind a record of `size` bytes. Producer only. */
static inline void mui_ring_end(struct mui_ring_producer *p, uint64_t size)
{
#ifndef BUG_RING_NO_END
    /* relaxed: R1 publishes it */
    atomic_store_explicit(
        mui_ring_header(p->data, p->bytes, p->tail + mui_ring_record(size)), 0,
        memory_order_relaxed);
#else
    (void)p;
    (void)size;
#endif
}

/* Publish it. */
static inline void mui_ring_publish(struct mui_ring_producer *p, uint64_t size,
                                    enum mui_ring_kind kind)
{
    uint64_t next = p->tail + mui_ring_record(size);

    /* R1, pairs with A1 in mui_ring_peek(): payload and end come before it */
    atomic_store_explicit(mui_ring_header(p->data, p->bytes, p->tail),
                          size << 8 | (uint64_t)kind, MUI_RING_R1);
    p->tail = next;
    mui_cpu_prefetch_write(p->data +
                           ((next + MUI_RING_AHEAD) & (p->bytes - 1)));
}

/* Publish the record that was reserved and written, with `size` bytes of it. Producer
 * only. */
static inline void mui_ring_commit(struct mui_ring_producer *p, uint64_t size,
                                   enum mui_ring_kind kind)
{
    mui_ring_end(p, size);
    mui_ring_publish(p, size, kind);
}

/* Copy a payload, small ones here, for the call would cost as much; and from its end. */
static inline void mui_ring_copy(void *to, const void *from, size_t size)
{
    char *t = to;
    const char *f = from;

    if (size < 16 || size > 128) {
        if (size > 0)
            memcpy(to, from, size);
        return;
    }
    memcpy(t + size - 16, f + size - 16, 16);
    for (size_t at = (size - 1) / 16 * 16; at > 0; at -= 16) {
        mui_fence_compiler(); /* in this order */
        memcpy(t + at - 16, f + at - 16, 16);
    }
}

/* The same for large ones. A far consumer takes each line out of this core's cache, and
 * this core takes it back for the next lap: past the caches both go to memory instead. */
static inline void mui_ring_copy_large(struct mui_ring_producer *p, void *to,
                                       const void *from, size_t size)
{
    p->is_timed = true;
    if (p->consumer.is_far)
        mui_copy_to_memory(to, from, size);
    else
        memcpy(to, from, size);
}

/* Fill the room that was reserved, and publish it. The consumer watches the first line,
 * and would take it away while the producer waits for the second: so what lies in that
 * is written before. Producer only. */
static inline void mui_ring_put(struct mui_ring_producer *p, void *room,
                                const void *bytes, uint64_t size,
                                enum mui_ring_kind kind)
{
    mui_ring_end(p, size);
    if (size < MUI_RING_LARGE)
        mui_ring_copy(room, bytes, size);
    else
        mui_ring_copy_large(p, room, bytes, size);
    mui_ring_publish(p, size, kind);
}

/* The header of the oldest record: 0 when there is none. Consumer only. */
static inline uint64_t mui_ring_peek(const struct mui_ring_consumer *c)
{
    /* A1, pairs with R1 in mui_ring_commit() */
    return atomic_load_explicit(mui_ring_header(c->data, c->bytes, c->head),
                                memory_order_acquire);
}

/* Take a header apart. 0; MU_ECORRUPT. */
static inline int mui_ring_open(const struct mui_ring_consumer *c,
                                uint64_t header, enum mui_ring_kind *ret_kind,
                                uint64_t *ret_size)
{
    uint64_t size = header >> 8;
    uint64_t kind = header & 0xff;

    if (size > mui_ring_max(c->bytes) || kind < MUI_RING_WHOLE ||
        kind > MUI_RING_ABORT)
        return MU_ECORRUPT;
    *ret_kind = (enum mui_ring_kind)kind;
    *ret_size = size;
    return 0;
}

static inline char *mui_ring_payload(const struct mui_ring_consumer *c)
{
    return c->data + (c->head & (c->bytes - 1)) + MUI_RING_HEADER;
}

/* R2. */
static inline void mui_ring_give_back(struct mui_ring_consumer *c)
{
    c->head_stored = c->head;
    /* R2, pairs with A2 in mui_ring_reserve(): the payload was read before */
    atomic_store_explicit(&c->words->head, c->head, MUI_RING_R2);
}

/* Step over the oldest record of `size` bytes. True when its room was given back,
 * so that a sleeping producer has to be woken. Consumer only. */
static inline bool mui_ring_pop(struct mui_ring_consumer *c, uint64_t size)
{
    c->head += mui_ring_record(size);
    /* relaxed: only asks whether more is there; A1 reads it again */
    if (c->head - c->head_stored < c->bytes / 16 &&
        atomic_load_explicit(mui_ring_header(c->data, c->bytes, c->head),
                             memory_order_relaxed) != 0)
        return false;
    mui_ring_give_back(c);
    return true;
}

#endif
