/* test_mq_open.c: the suite of channels over a message queue with a name. */
#include <fcntl.h>
#include <mqueue.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "channel/channel.h"

/* it outlives its users, so the end of one is not told */
#define SUITE_NAME "mq:/muster-suite-%d"
#define SUITE_CAPS                                                             \
    (SUITE_PROCESS | SUITE_FD | SUITE_FULL | SUITE_PRIORITY | SUITE_TRUSTS)

static char queue_name[64];

static void queue_remove(void)
{
    (void)snprintf(queue_name, sizeof queue_name, "/muster-suite-%d",
                   (int)getpid());
    (void)mq_unlink(queue_name);
}

#define SUITE_BEFORE() queue_remove()
#define SUITE_AFTER()  queue_remove()

static uint64_t next_random(uint64_t *seed);

/* Whoever may write to the queue. */
static void suite_hostile(struct mu_chan *from, uint64_t *seed)
{
    mqd_t out = mq_open(queue_name, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

    (void)from;
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
    (void)mq_close(out);
}

#include "channel/suite.h"
