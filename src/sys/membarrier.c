/* membarrier.c: the membarrier system call. */
#include "sys/membarrier.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

int mui_membarrier_register(void)
{
    long rc =
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0);

    return rc < 0 ? -errno : 0;
}

int mui_membarrier(void)
{
    long rc = syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);

    return rc < 0 ? -errno : 0;
}
