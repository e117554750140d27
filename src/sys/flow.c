/* flow.c: the lane of a thread. */
#include "sys/flow.h"

#include <stddef.h>

/* initial-exec: no memory is allocated at the first access, so that a signal
 * handler may read it. */
static _Thread_local const void *flow_lane
    __attribute__((tls_model("initial-exec")));

static _Thread_local uintptr_t flow_frame
    __attribute__((tls_model("initial-exec")));

__attribute__((noinline)) void mui_flow_serve(const void *lane)
{
    flow_lane = lane;
    flow_frame = (uintptr_t)__builtin_frame_address(0);
}

const void *mui_flow_lane(void)
{
    return flow_lane;
}

uintptr_t mui_flow_floor(uintptr_t sp)
{
    /* saved by mui_flow_serve(): the caller's frame, where it returns to */
    enum { FRAME_RECORD = 2 * sizeof(void *) };

    return flow_frame && sp < flow_frame ? flow_frame + FRAME_RECORD : 0;
}
