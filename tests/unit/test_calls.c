/* test_calls.c: whether a task made a system call is known, and no call of it is the worse
 * for that. What a worker makes of it: test_worker_looks.c. */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "support/calls.h"
#include "support/check.h"
#include "sys/calls.h"
#include "sys/sanitize.h"

/* -- one watched thread; each test has a process of its own -- */

enum { PASSES = 4 };

static void on_sigsys(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    if (!mui_calls_caught(info, context))
        _exit(3);
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *),
                   int flags, const sigset_t *blocked)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags};

    if (blocked)
        action.sa_mask = *blocked;
    CHECK_CHILD(sigaction(signal, &action, NULL) == 0);
}

static void prepare(void)
{
    handle(SIGSYS, on_sigsys, SA_SIGINFO | SA_ONSTACK, NULL);
}

static void watch(void)
{
    prepare();
    CHECK_CHILD(mui_calls_watch(on_sigsys, PASSES));
}

static void passes(void (*test)(void *))
{
    if (!test_tells_calls()) {
        print_message("no syscall user dispatch here\n");
        skip();
    }
    assert_int_equal(test_wait(test_fork(test, NULL)), 0);
}

static int compute(void)
{
    volatile int sum = 0;

    for (int i = 0; i < 1000; i++)
        sum = sum + i;
    return sum;
}

static void see_none(void *arg)
{
    (void)arg;
    CHECK_CHILD(!mui_calls_were_none());
    watch();
    for (int i = 0; i < 3; i++) {
        (void)getppid(); /* ours */
        mui_calls_begin();
        (void)compute();
        mui_calls_end();
        CHECK_CHILD(mui_calls_were_none());
    }
}

static void no_call_is_known(void **state)
{
    (void)state;
    passes(see_none);
}

static void see_calls(void *arg)
{
    const pid_t parent = getppid();

    (void)arg;
    for (int i = 0; i < 3; i++) {
        pid_t same;
        pid_t again;

        watch();
        mui_calls_begin();
        same = getppid();
        again = getppid();
        mui_calls_end();
        CHECK_CHILD(!mui_calls_were_none());
        CHECK_CHILD(same == parent && again == parent);
        mui_calls_begin(); /* no watch any more */
        (void)compute();
        mui_calls_end();
        CHECK_CHILD(!mui_calls_were_none());
    }
}

/* A task that runs a pool of its own, in its thread: tasks within tasks. */
static void begin_again(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        watch();
        mui_calls_begin();
        if (i == 0)
            (void)getppid();
        mui_calls_begin();
        (void)compute();
        mui_calls_end();
        CHECK_CHILD(mui_calls_were_none() == (i == 1));
    }
}

static void call_is_seen_and_made(void **state)
{
    (void)state;
    passes(see_calls);
}

static void call_before_another_begin_is_seen(void **state)
{
    (void)state;
    passes(begin_again);
}

/* All six arguments, the result, and errno as it was or becomes. */
static void keep_arguments(void *arg)
{
    enum { PAGE = 4096 };
    int fd = memfd_create("calls", MFD_CLOEXEC);
    const char *page;
    int rc;

    (void)arg;
    CHECK_CHILD(ftruncate(fd, 2L * PAGE) == 0);
    CHECK_CHILD(pwrite(fd, "x", 1, PAGE) == 1);
    watch();
    mui_calls_begin();
    page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE);
    mui_calls_end();
    CHECK_CHILD(!mui_calls_were_none() && page != MAP_FAILED && *page == 'x');
    watch();
    errno = ERANGE;
    mui_calls_begin();
    (void)getppid();
    mui_calls_end();
    CHECK_CHILD(!mui_calls_were_none() && errno == ERANGE);
    watch();
    mui_calls_begin();
    rc = close(-1);
    mui_calls_end();
    CHECK_CHILD(!mui_calls_were_none() && rc == -1 && errno == EBADF);
}

#if defined(__x86_64__) && !defined(TEST_IS_SANITIZED)
/* What a thread keeps for itself is not there meanwhile, errno neither. */
static long call_without_thread(void)
{
    long rc = SYS_getppid;

    __asm__ volatile("rdfsbase %%rbx\n"
                     "xor %%edx, %%edx\n"
                     "wrfsbase %%rdx\n"
                     "syscall\n"
                     "wrfsbase %%rbx\n"
                     : "+a"(rc)
                     :
                     : "rbx", "rcx", "rdx", "r11", "memory");
    return rc;
}

static void call_without_thread_pointer(void *arg)
{
    (void)arg;
    watch();
    mui_calls_begin();
    CHECK_CHILD(call_without_thread() == getppid());
    mui_calls_end();
    CHECK_CHILD(!mui_calls_were_none());
}

static void thread_pointer_may_be_the_tasks_own(void **state)
{
    enum { FSGSBASE = 2 }; /* of AT_HWCAP2: user space may write it */

    (void)state;
    if (!(getauxval(AT_HWCAP2) & FSGSBASE))
        skip();
    passes(call_without_thread_pointer);
}
#endif

static void arguments_and_errors_are_kept(void **state)
{
    (void)state;
    passes(keep_arguments);
}

static _Atomic int n_traps;

static void on_trap(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    (void)context;
    atomic_fetch_add(&n_traps, 1);
}

/* The first call is the return from a handler; the second one time is within it. */
static void return_from_handler(void *arg)
{
    (void)arg;
#ifdef __x86_64__
    for (int i = 0; i < 2; i++) {
        volatile int on_stack = 7;
        int sum;

        handle(SIGTRAP, on_trap, SA_SIGINFO | (i ? SA_ONSTACK : 0), NULL);
        watch();
        mui_calls_begin();
        __asm__ volatile("int3" : : : "memory");
        sum = compute();
        mui_calls_end();
        CHECK_CHILD(!mui_calls_were_none());
        CHECK_CHILD(atomic_load(&n_traps) == i + 1 && on_stack == 7);
        CHECK_CHILD(sum == 499500);
    }
#endif
}

static void return_from_a_handler_is_a_call(void **state)
{
    (void)state;
    passes(return_from_handler);
}

/* Call, told not to: who is watched is seen, and so are all that inherit it. */
static void call_unwatched(void)
{
    atomic_store(&mui_calls.selector, MUI_CALLS_HOLD);
    (void)getppid();
    CHECK_CHILD(atomic_load(&mui_calls.selector) == MUI_CALLS_HOLD);
    atomic_store(&mui_calls.selector, MUI_CALLS_LET);
}

static void *call_in_thread(void *arg)
{
    call_unwatched();
    return arg;
}

static void have_descendants(void *arg)
{
    pthread_t thread;
    pid_t child;

    (void)arg;
    watch();
    mui_calls_begin();
    child = fork();
    if (child == 0) {
        call_unwatched();
        _exit(0);
    }
    mui_calls_end();
    CHECK_CHILD(!mui_calls_were_none() && test_wait(child) == 0);
    watch(); /* but not begun: the clone itself is made while the watch is on */
    child = fork();
    if (child == 0) {
        call_unwatched();
        _exit(0);
    }
    CHECK_CHILD(test_wait(child) == 0);
    CHECK_CHILD(pthread_create(&thread, NULL, call_in_thread, NULL) == 0);
    CHECK_CHILD(pthread_join(thread, NULL) == 0);
    CHECK_CHILD(mui_calls_were_none());
    mui_calls_begin();
    /* NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork) */
    child = vfork();
    if (child == 0)
        _exit(5);
    mui_calls_end();
    CHECK_CHILD(!mui_calls_were_none());
    CHECK_CHILD(WEXITSTATUS(test_wait(child)) == 5);
}

static void descendants_are_not_watched(void **state)
{
    (void)state;
    passes(have_descendants);
}

/* A task that has its own, or takes ours away, is followed by one that is watched. */
static void take_dispatch(void *arg)
{
    static char own = MUI_CALLS_LET;

    (void)arg;
    for (int i = 0; i < 2; i++) {
        watch();
        mui_calls_begin();
        CHECK_CHILD(prctl(59, i, 0, 0, i ? &own : NULL) == 0);
        mui_calls_end();
        CHECK_CHILD(!mui_calls_were_none());
        watch();
        mui_calls_begin();
        (void)getppid();
        mui_calls_end();
        CHECK_CHILD(!mui_calls_were_none());
    }
}

static void dispatch_of_a_task_is_replaced(void **state)
{
    (void)state;
    passes(take_dispatch);
}

static void write_selector(void *arg)
{
    (void)arg;
    watch();
    mui_calls_begin();
    atomic_store(&mui_calls.selector, MUI_CALLS_LET);
    (void)getppid();
    mui_calls_end();
    CHECK_CHILD(!mui_calls_were_none());
}

static void selector_written_over_is_no_proof(void **state)
{
    (void)state;
    passes(write_selector);
}

/* -- calls that change nothing -- */

/* Their arguments, results and errors. */
static void call_harmlessly(void)
{
    char byte = 0;
    char name[] = "/";
    struct stat st;
    uint32_t word = 1;

    errno = ERANGE;
    CHECK_CHILD(syscall(SYS_getpid) > 0 && errno == ERANGE);
    CHECK_CHILD(pread(-1, &byte, 1, 0) == -1 && errno == EBADF);
    CHECK_CHILD(syscall(SYS_newfstatat, AT_FDCWD, name, &st, 0) == 0);
    CHECK_CHILD(S_ISDIR(st.st_mode));
    /* the sixth is what it refuses */
    CHECK_CHILD(
        syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 1, NULL, NULL, 0) == -1 &&
        errno == EINVAL);
}

static void let_pass(void *arg)
{
    (void)arg;
    watch();
    for (int i = 0; i < 3; i++) {
        mui_calls_begin();
        call_harmlessly();
        mui_calls_end();
        CHECK_CHILD(mui_calls_were_none() == !MUI_ASAN);
    }
    watch();
    mui_calls_begin();
    CHECK_CHILD(syscall(SYS_getpid) == getpid());
    (void)getppid();
    mui_calls_end();
    CHECK_CHILD(!mui_calls_were_none());
    watch();
    mui_calls_begin();
    for (int i = 0; i < 100; i++)
        CHECK_CHILD(lseek(-1, 0, SEEK_SET) == -1 && errno == EBADF);
    mui_calls_end();
    CHECK_CHILD(!mui_calls_were_none());
}

static void few_calls_that_change_nothing_pass(void **state)
{
    (void)state;
    passes(let_pass);
}

/* A file may be one of the kernel's, and 24 is sched_yield() of one table of numbers only. */
static void call_alike(void *arg)
{
    int to_kernel = open("/proc/self/comm", O_WRONLY | O_CLOEXEC);

    (void)arg;
    CHECK_CHILD(to_kernel > 2);
    watch();
    mui_calls_begin();
    CHECK_CHILD(write(to_kernel, "x", 1) == 1);
    mui_calls_end();
    CHECK_CHILD(!mui_calls_were_none());
    watch();
    mui_calls_begin();
    (void)write(2, "", 0);
    mui_calls_end();
    CHECK_CHILD(mui_calls_were_none() == !MUI_ASAN);
#ifdef __x86_64__
    pid_t child = fork();

    if (child == 0) {
        long result = 24;

        watch();
        mui_calls_begin();
        __asm__ volatile("int $0x80" : "+a"(result) : : "memory");
        mui_calls_end();
        CHECK_CHILD(!mui_calls_were_none());
        _exit(0);
    }
    /* or that there is no such table here */
    child = test_wait(child);
    CHECK_CHILD(child == 0 ||
                (WIFSIGNALED(child) && WTERMSIG(child) == SIGSEGV));
#endif
}

static void calls_that_look_like_it_do_not_pass(void **state)
{
    (void)state;
    passes(call_alike);
}

/* What a function keeps below its stack pointer. */
static void keep_below_the_stack(void *arg)
{
    (void)arg;
#ifdef __x86_64__
    long kept = 0;

    watch();
    mui_calls_begin();
    __asm__ volatile("mov %%rbx, -8(%%rsp)\n\t"
                     "mov %%rbx, -128(%%rsp)\n\t"
                     "syscall\n\t"
                     "mov -8(%%rsp), %0\n\t"
                     "add -128(%%rsp), %0"
                     : "=a"(kept)
                     : "a"(SYS_getpid), "b"(7)
                     : "rcx", "r11", "memory");
    mui_calls_end();
    CHECK_CHILD(mui_calls_were_none() == !MUI_ASAN && kept == 14);
#endif
}

static void stack_is_kept_where_calls_pass(void **state)
{
    (void)state;
    passes(keep_below_the_stack);
}

static int pipe_fds[2];
static _Atomic bool is_on_stack;

/* Waits until the handler of a signal has written. */
__attribute__((noinline)) static bool wait_for_byte(void)
{
    char byte = 0;
    bool got = syscall(SYS_read, pipe_fds[0], &byte, 1) == 1;

    return got && byte == 'x';
}

static void write_byte(int signal, siginfo_t *info, void *context)
{
    enum { N_FRAMES = 32, BYTES = 512 /* of wait_for_byte(), at most */ };
    void *frames[N_FRAMES];
    int n = backtrace(frames, N_FRAMES);

    (void)signal;
    (void)info;
    (void)context;
    for (int i = 0; i < n; i++)
        if ((uintptr_t)frames[i] - (uintptr_t)wait_for_byte < BYTES)
            atomic_store(&is_on_stack, true);
    (void)write(pipe_fds[1], "x", 1);
}

/* `begun` is told to a process that then sends the signal. */
static void be_interrupted(void *arg)
{
    _Atomic bool *begun = arg;
    void *frame;
    pid_t self = getpid();
    pid_t child;

    (void)backtrace(&frame, 1); /* loads what it needs */
    CHECK_CHILD(pipe2(pipe_fds, O_CLOEXEC) == 0);
    handle(SIGUSR1, write_byte, SA_SIGINFO | SA_RESTART, NULL);
    child = fork();
    if (child == 0) {
        while (!atomic_load(begun))
            (void)sched_yield();
        (void)test_kill(self, SIGUSR1);
        _exit(0);
    }
    watch();
    mui_calls_begin();
    atomic_store(begun, true);
    CHECK_CHILD(wait_for_byte());
    mui_calls_end();
    CHECK_CHILD(!mui_calls_were_none());
    CHECK_CHILD(atomic_load(&is_on_stack));
    CHECK_CHILD(test_wait(child) == 0);
}

static void handler_amid_a_call_that_passes_is_seen(void **state)
{
    _Atomic bool *begun = test_shared(sizeof *begun);

    (void)state;
    if (!test_tells_calls())
        skip();
    assert_int_equal(test_wait(test_fork(be_interrupted, begun)), 0);
    (void)munmap((void *)begun, sizeof *begun);
}

/* -- where SIGSYS would not be handled -- */

static void on_sigsys_of_others(int signal, siginfo_t *info, void *context)
{
    on_sigsys(signal, info, context);
}

static void refuse(void *arg)
{
    sigset_t sigsys;

    (void)arg;
    watch();
    (void)sigemptyset(&sigsys);
    (void)sigaddset(&sigsys, SIGSYS);
    (void)sigprocmask(SIG_BLOCK, &sigsys, NULL);
    CHECK_CHILD(!mui_calls_watch(on_sigsys, PASSES) && !mui_calls_were_none());
    (void)sigprocmask(SIG_UNBLOCK, &sigsys, NULL);
    CHECK_CHILD(mui_calls_watch(on_sigsys, PASSES));
    /* as signal() sets it that of who knows nothing of the rest */
    handle(SIGSYS, on_sigsys, SA_RESTART, NULL);
    CHECK_CHILD(!mui_calls_watch(on_sigsys, PASSES) && !mui_calls_were_none());
    mui_calls_begin();
    (void)getppid();
    mui_calls_end();
    handle(SIGSYS, on_sigsys_of_others, SA_SIGINFO | SA_ONSTACK, NULL);
    CHECK_CHILD(!mui_calls_watch(on_sigsys, PASSES) && !mui_calls_were_none());
    prepare();
    CHECK_CHILD(mui_calls_watch(on_sigsys, PASSES));
}

static void no_watch_where_the_signal_kills(void **state)
{
    (void)state;
    passes(refuse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_call_is_known),
        cmocka_unit_test(call_is_seen_and_made),
        cmocka_unit_test(call_before_another_begin_is_seen),
        cmocka_unit_test(arguments_and_errors_are_kept),
#if defined(__x86_64__) && !defined(TEST_IS_SANITIZED)
        cmocka_unit_test(thread_pointer_may_be_the_tasks_own),
#endif
        cmocka_unit_test(return_from_a_handler_is_a_call),
        cmocka_unit_test(descendants_are_not_watched),
        cmocka_unit_test(dispatch_of_a_task_is_replaced),
        cmocka_unit_test(selector_written_over_is_no_proof),
        cmocka_unit_test(few_calls_that_change_nothing_pass),
        cmocka_unit_test(calls_that_look_like_it_do_not_pass),
        cmocka_unit_test(stack_is_kept_where_calls_pass),
        cmocka_unit_test(handler_amid_a_call_that_passes_is_seen),
        cmocka_unit_test(no_watch_where_the_signal_kills),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
