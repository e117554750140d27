/* hostile_mq.h: for the suite of channels, what may come from whoever can write to a
 * message queue. */
#ifndef TEST_CHANNEL_HOSTILE_MQ_H
#define TEST_CHANNEL_HOSTILE_MQ_H

#include <mqueue.h>
#include <stdint.h>
#include <string.h>

static uint64_t next_random(uint64_t *seed);

static void hostile_mq(mqd_t out, uint64_t *seed)
{
    for (int i = 0; i < 8; i++) {
        char bytes[300];
        uint32_t words[2] = {UINT32_C(0x6d750041) +
                                 (uint32_t)(next_random(seed) % 7),
                             (uint32_t)next_random(seed) % 100};

        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (char)next_random(seed);
        memcpy(bytes, words, sizeof words);
        (void)mq_send(out, bytes, next_random(seed) % sizeof bytes,
                      (unsigned)(next_random(seed) % 3));
    }
}

#endif
