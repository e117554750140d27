/* test_unix_open.c: the suite of channels over a Unix socket with a path. */
#include "channel/channel.h"
#include "channel/hostile_fd.h"

#define SUITE_NAME "unix:/tmp/muster-suite-%d.sock"
#define SUITE_CAPS                                                             \
    (SUITE_DUPLEX | SUITE_ENDS | SUITE_PROCESS | SUITE_FD | SUITE_FULL |       \
     SUITE_ACCEPT)

static void suite_hostile(struct mu_chan *from, uint64_t *seed)
{
    hostile_write(mu_chan_fd(from), seed, 0x6d750011, 4, 0);
}

#include "channel/suite.h"
