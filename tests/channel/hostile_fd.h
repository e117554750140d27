/* hostile_fd.h: random bytes, some of which look like headers, into a descriptor. */
#ifndef TEST_CHANNEL_HOSTILE_FD_H
#define TEST_CHANNEL_HOSTILE_FD_H

#include <stdint.h>
#include <string.h>
#include <unistd.h>

static uint64_t next_random(uint64_t *seed);

/* `kinds` are the values that the transport's headers have. */
static inline void hostile_write(int fd, uint64_t *seed, uint32_t kind_first,
                                 uint32_t n_kinds, int kind_is_second)
{
    for (int i = 0; i < 8; i++) {
        unsigned char bytes[256];
        uint32_t words[2] = {
            (uint32_t)(next_random(seed) % 2 ? next_random(seed) % 300
                                             : next_random(seed) << 5),
            kind_first + (uint32_t)(next_random(seed) % (n_kinds + 1))};
        size_t size = 8 + next_random(seed) % 240;

        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (unsigned char)next_random(seed);
        if (!kind_is_second) {
            uint32_t kind = words[1];

            words[1] = words[0];
            words[0] = kind;
        }
        if (next_random(seed) % 8 != 0)
            memcpy(bytes, words, sizeof words);
        if (write(fd, bytes, size) < 0)
            return;
    }
}

#endif
