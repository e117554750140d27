/* pipe.c: two pipes, one each way, as wide as the system lets anybody make them. */
#include "sys/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "channel/channel.h"
#include "channel/stream.h"
#include "sys/descriptor.h"

static int pipe_pair(struct mu_chan *a, struct mu_chan *b, const char *rest,
                     struct mu_error *err)
{
    int there[2];
    int back[2];
    int rc;

    if (*rest != '\0')
        return mui_fail(err, -EINVAL,
                        "pipe: it has no name: fifo:PATH is a named pipe");
    rc = mui_descriptors_above_stdio(pipe2(there, O_CLOEXEC), there);
    if (rc < 0)
        return mui_fail(err, rc, "pipe: open");
    rc = mui_descriptors_above_stdio(pipe2(back, O_CLOEXEC), back);
    if (rc < 0) {
        (void)mui_fail(err, rc, "pipe: open");
        (void)close(there[0]);
        (void)close(there[1]);
        return rc;
    }
    mui_pipe_widen(there[1]);
    mui_pipe_widen(back[1]);
    mui_stream_init(mui_stream_of(a), &a->options, back[0], there[1], false);
    mui_stream_init(mui_stream_of(b), &b->options, there[0], back[1], false);
    a->can_send = a->can_recv = b->can_send = b->can_recv = true;
    return 0;
}

const struct mui_transport mui_transport_pipe = {
    .scheme = "pipe",
    .size = sizeof(struct mui_stream),
    .pair = pipe_pair,
    MUI_STREAM_SLOTS,
};
