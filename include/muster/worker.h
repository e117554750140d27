/* worker.h: long-lived workers, and who looks after them.
 *
 *     struct mu_worker_options how = {.kind = MU_WORKER_PROCESS, .name = "render"};
 *     struct mu_worker_exit exit;
 *     struct mu_worker *worker;
 *
 *     if (mu_worker_start(&how, render, &page, sizeof page, &worker, NULL) < 0 ||
 *         mu_worker_join(worker, MU_NEVER, &exit) != MU_OK)
 *         return 1;
 *     mu_worker_free(worker);
 *
 * A worker runs one function to its end, on a thread or in a process, by one word.
 * It talks through channels (muster/channel.h) and shared memory (muster/shared.h). */
#ifndef MUSTER_WORKER_H
#define MUSTER_WORKER_H

#include "muster/base.h"

MU_BEGIN_DECLS

struct mu_worker;

enum mu_worker_kind {
    MU_WORKER_THREAD = 0,
    /* Isolated, in a process group of its own; killed when the program ends. While the
     * program has one thread it is forked from it, and has a copy of its memory, arenas
     * and channels included; what it starts itself is its own to end. Later it is forked
     * by the nursery of mu_init(), which ends that with it: see mu_worker_start().
     * The kernel kills one that was forked from the program when the thread ends that
     * started it (PR_SET_PDEATHSIG): keep the first thread until they have ended. It does
     * not where the program calls exec(), which ends those of the nursery alone. And it
     * forgets to, in either case, when a worker changes its user or group, or runs a
     * program that does (set-user-ID): then let it call prctl() again. */
    MU_WORKER_PROCESS = 1,
    MU_WORKER_FIBER = 2 /* planned: MU_EMODEL today */
};

/* What a worker runs. On a thread all signals are blocked but those of faults, and so they
 * are in programs that it starts, unless it unblocks them first: a shell that waits for
 * its children by SIGCHLD may wait for ever.
 * arg       [size]: its own copy of the argument, 16-byte aligned
 * Returns   any number: it goes into the report */
typedef int (*mu_worker_fn)(void *arg, size_t size);

/* {0} is a thread with every default; new fields go to the end. */
struct mu_worker_options {
    enum mu_worker_kind kind;
    const char *name; /* seen in ps and top, cut to 15 bytes; copied */
    /* Above 0: bound to the cpu-th of the usable CPUs before fn runs; where that fails
     * the start does. */
    int cpu;
    /* Not 0: fn uses what this program has made, ends of channels, pointers, arenas
     * without a name. A process that could not have them is not started. */
    int inherits;
};

/* How a worker ended. */
enum mu_worker_end {
    MU_WORKER_RETURNED = 0, /* code is what fn returned */
    /* It ended its process itself: code is the status; 126 also when a process of the
     * nursery could not begin, for its function's library cannot be loaded there. Or its
     * thread, by pthread_exit(): code is 0. */
    MU_WORKER_EXITED,
    MU_WORKER_CRASHED, /* signal ended it */
    MU_WORKER_KILLED,  /* mu_worker_kill(), or SIGKILL from elsewhere */
    /* It has ended, and did not return; how is not known, for the program ignores
     * SIGCHLD or has waited for the process itself. */
    MU_WORKER_LOST
};

struct mu_worker_exit {
    enum mu_worker_end end;
    int code;
    int signal;
};

/* Start a worker.
 *
 * What a process has of the program depends on when it is started. While the program
 * has one thread, those that were joined aside: all, as after fork(): ends of
 * mu_chan_pair(), arenas, pointers. Once other threads run, no copy of the program can be
 * made safely, and it has its argument alone: no end of a pair, no channel that was open,
 * no arena without a name. Give it the address of a channel (mu_chan_address()) and the
 * name of an arena, and let it connect.
 * A program that wants the first starts its processes first, and says so in
 * options.inherits: then it is told where it would get the second.
 * arg       [size], copied; may be NULL when size is 0
 * Returns   0; MU_EMODEL for a fiber; -EINVAL when there is no such CPU; -errno, also
 *           when it cannot be bound to it. For a process when other threads run besides:
 *           MU_EINIT when mu_init() was never called; MU_EMODEL when it inherits; -EINVAL
 *           when fn lies in no loaded module, as what is made at run time; -EMFILE when
 *           256 pools and such processes are open, or no descriptor is left, as is
 *           known after a second
 * Context   not in a signal handler
 * Threads   any
 * Models    thread, process */
MU_API MU_NODISCARD int mu_worker_start(const struct mu_worker_options *options,
                                        mu_worker_fn fn, const void *arg,
                                        size_t size,
                                        struct mu_worker **ret_worker,
                                        struct mu_error *err);

/* Wait until it has ended. May be called again, and answers the same.
 * Returns   0; MU_TIMEOUT
 * Threads   one at a time */
MU_API MU_NODISCARD int mu_worker_join(struct mu_worker *worker,
                                       int64_t deadline,
                                       struct mu_worker_exit *ret_exit);

/* Kill it, now.
 * Returns   0, also when it has ended; MU_EMODEL for a thread that runs, which nothing
 *           can kill without harm: ask it (mu_worker_ask()), or let it be a process
 * Threads   any, also while another is in mu_worker_join() */
MU_API int mu_worker_kill(struct mu_worker *worker, struct mu_error *err);

/* Ask it to end: mu_worker_is_asked() is true in it from now on. */
MU_API void mu_worker_ask(struct mu_worker *worker);
/* In a worker: whether somebody asked. 0 elsewhere, and on threads that the worker has
 * started. Cost: one load. */
MU_API int mu_worker_is_asked(void);

/* Readable when it has ended, and now and then before, as when a process of the nursery was
 * stopped: mu_worker_join() with MU_NOW says which. Lent until free. */
MU_API int mu_worker_fd(const struct mu_worker *worker);
/* Its process id; 0 for a thread. */
MU_API int mu_worker_pid(const struct mu_worker *worker);
MU_API const char *mu_worker_name(const struct mu_worker *worker);

/* Give it back: a process that still runs is killed, a thread is asked and waited
 * for. Accepts NULL. A process that this program may not kill, because it has become
 * another user's, is waited for, however long it runs: ask it first. Not in a child of
 * fork(): the worker is its parent's, and would be killed for it. */
MU_API void mu_worker_free(struct mu_worker *worker);

/* "crashed: SIGSEGV", as snprintf. */
MU_API int mu_worker_describe(const struct mu_worker_exit *how, char *text,
                              size_t text_size);

/* ---- supervision, as Erlang/OTP has it -------------------------------------- */

/* Whom to start again with one that ended. */
enum mu_strategy {
    MU_ONE_FOR_ONE = 0, /* it alone */
    MU_ONE_FOR_ALL,     /* all: the others are stopped first */
    MU_REST_FOR_ONE     /* it and those that stand behind it */
};

/* When to start one again. */
enum mu_restart {
    MU_RESTART_ALWAYS = 0, /* "permanent" */
    MU_RESTART_FAILED,     /* "transient": unless it returned 0 */
    MU_RESTART_NEVER       /* "temporary" */
};
/* Where all or the rest are started again with another, one that had returned 0 is too;
 * one of MU_RESTART_NEVER is stopped and stays down. */

struct mu_child {
    struct mu_worker_options options;
    mu_worker_fn fn;
    const void *arg; /* [arg_size], copied */
    size_t arg_size;
    enum mu_restart restart;
    /* How long it may take to end after it was asked, before it is killed. Nothing can
     * kill a thread: one that is late is left behind and still runs, of which
     * mu_supervisor_stop() tells; where others were to be started again with it, the
     * supervisor gives up. 0: 5 seconds; below 0: killed at once; MU_NEVER: however long
     * it takes. */
    int64_t stop_ns;
    /* Optional: called besides mu_worker_ask(), once for each start, to close its
     * channel, say. */
    void (*stop)(void *ctx, struct mu_worker *worker);
    void *stop_ctx;
};

/* What happened. */
enum mu_event { MU_CHILD_STARTED = 0, MU_CHILD_ENDED, MU_CHILD_GIVEN_UP };
typedef void (*mu_event_fn)(void *ctx, enum mu_event event, size_t i_child,
                            struct mu_worker *worker,
                            const struct mu_worker_exit *how);

/* {0} is every default; new fields go to the end. */
struct mu_supervisor_options {
    enum mu_strategy strategy;
    /* More restarts than this, at most 1000, within period_ns: stop all and give up.
     * 0 and 0: OTP's 1 in 5 seconds; a period of 0 is 5 seconds. All that are started
     * again with one that ended are one restart. A start again that fails (no
     * descriptor, no memory) counts, and is tried again 10 ms later. */
    unsigned restarts_max;
    int64_t period_ns;
    /* Optional; called by start, run and stop. From run or stop it may call
     * mu_supervisor_stop(), but not run, nor free. */
    mu_event_fn event;
    void *event_ctx;
};

struct mu_supervisor;

/* Start the children, in order. When one cannot be started those before it are
 * stopped, and nothing is left.
 * Returns   0; what mu_worker_start() returned; -EINVAL when restarts_max is above
 *           1000 or the period below 0 */
MU_API MU_NODISCARD int mu_supervisor_start(
    const struct mu_supervisor_options *options,
    const struct mu_child *children, size_t n_children,
    struct mu_supervisor **ret_supervisor, struct mu_error *err);

/* Look after the children until the deadline: wait for ends, stop and start again. What
 * is due by then is done to its end, which may take longer: the stop_ns of each child that
 * is stopped for another, up to a second for a start that fails.
 * It has no thread of its own, so that children can be forked from this one.
 * Returns   MU_TIMEOUT; MU_CLOSED when no child is left; MU_ECRASHED when it gave up:
 *           too many restarts, and all were stopped; -errno
 * Threads   one at a time */
MU_API int mu_supervisor_run(struct mu_supervisor *supervisor,
                             int64_t deadline);

/* Stop the children in reverse order, each within its time; none is started again.
 * Returns   0; MU_TIMEOUT when a thread did not end in its time: it still runs. Called
 *           again, it only looks whether that has ended now */
MU_API int mu_supervisor_stop(struct mu_supervisor *supervisor);

/* The worker of a child now; NULL when it does not run. Lent until the next run. */
MU_API struct mu_worker *mu_supervisor_child(
    const struct mu_supervisor *supervisor, size_t i_child);
/* A descriptor that is readable when mu_supervisor_run() has something to do. */
MU_API int mu_supervisor_fd(const struct mu_supervisor *supervisor);

/* Stop what runs and give it back. Accepts NULL. */
MU_API void mu_supervisor_free(struct mu_supervisor *supervisor);

MU_END_DECLS

#endif
