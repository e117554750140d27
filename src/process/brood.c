/* brood.c: killing descendants.
 *
 * A child that is killed leaves its own children to the nearest subreaper above it,
 * which is us, also when they began a session of their own. So killing children and
 * waiting for them, until there are none, gets all. Stopping each first keeps a
 * child from forking while its brothers are being killed. */
#include "process/brood.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/confine.h"
#include "sys/census.h"

static void stop_child(void *ctx, pid_t child)
{
    (void)ctx;
    (void)kill(child, SIGSTOP);
}

static void kill_child(void *ctx, pid_t child)
{
    (void)ctx;
    (void)kill(child, SIGKILL);
}

static void kill_children(void)
{
    (void)mui_census_children(stop_child, NULL);
    (void)mui_census_children(kill_child, NULL);
}

void mui_brood_clear(void)
{
    siginfo_t info;

    do
        kill_children();
    while (waitid(P_ALL, 0, &info, WEXITED | __WALL) == 0 || errno == EINTR);
    mui_confine_fini();
}

void mui_brood_end(void)
{
    mui_brood_clear();
    _exit(0);
}
