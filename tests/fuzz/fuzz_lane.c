/* fuzz_lane.c: the supervisor's reader of a lane, and of a crash record, over bytes
 * that a hostile worker wrote, at any time between any two calls.
 *
 * The input is a program: each byte chooses a call of the supervisor or a write of
 * the worker, followed by its operands. What must hold: no access outside the
 * blocks (the sanitizer sees to that), no owner comes back twice or that was never
 * given, every span lies in the region, every record that is accepted is within
 * its bounds. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "muster/base.h"

#include "process/crash.h"
#include "sync/lane.h"

enum { N_SLOTS = 4, N_OWNERS = 64, N_LANES = 3, REGION_BYTES = 4096 };

static _Alignas(4096) uint8_t down[8192];
static _Alignas(4096) uint8_t up[8192];
static uint8_t region[REGION_BYTES];
static _Alignas(64) struct mui_crash crash;

static bool given[N_OWNERS]; /* the supervisor waits for it */

struct program {
    const uint8_t *at;
    size_t left;
};

static unsigned next(struct program *p)
{
    if (!p->left)
        return 0;
    p->left--;
    return *p->at++;
}

static void come_back(void *owner)
{
    size_t i = (size_t)((bool *)owner - given);

    assert(i < N_OWNERS);
    assert(given[i]);
    given[i] = false;
}

static void take_back(void *ctx, void *owner)
{
    (void)ctx;
    come_back(owner);
}

static void push(struct mui_lane *lane, unsigned i)
{
    struct mui_order order = {.fn = i};
    uint32_t index;

    if (given[i % N_OWNERS])
        return;
    if (mui_lane_push(lane, &order, 1, &given[i % N_OWNERS], &index) == 0)
        given[i % N_OWNERS] = true;
    mui_lane_flush(lane);
    if (lane->has_left)
        (void)mui_lane_revoke(lane, lane->head, take_back, NULL);
}

static void push_pack(struct mui_lane *lane, unsigned i, unsigned n)
{
    struct mui_order orders[N_SLOTS];
    const struct mui_order *pointers[N_SLOTS];
    void *owners[N_SLOTS];
    uint32_t index;

    if (n > mui_lane_pack_room(lane))
        n = mui_lane_pack_room(lane);
    for (unsigned j = 0; j < n; j++) {
        if (given[(i + j) % N_OWNERS])
            n = j;
        orders[j] = (struct mui_order){
            .fn = 1, .tag = j, .inline_size = (uint8_t)(i % MUI_ORDER_INLINE)};
        pointers[j] = &orders[j];
        owners[j] = &given[(i + j) % N_OWNERS];
    }
    if (n < 2)
        return;
    mui_lane_push_pack(lane, pointers, n, 1, owners, &index);
    for (unsigned j = 0; j < n; j++)
        given[(i + j) % N_OWNERS] = true;
    mui_lane_flush(lane);
}

/* Returns whether the lane can still be used. */
static bool collect(struct mui_lane *lane)
{
    struct mui_reply reply;
    void *owner;
    int rc = mui_lane_collect(lane, &reply, &owner);

    if (rc != MU_OK)
        return rc != MU_ECORRUPT;
    if (owner)
        come_back(owner);
    assert(reply.inline_size <= MUI_REPLY_INLINE);
    if (reply.form == MUI_FORM_SPAN) {
        assert(reply.u.span.size <= REGION_BYTES);
        assert(reply.u.span.address <= REGION_BYTES - reply.u.span.size);
        mui_lane_release(lane, &reply);
    }
    return true;
}

/* What a worker does to its memory: some bytes, or a reply that looks right. */
static void scribble(struct program *p)
{
    size_t at = (next(p) << 8 | next(p)) % sizeof up;
    size_t n = next(p) % 8 + 1;

    for (size_t i = 0; i < n; i++)
        up[(at + i) % sizeof up] = (uint8_t)next(p);
}

static void forge(struct program *p, struct mui_lane *lane)
{
    /* the slots follow the two lines of the head: see lane.c */
    struct mui_reply reply = {.index = lane->head + next(p) % 8 - 2,
                              .kind = (uint8_t)(next(p) % 5),
                              .form = (uint8_t)(next(p) % 3),
                              .inline_size = (uint8_t)(next(p) % 40)};
    unsigned kind = next(p);

    reply.lap = (lane->n_replies >> lane->shift) + 1;
    if (reply.form == MUI_FORM_SPAN) {
        reply.u.span.address = kind & 1 ? UINT64_MAX - next(p) : next(p) * 16;
        reply.u.span.size = kind & 2 ? UINT64_MAX - next(p) : next(p) * 16;
    }
    memcpy(up + 128 + (lane->n_replies & lane->mask) * sizeof reply, &reply,
           sizeof reply);
}

/* Several at once: the supervisor reads them in a run. */
static void forge_briefs(struct program *p, const struct mui_lane *lane)
{
    unsigned n = next(p) % (N_SLOTS + 1);

    for (uint32_t i = lane->n_replies; n-- > 0; i++) {
        /* the briefs follow the slots, and their outputs those: see lane_memory.h */
        uint8_t *at = up + 128 + N_SLOTS * sizeof(struct mui_reply) +
                      (i & lane->mask) * sizeof(uint64_t);
        uint64_t word =
            (uint64_t)((i >> lane->shift) + 1) << 32 | (uint64_t)next(p) << 24;
        uint64_t output = next(p) % 16 | (uint64_t)next(p) << 40;

        memcpy(at, &word, sizeof word);
        memcpy(at + N_SLOTS * sizeof word, &output, sizeof output);
    }
}

/* Nothing is lost whatever they are: what is not brief is left for collect(). */
static void collect_briefs(struct mui_lane *lane, unsigned n_max)
{
    struct mui_lane_brief briefs[N_SLOTS];
    uint32_t n_before = lane->tail - lane->n_replies;
    int64_t start_ns;
    unsigned n = mui_lane_collect_briefs(lane, briefs, n_max, &start_ns);

    assert(n <= n_max && n <= n_before);
    for (unsigned i = 0; i < n; i++) {
        assert((uint8_t)briefs[i].output < sizeof briefs[i].output);
        come_back(briefs[i].owner);
    }
}

static void read_crash(struct program *p)
{
    struct mui_crash copy;

    for (size_t i = 0; i < 48; i++)
        ((uint8_t *)&crash)[i] = (uint8_t)next(p);
    atomic_store_explicit(&crash.stage, MUI_CRASH_WHOLE, memory_order_relaxed);
    if (!mui_crash_read(&crash, N_LANES, &copy))
        return;
    assert(copy.n_frames <= MUI_CRASH_FRAMES);
    assert(copy.i_lane >= MUI_CRASH_LANE_FOREIGN && copy.i_lane < N_LANES);
    assert(copy.kind != MUI_CRASH_SIGNAL || copy.signal > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct program p = {bytes, size};
    const struct mui_lane_memory memory = {.down = down,
                                           .up = up,
                                           .region = region,
                                           .region_bytes = REGION_BYTES,
                                           .n_slots = N_SLOTS,
                                           .shared = true};
    struct mui_lane lane;
    bool usable = true;

    assert(mui_lane_down_bytes(N_SLOTS) <= sizeof down);
    assert(mui_lane_up_bytes(N_SLOTS) <= sizeof up);
    memset(down, 0, 1024);
    memset(up, 0, 1024);
    memset(given, 0, sizeof given);
    if (mui_lane_init(&lane, &memory) < 0)
        return 0;
    while (p.left && usable) {
        switch (next(&p) % 12) {
        case 0:
        case 1:
            push(&lane, next(&p));
            break;
        case 2:
            usable = collect(&lane);
            break;
        case 3:
            forge(&p, &lane);
            usable = collect(&lane);
            break;
        case 4:
            scribble(&p);
            break;
        case 5:
            (void)mui_lane_revoke(&lane, lane.head + next(&p) % 4, take_back,
                                  NULL);
            break;
        case 6:
            assert(mui_lane_started(&lane, NULL) - lane.head <=
                   lane.tail - lane.head);
            break;
        case 7:
            mui_lane_want(&lane, MUI_WANT_DONE);
            (void)mui_lane_has_left(&lane);
            break;
        case 8:
            read_crash(&p);
            break;
        case 9:
            push_pack(&lane, next(&p), next(&p) % N_SLOTS + 1);
            break;
        case 10:
            forge_briefs(&p, &lane);
            usable = collect(&lane);
            break;
        case 11:
            forge_briefs(&p, &lane);
            collect_briefs(&lane, next(&p) % (N_SLOTS + 1));
            break;
        }
    }
    mui_lane_fini(&lane);
    return 0;
}
