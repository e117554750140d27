/* board.c: a page for all workers of a pool.
 *
 *      supervisor                          spare
 *      write orders, or close its lane
 *  C   calls[place] = 1 (release) ------> load calls[place] (acquire), futex wait
 *      futex wake
 *
 * The futex compares the word under the kernel's lock: a call before the wait makes it
 * return at once. */
#include "process/board.h"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "muster/base.h"

#include "sys/cpu.h"
#include "sys/futex.h"
#include "sys/memfd.h"

enum { PAGE = 4096 };

static uint64_t board_bytes(unsigned n_places)
{
    uint64_t bytes =
        sizeof(struct mui_board) + n_places * sizeof(_Atomic uint32_t);

    return (bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

int mui_board_open(unsigned n_places, int *ret_fd, struct mui_board **ret_board)
{
    uint64_t bytes = board_bytes(n_places);
    int fd = mui_memfd_open("muster-board", bytes);
    void *base;
    int rc;

    if (fd < 0)
        return fd;
    rc = mui_memfd_map(fd, bytes, PROT_READ | PROT_WRITE, 1, &base);
    if (rc < 0)
        goto close_fd;
    rc = mui_memfd_seal_writes(fd);
    if (rc < 0)
        goto unmap;
    *ret_fd = fd;
    *ret_board = base;
    return 0;
unmap:
    (void)munmap(base, bytes);
close_fd:
    (void)close(fd);
    return rc;
}

void mui_board_close(struct mui_board *board, unsigned n_places, int fd)
{
    if (!board)
        return;
    (void)munmap(board, board_bytes(n_places));
    (void)close(fd);
}

void mui_board_clear(struct mui_board *board, uint32_t place)
{
    /* relaxed: its worker is forked later */
    atomic_store_explicit(&board->calls[place], 0, memory_order_relaxed);
}

void mui_board_call(struct mui_board *board, uint32_t place)
{
    /* C, pairs with mui_board_park() */
    if (atomic_exchange_explicit(&board->calls[place], 1,
                                 memory_order_release) == 0)
        (void)mui_futex_wake(&board->calls[place], 1, 1);
}

void mui_board_set_next(struct mui_board *board, uint32_t next)
{
    /* relaxed: a hint */
    atomic_store_explicit(&board->next, next, memory_order_relaxed);
}

void mui_board_set_attended(struct mui_board *board, bool attended)
{
    /* relaxed: a hint, both times */
    if (atomic_load_explicit(&board->attended, memory_order_relaxed) !=
        attended)
        atomic_store_explicit(&board->attended, attended, memory_order_relaxed);
}

int mui_board_join(unsigned n_places, int fd,
                   const struct mui_board **ret_board)
{
    void *base;
    int rc = mui_memfd_map(fd, board_bytes(n_places), PROT_READ, 0, &base);

    if (rc < 0)
        return rc;
    (void)close(fd);
    *ret_board = base;
    return 0;
}

void mui_board_park(const struct mui_board *board, uint32_t place)
{
    int rc;

    /* C, pairs with mui_board_call(). Woken without a call: the next who dies may be
     * ours to follow */
    do
        rc = atomic_load_explicit(&board->calls[place], memory_order_acquire)
                 ? 0
                 : mui_futex_wait(&board->calls[place], 0, 1, MU_NEVER);
    while (rc < 0);
}

/* Woken, but not called: somebody dies, and whoever settles that takes a while to wake
 * up. To sleep again meanwhile would make the next task wait for two. */
void mui_board_linger(const struct mui_board *board, uint32_t place)
{
    enum { SPIN_NS = 300 * 1000, TURNS = 64 };
    int64_t end = mu_now_ns() + SPIN_NS;

    do {
        for (int i = 0; i < TURNS; i++) {
            /* relaxed: the orders are seen by their own words */
            if (atomic_load_explicit(&board->calls[place],
                                     memory_order_relaxed))
                return;
            mui_cpu_pause();
        }
        /* it may be our CPU that the others wait for */
        (void)sched_yield();
    } while (mu_now_ns() < end);
}

void mui_board_wake_next(const struct mui_board *board, unsigned n_places)
{
    /* relaxed: a hint */
    uint32_t next = atomic_load_explicit(&board->next, memory_order_relaxed);

    if (next > 0 && next <= n_places)
        (void)mui_futex_wake(&board->calls[next - 1], 1, 1);
}

bool mui_board_is_attended(const struct mui_board *board)
{
    /* relaxed: a hint */
    return atomic_load_explicit(&board->attended, memory_order_relaxed) != 0;
}
