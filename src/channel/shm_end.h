/* shm_end.h: one end of a shared-memory channel: a ring each way, and a pair of
 * sockets that wake and that tell of the peer's end. shm.c makes and collects
 * them. */
#ifndef MUI_CHANNEL_SHM_END_H
#define MUI_CHANNEL_SHM_END_H

#include <stdbool.h>
#include <stdint.h>

#include "muster/channel.h"

#include "channel/wait.h"
#include "sync/byte_ring.h"

/* The memory: two struct mui_ring_words in the first page, then the bytes of the
 * ring that the maker sends through, then those of the other. */

struct mui_shm_end {
    const struct mu_chan_options *options;
    bool is_ready; /* false: nothing to give back */
    bool is_asymmetric;
    void *words;   /* a page */
    int data_sock; /* the peer rings it for data; it hangs up with the peer */
    int room_sock; /* the peer rings it for room; the same */

    /* sender's */
    struct mui_ring_producer out;
    bool must_abort; /* pieces of a message were sent, and then no more */
    int out_error;   /* not 0: what every further send returns */

    /* receiver's */
    struct mui_ring_consumer in;
    int in_error;  /* not 0: what every further receive returns */
    bool is_armed; /* data_sock is watched by the user */
    uint64_t lent; /* size of the record that is lent; ~0: the assembly is */
    size_t pieces; /* bytes in `assembly` */
    struct mui_buffer assembly;
    uint64_t run; /* messages since the ring was last found empty */
};

/* Make the memory: a sealed descriptor. It or -errno. */
int mui_shm_memory(uint64_t ring_bytes);
/* Map it; takes the sockets on success. is_maker says which ring is whose. data_sock may
 * be -1, and be put there later.
 * 0; -errno; MU_ECORRUPT when the memory is not as it should be. */
int mui_shm_end_init(struct mui_shm_end *e, const struct mu_chan_options *o,
                     int memfd, uint64_t ring_bytes, bool is_maker,
                     int data_sock, int room_sock);
void mui_shm_end_fini(struct mui_shm_end *e);

/* Whoever connects says that it has. Until then it may give up, and none of its calls has
 * told anybody that there was a channel. */
void mui_shm_end_come(struct mui_shm_end *e);
/* Whether the peer has; asked when it has hung up. */
bool mui_shm_end_has_come(const struct mui_shm_end *e);

/* As the slots of struct mui_transport. */
int mui_shm_end_send(struct mui_shm_end *e, const void *bytes, size_t size,
                     int64_t deadline);
int mui_shm_end_reserve(struct mui_shm_end *e, size_t size, int64_t deadline,
                        void **ret_room);
void mui_shm_end_commit(struct mui_shm_end *e, size_t size);
int mui_shm_end_borrow(struct mui_shm_end *e, int64_t deadline,
                       struct mu_chan_message *ret);
void mui_shm_end_release(struct mui_shm_end *e);
void mui_shm_end_close(struct mui_shm_end *e);
int mui_shm_end_drain(struct mui_shm_end *e, int64_t deadline);

/* For a receiver of several ends that sleeps on all: say that it sleeps, or wakes;
 * and look whether there is anything (a message or the end). Between the first and
 * the look the caller makes one heavy fence. */
void mui_shm_end_doze(struct mui_shm_end *e);
bool mui_shm_end_is_ready(const struct mui_shm_end *e);
void mui_shm_end_wake(struct mui_shm_end *e);

#endif
