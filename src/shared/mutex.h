/* mutex.h: a word that names its holder, and how it is taken; the mutex, the
 * writer of a read-write lock and the once are made of it. */
#ifndef MUI_SHARED_MUTEX_H
#define MUI_SHARED_MUTEX_H

#include <stdatomic.h>
#include <stdint.h>

#include "muster/lock.h"

/* What a word says besides its holder. */
#define MUI_READING (UINT64_C(1) << 29) /* it is a reader */
#define MUI_WAITERS (UINT64_C(1) << 30) /* others sleep until it lets go */
/* see rwlock.c: others may read beside a reader; a writer waits until they have left */
#define MUI_SEATS (UINT64_C(1) << 31)

/* Free, but its last holder died and nobody was told yet. No thread has number 0. */
#define MUI_ORPHAN (UINT64_C(1) << 22)

/* A value that no word has: the word never ends. */
#define MUI_NO_END UINT64_MAX

/* Such a lock's price when it is free: begin on a cache line of its own, which keeps it
 * from one build to the next. */
#define MUI_FAST_PATH __attribute__((aligned(64)))

/* Take a word that is 0 or MUI_SEATS when free, with `mark` beside our name: 0, MUI_SEATS,
 * or that and MUI_READING. 0, MU_OWNER_DIED, MU_TIMEOUT, -EDEADLK; MU_CLOSED when the word
 * is `end`, with acquire order, or when a reader would wait for a reader. A dead holder
 * with a mark is not reported, for it changed nothing; after MU_OWNER_DIED there is no
 * mark, so that the report is made again should we die too. */
int mui_hold(_Atomic uint64_t *word, uint64_t self, uint64_t mark, uint64_t end,
             int64_t deadline);

/* Before a sleep: make a held word say that somebody sleeps. 1 when it is now `*seen`,
 * with MUI_WAITERS. */
int mui_hold_announce(_Atomic uint64_t *word, uint64_t *seen);

/* Set it to `value` and wake sleepers, at most n_wake. -EPERM when `self` does
 * not hold it. */
int mui_let_go(_Atomic uint64_t *word, uint64_t self, uint64_t value,
               int n_wake);

#endif
