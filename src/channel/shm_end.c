/* shm_end.c: sending and receiving through a pair of rings.
 *
 * The rings and their proof are in sync/byte_ring.h. Here is what they leave to
 * their user: pieces of large messages, sleeping, waking, and the end.
 *
 * A sleeper polls a socket whose other end its peer holds. The peer sends a byte
 * when the "asleep" word is set, and the kernel hangs up when the last process
 * that holds the other end is gone. So a peer killed between its store and its
 * wake wakes as well, and no sleep needs a time-out to be safe. A peer without
 * membarrier(2) is the one exception: then sleeps are cut in slices. */
#include "channel/shm_end.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/memfd.h"
#include "sys/mirror.h"

#define LENT_ASSEMBLY UINT64_MAX
#define SPINS_A_LOOK  128
#define SPINS_AT_ONCE                                                          \
    1024 /* without a look at the clock: more than a round trip */
#define SLICE_NS 10000000 /* of a sleep without membarrier */
#define RECORDS_A_LOOK                                                         \
    8 /* without a message, and the clock is looked at: they may be without end */
#define SLIP_RUN   64  /* so many messages in a row are a stream */
#define SLIP_SPINS 256 /* about 3 us */

/* A message above this travels in pieces of this. */
static uint64_t piece_max(uint64_t ring_bytes)
{
    return ring_bytes / 4;
}

/* What follows is mapped by itself: 4 KiB are no page of every kernel for Arm. */
static uint64_t words_bytes(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

int mui_shm_memory(uint64_t ring_bytes)
{
    return mui_memfd_open("muster-channel", words_bytes() + 2 * ring_bytes);
}

/* Whether a descriptor from a peer is the memory that it should be. */
static int memory_check(int memfd, uint64_t ring_bytes)
{
    int seals = fcntl(memfd, F_GET_SEALS);
    struct stat st;

    if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(memfd, &st) < 0)
        return MU_ECORRUPT;
    if (ring_bytes < words_bytes() || (ring_bytes & (ring_bytes - 1)) != 0 ||
        ring_bytes > (UINT64_C(1) << 32) ||
        (uint64_t)st.st_size != words_bytes() + 2 * ring_bytes)
        return MU_ECORRUPT;
    return 0;
}

int mui_shm_end_init(struct mui_shm_end *e, const struct mu_chan_options *o,
                     int memfd, uint64_t ring_bytes, bool is_maker,
                     int data_sock, int room_sock)
{
    struct mui_ring_words *words;
    void *data[2];
    int rc = memory_check(memfd, ring_bytes);

    if (rc != 0)
        return rc;
    rc = mui_memfd_map(memfd, words_bytes(), PROT_READ | PROT_WRITE, 0,
                       &e->words);
    if (rc != 0)
        return rc;
    rc = mui_mirror_map(memfd, words_bytes(), ring_bytes, &data[0]);
    if (rc != 0)
        goto unmap_words;
    rc =
        mui_mirror_map(memfd, words_bytes() + ring_bytes, ring_bytes, &data[1]);
    if (rc != 0)
        goto unmap_data;
    words = e->words;
    e->options = o;
    e->is_asymmetric = mui_fence_join();
    e->out = (struct mui_ring_producer){.words = &words[is_maker ? 0 : 1],
                                        .data = data[is_maker ? 0 : 1],
                                        .bytes = ring_bytes};
    e->in = (struct mui_ring_consumer){.words = &words[is_maker ? 1 : 0],
                                       .data = data[is_maker ? 1 : 0],
                                       .bytes = ring_bytes};
    e->data_sock = data_sock;
    e->room_sock = room_sock;
    e->is_ready = true;
    return 0;

unmap_data:
    mui_mirror_unmap(data[0], ring_bytes);
unmap_words:
    (void)munmap(e->words, words_bytes());
    return rc;
}

void mui_shm_end_fini(struct mui_shm_end *e)
{
    if (!e->is_ready)
        return;
    if (e->data_sock >= 0)
        (void)close(e->data_sock);
    (void)close(e->room_sock);
    mui_mirror_unmap(e->out.data, e->out.bytes);
    mui_mirror_unmap(e->in.data, e->in.bytes);
    (void)munmap(e->words, words_bytes());
    mui_buffer_fini(&e->assembly);
    e->is_ready = false;
}

void mui_shm_end_come(struct mui_shm_end *e)
{
    /* relaxed, both: nothing goes with the word, and the kernel's hang-up comes behind */
    atomic_store_explicit(&e->out.words->producer_came, 1,
                          memory_order_relaxed);
}

bool mui_shm_end_has_come(const struct mui_shm_end *e)
{
    return atomic_load_explicit(&e->in.words->producer_came,
                                memory_order_relaxed) != 0;
}

/* Sleep on a bell. 0: look again; MU_ECRASHED: the peer hung up; MU_TIMEOUT. */
static int bell_wait(const struct mui_shm_end *e, int sock, int64_t deadline)
{
    int64_t until = deadline;
    int rc;

    if (!e->is_asymmetric && deadline != MU_NOW) {
        int64_t slice = mu_after_ns(SLICE_NS);

        until = slice < deadline ? slice : deadline;
    }
    rc = mui_wait_fd(sock, POLLIN, until);
    if (rc == MU_TIMEOUT)
        return until == deadline ? MU_TIMEOUT : 0;
    if (rc != 0)
        return rc;
    return mui_bell_drain(sock) ? MU_ECRASHED : 0;
}

/* Wake the peer if its word says that it sleeps. */
static inline void peer_wake(_Atomic uint32_t *asleep, int sock)
{
    mui_fence_light();
    /* relaxed, both: the fence orders the load, and the word carries nothing */
    if (__builtin_expect(
            atomic_load_explicit(asleep, memory_order_relaxed) != 0, 0) &&
        atomic_exchange_explicit(asleep, 0, memory_order_relaxed) != 0)
        mui_bell_ring(sock);
}

/* ---- sending ---------------------------------------------------------------- */

static bool peer_left(const struct mui_shm_end *e)
{
    /* relaxed: nothing is read behind it */
    return atomic_load_explicit(&e->out.words->consumer_closed,
                                memory_order_relaxed) != 0;
}

/* Try for room, watching for a while. */
static int room_spin(struct mui_shm_end *e, size_t size, int64_t deadline,
                     void **ret_room)
{
    int64_t until = 0;

    for (;;) {
        for (int i = 0; i < SPINS_A_LOOK; i++) {
            int rc = mui_ring_reserve(&e->out, size, ret_room);

            if (rc != MU_FULL)
                return rc;
            mui_cpu_pause();
        }
        if (e->options->spin_ns == 0)
            return MU_FULL;
        if (until == 0)
            until = mui_spin_until(e->options, deadline);
        else if (mu_now_ns() > until)
            return MU_FULL;
    }
}

/* The ring is full: why no room may come. 0 when it may. */
static int room_end_reason(const struct mui_shm_end *e, bool is_hung_up)
{
    /* acquire, pairs with mui_shm_end_close(): what was given back before the goodbye
     * is looked for after it, see mui_shm_end_drain() */
    if (atomic_load_explicit(&e->out.words->consumer_closed,
                             memory_order_acquire) != 0)
        return MU_CLOSED;
    return is_hung_up ? MU_ECRASHED : 0;
}

/* The ring is full: look for the end, without waiting. */
static int room_try(const struct mui_shm_end *e)
{
    /* this first: a goodbye comes before the hang-up */
    bool is_hung_up = mui_bell_drain(e->room_sock) != 0;
    int rc = room_end_reason(e, is_hung_up);

    return rc != 0 ? rc : MU_TIMEOUT;
}

/* The ring is full: wait for room. A peer can ring for nothing without end, so whoever was
 * woken and finds none looks at the clock. */
static int room_wait(struct mui_shm_end *e, size_t size, int64_t deadline,
                     void **ret_room)
{
    _Atomic uint32_t *asleep = &e->out.words->producer_asleep;

    if (deadline == MU_NOW)
        return room_try(e);
    for (;;) {
        int rc = room_spin(e, size, deadline, ret_room);
        int slept = 0;

        if (rc != MU_FULL)
            return rc;
        rc = room_end_reason(e, false);
        if (rc != 0)
            return rc;
        /* the heavy fence orders it before the look at head */
        atomic_store_explicit(asleep, 1, memory_order_relaxed);
        mui_fence_heavy();
        rc = mui_ring_reserve(&e->out, size, ret_room);
        if (rc == MU_FULL && !peer_left(e))
            slept = bell_wait(e, e->room_sock, deadline);
        atomic_store_explicit(asleep, 0, memory_order_relaxed);
        if (rc == MU_FULL)
            rc = mui_ring_reserve(&e->out, size, ret_room);
        if (rc != MU_FULL)
            return rc;
        if (slept == 0 && mu_now_ns() >= deadline)
            slept = MU_TIMEOUT;
        if (slept != 0) {
            rc = room_end_reason(e, slept == MU_ECRASHED);
            return rc != 0 ? rc : slept;
        }
    }
}

/* Room for a record, or the reason why not. */
static inline int room_get(struct mui_shm_end *e, size_t size, int64_t deadline,
                           void **ret_room)
{
    int rc = mui_ring_reserve(&e->out, size, ret_room);

    if (__builtin_expect(rc == 0, 1))
        return 0;
    if (rc == MU_FULL)
        rc = room_wait(e, size, deadline, ret_room);
    if (rc < 0)
        e->out_error = rc;
    return rc;
}

/* What stands before some sends: errors that stay, and an abort that is due. */
static int send_begin_slow(struct mui_shm_end *e, int64_t deadline)
{
    void *room;
    int rc;

    if (e->out_error)
        return e->out_error;
    if (peer_left(e))
        return MU_CLOSED;
    if (!e->must_abort)
        return 0;
    rc = room_get(e, 0, deadline, &room);
    if (rc == 0) {
        mui_ring_commit(&e->out, 0, MUI_RING_ABORT);
        e->must_abort = false;
    }
    return rc;
}

/* What stands before every send. */
static inline int send_begin(struct mui_shm_end *e, int64_t deadline)
{
    if (__builtin_expect(e->out_error | e->must_abort | peer_left(e), 0))
        return send_begin_slow(e, deadline);
    return 0;
}

static int pieces_send(struct mui_shm_end *e, const char *bytes, size_t size,
                       int64_t deadline)
{
    size_t max = (size_t)piece_max(e->out.bytes);

    while (size > 0) {
        size_t n = size < max ? size : max;
        void *room;
        int rc = room_get(e, n, deadline, &room);

        if (rc != 0) {
            e->must_abort = true;
            return rc;
        }
        size -= n;
        mui_ring_put(&e->out, room, bytes, n,
                     size > 0 ? MUI_RING_MORE : MUI_RING_WHOLE);
        bytes += n;
        peer_wake(&e->out.words->consumer_asleep, e->data_sock);
    }
    return 0;
}

int mui_shm_end_send(struct mui_shm_end *e, const void *bytes, size_t size,
                     int64_t deadline)
{
    void *room;
    int rc = send_begin(e, deadline);

    if (rc != 0)
        return rc;
    if (size > piece_max(e->out.bytes))
        return pieces_send(e, bytes, size, deadline);
    rc = room_get(e, size, deadline, &room);
    if (rc != 0)
        return rc;
#ifdef BUG_SHM_PUBLISH_FIRST
    mui_ring_commit(&e->out, size, MUI_RING_WHOLE);
    if (size > 0)
        memcpy(room, bytes, size);
#else
    mui_ring_put(&e->out, room, bytes, size, MUI_RING_WHOLE);
#endif
    peer_wake(&e->out.words->consumer_asleep, e->data_sock);
    return 0;
}

int mui_shm_end_reserve(struct mui_shm_end *e, size_t size, int64_t deadline,
                        void **ret_room)
{
    int rc;

    if (size > piece_max(e->out.bytes))
        return -EMSGSIZE;
    rc = send_begin(e, deadline);
    return rc != 0 ? rc : room_get(e, size, deadline, ret_room);
}

void mui_shm_end_commit(struct mui_shm_end *e, size_t size)
{
    mui_ring_commit(&e->out, size, MUI_RING_WHOLE);
    peer_wake(&e->out.words->consumer_asleep, e->data_sock);
}

/* All is received when the whole ring is room again. Who receives gives room back (R2 in
 * byte_ring.h) before it leaves, so the last look is behind the leave: what room_get() had
 * seen of the ring may be from before. A goodbye orders the two by release and acquire, a
 * hang-up by the kernel, and no room comes after either. */
int mui_shm_end_drain(struct mui_shm_end *e, int64_t deadline)
{
    const size_t whole = (size_t)mui_ring_max(e->out.bytes);
    void *room;
    int rc = e->out_error;

    if (rc == 0)
        rc = room_get(e, whole, deadline, &room);
    if (rc != MU_CLOSED && rc != MU_ECRASHED)
        return rc;
    return mui_ring_reserve(&e->out, whole, &room) == 0 ? 0 : rc;
}

/* ---- receiving -------------------------------------------------------------- */

/* The ring is empty: why nothing more may come. 0 when more may. */
static int end_reason(const struct mui_shm_end *e, bool is_hung_up)
{
    /* acquire: what was sent before the goodbye is looked for after it */
    bool is_closed = atomic_load_explicit(&e->in.words->producer_closed,
                                          memory_order_acquire) != 0;

    if (!is_closed && !is_hung_up)
        return 0;
    if (mui_ring_peek(&e->in) != 0)
        return 0;
    return is_closed ? MU_CLOSED : MU_ECRASHED;
}

/* Watch the ring for a while. 0: something is there; MU_EMPTY. */
static int data_spin(struct mui_shm_end *e, int64_t deadline)
{
    int n_spins = e->options->spin_ns == 0 ? SPINS_A_LOOK : SPINS_AT_ONCE;
    int64_t until = 0;
    uint64_t run = e->run;

    e->run = 0;
    if (run > SLIP_RUN) {
        /* A stream: let the producer get ahead, or each message would pull the
         * line from under the next. */
        for (int i = 0; i < SLIP_SPINS; i++)
            mui_cpu_pause();
    }
    for (;;) {
        for (int i = 0; i < n_spins; i++) {
            /* A payload of 64 bytes ends in the next line: ask for both at
             * once, or the second would be fetched after the first came. */
            __builtin_prefetch(mui_ring_payload(&e->in) + 56);
            if (mui_ring_peek(&e->in) != 0)
                return 0;
            if (until != 0) /* the first looks are close together */
                mui_cpu_pause();
        }
        if (e->options->spin_ns == 0)
            return MU_EMPTY;
        n_spins = SPINS_A_LOOK;
        if (until == 0)
            until = mui_spin_until(e->options, deadline);
        else if (mu_now_ns() > until)
            return MU_EMPTY;
    }
}

void mui_shm_end_doze(struct mui_shm_end *e)
{
    /* relaxed: the caller's heavy fence orders it before the next look */
    atomic_store_explicit(&e->in.words->consumer_asleep, 1,
                          memory_order_relaxed);
}

bool mui_shm_end_is_ready(const struct mui_shm_end *e)
{
    return mui_ring_peek(&e->in) != 0 || end_reason(e, false) != 0;
}

void mui_shm_end_wake(struct mui_shm_end *e)
{
    atomic_store_explicit(&e->in.words->consumer_asleep, 0,
                          memory_order_relaxed);
}

/* The ring is empty: look for the end, without waiting. 0: there is data. */
static int data_try(struct mui_shm_end *e)
{
    bool is_hung_up = mui_bell_drain(e->data_sock) != 0;

    if (e->is_armed) { /* it stays asleep, so that the next message rings */
        mui_shm_end_doze(e);
        mui_fence_heavy();
    }
    if (mui_ring_peek(&e->in) != 0)
        return 0;
    switch (end_reason(e, is_hung_up)) {
    case 0:
        return mui_ring_peek(&e->in) != 0 ? 0 : MU_TIMEOUT;
    case MU_CLOSED:
        return MU_CLOSED;
    default:
        return MU_ECRASHED;
    }
}

/* The ring is empty: wait for data or the end. 0: there is data. As in room_wait(), a bell
 * may ring for nothing. */
static int data_wait(struct mui_shm_end *e, int64_t deadline)
{
    bool is_hung_up = false;
    bool is_over = false;

    if (deadline == MU_NOW)
        return data_try(e);
    for (;;) {
        int rc = 0;

        if (data_spin(e, deadline) == 0)
            return 0;
        rc = end_reason(e, is_hung_up);
        if (rc != 0)
            return rc;
        if (is_over)
            return MU_TIMEOUT;
        mui_shm_end_doze(e);
        mui_fence_heavy();
#ifndef BUG_SHM_NO_SECOND_LOOK
        if (!mui_shm_end_is_ready(e))
#endif
            rc = bell_wait(e, e->data_sock, deadline);
        mui_shm_end_wake(e);
        if (mui_ring_peek(&e->in) != 0)
            return 0;
        if (rc == MU_ECRASHED)
            is_hung_up = true;
        else if (rc != 0)
            return rc;
        is_over = mu_now_ns() >= deadline; /* after one more look */
    }
}

/* Step over the oldest record. */
static inline void record_pop(struct mui_shm_end *e, uint64_t size)
{
    if (mui_ring_pop(&e->in, size))
        peer_wake(&e->in.words->producer_asleep, e->room_sock);
}

/* Add a piece to the assembly. */
static int piece_add(struct mui_shm_end *e, uint64_t size)
{
    int rc;

    if (size > e->options->message_bytes - e->pieces)
        return MU_ECORRUPT;
    rc = mui_buffer_grow(&e->assembly, e->pieces + size);
    if (rc != 0)
        return rc;
    memcpy(e->assembly.data + e->pieces, mui_ring_payload(&e->in), size);
    e->pieces += size;
    record_pop(e, size);
    return 0;
}

/* Take one record. 0: a message is whole; MU_EMPTY: look at the next record. */
static int record_take(struct mui_shm_end *e, uint64_t header,
                       struct mu_chan_message *ret)
{
    enum mui_ring_kind kind;
    uint64_t size;
    int rc = mui_ring_open(&e->in, header, &kind, &size);

    if (rc != 0)
        return rc;
    if (__builtin_expect(kind == MUI_RING_WHOLE && e->pieces == 0, 1)) {
        if (size > e->options->message_bytes)
            return MU_ECORRUPT;
        e->lent = size;
        e->run++;
        *ret = (struct mu_chan_message){.data = mui_ring_payload(&e->in),
                                        .size = (size_t)size};
        return 0;
    }
    if (kind == MUI_RING_ABORT) {
        e->pieces = 0;
        record_pop(e, size);
        return MU_EMPTY;
    }
    rc = piece_add(e, size);
    if (rc != 0)
        return rc;
    if (kind == MUI_RING_MORE)
        return MU_EMPTY;
    e->lent = LENT_ASSEMBLY;
    *ret =
        (struct mu_chan_message){.data = e->assembly.data, .size = e->pieces};
    return 0;
}

/* Whether records may be left unlooked at. Who watches the descriptor comes back when it
 * rings: what is published after he said that he sleeps does that, and is not taken from
 * the bell while there are records. What was there before does not, which is a ring full
 * at most: that he looks at first. *until: where it ends; 0: he has not said it. */
static bool may_leave(struct mui_shm_end *e, int64_t deadline, uint64_t *until)
{
    if (mu_now_ns() < deadline)
        return false;
    if (!e->is_armed)
        return true;
    if (*until == 0) {
        mui_shm_end_doze(e);
        mui_fence_heavy();
        *until = e->in.head + e->in.bytes;
    }
    return e->in.head > *until;
}

int mui_shm_end_borrow(struct mui_shm_end *e, int64_t deadline,
                       struct mu_chan_message *ret)
{
    uint64_t until = 0;
    unsigned n = 0;
    int rc;

    if (e->in_error)
        return e->in_error;
    do {
        uint64_t header = mui_ring_peek(&e->in);

        if (__builtin_expect(header == 0, 0)) {
            rc = data_wait(e, deadline);
            if (rc != 0)
                return rc;
            header = mui_ring_peek(&e->in);
            until = 0; /* the bell was emptied */
        }
        rc = record_take(e, header, ret);
        if (rc == MU_EMPTY && ++n % RECORDS_A_LOOK == 0 &&
            may_leave(e, deadline, &until))
            return MU_TIMEOUT;
    } while (rc == MU_EMPTY);
    if (rc == MU_ECORRUPT)
        e->in_error = rc;
    return rc;
}

void mui_shm_end_release(struct mui_shm_end *e)
{
    if (e->lent != LENT_ASSEMBLY) {
        record_pop(e, e->lent);
        return;
    }
    e->pieces = 0;
    mui_buffer_trim(&e->assembly);
}

void mui_shm_end_close(struct mui_shm_end *e)
{
    /* release, pairs with end_reason(): all that was sent comes before it */
    atomic_store_explicit(&e->out.words->producer_closed, 1,
                          memory_order_release);
    atomic_store_explicit(&e->in.words->consumer_closed, 1,
                          memory_order_release);
    mui_bell_ring(e->data_sock);
    mui_bell_ring(e->room_sock);
}
