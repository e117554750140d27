/* test_fifo.c: the suite of channels over a named pipe. */
#include <stdio.h>
#include <unistd.h>

#include "channel/hostile_fd.h"
#include "channel/stream.h"

#define SUITE_NAME "fifo:/tmp/muster-suite-%d.fifo"
#define SUITE_CAPS                                                             \
    (SUITE_ENDS | SUITE_PROCESS | SUITE_FD | SUITE_FULL | SUITE_STREAM)

static void fifo_remove(void)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/tmp/muster-suite-%d.fifo",
                   (int)getpid());
    (void)unlink(path);
}

#define SUITE_BEFORE() fifo_remove()
#define SUITE_AFTER()  fifo_remove()

static void suite_hostile(struct mu_chan *from, uint64_t *seed)
{
    hostile_write(mui_stream_of(from)->out_fd, seed, 0x6d750001, 2, 1);
}

#include "channel/suite.h"
