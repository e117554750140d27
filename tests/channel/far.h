/* far.h: an end of a shared-memory pair that takes its peer for far, and stays so. */
#ifndef TEST_CHANNEL_FAR_H
#define TEST_CHANNEL_FAR_H

#include "channel/channel.h"
#include "channel/shm_end.h"

/* More votes than any test takes back. */
#define FAR_HELD ((struct mui_distance){.n_votes = UINT16_MAX, .is_far = true})

static inline void far_hold(struct mu_chan *chan)
{
    struct mui_shm_end *e = (struct mui_shm_end *)(void *)chan->state;

    e->out.consumer = FAR_HELD;
}

#endif
