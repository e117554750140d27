/* test_tcp_open.c: the suite of channels over TCP, connected to an address. */
#include "channel/hostile_fd.h"
#include "channel/stream.h"

/* a port of its own: whichever is free */
#define SUITE_FREE_NAME "tcp:127.0.0.1:0"
#define SUITE_CAPS                                                             \
    (SUITE_DUPLEX | SUITE_ENDS | SUITE_PROCESS | SUITE_FD | SUITE_FULL |       \
     SUITE_STREAM | SUITE_ACCEPT)

static void suite_hostile(struct mu_chan *from, uint64_t *seed)
{
    hostile_write(mui_stream_of(from)->out_fd, seed, 0x6d750001, 2, 1);
}

#include "channel/suite.h"
