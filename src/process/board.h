/* board.h: what the supervisor tells all workers of a pool at once: a page that it
 * writes and they only read.
 *
 * A spare parks on a word of its own there, so that a dying worker, which has a CPU
 * that is awake, can wake the one that will follow it while the supervisor still
 * wakes up itself. To wake needs no right to write, and waking for nothing is
 * harmless: who is woken spins a little, and sleeps on its lane from then on. */
#ifndef MUI_PROCESS_BOARD_H
#define MUI_PROCESS_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct mui_board {
    /* The place of the spare that will follow the next worker to die, plus 1; 0: none
     * stands ready. A hint. */
    _Atomic uint32_t next;
    /* 1: a caller was seen to spin for outcomes, which looks at crash records by itself;
     * it may have gone since. A hint. */
    _Atomic uint32_t attended;
    _Atomic uint32_t calls[]; /* futexes, one a place: 1: it is wanted */
};

/* Supervisor: make and map one of `n_places`. Gives *ret_fd, for workers to map.
 * 0 or -errno. */
int mui_board_open(unsigned n_places, int *ret_fd,
                   struct mui_board **ret_board);
void mui_board_close(struct mui_board *board, unsigned n_places, int fd);

/* Supervisor: a worker that will be forked has this place: it may park. */
void mui_board_clear(struct mui_board *board, uint32_t place);

/* Supervisor: the worker has work, or its lane was closed. */
void mui_board_call(struct mui_board *board, uint32_t place);

/* Supervisor: `place` plus 1 of who is next; 0: nobody. */
void mui_board_set_next(struct mui_board *board, uint32_t next);

/* Supervisor: whether callers look by themselves. Cheap when it is no news. */
void mui_board_set_attended(struct mui_board *board, bool attended);

/* Worker: map it; takes `fd`. 0 or -errno. */
int mui_board_join(unsigned n_places, int fd,
                   const struct mui_board **ret_board);

/* Worker: sleep until called or woken. */
void mui_board_park(const struct mui_board *board, uint32_t place);

/* Worker: spin until called, but not for long. */
void mui_board_linger(const struct mui_board *board, uint32_t place);

/* Worker: wake who is next. Signal-safe. */
void mui_board_wake_next(const struct mui_board *board, unsigned n_places);

bool mui_board_is_attended(const struct mui_board *board);

#endif
