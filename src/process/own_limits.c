/* own_limits.c: a task may call prlimit() for its parent, for both are the same user's.
 * Workers inherit from the nursery: they could not be forked, or innocents would have no
 * memory, CPU time or descriptors. What was lowered can be raised again up to the hard
 * limit. Who has lost that, and not the right to raise it, is of no use any more. */
#include "process/own_limits.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

static struct rlimit limits[RLIM_NLIMITS];

void mui_own_limits_note(void)
{
    for (int i = 0; i < RLIM_NLIMITS; i++)
        (void)getrlimit((__rlimit_resource_t)i, &limits[i]);
}

void mui_own_limits_keep(void)
{
    struct rlimit now;

    for (int i = 0; i < RLIM_NLIMITS; i++)
        if (getrlimit((__rlimit_resource_t)i, &now) == 0 &&
            (now.rlim_cur != limits[i].rlim_cur ||
             now.rlim_max != limits[i].rlim_max) &&
            setrlimit((__rlimit_resource_t)i, &limits[i]) < 0)
            (void)kill(getpid(), SIGKILL);
}
