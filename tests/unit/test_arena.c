/* test_arena.c: the pool's memory for inputs, as several threads use it. */
#include <pthread.h>

#include "pool/arena.h"
#include "support/check.h"

enum { N_BLOCKS = 1000 };

static void *take_blocks(void *arg)
{
    for (int i = 0; i < N_BLOCKS; i++)
        CHECK_CHILD(mui_arena_alloc(arg, 64));
    return NULL;
}

/* What was taken is there also while another thread takes more; for the thread
 * sanitizer. */
static void taken_is_held_while_others_take(void **state)
{
    struct mui_arena arena;
    pthread_t other;
    char *bytes;

    (void)state;
    assert_int_equal(mui_arena_init(&arena, true, NULL), 0);
    bytes = mui_arena_alloc(&arena, 64);
    assert_non_null(bytes);
    assert_int_equal(pthread_create(&other, NULL, take_blocks, &arena), 0);
    for (int i = 0; i < N_BLOCKS; i++)
        assert_true(mui_arena_holds(&arena, bytes, 64));
    assert_int_equal(pthread_join(other, NULL), 0);
    assert_false(mui_arena_holds(&arena, bytes, arena.bytes));
    mui_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taken_is_held_while_others_take),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
