/* test_team_pin.c: who is near whom, on machines that hwloc makes up. */
#include <stdlib.h>

#include "team/team.h"
#include "team_works.h"

enum { N = 8 };

static void expect_order(const char *machine, unsigned from,
                         const uint32_t expected[N])
{
    struct mui_cpu_sets *sets;
    uint32_t order[N];

    assert_int_equal(setenv("HWLOC_SYNTHETIC", machine, 1), 0);
    assert_int_equal(mui_cpu_sets_load(), 0);
    sets = mui_cpu_sets_new(N);
    assert_non_null(sets);
    mui_cpu_sets_near(sets, from, N, order);
    for (int i = 0; i < N; i++)
        assert_int_equal(order[i], expected[i]);
    mui_cpu_sets_free(sets);
    assert_int_equal(unsetenv("HWLOC_SYNTHETIC"), 0);
}

/* The last core of a package does not begin with the next package. */
static void package_comes_before_the_next(void **state)
{
    static const uint32_t from_3[N] = {3, 0, 1, 2, 4, 5, 6, 7};
    static const uint32_t from_5[N] = {5, 6, 7, 4, 0, 1, 2, 3};

    (void)state;
    expect_order("package:2 core:4 pu:1", 3, from_3);
    expect_order("package:2 core:4 pu:1", 5, from_5);
}

static void cache_comes_before_package(void **state)
{
    static const uint32_t from_1[N] = {1, 0, 2, 3, 4, 5, 6, 7};
    static const uint32_t from_6[N] = {6, 7, 4, 5, 0, 1, 2, 3};

    (void)state;
    expect_order("package:2 l2:2 core:2 pu:1", 1, from_1);
    expect_order("package:2 l2:2 core:2 pu:1", 6, from_6);
}

/* Four cores of two PUs: with eight threads, those of a core are nearest. */
static void core_comes_before_cache(void **state)
{
    static const uint32_t from_5[N] = {5, 4, 6, 7, 0, 1, 2, 3};

    (void)state;
    expect_order("package:2 core:2 pu:2", 5, from_5);
}

/* Two NUMA nodes in a package: the node before the package before the other. */
static void node_comes_before_package(void **state)
{
    static const uint32_t from_1[N] = {1, 0, 2, 3, 4, 5, 6, 7};
    static const uint32_t from_7[N] = {7, 6, 4, 5, 0, 1, 2, 3};

    (void)state;
    expect_order("package:2 group:2 [numa] core:2 pu:1", 1, from_1);
    expect_order("package:2 group:2 [numa] core:2 pu:1", 7, from_7);
}

/* More threads than the machine has PUs: those that share one are nearest. */
static void crowded_machine_has_an_order(void **state)
{
    static const uint32_t from_1[N] = {1, 5, 2, 3, 4, 6, 7, 0};

    (void)state;
    expect_order("package:1 core:4 pu:1", 1, from_1);
}

static void pinned_team_works_on_any_machine(void **state)
{
    static const char *const machines[] = {
        "package:2 core:4 pu:1", "package:1 core:1 pu:1", "numa:4 core:1 pu:2"};

    (void)state;
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        struct mu_team_options options = {.n_threads = 6, .pin = 1};
        struct mu_team *team;
        struct mu_job *j;

        assert_int_equal(setenv("HWLOC_SYNTHETIC", machines[i], 1), 0);
        assert_int_equal(mu_team_open(&options, &team, NULL), 0);
        assert_int_equal(unsetenv("HWLOC_SYNTHETIC"), 0);
        j = team_enter(team);
        assert_int_equal(fib(j, 22), fib_serial(22));
        assert_int_equal(mu_team_leave(j), 0);
        mu_team_close(team);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(package_comes_before_the_next),
        cmocka_unit_test(cache_comes_before_package),
        cmocka_unit_test(core_comes_before_cache),
        cmocka_unit_test(node_comes_before_package),
        cmocka_unit_test(crowded_machine_has_an_order),
        cmocka_unit_test(pinned_team_works_on_any_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
