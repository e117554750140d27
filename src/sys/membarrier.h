/* membarrier.h: a full fence in the threads of others. See membarrier(2). */
#ifndef MUI_SYS_MEMBARRIER_H
#define MUI_SYS_MEMBARRIER_H

/* Let this process be fenced by mui_membarrier(). 0 or -errno. */
int mui_membarrier_register(void);

/* A full fence in every running thread of every process that registered, and
 * here. 0 or -errno. */
int mui_membarrier(void);

#endif
