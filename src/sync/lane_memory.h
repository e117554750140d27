/* lane_memory.h: how a lane lies in memory; for its two ends, lane.c and
 * lane_worker.c, alone. */
#ifndef MUI_SYNC_LANE_MEMORY_H
#define MUI_SYNC_LANE_MEMORY_H

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

#include "sync/lane.h"

/* A record is one cache line; its first word is the lap, stored last. */
struct slot {
    _Atomic uint32_t lap;
    unsigned char body[60];
} __attribute__((aligned(MUI_CACHE_LINE)));

_Static_assert(sizeof(struct slot) == MUI_CACHE_LINE, "a slot is a line");
_Static_assert(sizeof(struct mui_order) == sizeof(struct slot), "order");
_Static_assert(sizeof(struct mui_reply) == sizeof(struct slot), "reply");

/* The reply to an order of a pack, when there is little to say: it ran, returned 0,
 * began when the task before it ended, ran for less than two seconds, and wrote no more
 * than a few bytes. One word says so, eight to a line; what it wrote is in another, in
 * which nobody looks when it wrote nothing. */
enum { MUI_BRIEF_BYTES = 7 };

/* How many brief replies ahead of those that are read, or written, their lines are asked
 * for. */
enum { BRIEFS_AHEAD = 32, BRIEFS_A_LINE = 8 };

#define MUI_BRIEF_NS_MAX 0x7fffffffU

struct mui_lane_down {
    _Atomic uint64_t revoked; /* from << 32 | to; from == to: nothing */
    _Atomic uint64_t want;
    _Atomic uint32_t closed;
    _Atomic uint32_t number; /* of the lane in its pool */
    _Alignas(
        MUI_CACHE_LINE) _Atomic uint32_t bell; /* futex: the worker waits */
    _Atomic uint32_t released;                 /* region replies given back */
    _Alignas(MUI_CACHE_LINE) struct slot orders[];
    /* then the inputs of packs, MUI_ORDER_INLINE bytes a slot; then _Atomic uint8_t
     * cancelled[n_slots] */
};

/* What a worker says of its sleep. */
enum {
    MUI_AWAKE = 0,
    MUI_ASLEEP, /* until it is woken */
    MUI_DOZING, /* for a while: it has rung as idle, and will look again */
    MUI_LEFT    /* for good: its flow has ended */
};

struct mui_lane_up {
    _Atomic uint32_t started; /* orders started so far: index + 1 of the last */
    _Atomic int64_t start_ns; /* when the last was started; 0: it is about to */
    _Alignas(MUI_CACHE_LINE) _Atomic uint32_t sleeping; /* MUI_AWAKE, ... */
    _Alignas(MUI_CACHE_LINE) struct slot replies[];
    /* then _Atomic uint64_t briefs[n_slots], and as many for their outputs */
};

static inline uint32_t lap_of(uint32_t index, uint32_t shift)
{
    return (index >> shift) + 1;
}

/* In such a lap there are no packs. It comes every so often, that each lap word be
 * stored then, whatever its slot is used for otherwise: laps repeat after 2^32
 * orders, and one so old would pass for new. */
static inline bool is_plain_lap(uint32_t lap)
{
    return lap % 65536 == 0;
}

static inline uint32_t log2_of(unsigned n_slots)
{
    assert(n_slots >= 2 && n_slots <= 4096 && (n_slots & (n_slots - 1)) == 0);
    return (uint32_t)__builtin_ctz(n_slots);
}

/* The place of an input in a pack: the bytes, and a 0. */
static inline uint32_t pack_room(unsigned size)
{
    return (size + 8) & ~7U;
}

/* The bytes for the input of a pack's order that belong to a slot: see lane.c. */
static inline uint8_t *pack_bytes(const struct mui_lane_down *down,
                                  uint32_t mask, uint32_t i_slot)
{
    return (uint8_t *)(uintptr_t)&down->orders[(size_t)mask + 1] +
           (size_t)i_slot * MUI_ORDER_INLINE;
}

static inline _Atomic uint8_t *cancel_marks(const struct mui_lane_down *down,
                                            uint32_t mask)
{
    return (_Atomic uint8_t *)pack_bytes(down, mask, mask + 1);
}

static inline _Atomic uint64_t *brief_of(const struct mui_lane_up *up,
                                         uint32_t mask, uint32_t index)
{
    return (_Atomic uint64_t *)(uintptr_t)&up->replies[(size_t)mask + 1] +
           (index & mask);
}

static inline _Atomic uint64_t *brief_output_of(const struct mui_lane_up *up,
                                                uint32_t mask, uint32_t index)
{
    return brief_of(up, mask, 0) + mask + 1 + (index & mask);
}

/* The word of a brief reply: its lap in the upper half. */
static inline uint64_t brief_word(uint32_t lap, uint32_t run_ns,
                                  bool has_output)
{
    return (uint64_t)lap << 32 | (uint64_t)has_output << 31 | run_ns;
}

static inline bool brief_is_of(uint64_t word, uint32_t lap)
{
    return word >> 32 == lap;
}

#endif
