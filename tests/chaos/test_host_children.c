/* test_host_children.c: what the host does beside its pools. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
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
    (void)test_kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
}

/* Memory that processes share is a file to the kernel, which would send SIGXFSZ. */
static void open_without_files(void *arg)
{
    struct mu_error err = {.text = ""};
    struct rlimit limit;
    struct mu_pool *pool;

    (void)arg;
    CHECK_CHILD(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = 0;
    CHECK_CHILD(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_CHILD(mu_pool_open("processes:1", NULL, &pool, &err) == -EFBIG);
    CHECK_CHILD(strstr(err.text, "ulimit -f"));
}

static void limit_on_file_size_is_named(void **state)
{
    (void)state;
    assert_int_equal(test_wait(test_fork(open_without_files, NULL)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_does_not_wait_for_children_of_the_host),
        cmocka_unit_test(limit_on_file_size_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
