/* lane_worker.c: the worker's end of a lane. The argument is in lane.c. */
#include <sched.h>
#include <string.h>
#include <time.h>

#include "muster/base.h"

#include "sync/lane_memory.h"
#include "sys/futex.h"

/* A worker that rang as idle looks again after this: what it could be given may
 * have been too young then to be taken from another. */
enum { RING_AGAIN_NS = 250 * 1000 };

void mui_lane_worker_init(struct mui_lane_worker *w,
                          const struct mui_lane_memory *memory)
{
    *w = (struct mui_lane_worker){
        .down = memory->down,
        .up = memory->up,
        .region = memory->region,
        .region_bytes = memory->region_bytes,
        .mask = memory->n_slots - 1,
        .shift = log2_of(memory->n_slots),
        .shared = memory->shared,
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
    return w->pack.n_left || order_is_there(w, w->next);
}

/* Returns what it rang for; 0: it did not. */
static uint32_t ring_if_wished(struct mui_lane_worker *w, uint32_t states)
{
    uint64_t want = atomic_load_explicit(&w->down->want, memory_order_seq_cst);
    uint32_t why = (uint32_t)want & states;

    if (want == w->wish || !why)
        return 0;
    w->wish = want;
    why = why & MUI_WANT_DONE ? MUI_WANT_DONE : why;
    if (why == MUI_WANT_IDLE)
        /* relaxed: who still sees MUI_ASLEEP wakes us in vain, which is harmless */
        atomic_store_explicit(&w->up->sleeping, MUI_DOZING,
                              memory_order_relaxed);
    w->ring(w, why);
    return why;
}

/* H3, the worker's side: the caller has just exchanged `started` or `sleeping`, and so
 * the replies written before have nothing more to ring for. */
static uint32_t ring_after_exchange(struct mui_lane_worker *w, uint32_t states)
{
    w->dirty = false;
    return ring_if_wished(w, states);
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
    /* relaxed: who sees `started` sees no longer when the one before began */
    atomic_store_explicit(&w->up->start_ns, 0, memory_order_relaxed);
    /* H1, the worker's side; see mui_lane_revoke() */
    atomic_exchange_explicit(&w->up->started, index + 1, memory_order_seq_cst);
    w->next = index + 1;
    if (w->dirty)
        (void)ring_after_exchange(w, MUI_WANT_DONE);
#ifdef BUG_LANE_LOOK_FIRST
    return !was_taken_back;
#endif
    return !is_taken_back(w, index);
}

/* Nothing there: say so if that is wished, and tell an end from a pause. */
static int take_nothing(struct mui_lane_worker *w)
{
    if (w->dirty)
        /* early, for no exchange came before: where it misses a wish that misses the
         * reply, the next exchange does not. It comes with the next order, begin(), or
         * with the sleep, whichever is first; so `dirty` stays */
        (void)ring_if_wished(w, MUI_WANT_DONE);
    /* acquire, pairs with mui_lane_close(): its orders are visible too */
    if (atomic_load_explicit(&w->down->closed, memory_order_acquire) &&
        !mui_lane_has_order(w))
        return MU_CLOSED;
    return mui_lane_is_spent(w, 0) ? MU_CLOSED : MU_EMPTY;
}

/* Copy what the orders of a pack share: its slot is the first order's, and may be
 * written again before the others have run. */
static void open_pack(struct mui_lane_worker *w, const struct mui_order *head)
{
    struct mui_lane_pack *pack = &w->pack;
    uint32_t n = head->inline_size;

    pack->first = w->next;
    pack->n = n;
    pack->n_left = n;
    memcpy(pack->sizes, head->u.pack.sizes, sizeof pack->sizes);
    pack->tag_step = head->u.pack.tag_step;
    pack->input = pack_bytes(w->down, w->mask, (w->next & w->mask) + n) -
                  (size_t)(head->attempt >> 8) * 8;
    pack->order.form = MUI_FORM_PACK;
    pack->order.attempt = head->attempt & 0xff;
    pack->order.fn = head->fn;
    pack->order.tag = head->tag - pack->tag_step;
}

static const struct mui_order *next_of_pack(struct mui_lane_pack *pack)
{
    unsigned size = pack->sizes[pack->n - pack->n_left];

    pack->order.tag += pack->tag_step;
    pack->order.u.span.address = (uint64_t)(uintptr_t)pack->input;
    pack->order.u.span.size = size;
    pack->input += pack_room(size);
    pack->n_left--;
    return &pack->order;
}

/* The order that is there. */
static const struct mui_order *next_order(struct mui_lane_worker *w)
{
    const struct mui_order *order;

    if (w->pack.n_left)
        return next_of_pack(&w->pack);
    order = (const struct mui_order *)&w->down->orders[w->next & w->mask];
    w->pack.n = 0;
    if (order->form != MUI_FORM_PACK)
        return order;
    open_pack(w, order);
    return next_of_pack(&w->pack);
}

int mui_lane_take(struct mui_lane_worker *w, const struct mui_order **ret_order,
                  uint32_t *ret_index)
{
    for (;;) {
        uint32_t index = w->next;

        if (!mui_lane_has_order(w))
            return take_nothing(w);
        /* asked when the order is seen, and before it is begun: who gave it after
         * another lane's task had spent this worker, and was known to have ended,
         * does not find it here */
        if (mui_lane_is_spent(w, 0))
            return MU_CLOSED;
        *ret_order = next_order(w);
        if (begin(w, index)) {
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

/* One is looked for where an order of a pack has the reply's number. */
bool mui_lane_reply_brief(struct mui_lane_worker *w, uint32_t index,
                          int64_t start_ns, int64_t run_ns, const void *output,
                          size_t size)
{
    uint64_t word;

    if (index != w->n_replies || index - w->pack.first >= w->pack.n ||
        start_ns != w->end_ns || (uint64_t)run_ns > MUI_BRIEF_NS_MAX ||
        size > MUI_BRIEF_BYTES)
        return false;
    word = brief_word(lap_of(index, w->shift), (uint32_t)run_ns, size > 0);
    if (index % BRIEFS_A_LINE == 0)
        mui_cpu_prefetch_write(brief_of(w->up, w->mask, index + BRIEFS_AHEAD));
#ifdef BUG_LANE_BRIEF_FIRST
    atomic_store_explicit(brief_of(w->up, w->mask, index), word,
                          memory_order_release);
#endif
    if (size > 0) {
        uint64_t bytes = 0;

        memcpy(&bytes, output, size);
        /* relaxed: the word below publishes it */
        atomic_store_explicit(brief_output_of(w->up, w->mask, index),
                              bytes << 8 | size, memory_order_relaxed);
    }
    /* R2 */
    atomic_store_explicit(brief_of(w->up, w->mask, index), word,
                          memory_order_release);
    w->end_ns = start_ns + run_ns;
    w->n_replies++;
    w->dirty = true;
    return true;
}

static void write_reply(struct mui_lane_worker *w,
                        const struct mui_reply *reply)
{
    struct slot *slot = &w->up->replies[w->n_replies & w->mask];
    uint32_t lap = lap_of(w->n_replies, w->shift);

    memcpy(slot->body, &reply->index, sizeof slot->body);
    /* R2, pairs with A2 in mui_lane_collect(): the reply comes before its lap */
    atomic_store_explicit(&slot->lap, lap, memory_order_release);
    if (is_plain_lap(lap))
        /* relaxed: nobody looks there in this lap */
        atomic_store_explicit(brief_of(w->up, w->mask, w->n_replies),
                              brief_word(lap, 0, false), memory_order_relaxed);
}

void mui_lane_reply(struct mui_lane_worker *w, const struct mui_reply *reply)
{
    if (reply->kind == MUI_REPLY_RAN && reply->code == 0 &&
        reply->form == MUI_FORM_INLINE &&
        mui_lane_reply_brief(w, reply->index, reply->start_ns, reply->run_ns,
                             reply->u.bytes, reply->inline_size))
        return;
    write_reply(w, reply);
    if (reply->kind != MUI_REPLY_RETURNED)
        w->end_ns = reply->start_ns + reply->run_ns;
    w->n_replies++;
    w->dirty = true;
}

static bool has_work(const struct mui_lane_worker *w)
{
    return mui_lane_has_order(w) ||
           /* acquire: as in take_nothing() */
           atomic_load_explicit(&w->down->closed, memory_order_acquire);
}

/* Spin until then. Returns whether there is something to do. */
static bool spin_for_work(const struct mui_lane_worker *w, int64_t end_ns)
{
    if (w->spin_ns <= 0)
        return has_work(w);
    do {
        for (int i = 0; i < 64; i++) {
            if (has_work(w))
                return true;
            mui_cpu_pause();
        }
        /* a caller who has no CPU of his own gets this one, and not when our time slice
         * is over; what comes one upon the other is seen before */
        (void)sched_yield();
    } while (mu_now_ns() < end_ns);
    return false;
}

void mui_lane_sleep(struct mui_lane_worker *w, int64_t deadline_ns)
{
    int64_t spun_ns = w->spin_ns > 0 ? mu_after_ns(w->spin_ns) : 0;
    int64_t again_ns = MU_NEVER;
    uint32_t bell;

    /* spin before ringing: a caller that is about to hand out more needs none */
    if (spin_for_work(w, spun_ns))
        return;
    /* system calls: before the sleep is announced, while nobody pays for a wake-up. What
     * they leave of twice that time is spun, too: who comes then need not wake us */
    if (mui_lane_is_spent(w, MUI_LOOK_CLOSELY) ||
        spin_for_work(w, spun_ns + w->spin_ns))
        return;
    /* H2, the worker's side; see lane_ring_down() */
    bell = atomic_load_explicit(&w->down->bell, memory_order_seq_cst);
    atomic_exchange_explicit(&w->up->sleeping, MUI_ASLEEP,
                             memory_order_seq_cst);
    if (ring_after_exchange(w, MUI_WANT_MASK) == MUI_WANT_IDLE)
        again_ns = mu_after_ns(RING_AGAIN_NS);
    if (!has_work(w) && !mui_lane_is_spent(w, 0) &&
        atomic_load_explicit(&w->down->bell, memory_order_seq_cst) == bell)
        (void)mui_futex_wait(&w->down->bell, bell, w->shared,
                             deadline_ns < again_ns ? deadline_ns : again_ns);
    /* relaxed: a supervisor that still sees MUI_ASLEEP wakes nobody, which is harmless */
    atomic_store_explicit(&w->up->sleeping, MUI_AWAKE, memory_order_relaxed);
}

void mui_lane_leave(struct mui_lane_worker *w)
{
    uint64_t want;

    /* H3 and H5, the worker's side */
    (void)atomic_exchange_explicit(&w->up->sleeping, MUI_LEFT,
                                   memory_order_seq_cst);
    want = atomic_load_explicit(&w->down->want, memory_order_seq_cst);
    /* for the orders that came before it */
    (void)atomic_load_explicit(&w->down->bell, memory_order_seq_cst);
    if ((want != w->wish && want & MUI_WANT_MASK) || mui_lane_has_order(w))
        w->ring(w, MUI_WANT_DONE);
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
        uint32_t sleeping =
            atomic_load_explicit(&w->up->sleeping, memory_order_seq_cst);

        if (sleeping == MUI_AWAKE || sleeping == MUI_LEFT)
            return;
        mui_futex_wake(&w->down->bell, 1, w->shared);
        (void)nanosleep(&pause, NULL);
    }
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
    atomic_exchange_explicit(&w->up->sleeping, MUI_ASLEEP,
                             memory_order_seq_cst);
    w->ring(w, MUI_WANT_DONE);
    if (mui_lane_released(w) == seen &&
        atomic_load_explicit(&w->down->bell, memory_order_seq_cst) == bell)
        (void)mui_futex_wait(&w->down->bell, bell, w->shared, MU_NEVER);
    /* relaxed: as in mui_lane_sleep() */
    atomic_store_explicit(&w->up->sleeping, MUI_AWAKE, memory_order_relaxed);
}
