/* test_cpus.c: the CPUs that affinity and control groups leave, on made-up trees
 * of /proc and /sys. */
#include <sched.h>

#include "muster/pool.h"

#include "support/tree.h"
#include "sys/cpus.h"

static void no_control_groups_leave_all(void **state)
{
    (void)state;
    assert_int_equal(mui_cpus_by_quota(root, 8), 8);
}

static void v2_quota_rounds_up(void **state)
{
    (void)state;
    put("/proc/thread-self/cgroup", "0::/user/job\n");
    put("/proc/thread-self/mountinfo",
        "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n");
    put("/sys/fs/cgroup/user/job/cpu.max", "150000 100000\n");
    put("/sys/fs/cgroup/user/cpu.max", "max 100000\n");
    assert_int_equal(mui_cpus_by_quota(root, 8), 2);
    put("/sys/fs/cgroup/user/job/cpu.max", "10 100000\n");
    assert_int_equal(mui_cpus_by_quota(root, 8), 1);
}

static void v2_quota_above_counts(void **state)
{
    (void)state;
    put("/proc/thread-self/cgroup", "0::/user/job\n");
    put("/proc/thread-self/mountinfo",
        "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/user/job/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/user/cpu.max", "300000 100000\n");
    assert_int_equal(mui_cpus_by_quota(root, 8), 3);
}

static void v1_quota_counts(void **state)
{
    (void)state;
    put("/proc/thread-self/cgroup", "5:memory:/m\n4:cpuacct,cpu:/a/b\n0::/\n");
    put("/proc/thread-self/mountinfo",
        "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "32 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpuacct,cpu\n");
    put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "250000\n");
    put("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "50000\n");
    assert_int_equal(mui_cpus_by_quota(root, 8), 5);
}

static void cpuset_is_not_mistaken_for_cpu(void **state)
{
    (void)state;
    put("/proc/thread-self/cgroup", "4:cpuset:/a\n");
    put("/proc/thread-self/mountinfo",
        "32 30 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n");
    put("/sys/fs/cgroup/cpuset/a/cpu.cfs_quota_us", "100000\n");
    put("/sys/fs/cgroup/cpuset/a/cpu.cfs_period_us", "100000\n");
    assert_int_equal(mui_cpus_by_quota(root, 8), 8);
}

/* In a container the hierarchy may be mounted from our own directory on. */
static void container_sees_its_own_quota(void **state)
{
    (void)state;
    put("/proc/thread-self/cgroup", "0::/docker/abc/sub\n");
    put("/proc/thread-self/mountinfo",
        "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    assert_int_equal(mui_cpus_by_quota(root, 8), 2);
}

static void affinity_counts(void **state)
{
    cpu_set_t before;
    cpu_set_t one;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_in_range(mu_usable_cpus(), 1, (uintmax_t)CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (int i = 0; CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &before))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(mu_usable_cpus(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TREE_TEST(no_control_groups_leave_all),
        TREE_TEST(v2_quota_rounds_up),
        TREE_TEST(v2_quota_above_counts),
        TREE_TEST(v1_quota_counts),
        TREE_TEST(cpuset_is_not_mistaken_for_cpu),
        TREE_TEST(container_sees_its_own_quota),
        cmocka_unit_test(affinity_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
