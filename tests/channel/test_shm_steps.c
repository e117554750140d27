/* test_shm_steps.c: what an end of a ring waits for comes between two instructions on
 * its way to sleep, at each of them: it is never slept through. */
#include <string.h>
#include <sys/syscall.h>

#include "muster/channel.h"

#include "support/check.h"
#include "support/step.h"

enum {
    SIZE = 4000,
    N_POINTS = 800 /* the last before the sleep: before them it only looks */
};

static struct mu_chan *ends[2];
static unsigned char bytes[SIZE];

static void send_one(void *arg)
{
    (void)arg;
    CHECK_CHILD(mu_chan_send(ends[1], bytes, SIZE, MU_NEVER) == 0);
}

static void recv_one(void *arg)
{
    size_t size;

    (void)arg;
    CHECK_CHILD(mu_chan_recv(ends[1], bytes, SIZE, MU_NEVER, &size) == 0);
}

static void prepare(void *arg)
{
    (void)arg;
    (void)alarm(
        (unsigned)(TEST_HANG_NS / 1000000000)); /* for one that sleeps on */
}

static void fill(void *arg)
{
    prepare(arg);
    while (mu_chan_send(ends[1], bytes, SIZE, MU_NOW) == 0)
        ;
}

static void open_ends(void)
{
    const struct mu_chan_options options = {.ring_bytes = 16384, .spin_ns = -1};

    assert_int_equal(mu_chan_pair("shm:", &options, ends, NULL), 0);
}

static void close_ends(void)
{
    mu_chan_free(ends[0]);
    mu_chan_free(ends[1]);
}

static void wakes_at_each_step(step_fn before, step_fn act,
                               void (*meanwhile)(void))
{
    struct step_trace t;
    long first;

    open_ends();
    t = step_record_to(step_start(before, act, NULL), SYS_ppoll);
    close_ends();
    /* of those that a sanitizer adds few are tried: these are of all */
    first = STEP_POINTS > N_POINTS && t.n > N_POINTS ? t.n - N_POINTS : 0;
    for (long i = first; i < t.n; i += step_stride(&t)) {
        pid_t pid;

        open_ends();
        pid = step_start(before, act, NULL);
        assert_true(step_stop(pid, &t, i));
        meanwhile();
        step_go_on(pid);
        close_ends();
    }
    free(t.pc);
}

static void message_comes(void)
{
    assert_int_equal(mu_chan_send(ends[0], bytes, SIZE, MU_NOW), 0);
}

static void receiver_wakes_for_a_message(void **state)
{
    (void)state;
    wakes_at_each_step(prepare, recv_one, message_comes);
}

static void room_comes(void)
{
    size_t size;
    int n = 0;

    while (mu_chan_recv(ends[0], bytes, SIZE, MU_NOW, &size) == 0)
        n++;
    assert_true(n > 0);
}

static void sender_wakes_for_room(void **state)
{
    (void)state;
    wakes_at_each_step(fill, send_one, room_comes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receiver_wakes_for_a_message),
        cmocka_unit_test(sender_wakes_for_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
