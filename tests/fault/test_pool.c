/* test_pool.c: every call of the pool that can fail is made to fail: the first,
 * then the second, until none is left. An open that fails says why and leaves
 * nothing behind; a task that was submitted ends all the same. What fails in the
 * nursery or in a worker that starts is made good: another is started.
 *
 * The linker sends the calls of the library here (--wrap, tests/CMakeLists.txt). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "muster/muster.h"

#include "sys/census.h"

enum role { SUPERVISOR, GUARDIAN, NURSERY, WORKER };

/* Of this process; fork() hands it on. */
static enum role role;

/* In memory that all processes of this test share. */
static struct {
    _Atomic int who; /* in which of them it is that calls fail */
    /* calls until the one that fails; 0: none will */
    _Atomic int countdown;
    _Atomic int n_failed;
} * shared;

static int fails(void)
{
    int left;

    if (!shared ||
        atomic_load_explicit(&shared->who, memory_order_relaxed) != (int)role)
        return 0;
    left = atomic_load_explicit(&shared->countdown, memory_order_relaxed);
    while (left > 0)
        if (atomic_compare_exchange_weak_explicit(
                &shared->countdown, &left, left - 1, memory_order_relaxed,
                memory_order_relaxed)) {
            if (left > 1)
                return 0;
            atomic_fetch_add_explicit(&shared->n_failed, 1,
                                      memory_order_relaxed);
            errno = ENOMEM;
            return 1;
        }
    return 0;
}

static void arm_in(enum role who, int n)
{
    atomic_store_explicit(&shared->who, (int)who, memory_order_relaxed);
    atomic_store_explicit(&shared->n_failed, 0, memory_order_relaxed);
    atomic_store_explicit(&shared->countdown, n, memory_order_relaxed);
}

static void arm(int n)
{
    arm_in(SUPERVISOR, n);
}

/* Returns whether the call was made to fail. */
static int disarm(void)
{
    atomic_store_explicit(&shared->countdown, 0, memory_order_relaxed);
    return atomic_load_explicit(&shared->n_failed, memory_order_relaxed);
}

#define WRAP(type, name, params, args, failure)                                \
    type __real_##name params;                                                 \
    type __wrap_##name params;                                                 \
    type __wrap_##name params                                                  \
    {                                                                          \
        return fails() ? (failure) : __real_##name args;                       \
    }

WRAP(void *, malloc, (size_t size), (size), NULL)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), NULL)
WRAP(void *, realloc, (void *old, size_t size), (old, size), NULL)
WRAP(void *, aligned_alloc, (size_t align, size_t size), (align, size), NULL)
WRAP(void *, mmap,
     (void *at, size_t size, int prot, int flags, int fd, off_t offset),
     (at, size, prot, flags, fd, offset), MAP_FAILED)
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1)
WRAP(int, ftruncate, (int fd, off_t size), (fd, size), -1)
WRAP(int, epoll_create1, (int flags), (flags), -1)
WRAP(int, epoll_ctl, (int epfd, int op, int fd, struct epoll_event *event),
     (epfd, op, fd, event), -1)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), -1)
WRAP(int, timerfd_create, (int clock, int flags), (clock, flags), -1)
WRAP(int, socketpair, (int domain, int type, int protocol, int *fds),
     (domain, type, protocol, fds), -1)
WRAP(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attr, void *(*body)(void *),
      void *arg),
     (thread, attr, body, arg), EAGAIN)

WRAP(int, fork, (void), (), -1)
WRAP(int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags),
     -1)
WRAP(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags),
     (fd, message, flags), -1)

/* Each process says who it is by its name, which is a call that does not fail. */
/* the linker's names: NOLINTBEGIN(readability-identifier-naming) */
int __real_prctl(int option, unsigned long a, unsigned long b, unsigned long c,
                 unsigned long d);
int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c,
                 unsigned long d);
int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c,
                 unsigned long d)
/* NOLINTEND(readability-identifier-naming) */
{
    static const char *const names[] = {[GUARDIAN] = "muster-guardian",
                                        [NURSERY] = "muster-nursery",
                                        [WORKER] = "muster-worker"};

    for (enum role r = GUARDIAN; option == PR_SET_NAME && r <= WORKER; r++)
        if (strcmp((const char *)a, names[r]) == 0)
            role = r;
    return __real_prctl(option, a, b, c, d);
}

/* -- what may not be left behind -- */

static unsigned count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n;
}

static int echo(struct mu_task *t)
{
    size_t size;
    const void *input = mu_task_input(t, &size);

    return mu_task_write(t, input, size) == 0 ? 0 : 1;
}

static void open_fails_cleanly_at_every_call(void **state)
{
    struct mu_pool_options options = {.arg = "arg", .arg_size = 3};
    struct mu_pool *pool;
    unsigned n_fds;
    unsigned n_threads;
    int n;

    /* one round first: what is made once and kept is made now */
    assert_int_equal(mu_pool_open(*state, &options, &pool, NULL), 0);
    mu_pool_close(pool);
    n_fds = count_descriptors();
    n_threads = mui_census_threads();
    for (n = 1;; n++) {
        struct mu_error err = {.text = ""};
        int rc;

        arm(n);
        pool = NULL;
        rc = mu_pool_open(*state, &options, &pool, &err);
        if (!disarm())
            break;
        if (rc == 0) {
            mu_pool_close(pool); /* it could do without */
        } else {
            assert_null(pool);
            assert_true(rc < 0);
            assert_true(err.text[0] != '\0');
        }
        assert_int_equal(count_descriptors(), n_fds);
        assert_int_equal(mui_census_threads(), n_threads);
    }
    assert_true(n > 3);
    mu_pool_close(pool);
}

static void tasks_end_whatever_fails(void **state)
{
    enum { N = 8 };
    char input[5000];

    memset(input, 'x', sizeof input);
    for (int n = 1;; n++) {
        struct mu_pool *pool;
        struct mu_outcome *o;
        unsigned n_submitted = 0;
        unsigned n_ended = 0;
        int hit;

        assert_int_equal(mu_pool_open(*state, NULL, &pool, NULL), 0);
        arm(n);
        for (unsigned i = 0; i < N; i++) {
            int rc =
                mu_pool_submit(pool, echo, input, sizeof input, NULL, NULL);

            assert_true(rc == 0 || rc == -ENOMEM);
            n_submitted += rc == 0;
        }
        while (mu_pool_next(pool, MU_NEVER, &o) == 0) {
            n_ended++;
            if (o->status == MU_DONE)
                assert_int_equal(o->output_size, sizeof input);
            mu_outcome_free(o);
        }
        hit = disarm();
        assert_int_equal(n_submitted, n_ended);
        mu_pool_close(pool);
        if (!hit)
            break;
    }
}

/* Of many, those before the one that finds no memory are submitted. */
static void rows_end_where_memory_does(void **state)
{
    enum { N = 1000 };
    static struct mu_span inputs[N];

    for (unsigned i = 0; i < N; i++)
        inputs[i] = (struct mu_span){"x", 1};
    for (int n = 1;; n++) {
        struct mu_pool_options options = {.queue_tasks = N};
        struct mu_pool *pool;
        struct mu_outcome *o;
        size_t n_submitted;
        size_t n_ended = 0;
        int hit;
        int rc;

        assert_int_equal(mu_pool_open(*state, &options, &pool, NULL), 0);
        arm(n);
        rc = mu_pool_submit_many(pool, echo, inputs, N, NULL, &n_submitted);
        hit = disarm();
        assert_true(rc == (n_submitted == N ? 0 : -ENOMEM));
        while (mu_pool_next(pool, MU_NEVER, &o) == 0) {
            n_ended++;
            mu_outcome_free(o);
        }
        assert_int_equal(n_submitted, n_ended);
        mu_pool_close(pool);
        if (!hit)
            break;
    }
}

/* Whatever fails once where workers are forked, or in one that starts. */
static void workers_start_whatever_fails(const char *model, enum role who)
{
    enum { N = 8 };
    int n;

    for (n = 1;; n++) {
        struct mu_error err = {.text = ""};
        struct mu_pool *pool;
        struct mu_outcome *o;
        int rc;

        arm_in(who, n);
        rc = mu_pool_open(model, NULL, &pool, &err);
        if (rc != 0)
            fail_msg("call %d: %s", n, err.text);
        for (unsigned i = 0; i < N; i++)
            assert_int_equal(mu_pool_submit(pool, echo, "x", 1, NULL, NULL), 0);
        for (unsigned i = 0; i < N; i++) {
            assert_int_equal(mu_pool_next(pool, MU_NEVER, &o), 0);
            assert_int_equal(o->status, MU_DONE);
            mu_outcome_free(o);
        }
        mu_pool_close(pool);
        if (!disarm())
            break;
    }
    assert_true(n > 2);
}

static void workers_start_whatever_fails_in_nursery(void **state)
{
    workers_start_whatever_fails(*state, NURSERY);
}

static void workers_start_whatever_fails_in_them(void **state)
{
    workers_start_whatever_fails(*state, WORKER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"serial/open", open_fails_cleanly_at_every_call, NULL, NULL, "serial"},
        {"threads/open", open_fails_cleanly_at_every_call, NULL, NULL,
         "threads:2"},
        {"processes/open", open_fails_cleanly_at_every_call, NULL, NULL,
         "processes:2"},
        {"serial/tasks", tasks_end_whatever_fails, NULL, NULL, "serial"},
        {"threads/tasks", tasks_end_whatever_fails, NULL, NULL, "threads:2"},
        {"processes/tasks", tasks_end_whatever_fails, NULL, NULL,
         "processes:2"},
        {"serial/rows", rows_end_where_memory_does, NULL, NULL, "serial"},
        {"threads/rows", rows_end_where_memory_does, NULL, NULL, "threads:2"},
        {"processes/rows", rows_end_where_memory_does, NULL, NULL,
         "processes:2"},
        {"processes/nursery", workers_start_whatever_fails_in_nursery, NULL,
         NULL, "processes:2"},
        {"processes/workers", workers_start_whatever_fails_in_them, NULL, NULL,
         "processes:2"},
        {"processes/threads/workers", workers_start_whatever_fails_in_them,
         NULL, NULL, "processes:1/threads:2"},
    };

    shared = __real_mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    if (mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
