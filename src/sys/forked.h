/* forked.h: tell a process from its children by fork(), without a system call. */
#ifndef MUI_SYS_FORKED_H
#define MUI_SYS_FORKED_H

#include <stdint.h>

/* Counts the fork() calls between the program's start and this process, as far as
 * they came after the first call of this function. Keep it with an object and
 * compare: another value means that this is a child. Thread-safe. */
uint32_t mui_forked(void);

#endif
