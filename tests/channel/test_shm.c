/* test_shm.c: the suite of channels over shared-memory rings. */
#include <stdint.h>
#include <string.h>

#include "channel/channel.h"
#include "channel/shm_end.h"

#define SUITE_ADDRESS "shm:"
#define SUITE_CAPS                                                             \
    (SUITE_DUPLEX | SUITE_ENDS | SUITE_PROCESS | SUITE_FD | SUITE_RESERVE |    \
     SUITE_FULL)

static uint64_t next_random(uint64_t *seed);

/* The peer's process writes what it likes into all it can write. */
static void suite_hostile(struct mu_chan *from, uint64_t *seed)
{
    struct mui_shm_end *e = (struct mui_shm_end *)(void *)from->state;
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

#include "channel/suite.h"
