/* step.h: stop a child before each of its instructions in turn, and kill it there,
 * or look what another does meanwhile and let it go on.
 *
 *     t = step_record(step_start(before, act, arg));
 *     for (long i = 0; i < t.n; i += step_stride(&t)) {
 *         step_finish(step_start(before, act, arg), &t, i);
 *         check what the dead child left behind;
 *     }
 *     free(t.pc);
 *
 * and with step_stop(), step_go_on() in the place of step_finish() the same without
 * the kill: every interleaving of one act in the midst of another, on one CPU and
 * on many, whatever else the machine does.
 *
 * One child is single-stepped to learn its way; the others run at full speed to
 * a breakpoint at the i-th instruction of that way and are killed there. A child
 * that goes another way (a sanitizer remembers what its parent did before) ends by
 * itself, and the check holds as well; one whose way led to a sleep is stopped before
 * that. Where no child may be traced the test is skipped. */
#ifndef TEST_STEP_H
#define TEST_STEP_H

#include <elf.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/check.h"

/* A sanitizer's own instructions are many, and not those that are tested. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define STEP_POINTS 40
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#        define STEP_POINTS 40
#    endif
#endif
#ifndef STEP_POINTS
#    define STEP_POINTS 1000000 /* all */
#endif

/* How a child ends that may not be traced: by another tracer, seccomp, or Yama. */
#define STEP_REFUSED 99

/* The registers, and the instructions, of this processor: where it goes on, the number of
 * a system call, how one is made, and a breakpoint, which it may stand behind. */
#if defined(__x86_64__)
#    define STEP_PC   rip
#    define STEP_CALL rax
enum { STEP_BEHIND_BREAK = 1 };
static const unsigned long step_break[] = {0xcc, 0xff};
static const unsigned long step_syscall[] = {0x050f, 0xffff};
#elif defined(__aarch64__)
#    define STEP_PC   pc
#    define STEP_CALL regs[8]
enum { STEP_BEHIND_BREAK = 0 };
static const unsigned long step_break[] = {0xd4200000, 0xffffffff};
static const unsigned long step_syscall[] = {0xd4000001, 0xffffffff};
#else
#    error "say what a breakpoint is"
#endif

/* Arm's older processors make an atomic operation of several instructions, and a stop
 * between them makes it start again, for ever. */
static inline int step_is_possible(void)
{
#if defined(__aarch64__)
    return (getauxval(AT_HWCAP) & 1 << 8 /* HWCAP_ATOMICS */) != 0;
#else
    return 1;
#endif
}

typedef void (*step_fn)(void *arg);

/* Parent and child take turns, which costs least on one CPU. */
static inline void step_pin(pid_t child, cpu_set_t *ret_before)
{
    cpu_set_t one;
    int cpu = sched_getcpu();

    if (sched_getaffinity(0, sizeof *ret_before, ret_before) < 0)
        abort();
    CPU_ZERO(&one);
    CPU_SET(cpu < 0 ? 0 : cpu, &one);
    (void)sched_setaffinity(0, sizeof one, &one);
    (void)sched_setaffinity(child, sizeof one, &one);
}

/* Fork a child that has run `before` and stands at the start of `act`. Not inlined: all
 * children go the same way. */
__attribute__((noinline, unused)) static pid_t step_start(step_fn before,
                                                          step_fn act,
                                                          void *arg)
{
    int status;
    pid_t pid;

    if (!step_is_possible()) {
        print_message("skipped: atomic operations cannot be stepped here\n");
        skip();
    }
    pid = fork();
    if (pid == 0) {
        if (before)
            before(arg);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
            _exit(STEP_REFUSED);
        (void)raise(SIGSTOP);
        act(arg);
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        abort();
    if (WIFEXITED(status) && WEXITSTATUS(status) == STEP_REFUSED) {
        print_message("skipped: no child may be traced here\n");
        skip();
    }
    if (!WIFSTOPPED(status))
        abort();
    return pid;
}

static inline void step_kill(pid_t pid)
{
    int status;

    (void)test_kill(pid, SIGKILL);
    if (waitpid(pid, &status, 0) != pid)
        abort();
}

/* The test is skipped here if it has to be, before it has made what it would leave to
 * the next, as a name. */
static inline void step_need(void)
{
    step_kill(step_start(NULL, NULL, NULL));
}

/* Where a child that runs undisturbed is before each instruction. One that repeats
 * itself ("rep") is there twice: before it begins, and within it. */
struct step_trace {
    uint64_t *pc; /* [n] */
    long n;
    long call; /* in which it sleeps: it stands before it at last; -1: none */
};

/* From one point of a trace to the next that is tried. */
static inline long step_stride(const struct step_trace *t)
{
    return t->n / STEP_POINTS + 1;
}

static inline struct user_regs_struct step_regs(pid_t pid)
{
    struct user_regs_struct regs;
    struct iovec all = {&regs, sizeof regs};

    if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &all) < 0)
        abort();
    return regs;
}

static inline void step_set_regs(pid_t pid, struct user_regs_struct *regs)
{
    struct iovec all = {regs, sizeof *regs};

    if (ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &all) < 0)
        abort();
}

/* Whether it is about to make that system call. */
static inline int step_calls(pid_t pid, const struct user_regs_struct *regs,
                             long call)
{
    void *at = (void *)(uintptr_t)regs->STEP_PC;

    return (long)regs->STEP_CALL == call &&
           ((unsigned long)ptrace(PTRACE_PEEKTEXT, pid, at, NULL) &
            step_syscall[1]) == step_syscall[0];
}

/* One step. 0 when the child has ended instead. Its alarm() is not for the time in which
 * it is stepped; a signal of another kind is its own. */
static inline int step_once(pid_t pid, enum __ptrace_request how)
{
    uintptr_t signal = 0;
    int status;

    do {
        if (ptrace(how, pid, NULL, (void *)signal) < 0 ||
            waitpid(pid, &status, 0) != pid)
            abort();
        if (WIFSTOPPED(status))
            signal =
                WSTOPSIG(status) == SIGALRM ? 0 : (uintptr_t)WSTOPSIG(status);
    } while (WIFSTOPPED(status) && signal != SIGTRAP);
    if (WIFSTOPPED(status))
        return 1;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        abort();
    return 0;
}

/* Let a started child run to its end, or until it is about to make a system call in
 * which it would sleep (-1: none), and write down its way. */
static inline struct step_trace step_record_to(pid_t pid, long call)
{
    struct step_trace t = {.call = call};
    struct user_regs_struct regs;
    cpu_set_t before;
    int is_there = 0;

    step_pin(pid, &before);
    do {
        regs = step_regs(pid);
        if (t.n > 1 && t.pc[t.n - 1] == regs.STEP_PC &&
            t.pc[t.n - 2] == regs.STEP_PC)
            continue;
        if ((t.n & (t.n - 1)) == 0) /* full: twice the room */
            t.pc = realloc(t.pc, (size_t)(t.n ? 2 * t.n : 1) * sizeof *t.pc);
        if (!t.pc)
            abort();
        t.pc[t.n++] = regs.STEP_PC;
        is_there = call >= 0 && step_calls(pid, &regs, call);
    } while (!is_there && step_once(pid, PTRACE_SINGLESTEP));
    (void)sched_setaffinity(0, sizeof before, &before);
    if (is_there != (call >= 0))
        abort();
    if (is_there)
        step_kill(pid);
    return t;
}

static inline struct step_trace step_record(pid_t pid)
{
    return step_record_to(pid, -1);
}

/* Let it run to the next breakpoint of two, which may be one. 0 when it has ended. */
static inline int step_to_either(pid_t pid, const uint64_t pc[2])
{
    struct user_regs_struct regs;
    unsigned long text[2];

    for (int k = 0; k < 2; k++) {
        void *at = (void *)(uintptr_t)pc[k];

        text[k] = (unsigned long)ptrace(PTRACE_PEEKTEXT, pid, at, NULL);
        if (ptrace(PTRACE_POKETEXT, pid, at,
                   (void *)((text[k] & ~step_break[1]) | step_break[0])) < 0)
            abort();
    }
    if (!step_once(pid, PTRACE_CONT))
        return 0;
    for (int k = 1; k >= 0; k--) /* the first as it was before the second */
        if (ptrace(PTRACE_POKETEXT, pid, (void *)(uintptr_t)pc[k],
                   (void *)text[k]) < 0)
            abort();
    regs = step_regs(pid);
    if (regs.STEP_PC == pc[0] + STEP_BEHIND_BREAK ||
        regs.STEP_PC == pc[1] + STEP_BEHIND_BREAK)
        regs.STEP_PC -= STEP_BEHIND_BREAK;
    step_set_regs(pid, &regs);
    return 1;
}

/* Run a started child, with a breakpoint, to the i-th instruction of the trace, or to
 * where it would sleep. 0 when it took another way and ended. */
static inline int step_run_to(pid_t pid, const struct step_trace *t, long i)
{
    const uint64_t pc = t->pc[i];
    const uint64_t last = t->call < 0 ? pc : t->pc[t->n - 1];
    const int is_within = i > 0 && t->pc[i - 1] == pc;
    long n_hits = 0; /* how often the way comes by before */

    for (long k = 0; k < i - is_within; k++)
        n_hits += t->pc[k] == pc && (k == 0 || t->pc[k - 1] != pc);
    for (;;) {
        struct user_regs_struct regs = step_regs(pid);

        if (regs.STEP_PC == pc) {
            if (n_hits-- == 0)
                return !is_within || step_once(pid, PTRACE_SINGLESTEP);
            do {
                if (!step_once(pid, PTRACE_SINGLESTEP))
                    return 0;
            } while (step_regs(pid).STEP_PC == pc);
        } else if (regs.STEP_PC == last) {
            if (step_calls(pid, &regs, t->call))
                return 1;
            if (!step_once(pid, PTRACE_SINGLESTEP))
                return 0;
        } else if (!step_to_either(pid, (const uint64_t[]){pc, last})) {
            return 0;
        }
    }
}

/* Let a started child run up to its i-th instruction. 0 when it has ended instead. */
static inline int step_stop(pid_t pid, const struct step_trace *t, long i)
{
    cpu_set_t before;
    int is_there;

    step_pin(pid, &before);
    is_there = step_run_to(pid, t, i);
    (void)sched_setaffinity(0, sizeof before, &before);
    return is_there;
}

/* Let a stopped child run to its end, which has to be a good one. */
static inline void step_go_on(pid_t pid)
{
    int status;

    if (ptrace(PTRACE_DETACH, pid, NULL, NULL) < 0 ||
        waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0)
        abort();
}

/* Kill a started child before its i-th instruction. */
static inline void step_finish(pid_t pid, const struct step_trace *t, long i)
{
    if (step_stop(pid, t, i))
        step_kill(pid);
}

#endif
