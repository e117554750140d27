/* test_cores.c: the pool's sparse memory stays out of core files, whoever crashes: the
 * kernel would read it to the last byte, many times the machine's memory, and so take
 * that memory too. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/pool.h"

enum { MUCH_KB = 64 * 1024 };

/* Memory for the next worker is left out a moment after it was mapped, which may be now. */
enum { LOOKS = 1000 };

/* How much of the pool's memory a core file of this process would have; -1: unknown. */
static long dumped_kb(void)
{
    FILE *smaps = fopen("/proc/self/smaps", "re");
    bool is_ours = false;
    long size_kb = 0;
    long dumped = 0;
    char line[4096];

    if (!smaps)
        return -1;
    while (fgets(line, sizeof line, smaps)) {
        if (strstr(line, "memfd:muster"))
            is_ours = true;
        else if (strncmp(line, "Size:", 5) == 0)
            size_kb = strtol(line + 5, NULL, 10);
        else if (strncmp(line, "VmFlags:", 8) == 0) {
            if (is_ours && strstr(line, " sh") && !strstr(line, " dd"))
                dumped += size_kb;
            is_ours = false;
        }
    }
    (void)fclose(smaps);
    return dumped;
}

static int is_small_in_a_task(struct mu_task *task)
{
    long dumped = dumped_kb();

    (void)task;
    return dumped >= 0 && dumped < MUCH_KB ? 0 : 1;
}

static void cores_are_small(void **state)
{
    static const char *const models[] = {"processes:2",
                                         "processes:2/threads:2"};

    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct mu_pool *pool = test_pool(models[i], NULL);
        long dumped = dumped_kb();

        for (int look = 0; look < LOOKS && dumped >= MUCH_KB; look++)
            dumped = dumped_kb();
        assert_in_range(dumped, 0, MUCH_KB);
        test_run_as(pool, is_small_in_a_task, MU_DONE);
        mu_pool_close(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cores_are_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
