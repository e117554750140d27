/* base.h: what every other header of muster stands on: visibility, status
 * numbers, errors for people, and the one clock.
 *
 * Every call that can fail returns a status:
 *   0      it is done
 *   > 0    an answer that the direct caller handles (enum below)
 *   < 0    an error: a negated errno, or an MU_E... below -4095
 * Data leaves through the parameters named ret_..., written on success only.
 * A pointer may be NULL only where its call says so. */
#ifndef MUSTER_BASE_H
#define MUSTER_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#    define MU_BEGIN_DECLS extern "C" {
#    define MU_END_DECLS   }
#else
#    define MU_BEGIN_DECLS
#    define MU_END_DECLS
#endif

#if defined(__GNUC__)
#    define MU_API               __attribute__((visibility("default")))
#    define MU_NODISCARD         __attribute__((warn_unused_result))
#    define MU_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#    define MU_API
#    define MU_NODISCARD
#    define MU_PRINTF(fmt, args)
#endif

#define MU_VERSION_MAJOR 0
#define MU_VERSION_MINOR 1
#define MU_VERSION_PATCH 0

/* An absolute time that never comes, and one that has always passed. */
#define MU_NEVER INT64_MAX
#define MU_NOW   INT64_C(0)

MU_BEGIN_DECLS

/* Answers: positive, handled by the direct caller. */
enum mu_answer {
    MU_OK = 0,
    MU_FULL = 1,      /* no room now: try again later */
    MU_EMPTY = 2,     /* nothing there, and nothing on its way */
    MU_CLOSED = 3,    /* the other side has finished */
    MU_TIMEOUT = 4,   /* the deadline passed first */
    MU_OWNER_DIED = 5 /* the lock is yours, its last owner died holding it */
};

/* Errors that no errno names. */
enum mu_errno {
    MU_ECRASHED = -4096, /* a worker, or who was on the other side, died */
    MU_ECORRUPT = -4097, /* memory or a file holds what no honest peer writes */
    MU_EMODEL = -4098, /* the model is unknown, or cannot give what is asked */
    MU_EINIT = -4099   /* mu_init() was needed and not called in time */
};

/* The sentence for a person that goes with an error. Every call that takes one
 * accepts NULL. */
struct mu_error {
    int code;       /* what the call returned */
    char text[500]; /* one line, no newline at its end */
};

/* Describe a status.
 * status    any return value of this library
 * Returns   a string that lives for ever: "no room now", "Permission denied"
 * Context   anywhere but a signal handler; any thread
 * Models    all */
MU_API const char *mu_status_text(int status);

/* The time, in nanoseconds since an arbitrary start: CLOCK_MONOTONIC, on which
 * every deadline of this library is measured.
 * Context   anywhere, signal handlers too
 * Models    all; processes of one machine share the clock */
MU_API int64_t mu_now_ns(void);

/* The deadline that lies `delay_ns` after now, without overflow.
 * delay_ns  nanoseconds; below 0 counts as 0
 * Models    all */
MU_API int64_t mu_after_ns(int64_t delay_ns);

/* The version of the library in use: "0.1.0". It lives for ever. */
MU_API const char *mu_version(void);

MU_END_DECLS

#endif
