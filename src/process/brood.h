/* brood.h: whatever descends from this process, down to the last orphan. Needs a
 * process that is a child subreaper and has one thread. */
#ifndef MUI_PROCESS_BROOD_H
#define MUI_PROCESS_BROOD_H

/* Kill every child there is now. Those of theirs become ours as they die. */
void mui_brood_kill(void);

/* Kill all descendants, wait for them, remove their control groups, and end this
 * process. */
_Noreturn void mui_brood_end(void);

#endif
