/* populate.h: pages of a shared mapping, to be had before anything is stored to them. */
#ifndef MUI_SYS_POPULATE_H
#define MUI_SYS_POPULATE_H

#include <stddef.h>

/* Have the pages of these bytes there, which may be in use by others meanwhile. To store
 * to one that is not to be had, because the file system of the file is full, is SIGBUS.
 * 0; -ENOMEM: not all are to be had, but some may have been taken. */
int mui_populate(void *at, size_t bytes);

/* Give back the pages that lie in these bytes, as a whole: they are 0 from now on. */
void mui_unpopulate(void *at, size_t bytes);

#endif
