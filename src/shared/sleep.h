/* sleep.h: how every lock sleeps: in slices.
 *
 * A process can be killed between a store and the wake that should follow, or
 * after it was woken and before it passed the wake on. Both leave sleepers whom
 * nobody will wake. So no sleep on shared memory is without end: a slice is at
 * most MUI_SLICE_MAX_NS, after it the sleeper looks again at the word and at the
 * life of its holder. That is the whole recovery; no list of held locks exists
 * that a hostile writer could bend.
 *
 * The first slice is short, for most holders let go soon or are dead. Each is as long as
 * all before it: who waits has lost at most half of his time, and who waits for hours
 * looks once a second. A slice has an end that no wake moves: who is woken again and
 * again, by signals or for a lock that others get, looks all the same. */
#ifndef MUI_SHARED_SLEEP_H
#define MUI_SHARED_SLEEP_H

#include <stdatomic.h>
#include <stdint.h>

#include "muster/base.h"

#include "sys/cpu.h"
#include "sys/futex.h"

#define MUI_SLICE_MIN_NS 2000000    /* 2 ms */
#define MUI_SLICE_MAX_NS 1024000000 /* a second */
#define MUI_SPINS        100        /* about 2 us: less than one wake-up */

struct mui_sleep {
    int64_t deadline;
    int64_t slice_ns;
    int64_t slice_end; /* absolute; 0: the next sleep begins a slice */
    int spins;
};

#define MUI_SLEEP(when)                                                        \
    {                                                                          \
        .deadline = (when), .slice_ns = MUI_SLICE_MIN_NS                       \
    }

/* Spin one step. 1 while there is spinning left, 0 when it is time to sleep. */
static inline int mui_sleep_spin(struct mui_sleep *s)
{
    if (s->spins >= MUI_SPINS || s->deadline == MU_NOW)
        return 0;
    s->spins++;
    mui_cpu_pause();
    return 1;
}

/* Sleep while *word == expected, until the slice ends. 0: look again; MU_EMPTY: it has
 * ended, so look whether the holder lives, too; MU_TIMEOUT: the deadline has passed. */
int mui_sleep_wait(struct mui_sleep *s, const _Atomic uint32_t *word,
                   uint32_t expected);

/* The low half of a 64-bit word, which is its futex. */
static inline _Atomic uint32_t *mui_low_half(_Atomic uint64_t *word)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (_Atomic uint32_t *)word;
#else
    return (_Atomic uint32_t *)word + 1;
#endif
}

/* The words of public structs, which C99 and C++ see as plain integers. */
static inline _Atomic uint32_t *mui_word32(uint32_t *word)
{
    return (_Atomic uint32_t *)word;
}

static inline _Atomic uint64_t *mui_word64(uint64_t *word)
{
    return (_Atomic uint64_t *)word;
}

_Static_assert(sizeof(_Atomic uint64_t) == sizeof(uint64_t), "same layout");
_Static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "same layout");

#endif
