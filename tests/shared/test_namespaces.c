/* test_namespaces.c: no holder that lives is taken for dead, in whatever namespaces it
 * and who looks may be. */
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "muster/lock.h"

#include "support/check.h"
#include "sys/owner.h"

#ifndef CLONE_NEWTIME
#    define CLONE_NEWTIME 0x80
#endif

struct names {
    struct mu_mutex mutex;
    struct mu_rwlock rwlock;
    uint64_t owner;
    uint64_t process;
    int is_refused; /* who runs this may not make namespaces */
};

static void names_take(struct names *n)
{
    n->owner = mui_owner_self();
    n->process = mui_process_self();
}

/* Run it in a child; skip where it could not be. */
static void run_or_skip(void (*fn)(void *), struct names *n)
{
    int is_refused;

    assert_int_equal(test_wait(test_fork(fn, n)), 0);
    is_refused = n->is_refused;
    munmap(n, sizeof *n);
    if (is_refused) {
        print_message("namespaces may not be made here\n");
        skip();
    }
}

static void check_alive(const struct names *n)
{
    CHECK_CHILD(mui_owner_is_dead(n->owner) == 0);
    CHECK_CHILD(mui_process_is_dead(n->process) == 0);
}

static void check_dead(const struct names *n)
{
    CHECK_CHILD(mui_owner_is_dead(n->owner) == 1);
    CHECK_CHILD(mui_process_is_dead(n->process) == 1);
}

static void names_take_in_child(void *arg)
{
    names_take(arg);
}

/* The names of a process that has ended. */
static struct names names_of_the_dead(void)
{
    struct names *n = test_shared(sizeof *n);
    struct names dead;

    CHECK_CHILD(test_wait(test_fork(names_take_in_child, n)) == 0);
    dead = *n;
    munmap(n, sizeof *n);
    return dead;
}

/* ---- PID namespaces ---------------------------------------------------------- */

static uint64_t bits(unsigned first, unsigned n)
{
    return ((UINT64_C(1) << n) - 1) << first;
}

/* Whoever differs in one bit of its namespace's number is not looked at. */
static void other_namespace_is_not_judged(void **state)
{
    const uint64_t of_owner = bits(22, 7) | bits(32, 14);
    const uint64_t of_process = bits(22, 7) | bits(42, 10);
    struct names dead = names_of_the_dead();
    struct stat space;

    (void)state;
    check_dead(&dead);
    assert_int_equal(stat("/proc/self/ns/pid", &space), 0);
    assert_int_equal((dead.owner >> 22 & 0x7f) | (dead.owner >> 25 & 0x1fff80),
                     space.st_ino & 0x1fffff);
    assert_int_equal((dead.process >> 22 & 0x7f) |
                         (dead.process >> 35 & 0x1ff80),
                     space.st_ino & 0x1ffff);
    for (unsigned i = 0; i < 64; i++) {
        uint64_t bit = UINT64_C(1) << i;

        if (of_owner & bit)
            assert_int_equal(mui_owner_is_dead(dead.owner ^ bit), 0);
        if (of_process & bit)
            assert_int_equal(mui_process_is_dead(dead.process ^ bit), 0);
    }
}

/* Process 2 of a namespace, whose number is another's in the /proc that it sees. */
static void look_from_below(void *arg)
{
    struct names *n = arg;
    struct names dead = names_of_the_dead();

    check_alive(n);
    CHECK_CHILD(mu_mutex_lock(&n->mutex, MU_NOW) == MU_TIMEOUT);
    check_dead(&dead);
}

static void hold_below(void *arg)
{
    struct names *n = arg;

    names_take(n);
    CHECK_CHILD(getpid() == 1);
    CHECK_CHILD(mu_mutex_lock(&n->mutex, MU_NOW) == 0);
    CHECK_CHILD(test_wait(test_fork(look_from_below, n)) == 0);
}

static void enter_pid_namespace(void *arg)
{
    struct names *n = arg;

    n->is_refused = unshare(CLONE_NEWPID) != 0;
    if (!n->is_refused)
        CHECK_CHILD(test_wait(test_fork(hold_below, n)) == 0);
}

static void proc_of_another_namespace_is_not_believed(void **state)
{
    (void)state;
    run_or_skip(enter_pid_namespace, test_shared(sizeof(struct names)));
}

/* In a folder without /proc nobody knows who is of which namespace. */
static void live_without_proc(void *arg)
{
    struct names *n = arg;
    struct names dead;

    n->is_refused = chroot("/dev/shm") != 0;
    if (n->is_refused)
        return;
    dead = names_of_the_dead();
    check_alive(n);
    check_alive(&dead);
}

static void without_proc_nobody_is_dead(void **state)
{
    struct names *n = test_shared(sizeof *n);

    (void)state;
    names_take(n);
    run_or_skip(live_without_proc, n);
}

/* ---- time namespaces --------------------------------------------------------- */

/* Let children live in another time. False when that is not allowed. */
static int children_get_time(const char *offset)
{
    int fd;
    int is_set;

    if (unshare(CLONE_NEWTIME) != 0)
        return 0;
    fd = open("/proc/self/timens_offsets", O_WRONLY);
    is_set =
        fd >= 0 && write(fd, offset, strlen(offset)) == (ssize_t)strlen(offset);
    if (fd >= 0)
        (void)close(fd);
    return is_set;
}

/* Another thread with the same number: its start differs, and is not 0. */
static uint64_t born_later(uint64_t name, unsigned birth_shift)
{
    uint64_t later = name ^ (UINT64_C(1) << 63);

    return later >> birth_shift ? later : name ^ (UINT64_C(1) << 62);
}

static void look_from_another_time(void *arg)
{
    struct names *n = arg;
    struct names dead = names_of_the_dead();
    struct names other = {.owner = born_later(n->owner, 46),
                          .process = born_later(n->process, 52)};

    check_alive(n);
    check_dead(&dead);
    check_dead(&other);
    CHECK_CHILD(mu_mutex_lock(&n->mutex, MU_NOW) == MU_TIMEOUT);
    CHECK_CHILD(mu_rwlock_write(&n->rwlock, MU_NOW) == MU_TIMEOUT);
    /* its children have a time of which its own offsets do not tell */
    if (!children_get_time("boottime 5000 0\n"))
        return;
    check_alive(n);
    check_alive(&other);
    check_dead(&dead);
}

/* Hold until the other end of the pipe is closed. */
static void hold_in_another_time(struct names *n, int ready, int end)
{
    char c = 0;

    names_take(n);
    CHECK_CHILD(write(ready, &c, 1) == 1);
    CHECK_CHILD(read(end, &c, 1) == 0);
}

static void enter_time_namespace(void *arg)
{
    struct names *n = arg;
    int ready[2];
    int end[2];
    char c;
    pid_t pid;

    n->is_refused = !children_get_time("boottime 100 5000001\n");
    if (n->is_refused)
        return;
    CHECK_CHILD(test_wait(test_fork(look_from_another_time, n)) == 0);
    CHECK_CHILD(pipe(ready) == 0 && pipe(end) == 0);
    pid = fork();
    CHECK_CHILD(pid >= 0);
    if (pid == 0) {
        (void)close(end[1]);
        hold_in_another_time(n, ready[1], end[0]);
        _exit(0);
    }
    (void)close(ready[1]); /* should it end without a word */
    CHECK_CHILD(read(ready[0], &c, 1) == 1);
    check_alive(n);
    (void)close(end[1]);
    CHECK_CHILD(test_wait(pid) == 0);
    check_dead(n);
}

static void other_time_is_not_another_thread(void **state)
{
    struct names *n = test_shared(sizeof *n);

    (void)state;
    names_take(n);
    assert_int_equal(mu_mutex_lock(&n->mutex, MU_NOW), 0);
    assert_int_equal(mu_rwlock_read(&n->rwlock, MU_NOW), 0);
    assert_int_equal(mu_rwlock_read(&n->rwlock, MU_NOW), 0);
    run_or_skip(enter_time_namespace, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_namespace_is_not_judged),
        cmocka_unit_test(proc_of_another_namespace_is_not_believed),
        cmocka_unit_test(without_proc_nobody_is_dead),
        cmocka_unit_test(other_time_is_not_another_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
