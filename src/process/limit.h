/* limit.h: what a worker process may use, kept by the kernel: setrlimit(), and control
 * groups where they can be had (process/confine.h). */
#ifndef MUI_PROCESS_LIMIT_H
#define MUI_PROCESS_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "muster/base.h"
#include "muster/pool.h"

/* Zeros: no limit. See muster/pool.h. */
struct mui_limits {
    uint64_t
        memory_bytes; /* beyond what the worker has before its first task */
    int64_t cpu_ns;
    uint64_t file_bytes;
    unsigned open_files;
    unsigned processes;
    unsigned own_processes; /* of the pool itself: threads, dying workers too */
    uint64_t group_bytes;   /* memory of the worker and its children together */
    unsigned recycle_tasks; /* not the kernel's: see worker.c */
    uint64_t recycle_bytes;
    unsigned sandbox;
    int strict;
};

/* Supervisor: whether they can be kept here. 0 or MU_EMODEL. */
int mui_limits_check(const struct mui_limits *limits, struct mu_error *err);

/* In a worker with one thread, before any sandbox: get ready. 0 or -errno. */
int mui_limits_init(const struct mui_limits *limits);

/* From now on. 0 or -errno. */
int mui_limits_begin(const struct mui_limits *limits);

/* In a worker where `processes` are limited, before a task: what others met at that limit is
 * not this one's. A system call. */
void mui_limits_forget(void);

/* In a worker, after a task that returned that code: what may have made it fail. */
enum mu_limit mui_limits_struck(int code);

extern _Atomic bool mui_limits_lacking_files;

/* Whether a task failed for want of a descriptor since this was asked last. */
static inline bool mui_limits_lacked_files(void)
{
    /* relaxed, here and there: whoever looks next looks for all */
    return atomic_load_explicit(&mui_limits_lacking_files,
                                memory_order_relaxed) &&
           atomic_exchange_explicit(&mui_limits_lacking_files, false,
                                    memory_order_relaxed);
}

/* Give the next task its CPU time; some system calls. False: so much is not left. */
bool mui_limits_renew_cpu(int64_t cpu_ns);

/* Supervisor: whether a worker that was killed when it had used so much was by that. */
bool mui_limits_cpu_was_used(const struct mui_limits *limits, int64_t used_ns);

/* Whether a task changed what there is of that to give: the hard limit, and where it is
 * not renewed the soft one. A system call. */
bool mui_limits_cpu_is_changed(void);

/* More than any process has. */
#define MUI_LIMITS_UNKNOWN UINT64_MAX

/* Private memory of this process now, with its stack; MUI_LIMITS_UNKNOWN when a task has
 * closed what tells, or nothing does. Signal-safe. */
uint64_t mui_limits_data_bytes(void);

/* Whether memory ran out: less than an eighth of what is allowed is left; or less than
 * half, when it looks as if malloc() has returned NULL. Signal-safe. */
bool mui_limits_is_short_of_memory(bool was_refused);

/* Descriptors that this process may have open. */
uint64_t mui_limits_files(void);

#endif
