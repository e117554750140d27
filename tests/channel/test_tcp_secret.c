/* test_tcp_secret.c: the suite of channels over TCP with a shared secret. */
#include "muster/channel.h"

#include "channel/hostile_fd.h"
#include "channel/stream.h"

#define SUITE_FREE_NAME "tcp:127.0.0.1:0"
#define SUITE_CAPS                                                             \
    (SUITE_DUPLEX | SUITE_ENDS | SUITE_PROCESS | SUITE_FD | SUITE_FULL |       \
     SUITE_STREAM | SUITE_ACCEPT)
#define SUITE_OPTIONS(o)                                                       \
    do {                                                                       \
        (o).secret = "0123456789abcdef";                                       \
        (o).secret_size = 16;                                                  \
    } while (0)

static int secret_is_there(void)
{
    struct mu_chan_options options = {.secret_size = 0};
    struct mu_chan *c;
    int rc;

    SUITE_OPTIONS(options);
    rc = mu_chan_open(SUITE_FREE_NAME, &options, &c, NULL);
    if (rc == 0)
        mu_chan_free(c);
    return rc == 0;
}

#define SUITE_IS_THERE() secret_is_there()

static void suite_hostile(struct mu_chan *from, uint64_t *seed)
{
    hostile_write(mui_stream_of(from)->out_fd, seed, 0x6d750001, 2, 1);
}

#include "channel/suite.h"
