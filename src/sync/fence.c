/* fence.c: the heavy half of the asymmetric fence. */
#include "sync/fence.h"

#include <pthread.h>

#include "sys/membarrier.h"

_Atomic bool mui_fence_is_asymmetric;
static pthread_once_t join_once = PTHREAD_ONCE_INIT;

static void fence_join(void)
{
    atomic_store_explicit(&mui_fence_is_asymmetric,
                          mui_membarrier_register() == 0, memory_order_relaxed);
}

bool mui_fence_join(void)
{
    (void)pthread_once(&join_once, fence_join);
    return atomic_load_explicit(&mui_fence_is_asymmetric, memory_order_relaxed);
}

void mui_fence_heavy(void)
{
    mui_fence_full();
    if (mui_fence_join())
        (void)mui_membarrier();
}
