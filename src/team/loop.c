/* loop.c: loops whose chunks are claimed, and the reduction made of them.
 *
 * The open loop of a seat is a count of units, {next, end}, which everybody takes
 * from, the owner too. Opening it is one store; taking part is taking units: who has
 * none is not in the loop and is not waited for. The owner is done when as many
 * units were reported as others took.
 *
 *       owner                                 thread that takes part
 *       write `loop`, n_done := 0
 *   O1  open `units` (seq_cst) ------------>  P1  take units (acq_rel)
 *                                                 read `loop`; run the body
 *   O2  load n_done (acquire) <-------------  P2  add to n_done (seq_cst)
 *       return; the next loop
 *
 * ABA: units taken from an old picture of {next, end} belong to the loop that is
 * open now, and `loop` is read after P1.
 *
 * How many units go to a claim: a share of what is left, so that the last claims are
 * small; but no less than some 300 ns of work and no more than 20 us, by the time
 * that the claim before took. The first claim is small.
 *
 * A loop inside a chunk of a loop on the same seat is split by forks instead. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "sys/futex.h"
#include "team/team.h"

/* Weakened orders that tests/weak has to catch. */
#ifdef BUG_UNITS_RELAXED
#    define ORDER_UNITS memory_order_relaxed
#    define ORDER_CLAIM memory_order_relaxed
#else
#    define ORDER_UNITS memory_order_seq_cst
#    define ORDER_CLAIM memory_order_acq_rel
#endif

enum {
    MAX_UNITS = INT32_MAX,
    SHARES = 2, /* a claim takes at most 1 / (SHARES * width) of the rest */
    FIRST_SHARES = 16, /* the first: 1 / (FIRST_SHARES * width) of all */
    SPLIT_SHARES =
        16, /* pieces for each thread that a nested loop is forked into */
    MAX_PARTIALS = 1024,
    DEFAULT_BLOCKS = 256,
    PARTIALS_ON_STACK = 4096 /* bytes */
};

/* One thread's part in one loop. */
struct share {
    struct mui_seat *host;
    bool is_guest; /* of another seat than the host */
    uint32_t width;
    uint32_t least; /* units to take, by the time that the last ones took */
    uint32_t most;
    uint32_t n_units; /* taken, all done */
    int64_t since_ns; /* when the last ones were done; 0: not timed */
    int64_t wake_ns;  /* from when on to wake somebody, if nobody is awake */
};

/* Take units of the loop that is open on `host`; 0 when there are none. */
MUI_HOT static uint32_t share_claim(struct share *s, uint32_t *ret_first,
                                    uint32_t *ret_rest)
{
    _Atomic uint64_t *units = &s->host->units;
    uint64_t pair = atomic_load_explicit(units, memory_order_relaxed);

    for (;;) {
        uint32_t next = mui_low(pair);
        uint32_t rest = mui_high(pair) - next;
        uint32_t n = rest / (SHARES * s->width);

        if (rest == 0)
            return 0;
        n = n > s->most ? s->most : n;
        n = n < s->least ? s->least : n;
        n = n > rest ? rest : n;
        /* P1, pairs with O1 in loop_open() */
        if (atomic_compare_exchange_weak_explicit(
                units, &pair, mui_pair(next + n, mui_high(pair)), ORDER_CLAIM,
                memory_order_relaxed)) {
            *ret_first = next;
            *ret_rest = rest - n;
            return n;
        }
    }
}

/* Learn from n units that took so long. */
static void share_learn(struct share *s, uint32_t n, int64_t took_ns)
{
    uint64_t unit_ps = (uint64_t)took_ns * 1000 / n + 1;
    uint64_t least = (uint64_t)MUI_CHUNK_LEAST_NS * 1000 / unit_ps;
    uint64_t most = (uint64_t)MUI_CHUNK_MOST_NS * 1000 / unit_ps;

    s->least = least > MAX_UNITS ? MAX_UNITS : (uint32_t)least;
    s->most = most > MAX_UNITS ? MAX_UNITS : (uint32_t)most;
    s->least += s->least == 0;
    s->most += s->most == 0;
}

/* Run units [first, first + n) of a loop. */
static void loop_run(const struct mui_loop *loop, struct mu_job *top,
                     uint32_t first, uint32_t n)
{
    size_t begin = loop->begin + first * loop->unit;
    size_t left = loop->end - begin;
    size_t size = left / loop->unit < n ? left : n * loop->unit;

    loop->body(top, begin, begin + size, loop->args);
}

/* Run n units from `first` on, and then take and run more until none are left. */
MUI_HOT static void share_work(struct share *s, struct mu_job *top,
                               uint32_t first, uint32_t n, uint32_t rest)
{
    struct mui_seat *host = s->host;
    struct mu_team *team = host->team;
    /* units not done keep these constant */
    const struct mui_loop loop = host->loop;
    struct mui_region *region =
        atomic_load_explicit(&host->region, memory_order_relaxed);

    for (; n > 0; n = share_claim(s, &first, &rest)) {
        s->n_units += n;
        if (mui_region_status(region) != 0) {
            /* take the rest, and leave it */
            s->least = MAX_UNITS;
            continue;
        }
        loop_run(&loop, top, first, n);
        if (s->since_ns != 0) {
            int64_t now = mu_now_ns();

            share_learn(s, n, now - s->since_ns);
            s->since_ns = now;
        }
        if (rest > 0 && s->since_ns >= s->wake_ns)
            mui_team_wake(team);
        /* a child that the chunk forked leaves the others to its parent */
        if (s->is_guest && mui_team_is_orphan(team))
            return;
    }
}

bool mui_loop_join(struct mui_seat *me, struct mui_seat *host)
{
    struct mu_team *team = me->team;
    struct share s = {.host = host,
                      .is_guest = true,
                      .width = team->n_threads,
                      .least = 1,
                      .most = 1};
    uint32_t first;
    uint32_t rest;
    uint32_t n = share_claim(&s, &first, &rest);

    if (n == 0)
        return false;
    mui_idle_found(team);
    mui_seat_start(me,
                   atomic_load_explicit(&host->region, memory_order_relaxed));
    /* release, pairs with the acquire in mui_help_loop() */
    atomic_store_explicit(&me->serving, host, memory_order_release);

    s.since_ns = rest > SHARES * s.width ? mu_now_ns() : 0;
    share_work(&s, mui_slot(me, MUI_FIRST_SLOT), first, n, rest);

    atomic_store_explicit(&me->serving, NULL, memory_order_release);
    mui_seat_stop(me);
    /* P2, pairs with O2 in loop_wait(); seq_cst, against its sleep */
    (void)atomic_fetch_add_explicit(&host->n_done, s.n_units,
                                    memory_order_seq_cst);
    if (atomic_load_explicit(&host->is_waiting, memory_order_seq_cst))
        (void)mui_futex_wake(&host->n_done, 1, 0);
    mui_idle_search(team);
    return true;
}

/* Wait until others have done the n units they took, helping with what those
 * forked. */
static void loop_wait(struct mui_seat *seat, uint32_t top, uint32_t n)
{
    int64_t since = 0;

    for (;;) {
        /* O2, pairs with P2 in mui_loop_join() */
        uint32_t n_done =
            atomic_load_explicit(&seat->n_done, memory_order_acquire);
        int64_t waited;

        if (n_done == n)
            return;
        if (since == 0)
            since = mu_now_ns();
        waited = mu_now_ns() - since;
        if (mui_help_loop(seat, top, waited >= MUI_ASK_SOON_NS)) {
            since = mu_now_ns();
        } else if (mui_team_is_orphan(seat->team)) {
            mui_region_cancel(
                seat->team,
                atomic_load_explicit(&seat->region, memory_order_relaxed),
                -EOWNERDEAD);
            return;
        } else if (waited < MUI_JOIN_SPIN_NS) {
            if (seat->team->is_crowded)
                (void)sched_yield();
            mui_cpu_pause();
        } else {
            /* seq_cst, against P2 and the look after it */
            atomic_store_explicit(&seat->is_waiting, 1, memory_order_seq_cst);
            if (atomic_load_explicit(&seat->n_done, memory_order_seq_cst) ==
                n_done)
                (void)mui_futex_wait(&seat->n_done, n_done, 0,
                                     mui_nap_end(waited));
            atomic_store_explicit(&seat->is_waiting, 0, memory_order_relaxed);
        }
    }
}

/* Run a loop on the seat's own units, with whoever comes. */
static void loop_open(struct mui_seat *seat, struct mu_job *j,
                      const struct mui_loop *loop, uint32_t n_units)
{
    struct mu_team *team = seat->team;
    struct share s = {.host = seat,
                      .width = team->n_threads,
                      .least = 1,
                      .wake_ns = MU_NEVER};
    bool is_cold;
    int64_t opened = 0;
    uint32_t first = 0;
    uint32_t rest = 0;
    uint32_t n;

    s.most = n_units / (FIRST_SHARES * s.width);
    s.most += s.most == 0;
    seat->loop = *loop;
    seat->in_loop = true;
    /* relaxed: O1 publishes */
    atomic_store_explicit(&seat->n_done, 0, memory_order_relaxed);
    /* O1, pairs with P1 in share_claim(); W1, against S3 and S4 in idle.c */
    atomic_store_explicit(&seat->units, mui_pair(0, n_units), ORDER_UNITS);
    is_cold = mui_idle_needs_waking(
        atomic_load_explicit(&team->idle, memory_order_seq_cst));
    if (is_cold || n_units > SHARES * s.width)
        opened = s.since_ns = mu_now_ns();
    if (opened != 0)
        s.wake_ns = opened + MUI_WAKE_AGE_NS;
    /* Nobody is awake: wake one now if the loop before was worth it; else when
     * this one has lived long enough, between chunks. */
    if (is_cold && seat->loop_expects_long)
        mui_team_wake(team);

    n = share_claim(&s, &first, &rest);
    share_work(&s, j, first, n, rest);
    if (s.n_units != n_units)
        loop_wait(seat, mui_index_of(j), n_units - s.n_units);
    if (is_cold)
        seat->loop_expects_long = mu_now_ns() - opened >= MUI_LONG_LOOP_NS;
    seat->in_loop = false;
}

/* A loop inside a loop: halves are forked until they are a unit. */
static void loop_split(struct mu_job *j, const struct mui_loop *loop,
                       size_t begin, size_t end);
MU_FORKABLE_VOID(loop_split, const struct mui_loop *, size_t, size_t)

/* NOLINTNEXTLINE(misc-no-recursion): forks and calls itself by design */
static void loop_split(struct mu_job *j, const struct mui_loop *loop,
                       size_t begin, size_t end)
{
    /* the last may be short */
    size_t n_units = (end - begin - 1) / loop->unit + 1;
    size_t middle = begin + n_units / 2 * loop->unit;

    if (n_units == 1) {
        if (mu_job_status(j) == 0)
            loop->body(j, begin, end, loop->args);
        return;
    }
    mu_fork(j, loop_split, loop, middle, end);
    loop_split(j, loop, begin, middle);
    mu_join_void(j, loop_split);
}

MUI_HOT void mu_for_range(struct mu_job *j, size_t begin, size_t end,
                          size_t grain, mu_range_fn body, const void *args)
{
    struct mui_seat *seat = mui_seat_of(j);
    struct mui_loop loop = {.body = body,
                            .args = args,
                            .begin = begin,
                            .end = end,
                            .unit = grain > 0 ? grain : 1};
    size_t n = end - begin;

    if (begin >= end || mu_job_status(j) != 0)
        return;
    if (seat->in_loop) {
        size_t least = n / (SPLIT_SHARES * (size_t)seat->team->n_threads);

        loop.unit = loop.unit < least ? least : loop.unit;
        loop_split(j, &loop, begin, end);
    } else if (n <= loop.unit) {
        body(j, begin, end, args);
    } else {
        if ((n - 1) / loop.unit >= MAX_UNITS)
            loop.unit = n / MAX_UNITS + 1;
        loop_open(seat, j, &loop, (uint32_t)((n - 1) / loop.unit + 1));
    }
}

/* A reduction: [begin, end) is cut into blocks of `grain`, blocks into partials of
 * `n_blocks` neighbours. Both depend on the numbers of indices and the grain alone.
 * Each partial has room for two results: its own, and the next block's. */
struct reduction {
    const struct mui_reduction *ops;
    const void *args;
    size_t begin;
    size_t end;
    size_t grain;
    size_t n_blocks;
    char *partials;
};

static char *reduction_partial(const struct reduction *r, size_t i)
{
    return r->partials + 2 * i * r->ops->size;
}

static void reduction_run(struct mu_job *top, size_t first, size_t last,
                          const void *args)
{
    const struct reduction *r = args;
    /* relaxed: the caller works on the seat, and for this region until the end */
    struct mui_region *region =
        atomic_load_explicit(&mui_seat_of(top)->region, memory_order_relaxed);

    for (size_t i = first; i < last; i++) {
        size_t begin = r->begin + i * r->n_blocks * r->grain;
        char *into = reduction_partial(r, i);

        for (size_t k = 0; k < r->n_blocks && begin < r->end; k++) {
            size_t left = r->end - begin;
            size_t end = begin + (left < r->grain ? left : r->grain);

            if (mui_region_status(region) != 0)
                return;
            r->ops->leaf(top, begin, end, r->args,
                         k == 0 ? into : into + r->ops->size);
            if (k > 0)
                r->ops->combine(into, into + r->ops->size);
            begin = end;
        }
    }
}

/* The partials as a loop, then combined. Of a cancelled region they are not all
 * there, and the result is not written. */
static void reduction_loop(struct mu_job *j, struct reduction r, size_t n,
                           void *ret_result)
{
    _Alignas(64) char on_stack[PARTIALS_ON_STACK];
    size_t n_blocks = (n - 1) / r.grain + 1;
    size_t n_partials;
    size_t bytes;

    r.n_blocks = (n_blocks - 1) / MAX_PARTIALS + 1;
    n_partials = (n_blocks - 1) / r.n_blocks + 1;
    bytes = (2 * n_partials * r.ops->size + 63) / 64 * 64;
    r.partials = bytes <= sizeof on_stack ? on_stack : aligned_alloc(64, bytes);
    if (!r.partials) {
        mu_job_cancel(j, -ENOMEM);
        return;
    }

    mu_for_range(j, 0, n_partials, 1, reduction_run, &r);
    if (mu_job_status(j) == 0) {
        for (size_t i = 1; i < n_partials; i++)
            r.ops->combine(r.partials, reduction_partial(&r, i));
        memcpy(ret_result, r.partials, r.ops->size);
    }
    if (r.partials != on_stack)
        free(r.partials);
}

void mu_for_reduce_range(struct mu_job *j, size_t begin, size_t end,
                         size_t grain, const struct mui_reduction *ops,
                         const void *args, void *ret_result)
{
    size_t n = end > begin ? end - begin : 0;
    struct reduction r = {
        .ops = ops, .args = args, .begin = begin, .end = end, .grain = grain};

    if (grain == 0)
        r.grain = n / DEFAULT_BLOCKS + 1;
    if (n > r.grain)
        reduction_loop(j, r, n, ret_result);
    else if (mu_job_status(j) == 0)
        ops->leaf(j, begin, begin + n, args, ret_result);
    if (mu_job_status(j) != 0)
        memset(ret_result, 0, ops->size);
}
