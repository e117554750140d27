/* lines.c: what the suite runs on each line of a pipe: its length. */
#include <muster/task.h>

int length(struct mu_task *task)
{
    size_t size;

    (void)mu_task_input(task, &size);
    return mu_task_printf(task, "%zu\n", size);
}
