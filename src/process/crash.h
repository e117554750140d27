/* crash.h: what a dying worker says of its death, while it still can.
 *
 * The kernel reports a death only after it has torn down the memory of the process:
 * 100 ms a gigabyte. The record is there within microseconds. It is a claim: the
 * supervisor copies it once, checks it, and kills the process. */
#ifndef MUI_PROCESS_CRASH_H
#define MUI_PROCESS_CRASH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sys/cpu.h"

enum { MUI_CRASH_FRAMES = 32, MUI_CRASH_COMMONS = 4 };

enum mui_crash_kind {
    MUI_CRASH_NONE = 0,
    MUI_CRASH_SIGNAL, /* a fault or abort() */
    MUI_CRASH_EXIT,   /* exit() inside a task */
    MUI_CRASH_ENDED, /* the thread of a task ended: with what status nobody knows */
    MUI_CRASH_RETIRED /* between tasks, of its own will */
};

enum mui_crash_stage {
    MUI_CRASH_SILENT = 0,
    MUI_CRASH_WHOLE, /* the record can be read */
    MUI_CRASH_COMING /* the worker is dying and writes it: make ready */
};

/* In memory that the worker writes and the supervisor reads; zeros: none. */
struct mui_crash {
    /* enum mui_crash_stage: MUI_CRASH_WHOLE is the worker's release store, and
     * its last */
    _Alignas(MUI_CACHE_LINE) _Atomic uint32_t stage;
    uint32_t kind; /* enum mui_crash_kind */
    int32_t signal;
    int32_t code;   /* SIGSYS: the system call plus 1, or 0; the exit status */
    int32_t i_lane; /* of the worker, or MUI_CRASH_LANE_... */
    uint8_t stack_overflow;
    uint8_t out_of_memory;
    uint8_t dumps_core; /* it will end by itself */
    /* It met what another task of the process can have done: it died below malloc(),
     * free() and the like, in memory that the pool maps, where access is denied, or in
     * a look at what tasks have left. */
    uint8_t in_common;
    uint8_t has_address;
    uint64_t address;
    uint32_t n_frames;
    uint64_t frames[MUI_CRASH_FRAMES]; /* mui_module codes */
};

enum { MUI_CRASH_LANE_UNKNOWN = -1, MUI_CRASH_LANE_FOREIGN = -2 };

/* What the handlers of this process have to know. */
struct mui_crash_setup {
    struct mui_crash *record;
    /* signal-safe, all three */
    void (*ring)(void);
    void (*wake_next)(void);   /* who will follow: it starts meanwhile */
    bool (*is_attended)(void); /* somebody looks, and need not be rung */
    /* the lanes of this worker, by address */
    const void *lanes;
    uint64_t lane_bytes; /* of one */
    unsigned n_lanes;
};

/* In a worker: handlers of SIGSEGV and the like, and of exit(). Nothing that the
 * host registered with atexit() runs. Needs alternate signal stacks. */
void mui_crash_install(const struct mui_crash_setup *setup);

/* `bytes` from `start` on are mapped by the pool, for all tasks of this process: a
 * fault there need not be the doing of the task that meets it. At most
 * MUI_CRASH_COMMONS such calls. */
void mui_crash_add_common(const void *start, uint64_t bytes);

/* Load what unwinding needs, and learn where the allocator is. Before the fork, so
 * that workers have it. */
void mui_crash_warm_up(void);

/* Go through the handler once without a crash: a forked process faults in each page
 * that it touches for the first time, and a crash has somebody wait for it. */
void mui_crash_rehearse(void);

/* mui_calls_watch(), as long as the handler is ours. */
bool mui_crash_watch_calls(unsigned char n_pass);

/* From now on the calling thread calls what a sandbox may refuse without being a task
 * that does (or not any more): a refusal is an error of the call. A SIGSYS is a refusal
 * that the kernel sends, or that a thread of this process queues with the number of
 * the call; and a fault need not be this task's doing. */
void mui_crash_excuse(bool excused);

/* In a worker, not by the thread of that number: have it refused that call, which it is
 * about to make, as mui_crash_excuse() says. */
void mui_crash_refuse(pid_t tid, int call);

/* How many of those no handler of ours has met. */
extern _Atomic unsigned mui_crash_n_unmet;

/* Have the calling thread meet what it blocks of them. */
void mui_crash_unblock(void);

/* After a task, and what else may have been refused a call on this thread: it is not for
 * who comes next. */
static inline void mui_crash_settle(void)
{
    /* relaxed: the call returned after it was counted */
    if (atomic_load_explicit(&mui_crash_n_unmet, memory_order_relaxed))
        mui_crash_unblock();
}

/* End a child that a task forked, and that came back from it: what was printed is out. */
_Noreturn void mui_crash_leave_child(void);

/* Say that this worker ends of its own will, no task running. */
void mui_crash_retire(void);

/* Supervisor: how far the worker is with it, by its own word. */
enum mui_crash_stage mui_crash_look(const struct mui_crash *record);

/* Supervisor: copy and check the record. False: there is none, or no worker of
 * ours wrote it. */
bool mui_crash_read(const struct mui_crash *record, unsigned n_lanes,
                    struct mui_crash *ret_copy);

#endif
