/* error.c: statuses in words, and errors for people. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const answer_texts[] = {
    [MU_OK] = "done",
    [MU_FULL] = "no room now",
    [MU_EMPTY] = "nothing there",
    [MU_CLOSED] = "closed by the other side",
    [MU_TIMEOUT] = "the deadline passed",
    [MU_OWNER_DIED] = "the lock's last owner died holding it",
};

static const char *const errno_texts[] = {
    [-4096 - MU_ECRASHED] = "a worker, or who was on the other side, died",
    [-4096 - MU_ECORRUPT] = "damaged, or not written by muster",
    [-4096 - MU_EMODEL] = "the model is unknown or cannot give this",
    [-4096 - MU_EINIT] = "mu_init() was not called in time",
};

#define N_OF(array) (sizeof(array) / sizeof(array)[0])

const char *mui_status_words(int status)
{
    if (status >= 0)
        return (size_t)status < N_OF(answer_texts) ? answer_texts[status]
                                                   : NULL;
    if (status > -4096)
        return strerrordesc_np(-status);
    return (size_t)(-4096 - status) < N_OF(errno_texts)
               ? errno_texts[-4096 - status]
               : NULL;
}

const char *mu_status_text(int status)
{
    const char *words = mui_status_words(status);

    return words ? words : "unknown status";
}

/* What to look at, behind the errors that limits of the shell make. */
static const char *limit_text(int code)
{
    switch (-code) {
    case EMFILE:
        return ": is ulimit -n too low?";
    case EFBIG:
        return ": is ulimit -f too low? Memory that processes share counts";
    case ENOMEM:
        return ": is ulimit -v or -d too low?";
    case EAGAIN:
        return ": is ulimit -u, -v or -d too low, or a container's limit on "
               "processes?";
    default:
        return "";
    }
}

void mui_error_say(struct mu_error *err, int code, const char *format, ...)
{
    va_list args;
    int length;

    if (!err)
        return;
    err->code = code;
    va_start(args, format);
    length = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (length < 0)
        err->text[0] = '\0';
    else if (code < 0 && code > -4096 && (size_t)length < sizeof err->text)
        (void)snprintf(err->text + length, sizeof err->text - (size_t)length,
                       ": %s%s", mu_status_text(code), limit_text(code));
}

const char *mu_version(void)
{
#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
    return TEXT(MU_VERSION_MAJOR) "." TEXT(MU_VERSION_MINOR) "." TEXT(
        MU_VERSION_PATCH);
}
