/* brood.h: whatever descends from this process, down to the last orphan. Needs a
 * process that is a child subreaper and has one thread. */
#ifndef MUI_PROCESS_BROOD_H
#define MUI_PROCESS_BROOD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sys/message.h"

/* Send a signal to a child and to all that descends from it, where the kernel tells;
 * else to the child, and those below become ours when it dies. */
void mui_brood_signal(pid_t child, int signal);

/* What poll() or the like returned: whether it is of use. When it never is any more,
 * this process ends, as below. */
bool mui_brood_heard(int rc);

/* The message that poll() told of, as mui_message_receive(). When there is never any,
 * although poll() tells of one, this process ends, as below. */
int mui_brood_receive(int fd, struct mui_message *message);

/* The next that ended or stopped, and the CPU time that one used which ended. False: none,
 * by now. Ends this process, as below, where waiting is refused. */
bool mui_brood_wait(siginfo_t *ret_info, int64_t *ret_cpu_ns);

/* Kill all descendants, wait for them, remove their control groups. */
void mui_brood_clear(void);

/* The same, and end this process. */
_Noreturn void mui_brood_end(void);

#endif
