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
 * Four handshakes need "one of two sees the other" and so a total order; every
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
 *     the same word in S, which therefore sees it and the reply before it.
 *  H4 cancelling.  worker: started = i + 1; read the mark of i.
 *                  supervisor: mark = 1; read started.
 *     As H1: what the supervisor does not see started is returned unrun.
 *
 * Killed at any instruction. The worker: before R2 the reply is absent, after it
 * whole; `started` names the order that was running. The supervisor: its workers
 * die with it.
 *
 * Hostile writer of `up`: replies are copied in one go, then checked: the lap is
 * data like the rest, `index` must name an order without a reply, sizes and spans
 * must fit. A lap that never comes is a worker that never answers: a deadline's
 * business, which asks mui_lane_is_damaged() whether that was a reply once, and not
 * the task that seems to be running. Indices wrap at 2^32; the lap of index i is
 * (i >> shift) + 1, never 0 and different from the lap before it in the same slot.
 *
 * Progress: push, collect, take, reply are wait-free; sleep blocks. */
#include "sync/lane.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "muster/base.h"

#include "sys/futex.h"

/* A worker that rang as idle looks again after this: what it could be given may
 * have been too young then to be taken from another. */
enum { RING_AGAIN_NS = 250 * 1000 };

enum mui_slot_state {
    SLOT_FREE = 0,
    SLOT_ORDERED, /* the worker owes a reply */
    SLOT_TAKEN    /* taken back: the worker owes MUI_REPLY_RETURNED */
};

/* A record is one cache line; its first word is the lap, stored last. */
struct slot {
    _Atomic uint32_t lap;
    unsigned char body[60];
} __attribute__((aligned(MUI_CACHE_LINE)));

_Static_assert(sizeof(struct slot) == MUI_CACHE_LINE, "a slot is a line");
_Static_assert(sizeof(struct mui_order) == sizeof(struct slot), "order");
_Static_assert(sizeof(struct mui_reply) == sizeof(struct slot), "reply");

struct mui_lane_down {
    _Atomic uint64_t revoked; /* from << 32 | to; from == to: nothing */
    _Atomic uint32_t want;
    _Atomic uint32_t closed;
    _Atomic uint32_t number; /* of the lane in its pool */
    _Alignas(
        MUI_CACHE_LINE) _Atomic uint32_t bell; /* futex: the worker waits */
    _Atomic uint32_t released;                 /* region replies given back */
    _Alignas(MUI_CACHE_LINE) struct slot orders[];
    /* then _Atomic uint8_t cancelled[n_slots] */
};

struct mui_lane_up {
    _Atomic uint32_t started; /* orders started so far: index + 1 of the last */
    _Atomic int64_t start_ns; /* when the last was started */
    _Alignas(MUI_CACHE_LINE) _Atomic uint32_t sleeping;
    _Alignas(MUI_CACHE_LINE) struct slot replies[];
};

static size_t whole_pages(size_t bytes)
{
    return (bytes + 4095) & ~(size_t)4095;
}

size_t mui_lane_down_bytes(unsigned n_slots)
{
    return whole_pages(sizeof(struct mui_lane_down) +
                       n_slots * (sizeof(struct slot) + 1));
}

size_t mui_lane_up_bytes(unsigned n_slots)
{
    return whole_pages(sizeof(struct mui_lane_up) +
                       n_slots * sizeof(struct slot));
}

static uint32_t lap_of(uint32_t index, uint32_t shift)
{
    return (index >> shift) + 1;
}

static uint32_t log2_of(unsigned n_slots)
{
    assert(n_slots >= 2 && n_slots <= 4096 && (n_slots & (n_slots - 1)) == 0);
    return (uint32_t)__builtin_ctz(n_slots);
}

static _Atomic uint8_t *cancel_marks(const struct mui_lane_down *down,
                                     uint32_t mask)
{
    return (_Atomic uint8_t *)(uintptr_t)&down->orders[(size_t)mask + 1];
}

/* -- the supervisor's end -- */

int mui_lane_init(struct mui_lane *lane, void *down, void *up,
                  const void *region, uint64_t region_bytes, unsigned n_slots,
                  bool shared)
{
    *lane = (struct mui_lane){
        .down = down,
        .up = up,
        .region = region,
        .region_bytes = region_bytes,
        .mask = n_slots - 1,
        .shift = log2_of(n_slots),
        .shared = shared,
        .owner = calloc(n_slots, sizeof *lane->owner),
        .state = calloc(n_slots, sizeof *lane->state),
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

unsigned mui_lane_in_flight(const struct mui_lane *lane)
{
    return lane->tail - lane->head;
}

unsigned mui_lane_room(const struct mui_lane *lane)
{
    return lane->mask + 1 - (lane->tail - lane->head);
}

/* Copy an order into its slot, but for the lap. Word by word and with `attempt` from
 * a register: reading back wider than was just written stalls the store buffer. */
static void write_order(struct slot *slot, const struct mui_order *order,
                        uint8_t attempt)
{
    uint32_t head = (uint32_t)order->form | (uint32_t)order->inline_size << 8 |
                    (uint32_t)attempt << 16;

    memcpy(slot->body, &head, sizeof head);
    memcpy(slot->body + sizeof head, &order->fn,
           sizeof slot->body - sizeof head);
}

int mui_lane_push(struct mui_lane *lane, const struct mui_order *order,
                  uint8_t attempt, void *owner, uint32_t *ret_index)
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
    /* R1, pairs with A1 in mui_lane_take(): the order comes before its lap. The
     * first of a batch is held back until the flush: the worker polls its slot, and
     * a line that is polled while it is written is paid for twice. */
    if (index != lane->n_flushed)
        atomic_store_explicit(&slot->lap, lap_of(index, lane->shift),
                              memory_order_release);
    lane->tail = index + 1;
    *ret_index = index;
    return MU_OK;
}

/* H2, the supervisor's side; see mui_lane_sleep(). */
static void lane_ring_down(struct mui_lane *lane)
{
#ifndef BUG_LANE_NO_BELL
    atomic_fetch_add_explicit(&lane->down->bell, 1, memory_order_seq_cst);
#endif
    if (atomic_load_explicit(&lane->up->sleeping, memory_order_seq_cst))
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

int mui_lane_collect(struct mui_lane *lane, struct mui_reply *ret_reply,
                     void **ret_owner)
{
    struct slot *slot = &lane->up->replies[lane->n_replies & lane->mask];
    uint32_t lap = lap_of(lane->n_replies, lane->shift);
    uint32_t i_slot;

    /* A2, pairs with R2 in mui_lane_reply() */
    if (atomic_load_explicit(&slot->lap, memory_order_acquire) != lap)
        return MU_EMPTY;
    /* one copy, then only the copy: the worker can change the slot meanwhile.
     * The barrier keeps the compiler from reading the slot again. */
    memcpy(&ret_reply->index, slot->body, sizeof slot->body);
    __asm__ volatile("" : "+m"(*ret_reply));
    if (reply_is_forged(lane, ret_reply))
        return MU_ECORRUPT;

    i_slot = ret_reply->index & lane->mask;
    lane->n_replies++;
    __builtin_prefetch(&lane->up->replies[(lane->n_replies + 4) & lane->mask]);
    *ret_owner = lane->owner[i_slot];
    lane->owner[i_slot] = NULL;
    lane->state[i_slot] = SLOT_FREE;
    while (lane->head != lane->tail &&
           lane->state[lane->head & lane->mask] == SLOT_FREE)
        lane->head++;
    return MU_OK;
}

bool mui_lane_has(const struct mui_lane *lane, unsigned n)
{
    uint32_t last = lane->n_replies + n - 1;

    /* A2: replies are written in order, so this one's lap answers for those before */
    return atomic_load_explicit(&lane->up->replies[last & lane->mask].lap,
                                memory_order_acquire) ==
           lap_of(last, lane->shift);
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

unsigned mui_lane_revoke(struct mui_lane *lane, unsigned keep,
                         void (*give)(void *ctx, void *owner), void *ctx)
{
    uint64_t old = atomic_load_explicit(&lane->down->revoked,
                                        /* relaxed: our own word */
                                        memory_order_relaxed);
    uint32_t to_old = (uint32_t)old;
    uint32_t from;
    uint32_t started;
    unsigned n = 0;

    if ((uint32_t)(old >> 32) != to_old &&
        to_old - lane->head - 1 < lane->tail - lane->head)
        return 0; /* orders of the last range are still owed a reply */
    started = mui_lane_started(lane, NULL);
    from = started + keep;
    if (from - lane->head >= lane->tail - lane->head)
        return 0;
    /* H1, the supervisor's side; see mui_lane_take() */
    atomic_store_explicit(&lane->down->revoked,
                          (uint64_t)from << 32 | lane->tail,
                          memory_order_seq_cst);
#ifndef BUG_LANE_START_UNSEEN
    started = mui_lane_started(lane, NULL);
#endif
    if (started - lane->head > from - lane->head)
        from = started;
    for (uint32_t i = from; i != lane->tail; i++) {
        uint32_t i_slot = i & lane->mask;

        if (lane->state[i_slot] != SLOT_ORDERED)
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
    if (want == 0 && (lane->want & MUI_WANT_MASK) == 0)
        return;
    lane->want =
        ((lane->want & ~(uint32_t)MUI_WANT_MASK) + MUI_WANT_STEP) | want;
    /* H3, the supervisor's side; see mui_lane_ring() */
    atomic_store_explicit(&lane->down->want, lane->want, memory_order_seq_cst);
    (void)atomic_load_explicit(&lane->up->started, memory_order_seq_cst);
    (void)atomic_load_explicit(&lane->up->sleeping, memory_order_seq_cst);
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

int64_t mui_lane_idle_since(struct mui_lane *lane, int64_t now_ns)
{
    if (lane->head == lane->tail || mui_lane_started(lane, NULL) != lane->head)
        lane->idle_ns = 0;
    else if (!lane->idle_ns || lane->idle_head != lane->head)
        lane->idle_ns = now_ns;
    lane->idle_head = lane->head;
    return lane->idle_ns ? lane->idle_ns : MU_NEVER;
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
    /* H4, the supervisor's side; see mui_lane_take() */
    atomic_store_explicit(
        &cancel_marks(lane->down, lane->mask)[index & lane->mask], 1,
        memory_order_seq_cst);
}

void mui_lane_close(struct mui_lane *lane)
{
    /* release, pairs with the acquire in mui_lane_take() */
    atomic_store_explicit(&lane->down->closed, 1, memory_order_release);
    lane_ring_down(lane);
}

/* -- the worker's end -- */

void mui_lane_worker_init(struct mui_lane_worker *w, const void *down, void *up,
                          void *region, uint64_t region_bytes, unsigned n_slots,
                          bool shared)
{
    *w = (struct mui_lane_worker){
        .down = down,
        .up = up,
        .region = region,
        .region_bytes = region_bytes,
        .mask = n_slots - 1,
        .shift = log2_of(n_slots),
        .shared = shared,
    };
}

static bool order_is_there(const struct mui_lane_worker *w, uint32_t index)
{
    /* A1, pairs with R1 in mui_lane_push() */
    return atomic_load_explicit(&w->down->orders[index & w->mask].lap,
                                memory_order_acquire) ==
           lap_of(index, w->shift);
}

bool mui_lane_has_order(const struct mui_lane_worker *w)
{
    return order_is_there(w, w->next);
}

/* H3, the worker's side, when the caller exchanged `started` or `sleeping` before.
 * Returns what it rang for; 0: it did not. */
static uint32_t ring_if_wished(struct mui_lane_worker *w, uint32_t states)
{
    uint32_t want = atomic_load_explicit(&w->down->want, memory_order_seq_cst);
    uint32_t why = want & states;

    w->dirty = false;
    if (want == w->wish || !why)
        return 0;
    w->wish = want;
    why = why & MUI_WANT_DONE ? MUI_WANT_DONE : why;
    w->ring(w, why);
    return why;
}

static bool is_revoked(const struct mui_lane_worker *w, uint32_t index)
{
    uint64_t range =
        atomic_load_explicit(&w->down->revoked, memory_order_seq_cst);
    uint32_t from = (uint32_t)(range >> 32);

    return index - from < (uint32_t)range - from;
}

static bool is_taken_back(const struct mui_lane_worker *w, uint32_t index)
{
    return is_revoked(w, index) || mui_lane_is_cancelled(w, index);
}

/* Note an order as started. Whether it is to be run. */
static inline bool begin(struct mui_lane_worker *w, uint32_t index)
{
#ifdef BUG_LANE_LOOK_FIRST
    /* what the hardware may make of a `started` that is merely stored */
    bool was_taken_back = is_taken_back(w, index);
#endif
    /* H1, the worker's side; see mui_lane_revoke() */
    atomic_exchange_explicit(&w->up->started, index + 1, memory_order_seq_cst);
    w->next = index + 1;
    if (w->dirty)
        (void)ring_if_wished(w, MUI_WANT_DONE);
#ifdef BUG_LANE_LOOK_FIRST
    return !was_taken_back;
#endif
    return !is_taken_back(w, index);
}

/* Nothing there: say so if that is wished, and tell an end from a pause. */
static int take_nothing(struct mui_lane_worker *w)
{
    if (w->dirty)
        /* without a handshake: if it misses a wish, mui_lane_sleep() will not */
        (void)ring_if_wished(w, MUI_WANT_DONE);
    /* acquire, pairs with mui_lane_close(): its orders are visible too */
    if (atomic_load_explicit(&w->down->closed, memory_order_acquire) &&
        !order_is_there(w, w->next))
        return MU_CLOSED;
    return mui_lane_is_spent(w, 0) ? MU_CLOSED : MU_EMPTY;
}

int mui_lane_take(struct mui_lane_worker *w, const struct mui_order **ret_order,
                  uint32_t *ret_index)
{
    for (;;) {
        uint32_t index = w->next;

        if (!order_is_there(w, index))
            return take_nothing(w);
        /* asked when the order is seen, and before it is begun: who gave it after
         * another lane's task had spent this worker, and was known to have ended,
         * does not find it here */
        if (mui_lane_is_spent(w, 0))
            return MU_CLOSED;
        if (begin(w, index)) {
            *ret_order =
                (const struct mui_order *)&w->down->orders[index & w->mask];
            *ret_index = index;
            return MU_OK;
        }
        mui_lane_reply(
            w, &(struct mui_reply){.index = index, .kind = MUI_REPLY_RETURNED});
    }
}

void mui_lane_note_start(struct mui_lane_worker *w, int64_t now_ns)
{
    /* relaxed: a hint for deadlines */
    atomic_store_explicit(&w->up->start_ns, now_ns, memory_order_relaxed);
}

void mui_lane_reply(struct mui_lane_worker *w, const struct mui_reply *reply)
{
    struct slot *slot = &w->up->replies[w->n_replies & w->mask];

    memcpy(slot->body, &reply->index, sizeof slot->body);
    /* R2, pairs with A2 in mui_lane_collect(): the reply comes before its lap */
    atomic_store_explicit(&slot->lap, lap_of(w->n_replies, w->shift),
                          memory_order_release);
    w->n_replies++;
    w->dirty = true;
}

static bool has_work(const struct mui_lane_worker *w)
{
    return order_is_there(w, w->next) ||
           /* acquire: as in take_nothing() */
           atomic_load_explicit(&w->down->closed, memory_order_acquire);
}

/* Spin for `spin_ns`. Returns whether there is something to do. */
static bool spin_for_work(const struct mui_lane_worker *w, int64_t spin_ns)
{
    int64_t end;

    if (spin_ns <= 0)
        return has_work(w);
    end = mu_now_ns() + spin_ns;
    do {
        for (int i = 0; i < 64; i++) {
            if (has_work(w))
                return true;
            mui_cpu_pause();
        }
    } while (mu_now_ns() < end);
    return false;
}

void mui_lane_sleep(struct mui_lane_worker *w, int64_t deadline_ns)
{
    int64_t again_ns = MU_NEVER;
    uint32_t bell;

    /* spin before ringing: a caller that is about to hand out more needs none */
    if (spin_for_work(w, w->spin_ns))
        return;
    /* system calls: before the sleep is announced, while nobody pays for a wake-up */
    if (mui_lane_is_spent(w, MUI_LOOK_CLOSELY) || has_work(w))
        return;
    /* H2, the worker's side; see lane_ring_down() */
    bell = atomic_load_explicit(&w->down->bell, memory_order_seq_cst);
    atomic_exchange_explicit(&w->up->sleeping, 1, memory_order_seq_cst);
    if (ring_if_wished(w, MUI_WANT_MASK) == MUI_WANT_IDLE)
        again_ns = mu_after_ns(RING_AGAIN_NS);
    if (!has_work(w) && !mui_lane_is_spent(w, 0) &&
        atomic_load_explicit(&w->down->bell, memory_order_seq_cst) == bell)
        (void)mui_futex_wait(&w->down->bell, bell, w->shared,
                             deadline_ns < again_ns ? deadline_ns : again_ns);
    /* relaxed: a supervisor that still sees 1 wakes nobody, which is harmless */
    atomic_store_explicit(&w->up->sleeping, 0, memory_order_relaxed);
}

void mui_lane_leave(struct mui_lane_worker *w)
{
    /* H3, the worker's side: as before a sleep, but nobody need wake this flow */
    (void)atomic_exchange_explicit(&w->up->sleeping, 0, memory_order_seq_cst);
    (void)ring_if_wished(w, MUI_WANT_DONE);
}

int64_t mui_lane_running_since(const struct mui_lane_worker *w)
{
    /* acquire, pairs with the release in call() of layer/run.c: the start that is
     * read is that of this task or of a later one */
    if (!atomic_load_explicit(&w->is_running, memory_order_acquire))
        return MU_NEVER;
    /* relaxed: see above */
    return atomic_load_explicit(&w->up->start_ns, memory_order_relaxed);
}

bool mui_lane_is_cancelled(const struct mui_lane_worker *w, uint32_t index)
{
    /* H4, the worker's side; see mui_lane_cancel() */
    return atomic_load_explicit(
               &cancel_marks(w->down, w->mask)[index & w->mask],
               memory_order_seq_cst) != 0;
}

uint32_t mui_lane_number(const struct mui_lane_worker *w)
{
    /* relaxed: published by the first order's lap */
    return atomic_load_explicit(&w->down->number, memory_order_relaxed);
}

void mui_lane_nudge(struct mui_lane_worker *w)
{
    /* It announces its sleep, then asks is_spent(), then sleeps on a word that only
     * the supervisor may change. So when it does not announce, it will ask; when it
     * does, it is woken until it has woken. A forged announcement is not believed
     * for ever. */
    enum { TRIES_MAX = 2000, PAUSE_NS = 50 * 1000 };
    const struct timespec pause = {.tv_nsec = PAUSE_NS};

    for (int i = 0; i < TRIES_MAX; i++) {
        if (!atomic_load_explicit(&w->up->sleeping, memory_order_seq_cst))
            return;
        mui_futex_wake(&w->down->bell, 1, w->shared);
        (void)nanosleep(&pause, NULL);
    }
}

bool mui_lane_is_spent(struct mui_lane_worker *w, unsigned look)
{
    return w->is_spent && w->is_spent(w, look);
}

uint32_t mui_lane_released(const struct mui_lane_worker *w)
{
    /* acquire, pairs with mui_lane_release(): the region may be written again */
    return atomic_load_explicit(&w->down->released, memory_order_acquire);
}

/* The same for memory of the region. */
static bool spin_for_release(const struct mui_lane_worker *w, uint32_t seen)
{
    int64_t end = mu_now_ns() + w->spin_ns;

    do {
        for (int i = 0; i < 64; i++) {
            if (mui_lane_released(w) != seen)
                return true;
            mui_cpu_pause();
        }
    } while (mu_now_ns() < end);
    return false;
}

void mui_lane_wait_release(struct mui_lane_worker *w, uint32_t seen)
{
    uint32_t bell;

    if (spin_for_release(w, seen))
        return;
    bell = atomic_load_explicit(&w->down->bell, memory_order_seq_cst);
    atomic_exchange_explicit(&w->up->sleeping, 1, memory_order_seq_cst);
    w->ring(w, MUI_WANT_DONE);
    if (mui_lane_released(w) == seen &&
        atomic_load_explicit(&w->down->bell, memory_order_seq_cst) == bell)
        (void)mui_futex_wait(&w->down->bell, bell, w->shared, MU_NEVER);
    /* relaxed: as in mui_lane_sleep() */
    atomic_store_explicit(&w->up->sleeping, 0, memory_order_relaxed);
}
