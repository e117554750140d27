/* lastwords.h: what the command says and saves when it ends in the middle of a task,
 * under a model that does not isolate: the task crashed, called exit() or
 * pthread_exit(), or a person would not wait for it any longer. */
#ifndef CLI_LASTWORDS_H
#define CLI_LASTWORDS_H

#include <stddef.h>

#include "muster/task.h"

#include "flight.h"

/* What saves the outputs of tasks that have ended, and reports. Called once, when the
 * main thread is not at work on them: on it, or while it stands still in a task. */
typedef void (*lastwords_save_fn)(void *ctx);

/* Where it is told which task ended the process, for who runs the command to say: the
 * memory may be shared with that. */
struct lastwords_note {
    char *words; /* [size] */
    size_t size;
};

/* From now on a task of `pool` that ends the process is named, and those that ran
 * beside it; what has ended is saved, and the process ends: of the signal, or with
 * status 255. `flights` says what the inputs were; `save` is optional; with a `note`
 * nothing is said. All is borrowed until lastwords_disarm(). Main thread.
 * Returns   0, or -1 after saying why not */
int lastwords_arm(const struct mu_pool *pool, const struct flights *flights,
                  lastwords_save_fn save, void *ctx,
                  const struct lastwords_note *note);
void lastwords_disarm(void);

/* The function to submit instead of fn: it notices pthread_exit(). One function at a
 * time; fn itself when nothing is armed. */
mu_task_fn lastwords_guard(mu_task_fn fn);

/* Save, if a thread asks for it that is about to end the process; it then does not
 * return. Main thread, wherever it is woken by wakeup_ring(). */
void lastwords_heed(void);

/* Save, and end with status 255: nobody waits for what runs. Main thread. */
_Noreturn void lastwords_leave(void);

/* The same from a signal handler, when the main thread is in a task: else it returns,
 * for the main thread will look itself. */
void lastwords_leave_task(void);

#endif
