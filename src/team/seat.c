/* seat.c: mapping seats, taking and leaving them.
 *
 * A free seat has an even epoch; taking it is one exchange that makes it odd:
 *
 *       taker                                the last thread to sleep (idle.c)
 *   S1  make the epoch odd (seq_cst)     S3  searching becomes 0 (seq_cst)
 *   S2  look at `idle` (seq_cst)         S4  look at the epoch (seq_cst)
 *
 * In the one order of S1 to S4 either S2 sees that nobody searches, and the taker
 * raises its own limit, or S4 sees the work, and the sleeper raises it. Either way
 * the first fork finds the limit raised and wakes somebody.
 *
 * A kill at any instruction leaves a seat taken: it is lost until the team is
 * freed, and thieves find nothing on it. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "team/team.h"

#define LEAST_SEAT_BYTES ((size_t)1 << 20)
/* Where the whole of a seat is refused though there is no limit: a million slots. */
#define PART_SEAT_BYTES ((size_t)1 << (MUI_SEAT_BITS > 26 ? 26 : 20))

/* The seat this thread had last: it will do again. The model: found without a call,
 * from the little room that libraries loaded later have too. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct {
    uint64_t team_id;
    struct mui_seat *seat;
} last_seat;

static void *seat_mmap(void *place, size_t size, int flags)
{
    return mmap(place, size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
}

/* How much of the address space a seat may have: less than the whole where that is
 * limited (ulimit -v or -d, a worker's memory limit). Seats and C stacks of the team's
 * threads then take a quarter of it together, and those who enter little more. */
static size_t seat_share(const struct mu_team *team)
{
    uint64_t n = team->n_threads +
                 atomic_load_explicit(&team->n_seats, memory_order_relaxed);
    struct rlimit space;
    struct rlimit data;
    size_t size = MUI_SEAT_BYTES;

    if (getrlimit(RLIMIT_AS, &space) < 0 || getrlimit(RLIMIT_DATA, &data) < 0)
        return size;
    if (data.rlim_cur < space.rlim_cur) /* no limit is the highest */
        space = data;
    while (size > LEAST_SEAT_BYTES && size > space.rlim_cur / (8 * n))
        size /= 2;
    return size;
}

/* Twice as much is mapped first, to find an aligned half of it. */
static void *seat_map_whole(void)
{
    size_t size = MUI_SEAT_BYTES;
    char *wide = seat_mmap(NULL, 2 * size, 0);
    char *base;

    if (wide == MAP_FAILED)
        return NULL;
    base = (char *)(((uintptr_t)wide + size - 1) & ~(uintptr_t)(size - 1));
    if (base > wide)
        (void)munmap(wide, (size_t)(base - wide));
    if (wide + size > base)
        (void)munmap(base + size, (size_t)(wide + size - base));
    return base;
}

/* Only the beginning of a seat, at any aligned address. */
static void *seat_map_part(size_t size)
{
    for (uintptr_t i = 1; i <= MUI_MAX_SEATS; i++) {
        void *place = (void *)(i * MUI_SEAT_BYTES);
        void *base = seat_mmap(place, size, MAP_FIXED_NOREPLACE);

        if (base == place)
            return base;
        if (base != MAP_FAILED)
            (void)munmap(base, size);
        else if (errno != EEXIST)
            return NULL; /* nor elsewhere */
    }
    return NULL;
}

static struct mui_seat *seat_map(const struct mu_team *team)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = seat_share(team);
    struct mui_seat *base = NULL;

    if (size == MUI_SEAT_BYTES) {
        base = seat_map_whole();
        size = base ? size : PART_SEAT_BYTES;
    }
    while (!base && size >= LEAST_SEAT_BYTES) {
        base = seat_map_part(size);
        size = base ? size : size / 2;
    }
    if (!base)
        return NULL;
    /* who forks past the last page faults, as with the C stack */
    (void)mprotect((char *)base + size - page, page, PROT_NONE);
    base->mapped_bytes = size;
    return base;
}

/* Enter a seat into the team's table. False: it is full. */
static bool seat_add(struct mu_team *team, struct mui_seat *seat)
{
    /* relaxed: the exchange below decides */
    uint32_t i = atomic_load_explicit(&team->n_seats, memory_order_relaxed);

    for (; i < MUI_MAX_SEATS; i++) {
        struct mui_seat *other = NULL;
        uint32_t n = i;

        seat->index = i;
        /* release, pairs with the acquire of whoever looks through the seats */
        bool is_added = atomic_compare_exchange_strong_explicit(
            &team->seats[i], &other, seat, memory_order_release,
            memory_order_relaxed);
        (void)atomic_compare_exchange_strong_explicit(&team->n_seats, &n, i + 1,
                                                      memory_order_release,
                                                      memory_order_relaxed);
        if (is_added)
            return true;
    }
    return false;
}

struct mui_seat *mui_seat_new(struct mu_team *team, bool is_kept)
{
    struct mui_seat *seat = seat_map(team);

    if (!seat)
        return NULL;
    seat->team = team;
    seat->is_kept = is_kept;
    seat->is_coarse = true;
    seat->loop_expects_long = true;
    /* relaxed, all: seat_add() publishes the seat */
    atomic_store_explicit(&seat->limit,
                          (uintptr_t)mui_slot(seat, MUI_FIRST_SLOT),
                          memory_order_relaxed);
    atomic_store_explicit(&seat->range,
                          mui_pair(MUI_FIRST_SLOT, MUI_FIRST_SLOT),
                          memory_order_relaxed);
    atomic_store_explicit(&seat->region, &seat->own_region,
                          memory_order_relaxed);
    /* as if the work before the first had been long */
    atomic_store_explicit(&seat->asked_epoch, UINT64_MAX, memory_order_relaxed);
    if (!seat_add(team, seat)) {
        mui_seat_free(seat);
        return NULL;
    }
    return seat;
}

void mui_seat_free(struct mui_seat *seat)
{
    if (seat)
        (void)munmap(seat, seat->mapped_bytes);
}

/* Work begins on a seat whose epoch is now `epoch`. */
MUI_HOT static void seat_begin(struct mui_seat *seat, uint64_t epoch)
{
    struct mu_team *team = seat->team;
    /* S2, against S3 in mui_idle_sleep() and mui_idle_found() */
    uint64_t idle = atomic_load_explicit(&team->idle, memory_order_seq_cst);

    seat->n_exposed = 0;
    seat->expects_long = mui_seat_expects_long(seat, epoch);
    if (seat->expects_long)
        seat->began_ns = mu_now_ns();
    if (mui_idle_needs_waking(idle) ||
        (seat->expects_long && team->n_threads > 1))
        /* relaxed: own word; nobody lowers it but us */
        atomic_store_explicit(&seat->limit, MUI_HUNGRY, memory_order_relaxed);
}

void mui_seat_serve(struct mui_seat *seat, struct mui_region *region)
{
    /* C3, against C1 and C2 in mui_region_cancel() */
    atomic_store_explicit(&seat->region, region, memory_order_seq_cst);
    /* C4 */
    if (mui_region_status(region) != 0)
        mui_seat_ask(seat);
}

void mui_seat_start(struct mui_seat *seat, struct mui_region *region)
{
    /* relaxed: only the owner writes it */
    uint64_t epoch =
        atomic_load_explicit(&seat->epoch, memory_order_relaxed) + 1;

    /* S1, against S4 in idle_ask_all() */
    atomic_store_explicit(&seat->epoch, epoch, memory_order_seq_cst);
    seat_begin(seat, epoch);
    mui_seat_serve(seat, region);
}

MUI_HOT void mui_seat_stop(struct mui_seat *seat)
{
    uint64_t epoch = atomic_load_explicit(&seat->epoch, memory_order_relaxed);

    /* relaxed: a hint. If splitting it did not pay the next is not split at once. */
    if (seat->expects_long) {
        int64_t lived_ns = mu_now_ns() - seat->began_ns;

        atomic_store_explicit(&seat->asked_epoch,
                              lived_ns < MUI_LONG_WORK_NS ? 0 : epoch,
                              memory_order_relaxed);
        seat->is_coarse = lived_ns >= MUI_COARSE_WORK_NS;
    }
    assert(atomic_load_explicit(&seat->range, memory_order_relaxed) ==
           mui_pair(MUI_FIRST_SLOT, MUI_FIRST_SLOT));
    /* relaxed: what is raised from now on is for the next work */
    atomic_store_explicit(&seat->limit,
                          (uintptr_t)mui_slot(seat, MUI_FIRST_SLOT),
                          memory_order_relaxed);
    /* release, pairs with the exchange of the next taker */
    atomic_store_explicit(&seat->epoch, epoch + 1, memory_order_release);
}

static bool seat_try(struct mui_seat *seat)
{
    /* relaxed: a guess for the exchange */
    uint64_t epoch = atomic_load_explicit(&seat->epoch, memory_order_relaxed);

    /* S1, against S4 in idle_ask_all(); acquire, pairs with the release of the
     * last one to leave the seat */
    if (epoch % 2 != 0 || !atomic_compare_exchange_strong_explicit(
                              &seat->epoch, &epoch, epoch + 1,
                              memory_order_seq_cst, memory_order_relaxed))
        return false;
    seat_begin(seat, epoch + 1);
    return true;
}

/* Not inlined: fibers move between threads, so the address of a thread-local is
 * not kept across a switch. */
__attribute__((noinline)) MUI_HOT struct mui_seat *mui_seat_take(
    struct mu_team *team)
{
    uint32_t n_seats;
    struct mui_seat *seat = last_seat.seat;

    if (last_seat.team_id == team->id && seat_try(seat))
        return seat;
    for (;;) {
        n_seats = atomic_load_explicit(&team->n_seats, memory_order_acquire);
        for (uint32_t i = 0; i < n_seats; i++) {
            seat = atomic_load_explicit(&team->seats[i], memory_order_acquire);
            if (seat && !seat->is_kept && seat_try(seat))
                goto taken;
        }
        if (!mui_seat_new(team, false))
            return NULL;
    }

taken:
    last_seat.team_id = team->id;
    last_seat.seat = seat;
    return seat;
}

MUI_HOT void mui_seat_leave(struct mui_seat *seat)
{
    /* relaxed: nobody works in the region any more */
    atomic_store_explicit(&seat->own_region.status, 0, memory_order_relaxed);
    mui_seat_stop(seat);
}
