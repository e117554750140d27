/* test_shm_hub.c: the suite of channels over a name that receives from all senders. */
#include "channel/hostile_shm.h"

#define SUITE_NAME "shm:muster-suite-%d"
#define SUITE_CAPS                                                             \
    (SUITE_ENDS | SUITE_PROCESS | SUITE_FD | SUITE_RESERVE | SUITE_FULL |      \
     SUITE_HUB)

static void suite_hostile(struct mu_chan *from, uint64_t *seed)
{
    hostile_shm_write((struct mui_shm_end *)(void *)from->state, from, seed);
}

#include "channel/suite.h"
