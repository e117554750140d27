/* test_memory.c: the memory that limits and control groups leave, on made-up trees of
 * /proc and /sys. */
#include <sys/resource.h>

#include "support/check.h"
#include "support/tree.h"
#include "sys/memory.h"

enum { MIB = 1 << 20 };

static void no_control_groups_leave_all(void **state)
{
    (void)state;
    assert_int_equal(mui_memory_by_groups(root, MIB), MIB);
}

static void v2_limits_count_up_to_the_root(void **state)
{
    (void)state;
    put("/proc/thread-self/cgroup", "0::/user/job\n");
    put("/proc/thread-self/mountinfo",
        "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n");
    put("/sys/fs/cgroup/user/job/memory.max", "max\n");
    assert_int_equal(mui_memory_by_groups(root, MIB), MIB);
    put("/sys/fs/cgroup/user/memory.max", "40960\n");
    assert_int_equal(mui_memory_by_groups(root, MIB), 40960);
    put("/sys/fs/cgroup/user/job/memory.high", "8192\n");
    assert_int_equal(mui_memory_by_groups(root, MIB), 8192);
    assert_int_equal(mui_memory_by_groups(root, 4096), 4096);
}

static void v1_limits_count_up_to_the_root(void **state)
{
    (void)state;
    put("/proc/thread-self/cgroup", "5:memory:/a/b\n4:cpuacct,cpu:/m\n0::/\n");
    put("/proc/thread-self/mountinfo",
        "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "32 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpuacct,cpu\n");
    put("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
        "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "65536\n");
    assert_int_equal(mui_memory_by_groups(root, MIB), 65536);
}

#ifndef TEST_IS_SANITIZED /* its own memory is data, too */
static void own_limit_counts(void **state)
{
    struct rlimit before;
    struct rlimit limit;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
    assert_true(mui_memory_usable() > 12345);
    limit = (struct rlimit){12345, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_DATA, &limit), 0);
    assert_int_equal(mui_memory_usable(), 12345);
    assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        TREE_TEST(no_control_groups_leave_all),
        TREE_TEST(v2_limits_count_up_to_the_root),
        TREE_TEST(v1_limits_count_up_to_the_root),
#ifndef TEST_IS_SANITIZED
        cmocka_unit_test(own_limit_counts),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
