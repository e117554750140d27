/* brood.h: whatever descends from this process, down to the last orphan. Needs a
 * process that is a child subreaper and has one thread. */
#ifndef MUI_PROCESS_BROOD_H
#define MUI_PROCESS_BROOD_H

#include <sys/types.h>

/* Send a signal to a child and to all that descends from it, where the kernel tells;
 * else to the child, and those below become ours when it dies. */
void mui_brood_signal(pid_t child, int signal);

/* Kill all descendants, wait for them, remove their control groups. */
void mui_brood_clear(void);

/* The same, and end this process. */
_Noreturn void mui_brood_end(void);

#endif
