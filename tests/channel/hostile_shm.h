/* hostile_shm.h: a peer's process writes what it likes into all it can write. */
#ifndef TEST_CHANNEL_HOSTILE_SHM_H
#define TEST_CHANNEL_HOSTILE_SHM_H

#include <stdint.h>
#include <string.h>

#include "channel/channel.h"
#include "channel/shm_end.h"

static uint64_t next_random(uint64_t *seed);

static inline void hostile_shm_write(struct mui_shm_end *e,
                                     struct mu_chan *from, uint64_t *seed)
{
    uint64_t n = next_random(seed) % 200;

    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = next_random(seed) % (e->out.bytes / 64) * 8;
        uint64_t value = next_random(seed) % 4 == 0
                             ? next_random(seed) << 8 | next_random(seed) % 5
                             : (next_random(seed) % 300) << 8 | 1;

        memcpy(e->out.data + at, &value, sizeof value);
    }
    if (n % 3 == 0)
        atomic_store(&e->out.words->head, next_random(seed));
    if (n % 5 == 0)
        atomic_store(&e->out.words->consumer_asleep, 1);
    for (int i = 0; i < 20; i++)
        (void)!mu_chan_send(from, "x", 1, MU_NOW);
}

#endif
