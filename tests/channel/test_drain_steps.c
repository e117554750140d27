/* test_drain_steps.c: the other side receives all that was sent, and leaves, between two
 * instructions of a drain, at each of them: what was received is not told as left. */
#include <pthread.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "muster/channel.h"

#include "support/check.h"
#include "support/step.h"

enum {
    N_POINTS = 200
}; /* the last before the sleep: before them it only looks */

static struct mu_chan *ends[2];
static bool says_goodbye;
static int64_t deadline;

static void begin(void)
{
    (void)alarm(
        (unsigned)(TEST_HANG_NS / 1000000000)); /* for one that sleeps on */
    CHECK_CHILD(mu_chan_drain(ends[1], MU_NOW) == 0);
    CHECK_CHILD(mu_chan_send(ends[1], "x", 1, MU_NOW) == 0);
    CHECK_CHILD(mu_chan_drain(ends[1], MU_NOW) == MU_TIMEOUT);
}

static void drain(void *arg)
{
    int rc = mu_chan_drain(ends[1], deadline);

    (void)arg;
    CHECK_CHILD(rc == 0 || (rc == MU_TIMEOUT && deadline == MU_NOW));
}

static void receive_and_leave(void)
{
    char byte;
    size_t size;

    CHECK_CHILD(mu_chan_recv(ends[0], &byte, 1, MU_NOW, &size) == 0);
    if (says_goodbye)
        CHECK_CHILD(mu_chan_close(ends[0]) == 0);
    mu_chan_free(ends[0]);
    ends[0] = NULL;
}

/* A child that drains, and somebody who receives. */
struct way {
    void (*open)(void);
    step_fn before; /* in the child */
    void (*opened)(void);
    void (*meanwhile)(void);
    void (*close)(void);
    long sleep; /* the call in which a drain waits */
};

static pid_t way_start(const struct way *w)
{
    pid_t pid;

    w->open();
    pid = step_start(w->before, drain, NULL);
    w->opened();
    return pid;
}

static void drain_at_each_step(const struct way *w)
{
    pid_t pid = way_start(w);
    struct step_trace t =
        deadline == MU_NOW ? step_record(pid) : step_record_to(pid, w->sleep);
    long first = STEP_POINTS > N_POINTS && t.n > N_POINTS ? t.n - N_POINTS : 0;

    w->close();
    for (long i = first; i < t.n; i += step_stride(&t)) {
        pid = way_start(w);
        if (step_stop(pid, &t, i)) {
            w->meanwhile();
            step_go_on(pid);
        }
        w->close();
    }
    free(t.pc);
}

static void drain_each_way(const struct way *w)
{
    for (int i = 0; i < 4; i++) {
        says_goodbye = i % 2 != 0;
        deadline = i / 2 != 0 ? MU_NOW : MU_NEVER;
        drain_at_each_step(w);
    }
}

/* ---- two processes ---------------------------------------------------------- */

static void shm_open_ends(void)
{
    const struct mu_chan_options options = {.ring_bytes = 1, .spin_ns = -1};

    assert_int_equal(mu_chan_pair("shm:", &options, ends, NULL), 0);
}

static void shm_begin(void *arg)
{
    (void)arg;
    mu_chan_free(ends[0]);
    begin();
}

static void shm_opened(void)
{
    mu_chan_free(ends[1]);
}

static void shm_close_ends(void)
{
    mu_chan_free(ends[0]);
}

static void ring_that_was_emptied_is_drained(void **state)
{
    static const struct way way = {.open = shm_open_ends,
                                   .before = shm_begin,
                                   .opened = shm_opened,
                                   .meanwhile = receive_and_leave,
                                   .close = shm_close_ends,
                                   .sleep = SYS_ppoll};

    (void)state;
    drain_each_way(&way);
}

/* ---- two threads of one, of which the other is not stopped ------------------ */

static int to_go[2];
static int from_done[2];

static void mem_open_pipes(void)
{
    assert_int_equal(pipe(to_go), 0);
    assert_int_equal(pipe(from_done), 0);
}

static void *receive_when_told(void *arg)
{
    char byte = 'x';

    CHECK_CHILD(write(from_done[1], &byte, 1) == 1);
    CHECK_CHILD(read(to_go[0], &byte, 1) == 1);
    receive_and_leave();
    CHECK_CHILD(write(from_done[1], &byte, 1) == 1);
    return arg;
}

static void mem_begin(void *arg)
{
    const struct mu_chan_options options = {.spin_ns = -1};
    pthread_t thread;
    char byte;

    (void)close(to_go[1]); /* the thread ends with us */
    CHECK_CHILD(mu_chan_pair("mem:", &options, ends, NULL) == 0);
    CHECK_CHILD(pthread_create(&thread, NULL, receive_when_told, arg) == 0);
    /* it only reads from now on: there is no breakpoint on its way */
    CHECK_CHILD(read(from_done[0], &byte, 1) == 1);
    begin();
}

static void mem_opened(void)
{
    (void)close(to_go[0]);
    (void)close(from_done[1]);
}

static void mem_meanwhile(void)
{
    char byte = 'x';

    assert_int_equal(write(to_go[1], &byte, 1), 1);
    assert_int_equal(read(from_done[0], &byte, 1), 1);
}

static void mem_close_pipes(void)
{
    (void)close(to_go[1]);
    (void)close(from_done[0]);
}

static void queue_that_was_emptied_is_drained(void **state)
{
    static const struct way way = {.open = mem_open_pipes,
                                   .before = mem_begin,
                                   .opened = mem_opened,
                                   .meanwhile = mem_meanwhile,
                                   .close = mem_close_pipes,
                                   .sleep = SYS_futex};

    (void)state;
#ifdef TEST_IS_SANITIZED /* one thread is stopped with its locks, that the other needs */
    skip();
#endif
    drain_each_way(&way);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_that_was_emptied_is_drained),
        cmocka_unit_test(queue_that_was_emptied_is_drained),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
