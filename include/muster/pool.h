/* pool.h: workers fed from one queue: open, submit, next, close.
 *
 *     struct mu_pool *pool;
 *     struct mu_outcome *o;
 *
 *     if (mu_init(NULL) < 0 || mu_pool_open("processes", NULL, &pool, NULL) < 0 ||
 *         mu_pool_submit(pool, count_lines, "a\nb\n", 4, NULL, NULL) < 0)
 *         return 1;
 *     while (mu_pool_next(pool, MU_NEVER, &o) == 0) {
 *         fwrite(o->output, 1, o->output_size, stdout);
 *         mu_outcome_free(o);
 *     }
 *     mu_pool_close(pool);
 *
 * Every task that was submitted ends in exactly one outcome, whatever dies.
 *
 * Workers of `processes` have the program's memory as it was at mu_init(), or without
 * that as the pool was opened: globals that are set later are not seen by tasks there.
 * What they need goes into their input, options.arg, or memory made before
 * (muster/shared.h). What the program had mapped by then with MAP_SHARED, writable, a task
 * can write too, in any sandbox: map it later, or madvise(MADV_DONTFORK).
 *
 * Any thread of the process that opened the pool may call; in a child of fork()
 * every call fails with -EINVAL, mu_pool_alloc() gives NULL, counts are 0 and what
 * returns nothing does nothing (mu_pool_close() too); memory of mu_pool_alloc() is not
 * there. No call may be made from a signal handler but mu_pool_interrupt(). */
#ifndef MUSTER_POOL_H
#define MUSTER_POOL_H

#include "muster/base.h"
#include "muster/task.h"

MU_BEGIN_DECLS

struct mu_pool;

/* How a task ended. */
enum mu_status {
    MU_DONE = 0,      /* returned 0 */
    MU_FAILED,        /* returned another value: outcome.code */
    MU_CRASHED,       /* killed by a signal: outcome.signal */
    MU_EXITED,        /* ended its process itself: outcome.code */
    MU_TIMED_OUT,     /* still running at its deadline, and killed */
    MU_OUT_OF_MEMORY, /* asked for more memory than its worker may have; or this
                       * process had none to keep its output in */
    MU_CANCELLED,     /* taken back before it ran, or stopped on request */
    MU_LOST           /* its worker vanished and nothing is known */
};
#define MU_N_STATUS 8

/* The limit of its worker process that a task met, of those in struct mu_pool_options. */
enum mu_limit {
    MU_LIMIT_NONE = 0,        /* none that is known */
    MU_LIMIT_MEMORY,          /* memory_bytes, by RLIMIT_DATA */
    MU_LIMIT_GROUP_MEMORY,    /* the same, by a control group */
    MU_LIMIT_PROCESSES,       /* processes, by RLIMIT_NPROC */
    MU_LIMIT_GROUP_PROCESSES, /* the same, by a control group */
    MU_LIMIT_OPEN_FILES,      /* open_files */
    MU_LIMIT_FILE_SIZE,       /* file_bytes; or SIGXFSZ came otherwise */
    MU_LIMIT_CPU_TIME         /* cpu_ns; or SIGXCPU came otherwise */
};
#define MU_N_LIMITS 8

/* What a pool is opened with. {0} is every default; new fields go to the end, with a
 * new minor version, which has a soname of its own: programs are built anew for it. */
struct mu_pool_options {
    /* Tasks that may wait for a worker before submit waits too. 0: enough to keep
     * every worker busy. */
    size_t queue_tasks;
    /* Bytes of input and output that may be held by tasks not yet collected
     * before submit waits. 0: an eighth of the memory that this program may use, by the
     * machine, its control groups, and its limits on address space and data. An outcome
     * takes some 320 bytes besides, and small outputs lie in it: those are not counted. */
    size_t queue_bytes;
    /* Further attempts for a task that failed, crashed, exited, timed out or ran
     * out of memory. At most 65535. One begins when the process of the attempt before, if
     * that is to end, has ended: what it held is free, but not what children of it
     * hold, and how long a core file takes is waited for. */
    unsigned retries;
    /* A task that has run longer is killed and `timed out`. 0: no limit. Needs a
     * model that isolates. Where others ran on other threads of its process one of
     * them may have held it up: then it is run again alone, uncharged, and has timed
     * out when it does so there. */
    int64_t timeout_ns;
    /* Private memory that a worker process may have, in bytes: 1 MiB or more. 0: no
     * limit. Needs a model that isolates. Kept by RLIMIT_DATA: malloc() returns NULL. Where a
     * control group can be made, the worker with its children, shared memory and
     * outputs is besides kept below this and output_bytes (when that is 0: twice
     * this): then killed. The outcome says which. A worker that keeps more than a
     * quarter of it after a task, or than half while others run beside, is replaced, so
     * that what one leaks the next does not miss; recycle_bytes sets another amount. */
    uint64_t memory_bytes;
    /* Output that one task may write, in bytes. 0: 4 GiB, or twice memory_bytes where that
     * is less; less under processes where address space is limited (ulimit -v), and there
     * at most 1 TiB. */
    uint64_t output_bytes;
    /* Tasks given ahead to one worker. 0: by measurement. 1: nothing ahead, a task
     * goes only to a worker that has nothing else. */
    unsigned window;
    /* Bytes that every task can read through mu_task_arg(); copied. */
    const void *arg;
    size_t arg_size;
    /* Bind each worker, thread or process, to a CPU of its own: to the one of its number
     * (outcome.worker) among those that this program may use, counted round; one that
     * replaces it to the same. With threads these are the CPUs of the thread that opens
     * the pool, with processes those of mu_init(). A worker process moves there with its
     * first task, which takes some 20 us; with MU_SANDBOX_PURE its tasks may change
     * their CPU themselves.
     * Not under `serial` (MU_EMODEL), where tasks run on the caller's thread. */
    int pin;

    /* What follows is about worker processes and needs a model that isolates. */

    /* CPU time, private to one task under `processes`, that a worker may use from
     * the start of a task on, rounded up to seconds: then SIGXCPU; who does not heed that
     * is killed, at twice that time and a second at the latest (root may lift it). A worker
     * that has used more than one task may is replaced. 0: no limit. */
    int64_t cpu_ns;
    /* The largest file that a task may write: then SIGXFSZ. 0: no limit. */
    uint64_t file_bytes;
    /* Descriptors that a worker may have open, 8 or more: then EMFILE. 0: no limit of
     * ours. */
    unsigned open_files;
    /* Replace a worker process, between tasks, once it has run so many tasks, or has
     * grown by so many bytes of private memory. 0: never. */
    unsigned recycle_tasks;
    uint64_t recycle_bytes;
    /* After each task, replace a worker process that the task changed: working
     * directory, umask, environment, locale, signal handlers and mask, limits, standard
     * streams, user and groups, timers, priority, CPUs, rounding, flags of the
     * processor; threads or children left behind, or a quarter of the descriptors that
     * it may have (from Linux 6.2 on, which counts them). It costs 30 to 40 us after a
     * task that made a system call, and a microsecond after one that made none. Where a
     * worker has several threads (processes/threads, lists of paths), and where the
     * kernel does not tell (before Linux 5.11, or not x86-64), so it does after each.
     * Without it a worker is looked at when it has nothing to do, and after each
     * millisecond of tasks: a microsecond if none of them made a system call. */
    int strict;
    /* What the kernel refuses to a worker: MU_SANDBOX_... A refused system call ends
     * the task as `crashed` by SIGSYS, and mu_outcome_describe() names the call. A task
     * that handles SIGSYS itself goes on, and the call has not been made. The few that
     * fail with an error instead are in docs/ISOLATION.md. */
    unsigned sandbox;
    /* Lists of paths, ended by NULL; NULL: no list. With read_paths only these, and
     * what is below them, can be read; with either list, or MU_SANDBOX_READ_ONLY, only
     * write_paths can be written. A call of a task, on any of its threads, that names a
     * path which is in none ends it in the same way; one of a child that it started is
     * the error EACCES there (so are all in a container that uses the same means).
     * MU_EMODEL where the kernel has no Landlock (before Linux 5.13), or does not let it
     * be used, and for a pool of processes that such a task opens. Each call that
     * names a path takes some 20 us more. Looked up when the pool is opened. An input's
     * mu_submit.path is named by its task: it has to lie in read_paths too. */
    const char *const *read_paths;
    const char *const *write_paths;
    /* Processes and threads that the tasks of a worker may have at a time, beside the
     * worker itself: then EAGAIN. 0: no limit. Kept by a control group; where none
     * can be made by RLIMIT_NPROC, which counts all that the user has and does not
     * bind root: then the pool is not opened (MU_EMODEL). */
    unsigned processes;
};

/* Compute only: no files, no network, no processes or threads, no signals to
 * others. Standard output and error can be written. An input cannot be a file by its
 * path, which the worker opens: read it, into memory of mu_pool_alloc() say. What
 * remains of files: a task can learn of one by its name whether it is there, its size,
 * owner and times (as stat() does). */
#define MU_SANDBOX_PURE 0x1u
/* No file can be written, made or removed, but below write_paths; no POSIX message
 * queue at all. Without write_paths nor can a file's mode, owner, times and attributes
 * be changed. Of the requests of ioctl(), also with lists of paths, only some that read
 * can be made, and with write_paths those that clone files, set their attributes, and
 * set terminals: none of other devices' own. */
#define MU_SANDBOX_READ_ONLY 0x2u
/* No sockets but those of this machine (AF_UNIX). Alone it keeps a task from making
 * sockets, not from what others of its user have open (ptrace(), /proc), or do for it. */
#define MU_SANDBOX_NO_NETWORK 0x4u

/* Options of one submission. {0} is every default; new fields go to the end. */
struct mu_submit {
    uint64_t tag;       /* the caller's own number, given back in the outcome */
    unsigned retries;   /* with MU_SUBMIT_RETRIES: instead of the pool's */
    int64_t timeout_ns; /* above 0: instead of the pool's; never below */
    unsigned flags;     /* MU_SUBMIT_... */
    /* When set, the input is this range of a file, mapped into the worker when
     * the task starts; input and input_size of the call are not used. `size` 0
     * means up to its end; a file that ends before its range does is an error, and the
     * task `failed` without being run. The path is copied. A file that does not tell its
     * size, as those of /proc, is read instead, up to 256 MiB. One that is truncated while a
     * task reads what was mapped is SIGBUS: `crashed` where the model isolates; elsewhere
     * it ends the program. */
    const char *path;
    uint64_t offset;
    uint64_t size;
    /* When above 0, `input` of the call is an array of that many mu_span, the
     * parts of one input. */
    size_t n_parts;
};

#define MU_SUBMIT_RETRIES 0x1u /* `retries` counts: 0 to 65535 */
#define MU_SUBMIT_NO_WAIT 0x2u /* MU_FULL instead of waiting for room */
/* The input is not copied: the caller leaves it unchanged until the outcome.
 * Under models that isolate it must lie in memory of mu_pool_alloc(). Not with a path,
 * nor with parts (-EINVAL). */
#define MU_SUBMIT_BORROW 0x4u

struct mu_span {
    const void *data;
    size_t size;
};

/* How one task ended. Given to the caller, who frees it. */
struct mu_outcome {
    uint64_t id;  /* as mu_pool_submit() gave it */
    uint64_t tag; /* as the submitter gave it */
    enum mu_status status;
    int code;          /* failed: what it returned; exited: exit status, and 0
                        * when its thread alone ended: that has none to be known;
                        * crashed by SIGSYS, for what a sandbox refuses: the
                        * system call's number + 1, or 0 */
    int signal;        /* crashed, out of memory: the signal that ended it; 0
                        * where none did, and of every other status */
    unsigned attempts; /* how often it was started, at least */
    unsigned worker;   /* the worker that ran it last */
    /* 1: fault_address is known, and NULL is an address too */
    uint16_t has_fault_address;
    /* enum mu_limit. Crashed, out of memory: the limit that ended it. Failed: one that it
     * was at as it returned, which may be why. MU_LIMIT_NONE where it met none, or that
     * is not known; of every other status (what met its timeout is `timed out`); and
     * under models that do not isolate, which keep no limits */
    uint16_t limit;
    const void *output; /* never NULL; a byte of 0 follows, not counted */
    size_t output_size;
    int64_t queue_ns; /* from submit to the start of the last attempt */
    int64_t run_ns;   /* run time of the last attempt */
    const void *fault_address; /* crashed by a memory fault: where; else NULL */
};

/* Open a pool.
 * model     a path of layers: "serial", "threads", "processes:4/threads:2", ...;
 *           counts left out fill the CPUs that this process may use
 * options   NULL for every default; borrowed
 * Returns   0; MU_EMODEL for a model that is unknown or cannot give what the
 *           options ask (a timeout under threads); MU_EINIT when `processes` is
 *           asked for by a program with several threads that never called
 *           mu_init(), or that changed its user or groups since; -EMFILE when 256
 *           pools and workers of processes are open, or as many files as may be; -errno
 * Threads   any */
MU_API MU_NODISCARD int mu_pool_open(const char *model,
                                     const struct mu_pool_options *options,
                                     struct mu_pool **ret_pool,
                                     struct mu_error *err);

/* Submit one task.
 * fn        a function of this program or of a library loaded in it, which stays
 *           loaded from then on: after dlclose(), another file of its name and dlopen()
 *           it is the old one, so give a new one a new name. Workers that are processes
 *           load a library that came after mu_init() from its file; where that was
 *           removed or replaced by then the task is `failed` (-ELIBACC), unless they
 *           have it already
 * input     copied before the call returns, unless `how` says otherwise; may be
 *           NULL when input_size is 0
 * how       NULL for every default; borrowed
 * ret_id    optional
 * Returns   0; MU_FULL with MU_SUBMIT_NO_WAIT; to a task of this pool, which might wait
 *           for itself, also through tasks that it runs under `serial` on its thread (on
 *           other threads that it waits for, of a team or another pool, it is not known:
 *           submit with MU_SUBMIT_NO_WAIT there); and when outcomes alone hold queue_bytes:
 *           take some; MU_CLOSED
 *           for a task of the pool that is closed meanwhile; MU_ECRASHED when no worker
 *           can be started any more; MU_EMODEL for how->timeout_ns where the model does
 *           not isolate, and for how->path with MU_SANDBOX_PURE; -EINVAL when fn lies
 *           in no loaded module, a borrowed input is not visible to the workers, an
 *           input is not there, a flag is unknown or not for such an input, timeout_ns is
 *           below 0, or retries that count are above 65535; -EMFILE,
 *           -ENFILE when a file has to be opened to know fn's library: the first
 *           function of one that came after mu_init(), and perhaps of others then;
 *           -ENOSPC from the 1,025th library; -ENAMETOOLONG, or what getcwd() says,
 *           for how->path; -ENOSYS where /proc is not mounted or memfd_create() is
 *           refused, under every model; -EINTR after mu_pool_interrupt(), where it would
 *           wait; -ENOMEM.
 *           Unless 0, nothing was submitted
 * When      it runs without any further call, but under `serial`. While tasks take a
 *           microsecond or so and a worker is awake with nothing to do, one that is
 *           submitted alone is handed over with those behind it: with the 32nd, with
 *           the next call that looks for outcomes, or as the worker is about to
 *           sleep, some 50 us later
 * Context   blocks while the queue is full, but in a task of this pool; under
 *           `serial` it runs tasks meanwhile */
MU_API MU_NODISCARD int mu_pool_submit(struct mu_pool *pool, mu_task_fn fn,
                                       const void *input, size_t input_size,
                                       const struct mu_submit *how,
                                       uint64_t *ret_id);

/* Submit many tasks at once: the same, cheaper, for inputs that are there already.
 * how       for all of them; task i gets the tag how->tag + i; no path, no parts
 * ret_n     how many of them, from the first, were submitted, also on an error
 * Returns   0 when all were; else why the next was not, as mu_pool_submit() */
MU_API MU_NODISCARD int mu_pool_submit_many(struct mu_pool *pool, mu_task_fn fn,
                                            const struct mu_span *inputs,
                                            size_t n_inputs,
                                            const struct mu_submit *how,
                                            size_t *ret_n);

/* Take an outcome: whichever task ended first and was not taken.
 * deadline  absolute, see mu_now_ns(); MU_NOW does not wait, MU_NEVER waits for
 *           ever. Under `serial`, where tasks run in no other way, a call that finds no
 *           outcome first runs a task to its end, or several that are short, whatever
 *           the deadline: so who asks again and again gets on
 * Returns   0; MU_TIMEOUT; MU_EMPTY when every submitted task's outcome was taken;
 *           MU_CLOSED for a task of the pool that is closed meanwhile; -EINTR after
 *           mu_pool_interrupt()
 * Context   blocks. A task that waits for others of its pool needs workers that run
 *           them: under `serial`, or when all do so, it waits for ever */
MU_API MU_NODISCARD int mu_pool_next(struct mu_pool *pool, int64_t deadline,
                                     struct mu_outcome **ret_outcome);

/* Take up to n_max outcomes at once; waits, as mu_pool_next(), for the first only.
 * ret_outcomes  [n_max], of which the first *ret_n are given
 * Returns       as mu_pool_next() */
MU_API MU_NODISCARD int mu_pool_next_many(struct mu_pool *pool,
                                          int64_t deadline,
                                          struct mu_outcome **ret_outcomes,
                                          size_t n_max, size_t *ret_n);

/* Take the outcome of one task.
 * Returns   as mu_pool_next(); MU_EMPTY when no such task's outcome is left */
MU_API MU_NODISCARD int mu_pool_wait(struct mu_pool *pool, uint64_t id,
                                     int64_t deadline,
                                     struct mu_outcome **ret_outcome);

/* Ask for a task to end. One that has not started becomes `cancelled`. One that
 * runs is told (mu_task_is_cancelled()); where the model isolates and `kill` is
 * set, its worker is killed. It still has an outcome, which is `cancelled` unless it
 * ended before, or was told and ended otherwise than by returning another value than 0:
 * then that is its outcome, `done`, `crashed`, `exited`, `timed out` or `out of memory`.
 * Returns   0; MU_EMPTY when the task has ended; MU_EMODEL when `kill` is set, the
 *           task runs, and the model cannot kill: it was told all the same */
MU_API int mu_pool_cancel(struct mu_pool *pool, uint64_t id, int kill);

/* The same for every task that has no outcome yet. */
MU_API int mu_pool_cancel_all(struct mu_pool *pool, int kill);

/* Take back every task that has not started: it becomes `cancelled`. Those that run
 * are not told, and go on to their own end. Returns 0. */
MU_API int mu_pool_cancel_waiting(struct mu_pool *pool);

/* Make a waiting mu_pool_next(), _wait() or _submit() return -EINTR: one that
 * waits now, or else the next one that would wait: not one with MU_NOW, or a deadline that
 * has passed. Running tasks itself, under `serial`, is waiting too: it returns between two
 * of them.
 * Context   signal handlers too */
MU_API void mu_pool_interrupt(struct mu_pool *pool);

/* Memory that the workers of this pool can read in place: fill it, submit it with
 * MU_SUBMIT_BORROW, free it after the outcome, and before the pool is closed: with worker
 * processes it goes with the pool, and elsewhere it could never be freed. Workers that are
 * processes see it read-only.
 * Returns   64-byte aligned, uninitialised; NULL when there is no memory */
MU_API void *mu_pool_alloc(struct mu_pool *pool, size_t size);
MU_API void mu_pool_free(struct mu_pool *pool, void *memory);

/* How many workers run tasks, and the model with all counts: "processes:4". The
 * string lives as long as the pool. */
MU_API unsigned mu_pool_width(const struct mu_pool *pool);
MU_API const char *mu_pool_model(const struct mu_pool *pool);

/* What a pool has done so far. */
struct mu_stats {
    uint64_t n_submitted;
    uint64_t n_taken; /* outcomes given to the caller */
    uint64_t n_queued;
    uint64_t n_running; /* given to workers, not ended */
    uint64_t n_workers_started;
    uint64_t n_workers_died;
    uint64_t ended[MU_N_STATUS]; /* by enum mu_status */
};
MU_API void mu_pool_stats(struct mu_pool *pool, struct mu_stats *ret_stats);

/* The process ids of the worker processes alive now, spares left out.
 * pids      [n_max]: the first n_max of them; NULL when that is 0
 * Returns   how many there are, which may be more; 0 under models without processes */
MU_API size_t mu_pool_pids(struct mu_pool *pool, int *pids, size_t n_max);

/* The tags of the tasks that run right now. Where the model does not isolate, a
 * crash ends the program; its handler can say with this which task did it and
 * which were beside it.
 * tags      [n_max]; the task of the calling thread, if it runs one, comes first, also
 *           where that runs tasks of a pool of its own there
 * ret_own   1 when it does, else 0
 * Returns   how many were written
 * Context   signal handlers too; any thread
 * Models    those that work in this process; 0 under the others */
MU_API size_t mu_pool_running(const struct mu_pool *pool, uint64_t *tags,
                              size_t n_max, int *ret_own);

/* Close the pool: no new task is taken, those not started are dropped, those that
 * run are cancelled (and killed where the model can; elsewhere waited for). All
 * outcomes not taken are freed. Accepts NULL. Take what you want first.
 * Context   as free(): no other thread is in a call of the pool, or makes one from now
 *           on, but tasks of it do no harm. mu_pool_interrupt() ends a wait of another
 *           thread; await that thread */
MU_API void mu_pool_close(struct mu_pool *pool);

/* Give an outcome back. Accepts NULL. Outcomes outlive their pool. */
MU_API void mu_outcome_free(struct mu_outcome *outcome);

/* Give n outcomes back at once: the same, cheaper. None is NULL. */
MU_API void mu_outcome_free_many(struct mu_outcome *const *outcomes, size_t n);

/* How it ended, for a person, in one line: "crashed: SIGSEGV at 0x10 in parse
 * (parse.c:41)", "failed: returned -27 (File too large)".
 * Context   naming the place of a crash takes some 256 KiB of stack, which threads can
 *           be too small for; so does mu_outcome_backtrace()
 * Returns   as snprintf: the length it has or would have had */
MU_API int mu_outcome_describe(const struct mu_outcome *outcome, char *text,
                               size_t text_size);

/* The frames of a crash, innermost first, one a line: "#0 parse at parse.c:41".
 * Names are looked up here, not when the crash is seen: it may take a second.
 * Returns   as snprintf; 0 when there is no backtrace */
MU_API int mu_outcome_backtrace(const struct mu_outcome *outcome, char *text,
                                size_t text_size);

/* "done", "failed", "crashed", ...: lives for ever. */
MU_API const char *mu_status_name(enum mu_status status);

/* An outcome's limit in words, as mu_outcome_describe() has them: "memory limit
 * (RLIMIT_DATA)", "limit on processes (cgroup)", ..., and "no limit": lives for ever. */
MU_API const char *mu_limit_name(unsigned limit);

/* Check a model without opening it.
 * ret_text  [text_size]: the model with all counts filled in
 * Returns   0; MU_EMODEL */
MU_API int mu_model_check(const char *model, char *ret_text, size_t text_size,
                          struct mu_error *err);

/* Whether a model isolates its tasks: 1, 0, or MU_EMODEL, which is true as well: compare
 * with 1. */
MU_API int mu_model_isolates(const char *model);

/* The CPUs this process may use: by affinity mask and cgroup quota (v1 and v2),
 * rounded up, at least 1. */
MU_API unsigned mu_usable_cpus(void);

MU_END_DECLS

#endif
