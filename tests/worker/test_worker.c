/* test_worker.c: one worker of each kind: how it ends, is asked, is killed. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "muster/channel.h"
#include "muster/init.h"
#include "muster/lock.h"
#include "muster/worker.h"

#include "process/nursery.h"
#include "support/check.h"
#include "support/refuse.h"
#include "sys/census.h"
#include "sys/sanitize.h"
#include "worker/worker.h"

enum { CODE_BYTES = 4096, CODE_AT = 64 };

static int return_sum(void *arg, size_t size)
{
    const unsigned char *bytes = arg;
    int sum = 0;

    CHECK_CHILD((uintptr_t)arg % 16 == 0);
    for (size_t i = 0; i < size; i++)
        sum += bytes[i];
    return sum;
}

/* How many CPUs it may run on; 0: it has another name than it was given. */
static int count_cpus(void *arg, size_t size)
{
    cpu_set_t set;
    char name[16] = "";

    (void)arg;
    (void)size;
    (void)prctl(PR_GET_NAME, name);
    return strcmp(name, "tested") == 0 &&
                   sched_getaffinity(0, sizeof set, &set) == 0
               ? CPU_COUNT(&set)
               : 0;
}

static int exit_three(void *arg, size_t size)
{
    (void)arg;
    (void)size;
    exit(3);
}

static int crash(void *arg, size_t size)
{
    (void)arg;
    (void)size;
    (void)signal(SIGSEGV, SIG_DFL);
    return raise(SIGSEGV);
}

static int wait_for_signal(void *arg, size_t size)
{
    (void)arg;
    (void)size;
    for (;;)
        (void)pause();
}

static int wait_until_asked(void *arg, size_t size)
{
    (void)arg;
    (void)size;
    while (!mu_worker_is_asked())
        ;
    return 42;
}

static struct mu_worker *start(enum mu_worker_kind kind, mu_worker_fn fn)
{
    struct mu_worker_options how = {.kind = kind, .name = "tested", .cpu = 1};
    struct mu_worker *w;
    struct mu_error err;

    if (mu_worker_start(&how, fn, "\1\2\3", 3, &w, &err) != 0)
        fail_msg("%s", err.text);
    return w;
}

static struct mu_worker_exit join(struct mu_worker *w)
{
    struct mu_worker_exit how;
    struct pollfd p = {.fd = mu_worker_fd(w), .events = POLLIN};

    assert_int_equal(mu_worker_join(w, test_deadline(), &how), 0);
    assert_int_equal(mu_worker_join(w, MU_NOW, &how), 0);
    assert_int_equal(poll(&p, 1, 0), 1); /* it has ended, whoever asks */
    mu_worker_free(w);
    return how;
}

static void both_kinds_return_and_are_asked(void **state)
{
    (void)state;
    for (int kind = MU_WORKER_THREAD; kind <= MU_WORKER_PROCESS; kind++) {
        struct mu_worker *w = start(kind, return_sum);
        struct mu_worker_exit how;

        assert_string_equal(mu_worker_name(w), "tested");
        assert_int_equal(mu_worker_pid(w) > 0, kind == MU_WORKER_PROCESS);
        how = join(w);
        assert_int_equal(how.end, MU_WORKER_RETURNED);
        assert_int_equal(how.code, 6);
        w = start(kind, wait_until_asked);
        assert_int_equal(mu_worker_join(w, MU_NOW, &how), MU_TIMEOUT);
        mu_worker_ask(w);
        how = join(w);
        assert_int_equal(how.code, 42);
        how = join(start(kind, count_cpus));
        assert_int_equal(how.code, 1);
    }
    assert_int_equal(mu_worker_is_asked(), 0);
}

static int kill_group(void *arg, size_t size)
{
    (void)arg;
    (void)size;
    (void)kill(0, SIGTERM);
    return 0;
}

static void kill_0_is_its_own(void **state)
{
    struct mu_worker_exit how = join(start(MU_WORKER_PROCESS, kill_group));

    (void)state;
    assert_int_equal(how.end, MU_WORKER_CRASHED);
    assert_int_equal(how.signal, SIGTERM);
}

static void thread_cannot_be_killed(void **state)
{
    struct mu_worker *w = start(MU_WORKER_THREAD, wait_until_asked);
    struct pollfd p = {.events = POLLIN};
    struct mu_error err;

    (void)state;
    assert_int_equal(mu_worker_kill(w, &err), MU_EMODEL);
    assert_non_null(strstr(err.text, "process"));
    mu_worker_ask(w);
    p.fd = mu_worker_fd(w);
    assert_int_equal(poll(&p, 1, -1), 1); /* it has ended, and is not joined */
    assert_int_equal(mu_worker_kill(w, &err), 0);
    assert_int_equal(mu_worker_join(w, MU_NEVER, NULL), 0);
    assert_int_equal(mu_worker_kill(w, &err), 0);
    mu_worker_free(w);
}

static void fiber_says_what_it_lacks(void **state)
{
    struct mu_worker_options how = {.kind = MU_WORKER_FIBER};
    struct mu_worker *w;

    (void)state;
    assert_int_equal(mu_worker_start(&how, return_sum, NULL, 0, &w, NULL),
                     MU_EMODEL);
    assert_int_equal(mu_worker_start(NULL, NULL, NULL, 0, &w, NULL), -EINVAL);
}

static void process_end_is_told(void **state)
{
    struct mu_worker_exit how;
    struct mu_worker *w;
    char text[64];

    (void)state;
    how = join(start(MU_WORKER_PROCESS, exit_three));
    assert_int_equal(how.end, MU_WORKER_EXITED);
    assert_int_equal(how.code, 3);
    how = join(start(MU_WORKER_PROCESS, crash));
    assert_int_equal(how.end, MU_WORKER_CRASHED);
    assert_int_equal(how.signal, SIGSEGV);
    (void)mu_worker_describe(&how, text, sizeof text);
    assert_string_equal(text, "crashed: SIGSEGV");
    w = start(MU_WORKER_PROCESS, wait_for_signal);
    assert_int_equal(mu_worker_kill(w, NULL), 0);
    how = join(w);
    assert_int_equal(how.end, MU_WORKER_KILLED);
    mu_worker_free(start(MU_WORKER_PROCESS, wait_for_signal));
    mu_worker_free(NULL);
}

/* Into the file that it is told, and leaves it open. */
static int print_and_leave(void *arg, size_t size)
{
    FILE *file = fopen(arg, "we");

    (void)size;
    return file && fputs("all of it", file) >= 0 ? 0 : 1;
}

static void printed_text_is_written_out(void)
{
    struct mu_worker_options how = {.kind = MU_WORKER_PROCESS};
    char path[] = "/tmp/muster-test.XXXXXX";
    char text[16] = "";
    struct mu_worker *w;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(
        mu_worker_start(&how, print_and_leave, path, sizeof path, &w, NULL), 0);
    assert_int_equal(join(w).code, 0);
    assert_int_equal(read(fd, text, sizeof text - 1), strlen("all of it"));
    assert_string_equal(text, "all of it");
    (void)close(fd);
    (void)unlink(path);
}

/* Write over its name and all that comes after it in the memory that it shares with its
 * starter. */
static int write_over_its_name(void *arg, size_t size)
{
    struct mui_worker_page *page =
        (void *)((char *)arg - offsetof(struct mui_worker_page, arg));
    size_t at = offsetof(struct mui_worker_page, name);

    (void)size;
    memset((char *)page + at, 'A', (size_t)sysconf(_SC_PAGESIZE) - at);
    return 0;
}

static void name_is_not_its_workers_to_change(void **state)
{
    struct mu_worker *w = start(MU_WORKER_PROCESS, write_over_its_name);

    (void)state;
    assert_int_equal(mu_worker_join(w, test_deadline(), NULL), 0);
    assert_string_equal(mu_worker_name(w), "tested");
    mu_worker_free(w);
}

static void worker_prints(void **state)
{
    struct mu_worker *thread;

    (void)state;
    printed_text_is_written_out();
    thread = start(MU_WORKER_THREAD, wait_until_asked);
    printed_text_is_written_out(); /* of one that the nursery forks */
    mu_worker_ask(thread);
    (void)join(thread);
}

/* A program that starts a worker and ends: its worker holds the pipe until it is dead. */
static void start_and_end(void *arg)
{
    int *ends = arg;

    (void)close(ends[0]);
    (void)start(MU_WORKER_PROCESS, wait_for_signal);
    _exit(0);
}

static void worker_ends_with_its_starter(void **state)
{
    struct pollfd p = {.events = POLLIN};
    int ends[2];
    char byte;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(test_wait(test_fork(start_and_end, ends)), 0);
    (void)close(ends[1]);
    p.fd = ends[0];
    assert_int_equal(poll(&p, 1, 30000), 1);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    (void)close(ends[0]);
}

static void *stay(void *arg)
{
    struct mu_chan *c = arg;
    char byte;
    size_t size;

    CHECK_CHILD(mu_chan_recv(c, &byte, 1, MU_NEVER, &size) == MU_CLOSED);
    return NULL;
}

static int connect_and_send(void *arg, size_t size)
{
    struct mu_chan *c;

    (void)size;
    if (mu_chan_connect(arg, NULL, test_deadline(), &c, NULL) != 0)
        return 1;
    if (mu_chan_send(c, "x", 1, test_deadline()) != 0)
        return 2;
    return mu_chan_close(c);
}

/* Of a pair that its starter made. */
static int send_on(void *arg, size_t size)
{
    struct mu_chan *const *ends = arg;

    (void)size;
    mu_chan_free(ends[0]);
    if (mu_chan_send(ends[1], "x", 1, test_deadline()) != 0)
        return 1;
    return mu_chan_close(ends[1]);
}

static void inherited_end_is_used(void)
{
    static const char *const schemes[] = {
        "shm:", "pipe:", "unix:", "tcp:", "mq:"};
    struct mu_worker_options how = {.kind = MU_WORKER_PROCESS, .inherits = 1};

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        struct mu_chan_options options = {.queue_messages = 2};
        struct mu_chan *ends[2];
        struct mu_worker *w;
        char byte;
        size_t size;

        assert_int_equal(mu_chan_pair(schemes[i], &options, ends, NULL), 0);
        assert_int_equal(
            mu_worker_start(&how, send_on, ends, sizeof ends, &w, NULL), 0);
        mu_chan_free(ends[1]);
        assert_int_equal(
            mu_chan_recv(ends[0], &byte, 1, test_deadline(), &size), 0);
        assert_int_equal(
            mu_chan_recv(ends[0], &byte, 1, test_deadline(), &size), MU_CLOSED);
        assert_int_equal(join(w).code, 0);
        mu_chan_free(ends[0]);
    }
}

static void nursery_forks_when_threads_run(void **state)
{
    struct mu_worker_options how = {.kind = MU_WORKER_PROCESS, .inherits = 1};
    struct mu_chan *ends[2];
    struct mu_chan *c;
    struct mu_worker *w;
    struct mu_error err;
    pthread_t thread;
    char byte;
    size_t size;

    inherited_end_is_used();
    assert_int_equal(mu_chan_pair("mem:", NULL, ends, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, stay, ends[1]), 0);
    process_end_is_told(state);
    both_kinds_return_and_are_asked(state);
    assert_int_equal(
        mu_worker_start(&how, send_on, ends, sizeof ends, &w, &err), MU_EMODEL);
    assert_non_null(strstr(err.text, "threads"));
    how.inherits = 0;
    assert_int_equal(mu_chan_open("shm:", NULL, &c, NULL), 0);
    assert_int_equal(mu_worker_start(&how, connect_and_send, mu_chan_address(c),
                                     strlen(mu_chan_address(c)) + 1, &w, NULL),
                     0);
    assert_int_equal(mu_chan_recv(c, &byte, 1, test_deadline(), &size), 0);
    assert_int_equal(byte, 'x');
    assert_int_equal(mu_chan_recv(c, &byte, 1, test_deadline(), &size),
                     MU_CLOSED);
    assert_int_equal(join(w).code, 0);
    mu_chan_free(c);
    assert_int_equal(mu_chan_close(ends[0]), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    mu_chan_free(ends[0]);
    mu_chan_free(ends[1]);
}

/* Code that lies in no module, as a compiler at run time makes it: returns 7. NULL for
 * a processor that this test does not know. */
static mu_worker_fn code_make(void)
{
#if defined __x86_64__
    static const unsigned char code[] = {0xb8, 7, 0, 0, 0, 0xc3};
#elif defined __aarch64__
    static const unsigned char code[] = {0xe0, 0, 0x80, 0x52,
                                         0xc0, 3, 0x5f, 0xd6};
#else
    static const unsigned char code[1];
#endif
    char *page = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (sizeof code == 1)
        return NULL;
    assert_true(page != MAP_FAILED);
    /* not first: some sanitizers read what stands before a function */
    memcpy(page + CODE_AT, code, sizeof code);
    assert_int_equal(mprotect(page, CODE_BYTES, PROT_READ | PROT_EXEC), 0);
    __builtin___clear_cache(page, page + CODE_BYTES);
    return (mu_worker_fn)(uintptr_t)(page + CODE_AT);
}

/* A process that is forked from here has it, and a thread; no other can. */
static void function_of_no_module_runs_where_it_is(void **state)
{
    struct mu_worker_options how = {.kind = MU_WORKER_PROCESS};
    struct mu_error err = {.text = ""};
    mu_worker_fn fn = code_make();
    struct mu_worker *thread;
    struct mu_worker *w;

    (void)state;
    if (!fn)
        skip();
    assert_int_equal(join(start(MU_WORKER_PROCESS, fn)).code, 7);
    assert_int_equal(join(start(MU_WORKER_THREAD, fn)).code, 7);
    thread = start(MU_WORKER_THREAD, wait_until_asked);
    assert_int_equal(mu_worker_start(&how, fn, NULL, 0, &w, &err), -EINVAL);
    assert_non_null(strstr(err.text, "its function lies in no loaded module"));
    mu_worker_ask(thread);
    (void)join(thread);
    (void)munmap((char *)(uintptr_t)fn - CODE_AT, CODE_BYTES);
}

static int leave_thread(void *arg, size_t size)
{
    (void)arg;
    (void)size;
    pthread_exit(NULL);
}

static void thread_that_leaves_early_is_joined(void **state)
{
    struct mu_worker_exit exit;
    struct mu_worker *w;

    (void)state;
    assert_int_equal(mu_worker_start(NULL, leave_thread, NULL, 0, &w, NULL), 0);
    exit = join(w);
    assert_int_equal(exit.end, MU_WORKER_EXITED);
    assert_int_equal(exit.code, 0);
}

/* Whether the first thread of this process has ended. */
static int first_has_ended(void)
{
    FILE *stat = fopen("/proc/self/stat", "re");
    char letter = 0;

    CHECK_CHILD(stat && fscanf(stat, "%*d (%*[^)]) %c", &letter) == 1);
    (void)fclose(stat);
    return letter == 'Z';
}

static void *start_after_first(void *unused)
{
    struct mu_worker_options how = {.kind = MU_WORKER_PROCESS, .inherits = 1};
    struct mu_error err = {.text = ""};
    struct mu_worker_exit exit;
    struct mu_worker *w;

    while (!first_has_ended())
        (void)sched_yield();
    if (mu_worker_start(&how, return_sum, "\1\2", 2, &w, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    CHECK_CHILD(mu_worker_join(w, test_deadline(), &exit) == 0);
    CHECK_CHILD(exit.end == MU_WORKER_RETURNED && exit.code == 3);
    mu_worker_free(w);
    _exit(unused != NULL);
}

static void leave_another(void *unused)
{
    pthread_t other;

    CHECK_CHILD(pthread_create(&other, NULL, start_after_first, unused) == 0);
    pthread_exit(NULL);
}

/* The kernel lists a thread for a while after it was joined; the first of all as long as
 * there is another. It does not count: the worker is a copy of this program. */
static void ended_thread_does_not_count(void **state)
{
    (void)state;
    assert_int_equal(test_wait(test_fork(leave_another, NULL)), 0);
}

static void unknown_end_is_told_as_such(void **state)
{
    struct mu_worker_options how = {.kind = MU_WORKER_PROCESS};
    unsigned char bytes[2] = {200, 100};
    struct mu_worker_exit exit;
    struct mu_worker *w;
    char text[64];

    (void)state;
    (void)signal(SIGCHLD, SIG_IGN);
    assert_int_equal(mu_worker_start(&how, exit_three, NULL, 0, &w, NULL), 0);
    exit = join(w);
    assert_int_equal(exit.end, MU_WORKER_LOST);
    (void)mu_worker_describe(&exit, text, sizeof text);
    assert_string_equal(text, "ended, nobody knows how");
    assert_int_equal(mu_worker_start(&how, crash, NULL, 0, &w, NULL), 0);
    assert_int_equal(join(w).end, MU_WORKER_LOST);
    /* also of one that ends before its start has returned */
    for (int i = 0; i < 300; i++) {
        assert_int_equal(mu_worker_start(&how, return_sum, bytes, 2, &w, NULL),
                         0);
        exit = join(w);
        assert_int_equal(exit.end, MU_WORKER_RETURNED);
        assert_int_equal(exit.code, 300);
    }
    (void)signal(SIGCHLD, SIG_DFL);
}

static void kill_after_a_crash_changes_nothing(void **state)
{
    struct mu_worker_options how = {.kind = MU_WORKER_PROCESS};
    struct mu_worker_exit exit;
    struct mu_worker *w;
    struct pollfd p = {.events = POLLIN};

    (void)state;
    assert_int_equal(mu_worker_start(&how, crash, NULL, 0, &w, NULL), 0);
    p.fd = mu_worker_fd(w);
    assert_int_equal(poll(&p, 1, -1), 1); /* dead, not yet joined */
    assert_int_equal(mu_worker_kill(w, NULL), 0);
    assert_int_equal(mu_worker_join(w, MU_NEVER, NULL), 0);
    assert_int_equal(mu_worker_kill(w, NULL), 0); /* nor that of a stranger */
    exit = join(w);
    assert_int_equal(exit.end, MU_WORKER_CRASHED);
    assert_int_equal(exit.signal, SIGSEGV);
}

static void cpu_that_is_not_there_is_refused(void **state)
{
    struct mu_worker_options how = {.cpu = 9999};
    struct mu_worker *w;

    (void)state;
    assert_int_equal(mu_worker_start(&how, return_sum, NULL, 0, &w, NULL),
                     -EINVAL);
    how.kind = MU_WORKER_PROCESS;
    assert_int_equal(mu_worker_start(&how, return_sum, NULL, 0, &w, NULL),
                     -EINVAL);
}

static int note_run(void *arg, size_t size)
{
    (void)size;
    **(int **)arg = 1;
    return 0;
}

static void start_without_binding(void *arg)
{
    int *has_run = test_shared(sizeof *has_run);
    struct mu_worker *w;

    (void)arg;
    test_refuse(SYS_sched_setaffinity, EPERM);
    for (int kind = MU_WORKER_THREAD; kind <= MU_WORKER_PROCESS; kind++) {
        struct mu_worker_options how = {.kind = kind, .cpu = 1};

        CHECK_CHILD(mu_worker_start(&how, note_run, &has_run, sizeof has_run,
                                    &w, NULL) == -EPERM);
        CHECK_CHILD(*has_run == 0);
    }
}

/* Told, and nothing was run elsewhere. */
static void worker_that_cannot_be_bound_is_not_started(void **state)
{
    (void)state;
    assert_int_equal(test_wait(test_fork(start_without_binding, NULL)), 0);
}

/* 0 to 2 are the host's, also while they are closed. */
static void start_without_stdio(void *unused)
{
    struct mu_worker_options how = {.kind = MU_WORKER_PROCESS};
    struct mu_child child = {.fn = wait_until_asked};
    struct mu_supervisor *s;
    struct mu_worker *thread;
    struct mu_worker *process;

    (void)unused;
    CHECK_CHILD(mu_init(NULL) == 0);
    (void)close(0);
    CHECK_CHILD(mu_supervisor_start(NULL, &child, 1, &s, NULL) == 0);
    CHECK_CHILD(mu_supervisor_fd(s) > 2);
    CHECK_CHILD(
        mu_worker_start(NULL, wait_until_asked, NULL, 0, &thread, NULL) == 0);
    CHECK_CHILD(mu_worker_fd(thread) > 2);
    CHECK_CHILD(
        mu_worker_start(&how, wait_for_signal, NULL, 0, &process, NULL) == 0);
    CHECK_CHILD(mu_worker_fd(process) > 2);
    CHECK_CHILD(fcntl(0, F_GETFD) == -1);
    mu_worker_free(process);
    mu_worker_free(thread);
    mu_supervisor_free(s);
}

static void stdio_is_left_to_the_host(void **state)
{
    (void)state;
    assert_int_equal(test_wait(test_fork(start_without_stdio, NULL)), 0);
}

static int never_called(const struct mui_nursery_start *start)
{
    (void)start;
    return 1;
}

/* No more channels than the nursery takes: that is said, and passes. */
static void nursery_without_channels_says_so(void **state)
{
    struct mu_worker_options how = {.kind = MU_WORKER_PROCESS};
    struct mu_worker *thread = start(MU_WORKER_THREAD, wait_until_asked);
    static int channels[MUI_NURSERY_CHANNELS_MAX];
    struct mu_error err;
    struct mu_worker *w;

    (void)state;
    for (int i = 0; i < MUI_NURSERY_CHANNELS_MAX; i++)
        assert_int_equal(mui_nursery_connect(never_called, "", 1, NULL, 0,
                                             &channels[i], NULL),
                         0);
    assert_int_equal(mu_worker_start(&how, return_sum, NULL, 0, &w, &err),
                     -EMFILE);
    assert_non_null(strstr(err.text, "256 pools"));
    for (int i = 0; i < MUI_NURSERY_CHANNELS_MAX; i++)
        mui_nursery_disconnect(channels[i]);
    assert_int_equal(join(start(MU_WORKER_PROCESS, return_sum)).code, 6);
    mu_worker_ask(thread);
    (void)join(thread);
}

static struct mu_semaphore
    *is_up; /* older than the nursery, so its workers have it */

/* It does not die with its parent by itself. */
static int outlive_parent(void *arg, size_t size)
{
    (void)arg;
    (void)size;
    (void)prctl(PR_SET_PDEATHSIG, 0);
    CHECK_CHILD(mu_semaphore_give(is_up, 1) == 0);
    for (;;)
        (void)pause();
}

/* When the nursery is killed. The next worker is of another, which may be to come. */
static void worker_that_is_said_to_be_killed_is_dead(void **state)
{
    struct mu_worker_options how = {.kind = MU_WORKER_PROCESS};
    struct mu_worker *thread = start(MU_WORKER_THREAD, wait_until_asked);
    struct mu_worker_exit exit;
    struct pollfd dead = {.events = POLLIN};
    struct mu_worker *w;

    (void)state;
    assert_int_equal(mu_worker_start(&how, outlive_parent, NULL, 0, &w, NULL),
                     0);
    assert_int_equal(mu_semaphore_take(is_up, test_deadline()), 0);
    dead.fd = (int)syscall(SYS_pidfd_open, mu_worker_pid(w), 0);
    assert_true(dead.fd >= 0);
    assert_int_equal(test_kill(mui_census_parent(mu_worker_pid(w)), SIGKILL),
                     0);
    assert_int_equal(mu_worker_join(w, test_deadline(), &exit), 0);
    assert_int_equal(poll(&dead, 1, 0), 1);
    assert_int_equal(exit.end, MU_WORKER_KILLED);
    mu_worker_free(w);
    assert_int_equal(join(start(MU_WORKER_PROCESS, return_sum)).code, 6);
    (void)close(dead.fd);
    mu_worker_ask(thread);
    (void)join(thread);
}

/* Both are asleep, as whoever stops all that the program has started may leave them. */
static void stopped_nursery_tells_of_ends(void **state)
{
    struct mu_worker *thread = start(MU_WORKER_THREAD, wait_until_asked);
    struct mu_worker *w = start(MU_WORKER_PROCESS, wait_until_asked);
    pid_t nursery = mui_census_parent(mu_worker_pid(w));
    pid_t guardian = mui_census_parent(nursery);
    siginfo_t info;

    (void)state;
    assert_true(nursery > 1 && guardian > 1); /* -1 would be everybody */
    assert_int_equal(test_kill(nursery, SIGSTOP), 0);
    assert_int_equal(test_kill(guardian, SIGSTOP), 0);
    assert_int_equal(
        waitid(P_PID, (id_t)guardian, &info, WSTOPPED | WNOWAIT | __WALL), 0);
    assert_int_equal(mu_worker_kill(w, NULL), 0);
    assert_int_equal(mu_worker_join(w, test_deadline(), NULL), 0);
    mu_worker_free(w);
    mu_worker_ask(thread);
    (void)join(thread);
}

/* A child of the program that was forked meanwhile holds a copy, as we do here. */
static void channel_of_a_worker_is_given_back(void **state)
{
    struct mu_worker *thread = start(MU_WORKER_THREAD, wait_until_asked);
    struct mu_worker *w = start(MU_WORKER_PROCESS, return_sum);
    struct pollfd copy = {.fd = dup(mu_worker_fd(w))};

    (void)state;
    assert_true(copy.fd >= 0);
    (void)join(w);
    assert_int_equal(poll(&copy, 1, 0), 1);
    assert_true(copy.revents & POLLHUP);
    (void)close(copy.fd);
    mu_worker_ask(thread);
    (void)join(thread);
}

/* In a process of its own, since it hides /proc from that. */
static _Noreturn void start_without_proc(void)
{
    struct mu_worker_options how = {.kind = MU_WORKER_PROCESS, .inherits = 1};
    struct mu_worker *thread;
    struct mu_worker *w;

    if (unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/proc", "tmpfs", 0, NULL) != 0)
        _exit(77);
    CHECK_CHILD(mu_worker_start(&how, return_sum, NULL, 0, &w, NULL) == 0);
    mu_worker_free(w);
    thread = start(MU_WORKER_THREAD, wait_until_asked);
    CHECK_CHILD(mu_worker_start(&how, return_sum, NULL, 0, &w, NULL) ==
                MU_EMODEL);
    mu_worker_free(thread);
    _exit(0);
}

static void threads_count_where_proc_is_gone(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    if (MUI_TSAN)
        skip(); /* its own thread is not told from others then */
    assert_true(child >= 0);
    if (child == 0)
        start_without_proc();
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(); /* who may not mount */
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(function_of_no_module_runs_where_it_is),
        cmocka_unit_test(process_end_is_told),
        cmocka_unit_test(both_kinds_return_and_are_asked),
        cmocka_unit_test(kill_0_is_its_own),
        cmocka_unit_test(thread_cannot_be_killed),
        cmocka_unit_test(fiber_says_what_it_lacks),
        cmocka_unit_test(worker_ends_with_its_starter),
        cmocka_unit_test(worker_prints),
        cmocka_unit_test(name_is_not_its_workers_to_change),
        cmocka_unit_test(thread_that_leaves_early_is_joined),
        cmocka_unit_test(ended_thread_does_not_count),
        cmocka_unit_test(unknown_end_is_told_as_such),
        cmocka_unit_test(kill_after_a_crash_changes_nothing),
        cmocka_unit_test(cpu_that_is_not_there_is_refused),
        cmocka_unit_test(worker_that_cannot_be_bound_is_not_started),
        cmocka_unit_test(nursery_forks_when_threads_run),
        cmocka_unit_test(stdio_is_left_to_the_host),
        cmocka_unit_test(nursery_without_channels_says_so),
        cmocka_unit_test(worker_that_is_said_to_be_killed_is_dead),
        cmocka_unit_test(stopped_nursery_tells_of_ends),
        cmocka_unit_test(channel_of_a_worker_is_given_back),
        cmocka_unit_test(threads_count_where_proc_is_gone),
    };

    is_up = test_shared(sizeof *is_up);
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
