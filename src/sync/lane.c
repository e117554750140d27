/* lane.c: orders down, replies up; one writer and one reader for every word.
 *
 *      supervisor                                worker
 *      write orders[i]
 *  R1  store order.lap (release) ------------->  A1 load order.lap (acquire)
 *                                                   read orders[i], run
 *                                                   write replies[r]
 *  A2  load reply.lap (acquire)  <-------------  R2 store reply.lap (release)
 *
 * A slot carries the lap in which it was written, stored last. So "is it there"
 * is seen from the slot alone: no shared index travels. There is always room: the
 * supervisor never has more than n_slots orders without a reply, so neither the
 * order slot nor the reply slot that is written next can still be wanted.
 *
 * Five handshakes need "one of two sees the other" and so a total order; every
 * access of theirs is seq_cst, so the C11 order S of those decides:
 *
 *  H1 revocation.  worker: started = i + 1; read revoked.
 *                  supervisor: revoked = [from, to); read started.
 *     If the worker misses the revocation, its `started` precedes the supervisor's
 *     read in S, which sees i + 1 and leaves order i alone. If the supervisor
 *     misses the start, the worker sees the range and returns the order unrun.
 *     When both see each other the order is returned unrun and not taken: the
 *     supervisor gets MUI_REPLY_RETURNED for an order it still owns, and gives it
 *     out again. In no case does it run twice or vanish.
 *  H2 the worker sleeps.  worker: b = bell; sleeping = 1; read bell, the slot.
 *                         supervisor: write orders; bell += 1; read sleeping.
 *     Either the supervisor sees `sleeping` and wakes, or its bell precedes the
 *     worker's second look in S, which sees it and, through it, the orders.
 *  H3 the supervisor sleeps.  supervisor: want = w; read started and sleeping;
 *                             look for replies.
 *                             worker: write reply; exchange started (or sleeping);
 *                             read want.
 *     If the worker misses the wish, its exchange precedes the supervisor's read of
 *     the same word in S, which therefore sees it and the reply before it. A read of
 *     `want` with no exchange since the reply says nothing: both may miss the other.
 *     So the worker may ring by such a read, but has to read again after the next
 *     exchange, be it for an order that came before it slept.
 *  H4 cancelling.  worker: started = i + 1; read the mark of i.
 *                  supervisor: mark = 1; read started.
 *     As H1: what the supervisor does not see started is returned unrun.
 *  H5 the worker leaves.  worker: sleeping = left; read bell, the slot.
 *                         supervisor: write orders; bell += 1; read sleeping.
 *     As H2: either the supervisor sees that it left, and takes the orders back, or the
 *     worker sees them, and rings. What it has started by then has its reply.
 *
 * A pack is up to MUI_PACK_MAX orders in a row that are written closely: what they
 * share in the slot of the first, published by its lap; their inputs one behind the
 * other. In all else they are orders like others: each has its index, and is started,
 * revoked, cancelled and replied to by it. The handshakes know nothing of packs.
 *     Bytes for an input belong to each slot, and the inputs of a pack end where
 * those of its last slot do. No input is longer than what belongs to a slot, so none
 * begins before its own slot's bytes: it lies in those of its own slot and of later
 * ones of its pack, which are not written again before it has its reply. The head, in
 * the first slot, is: the worker copies it before it starts the first order.
 *     The reply to an order of a pack may be brief: one word in a place of its own, its
 * lap in the upper half, R2 and A2 by itself; output, if it has any, is in a word that is
 * stored before. The supervisor, who knows which orders were packed, looks in both places.
 * So not every lap word is stored in every lap: see is_plain_lap().
 *
 * Killed at any instruction. The worker: before R2 the reply is absent, after it
 * whole; `started` names the order that was running. The supervisor: its workers
 * die with it.
 *
 * Hostile writer of `up`: replies are copied in one go, then checked: the lap is
 * data like the rest, `index` must name an order without a reply, sizes and spans
 * must fit. A lap that never comes is a worker that never answers: the pool's
 * business, which asks mui_lane_is_damaged() whether that was a reply once, and not
 * the task that seems to be running. Indices wrap at 2^32; the lap of index i is
 * (i >> shift) + 1, never 0 and different from any before it in the same slot.
 *
 * Progress: push, collect, take, reply are wait-free; sleep blocks. */
#include "sync/lane.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "muster/base.h"

#include "sync/lane_memory.h"
#include "sys/futex.h"

enum mui_slot_state {
    SLOT_FREE = 0,
    SLOT_ORDERED, /* the worker owes a reply */
    SLOT_PACKED,  /* the same, for an order of a pack: it may be brief */
    SLOT_TAKEN    /* taken back: the worker owes MUI_REPLY_RETURNED */
};

static size_t whole_pages(size_t bytes)
{
    return (bytes + 4095) & ~(size_t)4095;
}

size_t mui_lane_down_bytes(unsigned n_slots)
{
    return whole_pages(sizeof(struct mui_lane_down) +
                       n_slots * (sizeof(struct slot) + MUI_ORDER_INLINE + 1));
}

size_t mui_lane_up_bytes(unsigned n_slots)
{
    return whole_pages(sizeof(struct mui_lane_up) +
                       n_slots * (sizeof(struct slot) + 2 * sizeof(uint64_t)));
}

/* -- the supervisor's end -- */

int mui_lane_init(struct mui_lane *lane, const struct mui_lane_memory *memory)
{
    *lane = (struct mui_lane){
        .down = memory->down,
        .up = memory->up,
        .region = memory->region,
        .region_bytes = memory->region_bytes,
        .mask = memory->n_slots - 1,
        .shift = log2_of(memory->n_slots),
        .shared = memory->shared,
        .owner = calloc(memory->n_slots, sizeof *lane->owner),
        .state = calloc(memory->n_slots, sizeof *lane->state),
    };
    if (!lane->owner || !lane->state) {
        mui_lane_fini(lane);
        return -ENOMEM;
    }
    return 0;
}

void mui_lane_fini(struct mui_lane *lane)
{
    if (!lane)
        return;
    free(lane->owner);
    free(lane->state);
    lane->owner = NULL;
    lane->state = NULL;
}

/* Copy an order into its slot, but for the lap. Word by word and with `attempt` from
 * a register: reading back wider than was just written stalls the store buffer. */
static void write_order(struct slot *slot, const struct mui_order *order,
                        uint16_t attempt)
{
    uint32_t head = (uint32_t)order->form | (uint32_t)order->inline_size << 8 |
                    (uint32_t)attempt << 16;

    memcpy(slot->body, &head, sizeof head);
    memcpy(slot->body + sizeof head, &order->fn,
           sizeof slot->body - sizeof head);
}

int mui_lane_push(struct mui_lane *lane, const struct mui_order *order,
                  uint16_t attempt, void *owner, uint32_t *ret_index)
{
    uint32_t index = lane->tail;
    struct slot *slot = &lane->down->orders[index & lane->mask];

    assert(owner);
    if (mui_lane_room(lane) == 0)
        return MU_FULL;
    lane->owner[index & lane->mask] = owner;
    lane->state[index & lane->mask] = SLOT_ORDERED;
#ifdef BUG_LANE_PUBLISH_FIRST
    atomic_store_explicit(&slot->lap, lap_of(index, lane->shift),
                          memory_order_release);
#endif
    write_order(slot, order, attempt);
    if (lane->any_cancelled)
        /* relaxed: the lap below publishes it */
        atomic_store_explicit(
            &cancel_marks(lane->down, lane->mask)[index & lane->mask], 0,
            memory_order_relaxed);
    /* R1, pairs with A1 in order_is_there(): the order comes before its lap. The
     * first of a batch is held back until the flush: the worker polls its slot, and
     * a line that is polled while it is written is paid for twice. */
    if (index != lane->n_flushed)
        atomic_store_explicit(&slot->lap, lap_of(index, lane->shift),
                              memory_order_release);
    lane->tail = index + 1;
    *ret_index = index;
    return MU_OK;
}

unsigned mui_lane_pack_room(const struct mui_lane *lane)
{
    unsigned room = mui_lane_room(lane);
    unsigned to_end = lane->mask + 1 - (lane->tail & lane->mask);

    if (is_plain_lap(lap_of(lane->tail, lane->shift)))
        return 0;
    room = room < to_end ? room : to_end;
    return room < MUI_PACK_MAX ? room : MUI_PACK_MAX;
}

/* Write what the orders of a pack share; their inputs take `room` bytes. */
static void write_pack_head(struct slot *slot,
                            const struct mui_order *const *orders, unsigned n,
                            uint8_t attempt, uint32_t room)
{
    struct mui_order head = {.form = MUI_FORM_PACK,
                             .inline_size = (uint8_t)n,
                             .fn = orders[0]->fn,
                             .tag = orders[0]->tag};

    head.u.pack.tag_step = orders[1]->tag - orders[0]->tag;
    for (unsigned i = 0; i < n; i++)
        head.u.pack.sizes[i] = orders[i]->inline_size;
    write_order(slot, &head, (uint16_t)(attempt | room / 8 << 8));
}

/* Write the input of an order of a pack at `at`. Returns where the next one goes, which
 * writes over what this copies too much; nothing is written from `end` on. */
static inline uint8_t *write_input(uint8_t *at, const uint8_t *end,
                                   const struct mui_order *order)
{
    enum { FEW = 24 }; /* copied as a whole: cheaper than a call */
    uint32_t room = pack_room(order->inline_size);

    if (room <= FEW && end - at >= FEW)
        memcpy(at, order->u.bytes, FEW);
    else
        memcpy(at, order->u.bytes, room);
    return at + room;
}

/* Ask for the lines of the next pack, for writing, as if it were like the one before:
 * the worker that read them a lap ago has them. */
static void ask_for_pack(const struct mui_lane *lane, unsigned n, uint32_t room)
{
    uint32_t i_slot = lane->tail & lane->mask;
    const uint8_t *end = pack_bytes(lane->down, lane->mask, i_slot + n);

    if (i_slot + n > lane->mask + 1)
        return;
    mui_cpu_prefetch_write(&lane->down->orders[i_slot]);
    for (const uint8_t *at = end - room; at < end; at += MUI_CACHE_LINE)
        mui_cpu_prefetch_write(at);
}

void mui_lane_push_pack(struct mui_lane *lane,
                        const struct mui_order *const *orders, unsigned n,
                        uint8_t attempt, void *const *owners,
                        uint32_t *ret_index)
{
    uint32_t index = lane->tail;
    uint32_t i_slot = index & lane->mask;
    uint32_t room = 0;
    uint8_t *at;
    uint8_t *end;

    assert(n >= 2 && n <= mui_lane_pack_room(lane));
#ifdef BUG_LANE_PACK_FIRST
    lane->n_flushed = index - 1;
    atomic_store_explicit(&lane->down->orders[i_slot].lap,
                          lap_of(index, lane->shift), memory_order_release);
#endif
    for (unsigned i = 0; i < n; i++) {
        assert(orders[i]->inline_size < MUI_ORDER_INLINE);
        room += pack_room(orders[i]->inline_size);
    }
    end = pack_bytes(lane->down, lane->mask, i_slot + n);
    at = end - room;
    for (unsigned i = 0; i < n; i++)
        at = write_input(at, end, orders[i]);
    memcpy(lane->owner + i_slot, owners, n * sizeof *owners);
    memset(lane->state + i_slot, SLOT_PACKED, n);
    write_pack_head(&lane->down->orders[i_slot], orders, n, attempt, room);
    for (unsigned i = 0; lane->any_cancelled && i < n; i++)
        /* relaxed: the lap below publishes it */
        atomic_store_explicit(&cancel_marks(lane->down, lane->mask)[i_slot + i],
                              0, memory_order_relaxed);
    /* R1: as in mui_lane_push(), for all of them */
    if (index != lane->n_flushed)
        atomic_store_explicit(&lane->down->orders[i_slot].lap,
                              lap_of(index, lane->shift), memory_order_release);
    lane->tail = index + n;
    *ret_index = index;
    ask_for_pack(lane, n, room);
}

/* H2 and H5, the supervisor's side; see mui_lane_sleep() and mui_lane_leave(). */
static void lane_ring_down(struct mui_lane *lane)
{
    uint32_t sleeping;

#ifndef BUG_LANE_NO_BELL
    atomic_fetch_add_explicit(&lane->down->bell, 1, memory_order_seq_cst);
#endif
    sleeping = atomic_load_explicit(&lane->up->sleeping, memory_order_seq_cst);
    if (sleeping == MUI_AWAKE)
        return;
    lane->has_left = sleeping == MUI_LEFT;
    mui_futex_wake(&lane->down->bell, 1, lane->shared);
}

void mui_lane_flush(struct mui_lane *lane)
{
    uint32_t first = lane->n_flushed;

    if (first == lane->tail)
        return;
    /* R1, for the first of the batch */
    atomic_store_explicit(&lane->down->orders[first & lane->mask].lap,
                          lap_of(first, lane->shift), memory_order_release);
    lane->n_flushed = lane->tail;
    lane_ring_down(lane);
}

void mui_lane_alert(struct mui_lane *lane)
{
    lane_ring_down(lane);
}

/* Whether the worker was told not to run an order. */
static bool may_return(const struct mui_lane *lane, uint32_t index)
{
    /* relaxed: our own words */
    uint64_t range =
        atomic_load_explicit(&lane->down->revoked, memory_order_relaxed);
    uint32_t from = (uint32_t)(range >> 32);

    return index - from < (uint32_t)range - from ||
           atomic_load_explicit(
               &cancel_marks(lane->down, lane->mask)[index & lane->mask],
               memory_order_relaxed);
}

/* Whether no honest worker would have written this reply. */
static bool reply_is_forged(const struct mui_lane *lane,
                            const struct mui_reply *reply)
{
    uint32_t i_slot = reply->index & lane->mask;

    if (reply->index - lane->head >= lane->tail - lane->head)
        return true;
    if (reply->kind >= MUI_N_REPLY_KINDS || reply->form > MUI_FORM_SPAN ||
        reply->inline_size > MUI_REPLY_INLINE)
        return true;
    if (lane->state[i_slot] == SLOT_FREE)
        return true;
    if (lane->state[i_slot] == SLOT_TAKEN && reply->kind != MUI_REPLY_RETURNED)
        return true;
    if (reply->kind == MUI_REPLY_RETURNED && !may_return(lane, reply->index))
        return true;
    if (reply->form == MUI_FORM_SPAN && lane->region)
        return reply->kind != MUI_REPLY_RAN ||
               reply->u.span.size > lane->region_bytes ||
               reply->u.span.address > lane->region_bytes - reply->u.span.size;
    return false;
}

/* Replies were read whose orders' slots are free now. */
static inline void move_head(struct mui_lane *lane)
{
    while (lane->head != lane->tail &&
           lane->state[lane->head & lane->mask] == SLOT_FREE)
        lane->head++;
}

/* A reply is read: its order's slot is free. Gives its owner. */
static inline void *free_slot(struct mui_lane *lane, uint32_t index)
{
    uint32_t i_slot = index & lane->mask;
    void *owner = lane->owner[i_slot];

    lane->n_replies++;
    lane->owner[i_slot] = NULL;
    lane->state[i_slot] = SLOT_FREE;
    return owner;
}

static inline bool next_may_be_brief(const struct mui_lane *lane)
{
    return lane->state[lane->n_replies & lane->mask] == SLOT_PACKED;
}

/* Read replies as long as they are brief, up to n_max and to the end of the lap: the word
 * of each comes before the rest. *ret_n is how many there were. What is behind them:
 * MU_EMPTY, no such reply, or MU_ECORRUPT, one that no honest worker wrote. */
static int read_briefs(struct mui_lane *lane, struct mui_lane_brief *ret_briefs,
                       unsigned n_max, unsigned *ret_n)
{
    uint32_t i_slot = lane->n_replies & lane->mask;
    uint32_t to_end = lane->mask + 1 - i_slot;
    uint32_t lap = lap_of(lane->n_replies, lane->shift);
    const _Atomic uint64_t *words = brief_of(lane->up, lane->mask, i_slot);
    const _Atomic uint64_t *outputs =
        brief_output_of(lane->up, lane->mask, i_slot);
    uint8_t *states = lane->state + i_slot;
    void **owners = lane->owner + i_slot;
    uint64_t end_ns = lane->end_ns;
    int rc = MU_EMPTY;
    unsigned n;

    n_max = n_max < to_end ? n_max : to_end;
    for (n = 0; n < n_max && states[n] == SLOT_PACKED; n++) {
        /* A2, as below; read once, for the worker can change it meanwhile */
        uint64_t word = atomic_load_explicit(&words[n], memory_order_acquire);
        uint64_t output = 0;

        if (!brief_is_of(word, lap))
            break;
        if ((uint32_t)word > MUI_BRIEF_NS_MAX) {
            /* relaxed: behind its word; once, too */
            output = atomic_load_explicit(&outputs[n], memory_order_relaxed);
            if ((uint8_t)output > MUI_BRIEF_BYTES) {
                rc = MU_ECORRUPT;
                break;
            }
        }
        if ((i_slot + n) % BRIEFS_A_LINE == 0)
            __builtin_prefetch(
                brief_of(lane->up, lane->mask, i_slot + n + BRIEFS_AHEAD));
        ret_briefs[n] = (struct mui_lane_brief){.owner = owners[n],
                                                .output = output,
                                                .run_ns = (uint32_t)word &
                                                          MUI_BRIEF_NS_MAX};
        end_ns += ret_briefs[n].run_ns;
        owners[n] = NULL;
        states[n] = SLOT_FREE;
    }
    lane->end_ns = end_ns;
    /* as many replies were read as slots are free from head to tail: at the head itself
     * none is free beyond these; behind it, it stays */
    if (lane->head == lane->n_replies)
        lane->head += n;
    lane->n_replies += n;
    *ret_n = n;
    return rc;
}

unsigned mui_lane_collect_briefs(struct mui_lane *lane,
                                 struct mui_lane_brief *ret_briefs,
                                 unsigned n_max, int64_t *ret_start_ns)
{
    unsigned n;

    if (!next_may_be_brief(lane))
        return 0;
    *ret_start_ns = (int64_t)lane->end_ns;
    (void)read_briefs(lane, ret_briefs, n_max, &n);
    return n;
}

/* The same of one, as mui_lane_collect() gives it. */
static int collect_brief(struct mui_lane *lane, struct mui_reply *ret_reply,
                         void **ret_owner)
{
    struct mui_lane_brief brief;
    uint32_t index = lane->n_replies;
    uint64_t start_ns = lane->end_ns;
    unsigned n;
    int rc = read_briefs(lane, &brief, 1, &n);

    if (n == 0)
        return rc;
    *ret_reply = (struct mui_reply){
        .index = index,
        .inline_size = (uint8_t)brief.output,
        .start_ns = (int64_t)start_ns,
        .run_ns = brief.run_ns,
    };
    brief.output >>= 8;
    memcpy(ret_reply->u.bytes, &brief.output, sizeof brief.output);
    *ret_owner = brief.owner;
    return MU_OK;
}

int mui_lane_collect(struct mui_lane *lane, struct mui_reply *ret_reply,
                     void **ret_owner)
{
    struct slot *slot = &lane->up->replies[lane->n_replies & lane->mask];
    uint32_t lap = lap_of(lane->n_replies, lane->shift);
    int rc = MU_EMPTY;

    if (next_may_be_brief(lane))
        rc = collect_brief(lane, ret_reply, ret_owner);
    if (rc != MU_EMPTY)
        return rc;
    /* A2, pairs with R2 in mui_lane_reply() */
    if (atomic_load_explicit(&slot->lap, memory_order_acquire) != lap)
        return MU_EMPTY;
    /* one copy, then only the copy: the worker can change the slot meanwhile.
     * The barrier keeps the compiler from reading the slot again. */
    memcpy(&ret_reply->index, slot->body, sizeof slot->body);
    __asm__ volatile("" : "+m"(*ret_reply));
    if (reply_is_forged(lane, ret_reply))
        return MU_ECORRUPT;

    if (ret_reply->kind != MUI_REPLY_RETURNED)
        lane->end_ns =
            (uint64_t)ret_reply->start_ns + (uint64_t)ret_reply->run_ns;
    __builtin_prefetch(&lane->up->replies[(lane->n_replies + 5) & lane->mask]);
    *ret_owner = free_slot(lane, ret_reply->index);
    move_head(lane);
    return MU_OK;
}

bool mui_lane_has(const struct mui_lane *lane, unsigned n)
{
    uint32_t last = lane->n_replies + n - 1;

    /* A2, as below */
    if (lane->state[last & lane->mask] == SLOT_PACKED &&
        brief_is_of(atomic_load_explicit(brief_of(lane->up, lane->mask, last),
                                         memory_order_acquire),
                    lap_of(last, lane->shift))) {
        /* they are about to be read */
        for (unsigned i = 0; i < n && i < BRIEFS_AHEAD; i += BRIEFS_A_LINE)
            __builtin_prefetch(
                brief_of(lane->up, lane->mask, lane->n_replies + i));
        return true;
    }
    /* A2: replies are written in order, so this one's lap answers for those before */
    return atomic_load_explicit(&lane->up->replies[last & lane->mask].lap,
                                memory_order_acquire) ==
           lap_of(last, lane->shift);
}

unsigned mui_lane_at_rest(const struct mui_lane *lane, unsigned n)
{
    /* up to the end of a line of brief replies, and one more, in the next line */
    n -= (lane->n_replies + n) % BRIEFS_A_LINE;
    return mui_lane_has(lane, n + 1) ? n : 0;
}

void mui_lane_release(struct mui_lane *lane, const struct mui_reply *reply)
{
    if (!lane->region || reply->form != MUI_FORM_SPAN)
        return;
    lane->n_region++;
    /* release: our reads of the region come before the worker's next writes */
    atomic_store_explicit(&lane->down->released, lane->n_region,
                          memory_order_release);
    lane_ring_down(lane);
}

bool mui_lane_is_revoking(const struct mui_lane *lane)
{
    /* relaxed: our own word */
    uint64_t range =
        atomic_load_explicit(&lane->down->revoked, memory_order_relaxed);
    uint32_t to = (uint32_t)range;

    return (uint32_t)(range >> 32) != to &&
           to - lane->head - 1 < lane->tail - lane->head;
}

unsigned mui_lane_revoke(struct mui_lane *lane, uint32_t from,
                         void (*give)(void *ctx, void *owner), void *ctx)
{
    uint32_t started;
    unsigned n = 0;

    if (mui_lane_is_revoking(lane))
        return 0;
    started = mui_lane_started(lane, NULL);
    if (started - lane->head > from - lane->head)
        from = started;
    if (from - lane->head >= lane->tail - lane->head)
        return 0;
    /* H1, the supervisor's side; see begin() */
    atomic_store_explicit(&lane->down->revoked,
                          (uint64_t)from << 32 | lane->tail,
                          memory_order_seq_cst);
#ifndef BUG_LANE_START_UNSEEN
    started = mui_lane_started(lane, NULL);
#endif
    if (started - lane->head > from - lane->head)
        from = started;
    for (uint32_t i = lane->tail; i-- != from;) {
        uint32_t i_slot = i & lane->mask;

        if (!lane->owner[i_slot])
            continue;
        lane->state[i_slot] = SLOT_TAKEN;
        give(ctx, lane->owner[i_slot]);
        lane->owner[i_slot] = NULL;
        n++;
    }
    return n;
}

void mui_lane_want(struct mui_lane *lane, uint32_t want)
{
    lane->want =
        ((lane->want & ~(uint64_t)MUI_WANT_MASK) + MUI_WANT_STEP) | want;
    /* H3, the supervisor's side; see ring_after_exchange() */
    atomic_store_explicit(&lane->down->want, lane->want, memory_order_seq_cst);
    (void)atomic_load_explicit(&lane->up->started, memory_order_seq_cst);
    (void)atomic_load_explicit(&lane->up->sleeping, memory_order_seq_cst);
}

bool mui_lane_is_awake(const struct mui_lane *lane)
{
    /* H3, the supervisor's side: as in mui_lane_want(), later */
    return !atomic_load_explicit(&lane->up->sleeping, memory_order_seq_cst);
}

bool mui_lane_is_watching(const struct mui_lane *lane)
{
    /* H3, the supervisor's side: as in mui_lane_want(), later */
    return atomic_load_explicit(&lane->up->sleeping, memory_order_seq_cst) !=
           MUI_ASLEEP;
}

bool mui_lane_has_left(const struct mui_lane *lane)
{
    /* H5, the supervisor's side, later */
    return atomic_load_explicit(&lane->up->sleeping, memory_order_seq_cst) ==
           MUI_LEFT;
}

uint32_t mui_lane_started(const struct mui_lane *lane, int64_t *ret_start_ns)
{
    uint32_t started =
        atomic_load_explicit(&lane->up->started, memory_order_seq_cst);

    if (ret_start_ns)
        /* relaxed: only a hint from a worker that may lie */
        *ret_start_ns =
            atomic_load_explicit(&lane->up->start_ns, memory_order_relaxed);
    /* what cannot be says nothing: then any of them can have started */
    if (started - lane->head > lane->tail - lane->head)
        return lane->tail;
    return started;
}

bool mui_lane_is_damaged(const struct mui_lane *lane)
{
    /* acquire: the worker writes a reply, R2, before it starts the next order, and
     * starts an order before it replies. So of what it has started all but one have a
     * reply, and the first that we have not read is there to be seen. */
    uint32_t n_more =
        atomic_load_explicit(&lane->up->started, memory_order_acquire) -
        lane->n_replies;

    return n_more > lane->tail - lane->n_replies ||
           (n_more > 1 && !mui_lane_has(lane, 1));
}

int64_t mui_lane_end(const struct mui_lane *lane, int64_t now_ns)
{
    return lane->end_ns <= (uint64_t)now_ns ? (int64_t)lane->end_ns : 0;
}

unsigned mui_lane_doubts(struct mui_lane *lane)
{
    if (lane->head == lane->tail || mui_lane_started(lane, NULL) != lane->head)
        lane->n_doubts = 0;
    else if (lane->doubt_head == lane->head)
        lane->n_doubts++;
    else
        lane->n_doubts = 1;
    lane->doubt_head = lane->head;
    return lane->n_doubts;
}

void *mui_lane_owner(const struct mui_lane *lane, uint32_t index)
{
    return lane->owner[index & lane->mask];
}

void mui_lane_set_number(struct mui_lane *lane, uint32_t number)
{
    /* relaxed: published by the first order's lap */
    atomic_store_explicit(&lane->down->number, number, memory_order_relaxed);
}

void mui_lane_cancel(struct mui_lane *lane, uint32_t index)
{
    lane->any_cancelled = true;
    /* H4, the supervisor's side; see mui_lane_is_cancelled() */
    atomic_store_explicit(
        &cancel_marks(lane->down, lane->mask)[index & lane->mask], 1,
        memory_order_seq_cst);
}

void mui_lane_close(struct mui_lane *lane)
{
    /* release, pairs with the acquire in take_nothing() */
    atomic_store_explicit(&lane->down->closed, 1, memory_order_release);
    lane_ring_down(lane);
}
