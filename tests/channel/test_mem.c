/* test_mem.c: the suite of channels over the memory of one process. */
#include <stdint.h>

#include "muster/channel.h"

#define SUITE_ADDRESS "mem:"
#define SUITE_CAPS                                                             \
    (SUITE_DUPLEX | SUITE_ENDS | SUITE_FD | SUITE_RESERVE | SUITE_FULL |       \
     SUITE_TRUSTS)

/* No peer is outside of this process: one that can write there can write anywhere, and
 * there is nothing that a receiver could check. */
#define SUITE_ONE_PROCESS

#include "channel/suite.h"
