/* test_host.c: what a host may expect of a library that forks: each case runs in a
 * process of its own. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "muster/muster.h"

#include "chaos/deeds.h"
#include "process/nursery.h"
#include "support/check.h"
#include "sys/sanitize.h"

static void run_case(void (*body)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(300);
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static struct mu_pool *open_pool(void)
{
    struct mu_pool *pool;
    struct mu_error err;
    int rc = mu_pool_open("processes:2", NULL, &pool, &err);

    if (rc != 0)
        (void)fprintf(stderr, "%s\n", err.text);
    CHECK_CHILD(rc == 0);
    return pool;
}

static struct mu_outcome *run_one(struct mu_pool *pool, mu_task_fn fn)
{
    struct mu_outcome *o;

    CHECK_CHILD(mu_pool_submit(pool, fn, "hello", 5, NULL, NULL) == 0);
    CHECK_CHILD(mu_pool_next(pool, MU_NEVER, &o) == 0);
    return o;
}

static void pool_works(struct mu_pool *pool)
{
    struct mu_outcome *o = run_one(pool, deed_innocent);

    CHECK_CHILD(o->status == MU_DONE);
    CHECK_CHILD(strcmp(o->output, "hello") == 0);
    mu_outcome_free(o);
    o = run_one(pool, deeds[0].fn);
    CHECK_CHILD(o->status == MU_CRASHED);
    mu_outcome_free(o);
}

static void *idle(void *arg)
{
    (void)arg;
    for (;;)
        (void)pause();
}

/* -- signals and children -- */

static volatile sig_atomic_t n_sigchld;

static void count_sigchld(int signal)
{
    (void)signal;
    n_sigchld++;
}

static void host_is_not_disturbed(void)
{
    struct sigaction action = {.sa_handler = count_sigchld};
    struct sigaction fault;
    struct sigaction after;
    char *const directory = getcwd(NULL, 0);
    char *const *const variables = environ;
    size_t n_variables = 0;
    struct mu_pool *pool;
    sigset_t mask;

    while (variables[n_variables])
        n_variables++;
    CHECK_CHILD(sigaction(SIGSEGV, NULL, &fault) == 0);
    CHECK_CHILD(sigaction(SIGCHLD, &action, NULL) == 0);
    CHECK_CHILD(mu_init(NULL) == 0);
    pool = open_pool();
    pool_works(pool);
    /* a host that waits for all its children does not wait for ours */
    CHECK_CHILD(wait(NULL) == -1 && errno == ECHILD);
    mu_pool_close(pool);
    CHECK_CHILD(wait(NULL) == -1 && errno == ECHILD);
    CHECK_CHILD(n_sigchld == 0);
    CHECK_CHILD(sigaction(SIGCHLD, NULL, &after) == 0);
    CHECK_CHILD(after.sa_handler == count_sigchld);
    CHECK_CHILD(sigaction(SIGSEGV, NULL, &after) == 0);
    CHECK_CHILD(after.sa_handler == fault.sa_handler);
    CHECK_CHILD(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
    CHECK_CHILD(!sigismember(&mask, SIGCHLD) && !sigismember(&mask, SIGINT));
    CHECK_CHILD(strcmp(getcwd(NULL, 0), directory) == 0);
    CHECK_CHILD(environ == variables);
    for (size_t i = 0; i < n_variables; i++)
        CHECK_CHILD(variables[i]);
    CHECK_CHILD(!variables[n_variables]);
}

static void ignored_sigchld_is_no_harm(void)
{
    struct mu_pool *pool;

    CHECK_CHILD(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    pool = open_pool();
    pool_works(pool);
    mu_pool_close(pool);
}

/* -- when a nursery can be had -- */

static void threads_need_init(void)
{
    struct mu_pool *pool;
    struct mu_error err;
    pthread_t thread;

    CHECK_CHILD(pthread_create(&thread, NULL, idle, NULL) == 0);
    CHECK_CHILD(mu_pool_open("processes:2", NULL, &pool, &err) == MU_EINIT);
    CHECK_CHILD(strstr(err.text, "mu_init()"));
    CHECK_CHILD(mu_init(&err) == MU_EINIT);
}

static void init_then_threads(void)
{
    struct mu_pool *pool;
    pthread_t thread;

    CHECK_CHILD(mu_init(NULL) == 0);
    CHECK_CHILD(mu_init(NULL) == 0);
    CHECK_CHILD(pthread_create(&thread, NULL, idle, NULL) == 0);
    pool = open_pool();
    pool_works(pool);
    mu_pool_close(pool);
}

static void pool_is_refused(void)
{
    struct mu_pool *pool;
    struct mu_error err;

    CHECK_CHILD(mu_pool_open("processes:1", NULL, &pool, &err) == MU_EINIT);
    CHECK_CHILD(strstr(err.text, "before mu_init()"));
}

/* Tasks would have what the program gave up, and it could not end them. */
static void privileges_given_up_are_noticed(void)
{
    enum { NOBODY = 65534 };
    const gid_t group = NOBODY;

    if (geteuid() != 0 || setgroups(0, NULL) != 0)
        return;
    CHECK_CHILD(mu_init(NULL) == 0);
    CHECK_CHILD(setgroups(1, &group) == 0);
    pool_is_refused();
    CHECK_CHILD(setgroups(0, NULL) == 0);
    CHECK_CHILD(setegid(NOBODY) == 0);
    pool_is_refused();
    CHECK_CHILD(setegid(0) == 0);
    mu_pool_close(open_pool());
    CHECK_CHILD(setresuid(NOBODY, NOBODY, NOBODY) == 0);
    pool_is_refused();
}

static int the_number;

static int say_number(struct mu_task *task)
{
    return mu_task_printf(task, "%d", the_number);
}

/* Without mu_init() the workers have the memory of the time of opening. */
static void memory_of_opening_is_shared(void)
{
#if defined(__has_feature)
#    if __has_feature(thread_sanitizer)
    return; /* its own threads are counted after the first fork */
#    endif
#endif

    for (the_number = 1; the_number <= 2; the_number++) {
        struct mu_pool *pool = open_pool();
        struct mu_outcome *o = run_one(pool, say_number);

        CHECK_CHILD(atoi(o->output) == the_number);
        mu_outcome_free(o);
        mu_pool_close(pool);
    }
}

static void two_pools_at_once(void)
{
    struct mu_pool *first = open_pool();
    struct mu_pool *second = open_pool();

    pool_works(first);
    pool_works(second);
    mu_pool_close(first);
    pool_works(second);
    mu_pool_close(second);
}

static int no_worker(const struct mui_nursery_start *start)
{
    (void)start;
    return 0;
}

/* One too many is an error, not a wait without end; and not for ever. */
static void pools_have_a_limit(void)
{
    int channels[MUI_NURSERY_CHANNELS_MAX];
    struct mu_pool *pool;
    struct mu_error err;

    CHECK_CHILD(mu_init(NULL) == 0);
    for (int i = 0; i < MUI_NURSERY_CHANNELS_MAX; i++)
        CHECK_CHILD(mui_nursery_connect(no_worker, "", 0, NULL, 0, &channels[i],
                                        NULL) == 0);
    CHECK_CHILD(mu_pool_open("processes:2", NULL, &pool, &err) == -EMFILE);
    CHECK_CHILD(strstr(err.text, "256 pools") && !strstr(err.text, "ulimit"));
    for (int i = 0; i < MUI_NURSERY_CHANNELS_MAX; i++)
        mui_nursery_disconnect(channels[i]);
    pool = open_pool();
    pool_works(pool);
    mu_pool_close(pool);
}

/* Whether a child of a process with threads can do more than exec. The thread sanitizer
 * forbids it threads; the address sanitizer does not see to the locks of its allocator
 * at fork(), as the C library does, and the pool's thread may be in it. */
#if defined(__SANITIZE_ADDRESS__)
enum { CHILD_HAS_ALL = 0 };
#else
enum { CHILD_HAS_ALL = !MUI_TSAN };
#endif

static void child_of_fork_has_its_own(void)
{
    struct mu_pool *pool;
    void *memory;
    int status;
    pid_t pid;

    if (!CHILD_HAS_ALL)
        return;
    CHECK_CHILD(mu_init(NULL) == 0);
    pool = open_pool();
    memory = mu_pool_alloc(pool, 1);
    CHECK_CHILD(memory);
    pid = fork();
    if (pid == 0) {
        struct mu_stats stats;
        struct mu_pool *own;

        /* it lies in memory that the child does not have */
        mu_pool_free(pool, memory);
        CHECK_CHILD(!mu_pool_alloc(pool, 1));
        mu_pool_stats(pool, &stats);
        CHECK_CHILD(stats.n_workers_started == 0);
        CHECK_CHILD(mu_pool_pids(pool, NULL, 0) == 0);
        CHECK_CHILD(mu_pool_width(pool) == 0);

        CHECK_CHILD(mu_pool_submit(pool, deed_innocent, NULL, 0, NULL, NULL) ==
                    -EINVAL);
        own = open_pool();
        pool_works(own);
        mu_pool_close(own);
        _exit(0);
    }
    CHECK_CHILD(waitpid(pid, &status, 0) == pid && status == 0);
    mu_pool_free(pool, memory);
    pool_works(pool);
    mu_pool_close(pool);
}

static void *open_in_thread(void *arg)
{
    struct mu_pool *pool = open_pool();

    pool_works(pool);
    mu_pool_close(pool);
    return arg;
}

static void thread_opens_a_pool(void)
{
    pthread_t thread;

    CHECK_CHILD(mu_init(NULL) == 0);
    CHECK_CHILD(pthread_create(&thread, NULL, open_in_thread, NULL) == 0);
    CHECK_CHILD(pthread_join(thread, NULL) == 0);
}

/* -- workers that die at start -- */

/* The host's handler of fork() runs in nursery (the first) and workers (the second). */
static int n_forks_above;
static _Atomic int *n_stillborn; /* shared */
static int n_stillborn_max;

static void die_as_worker(void)
{
    if (++n_forks_above < 2)
        return;
    if (atomic_fetch_add_explicit(n_stillborn, 1, memory_order_relaxed) <
        n_stillborn_max)
        _exit(7);
}

static void let_workers_die(int n_max)
{
    n_stillborn = test_shared(sizeof *n_stillborn);
    n_stillborn_max = n_max;
    CHECK_CHILD(pthread_atfork(NULL, NULL, die_as_worker) == 0);
}

/* An error that says why, after a number of tries: not a hang, not for ever. */
static void workers_that_cannot_start_are_an_error(void)
{
    enum { TRIES_MAX = 40 }; /* some are under way when one has failed */
    const int64_t pauses_ns = 100 * 1000 * 1000; /* of all pauses, at least */
    const int64_t start_ns = mu_now_ns();
    struct mu_pool *pool;
    struct mu_error err;

    let_workers_die(INT_MAX);
    CHECK_CHILD(mu_pool_open("processes:2", NULL, &pool, &err) < 0);
    CHECK_CHILD(strstr(err.text, "exited with status 7 before its first task"));
    CHECK_CHILD(mu_now_ns() - start_ns >= pauses_ns);
    CHECK_CHILD(atomic_load_explicit(n_stillborn, memory_order_relaxed) <=
                TRIES_MAX);
}

static void some_that_die_at_start_are_replaced(void)
{
    struct mu_pool *pool;

    let_workers_die(5);
    pool = open_pool();
    pool_works(pool);
    mu_pool_close(pool);
    CHECK_CHILD(atomic_load_explicit(n_stillborn, memory_order_relaxed) > 5);
}

/* -- before main() -- */

static const char constructor_variable[] = "MUSTER_TEST_CONSTRUCTOR";

__attribute__((constructor)) static void open_before_main(void)
{
    struct mu_pool *pool;

    if (!getenv(constructor_variable))
        return;
    alarm(300);
    pool = open_pool();
    pool_works(pool);
    mu_pool_close(pool);
    CHECK_CHILD(mu_init(NULL) == 0);
    pool = open_pool();
    pool_works(pool);
    mu_pool_close(pool);
    _exit(0);
}

static void constructor_opens_a_pool(void)
{
    CHECK_CHILD(setenv(constructor_variable, "1", 1) == 0);
    (void)execl("/proc/self/exe", "constructor", NULL);
    CHECK_CHILD(!"exec");
}

/* Libraries that open one as they are loaded: `constructor_word` is how that went in
 * this process. */
static void load_library(void)
{
    void *library = dlopen(CONSTRUCTOR_MODULE, RTLD_NOW);
    const struct mu_error *word =
        library ? dlsym(library, "constructor_word") : NULL;

    if (!word || word->code != 0)
        (void)fprintf(stderr, "%s\n", word ? word->text : dlerror());
    CHECK_CHILD(word && word->code == 0);
}

static void library_opens_a_pool(void)
{
    load_library();
}

/* Nursery and workers are older than the library and load it too: there the
 * constructor is told that it cannot have a pool, or there would be no end. */
static void library_opens_a_pool_after_init(void)
{
    CHECK_CHILD(mu_init(NULL) == 0);
    load_library();
}

/* -- in a task -- */

static int open_in_task(struct mu_task *task)
{
    struct mu_pool *pool;
    struct mu_outcome *o;

    if (mu_pool_open("processes:1", NULL, &pool, NULL) != 0)
        return 1;
    if (mu_pool_submit(pool, deed_innocent, "nested", 6, NULL, NULL) != 0 ||
        mu_pool_next(pool, MU_NEVER, &o) != 0)
        return 2;
    (void)mu_task_write(task, o->output, o->output_size);
    mu_outcome_free(o);
    if (mu_pool_submit(pool, deeds[0].fn, NULL, 0, NULL, NULL) != 0 ||
        mu_pool_next(pool, MU_NEVER, &o) != 0)
        return 3;
    (void)mu_task_printf(task, " %s", mu_status_name(o->status));
    mu_outcome_free(o);
    mu_pool_close(pool);
    return 0;
}

static void task_opens_a_pool(void)
{
    struct mu_pool *pool = open_pool();
    struct mu_outcome *o;

    for (int i = 0; i < 3; i++) {
        o = run_one(pool, open_in_task);
        CHECK_CHILD(o->status == MU_DONE);
        CHECK_CHILD(strcmp(o->output, "nested crashed") == 0);
        mu_outcome_free(o);
    }
    mu_pool_close(pool);
}

/* One that has to work wherever processes with one thread are. */
static int open_anywhere(int init)
{
    struct mu_outcome *o;
    struct mu_pool *pool;
    int rc;

    if (init && mu_init(NULL) != 0)
        return 1;
    if (mu_pool_open("processes:2", NULL, &pool, NULL) != 0)
        return 2;
    if (mu_pool_submit(pool, deed_innocent, "nested", 6, NULL, NULL) != 0 ||
        mu_pool_next(pool, MU_NEVER, &o) != 0)
        return 3;
    rc = o->status == MU_DONE ? 0 : 4;
    mu_outcome_free(o);
    mu_pool_close(pool);
    return rc;
}

static int init_in_task(struct mu_task *task)
{
    (void)task;
    return open_anywhere(1);
}

/* A fork of a worker that is none of muster's. */
static int fork_in_task(struct mu_task *task)
{
    int status = 0;
    pid_t pid = fork();

    (void)task;
    if (pid == 0)
        _exit(open_anywhere(1));
    return pid < 0 || waitpid(pid, &status, 0) != pid ? -1 : status;
}

static int worker_opens(void *arg, size_t size)
{
    (void)size;
    return open_anywhere(*(int *)arg);
}

/* Also where the parent has a nursery, whose lock and descriptors come with fork(). */
static void forks_of_all_kinds_open_pools(void)
{
    const struct mu_worker_options how = {.kind = MU_WORKER_PROCESS};
    struct mu_pool *pool;

    CHECK_CHILD(mu_init(NULL) == 0);
    pool = open_pool();
    for (int i = 0; i < 4; i++) {
        struct mu_outcome *o =
            run_one(pool, i % 2 ? fork_in_task : init_in_task);

        CHECK_CHILD(o->status == MU_DONE);
        mu_outcome_free(o);
    }
    for (int init = CHILD_HAS_ALL ? 0 : 2; init < 4; init++) {
        struct mu_worker_exit exit;
        struct mu_worker *w;
        pthread_t thread;
        int arg = init % 2;
        int status;
        pid_t pid;

        if (init == 2) /* from here on the nursery forks the worker, not we */
            CHECK_CHILD(pthread_create(&thread, NULL, idle, NULL) == 0);
        CHECK_CHILD(mu_worker_start(&how, worker_opens, &arg, sizeof arg, &w,
                                    NULL) == 0);
        CHECK_CHILD(mu_worker_join(w, MU_NEVER, &exit) == 0);
        CHECK_CHILD(exit.end == MU_WORKER_RETURNED && exit.code == 0);
        mu_worker_free(w);
        if (!CHILD_HAS_ALL)
            continue;
        pid = fork();
        if (pid == 0)
            _exit(open_anywhere(arg));
        CHECK_CHILD(waitpid(pid, &status, 0) == pid && status == 0);
    }
    mu_pool_close(pool);
}

/* Where a task has threads beside it there is no fork to have: an error, no hang. */
static int refused_beside_threads(struct mu_task *task)
{
    struct mu_pool *pool;

    (void)task;
    return mu_init(NULL) == MU_EINIT &&
                   mu_pool_open("processes:1", NULL, &pool, NULL) == MU_EINIT
               ? 0
               : 1;
}

static void task_beside_threads_is_refused(void)
{
    struct mu_pool *pool;
    struct mu_outcome *o;

    CHECK_CHILD(mu_pool_open("processes:1/threads:2", NULL, &pool, NULL) == 0);
    o = run_one(pool, refused_beside_threads);
    CHECK_CHILD(o->status == MU_DONE);
    mu_outcome_free(o);
    mu_pool_close(pool);
}

/* -- descriptors and output -- */

static void closed_stdio_stays_closed(void)
{
    struct mu_pool *pool;

    (void)close(0);
    (void)close(1);
    CHECK_CHILD(mu_init(NULL) == 0);
    CHECK_CHILD(fcntl(0, F_GETFD) == -1);
    CHECK_CHILD(fcntl(1, F_GETFD) == -1);
    pool = open_pool();
    pool_works(pool);
    mu_pool_close(pool);
}

/* A host that closes all it does not know, and opens others in their place, which are
 * left alone. */
static void closed_descriptors_are_noticed(void)
{
    struct mu_pool *pool;
    struct mu_error err;
    int pair[2];
    char byte;

    CHECK_CHILD(mu_init(NULL) == 0);
    CHECK_CHILD(close_range(3, ~0U, 0) == 0);
    for (int i = 0; i < 10; i++)
        CHECK_CHILD(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    CHECK_CHILD(mu_pool_open("processes:2", NULL, &pool, &err) == MU_EINIT);
    CHECK_CHILD(strstr(err.text, "were closed"));
    CHECK_CHILD(mu_init(&err) == MU_EINIT);
    for (int fd = 3; fd <= pair[1]; fd++)
        CHECK_CHILD(recv(fd, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
}

/* A descriptor of the host does not reach a worker. What that reads of /proc is its own. */
static int count_descriptors(struct mu_task *task)
{
    struct statfs on;
    int n = 0;

    for (int fd = 3; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) != -1 &&
             (fstatfs(fd, &on) < 0 || on.f_type != PROC_SUPER_MAGIC);
    return mu_task_printf(task, "%d", n);
}

static void descriptors_are_not_inherited(void)
{
    struct mu_pool *pool;
    struct mu_outcome *o;

    for (int i = 0; i < 20; i++)
        CHECK_CHILD(dup(2) >= 0);
    pool = open_pool();
    o = run_one(pool, count_descriptors);
    CHECK_CHILD(atoi(o->output) == 1); /* its bell */
    mu_outcome_free(o);
    mu_pool_close(pool);
}

static const char *note_path;

static void note_exit(void)
{
    int fd = open(note_path, O_WRONLY | O_APPEND);

    (void)!write(fd, "exit\n", 5);
    (void)close(fd);
}

static off_t note_size(void)
{
    struct stat st;

    CHECK_CHILD(stat(note_path, &st) == 0);
    return st.st_size;
}

static int flush_all(struct mu_task *task)
{
    (void)task;
    (void)fflush(stdout);
    exit(0);
}

/* What the host registered with atexit() and left in a buffer is the host's. */
static void exit_handlers_and_buffers_are_the_hosts(void)
{
    char path[] = "/tmp/test-host-XXXXXX";
    struct mu_pool *pool;
    int fd = mkstemp(path);

    CHECK_CHILD(fd >= 0);
    note_path = path;
    CHECK_CHILD(atexit(note_exit) == 0);
    CHECK_CHILD(dup2(fd, 1) == 1);
    (void)printf("not flushed");
    pool = open_pool();
    pool_works(pool);
    mu_outcome_free(run_one(pool, flush_all));
    mu_outcome_free(run_one(pool, deeds[7].fn)); /* exit */
    mu_pool_close(pool);
    CHECK_CHILD(note_size() == 0);
    (void)unlink(path);
}

static int print(struct mu_task *task)
{
    (void)task;
    return printf("text\n") == 5 ? 0 : 1;
}

/* Its worker may die of the next task, or with the program, and the buffer with it. */
static void text_is_out_before_the_outcome(void)
{
    char path[] = "/tmp/test-host-XXXXXX";
    struct mu_pool *pool;
    struct mu_outcome *o;
    int fd = mkstemp(path);

    CHECK_CHILD(fd >= 0);
    note_path = path;
    CHECK_CHILD(dup2(fd, 1) == 1);
    pool = open_pool();
    o = run_one(pool, print);
    CHECK_CHILD(o->status == MU_DONE);
    CHECK_CHILD(note_size() == 5);
    mu_outcome_free(o);
    mu_pool_close(pool);
    CHECK_CHILD(note_size() == 5);
    (void)unlink(path);
}

static void limits_of_files_are_respected(void)
{
    struct mu_pool *pool;
    struct mu_error err;

    CHECK_CHILD(mu_init(NULL) == 0);
    /* no descriptors: an error that says so, not a hang */
    for (int fd = 3; dup(2) >= 0; fd++)
        continue;
    CHECK_CHILD(mu_pool_open("processes:2", NULL, &pool, &err) < 0);
    CHECK_CHILD(err.text[0]);
}

#define CASE(name)                                                             \
    static void test_##name(void **state)                                      \
    {                                                                          \
        (void)state;                                                           \
        run_case(name);                                                        \
    }

CASE(host_is_not_disturbed)
CASE(ignored_sigchld_is_no_harm)
CASE(threads_need_init)
CASE(init_then_threads)
CASE(privileges_given_up_are_noticed)
CASE(memory_of_opening_is_shared)
CASE(two_pools_at_once)
CASE(pools_have_a_limit)
CASE(child_of_fork_has_its_own)
CASE(thread_opens_a_pool)
CASE(workers_that_cannot_start_are_an_error)
CASE(some_that_die_at_start_are_replaced)
CASE(constructor_opens_a_pool)
CASE(library_opens_a_pool)
CASE(library_opens_a_pool_after_init)
CASE(task_opens_a_pool)
CASE(forks_of_all_kinds_open_pools)
CASE(task_beside_threads_is_refused)
CASE(closed_stdio_stays_closed)
CASE(closed_descriptors_are_noticed)
CASE(descriptors_are_not_inherited)
CASE(exit_handlers_and_buffers_are_the_hosts)
CASE(text_is_out_before_the_outcome)
CASE(limits_of_files_are_respected)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_is_not_disturbed),
        cmocka_unit_test(test_ignored_sigchld_is_no_harm),
        cmocka_unit_test(test_threads_need_init),
        cmocka_unit_test(test_init_then_threads),
        cmocka_unit_test(test_privileges_given_up_are_noticed),
        cmocka_unit_test(test_memory_of_opening_is_shared),
        cmocka_unit_test(test_two_pools_at_once),
        cmocka_unit_test(test_pools_have_a_limit),
        cmocka_unit_test(test_child_of_fork_has_its_own),
        cmocka_unit_test(test_thread_opens_a_pool),
        cmocka_unit_test(test_workers_that_cannot_start_are_an_error),
        cmocka_unit_test(test_some_that_die_at_start_are_replaced),
        cmocka_unit_test(test_constructor_opens_a_pool),
        cmocka_unit_test(test_library_opens_a_pool),
        cmocka_unit_test(test_library_opens_a_pool_after_init),
        cmocka_unit_test(test_task_opens_a_pool),
        cmocka_unit_test(test_forks_of_all_kinds_open_pools),
        cmocka_unit_test(test_task_beside_threads_is_refused),
        cmocka_unit_test(test_closed_stdio_stays_closed),
        cmocka_unit_test(test_closed_descriptors_are_noticed),
        cmocka_unit_test(test_descriptors_are_not_inherited),
        cmocka_unit_test(test_exit_handlers_and_buffers_are_the_hosts),
        cmocka_unit_test(test_text_is_out_before_the_outcome),
        cmocka_unit_test(test_limits_of_files_are_respected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
