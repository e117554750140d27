/* test_host_children.c: what the host does beside its pools. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/pool.h"

static int do_nothing(struct mu_task *t)
{
    (void)t;
    return 0;
}

static void run_one(struct mu_pool *pool)
{
    assert_int_equal(mu_pool_submit(pool, do_nothing, NULL, 0, NULL, NULL), 0);
    test_take_as(pool, MU_DONE);
}

/* Without mu_init(): the nursery ends with its last pool. A child of the host holds
 * copies of all descriptors meanwhile. */
static void close_does_not_wait_for_children_of_the_host(void **state)
{
    struct mu_pool *pool = test_pool("processes:1", NULL);
    pid_t child;

    (void)state;
    run_one(pool);
    child = fork();
    if (child == 0) {
        (void)pause(); /* until it is killed below */
        _exit(0);
    }
    mu_pool_close(pool);
    assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_does_not_wait_for_children_of_the_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
