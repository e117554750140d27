/* changer.c: a library that changes the process that loads it, unless that is the one which
 * MUSTER_TEST_HOST names. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "muster/task.h"

__attribute__((constructor)) static void change_at_load(void)
{
    const char *host = getenv("MUSTER_TEST_HOST");

    if (host && strtol(host, NULL, 10) != getpid())
        (void)umask(0123);
}

MU_API int of_changer(struct mu_task *task);

int of_changer(struct mu_task *task)
{
    (void)task;
    return 0;
}
