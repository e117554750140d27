/* lane.h: the memory between the supervisor and one worker flow.
 *
 * A lane hands tasks over at the price of a cache line, and is the same whether
 * the worker is a thread or a process: only who maps the memory differs. It is
 * two blocks and, between processes, an output region:
 *
 *     down    written by the supervisor alone (mapped read-only in a process):
 *             orders, revocation, wake-up bell, wishes, cancel marks
 *     up      written by the worker alone: replies, what it is doing
 *     region  written by the worker alone: outputs too large for a reply
 *
 * Every order gets exactly one reply. The supervisor keeps what it must trust in
 * its own struct mui_lane, and reads `up` as hostile bytes: once, checked, copied.
 * The ordering argument stands in lane.c. */
#ifndef MUI_SYNC_LANE_H
#define MUI_SYNC_LANE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sys/cpu.h"

/* How the bytes of an input or output travel. */
enum mui_form {
    MUI_FORM_INLINE = 0, /* in the record itself */
    MUI_FORM_SPAN,  /* at `address` (arena or region offset, or a pointer) */
    MUI_FORM_FILE,  /* input: a struct mui_file_range at `address` */
    MUI_FORM_PARTS, /* input: a struct mui_parts at `address` */
    /* order: the first of a pack, the lane's own; taken, it and the others are
     * spans whose address is a pointer of the worker's */
    MUI_FORM_PACK,
    MUI_N_FORMS
};

enum {
    MUI_ORDER_INLINE = 40,
    MUI_REPLY_INLINE = 32,
    MUI_PACK_MAX = 32,
    MUI_PACK_ATTEMPTS = 255
};

/* Supervisor to worker. */
struct mui_order {
    uint32_t lap; /* the lane's own */
    uint8_t form; /* enum mui_form */
    uint8_t
        inline_size; /* of u.bytes, with MUI_FORM_INLINE; orders of a pack */
    /* 65535 stands for more; with MUI_FORM_PACK up to 255, and above that the room of the
     * inputs, in 8 bytes */
    uint16_t attempt;
    uint64_t fn; /* see sys/module.h */
    uint64_t tag;
    union {
        uint8_t bytes[MUI_ORDER_INLINE];
        struct {
            uint64_t address;
            uint64_t size;
        } span;
        struct {
            uint64_t tag_step;
            uint8_t sizes[MUI_PACK_MAX];
        } pack;
    } u;
};

/* What became of an order. */
enum mui_reply_kind {
    MUI_REPLY_RAN = 0, /* the function returned `code` */
    /* revoked or cancelled before it started: it did not run */
    MUI_REPLY_RETURNED,
    MUI_REPLY_ERROR, /* could not run: `code` is a negated errno */
    MUI_N_REPLY_KINDS
};

/* Worker to supervisor. */
struct mui_reply {
    uint32_t lap;   /* the lane's own */
    uint32_t index; /* of the order */
    int32_t code;
    uint8_t kind;
    uint8_t form; /* INLINE or SPAN */
    uint8_t inline_size;
    uint8_t limit; /* with a code: enum mu_limit that may be why, or 0 */
    int64_t start_ns;
    int64_t run_ns;
    union {
        uint8_t bytes[MUI_REPLY_INLINE];
        struct {
            uint64_t address;
            uint64_t size;
        } span;
    } u;
};

/* What the supervisor wishes to be rung for; the bits above count the wishes, so
 * that a worker rings once a wish. The count is too wide to wrap: a worker that slept
 * through many wishes must not find the number that it rang for last. */
enum {
    MUI_WANT_DONE = 1, /* ring when a reply is there: somebody sleeps for it */
    MUI_WANT_IDLE =
        2, /* ring when about to sleep: there may be work to be had */
    MUI_WANT_MASK = 3,
    MUI_WANT_STEP = 4
};

struct mui_lane_down;
struct mui_lane_up;

/* Sizes of the two blocks, multiples of 4096, for n_slots (a power of 2 from 2
 * to 4096). The memory has to start as zeros. */
size_t mui_lane_down_bytes(unsigned n_slots);
size_t mui_lane_up_bytes(unsigned n_slots);

/* What both ends of a lane lie in, as one of them has it mapped. */
struct mui_lane_memory {
    void *down;
    void *up;
    uint8_t *region; /* NULL: spans are pointers of this process */
    uint64_t region_bytes;
    unsigned n_slots;
    bool shared; /* by several processes */
};

/* The supervisor's end. One thread at a time (the pool's lock). */
struct mui_lane {
    struct mui_lane_down *down;
    struct mui_lane_up *up;
    const uint8_t *region; /* NULL: spans are pointers of this process */
    uint64_t region_bytes;
    uint32_t mask;       /* n_slots - 1 */
    uint32_t shift;      /* log2 n_slots */
    uint32_t tail;       /* index of the next order */
    uint32_t head;       /* the oldest order without a reply */
    uint32_t n_replies;  /* replies read */
    uint32_t n_region;   /* of these, how many held region memory */
    uint32_t n_flushed;  /* tail at the last flush */
    uint32_t doubt_head; /* for mui_lane_doubts() */
    unsigned n_doubts;
    uint64_t want;      /* the last wish */
    uint64_t end_ns;    /* when the task of the reply read last ended */
    bool any_cancelled; /* some cancel mark is set */
    bool has_left; /* mui_lane_has_left(), when the worker was rung for last */
    bool shared;   /* futex words lie in memory of several processes */
    void **owner; /* [n_slots] whose order it is; NULL: replied or taken back */
    uint8_t *state; /* [n_slots] enum mui_slot_state */
};

/* Begin with fresh memory. 0 or -ENOMEM. */
int mui_lane_init(struct mui_lane *lane, const struct mui_lane_memory *memory);
void mui_lane_fini(struct mui_lane *lane);

/* Hand an order over; `owner` (not NULL) comes back with its reply. 0 or MU_FULL.
 * Wait-free. The worker sees it after mui_lane_flush(). */
int mui_lane_push(struct mui_lane *lane, const struct mui_order *order,
                  uint16_t attempt, void *owner, uint32_t *ret_index);

/* The same for n orders at once, from 2 to mui_lane_pack_room(): as if pushed one by
 * one, but cheaper. All inline, of less than MUI_ORDER_INLINE bytes, of one function,
 * with tags that are an equal step apart, and an attempt up to MUI_PACK_ATTEMPTS. *ret_index
 * is the first's. */
void mui_lane_push_pack(struct mui_lane *lane,
                        const struct mui_order *const *orders, unsigned n,
                        uint8_t attempt, void *const *owners,
                        uint32_t *ret_index);
unsigned mui_lane_pack_room(const struct mui_lane *lane);

/* Let the worker see the orders pushed since the last flush, and wake it if it
 * sleeps. Needed before any other call but push. */
void mui_lane_flush(struct mui_lane *lane);

/* An order may come soon: wake the worker, if it sleeps, so that it spins for it. */
void mui_lane_alert(struct mui_lane *lane);

/* Read one reply. *ret_owner is NULL for the acknowledgement of a revocation.
 * A span of *ret_reply lies within the region; copy it, then call
 * mui_lane_release(). 0, MU_EMPTY, or MU_ECORRUPT: no honest worker wrote this,
 * and the lane is not to be used any more. Wait-free, O(1). */
int mui_lane_collect(struct mui_lane *lane, struct mui_reply *ret_reply,
                     void **ret_owner);

/* What a brief reply says: it ran, and returned 0. */
struct mui_lane_brief {
    void *owner;
    uint64_t
        output; /* its size, at the most 7, in the first byte, then the bytes */
    uint32_t run_ns;
};

/* Read replies that are brief, as most of those to packs are, up to n_max, to the end of
 * the lap, and until one is not: that, and one that no honest worker wrote, is left for
 * mui_lane_collect(). Returns how many; 0: the next is not brief. The first began at
 * *ret_start_ns, each other when the one before it ended. Wait-free, O(n). */
unsigned mui_lane_collect_briefs(struct mui_lane *lane,
                                 struct mui_lane_brief *ret_briefs,
                                 unsigned n_max, int64_t *ret_start_ns);

/* Whether at least n replies are there, by one look. A worker may lie; collect does
 * not believe it. */
bool mui_lane_has(const struct mui_lane *lane, unsigned n);

/* About n replies, if so many are there, all in cache lines that the worker writes no more:
 * how many exactly; 0: there are fewer. n from 8 up, and less than are in flight. */
unsigned mui_lane_at_rest(const struct mui_lane *lane, unsigned n);

/* Give the region memory of the reply read last back to the worker. */
void mui_lane_release(struct mui_lane *lane, const struct mui_reply *reply);

/* Take back what the worker has not started, from order `from` on: lane->head for all.
 * Gives the owners to `give`, newest first, so that each can be put before the one that
 * came before it. Returns how many were taken. The worker acknowledges each in its time.
 * One revocation at a time: returns 0 while the one before is not acknowledged. */
unsigned mui_lane_revoke(struct mui_lane *lane, uint32_t from,
                         void (*give)(void *ctx, void *owner), void *ctx);

/* Whether an order of the last revocation is not acknowledged: the worker is at the
 * task before it. */
bool mui_lane_is_revoking(const struct mui_lane *lane);

/* Announce what to ring for (MUI_WANT_...), before looking a last time and
 * sleeping. After it returns, every reply that the worker will not ring for is
 * visible to mui_lane_collect(). */
void mui_lane_want(struct mui_lane *lane, uint32_t want);

/* Whether the worker does not sleep: it will ring for what was wished before. */
bool mui_lane_is_awake(const struct mui_lane *lane);

/* Whether it does not sleep for good: it is awake, or it has rung as idle and will look
 * again before long. */
bool mui_lane_is_watching(const struct mui_lane *lane);

/* Whether the worker says that its flow has ended: it takes no further order. What it
 * was given before that and has not taken it rings for, unless has_left is true after the
 * flush. */
bool mui_lane_has_left(const struct mui_lane *lane);

/* Orders without a reply; those that can still be pushed. */
static inline unsigned mui_lane_in_flight(const struct mui_lane *lane)
{
    return lane->tail - lane->head;
}

static inline unsigned mui_lane_room(const struct mui_lane *lane)
{
    return lane->mask + 1 - mui_lane_in_flight(lane);
}

/* The number of orders that the worker says it has started: from head to tail, and
 * tail when it says what cannot be; and when it started the last, by its own word. */
uint32_t mui_lane_started(const struct mui_lane *lane, int64_t *ret_start_ns);

/* Whether what the worker says of its starts cannot be, or contradicts its replies: it
 * works at one order at a time. Then something wrote over it, and replies may have
 * been there that were not read. Costs a line that the worker writes. */
bool mui_lane_is_damaged(const struct mui_lane *lane);

/* When the task of the reply read last ended, by the worker's word; 0: there was none, or
 * that cannot be. */
int64_t mui_lane_end(const struct mui_lane *lane, int64_t now_ns);

/* How many calls of this in a row, with this one, it has had the same oldest order and
 * said that it has not started. */
unsigned mui_lane_doubts(struct mui_lane *lane);

/* Whose order it is, NULL when replied; index from head to tail. */
void *mui_lane_owner(const struct mui_lane *lane, uint32_t index);

/* The pool-wide number of the lane, for mui_lane_number(). */
void mui_lane_set_number(struct mui_lane *lane, uint32_t number);

/* Mark an order as cancelled: the worker returns it unrun, or when it has started
 * mu_task_is_cancelled() of its task tells. */
void mui_lane_cancel(struct mui_lane *lane, uint32_t index);

/* No more orders will come: the worker ends after those there. Wakes it. */
void mui_lane_close(struct mui_lane *lane);

/* Why a worker asks whether it is spent. */
enum {
    MUI_LOOK_RAN = 1,     /* it has run a task */
    MUI_LOOK_CLOSELY = 2, /* it has time for system calls */
    MUI_LOOK_GLANCE = 4   /* for one, after tasks of some length */
};

/* The pack whose orders a worker takes. */
struct mui_lane_pack {
    uint32_t first;  /* the index of its first order */
    uint32_t n;      /* 0: the order taken last was of none */
    uint32_t n_left; /* not taken yet */
    uint64_t tag_step;
    const uint8_t *input;   /* of the next */
    struct mui_order order; /* the one taken last */
    uint8_t sizes[MUI_PACK_MAX];
};

/* The worker's end. One thread or fiber scheduler. */
struct mui_lane_worker {
    const struct mui_lane_down *down;
    struct mui_lane_up *up;
    uint8_t *region;
    uint64_t region_bytes;
    uint32_t mask;
    uint32_t shift;
    uint32_t next;      /* index of the next order to take */
    uint32_t n_replies; /* replies written */
    struct mui_lane_pack pack;
    int64_t end_ns; /* when the task of the reply written last ended */
    uint64_t wish;  /* the wish that was rung for last */
    bool shared;
    bool dirty;  /* replies were written since the last exchange of H3 */
    int spin_ns; /* how long to spin before a look, and from there to a sleep */
    /* Ring: tell the supervisor (MUI_WANT_... that it is for). */
    void (*ring)(struct mui_lane_worker *w, uint32_t why);
    void *ring_ctx;
    /* what its flow runs now, for a look from a signal handler: see
     * mu_pool_running() */
    _Atomic uint64_t running_tag;
    _Atomic bool is_running;
    /* the flow whose task runs this one, on the same thread; or NULL. That thread's */
    const struct mui_lane_worker *outer;
    /* Optional: whether this worker is to take no further order. */
    bool (*is_spent)(struct mui_lane_worker *w, unsigned look);
};

void mui_lane_worker_init(struct mui_lane_worker *w,
                          const struct mui_lane_memory *memory);

/* Take the next order and note it as started. Lent until its reply is written, and of
 * a pack no longer than until the next is taken;
 * *ret_index is what the reply has to name. 0; MU_EMPTY; MU_CLOSED: none will
 * come any more, or the worker is spent: see is_spent. Acknowledges revoked orders by
 * itself. Never blocks. */
int mui_lane_take(struct mui_lane_worker *w, const struct mui_order **ret_order,
                  uint32_t *ret_index);

/* Write a reply. Never fails: there is always room. */
void mui_lane_reply(struct mui_lane_worker *w, const struct mui_reply *reply);

/* Write one that says no more than that it ran, returned 0 and wrote `size` bytes. False,
 * and nothing is written: it takes more than a word to say so. */
bool mui_lane_reply_brief(struct mui_lane_worker *w, uint32_t index,
                          int64_t start_ns, int64_t run_ns, const void *output,
                          size_t size);

/* Whether one is there to be taken. */
bool mui_lane_has_order(const struct mui_lane_worker *w);

/* Note the time at which the order taken last starts. */
void mui_lane_note_start(struct mui_lane_worker *w, int64_t now_ns);

/* Spin, then sleep until an order, the end, or `deadline_ns`; rings first for what
 * is wished. May return early. */
void mui_lane_sleep(struct mui_lane_worker *w, int64_t deadline_ns);

/* This flow ends, though its process may go on: says so, and rings for whatever was
 * wished, and where an order is there that it has not taken. */
void mui_lane_leave(struct mui_lane_worker *w);

/* Since when it has been running a task; MU_NEVER: it runs none. For other threads of
 * the worker. */
int64_t mui_lane_running_since(const struct mui_lane_worker *w);

bool mui_lane_is_cancelled(const struct mui_lane_worker *w, uint32_t index);

/* Which lane of the pool this is; the same from the first order on. */
uint32_t mui_lane_number(const struct mui_lane_worker *w);

/* Another thread of the worker made is_spent() true: make this lane see it, if it
 * sleeps. Blocks for as long as it takes to wake it. */
void mui_lane_nudge(struct mui_lane_worker *w);

/* Whether the worker has to end, see is_spent; not for lanes between threads. */
static inline bool mui_lane_is_spent(struct mui_lane_worker *w, unsigned look)
{
    return w->is_spent && w->is_spent(w, look);
}

/* How many replies with region memory the supervisor has released. */
uint32_t mui_lane_released(const struct mui_lane_worker *w);

/* Ring, whatever is wished, and sleep until more than `seen` are released. May
 * return early. */
void mui_lane_wait_release(struct mui_lane_worker *w, uint32_t seen);

#endif
