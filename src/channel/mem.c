/* mem.c: queues in the memory of one process, for its threads.
 *
 * A queue is the bounded array of Dmitry Vyukov: each slot has a turn number that
 * says whose turn it is.
 *
 *       sender                               receiver
 *       turn == i: claim i                   turn == i + 1: claim i
 *       write the message                    read the message
 *   S1  turn = i + 1  (seq_cst) --------->   load turn (seq_cst)
 *       load turn     (seq_cst) <---------   R1  turn = i + slots  (seq_cst)
 *
 * A claim is a compare-and-swap of tail or head. Small messages lie in the slot;
 * others are one allocation that changes hands, so reserve and borrow copy nothing.
 *
 * Sleeping: who finds nothing counts himself in, looks again, and sleeps on a
 * number that the other side changes if anybody is counted in. S1 and the load of
 * the count, and the count and the second look, are all seq_cst: in their one order
 * either the sender sees the sleeper or the sleeper sees the message.
 *
 * Ends. Each side of a queue counts the handles that are of it. A handle of a pair is a
 * sender of one queue and a receiver of the other. One of a name is of both sides until
 * it is used, and then of those that it was used for: so a producer's goodbye is the end
 * for all consumers, who never sent. No end is told before somebody of that side left.
 * What is told is read in one word: whether somebody is there, somebody was, and somebody
 * was freed without a goodbye. Who comes to a side where nobody is begins anew: a death
 * before that was told.
 *
 * Turns are 64-bit and do not wrap. Progress: lock-free, but for who waits on a slot
 * whose claimer was descheduled. A thread cannot be killed alone, so nothing here
 * recovers; a child of fork() has its own copy, and is told -EINVAL. It has no names of
 * its parent's. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "channel/channel.h"
#include "channel/wait.h"
#include "sys/cpu.h"
#include "sys/descriptor.h"
#include "sys/forked.h"
#include "sys/futex.h"

#define MEM_SLOTS_DEFAULT 1024
#define MEM_SLOTS_MAX     (1U << 20)
#define MEM_INLINE        104
#define MEM_NAME_MAX      100
#define SPINS_A_LOOK      64
#define SIZE_SKIP         UINT64_MAX /* reserved, and never committed */

#ifdef BUG_MEM_RELAXED
#    define MEM_S1 memory_order_relaxed
#else
#    define MEM_S1 memory_order_seq_cst
#endif

struct mem_slot {
    _Atomic uint64_t turn;
    uint64_t size;
    char *block; /* NULL: the message is in `bytes` */
    char bytes[MEM_INLINE];
};
_Static_assert(sizeof(struct mem_slot) == 128, "two lines a slot");

/* Those who wait for one thing. */
struct mem_sleepers {
    _Alignas(MUI_CACHE_LINE) _Atomic uint32_t n;
    _Atomic uint32_t event; /* changes when they have to look */
};

/* In mem_side.ends, beside the number of handles that are there. */
#define SIDE_LEFT (UINT64_C(1) << 32) /* one was there */
#define SIDE_GONE (UINT64_C(1) << 33) /* one was freed without a goodbye */

/* The handles that send, or those that receive. */
struct mem_side {
    struct mem_sleepers sleepers;
    _Atomic uint64_t ends; /* changed under names_lock */
};

struct mem_queue {
    _Alignas(MUI_CACHE_LINE) _Atomic uint64_t tail;
    _Alignas(MUI_CACHE_LINE) _Atomic uint64_t head;
    struct mem_side senders;
    struct mem_side receivers;
    _Atomic int bell_fd; /* an eventfd, once asked for; 0: none */
    uint64_t mask;
    struct mem_slot *slots;
    uint32_t forked;
    /* under names_lock */
    unsigned n_refs;
    struct mem_queue *next;
    char name[MEM_NAME_MAX];
};

enum mem_use { MEM_SENDS = 1, MEM_RECEIVES = 2 };

struct mem_state {
    struct mem_queue *out;
    struct mem_queue *in;
    _Atomic uint32_t
        uses; /* enum mem_use, changed under names_lock; 0: none yet */
    bool is_opener;
    /* sender's */
    _Alignas(MUI_CACHE_LINE) char *block; /* what was reserved */
    struct mem_slot *slot;                /* where it goes */
    uint64_t i_slot;
    uint64_t sent_end; /* behind the last message; 0: none */
    /* receiver's: the slot that is lent */
    _Alignas(MUI_CACHE_LINE) uint64_t i_lent;
};

/* The names of this process, under names_lock. */
static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mem_queue *names;
static unsigned n_unnamed;

/* A child has none of them: it could use none, and another thread may have been at them.
 * What else that thread was at is a handle, which the child is refused. */
static void renew_names_in_child(void)
{
    mui_forked_renew_lock(&names_lock);
    names = NULL;
}

static void names_take(void)
{
    static _Atomic bool heeds_forks;

    mui_forked_heed(&heeds_forks, renew_names_in_child);
    (void)pthread_mutex_lock(&names_lock);
}

static struct mem_state *mem_state(const struct mu_chan *c)
{
    return (struct mem_state *)(void *)(uintptr_t)c->state;
}

static struct mem_queue *queue_new(const struct mu_chan_options *o)
{
    uint64_t n = o->queue_messages ? o->queue_messages : MEM_SLOTS_DEFAULT;
    uint64_t n_slots = 2;
    struct mem_queue *q = aligned_alloc(64, (sizeof *q + 63) / 64 * 64);

    if (!q)
        return NULL;
    while (n_slots < n && n_slots < MEM_SLOTS_MAX)
        n_slots *= 2;
    memset(q, 0, sizeof *q);
    q->slots = aligned_alloc(64, n_slots * sizeof *q->slots);
    if (!q->slots) {
        free(q);
        return NULL;
    }
    memset(q->slots, 0, n_slots * sizeof *q->slots);
    for (uint64_t i = 0; i < n_slots; i++)
        atomic_store_explicit(&q->slots[i].turn, i, memory_order_relaxed);
    q->mask = n_slots - 1;
    q->forked = mui_forked();
    q->n_refs = 1;
    return q;
}

static void queue_free(struct mem_queue *q)
{
    uint64_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    int fd = atomic_load_explicit(&q->bell_fd, memory_order_relaxed);

    for (uint64_t i = atomic_load_explicit(&q->head, memory_order_relaxed);
         i != tail; i++)
        free(q->slots[i & q->mask].block);
    if (fd > 0)
        (void)close(fd);
    free(q->slots);
    free(q);
}

/* Under names_lock: nobody finds it any more. */
static void name_drop(const struct mem_queue *q)
{
    for (struct mem_queue **at = &names; *at; at = &(*at)->next) {
        if (*at == q) {
            *at = q->next;
            return;
        }
    }
}

static void queue_unref(struct mem_queue *q)
{
    unsigned left;

    if (!q)
        return;
    names_take();
    left = --q->n_refs;
    if (left == 0)
        name_drop(q);
    (void)pthread_mutex_unlock(&names_lock);
    if (left == 0)
        queue_free(q);
}

static void sleepers_wake(struct mem_sleepers *s)
{
    /* seq_cst: see the head of the file */
    if (atomic_load_explicit(&s->n, memory_order_seq_cst) == 0)
        return;
    (void)atomic_fetch_add_explicit(&s->event, 1, memory_order_release);
    (void)mui_futex_wake(&s->event, INT_MAX, 0);
}

static void queue_ring(struct mem_queue *q)
{
    uint64_t one = 1;
    int fd = atomic_load_explicit(&q->bell_fd, memory_order_acquire);

    if (fd > 0 && write(fd, &one, sizeof one) < 0)
        return; /* full: it is readable already */
}

/* S1 and R1: pass the slot on. */
static void slot_pass(struct mem_slot *slot, uint64_t turn)
{
    atomic_store_explicit(&slot->turn, turn, MEM_S1);
}

/* Claim the next slot of one side. NULL: not its turn. `ahead` is 0 for senders
 * and 1 for receivers. */
static struct mem_slot *slot_claim(struct mem_queue *q,
                                   _Atomic uint64_t *position, uint64_t ahead,
                                   uint64_t *ret_i)
{
    /* relaxed: the slot's turn is what orders */
    uint64_t i = atomic_load_explicit(position, memory_order_relaxed);

    for (;;) {
        struct mem_slot *slot = &q->slots[i & q->mask];
        uint64_t turn = atomic_load_explicit(&slot->turn, memory_order_seq_cst);
        int64_t late = (int64_t)(turn - (i + ahead));

        if (late < 0)
            return NULL;
        if (late == 0) {
            if (atomic_compare_exchange_weak_explicit(position, &i, i + 1,
                                                      memory_order_relaxed,
                                                      memory_order_relaxed)) {
                *ret_i = i;
                return slot;
            }
            continue;
        }
        i = atomic_load_explicit(position, memory_order_relaxed);
    }
}

/* ---- handles ---------------------------------------------------------------- */

static bool side_has(const struct mem_side *side)
{
    /* seq_cst: whose end is seen, his last message is too */
    return (uint32_t)atomic_load_explicit(&side->ends, memory_order_seq_cst) !=
           0;
}

/* A handle comes to a side, or leaves it: 0 with a goodbye, else SIDE_GONE. Under names_lock,
 * or before anybody else knows the queue. seq_cst: as in side_has(). */
static void side_join(struct mem_side *side)
{
    if (!side_has(side)) /* its end was there to be told */
        (void)atomic_fetch_and_explicit(&side->ends, ~SIDE_GONE,
                                        memory_order_seq_cst);
    (void)atomic_fetch_add_explicit(&side->ends, 1, memory_order_seq_cst);
}

static void side_leave(struct mem_side *side, uint64_t how)
{
    (void)atomic_fetch_or_explicit(&side->ends, how, memory_order_seq_cst);
    (void)atomic_fetch_sub_explicit(&side->ends, 1, memory_order_seq_cst);
}

/* As a user of both sides, or of none yet. */
static void mem_join(struct mu_chan *c, struct mem_queue *out,
                     struct mem_queue *in)
{
    struct mem_state *s = mem_state(c);

    s->out = out;
    s->in = in;
    if (out != in)
        atomic_store_explicit(&s->uses, MEM_SENDS | MEM_RECEIVES,
                              memory_order_relaxed);
    side_join(&out->senders);
    side_join(&in->receivers);
    c->can_send = c->can_recv = true;
}

/* The sides that a handle is of. */
static uint32_t sides_of(const struct mem_state *s)
{
    /* relaxed: only this handle's own calls change it */
    uint32_t uses = atomic_load_explicit(&s->uses, memory_order_relaxed);

    return uses ? uses : MEM_SENDS | MEM_RECEIVES;
}

static void use_begin(struct mem_state *s, enum mem_use use)
{
    struct mem_side *senders = &s->out->senders;
    struct mem_side *receivers = &s->in->receivers;
    uint32_t before;

    names_take();
    /* relaxed: as in sides_of() */
    before = atomic_load_explicit(&s->uses, memory_order_relaxed);
    atomic_store_explicit(&s->uses, before | use, memory_order_relaxed);
    if (before == 0)
        side_leave(use == MEM_SENDS ? receivers : senders, 0);
    else /* it had left with the first use */
        side_join(use == MEM_SENDS ? senders : receivers);
    (void)pthread_mutex_unlock(&names_lock);
    /* it may have been the last that others waited for */
    sleepers_wake(&s->out->receivers.sleepers);
    sleepers_wake(&s->in->senders.sleepers);
    queue_ring(s->out);
}

/* Note what a handle is used for. */
static inline void use_note(struct mem_state *s, enum mem_use use)
{
    /* relaxed: as in sides_of() */
    if (__builtin_expect(
            !(atomic_load_explicit(&s->uses, memory_order_relaxed) & use), 0))
        use_begin(s, use);
}

static int mem_pair(struct mu_chan *a, struct mu_chan *b, const char *rest,
                    struct mu_error *err)
{
    struct mem_queue *there;
    struct mem_queue *back;

    if (*rest != '\0')
        return mui_fail(err, -EINVAL, "mem: a pair has no name");
    there = queue_new(&a->options);
    back = queue_new(&a->options);
    if (!there || !back) {
        queue_unref(there);
        queue_unref(back);
        return mui_fail(err, -ENOMEM, "mem: open");
    }
    there->n_refs = back->n_refs = 2;
    mem_join(a, there, back);
    mem_join(b, back, there);
    return 0;
}

static struct mem_queue *name_find(const char *name)
{
    struct mem_queue *q = names;

    while (q && strcmp(q->name, name) != 0)
        q = q->next;
    return q;
}

static int mem_open(struct mu_chan *c, const char *rest, struct mu_error *err)
{
    struct mem_queue *q;
    char address[MEM_NAME_MAX + 8];
    int rc = 0;

    if (strlen(rest) >= MEM_NAME_MAX)
        return mui_fail(err, -ENAMETOOLONG, "mem: the name \"%s\"", rest);
    q = queue_new(&c->options);
    if (!q)
        return mui_fail(err, -ENOMEM, "mem: open");
    names_take();
    if (*rest != '\0')
        (void)snprintf(q->name, sizeof q->name, "%s", rest);
    else
        (void)snprintf(q->name, sizeof q->name, "@%u", ++n_unnamed);
    if (name_find(q->name)) {
        rc = -EADDRINUSE;
    } else {
        q->next = names;
        names = q;
        q->n_refs = 2; /* of out and of in */
        mem_join(c, q, q);
        mem_state(c)->is_opener = true;
    }
    (void)pthread_mutex_unlock(&names_lock);
    if (rc != 0) {
        queue_free(q);
        return mui_fail(err, rc, "mem: open the name \"%s\"", rest);
    }
    (void)snprintf(address, sizeof address, "mem:%s", q->name);
    c->address = strdup(address);
    return c->address ? 0 : mui_fail(err, -ENOMEM, "mem: open");
}

static int mem_connect(struct mu_chan *c, const char *rest, int64_t deadline,
                       struct mu_error *err)
{
    struct mem_queue *q;

    (void)deadline;
    names_take();
    q = name_find(rest);
    if (q) {
        q->n_refs += 2;
        mem_join(c, q, q);
    }
    (void)pthread_mutex_unlock(&names_lock);
    return q ? 0 : mui_fail(err, -ENOENT, "mem: the name \"%s\"", rest);
}

/* Whether anybody but this handle is on that side. 0, also while others are still to
 * connect; the reason why not. */
static int peers_left(const struct mu_chan *c, const struct mem_side *side,
                      enum mem_use use)
{
    struct mem_state *s = mem_state(c);
    /* who has said goodbye is not there */
    uint32_t self = s->out == s->in && (sides_of(s) & use) && !c->is_closed;
    uint64_t ends = atomic_load_explicit(&side->ends, memory_order_seq_cst);

    if ((uint32_t)ends > self || !(ends & SIDE_LEFT))
        return 0;
    return ends & SIDE_GONE ? MU_ECRASHED : MU_CLOSED;
}

/* ---- sending ---------------------------------------------------------------- */

/* Claim a slot to send in. 0; MU_TIMEOUT: full now; the end. */
static int send_try(struct mu_chan *c, struct mem_slot **ret_slot,
                    uint64_t *ret_i)
{
    struct mem_queue *q = mem_state(c)->out;
    int rc = peers_left(c, &q->receivers, MEM_RECEIVES);

    if (rc != 0)
        return rc;
    *ret_slot = slot_claim(q, &q->tail, 0, ret_i);
    return *ret_slot ? 0 : MU_TIMEOUT;
}

static int recv_try(struct mu_chan *c, struct mem_slot **ret_slot,
                    uint64_t *ret_i)
{
    struct mem_queue *q = mem_state(c)->in;
    int rc;

    *ret_slot = slot_claim(q, &q->head, 1, ret_i);
    if (*ret_slot)
        return 0;
    rc = peers_left(c, &q->senders, MEM_SENDS);
    if (rc == 0)
        return MU_TIMEOUT;
    /* the last message may have come before the last sender left */
    *ret_slot = slot_claim(q, &q->head, 1, ret_i);
    return *ret_slot ? 0 : rc;
}

typedef int (*mem_try_fn)(struct mu_chan *c, struct mem_slot **ret_slot,
                          uint64_t *ret_i);

/* Try, watch, sleep, until it is there or the deadline has passed. */
static int mem_wait(struct mu_chan *c, mem_try_fn attempt,
                    struct mem_sleepers *sleepers, int64_t deadline,
                    struct mem_slot **ret_slot, uint64_t *ret_i)
{
    int64_t until = mui_spin_until(&c->options, deadline);
    int rc;

    do {
        for (int i = 0; i < SPINS_A_LOOK; i++) {
            rc = attempt(c, ret_slot, ret_i);
            if (rc != MU_TIMEOUT)
                return rc;
            mui_cpu_pause();
        }
    } while (c->options.spin_ns > 0 && mu_now_ns() < until);
    /* seq_cst: see the head of the file */
    (void)atomic_fetch_add_explicit(&sleepers->n, 1, memory_order_seq_cst);
    for (;;) {
        uint32_t event =
            atomic_load_explicit(&sleepers->event, memory_order_acquire);

        rc = attempt(c, ret_slot, ret_i);
        if (rc != MU_TIMEOUT)
            break;
        if (mui_futex_wait(&sleepers->event, event, 0, deadline) ==
            MU_TIMEOUT) {
            rc = attempt(c, ret_slot, ret_i);
            break;
        }
    }
    (void)atomic_fetch_sub_explicit(&sleepers->n, 1, memory_order_relaxed);
    return rc;
}

static int mem_check(const struct mem_queue *q)
{
    return q->forked == mui_forked() ? 0 : -EINVAL;
}

static int send_slot(struct mu_chan *c, int64_t deadline,
                     struct mem_slot **ret_slot, uint64_t *ret_i)
{
    struct mem_queue *q = mem_state(c)->out;
    int rc = mem_check(q);

    if (rc != 0)
        return rc;
    use_note(mem_state(c), MEM_SENDS);
    rc = send_try(c, ret_slot, ret_i);
    if (rc == MU_TIMEOUT && deadline != MU_NOW)
        rc = mem_wait(c, send_try, &q->senders.sleepers, deadline, ret_slot,
                      ret_i);
    return rc;
}

/* Publish a claimed slot. */
static void send_publish(struct mem_queue *q, struct mem_slot *slot, uint64_t i,
                         size_t size, char *block)
{
    slot->size = size;
    slot->block = block;
    slot_pass(slot, i + 1);
    sleepers_wake(&q->receivers.sleepers);
    queue_ring(q);
}

static int mem_send(struct mu_chan *c, const void *bytes, size_t size,
                    unsigned priority, int64_t deadline)
{
    struct mem_slot *slot;
    char *block = NULL;
    uint64_t i;
    int rc;

    if (priority != 0)
        return -EOPNOTSUPP;
    if (size > MEM_INLINE) {
        block = malloc(size);
        if (!block)
            return -ENOMEM;
        memcpy(block, bytes, size);
    }
    rc = send_slot(c, deadline, &slot, &i);
    if (rc != 0) {
        free(block);
        return rc;
    }
    if (!block && size > 0)
        memcpy(slot->bytes, bytes, size);
    mem_state(c)->sent_end = i + 1;
    send_publish(mem_state(c)->out, slot, i, size, block);
    return 0;
}

static int mem_reserve(struct mu_chan *c, size_t size, int64_t deadline,
                       void **ret_room)
{
    struct mem_state *s = mem_state(c);
    char *block = malloc(size ? size : 1);
    int rc;

    if (!block)
        return -ENOMEM;
    rc = send_slot(c, deadline, &s->slot, &s->i_slot);
    if (rc != 0) {
        free(block);
        return rc;
    }
    *ret_room = s->block = block;
    return 0;
}

static void mem_commit(struct mu_chan *c, size_t size)
{
    struct mem_state *s = mem_state(c);

    s->sent_end = s->i_slot + 1;
    send_publish(s->out, s->slot, s->i_slot, size, s->block);
    s->block = NULL;
}

/* ---- receiving -------------------------------------------------------------- */

static void mem_release(struct mu_chan *c)
{
    struct mem_state *s = mem_state(c);
    struct mem_slot *slot = &s->in->slots[s->i_lent & s->in->mask];

    free(slot->block);
    slot->block = NULL;
    slot_pass(slot, s->i_lent + s->in->mask + 1);
    sleepers_wake(&s->in->senders.sleepers);
}

/* The bell is one for all who receive. Empty it, look once more, and ring again for the
 * others unless there is nothing: it may have rung for more than this one message. */
static int bell_try(struct mu_chan *c, struct mem_slot **ret_slot,
                    uint64_t *ret_i)
{
    struct mem_queue *q = mem_state(c)->in;
    int fd = atomic_load_explicit(&q->bell_fd, memory_order_acquire);
    uint64_t n;
    int rc;

    if (fd <= 0 || read(fd, &n, sizeof n) <= 0)
        return MU_TIMEOUT;
    rc = recv_try(c, ret_slot, ret_i);
    if (rc != MU_TIMEOUT)
        queue_ring(q);
    return rc;
}

static int borrow_once(struct mu_chan *c, int64_t deadline,
                       struct mu_chan_message *ret)
{
    struct mem_state *s = mem_state(c);
    struct mem_slot *slot = NULL;
    int rc = mem_check(s->in);

    if (rc != 0)
        return rc;
    use_note(s, MEM_RECEIVES);
    rc = recv_try(c, &slot, &s->i_lent);
    if (rc == MU_TIMEOUT)
        rc = deadline == MU_NOW
                 ? bell_try(c, &slot, &s->i_lent)
                 : mem_wait(c, recv_try, &s->in->receivers.sleepers, deadline,
                            &slot, &s->i_lent);
    if (rc != 0)
        return rc;
    if (slot->size == SIZE_SKIP || slot->size > c->options.message_bytes) {
        rc = slot->size == SIZE_SKIP ? MU_EMPTY : MU_ECORRUPT;
        mem_release(c);
        return rc;
    }
    *ret = (struct mu_chan_message){.data =
                                        slot->block ? slot->block : slot->bytes,
                                    .size = (size_t)slot->size};
    return 0;
}

static int mem_borrow(struct mu_chan *c, int64_t deadline,
                      struct mu_chan_message *ret)
{
    int rc;

    do
        rc = borrow_once(c, deadline, ret);
    while (rc == MU_EMPTY);
    return rc;
}

static int mem_fd(struct mu_chan *c)
{
    struct mem_queue *q = mem_state(c)->in;
    int fd = atomic_load_explicit(&q->bell_fd, memory_order_acquire);
    int none = 0;

    if (fd > 0)
        return fd;
    fd = mui_descriptor_above_stdio(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
    if (fd < 0)
        return fd;
    if (!atomic_compare_exchange_strong_explicit(&q->bell_fd, &none, fd,
                                                 memory_order_acq_rel,
                                                 memory_order_acquire)) {
        (void)close(fd);
        fd = none;
    }
    return fd;
}

/* Leave both queues, and wake those who waited for this handle. `how` is 0 with a
 * goodbye, else SIDE_GONE. */
static void mem_leave(struct mu_chan *c, uint64_t how)
{
    struct mem_state *s = mem_state(c);

    names_take();
    if (sides_of(s) & MEM_SENDS)
        side_leave(&s->out->senders, SIDE_LEFT | how);
    if (sides_of(s) & MEM_RECEIVES)
        side_leave(&s->in->receivers, SIDE_LEFT | how);
    if ((s->is_opener && how == 0) ||
        (!side_has(&s->out->senders) && !side_has(&s->in->receivers)))
        name_drop(s->out);
    (void)pthread_mutex_unlock(&names_lock);
    sleepers_wake(&s->out->receivers.sleepers);
    sleepers_wake(&s->in->senders.sleepers);
    queue_ring(s->out);
}

/* A reserve that is not committed must not block the queue. */
static void reserve_drop(struct mem_state *s)
{
    if (!s->block)
        return;
    free(s->block);
    s->block = NULL;
    send_publish(s->out, s->slot, s->i_slot, SIZE_SKIP, NULL);
}

static int mem_close(struct mu_chan *c)
{
    if (mem_check(mem_state(c)->out) == 0) {
        mui_chan_drop(c);
        reserve_drop(mem_state(c));
        mem_leave(c, 0);
    }
    return 0;
}

/* Whether the last message that this handle sent was received. The queue's tail does not
 * tell: others have sent since, or have room reserved. */
static bool mem_is_drained(const struct mem_state *s)
{
    const struct mem_queue *q = s->out;
    uint64_t turn;

    if (s->sent_end == 0)
        return true;
    turn = atomic_load_explicit(&q->slots[(s->sent_end - 1) & q->mask].turn,
                                memory_order_seq_cst);
    return (int64_t)(turn - (s->sent_end + q->mask)) >= 0;
}

/* 0: it was; MU_TIMEOUT: not yet; why it will not be. */
static int drain_try(const struct mu_chan *c)
{
    const struct mem_state *s = mem_state(c);
    /* this first: a receiver passes its slot on (R1) before it leaves, both seq_cst, so
     * behind the leave of the last what was received is seen */
    int rc = peers_left(c, &s->out->receivers, MEM_RECEIVES);

    if (mem_is_drained(s))
        return 0;
    return rc != 0 ? rc : MU_TIMEOUT;
}

static int mem_drain(struct mu_chan *c, int64_t deadline)
{
    struct mem_sleepers *sleepers = &mem_state(c)->out->senders.sleepers;
    int rc = mem_check(mem_state(c)->out);

    if (rc != 0)
        return rc;
    /* seq_cst: see the head of the file */
    (void)atomic_fetch_add_explicit(&sleepers->n, 1, memory_order_seq_cst);
    for (;;) {
        uint32_t event =
            atomic_load_explicit(&sleepers->event, memory_order_acquire);

        rc = drain_try(c);
        if (rc != MU_TIMEOUT)
            break;
        if (mui_futex_wait(&sleepers->event, event, 0, deadline) ==
            MU_TIMEOUT) {
            rc = drain_try(c);
            break;
        }
    }
    (void)atomic_fetch_sub_explicit(&sleepers->n, 1, memory_order_relaxed);
    return rc;
}

static void mem_fini(struct mu_chan *c)
{
    struct mem_state *s = mem_state(c);

    if (!s->out || mem_check(s->out) != 0)
        return; /* a child of fork() leaves the copy alone, locks and all */
    if (c->is_borrowed || c->is_kept)
        mem_release(c);
    reserve_drop(s);
    if (!c->is_closed)
        mem_leave(c, SIDE_GONE);
    queue_unref(s->out);
    queue_unref(s->in);
}

const struct mui_transport mui_transport_mem = {
    .scheme = "mem",
    .size = sizeof(struct mem_state),
    .pair = mem_pair,
    .open = mem_open,
    .connect = mem_connect,
    .send = mem_send,
    .reserve = mem_reserve,
    .commit = mem_commit,
    .borrow = mem_borrow,
    .release = mem_release,
    .fd = mem_fd,
    .close = mem_close,
    .drain = mem_drain,
    .fini = mem_fini,
};
