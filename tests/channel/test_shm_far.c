/* test_shm_far.c: the suite of channels over shared-memory rings whose peers are far,
 * or taken for it. */
#include "channel/far.h"
#include "channel/hostile_shm.h"

#define SUITE_ADDRESS "shm:"
#define SUITE_CAPS                                                             \
    (SUITE_DUPLEX | SUITE_ENDS | SUITE_PROCESS | SUITE_FD | SUITE_RESERVE |    \
     SUITE_FULL)
#define SUITE_READY(chan) far_hold(chan)

static void suite_hostile(struct mu_chan *from, uint64_t *seed)
{
    hostile_shm_write((struct mui_shm_end *)(void *)from->state, from, seed);
}

#include "channel/suite.h"
