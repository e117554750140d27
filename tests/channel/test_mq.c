/* test_mq.c: the suite of channels over POSIX message queues. */
#include "channel/channel.h"
#include "channel/hostile_mq.h"

#define SUITE_ADDRESS "mq:"
#define SUITE_CAPS                                                             \
    (SUITE_DUPLEX | SUITE_ENDS | SUITE_PROCESS | SUITE_FD | SUITE_FULL |       \
     SUITE_PRIORITY | SUITE_TRUSTS)

/* The state of mq.c begins with its flag and its two queues. */
static void suite_hostile(struct mu_chan *from, uint64_t *seed)
{
    mqd_t out;

    memcpy(&out, from->state + sizeof(int), sizeof out);
    hostile_mq(out, seed);
}

#include "channel/suite.h"
