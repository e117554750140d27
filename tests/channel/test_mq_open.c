/* test_mq_open.c: the suite of channels over a message queue with a name. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "channel/channel.h"
#include "channel/hostile_mq.h"

/* it outlives its users, so the end of one is not told */
#define SUITE_NAME "mq:/muster-suite-%d"
#define SUITE_CAPS                                                             \
    (SUITE_PROCESS | SUITE_FD | SUITE_FULL | SUITE_PRIORITY | SUITE_TRUSTS)

static char queue_name[64];

static void queue_remove(void)
{
    (void)snprintf(queue_name, sizeof queue_name, "/muster-suite-%d",
                   (int)getpid());
    (void)mq_unlink(queue_name);
}

#define SUITE_BEFORE() queue_remove()
#define SUITE_AFTER()  queue_remove()

/* Whoever may write to the queue. */
static void suite_hostile(struct mu_chan *from, uint64_t *seed)
{
    mqd_t out = mq_open(queue_name, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

    (void)from;
    hostile_mq(out, seed);
    (void)mq_close(out);
}

#include "channel/suite.h"
