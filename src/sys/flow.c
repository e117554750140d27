/* flow.c: the lane of a thread. */
#include "sys/flow.h"

#include <stddef.h>

/* initial-exec: no memory is allocated at the first access, so that a signal
 * handler may read it. */
static _Thread_local const void *flow_lane
    __attribute__((tls_model("initial-exec")));

void mui_flow_serve(const void *lane)
{
    flow_lane = lane;
}

const void *mui_flow_lane(void)
{
    return flow_lane;
}
