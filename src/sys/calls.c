/* calls.c: the kernel's syscall user dispatch. */
#include "sys/calls.h"

#include <errno.h>
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

/* `syscall` and `int 0x80` take two bytes; it stands behind one of them, with all other
 * registers as they were. */
static void make_again(const siginfo_t *info, ucontext_t *context)
{
    context->uc_mcontext.gregs[REG_RIP] -= 2;
    context->uc_mcontext.gregs[REG_RAX] = info->si_syscall;
}
#else
enum { IS_KNOWN = 0 };

static void make_again(const siginfo_t *info, ucontext_t *context)
{
    (void)info;
    (void)context;
}
#endif

static int set_dispatch(int mode)
{
    return mode == OFF ? prctl(SET_DISPATCH, OFF, 0, 0, 0)
                       : prctl(SET_DISPATCH, ON, 0, 0, &mui_calls.selector);
}

bool mui_calls_caught(const siginfo_t *info, void *context)
{
    int saved = errno;

    if (atomic_load_explicit(&mui_calls.selector, memory_order_relaxed) !=
        MUI_CALLS_HOLD)
        return false;
    atomic_store_explicit(&mui_calls.selector, MUI_CALLS_LET,
                          memory_order_relaxed);
    atomic_store_explicit(&mui_calls.watched, false, memory_order_relaxed);
    if (info->si_signo != SIGSYS || info->si_code != BY_DISPATCH)
        return false;
    /* with it each call that follows would take longer */
    (void)set_dispatch(OFF);
    errno = saved;
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

bool mui_calls_watch(void (*handler)(int, siginfo_t *, void *))
{
    static enum { UNTRIED, WORKS, DOES_NOT } outcome;

    if (outcome == UNTRIED)
        outcome = IS_KNOWN && works(handler) ? WORKS : DOES_NOT;
    return outcome == WORKS && start_watch(handler);
}
