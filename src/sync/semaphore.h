/* semaphore.h: a counting semaphore on a futex, for threads of one process.
 *
 * A post is never lost: it stays in the count until a waiter takes it. */
#ifndef MUI_SYNC_SEMAPHORE_H
#define MUI_SYNC_SEMAPHORE_H

#include <stdatomic.h>
#include <stdint.h>

struct mui_semaphore {
    _Atomic uint32_t count; /* any thread writes; 0: waiters sleep */
};

/* Let n waiters through, those that come later included. Any thread. */
void mui_semaphore_post(struct mui_semaphore *s, uint32_t n);

/* Take one, sleeping until there is one. What came before the post is seen after
 * the wait. Blocks. */
void mui_semaphore_wait(struct mui_semaphore *s);

#endif
