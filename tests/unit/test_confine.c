/* test_confine.c: where control groups are made, and what is written into them, on
 * made-up trees: in plain folders, so a group's files are made before it is entered.
 * What the kernel makes of them: chaos/test_limits.c, on the version it has. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process/confine.h"
#include "support/tree.h"

static void holds(const char *name, const char *expected)
{
    char text[256] = "";
    FILE *file = fopen(path_of(name), "r");

    assert_non_null(file);
    (void)!fgets(text, sizeof text, file);
    assert_int_equal(fclose(file), 0);
    assert_string_equal(text, expected);
}

/* The group of this process, as if it were guardian and worker at once. */
#define BASE_2  "/cg/slice/muster-%d"
#define GROUP_2 BASE_2 "/%d"
#define GROUP_1 "/cg/memory/job/muster-%d/%d"

/* Our own group shares out nothing, that above it pids alone, the next both. */
static void make_v2(void)
{
    put("/proc/thread-self/cgroup", "0::/slice/user/session\n");
    put("/proc/thread-self/mountinfo",
        "30 23 0:26 / /cg rw,nosuid - cgroup2 cgroup2 rw\n");
    put("/cg/cgroup.subtree_control", "cpu memory pids\n");
    put("/cg/cgroup.procs", "");
    put("/cg/slice/cgroup.subtree_control", "memory pids\n");
    put("/cg/slice/cgroup.procs", "");
    put("/cg/slice/user/cgroup.subtree_control", "pids\n");
    put("/cg/slice/user/cgroup.procs", "");
    put("/cg/slice/user/session/cgroup.subtree_control", "\n");
    put("/cg/slice/user/session/cgroup.procs", "");
}

static void v2_goes_up_to_who_shares_it_out(void **state)
{
    struct stat st;

    (void)state;
    make_v2();
    mui_confine_init(root);
    /* the folders are made, the kernel's files are not in them */
    assert_true(mui_confine_memory(1 << 20) < 0);
    assert_int_equal(stat(path_of(GROUP_2), &st), 0);
    /* a process is in one group, so it is for both */
    assert_true(mui_confine_processes() < 0);
    assert_int_equal(stat(path_of("/cg/slice/user/muster-%d"), &st), -1);
    /* nothing is in it: it goes, and the base with its last */
    assert_false(mui_confine_end(getpid()));
    assert_int_equal(stat(path_of("/cg/slice/muster-%d"), &st), -1);
}

static void base_without_groups_goes(void **state)
{
    struct stat st;

    (void)state;
    make_v2();
    mui_confine_init(root);
    /* as a worker leaves it that was killed before it made its own */
    assert_int_equal(mkdir(path_of("/cg/slice/muster-%d"), 0700), 0);
    assert_false(mui_confine_end(getpid()));
    assert_int_equal(stat(path_of("/cg/slice/muster-%d"), &st), -1);
}

/* Another worker has made the base a moment ago, and not yet said what it shares out. */
static void v2_base_of_another_shares_it_out(void **state)
{
    (void)state;
    make_v2();
    mui_confine_init(root);
    put(BASE_2 "/cgroup.subtree_control", "");
    assert_true(mui_confine_memory(1 << 20) < 0);
    holds(BASE_2 "/cgroup.subtree_control", "+memory");
    put(BASE_2 "/cgroup.subtree_control", "cpu\n");
    assert_true(mui_confine_processes() < 0);
    holds(BASE_2 "/cgroup.subtree_control", "+pids");
    put(BASE_2 "/cgroup.subtree_control", "memory pids\n");
    assert_true(mui_confine_processes() < 0);
    holds(BASE_2 "/cgroup.subtree_control", "memory pids\n");
}

static void v2_limits_are_written(void **state)
{
    (void)state;
    make_v2();
    mui_confine_init(root);
    put(GROUP_2 "/cgroup.procs", "");
    put(GROUP_2 "/memory.max", "");
    put(GROUP_2 "/memory.swap.max", "");
    put(GROUP_2 "/memory.oom.group", "");
    put(GROUP_2 "/memory.events", "low 0\nhigh 0\nmax 7\noom 1\noom_kill 0\n");
    put(GROUP_2 "/pids.max", "");
    put(GROUP_2 "/pids.current", "3\n");
    put(GROUP_2 "/pids.events", "max 0\n");
    assert_int_equal(mui_confine_memory(64 << 20), 0);
    holds(GROUP_2 "/cgroup.procs", "0");
    holds(GROUP_2 "/memory.max", "83886080"); /* and 16 MiB for the kernel */
    holds(GROUP_2 "/memory.swap.max", "0");
    holds(GROUP_2 "/memory.oom.group", "1");
    assert_int_equal(mui_confine_processes(), 0);
    assert_int_equal(mui_confine_limit_processes(5), 0);
    holds(GROUP_2 "/pids.max", "8");
    assert_false(mui_confine_has_struck());
    put(GROUP_2 "/pids.events", "max 2\n");
    assert_true(mui_confine_has_struck());
    assert_false(mui_confine_has_struck());
    assert_false(mui_confine_end(getpid()));
    put(GROUP_2 "/memory.events", "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\n");
    assert_true(mui_confine_end(getpid()));
}

static void v1_is_below_our_own(void **state)
{
    struct stat st;

    (void)state;
    put("/proc/thread-self/cgroup", "4:memory:/job\n0::/\n");
    put("/proc/thread-self/mountinfo",
        "31 23 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n"
        "30 23 0:26 / /cg/unified rw - cgroup2 cgroup2 rw\n");
    put("/cg/memory/job/cgroup.procs", "");
    put("/cg/unified/cgroup.subtree_control", "\n");
    mui_confine_init(root);
    assert_true(mui_confine_memory(1 << 20) < 0);
    assert_int_equal(stat(path_of(GROUP_1), &st), 0);
    /* nobody shares pids out */
    assert_true(mui_confine_processes() < 0);
    mui_confine_fini();
    assert_int_equal(stat(path_of("/cg/memory/job/muster-%d"), &st), -1);
}

/* Of a guardian that is no more; that of one that lives stays. */
static void what_was_left_is_removed(void **state)
{
    struct stat st;

    (void)state;
    make_v2();
    assert_int_equal(mkdir(path_of("/cg/slice/muster-999999999"), 0700), 0);
    assert_int_equal(mkdir(path_of("/cg/slice/muster-999999999/7"), 0700), 0);
    assert_int_equal(mkdir(path_of("/cg/slice/muster-1"), 0700), 0);
    mui_confine_init(root);
    assert_int_equal(stat(path_of("/cg/slice/muster-999999999"), &st), -1);
    assert_int_equal(stat(path_of("/cg/slice/muster-1"), &st), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TREE_TEST(v2_goes_up_to_who_shares_it_out),
        TREE_TEST(base_without_groups_goes),
        TREE_TEST(v2_base_of_another_shares_it_out),
        TREE_TEST(v2_limits_are_written),
        TREE_TEST(v1_is_below_our_own),
        TREE_TEST(what_was_left_is_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
