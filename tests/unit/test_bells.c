/* test_bells.c: waiting for bells. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/bells.h"
#include "support/check.h"

enum { ID = 7, N_IDS = 8 };

/* Bells of which one rings, until its descriptor is closed. */
static int open_ringing(struct mui_bells *b)
{
    int fd = eventfd(1, EFD_CLOEXEC);

    memset(b, 0, sizeof *b);
    CHECK_CHILD(fd >= 0 && mui_bells_init(b) == 0 &&
                mui_bells_add(b, fd, ID) == 0);
    return fd;
}

static void close_ringing(struct mui_bells *b, int fd)
{
    mui_bells_fini(b);
    (void)close(fd);
}

/* What a profile does that is older than the call. */
static void refuse_epoll_pwait2(int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 441 /* epoll_pwait2 */, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof filter / sizeof *filter, filter};

    CHECK_CHILD(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK_CHILD(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    errno = 0;
    CHECK_CHILD(syscall(441, -1, NULL, 0, NULL, NULL, 0) == -1 &&
                errno == error);
}

static void hear_without_the_call(void *error)
{
    struct mui_bells b;
    uint64_t id = 0;
    int fd;

    refuse_epoll_pwait2(*(int *)error);
    fd = open_ringing(&b);
    CHECK_CHILD(mui_bells_watch(&b, test_deadline(), &id, 1) == 1);
    CHECK_CHILD(id == ID);
    close_ringing(&b, fd);
}

/* Else a pool would look again and again, for ever, and hear nothing. */
static void bells_are_heard_without_epoll_pwait2(void **state)
{
    int errors[] = {ENOSYS, EPERM};

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            test_wait(test_fork(hear_without_the_call, &errors[i])), 0);
}

/* Whether one who is about to sleep is kept from it by a kick. */
static bool is_kicked(struct mui_bells *b)
{
    uint64_t ids[N_IDS];
    unsigned n = mui_bells_sleep(b, test_deadline(), ids, N_IDS);

    mui_bells_rise(b);
    return n == 0; /* the bell that rings is looked for by who sleeps */
}

/* Bells of another pool that lie where those of one lay that was closed. */
static void kick_of_new_bells_is_seen(void **state)
{
    struct mui_bells b;
    uint64_t ids[N_IDS];
    int fd = open_ringing(&b);

    (void)state;
    mui_bells_kick(&b);
    assert_true(is_kicked(&b));
    assert_false(is_kicked(&b));
    close_ringing(&b, fd);
    fd = open_ringing(&b);
    mui_bells_kick(&b);
    (void)mui_bells_watch(&b, test_deadline(), ids, N_IDS); /* clears it */
    assert_true(is_kicked(&b));
    assert_false(is_kicked(&b));
    close_ringing(&b, fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bells_are_heard_without_epoll_pwait2),
        cmocka_unit_test(kick_of_new_bells_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
