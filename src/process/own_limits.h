/* own_limits.h: guardian and nursery keep the resource limits that they began with. */
#ifndef MUI_PROCESS_OWN_LIMITS_H
#define MUI_PROCESS_OWN_LIMITS_H

/* These are the limits of this process and of those that it forks. */
void mui_own_limits_note(void);

/* Set back what somebody has changed of them. Where that is not allowed this process
 * ends as one that is killed, and another takes its place. 16 quick system calls. */
void mui_own_limits_keep(void);

#endif
