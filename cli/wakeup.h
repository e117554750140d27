/* wakeup.h: what wakes the main thread while it waits: bytes that arrived on a
 * pipe, or SIGINT and SIGTERM.
 *
 * The main thread waits in one of two places: in the pool, as long as tasks run,
 * or in wakeup_wait(), when only more input can bring something to do. A ring is
 * kept for the one that waits next, so none is lost; a waiter may be woken for
 * nothing and looks again. */
#ifndef CLI_WAKEUP_H
#define CLI_WAKEUP_H

#include <stdint.h>

struct mu_pool;

/* Before anything else of these. */
void wakeup_init(void);

/* Count SIGINT and SIGTERM from now on instead of dying of them. At the second
 * `on_second` is called in the handler. */
void wakeup_catch_signals(void (*on_second)(void));

/* Whether a signal is ignored, as nohup has it: blocked, it would be heard nonetheless. */
int wakeup_is_ignored(int signal);

/* How many of them came. One: take no more inputs. Two: stop what runs. A third
 * ends the process as if it had not been caught. */
int wakeup_n_signals(void);

/* The pool that the main thread may be waiting in; NULL for none. Borrowed until
 * the next call returns: nobody rings in it any more then. */
void wakeup_set_pool(struct mu_pool *pool);

/* Wake the main thread. Any thread; signal handlers. */
void wakeup_ring(void);

/* Wait for a ring. Main thread. */
void wakeup_wait(void);

/* The same, until `deadline` (as mu_now_ns() tells the time) at the latest. */
void wakeup_wait_until(int64_t deadline);

#endif
