/* filter.h: what system calls a worker process may make: filters of seccomp, by
 * libseccomp, which is used here alone, and loaded when it is first needed.
 *
 * A filter is for good, and for whatever the worker starts. A call that it refuses is a
 * trap, not a kill: the handler of SIGSYS names the call and where it came from. */
#ifndef MUI_PROCESS_FILTER_H
#define MUI_PROCESS_FILTER_H

#include <stddef.h>

struct seccomp_notif;
struct seccomp_notif_resp;

/* Load the library: before what follows, but the name. 0 or -errno. */
int mui_filter_load(void);

/* Also in the nursery, before it forks: a worker has it then. 0 or -errno. */
int mui_filter_load_ahead(void);

/* Refuse what `flags` name (MU_SANDBOX_NO_NETWORK, MUI_SANDBOX_FILES, MUI_SANDBOX_NO_WRITING),
 * and rings, which could do it unseen. 0 or -errno. */
int mui_filter_refuse(unsigned flags);

/* Refuse all but computing, in all threads (MU_SANDBOX_PURE; `flags`:
 * MUI_SANDBOX_MOVES). 0 or -errno. */
int mui_filter_refuse_all(unsigned flags);

/* Hold calls of these numbers until somebody lets them go on. The descriptor that
 * tells of them, the only one, given, or -errno; what it takes to be told and to answer
 * is given too. */
int mui_filter_hold(const int *numbers, size_t n,
                    struct seccomp_notif **ret_request,
                    struct seccomp_notif_resp **ret_response);

/* The name of a call, given, to be freed with free(). NULL: it is not known. */
char *mui_filter_call_name(int number);

#endif
