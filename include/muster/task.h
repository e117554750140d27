/* task.h: what a task sees: bytes in, bytes out.
 *
 *     int count_lines(struct mu_task *t)
 *     {
 *         size_t n_lines = 0, size;
 *         const char *text = mu_task_input(t, &size);
 *
 *         for (size_t i = 0; i < size; i++)
 *             n_lines += text[i] == '\n';
 *         return mu_task_printf(t, "%zu\n", n_lines);
 *     }
 *
 * A task is one call of such a function on one input. It runs once, or again
 * when retries are asked for and the attempt before it did not end well, or when
 * another task ended the process that both were in (`processes/threads`: those that
 * ran beside it, and those that began before the process was killed). It has one
 * outcome; what it does besides its output can happen twice. It may keep no pointer
 * that it got from its task after it returns.
 *
 * A task of C++ lets no exception out. One that leaves it ends the task, crashed by
 * SIGABRT, under a model that isolates, and the program under `threads`; under `serial` it
 * would unwind the pool's own calls, which is undefined.
 *
 * Context of every call below: inside the task, on the thread that runs it, and not
 * in a signal handler. They work alike under every model. */
#ifndef MUSTER_TASK_H
#define MUSTER_TASK_H

#include "muster/base.h"

MU_BEGIN_DECLS

struct mu_task;

/* Returns 0 when the task is done; any other value is the task's own error code
 * and makes its outcome `failed`. That has the output too: a task can write there why,
 * after mu_task_truncate(task, 0) if it has written anything else. */
typedef int (*mu_task_fn)(struct mu_task *task);

/* The input.
 * ret_size  optional: its size in bytes
 * Returns   lent until the task returns; never NULL, also for 0 bytes. Read-only:
 *           under `processes` a write to it is a crash, but where a small file was read
 *           (mu_submit.path). A byte of 0 follows it that is not counted, but for what was
 *           lent (MU_SUBMIT_BORROW): text can be read as a string. What the pool copied,
 *           an input or a part, is aligned to 8 bytes */
MU_API const void *mu_task_input(const struct mu_task *task, size_t *ret_size);

/* The parts of an input that has several, as a reduce step has: see mu_reduce().
 * An ordinary input is one part. */
MU_API size_t mu_task_n_parts(const struct mu_task *task);
MU_API const void *mu_task_part(const struct mu_task *task, size_t i_part,
                                size_t *ret_size);

/* The bytes that the pool was opened with for all its tasks: options.arg.
 * Returns   lent until the task returns, a byte of 0 behind it, not counted; NULL
 *           when there are none */
MU_API const void *mu_task_arg(const struct mu_task *task, size_t *ret_size);

/* Append `size` bytes to the output.
 * Returns   0; -ENOMEM or -EFBIG: nothing was appended */
MU_API int mu_task_write(struct mu_task *task, const void *bytes, size_t size);

/* Append text, formatted as printf does.
 * Returns   0; -ENOMEM, -EFBIG, or -EINVAL for a bad format: nothing appended */
MU_API int mu_task_printf(struct mu_task *task, const char *format, ...)
    MU_PRINTF(2, 3);

/* Make room for `size` more bytes of output, to be written in place.
 * Returns   lent until the next call on this task's output; NULL when there is
 *           no memory, or the output would be larger than mu_pool_options.output_bytes */
MU_API void *mu_task_reserve(struct mu_task *task, size_t size);

/* Append the first `size` bytes of the room that was reserved last.
 * Returns   0; -EINVAL when that is less: nothing was appended */
MU_API int mu_task_commit(struct mu_task *task, size_t size);

/* The bytes of output so far, and how to take some back. */
MU_API size_t mu_task_output_size(const struct mu_task *task);
MU_API void mu_task_truncate(struct mu_task *task, size_t size);

/* The number that the submitter gave it: mu_submit.tag. */
MU_API uint64_t mu_task_tag(const struct mu_task *task);

/* Which attempt this is: 1 for the first; 65535 stands for that and more. */
MU_API unsigned mu_task_attempt(const struct mu_task *task);

/* The worker that runs it: 0 .. mu_pool_width() - 1. */
MU_API unsigned mu_task_worker(const struct mu_task *task);

/* Whether somebody asked for this task to stop: mu_pool_cancel(), or the pool is
 * closing. A long task looks now and then, and returns when it is so.
 * Cost      one load */
MU_API int mu_task_is_cancelled(const struct mu_task *task);

MU_END_DECLS

#endif
