/* task.c: what a task sees: muster/task.h. */
#include "layer/task.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const void *mu_task_input(const struct mu_task *task, size_t *ret_size)
{
    if (ret_size)
        *ret_size = task->input_size;
    return task->input;
}

size_t mu_task_n_parts(const struct mu_task *task)
{
    return task->parts ? (size_t)task->parts->n : 1;
}

const void *mu_task_part(const struct mu_task *task, size_t i_part,
                         size_t *ret_size)
{
    const uint8_t *at = task->input;

    if (i_part >= mu_task_n_parts(task))
        return NULL;
    if (!task->parts)
        return mu_task_input(task, ret_size);
    for (size_t i = 0; i < i_part; i++)
        at += mui_part_room(task->parts->sizes[i]);
    if (ret_size)
        *ret_size = (size_t)task->parts->sizes[i_part];
    return at;
}

const void *mu_task_arg(const struct mu_task *task, size_t *ret_size)
{
    if (ret_size)
        *ret_size = task->terms->arg_size;
    return task->terms->arg;
}

void *mu_task_reserve(struct mu_task *task, size_t size)
{
    int rc;
    void *room = mui_output_room(&task->output, size, &rc);

    task->reserved = room ? size : 0;
    return room;
}

int mu_task_commit(struct mu_task *task, size_t size)
{
    if (size > task->reserved)
        return -EINVAL;
    task->reserved = 0;
    task->output.size += size;
    return 0;
}

int mu_task_write(struct mu_task *task, const void *bytes, size_t size)
{
    int rc;
    uint8_t *room = mui_output_room(&task->output, size, &rc);

    task->reserved = 0;
    if (!room)
        return rc;
    if (size)
        memcpy(room, bytes, size);
    task->output.size += size;
    return 0;
}

/* What fills the output to its last byte: there is no room for the 0 behind it. */
__attribute__((format(printf, 2, 0))) static int print_apart(
    struct mu_task *task, const char *format, va_list args)
{
    char *text;
    int length = vasprintf(&text, format, args);
    int rc;

    if (length < 0)
        return -ENOMEM;
    rc = mu_task_write(task, text, (size_t)length);
    free(text);
    return rc;
}

int mu_task_printf(struct mu_task *task, const char *format, ...)
{
    enum { GUESS = 128 };
    size_t left = task->output.limit - task->output.size;
    int size = left < GUESS ? (int)left : GUESS;
    int length;
    int rc;

    task->reserved = 0;
    for (;;) {
        uint8_t *room = mui_output_room(&task->output, (size_t)size, &rc);
        va_list args;

        if (!room)
            return rc;
        va_start(args, format);
        length = vsnprintf((char *)room, (size_t)size, format, args);
        va_end(args);
        if (length < 0)
            return -EINVAL;
        if (length < size)
            break;
        if ((size_t)length == left) {
            va_start(args, format);
            rc = print_apart(task, format, args);
            va_end(args);
            return rc;
        }
        size = length + 1;
    }
    task->output.size += (size_t)length;
    return 0;
}

size_t mu_task_output_size(const struct mu_task *task)
{
    return task->output.size;
}

void mu_task_truncate(struct mu_task *task, size_t size)
{
    task->reserved = 0;
    if (size < task->output.size)
        task->output.size = size;
}

uint64_t mu_task_tag(const struct mu_task *task)
{
    return task->tag;
}

unsigned mu_task_attempt(const struct mu_task *task)
{
    return task->attempt;
}

unsigned mu_task_worker(const struct mu_task *task)
{
    return mui_lane_number(task->lane);
}

int mu_task_is_cancelled(const struct mu_task *task)
{
    return mui_lane_is_cancelled(task->lane, task->index);
}
