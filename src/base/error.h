/* error.h: the one way to say why a call failed. */
#ifndef MUI_BASE_ERROR_H
#define MUI_BASE_ERROR_H

#include "muster/base.h"

/* Fill `err` (which may be NULL) and return `code`. For an errno in `code` its
 * text is appended: "shm: map 4096 bytes: Cannot allocate memory". Borrows all.
 * Any thread; not in a signal handler. */
int mui_fail(struct mu_error *err, int code, const char *format, ...)
    MU_PRINTF(3, 4);

#endif
