/* test_arena.c: shared arenas: names, descriptors, the allocator, hostile bytes
 * and a kill at each instruction of the allocator. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "muster/shared.h"

#include "shared/arena.h"
#include "support/check.h"
#include "support/refuse.h"
#include "support/step.h"
#include "sys/owner.h"

static const char *unique_name(void)
{
    static char name[64];

    (void)snprintf(name, sizeof name, "test-arena-%d", (int)getpid());
    return name;
}

static struct mu_shared *arena_new(size_t bytes)
{
    struct mu_shared *a;

    assert_int_equal(mu_shared_new(bytes, NULL, &a, NULL), 0);
    return a;
}

static void alloc_gives_distinct_aligned_blocks(void **state)
{
    struct mu_shared *a = arena_new(1 << 20);
    char *blocks[100];
    size_t before = mu_shared_available(a, NULL);
    size_t largest;

    (void)state;
    for (size_t i = 0; i < 100; i++) {
        blocks[i] = mu_shared_alloc(a, i * 37);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 64, 0);
        memset(blocks[i], (int)i, i * 37);
    }
    for (size_t i = 0; i < 100; i++) {
        for (size_t k = 0; k < i * 37; k++)
            assert_int_equal(blocks[i][k], (char)i);
    }
    for (size_t i = 0; i < 100; i += 2)
        assert_int_equal(mu_shared_free(a, blocks[i]), 0);
    for (size_t i = 1; i < 100; i += 2)
        assert_int_equal(mu_shared_free(a, blocks[i]), 0);
    assert_int_equal(mu_shared_free(a, blocks[7]), -EINVAL);
    assert_int_equal(mu_shared_free(a, NULL), 0);
    assert_int_equal(mu_shared_available(a, &largest), before);
    assert_int_equal(largest, before);
    assert_non_null(mu_shared_alloc(a, largest));
    assert_null(mu_shared_alloc(a, 1));
    assert_null(mu_shared_alloc(a, SIZE_MAX));
    mu_shared_close(a);
}

/* Random takes and gives: blocks never overlap and all comes back. */
static void alloc_random_keeps_blocks_apart(void **state)
{
    enum { N_BLOCKS = 200, N_STEPS = 20000 };
    struct mu_shared *a = arena_new(1 << 20);
    struct {
        unsigned char *p;
        size_t size;
    } blocks[N_BLOCKS] = {{NULL, 0}};
    uint64_t seed = 12345;
    size_t before = mu_shared_available(a, NULL);

    (void)state;
    for (int i = 0; i < N_STEPS; i++) {
        size_t k;

        seed = seed * 6364136223846793005U + 1442695040888963407U;
        k = (seed >> 33) % N_BLOCKS;
        if (blocks[k].p) {
            for (size_t j = 0; j < blocks[k].size; j += 61)
                assert_int_equal(blocks[k].p[j], k);
            assert_int_equal(mu_shared_free(a, blocks[k].p), 0);
            blocks[k].p = NULL;
        } else {
            blocks[k].size = (seed >> 45) % 20000;
            blocks[k].p = mu_shared_alloc(a, blocks[k].size);
            if (blocks[k].p)
                memset(blocks[k].p, (int)k, blocks[k].size);
        }
    }
    for (size_t k = 0; k < N_BLOCKS; k++)
        assert_int_equal(mu_shared_free(a, blocks[k].p), 0);
    assert_int_equal(mu_shared_available(a, NULL), before);
    mu_shared_close(a);
}

static void *alloc_work(void *arg)
{
    struct mu_shared *a = arg;

    for (int i = 0; i < 1000; i++) {
        char *p = mu_shared_alloc(a, 200);
        char *q = mu_shared_alloc(a, 100);

        CHECK_CHILD(p && q);
        memset(p, 1, 200);
        memset(q, 2, 100);
        CHECK_CHILD(mu_shared_free(a, p) == 0);
        CHECK_CHILD(mu_shared_free(a, q) == 0);
    }
    return NULL;
}

static void alloc_work_in_child(void *arg)
{
    (void)alloc_work(arg);
}

static void alloc_from_threads_and_processes_at_once(void **state)
{
    struct mu_shared *a = arena_new(1 << 20);
    size_t before = mu_shared_available(a, NULL);
    pthread_t threads[2];
    pid_t pids[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        pids[i] = test_fork(alloc_work_in_child, a);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, alloc_work, a), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(test_wait(pids[i]), 0);
    }
    assert_int_equal(mu_shared_available(a, NULL), before);
    mu_shared_close(a);
}

static void name_finds_the_same_memory(void **state)
{
    struct mu_shared_options how = {.name = unique_name()};
    struct mu_shared *a;
    struct mu_shared *b;
    struct mu_error err;
    char *text;

    (void)state;
    assert_int_equal(mu_shared_new(1 << 20, &how, &a, NULL), 0);
    assert_int_equal(mu_shared_new(1 << 20, &how, &b, &err), -EEXIST);
    assert_int_equal(mu_shared_open(how.name, &b, NULL), 0);
    assert_int_equal(mu_shared_unlink(how.name), 0);
    assert_int_equal(mu_shared_open(how.name, &b, NULL), -ENOENT);
    text = mu_shared_alloc(a, 10);
    memcpy(text, "shared", 7);
    assert_null(mu_shared_root(b));
    mu_shared_set_root(a, text);
    assert_string_equal(mu_shared_root(b), "shared");
    assert_int_equal(mu_shared_offset(b, mu_shared_root(b)),
                     mu_shared_offset(a, text));
    assert_int_equal(mu_shared_free(b, mu_shared_root(b)), 0);
    mu_shared_close(a);
    mu_shared_close(b);
    assert_int_equal(
        mu_shared_new(1, &(struct mu_shared_options){.flags = 0x80}, &b, &err),
        -EINVAL);
    assert_non_null(strstr(err.text, "0x80"));
    assert_int_equal(mu_shared_open("../x", &b, &err), -EINVAL);
    assert_int_equal(mu_shared_open("", &b, NULL), -EINVAL);
    assert_int_equal(mu_shared_open(NULL, &b, NULL), -EINVAL);
}

static void descriptor_needs_seal_and_header(void **state)
{
    struct mu_shared *a = arena_new(100000);
    struct mu_shared *b;
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    (void)state;
    assert_int_equal(mu_shared_attach(mu_shared_fd(a), &b, NULL), 0);
    assert_int_equal(mu_shared_size(b), mu_shared_size(a));
    assert_true(fcntl(mu_shared_fd(b), F_GETFD) & FD_CLOEXEC);
    mu_shared_close(b);
    mu_shared_close(a);
    assert_true(fd >= 0);
    assert_int_equal(mu_shared_attach(fd, &b, NULL), -EPERM);
    assert_int_equal(mu_shared_attach(-1, &b, NULL), -EBADF);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    assert_int_equal(mu_shared_attach(fd, &b, NULL), MU_ECORRUPT);
    (void)close(fd);
    mu_shared_close(NULL);
}

static void model_without_memory_is_refused(void **state)
{
    struct mu_shared_options how = {.model = "mpi/processes:2"};
    struct mu_shared *a;
    struct mu_error err;

    (void)state;
    assert_int_equal(mu_shared_new(1 << 20, &how, &a, &err), MU_EMODEL);
    assert_non_null(strstr(err.text, "channel"));
    how.model = "procs";
    assert_int_equal(mu_shared_new(1 << 20, &how, &a, &err), MU_EMODEL);
    assert_non_null(strstr(err.text, "'procs'"));
    how.model = "processes:2/threads:2";
    assert_int_equal(mu_shared_new(1 << 20, &how, &a, &err), 0);
    mu_shared_close(a);
}

static void at_refuses_what_is_not_inside(void **state)
{
    struct mu_shared *a = arena_new(1 << 16);
    char here;

    (void)state;
    assert_null(mu_shared_at(a, 0, 1));
    assert_null(mu_shared_at(a, 1 << 16, 0));
    assert_null(mu_shared_at(a, 100, SIZE_MAX));
    assert_non_null(mu_shared_at(a, 100, (1 << 16) - 100));
    assert_int_equal(mu_shared_offset(a, &here), 0);
    mu_shared_close(a);
}

/* Written here, read by a process forked later, and where it is mapped again. */
static void huge_is_as_any(struct mu_shared *a)
{
    size_t bytes = mu_shared_available(a, NULL) / 2;
    unsigned char *memory = mu_shared_alloc(a, bytes);
    struct mu_shared *again;
    pid_t pid;

    assert_int_equal(mu_shared_size(a) % ((size_t)1 << 20), 0);
    assert_non_null(memory);
    memset(memory, 0x5a, bytes);
    mu_shared_set_root(a, memory);
    assert_int_equal(mu_shared_attach(mu_shared_fd(a), &again, NULL), 0);
    assert_int_equal(((unsigned char *)mu_shared_root(again))[bytes - 1], 0x5a);
    mu_shared_close(again);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        memory[0]++;
        _exit(memory[bytes - 1] == 0x5a ? 0 : 1);
    }
    assert_int_equal(test_wait(pid), 0);
    assert_int_equal(memory[0], 0x5b);
    mu_shared_close(a);
}

static void prefault_and_huge_answer(void **state)
{
    struct mu_shared_options how = {.flags = MU_SHARED_PREFAULT};
    struct mu_shared *a;
    struct mu_error err;
    int rc;

    (void)state;
    assert_int_equal(mu_shared_new(1 << 20, &how, &a, NULL), 0);
    mu_shared_close(a);
    /* huge pages are there or not, but never silently small ones */
    how.flags = MU_SHARED_HUGE;
    rc = mu_shared_new(1 << 20, &how, &a, &err);
    if (rc == 0) {
        huge_is_as_any(a);
    } else {
        if (rc != -ENOMEM)
            skip(); /* a kernel without any */
        assert_int_equal(err.code, -ENOMEM);
        assert_non_null(strstr(err.text, "vm.nr_hugepages"));
        assert_null(strstr(err.text, "ulimit"));
    }
    /* more than there can be is refused at once, not when it is touched */
    assert_int_equal(mu_shared_new((size_t)1 << 45, &how, &a, &err), -ENOMEM);
    assert_non_null(strstr(err.text, "vm.nr_hugepages"));
    assert_int_equal(mu_shared_new(SIZE_MAX, &how, &a, &err), -ENOMEM);
}

static void prefault_as_before_5_14(void *unused)
{
    struct mu_shared_options how = {.flags = MU_SHARED_PREFAULT};
    struct mu_shared *a;

    (void)unused;
    test_refuse_third(SYS_madvise, MADV_POPULATE_WRITE, EINVAL);
    CHECK_CHILD(mu_shared_new(1 << 20, &how, &a, NULL) == 0);
    CHECK_CHILD(mu_shared_alloc(a, 1000));
    mu_shared_close(a);
}

static void pages_are_touched_by_an_old_kernel_too(void **state)
{
    (void)state;
    assert_int_equal(test_wait(test_fork(prefault_as_before_5_14, NULL)), 0);
}

static void name_of_another_user_is_refused(void **state)
{
    struct mu_shared_options how = {.name = unique_name()};
    char path[100];
    struct mu_shared *a;
    struct mu_shared *b;
    int rc;

    (void)state;
    if (geteuid() != 0)
        skip(); /* nobody else can give a file away */
    (void)snprintf(path, sizeof path, "/dev/shm/muster.%s", how.name);
    assert_int_equal(mu_shared_new(1 << 20, &how, &a, NULL), 0);
    assert_int_equal(chown(path, 65534, (gid_t)-1), 0);
    rc = mu_shared_open(how.name, &b, NULL);
    assert_int_equal(mu_shared_unlink(how.name), 0);
    assert_int_equal(rc, -EACCES);
    mu_shared_close(a);
}

/* 0 to 2 are the host's, also while they are closed. */
static void use_without_stdio(void *unused)
{
    struct mu_shared_options how = {.name = unique_name()};
    struct mu_shared *a[3];

    (void)unused;
    (void)close(0);
    CHECK_CHILD(mu_shared_new(1 << 20, NULL, &a[0], NULL) == 0);
    CHECK_CHILD(mu_shared_new(1 << 20, &how, &a[1], NULL) == 0);
    CHECK_CHILD(mu_shared_open(how.name, &a[2], NULL) == 0);
    CHECK_CHILD(mu_shared_unlink(how.name) == 0);
    for (int i = 0; i < 3; i++)
        CHECK_CHILD(mu_shared_fd(a[i]) > 2);
}

static void stdio_is_left_to_the_host(void **state)
{
    (void)state;
    assert_int_equal(test_wait(test_fork(use_without_stdio, NULL)), 0);
}

/* Any bytes in the arena: no call crashes or hangs. */
static void hostile_bytes_are_survived(void **state)
{
    uint64_t seed = 99;

    (void)state;
    for (int round = 0; round < 300; round++) {
        struct mu_shared *a = arena_new(1 << 16);
        unsigned char *bytes = mu_shared_at(a, 1, 0);
        void *p[4];

        for (int i = 0; i < 4; i++)
            p[i] = mu_shared_alloc(a, 1000);
        for (int i = 0; i < 40; i++) {
            size_t at;

            seed = seed * 6364136223846793005U + 1442695040888963407U;
            /* anywhere but in the lock: whoever takes that only waits */
            at = 120 + (seed >> 33) % ((1 << 16) - 121);
            bytes[at] = (unsigned char)(seed >> 50);
        }
        for (int i = 0; i < 4; i++) {
            (void)mu_shared_free(a, p[i]);
            (void)mu_shared_alloc(a, 500);
        }
        (void)mu_shared_available(a, NULL);
        mu_shared_close(a);
    }
}

/* Somebody is stopped with the heap's lock, which lies in front of the heap. */
static void *alloc_while_locked(void *arg)
{
    struct mu_shared *a = arg;
    void *p = NULL;
    size_t n;

    CHECK_CHILD(mu_shared_alloc_within(a, 100, MU_NOW, &p) == MU_TIMEOUT);
    CHECK_CHILD(mu_shared_alloc_within(a, 100, mu_after_ns(1000), &p) ==
                MU_TIMEOUT);
    CHECK_CHILD(p == NULL);
    CHECK_CHILD(mu_shared_free_within(a, mu_shared_root(a), mu_now_ns()) ==
                MU_TIMEOUT);
    CHECK_CHILD(mu_shared_available_within(a, MU_NOW, &n, NULL) == MU_TIMEOUT);
    return NULL;
}

static void allocating_keeps_the_deadline(void **state)
{
    struct mu_shared *a = arena_new(1 << 16);
    struct mu_mutex *lock = mu_shared_at(
        a, offsetof(struct mui_arena_header, heap.lock), sizeof *lock);
    pthread_t thread;
    size_t before = mu_shared_available(a, NULL);
    size_t n;
    void *p;

    (void)state;
    assert_int_equal(mu_shared_alloc_within(a, 100, MU_NOW, &p), 0);
    mu_shared_set_root(a, p);
    assert_int_equal(mu_mutex_lock(lock, MU_NOW), 0);
    assert_int_equal(pthread_create(&thread, NULL, alloc_while_locked, a), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(mu_mutex_unlock(lock), 0);
    assert_int_equal(mu_shared_alloc_within(a, 1 << 20, MU_NOW, &p), -ENOMEM);
    assert_int_equal(mu_shared_free_within(a, p, MU_NOW), 0);
    assert_int_equal(mu_shared_free_within(a, NULL, MU_NOW), 0);
    assert_int_equal(mu_shared_available_within(a, MU_NOW, &n, NULL), 0);
    assert_int_equal(n, before);
    mu_shared_close(a);
}

/* No call failed, so no errno says why. */
/* The kernel would end a program that goes beyond it. */
static void grow_beyond_file_size(void *arg)
{
    struct mu_shared *a;
    struct rlimit limit;

    (void)arg;
    CHECK_CHILD(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = 1 << 20;
    CHECK_CHILD(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_CHILD(mu_shared_new(2 << 20, NULL, &a, NULL) == -EFBIG);
    CHECK_CHILD(mu_shared_new(1 << 19, NULL, &a, NULL) == 0);
    mu_shared_close(a);
}

static void limit_on_file_size_is_told(void **state)
{
    (void)state;
    assert_int_equal(test_wait(test_fork(grow_beyond_file_size, NULL)), 0);
}

static void size_beyond_all_is_refused(void **state)
{
    static const size_t sizes[] = {SIZE_MAX, (size_t)1 << 63};
    struct mu_shared *a;

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        errno = 0;
        assert_int_equal(mu_shared_new(sizes[i], NULL, &a, NULL), -ENOMEM);
    }
}

struct step_case {
    struct mu_shared *arena;
    void *block;
};

static void heap_warm_up(void *arg)
{
    (void)arg;
    (void)mui_owner_self();
}

static void heap_step(void *arg)
{
    struct step_case *c = arg;
    void *p = mu_shared_alloc(c->arena, 300);

    (void)mu_shared_free(c->arena, c->block);
    (void)mu_shared_free(c->arena, p);
}

/* Whatever the dead process did, the chain is whole: all memory but one block
 * can be taken and given back. */
static void heap_survives_kill_at_each_instruction(void **state)
{
    struct step_trace t = {.n = 1}; /* until it is known */

    (void)state;
    for (long n = 0; n < t.n; n += step_stride(&t)) {
        struct step_case c = {.arena = arena_new(1 << 16)};
        size_t all = mu_shared_available(c.arena, NULL);
        size_t largest;
        void *p;

        (void)mu_shared_alloc(c.arena, 100);
        c.block = mu_shared_alloc(c.arena, 200);
        if (!t.pc)
            t = step_record(step_start(heap_warm_up, heap_step, &c));
        step_finish(step_start(heap_warm_up, heap_step, &c), &t, n);
        assert_true(mu_shared_available(c.arena, &largest) >= all - 1500);
        p = mu_shared_alloc(c.arena, largest);
        assert_non_null(p);
        assert_int_equal(mu_shared_free(c.arena, p), 0);
        mu_shared_close(c.arena);
    }
    free(t.pc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alloc_gives_distinct_aligned_blocks),
        cmocka_unit_test(alloc_random_keeps_blocks_apart),
        cmocka_unit_test(alloc_from_threads_and_processes_at_once),
        cmocka_unit_test(name_finds_the_same_memory),
        cmocka_unit_test(descriptor_needs_seal_and_header),
        cmocka_unit_test(model_without_memory_is_refused),
        cmocka_unit_test(at_refuses_what_is_not_inside),
        cmocka_unit_test(prefault_and_huge_answer),
        cmocka_unit_test(pages_are_touched_by_an_old_kernel_too),
        cmocka_unit_test(name_of_another_user_is_refused),
        cmocka_unit_test(stdio_is_left_to_the_host),
        cmocka_unit_test(allocating_keeps_the_deadline),
        cmocka_unit_test(size_beyond_all_is_refused),
        cmocka_unit_test(limit_on_file_size_is_told),
        cmocka_unit_test(hostile_bytes_are_survived),
        cmocka_unit_test(heap_survives_kill_at_each_instruction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
