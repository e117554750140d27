/* test_host_children.c: what the host does beside its pools. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "muster/muster.h"

static struct mu_pool *open_pool(const char *model)
{
    struct mu_pool *pool;
    struct mu_error err;

    if (mu_pool_open(model, NULL, &pool, &err) != 0)
        fail_msg("%s: %s", model, err.text);
    return pool;
}

static int do_nothing(struct mu_task *t)
{
    (void)t;
    return 0;
}

static void run_one(struct mu_pool *pool)
{
    struct mu_outcome *o = NULL;

    assert_int_equal(mu_pool_submit(pool, do_nothing, NULL, 0, NULL, NULL), 0);
    assert_int_equal(mu_pool_next(pool, mu_after_ns(INT64_C(60000000000)), &o),
                     0);
    assert_int_equal(o->status, MU_DONE);
    mu_outcome_free(o);
}

/* Without mu_init(): the nursery ends with its last pool. A child of the host holds
 * copies of all descriptors meanwhile. */
static void close_does_not_wait_for_children_of_the_host(void **state)
{
    struct mu_pool *pool = open_pool("processes:1");
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
