/* log_file.h: the file of a test of logs, which is there for as long as the test. */
#ifndef TEST_CHANNEL_LOG_FILE_H
#define TEST_CHANNEL_LOG_FILE_H

#include <stdio.h>
#include <unistd.h>

#include "muster/channel.h"

#include "support/check.h"

static char path[64];
static char address[80];

static int log_begin(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/muster-test-%d.log", (int)getpid());
    (void)snprintf(address, sizeof address, "file:%s", path);
    (void)unlink(path);
    return 0;
}

static int log_end(void **state)
{
    (void)state;
    (void)unlink(path);
    return 0;
}

static struct mu_chan *writer_open(enum mu_chan_sync sync)
{
    struct mu_chan_options options = {.sync = sync};
    struct mu_chan *c;

    CHECK_CHILD(mu_chan_connect(address, &options, MU_NOW, &c, NULL) == 0);
    return c;
}

#endif
