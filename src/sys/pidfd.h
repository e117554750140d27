/* pidfd.h: a process by a descriptor, which never means another one that got its
 * number later. See pidfd_open(2). */
#ifndef MUI_SYS_PIDFD_H
#define MUI_SYS_PIDFD_H

#include <sys/types.h>

/* The descriptor, given, close-on-exec; or -errno. */
int mui_pidfd_open(pid_t pid);

/* 0; -ESRCH when it has ended and was waited for; -errno. Signal-safe. */
int mui_pidfd_kill(int pidfd, int signal);

#endif
