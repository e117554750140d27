/* flight.h: the tasks that are on their way: which input each number stands for,
 * and the order in which they set out. */
#ifndef CLI_FLIGHT_H
#define CLI_FLIGHT_H

#include <stddef.h>
#include <stdint.h>

#include "muster/pool.h"

#include "text.h"

struct flight {
    uint64_t seq;
    struct text name;  /* of the input */
    int64_t submit_ns; /* CLOCK_REALTIME; 0 when nobody wants it */
    uint64_t sent_bytes;
    struct text trouble; /* what we had with it, see ended_spoil(); or empty */
    int trouble_rc;      /* -errno; 0: none */
    struct mu_outcome *outcome; /* kept while earlier ones are missing; ours */
    struct flight *next; /* that set out after it; or the next free one */
    struct flight *previous;
    struct flight *same_slot;
};

/* {0} is empty. */
struct flights {
    struct flight **slots; /* by number: lists by same_slot */
    size_t n_slots;        /* a power of two */
    size_t n;
    struct flight *first; /* set out first, of those still here */
    struct flight *last;
    struct flight *free;
};

/* A new one with this number, which no other has. */
struct flight *flights_add(struct flights *f, uint64_t seq);

/* The one with this number; NULL when there is none. */
struct flight *flights_find(const struct flights *f, uint64_t seq);

/* Forget it. Its outcome has to be gone. */
void flights_remove(struct flights *f, struct flight *flight);

/* Frees outcomes that are still kept. */
void flights_fini(struct flights *f);

#endif
