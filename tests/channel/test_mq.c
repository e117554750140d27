/* test_mq.c: the suite of channels over POSIX message queues. */
#include <mqueue.h>
#include <stdint.h>
#include <string.h>

#include "channel/channel.h"

#define SUITE_ADDRESS "mq:"
#define SUITE_CAPS                                                             \
    (SUITE_DUPLEX | SUITE_ENDS | SUITE_PROCESS | SUITE_FD | SUITE_FULL |       \
     SUITE_PRIORITY | SUITE_TRUSTS)

static uint64_t next_random(uint64_t *seed);
static void suite_hostile(struct mu_chan *from, uint64_t *seed);

#include "channel/suite.h"

/* The state of mq.c begins with its flag and its two queues. */
static void suite_hostile(struct mu_chan *from, uint64_t *seed)
{
    mqd_t out;

    memcpy(&out, from->state + sizeof(int), sizeof out);
    for (int i = 0; i < 8; i++) {
        char bytes[300];
        uint32_t words[2] = {UINT32_C(0x6d750031) +
                                 (uint32_t)(next_random(seed) % 7),
                             (uint32_t)next_random(seed) % 100};

        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (char)next_random(seed);
        memcpy(bytes, words, sizeof words);
        (void)mq_send(out, bytes, next_random(seed) % sizeof bytes,
                      (unsigned)(next_random(seed) % 3));
    }
}
