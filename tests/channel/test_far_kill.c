/* test_far_kill.c: a sender to a far receiver, whose copies go past the caches: killed
 * at each instruction, and looked at where its stores have to be in order. */
#include "channel/far.h"

#define KILL_SIZE       1100 /* large enough, and no whole number of lines */
#define KILL_READY(end) far_hold(end)
#include "channel/kill.h"

#if defined(__x86_64__)

static int is_fence(const unsigned char *code)
{
    return code[0] == 0x0f && code[1] == 0xae && code[2] == 0xf8;
}

/* movntps or movntdq, with what may stand before it */
static int is_past_caches(const unsigned char *code)
{
    if (*code == 0xc5) /* VEX, short and long */
        return code[2] == 0x2b || code[2] == 0xe7;
    if (*code == 0xc4)
        return code[3] == 0x2b || code[3] == 0xe7;
    code += *code == 0x66;
    code += *code >= 0x40 && *code <= 0x4f;
    return code[0] == 0x0f && (code[1] == 0x2b || code[1] == 0xe7);
}

/* Before its i-th instruction the child's record is not seen. */
static void nothing_is_seen_before(const struct step_trace *t, long i)
{
    pid_t pid = start("shm:", send_some_before, send_one);
    unsigned char byte;
    size_t size;

    assert_true(step_stop(pid, t, i));
    for (int k = 0; k < N_BEFORE; k++)
        assert_int_equal(message_recv(ends[0], (unsigned char)k), 0);
    assert_int_equal(mu_chan_recv(ends[0], &byte, 1, MU_NOW, &size),
                     MU_TIMEOUT);
    step_go_on(pid);
    assert_int_equal(message_recv(ends[0], N_BEFORE), 0);
    mu_chan_free(ends[0]);
}

/* Such stores reach memory in no order: the record must not be seen before a fence
 * behind the last of them. */
static void nothing_is_published_before_the_fence(void **state)
{
    struct step_trace t =
        step_record(start("shm:", send_some_before, send_one));
    int n_stores = 0;
    long i_fence = 0; /* the first behind the last store */

    (void)state;
    mu_chan_free(ends[0]);
    for (long i = 0; i < t.n; i++) {
        const unsigned char *code = (const unsigned char *)(uintptr_t)t.pc[i];

        if (is_past_caches(code)) {
            n_stores++;
            i_fence = 0;
        } else if (is_fence(code) && i_fence == 0) {
            i_fence = i;
        }
    }
    assert_in_range(n_stores, KILL_SIZE / 64 - 1, KILL_SIZE);
    assert_int_not_equal(i_fence, 0);
    if (i_fence > 0)
        nothing_is_seen_before(&t, i_fence);
    free(t.pc);
}

#else

static void nothing_is_published_before_the_fence(void **state)
{
    (void)state;
    skip(); /* no such stores */
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        KILLED("shm:"),
        cmocka_unit_test(nothing_is_published_before_the_fence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
