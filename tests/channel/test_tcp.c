/* test_tcp.c: the suite of channels over TCP on the loopback. */
#include "channel/hostile_fd.h"
#include "channel/stream.h"

#define SUITE_ADDRESS "tcp:"
#define SUITE_CAPS                                                             \
    (SUITE_DUPLEX | SUITE_ENDS | SUITE_PROCESS | SUITE_FD | SUITE_FULL |       \
     SUITE_STREAM)

static void suite_hostile(struct mu_chan *from, uint64_t *seed)
{
    hostile_write(mui_stream_of(from)->out_fd, seed, 0x6d750001, 2, 1);
}

#include "channel/suite.h"
