/* flow.c: the lane of a thread. */
#include "sys/flow.h"

#include <pthread.h>
#include <stddef.h>

/* initial-exec: no memory is allocated at the first access, so that a signal
 * handler may read it. */
static _Thread_local const void *flow_lane
    __attribute__((tls_model("initial-exec")));

static _Thread_local uintptr_t flow_floor
    __attribute__((tls_model("initial-exec")));

/* A key with a destructor is how a thread's end is seen. */
static pthread_key_t watch_key;
static void (*watch_died)(void);

static void flow_ended(void *lane)
{
    (void)lane;
    if (flow_lane)
        watch_died();
}

int mui_flow_watch(void (*died)(void))
{
    watch_died = died;
    return -pthread_key_create(&watch_key, flow_ended);
}

void mui_flow_lost(const void *lane)
{
    flow_lane = lane;
    if (watch_died)
        watch_died();
}

__attribute__((noinline)) void mui_flow_serve(const void *lane)
{
    if (watch_died && !flow_lane && lane)
        (void)pthread_setspecific(watch_key, lane);
    flow_lane = lane;
    /* not __builtin_frame_address(): on Arm that is the lower end of our own frame */
    flow_floor = (uintptr_t)__builtin_dwarf_cfa();
}

const void *mui_flow_lane(void)
{
    return flow_lane;
}

uintptr_t mui_flow_floor(uintptr_t sp)
{
    /* a function that keeps no frame of its own has less below the floor than the
     * frame that mui_flow_serve() had, or nothing */
    return sp <= flow_floor ? flow_floor : 0;
}
