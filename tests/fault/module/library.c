/* library.c: a library that the program loads late; what happens as it is loaded is the
 * program's to say. */
#include "muster/task.h"

void on_load(void);

__attribute__((constructor)) static void load(void)
{
    on_load();
}

MU_API int of_library(struct mu_task *t);

int of_library(struct mu_task *t)
{
    return mu_task_printf(t, "here");
}
