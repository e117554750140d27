/* hostile_ring.h: a ring of shared memory that never comes to an end. */
#ifndef TEST_CHANNEL_HOSTILE_RING_H
#define TEST_CHANNEL_HOSTILE_RING_H

#include <stdint.h>
#include <string.h>

#include "channel/channel.h"
#include "channel/shm_end.h"

/* Each word says that what has come of a message so far is to be forgotten. */
static inline void ring_without_end(struct mu_chan *from)
{
    struct mui_shm_end *e = (struct mui_shm_end *)(void *)from->state;
    uint64_t nothing = MUI_RING_ABORT;

    for (uint64_t at = 0; at < e->out.bytes; at += sizeof nothing)
        memcpy(e->out.data + at, &nothing, sizeof nothing);
}

#endif
