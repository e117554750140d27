/* calls.c: the kernel's syscall user dispatch. */
#include "sys/calls.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "sys/sanitize.h"

/* Not in every header: PR_SET_SYSCALL_USER_DISPATCH, SYS_USER_DISPATCH. */
enum { SET_DISPATCH = 59, OFF = 0, ON = 1, BY_DISPATCH = 2 };

struct mui_calls mui_calls;

#if defined(__x86_64__)
/* The handlers of that sanitizer block every signal. */
enum { IS_KNOWN = !MUI_TSAN };

/* Where a call is made that passes, in the place of the task: as long as the selector says
 * HOLD the kernel lets no other calls be made than those from here. The second entry is the
 * end of a handler, as the C library has it, with the stack pointer where the kernel wants
 * it; the first is where that leads to, with the address behind the task's call in rcx,
 * which every call overwrites. There the stack is used like that of any function, below
 * the 128 bytes that are the task's even below its stack pointer. */
extern const char mui_calls_gate[];
extern const char mui_calls_gate_end[];
_Noreturn void mui_calls_gate_return(ucontext_t *context);

__asm__(".pushsection .text\n"
        ".hidden mui_calls_gate, mui_calls_gate_end, mui_calls_gate_return\n"
        ".globl mui_calls_gate, mui_calls_gate_end, mui_calls_gate_return\n"
        ".type mui_calls_gate, @function\n"
        ".type mui_calls_gate_return, @function\n"
        "mui_calls_gate:\n"
        "    .cfi_startproc\n"
        "    .cfi_def_cfa rsp, 0\n"
        "    .cfi_register rip, rcx\n"
        "    lea -128(%rsp), %rsp\n"
        "    .cfi_def_cfa_offset 128\n"
        "    push %rcx\n"
        "    .cfi_def_cfa_offset 136\n"
        "    .cfi_offset rip, -136\n"
        "    syscall\n"
        "    ret $128\n"
        "    .cfi_endproc\n"
        "mui_calls_gate_return:\n"
        "    mov %rdi, %rsp\n"
        "    mov $15, %eax\n" /* rt_sigreturn */
        "    syscall\n"
        "    ud2\n"
        "mui_calls_gate_end:\n"
        ".popsection");

static int set_dispatch(int mode)
{
    return mode == OFF ? prctl(SET_DISPATCH, OFF, 0, 0, 0)
                       : prctl(SET_DISPATCH, ON, mui_calls_gate,
                               (uintptr_t)mui_calls_gate_end -
                                   (uintptr_t)mui_calls_gate,
                               &mui_calls.selector);
}

/* As set_dispatch(OFF), in a handler: it leaves errno alone, where the task may have no
 * place for it, having a thread pointer of its own (wrfsbase takes no call). */
static void end_dispatch(void)
{
    register long fourth __asm__("r10") = 0;
    register long fifth __asm__("r8") = 0;
    long rc = SYS_prctl;

    __asm__ volatile("syscall"
                     : "+a"(rc)
                     : "D"((long)SET_DISPATCH), "S"((long)OFF), "d"(0L),
                       "r"(fourth), "r"(fifth)
                     : "rcx", "r11", "memory");
}

/* Whether this call changes nothing that a look at the process would find, whatever its
 * arguments are. */
static bool is_passing(const siginfo_t *info, const ucontext_t *context)
{
    const greg_t first = context->uc_mcontext.gregs[REG_RDI];

    if (info->si_arch != AUDIT_ARCH_X86_64) /* other numbers */
        return false;
    switch (info->si_syscall) {
    case SYS_write: /* what it prints; other files may be the kernel's */
        return first == 1 || first == 2;
    case SYS_read:
    case SYS_pread64:
    case SYS_lseek:
    case SYS_fstat:
    case SYS_newfstatat:
    case SYS_futex:
    case SYS_sched_yield:
    case SYS_getpid:
    case SYS_gettid:
    case SYS_clock_gettime:
    case SYS_clock_nanosleep:
    case SYS_getrandom:
        return true;
    default:
        return false;
    }
}

/* Go on with the task at its call, in our place. The handler never ends by itself: that is a
 * call that would be caught. */
static _Noreturn void pass(const siginfo_t *info, ucontext_t *context)
{
    greg_t *registers = context->uc_mcontext.gregs;

    registers[REG_RCX] = registers[REG_RIP];
    registers[REG_RIP] = (greg_t)(uintptr_t)mui_calls_gate;
    registers[REG_RAX] = info->si_syscall;
    mui_calls_gate_return(context);
}

/* `syscall` and `int 0x80` take two bytes; it stands behind one of them, with all other
 * registers as they were. */
static void make_again(const siginfo_t *info, ucontext_t *context)
{
    context->uc_mcontext.gregs[REG_RIP] -= 2;
    context->uc_mcontext.gregs[REG_RAX] = info->si_syscall;
}
#else
enum { IS_KNOWN = 0 };

static int set_dispatch(int mode)
{
    return prctl(SET_DISPATCH, mode, 0, 0, &mui_calls.selector);
}

static void end_dispatch(void)
{
    int saved = errno;

    (void)set_dispatch(OFF);
    errno = saved;
}

static bool is_passing(const siginfo_t *info, const ucontext_t *context)
{
    (void)info;
    (void)context;
    return false;
}

static void pass(const siginfo_t *info, ucontext_t *context)
{
    (void)info;
    (void)context;
}

static void make_again(const siginfo_t *info, ucontext_t *context)
{
    (void)info;
    (void)context;
}
#endif

bool mui_calls_caught(const siginfo_t *info, void *context)
{
    const bool by_dispatch =
        info->si_signo == SIGSYS && info->si_code == BY_DISPATCH;

    if (atomic_load_explicit(&mui_calls.selector, memory_order_relaxed) !=
        MUI_CALLS_HOLD)
        return false;
    /* not with that sanitizer, which wants the frames of handlers ended, see pass() */
    if (by_dispatch && !MUI_ASAN && is_passing(info, context) &&
        atomic_fetch_add_explicit(&mui_calls.n_passed, 1,
                                  memory_order_relaxed) < mui_calls.may_pass)
        pass(info, context);
    atomic_store_explicit(&mui_calls.selector, MUI_CALLS_LET,
                          memory_order_relaxed);
    atomic_store_explicit(&mui_calls.watched, false, memory_order_relaxed);
    if (!by_dispatch)
        return false;
    /* with it each call that follows would take longer */
    end_dispatch();
    make_again(info, context);
    return true;
}

/* Whether the handler of SIGSYS is called as it was meant to be. Where the signal is
 * blocked, the kernel does not wait until it is not, but kills. */
static bool is_heard(void (*handler)(int, siginfo_t *, void *))
{
    enum { MEANT = SA_SIGINFO | SA_ONSTACK };
    struct sigaction action;
    sigset_t blocked;

    return sigaction(SIGSYS, NULL, &action) == 0 &&
           action.sa_sigaction == handler &&
           (action.sa_flags & (MEANT | (int)SA_RESETHAND)) == MEANT &&
           pthread_sigmask(SIG_SETMASK, NULL, &blocked) == 0 &&
           !sigismember(&blocked, SIGSYS);
}

static bool start_watch(void (*handler)(int, siginfo_t *, void *))
{
    bool starts = is_heard(handler) && set_dispatch(ON) == 0;

    atomic_store_explicit(&mui_calls.watched, starts, memory_order_relaxed);
    return starts;
}

/* Whether a call is seen, and made. Once: it brings in the code, too. */
static bool works(void (*handler)(int, siginfo_t *, void *))
{
    const pid_t parent = getppid();
    pid_t same;

    if (!start_watch(handler))
        return false;
    mui_calls_begin();
    same = (pid_t)syscall(SYS_getppid);
    mui_calls_end();
    if (!mui_calls_were_none() && same == parent)
        return true;
    (void)set_dispatch(OFF);
    atomic_store_explicit(&mui_calls.watched, false, memory_order_relaxed);
    return false;
}

bool mui_calls_watch(void (*handler)(int, siginfo_t *, void *),
                     unsigned char n_pass)
{
    static enum { UNTRIED, WORKS, DOES_NOT } outcome;

    if (outcome == UNTRIED)
        outcome = IS_KNOWN && works(handler) ? WORKS : DOES_NOT;
    mui_calls.may_pass = n_pass;
    return outcome == WORKS && start_watch(handler);
}
