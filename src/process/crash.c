/* crash.c: last words of a worker.
 *
 *   worker, any thread              supervisor
 *   claim (process-wide, once)
 *   stage = COMING, wake the spare  (the spare wakes up)
 *   ring                            wakes up
 *   write the record, unwind
 *   P  store stage (release)     -> load stage (acquire), mui_crash_read()
 *   ring                            gives the spare what is left to do
 *
 * Waking an idle CPU takes as long as unwinding, so all three go on at once. To ring
 * takes as long too, on the CPU where the supervisor may wait to run: while a caller
 * spins, which looks for itself, we ring only after letting it; a caller looks once
 * more when it has said that it spins no longer (D).
 *
 * Killed before P: there is no record, and the status that the nursery reports
 * says what is known. Only the first thread that claims writes; others wait for
 * the end. A fault inside the handler publishes what there is. */
#include "process/crash.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include "process/limit.h"
#include "sync/fence.h"
#include "sys/calls.h"
#include "sys/flow.h"
#include "sys/module.h"

enum {
    PAGE = 4096,
    /* how far below and above the stack pointer an access may lie that ran over
     * the end of the stack: a push, or a frame that was not filled from its top */
    OVERFLOW_BELOW = 64 * 1024,
    OVERFLOW_ABOVE = 1024 * 1024,
    /* faults, those in the handler counted, after which it does not try again */
    FAULTS_MAX = 64,
    FLUSH_PATIENCE_NS = 100 * 1000 * 1000
};

static const int fatal_signals[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                    SIGABRT, SIGTRAP, SIGSYS, SIGXFSZ};

static struct mui_crash_setup the;
/* Whose record it is. A child that a task forked has the handlers, and sees the same
 * memory, but how it ends is between it and the task. */
static pid_t owner;
/* The thread that writes the record; 0: none yet. */
static _Atomic int claimant;
static _Atomic int n_faults;

static void store_whole(void)
{
    /* P, pairs with mui_crash_read(): the record comes before it */
    atomic_store_explicit(&the.record->stage, MUI_CRASH_WHOLE,
                          memory_order_release);
}

static void publish(void)
{
    store_whole();
    the.ring();
}

/* The same, but first leave the CPU to a caller that will see the record. */
static void publish_quietly(void)
{
    const struct timespec turn = {.tv_nsec = 50 * 1000};

    store_whole();
    /* D, pairs with processes_sleep() */
    mui_fence_full();
    if (the.is_attended())
        (void)nanosleep(&turn, NULL);
    the.ring();
}

static void announce(void)
{
    /* relaxed: a hint */
    atomic_store_explicit(&the.record->stage, MUI_CRASH_COMING,
                          memory_order_relaxed);
    the.wake_next();
    if (!the.is_attended())
        the.ring();
}

/* The supervisor kills us within microseconds. When it does not, because what we
 * wrote did not reach it, the caller goes on to die by itself. */
static void await_end(void)
{
    const struct timespec long_enough = {.tv_nsec = 200 * 1000 * 1000};

    (void)nanosleep(&long_enough, NULL);
}

/* False: this thread has the claim already, and faulted while it wrote; or there
 * is no hope that another finishes. */
static bool claim(void)
{
    int none = 0;
    int self = (int)syscall(SYS_gettid);

    /* relaxed: it orders nothing, it elects */
    if (atomic_compare_exchange_strong_explicit(
            &claimant, &none, self, memory_order_relaxed, memory_order_relaxed))
        return true;
    if (none != self) /* another thread's last words */
        await_end();
    return false;
}

static int lane_of_flow(void)
{
    const char *lane = mui_flow_lane();
    ptrdiff_t offset;

    if (!lane)
        return MUI_CRASH_LANE_FOREIGN;
    offset = lane - (const char *)the.lanes;
    if (offset < 0 || (uint64_t)offset >= the.n_lanes * the.lane_bytes)
        return MUI_CRASH_LANE_UNKNOWN;
    return (int)((uint64_t)offset / the.lane_bytes);
}

/* -- memory of the whole process -- */

static struct range {
    uintptr_t start;
    uint64_t bytes;
} commons[MUI_CRASH_COMMONS];

void mui_crash_add_common(const void *start, uint64_t bytes)
{
    for (size_t i = 0; i < MUI_CRASH_COMMONS; i++)
        if (commons[i].bytes == 0) {
            commons[i] = (struct range){(uintptr_t)start, bytes};
            return;
        }
}

/* Whether another task can have made this a fault: by munmap() of what the pool
 * maps, by mprotect() of anything. */
static bool is_common(const siginfo_t *info)
{
    uintptr_t address = (uintptr_t)info->si_addr;

    if (info->si_signo != SIGSEGV || info->si_code <= 0)
        return false;
    for (size_t i = 0; i < MUI_CRASH_COMMONS; i++)
        if (address - commons[i].start < commons[i].bytes)
            return true;
    return info->si_code == SEGV_ACCERR;
}

/* -- frames -- */

/* Entries of the allocator, whoever's it is. A thread that dies below one of them
 * has met a heap that is damaged, perhaps long ago and by another task. */
static const char *const allocator_names[] = {
    "malloc",   "free",          "calloc",        "realloc",
    "memalign", "aligned_alloc", "posix_memalign"};
enum { N_ALLOCATOR = sizeof allocator_names / sizeof *allocator_names };
static uintptr_t allocator[N_ALLOCATOR]; /* 0: there is none of that name */

static bool is_allocator(uintptr_t function)
{
    for (size_t i = 0; i < N_ALLOCATOR; i++)
        if (function && allocator[i] == function)
            return true;
    return false;
}

struct unwinding {
    uintptr_t fault_pc;
    uintptr_t floor; /* frames from it up are not the task's; 0: all are */
    bool begun;
    struct mui_crash *record;
};

static void add_frame(struct mui_crash *record, uintptr_t pc)
{
    uint64_t code;

    if (record->n_frames == MUI_CRASH_FRAMES ||
        mui_module_locate((const void *)pc, &code) < 0)
        return;
    record->frames[record->n_frames++] = code;
}

static _Unwind_Reason_Code unwind_frame(struct _Unwind_Context *context,
                                        void *arg)
{
    struct unwinding *u = arg;
    int before = 0;
    uintptr_t pc = _Unwind_GetIPInfo(context, &before);

    if (pc == 0)
        return _URC_END_OF_STACK;
    if (!u->begun && pc != u->fault_pc)
        return _URC_NO_REASON; /* our own handler */
    /* the stack pointer of this frame at its call */
    if (u->floor && u->begun && _Unwind_GetCFA(context) >= u->floor)
        return _URC_END_OF_STACK;
    u->begun = true;
    if (is_allocator(_Unwind_GetRegionStart(context)))
        u->record->in_common = 1;
    /* a caller is where its call is, not where it goes on */
    add_frame(u->record, before || pc == u->fault_pc ? pc : pc - 1);
    return u->record->n_frames == MUI_CRASH_FRAMES ? _URC_END_OF_STACK
                                                   : _URC_NO_REASON;
}

#if defined(__x86_64__)
static uintptr_t context_pc(const ucontext_t *c)
{
    return (uintptr_t)c->uc_mcontext.gregs[REG_RIP];
}
static uintptr_t context_sp(const ucontext_t *c)
{
    return (uintptr_t)c->uc_mcontext.gregs[REG_RSP];
}
/* Where a call through a bad pointer came from. */
static uintptr_t context_caller(const ucontext_t *c)
{
    return *(const uintptr_t *)context_sp(c);
}
#elif defined(__aarch64__)
static uintptr_t context_pc(const ucontext_t *c)
{
    return (uintptr_t)c->uc_mcontext.pc;
}
static uintptr_t context_sp(const ucontext_t *c)
{
    return (uintptr_t)c->uc_mcontext.sp;
}
static uintptr_t context_caller(const ucontext_t *c)
{
    return (uintptr_t)c->uc_mcontext.regs[30];
}
#else
#    error "say where the program counter and the stack pointer are"
#endif

static void add_frames(struct mui_crash *record, const ucontext_t *context)
{
    struct unwinding u = {.fault_pc = context_pc(context),
                          .floor = mui_flow_floor(context_sp(context)),
                          .record = record};
    uint64_t code;

    if (mui_module_locate((const void *)u.fault_pc, &code) < 0) {
        /* a jump to nowhere: the unwinder would stop there too */
        add_frame(record, context_caller(context));
        return;
    }
    (void)_Unwind_Backtrace(unwind_frame, &u);
    if (!u.begun)
        add_frame(record, u.fault_pc);
}

void mui_crash_warm_up(void)
{
    struct mui_crash record = {.kind = MUI_CRASH_NONE};
    struct unwinding u = {.begun = true, .record = &record};

    (void)_Unwind_Backtrace(unwind_frame, &u);
    for (size_t i = 0; i < N_ALLOCATOR; i++)
        allocator[i] = (uintptr_t)dlsym(RTLD_DEFAULT, allocator_names[i]);
}

/* -- the ways to go -- */

static bool is_stack_overflow(int signal, uint64_t address,
                              const ucontext_t *context)
{
    uint64_t sp = context_sp(context);
    /* the task's callers have their frames here: above is no stack, but inputs perhaps */
    uint64_t floor = mui_flow_floor(sp);

    return (signal == SIGSEGV || signal == SIGBUS) &&
           address + OVERFLOW_BELOW >= sp && address < sp + OVERFLOW_ABOVE &&
           (!floor || address < floor);
}

static void die_plainly(int signal)
{
    static _Atomic int dying; /* who is at it */
    struct sigaction plain = {.sa_handler = SIG_DFL};
    int self = (int)syscall(SYS_gettid);
    sigset_t one;

    /* relaxed: its own number, or not. A sandbox that refuses sigaction() sends us here
     * again */
    if (atomic_exchange_explicit(&dying, self, memory_order_relaxed) == self)
        _exit(128 + signal);
    (void)sigaction(signal, &plain, NULL);
    (void)sigemptyset(&one);
    (void)sigaddset(&one, signal);
    (void)sigprocmask(SIG_UNBLOCK, &one, NULL);
    (void)raise(signal);
    _exit(128 + signal);
}

static bool wants_core(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur > 0;
}

/* Its number plus 1, for read() is 0; 0: this is none. */
static int refused_call(const siginfo_t *info)
{
    if (info->si_signo != SIGSYS)
        return 0;
    if (info->si_code > 0)
        return info->si_syscall + 1;
    return info->si_code == SI_QUEUE && info->si_pid == getpid()
               ? info->si_value.sival_int + 1
               : 0;
}

/* What this thread calls now is ours, not a task's. */
static _Thread_local volatile sig_atomic_t is_excused
    /* the handler reads it: no other kind is free of malloc() */
    __attribute__((tls_model("initial-exec")));

_Atomic unsigned mui_crash_n_unmet;

/* As the kernel does it for its own: who ignores SIGSYS dies of it. */
static void end_ignoring(void)
{
    static const struct sigaction plain = {.sa_handler = SIG_DFL};
    struct sigaction action;

    if (sigaction(SIGSYS, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
        (void)sigaction(SIGSYS, &plain, NULL);
}

void mui_crash_refuse(pid_t tid, int call)
{
    siginfo_t info;

    end_ignoring();
    memset(&info, 0, sizeof info);
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = call;
    /* relaxed: see mui_crash_settle() */
    (void)atomic_fetch_add_explicit(&mui_crash_n_unmet, 1,
                                    memory_order_relaxed);
    (void)syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGSYS, &info);
}

void mui_crash_unblock(void)
{
    sigset_t before;
    sigset_t one;

    (void)sigemptyset(&one);
    (void)sigaddset(&one, SIGSYS);
    (void)pthread_sigmask(SIG_UNBLOCK, &one, &before);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void mui_crash_excuse(bool excused)
{
    if (!excused)
        mui_crash_settle();
    is_excused = excused;
}

/* What can be said of a fault, into a record. */
static void describe(struct mui_crash *record, int signal,
                     const siginfo_t *info, const ucontext_t *context)
{
    bool sent = info->si_code <= 0; /* by kill() or raise(): no address */

    record->kind = MUI_CRASH_SIGNAL;
    record->signal = signal;
    record->code = refused_call(info);
    /* SI_KERNEL: the kernel does not tell, as of an address that no x86 has */
    record->has_address =
        !sent && signal != SIGSYS && info->si_code != SI_KERNEL;
    record->address =
        record->has_address ? (uint64_t)(uintptr_t)info->si_addr : 0;
    record->i_lane = lane_of_flow();
    record->n_frames = 0;
    record->dumps_core = wants_core();
    record->stack_overflow =
        !sent && is_stack_overflow(signal, record->address, context);
    /* below the first page: as if the NULL of a malloc() was used */
    record->out_of_memory = mui_limits_is_short_of_memory(
        signal == SIGSEGV && record->address < PAGE);
    /* what we look at may have been broken by any task that was here before; and a stack
     * that somebody protects looks like one that runs over */
    record->in_common = is_excused || is_common(info);
    add_frames(record, context);
}

enum { REHEARSED_SIGNAL = SIGXFSZ };

/* The thread that rehearses; 0: none. */
static _Atomic int rehearser;

/* Whether this is no crash: a signal that this thread sends itself, and runs no task
 * meanwhile. Who sent it is not always told: while the queue of the user's signals
 * (RLIMIT_SIGPENDING) is full, which a task can see to, raise() looks like kill() by
 * nobody. */
static bool is_rehearsal(int signal)
{
    /* relaxed: written by this thread, or not its number */
    int tid = atomic_load_explicit(&rehearser, memory_order_relaxed);

    return tid != 0 && signal == REHEARSED_SIGNAL &&
           tid == (int)syscall(SYS_gettid);
}

static __attribute__((noinline)) void on_crash(int signal,
                                               const siginfo_t *info,
                                               const ucontext_t *context)
{
    struct mui_crash *record = the.record;

    if (getpid() != owner)
        die_plainly(signal);
    if (is_rehearsal(signal)) {
        struct mui_crash none = {.kind = MUI_CRASH_NONE};

        describe(&none, signal, info, context);
        return;
    }
    if (is_excused && refused_call(info)) {
        if (info->si_code == SI_QUEUE)
            (void)atomic_fetch_sub_explicit(&mui_crash_n_unmet, 1,
                                            memory_order_relaxed);
        return;
    }
    /* relaxed: a depth, not a message */
    if (atomic_fetch_add_explicit(&n_faults, 1, memory_order_relaxed) >=
        FAULTS_MAX)
        die_plainly(signal);
    if (claim()) {
        announce();
        describe(record, signal, info, context);
    }
    publish_quietly();
    if (!record->dumps_core)
        await_end();
    die_plainly(signal);
}

/* Apart: while this may be a call of a task, nothing of the thread's own is there for sure,
 * such as the word that stack protectors ask for in functions that keep more. */
static void on_fault(int signal, siginfo_t *info, void *context)
{
    if (!mui_calls_caught(info, context))
        on_crash(signal, info, context);
}

void mui_crash_rehearse(void)
{
    atomic_store_explicit(&rehearser, (int)syscall(SYS_gettid),
                          memory_order_relaxed);
    (void)raise(REHEARSED_SIGNAL);
    atomic_store_explicit(&rehearser, 0, memory_order_relaxed);
}

bool mui_crash_watch_calls(unsigned char n_pass)
{
    return mui_calls_watch(on_fault, n_pass);
}

/* Output of the task itself. Another thread may be at it, but not for ever: one that writes
 * to who does not read would be. */
static void flush(FILE *file, int64_t patience_ns)
{
    int64_t end = mu_after_ns(patience_ns);

    while (ftrylockfile(file) != 0) {
        if (mu_now_ns() >= end)
            return;
        (void)sched_yield();
    }
    (void)fflush_unlocked(file);
    funlockfile(file);
}

static _Noreturn void leave(uint32_t kind, int status)
{
    struct mui_crash *record = the.record;

    flush(stdout, FLUSH_PATIENCE_NS);
    flush(stderr, FLUSH_PATIENCE_NS);
    if (getpid() == owner && claim()) {
        record->kind = kind;
        record->code = status;
        record->i_lane = lane_of_flow();
        publish();
    }
    _exit(status);
}

static void on_exit_called(int status, void *arg)
{
    (void)arg;
    (void)on_exit(on_exit_called, NULL); /* for who calls exit() meanwhile */
    leave(MUI_CRASH_EXIT, status);
}

/* pthread_exit() inside a task: as good as the end of the process, for the lane
 * has lost its thread. */
static void on_flow_died(void)
{
    leave(MUI_CRASH_ENDED, 0);
}

void mui_crash_leave_child(void)
{
    flush(stdout, 0);
    flush(stderr, 0);
    /* exit() waits for a lock that another thread may have had at the fork */
    _exit(0);
}

void mui_crash_retire(void)
{
    flush(stdout, 0);
    flush(stderr, 0);
    if (!claim())
        return;
    the.record->kind = MUI_CRASH_RETIRED;
    publish();
}

void mui_crash_install(const struct mui_crash_setup *setup)
{
    struct sigaction action = {.sa_sigaction = on_fault,
                               /* a fault in the handler comes in again */
                               .sa_flags =
                                   SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    the = *setup;
    owner = getpid();
    (void)sigfillset(&action.sa_mask);
    for (size_t i = 0; i < sizeof fatal_signals / sizeof *fatal_signals; i++)
        (void)sigdelset(&action.sa_mask, fatal_signals[i]);
    for (size_t i = 0; i < sizeof fatal_signals / sizeof *fatal_signals; i++)
        (void)sigaction(fatal_signals[i], &action, NULL);
    /* the last one registered runs first, and does not return; who calls exit() at the
     * same time has the next */
    for (unsigned i = 0; i <= setup->n_lanes; i++)
        (void)on_exit(on_exit_called, NULL);
    (void)mui_flow_watch(on_flow_died);
}

enum mui_crash_stage mui_crash_look(const struct mui_crash *record)
{
    /* relaxed: mui_crash_read() looks again */
    uint32_t stage = atomic_load_explicit(&record->stage, memory_order_relaxed);

    return stage <= MUI_CRASH_COMING ? (enum mui_crash_stage)stage
                                     : MUI_CRASH_SILENT;
}

bool mui_crash_read(const struct mui_crash *record, unsigned n_lanes,
                    struct mui_crash *ret_copy)
{
    /* P, pairs with publish() */
    if (atomic_load_explicit(&record->stage, memory_order_acquire) !=
        MUI_CRASH_WHOLE)
        return false;
    memcpy(&ret_copy->kind, &record->kind,
           sizeof *record - offsetof(struct mui_crash, kind));
    /* only the copy from here on: the worker can write the record meanwhile */
    __asm__ volatile("" : "+m"(*ret_copy));
    if (ret_copy->kind == MUI_CRASH_NONE || ret_copy->kind > MUI_CRASH_RETIRED)
        return false;
    if (ret_copy->kind == MUI_CRASH_SIGNAL &&
        (ret_copy->signal <= 0 || ret_copy->signal > SIGRTMAX))
        return false;
    if (ret_copy->kind == MUI_CRASH_SIGNAL && ret_copy->code < 0)
        ret_copy->code = 0;
    if (ret_copy->n_frames > MUI_CRASH_FRAMES)
        ret_copy->n_frames = 0;
    if (ret_copy->i_lane != MUI_CRASH_LANE_FOREIGN &&
        (ret_copy->i_lane < 0 || ret_copy->i_lane >= (int)n_lanes))
        ret_copy->i_lane = MUI_CRASH_LANE_UNKNOWN;
    return true;
}
