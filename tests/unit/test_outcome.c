/* test_outcome.c: outcomes in words that no worker has a part in. */
#include <string.h>

#include "pool/pool.h"
#include "support/pool.h"

static int do_nothing(struct mu_task *task)
{
    (void)task;
    return 0;
}

static void lost_says_why_no_worker_is_left(void **state)
{
    struct mu_pool *pool = test_pool("serial", NULL);
    const struct mu_error err = {.text = "there is no room"};
    struct mu_outcome *o;
    char text[200];

    (void)state;
    (void)pthread_mutex_lock(&pool->lock);
    pool->groups[0].lanes = NULL; /* dead: what comes waits for another */
    (void)pthread_mutex_unlock(&pool->lock);
    test_submit(pool, do_nothing, 0);
    (void)pthread_mutex_lock(&pool->lock);
    pool->desk.ops->gave_up(&pool->desk, 0, &err);
    (void)pthread_mutex_unlock(&pool->lock);
    o = test_take(pool);
    assert_int_equal(o->status, MU_LOST);
    pool->groups[0].lanes = pool->own_lanes;
    mu_pool_close(pool); /* outcomes outlive it, and what they say */
    (void)mu_outcome_describe(o, text, sizeof text);
    assert_string_equal(
        text, "lost: no worker could be started any more: there is no room");
    mu_outcome_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_says_why_no_worker_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
