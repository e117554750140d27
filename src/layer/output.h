/* output.h: where the output of a task grows, and how it leaves.
 *
 * Between threads it grows on the heap and the block itself is handed over.
 * Between processes it grows in the lane's region, where the supervisor copies it
 * from; small outputs go round in a ring at the region's start, which stays in the
 * cache; one too large for that moves to the rest of the region, one at a time. */
#ifndef MUI_LAYER_OUTPUT_H
#define MUI_LAYER_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/lane.h"

enum {
    MUI_OUTPUT_RING = 4 << 20,  /* bytes of the ring */
    MUI_OUTPUT_SMALL = 1 << 20, /* the largest output that uses it */
};

struct mui_output {
    uint8_t *base;
    size_t size;  /* bytes written */
    size_t room;  /* bytes there are at base */
    size_t limit; /* bytes that a task may write */
    struct mui_lane_worker *lane;

    /* region only */
    size_t position;   /* in the ring: where the next output begins */
    size_t used;       /* bytes of the ring not released, gaps included */
    uint32_t n_posted; /* region replies written */
    uint32_t n_freed;  /* of these, how many are known to be released */
    /* [n_slots] ring bytes of each region reply; 0: it was a large one */
    uint32_t *held;
    uint32_t gap;       /* bytes skipped at the ring's end for this output */
    bool large_is_held; /* a large output is not known to be released */
};

/* 0 or -ENOMEM. */
int mui_output_init(struct mui_output *o, struct mui_lane_worker *lane,
                    size_t limit);
void mui_output_fini(struct mui_output *o);

/* Room for `more` bytes behind the `size` there are, which it may move. Lent until
 * the next call. NULL and *ret_rc -EFBIG or -ENOMEM: nothing changed. May wait for
 * the supervisor to copy earlier outputs. */
uint8_t *mui_output_room(struct mui_output *o, size_t more, int *ret_rc);

/* Put the output into the reply and begin the next. */
void mui_output_post(struct mui_output *o, struct mui_reply *reply);

#endif
