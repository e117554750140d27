/* once.c: a function that runs once, whoever dies in it.
 *
 * The word is a mutex (mutex.c) that ends: ONCE_DONE names nobody.
 *
 *   D1  self -> DONE (release) ----------> D2  DONE seen by mui_hold() (acquire)
 *
 * Killed inside fn: the word names a dead thread, and the next caller runs fn
 * again; if that run fails, the word is MUI_ORPHAN for the one after it. Killed after D1:
 * it is done, and sleepers see it after their slice. */
#include <errno.h>
#include <limits.h>

#include "muster/lock.h"

#include "shared/mutex.h"
#include "shared/sleep.h"
#include "sys/owner.h"

#define ONCE_DONE MUI_READING /* nobody's */

int mu_once_run(struct mu_once *o, mu_once_fn fn, void *arg, int64_t deadline)
{
    uint64_t self;
    uint64_t after = 0;
    int held;
    int rc;

    /* D2, the fast path of mui_hold() */
    if (atomic_load_explicit(mui_word64(&o->word), memory_order_acquire) ==
        ONCE_DONE)
        return 0;
    self = mui_owner_self();
    held = mui_hold(mui_word64(&o->word), self, 0, ONCE_DONE, deadline);
    if (held == MU_CLOSED)
        return 0;
    if (held != 0 && held != MU_OWNER_DIED)
        return held;
    rc = fn(arg);
    if (rc == 0)
        after = ONCE_DONE; /* D1, pairs with D2 */
    else if (held == MU_OWNER_DIED)
        after = MUI_ORPHAN; /* until a run gets to its end */
    (void)mui_let_go(mui_word64(&o->word), self, after, INT_MAX);
    return rc == 0 ? held : rc;
}
