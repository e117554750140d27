/* test_mem.c: the suite of channels over the memory of one process. */
#include <stdint.h>

#include "muster/channel.h"

#define SUITE_ADDRESS "mem:"
#define SUITE_CAPS                                                             \
    (SUITE_DUPLEX | SUITE_ENDS | SUITE_FD | SUITE_RESERVE | SUITE_FULL)

/* A thread that can write there can write anywhere: nothing to survive. */
static void suite_hostile(struct mu_chan *from, uint64_t *seed)
{
    (void)from;
    (void)seed;
}

#include "channel/suite.h"
