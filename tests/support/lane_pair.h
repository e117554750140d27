/* lane_pair.h: a lane and both who use it, in one thread, fresh for each test. */
#ifndef TEST_LANE_PAIR_H
#define TEST_LANE_PAIR_H

#include <string.h>

#include "support/check.h"
#include "sync/lane_memory.h"

enum { SLOTS = 8, REGION = 4096, N_OWNERS = 64 };

struct pair {
    struct mui_lane lane;
    struct mui_lane_worker worker;
    struct mui_lane_down *down;
    struct mui_lane_up *up;
    unsigned char region[REGION];
    char owners
        [N_OWNERS]; /* of order i: the i-th, from the first again at the end */
    unsigned taken[SLOTS]; /* whose orders a revocation gave back */
    unsigned n_taken;
    unsigned n_rings;
};

static inline void count_ring(struct mui_lane_worker *w, uint32_t why)
{
    (void)why;
    ((struct pair *)w->ring_ctx)->n_rings++;
}

static inline int make_pair(void **state)
{
    struct pair *p = calloc(1, sizeof *p);
    struct mui_lane_memory memory;

    p->down = aligned_alloc(4096, mui_lane_down_bytes(SLOTS));
    p->up = aligned_alloc(4096, mui_lane_up_bytes(SLOTS));
    memset(p->down, 0, mui_lane_down_bytes(SLOTS));
    memset(p->up, 0, mui_lane_up_bytes(SLOTS));
    memory = (struct mui_lane_memory){.down = p->down,
                                      .up = p->up,
                                      .region = p->region,
                                      .region_bytes = REGION,
                                      .n_slots = SLOTS};
    assert_int_equal(mui_lane_init(&p->lane, &memory), 0);
    mui_lane_worker_init(&p->worker, &memory);
    p->worker.ring = count_ring;
    p->worker.ring_ctx = p;
    *state = p;
    return 0;
}

static inline int drop_pair(void **state)
{
    struct pair *p = *state;

    mui_lane_fini(&p->lane);
    free(p->down);
    free(p->up);
    free(p);
    return 0;
}

/* For mui_lane_revoke(). */
static inline void note_taken(void *pair, void *owner)
{
    struct pair *p = pair;

    p->taken[p->n_taken++] = (unsigned)((char *)owner - p->owners);
}

#define PAIR_TEST(test)                                                        \
    cmocka_unit_test_setup_teardown(test, make_pair, drop_pair)

#endif
