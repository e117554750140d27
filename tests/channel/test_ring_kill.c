/* test_ring_kill.c: peers of a shared-memory channel killed at each instruction. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "channel/channel.h"
#include "channel/kill.h"
#include "channel/shm_end.h"

/* A receiver asleep while its sender is killed on its way through a send. */
static void *sleeping_receiver(void *arg)
{
    int rc = message_recv(ends[0], N_BEFORE);

    (void)arg;
    if (rc == 0)
        rc = message_recv(ends[0], 0);
    CHECK_CHILD(rc == MU_ECRASHED || rc == MU_CLOSED);
    return NULL;
}

static void sender_killed_wakes_a_sleeping_receiver(void **state)
{
    struct step_trace t = {.n = 1}; /* until it is known */

    (void)state;
    for (long i = 0; i < t.n; i += step_stride(&t)) {
        pid_t pid = start("shm:", keep_one_end, send_one);
        struct mui_shm_end *e = (struct mui_shm_end *)(void *)ends[0]->state;
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, sleeping_receiver, NULL),
                         0);
        while (atomic_load(&e->in.words->consumer_asleep) == 0)
            (void)sched_yield();
        if (!t.pc) {
            t = step_record(pid);
            i = -step_stride(&t);
        } else {
            step_finish(pid, &t, i);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        mu_chan_free(ends[0]);
    }
    free(t.pc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KILLED("shm:"),
        KILLED("shm:muster-kill-%d"),
        cmocka_unit_test(sender_killed_wakes_a_sleeping_receiver),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
