/* mutex.h: a word that names its holder, and how it is taken; the mutex, the
 * writer of a read-write lock and the once are made of it. */
#ifndef MUI_SHARED_MUTEX_H
#define MUI_SHARED_MUTEX_H

#include <stdatomic.h>
#include <stdint.h>

#include "muster/lock.h"

/* What a word says besides its holder. */
#define MUI_PASSING  (UINT64_C(1) << 29) /* it is a reader on its way in */
#define MUI_WAITERS  (UINT64_C(1) << 30) /* others sleep until it lets go */
#define MUI_DRAINING (UINT64_C(1) << 31) /* it sleeps until readers leave */

/* Who sleeps on a word: who wants it, or its holder until readers leave. */
#define MUI_AS_WAITER 1U
#define MUI_AS_HOLDER 2U

/* Free, but its last holder died and nobody was told yet. No thread has number 0. */
#define MUI_ORPHAN (UINT64_C(1) << 22)

/* A value that no word has: the word never ends. */
#define MUI_NO_END UINT64_MAX

/* Take a word that is 0 when free, with `mark` beside our name (0, MUI_PASSING).
 * 0, MU_OWNER_DIED, MU_TIMEOUT, -EDEADLK; MU_CLOSED when the word is `end`, with acquire
 * order. A dead reader on its way in is not reported; after MU_OWNER_DIED there is no
 * mark, so that the report is made again should we die too. */
int mui_hold(_Atomic uint64_t *word, uint64_t self, uint64_t mark, uint64_t end,
             int64_t deadline);

/* Set it to `value` and wake sleepers, at most n_wake. -EPERM when `self` does
 * not hold it. */
int mui_let_go(_Atomic uint64_t *word, uint64_t self, uint64_t value,
               int n_wake);

#endif
