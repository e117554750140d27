/* error.h: the one way to say why a call failed. */
#ifndef MUI_BASE_ERROR_H
#define MUI_BASE_ERROR_H

#include <assert.h>

#include "muster/base.h"

/* mu_status_text(), or NULL for what is no status. */
const char *mui_status_words(int status);

/* Fill `err` (which may be NULL) and return `code`, which is an error: below 0.
 * For an errno in `code` its text is appended: "shm: map 4096 bytes: Cannot
 * allocate memory". Borrows all. Any thread; not in a signal handler.
 * A macro, so that who reads the caller, compiler and analysers too, sees that
 * what it returns is not 0. */
#define mui_fail(err, code, ...) /* NOLINT: reads as a call */                 \
    (__extension__({                                                           \
        int fail_code_ = (code);                                               \
                                                                               \
        mui_error_say((err), fail_code_, __VA_ARGS__);                         \
        assert(fail_code_ < 0);                                                \
        fail_code_;                                                            \
    }))
void mui_error_say(struct mu_error *err, int code, const char *format, ...)
    MU_PRINTF(3, 4);

#endif
