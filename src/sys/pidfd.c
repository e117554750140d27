/* pidfd.c: the pidfd system calls. */
#include "sys/pidfd.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/descriptor.h"

int mui_pidfd_open(pid_t pid)
{
    return mui_descriptor_above_stdio((int)syscall(SYS_pidfd_open, pid, 0));
}

int mui_pidfd_kill(int pidfd, int signal)
{
    int saved = errno;
    int rc = 0;

    if (syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0)
        rc = -errno;
    errno = saved;
    return rc;
}
