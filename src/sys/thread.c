/* thread.c: starting a thread that leaves the host's signals alone. */
#include "sys/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { ALTSTACK_BYTES = 64 * 1024 };

/* What a thread is handed, which gives it back. Mapped: free() in a new thread makes an
 * arena for it, 64 MiB of address space with glibc, of which a limit may leave little. */
struct start {
    void *(*body)(void *);
    void *arg;
    char name[16]; /* what the kernel keeps of one */
};

/* The stack that mui_thread_altstack() made for this thread; NULL: it made none. */
static _Thread_local char *own_stack;

int mui_thread_altstack(void)
{
    stack_t stack;
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    char *memory;

    if (sigaltstack(NULL, &stack) == 0 && !(stack.ss_flags & SS_DISABLE))
        return 0;
    if (!own_stack) {
        memory = mmap(NULL, guard + ALTSTACK_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
            return -errno;
        (void)mprotect(memory, guard, PROT_NONE);
        own_stack = memory;
    }
    stack = (stack_t){.ss_sp = own_stack + guard, .ss_size = ALTSTACK_BYTES};
    return sigaltstack(&stack, NULL) < 0 ? -errno : 0;
}

static void altstack_free(void *unused)
{
    stack_t off = {.ss_flags = SS_DISABLE};

    (void)unused;
    if (!own_stack)
        return;
    (void)sigaltstack(&off, NULL);
    (void)munmap(own_stack, (size_t)sysconf(_SC_PAGESIZE) + ALTSTACK_BYTES);
    own_stack = NULL;
}

static void *thread_main(void *arg)
{
    struct start start = *(struct start *)arg;
    void *result;

    (void)munmap(arg, sizeof start);
    (void)prctl(PR_SET_NAME, start.name); /* its body may ask for it */
    (void)mui_thread_altstack();
    pthread_cleanup_push(altstack_free, NULL); /* its body may pthread_exit() */
    result = start.body(start.arg);
    pthread_cleanup_pop(1);
    return result;
}

int mui_thread_start(pthread_t *ret_thread, const char *name,
                     void *(*body)(void *), void *arg)
{
    return mui_thread_start_stack(ret_thread, name, body, arg, 0);
}

int mui_thread_start_stack(pthread_t *ret_thread, const char *name,
                           void *(*body)(void *), void *arg, size_t stack_bytes)
{
    static const int faults[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                 SIGTRAP, SIGABRT, SIGSYS, SIGXFSZ};
    struct start *start = mmap(NULL, sizeof *start, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigset_t block;
    sigset_t before;
    pthread_attr_t attr;
    int rc;

    if (start == MAP_FAILED)
        return -errno;
    rc = pthread_attr_init(&attr);
    if (rc == 0 && stack_bytes > 0)
        rc = pthread_attr_setstacksize(&attr, stack_bytes);
    if (rc != 0) {
        (void)munmap(start, sizeof *start);
        return -rc;
    }
    *start = (struct start){.body = body, .arg = arg};
    (void)snprintf(start->name, sizeof start->name, "%s", name);
    (void)sigfillset(&block);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        (void)sigdelset(&block, faults[i]);
    (void)pthread_sigmask(SIG_SETMASK, &block, &before);
    rc = pthread_create(ret_thread, &attr, thread_main, start);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    if (rc != 0) {
        (void)munmap(start, sizeof *start);
        return -rc;
    }
    return 0;
}

const _Atomic uint32_t *mui_thread_end_word(void)
{
    const _Atomic uint32_t *word =
        NULL; /* the C library's: pthread_join() waits */

    return prctl(PR_GET_TID_ADDRESS, &word, 0, 0, 0) < 0 ? NULL : word;
}

int mui_thread_cpus(void)
{
    cpu_set_t usable;

    if (sched_getaffinity(0, sizeof usable, &usable) < 0)
        return -errno;
    return CPU_COUNT(&usable);
}

/* The i-th CPU of those that this thread may use. */
static int cpu_choose(unsigned i_cpu, cpu_set_t *ret_one)
{
    cpu_set_t usable;
    int n;

    if (sched_getaffinity(0, sizeof usable, &usable) < 0)
        return -errno;
    n = (int)(i_cpu % (unsigned)CPU_COUNT(&usable));
    CPU_ZERO(ret_one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &usable) && n-- == 0)
            CPU_SET(cpu, ret_one);
    return 0;
}

int mui_thread_pin(unsigned i_cpu)
{
    return mui_thread_pin_process(0, i_cpu);
}

int mui_thread_pin_thread(pthread_t thread, unsigned i_cpu)
{
    cpu_set_t one;
    int rc = cpu_choose(i_cpu, &one);

    return rc != 0 ? rc : -pthread_setaffinity_np(thread, sizeof one, &one);
}

int mui_thread_pin_process(int pid, unsigned i_cpu)
{
    cpu_set_t one;
    int rc = cpu_choose(i_cpu, &one);

    if (rc == 0 && sched_setaffinity(pid, sizeof one, &one) < 0)
        rc = -errno;
    return rc;
}
