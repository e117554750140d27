/* mutex.h: a word that names its holder, and how it is taken; the mutex, the
 * writer of a read-write lock and the once are made of it. */
#ifndef MUI_SHARED_MUTEX_H
#define MUI_SHARED_MUTEX_H

#include <stdatomic.h>
#include <stdint.h>

#include "muster/lock.h"

#define MUI_WAITERS (UINT64_C(1) << 30)

/* Free, but its last holder died and nobody was told yet. Bit 31: no owner. */
#define MUI_ORPHAN ((UINT64_C(1) << 31) | 1)

/* A value that no word has: the word never ends. */
#define MUI_NO_END UINT64_MAX

/* Take a word that is 0 when free. 0, MU_OWNER_DIED, MU_TIMEOUT, -EDEADLK;
 * MU_CLOSED when the word is `end`, with acquire order. */
int mui_hold(_Atomic uint64_t *word, uint64_t self, uint64_t end,
             int64_t deadline);

/* Set it to `value` and wake sleepers, at most n_wake. -EPERM when `self` does
 * not hold it. */
int mui_let_go(_Atomic uint64_t *word, uint64_t self, uint64_t value,
               int n_wake);

#endif
