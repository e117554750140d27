/* test_forked.c: the host forks while another thread of it is inside the library, held
 * there by the linker's help (--wrap, CMakeLists.txt). The child has a library that works. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "process/symbol.h"
#include "support/pool.h"
#include "sys/library.h"
#include "sys/module.h"

static pid_t host;

/* SHUT by the main thread, HELD by the other, FORKED by the main thread; OPEN when the
 * other has left. */
enum { OPEN, SHUT, HELD, FORKED };
static _Atomic int
    wait_gate; /* of the thread that waits for the guardian's end */
static _Atomic int read_gate;   /* of the one that loads, or keeps loaded */
static _Atomic int unlock_gate; /* of one that has a lock */
static int n_begun;             /* files that libdw looks into */

/* Without memory of the heap, whose locks fork() takes. */
static bool main_thread_sleeps(void)
{
    char path[64];
    char line[512] = "";
    int fd;

    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)host);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK_CHILD(fd >= 0 && read(fd, line, sizeof line - 1) > 0);
    (void)close(fd);
    return strstr(line, ") S ") != NULL;
}

/* Stay until the host has forked; or, if it may, until it waits for us to leave. */
static void stay(_Atomic int *gate, bool may_wait)
{
    const int64_t deadline = test_deadline();
    int is_shut = SHUT;

    if (getpid() != host || gettid() == host ||
        !atomic_compare_exchange_strong(gate, &is_shut, HELD))
        return;
    while (atomic_load(gate) != FORKED && !(may_wait && main_thread_sleeps())) {
        CHECK_CHILD(mu_now_ns() < deadline);
        (void)sched_yield();
    }
    atomic_store(gate, OPEN);
}

/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
int __real_waitid(idtype_t type, id_t id, siginfo_t *info, int options);
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options);
void *__real_dlopen(const char *path, int mode);
void *__wrap_dlopen(const char *path, int mode);
int __real_mui_library_load(struct mui_library *library);
int __wrap_mui_library_load(struct mui_library *library);
int __real_pthread_mutex_unlock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock);

int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    stay(&wait_gate, true);
    return __real_waitid(type, id, info, options);
}

void *__wrap_dlopen(const char *path, int mode)
{
    stay(&read_gate, false);
    return __real_dlopen(path, mode);
}

static void *(*begin_really)(const void *callbacks);

static void *begin(const void *callbacks)
{
    n_begun++;
    return begin_really(callbacks);
}

int __wrap_mui_library_load(struct mui_library *library)
{
    void *(*const counting)(const void *) = begin;
    int rc = __real_mui_library_load(library);

    if (rc == 0 && !begin_really &&
        strcmp(library->names[0], "dwfl_begin") == 0) {
        memcpy(&begin_really, &library->functions[0], sizeof begin_really);
        memcpy(&library->functions[0], &counting, sizeof counting);
    }
    return rc;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock)
{
    stay(&unlock_gate, false);
    return __real_pthread_mutex_unlock(lock);
}
/* NOLINTEND(readability-identifier-naming) */

/* Start a thread and fork while it is held; the status of the child, which a hang
 * ends. */
static int fork_beside(void *(*body)(void *), void *arg, _Atomic int *gate,
                       int (*in_child)(void))
{
    enum { HANG_S = 20 };
    const int64_t deadline = test_deadline();
    pthread_t thread;
    pid_t pid;

    atomic_store(gate, SHUT);
    assert_int_equal(pthread_create(&thread, NULL, body, arg), 0);
    while (atomic_load(gate) != HELD) {
        assert_true(mu_now_ns() < deadline);
        (void)sched_yield();
    }
    pid = fork();
    if (pid == 0) {
        (void)alarm(HANG_S);
        /* the thread sanitizer would miss the thread, which is not joined here */
        (void)syscall(SYS_exit_group, in_child());
    }
    atomic_store(gate, FORKED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(pid > 0);
    return test_wait(pid);
}

static int do_nothing(struct mu_task *t)
{
    (void)t;
    return 0;
}

static void *close_pool(void *pool)
{
    mu_pool_close(pool);
    return NULL;
}

/* Not while that was half done. */
static int init(void)
{
    return atomic_load(&wait_gate) == OPEN && mu_init(NULL) == 0 ? 0 : 1;
}

/* The nursery's lock is held by who ends it. */
static void child_has_a_nursery_of_its_own(void **state)
{
    struct mu_pool *pool = test_pool("processes:1", NULL);

    (void)state;
    test_run_as(pool, do_nothing, MU_DONE);
    assert_int_equal(fork_beside(close_pool, pool, &wait_gate, init), 0);
}

/* A function of a library of which no task was before: it is to stay loaded. */
static int encode(void)
{
    int (*fn)(const char *, const struct CMUnitTest *, size_t,
              CMFixtureFunction, CMFixtureFunction) = _cmocka_run_group_tests;
    const void *address;
    uint64_t code;

    memcpy(&address, &fn, sizeof address);
    return mui_module_encode(address, &code);
}

static void *encode_in_thread(void *unused)
{
    (void)encode();
    return unused;
}

/* And that of modules by who encodes a function. */
static void child_knows_its_modules(void **state)
{
    (void)state;
    assert_int_equal(mui_module_init(NULL), 0);
    assert_int_equal(fork_beside(encode_in_thread, NULL, &read_gate, encode),
                     0);
}

/* The names of frames take two locks: of what is looked into, and of the library for it,
 * which is loaded for the first. */
static int describe(void)
{
    const uint64_t code = 0; /* the start of this program */
    char text[256];

    return mui_symbol_describe(code, text, sizeof text) > 0 ? 0 : 1;
}

static void *describe_in_thread(void *unused)
{
    (void)describe();
    return unused;
}

static void child_names_frames(void **state)
{
    (void)state;
    assert_int_equal(mui_module_init(NULL), 0);
    assert_int_equal(
        fork_beside(describe_in_thread, NULL, &read_gate, describe), 0);
}

/* What is kept of libdw another thread may be inside of. */
static int describe_anew(void)
{
    int n_before = n_begun;

    return describe() == 0 && n_begun == n_before + 1 ? 0 : 1;
}

static void child_looks_into_files_anew(void **state)
{
    (void)state;
    assert_int_equal(mui_module_init(NULL), 0);
    assert_int_equal(describe(), 0);
    if (n_begun == 0)
        skip(); /* libdw is not here */
    assert_int_equal(
        fork_beside(describe_in_thread, NULL, &unlock_gate, describe_anew), 0);
}

/* A name is there once in a process: the child's are its own. */
static int open_name(void)
{
    const struct mu_chan_options options = {.message_bytes = 8};
    struct mu_chan *c;
    int rc = mu_chan_open("mem:forked", &options, &c, NULL);

    if (rc == 0)
        rc = mu_chan_send(c, "text", 4, test_deadline());
    if (rc == 0)
        mu_chan_free(c);
    return rc == 0 ? 0 : 1;
}

static void *open_name_in_thread(void *unused)
{
    (void)open_name();
    return unused;
}

static void child_has_names_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(
        fork_beside(open_name_in_thread, NULL, &unlock_gate, open_name), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(child_has_a_nursery_of_its_own),
        cmocka_unit_test(child_knows_its_modules),
        cmocka_unit_test(child_names_frames),
        cmocka_unit_test(child_looks_into_files_anew),
        cmocka_unit_test(child_has_names_of_its_own),
    };

    host = getpid();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
