/* test_in_task.c: a channel that was made before mu_init() is in a worker's memory, but the
 * worker has none of its descriptors: it is refused, and the program's goes on. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "support/pool.h"

static const char *const addresses[] = {
    "mem:", "shm:", "pipe:", "unix:", "tcp:", "mq:"};

enum { N_PAIRS = sizeof addresses / sizeof addresses[0], N_NUMBERS = 100 };

static struct mu_chan *pairs[N_PAIRS][2];
static struct mu_chan *listener;

/* The first call that was not refused. */
static const char *call_all(struct mu_chan *c)
{
    struct mu_chan_bytes one = {.data = "x", .size = 1};
    struct mu_chan_message m;
    char bytes[8];
    size_t size;
    size_t n;
    void *room;

    if (mu_chan_send(c, "x", 1, MU_NOW) != -EINVAL)
        return "send";
    if (mu_chan_send_batch(c, &one, 1, MU_NOW, &n) != -EINVAL)
        return "send_batch";
    if (mu_chan_reserve(c, 1, MU_NOW, &room) != -EINVAL)
        return "reserve";
    if (mu_chan_commit(c, 0) != -EINVAL)
        return "commit";
    if (mu_chan_recv(c, bytes, sizeof bytes, MU_NOW, &size) != -EINVAL)
        return "recv";
    if (mu_chan_recv_batch(c, bytes, sizeof bytes, 1, MU_NOW, &size, &n) !=
        -EINVAL)
        return "recv_batch";
    if (mu_chan_borrow(c, MU_NOW, &m) != -EINVAL)
        return "borrow";
    if (mu_chan_fd(c) != -EINVAL)
        return "fd";
    if (mu_chan_drain(c, MU_NOW) != -EINVAL)
        return "drain";
    if (mu_chan_close(c) != -EINVAL)
        return "close";
    return NULL;
}

static int refuse_all(struct mu_task *task)
{
    struct mu_error err = {.text = ""};
    struct mu_chan *c;
    const char *what;

    for (int i = 0; i < N_PAIRS; i++) {
        what = call_all(pairs[i][1]);
        if (what)
            return mu_task_printf(task, "%s %s", addresses[i], what);
    }
    if (mu_chan_accept(listener, MU_NOW, &c, &err) != -EINVAL ||
        !strstr(err.text, "another process"))
        return mu_task_printf(task, "accept: %s", err.text);
    return mu_task_printf(task, "all");
}

/* The numbers that a pair's descriptors have may name the worker's own. */
static int free_all(struct mu_task *task)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int n_lost = 0;

    for (int fd = 3; fd < N_NUMBERS; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            (void)dup2(null, fd);
    }
    for (int i = 0; i < N_PAIRS; i++)
        mu_chan_free(pairs[i][1]);
    mu_chan_free(listener);
    for (int fd = 3; fd < N_NUMBERS; fd++)
        n_lost += fcntl(fd, F_GETFD) < 0;
    return mu_task_printf(task, "%d", n_lost);
}

static void run_and_say(struct mu_pool *pool, mu_task_fn fn, const char *said)
{
    struct mu_outcome *o = test_run(pool, fn);

    assert_int_equal(o->status, MU_DONE);
    assert_string_equal((const char *)o->output, said);
    mu_outcome_free(o);
}

static void worker_is_refused(void **state)
{
    struct mu_pool *pool = test_pool("processes:1", NULL);
    char byte;
    size_t size;

    (void)state;
    run_and_say(pool, refuse_all, "all");
    run_and_say(pool, free_all, "0");
    mu_pool_close(pool);
    for (int i = 0; i < N_PAIRS; i++) { /* nobody was told an end */
        assert_int_equal(mu_chan_send(pairs[i][1], "y", 1, MU_NOW), 0);
        assert_int_equal(
            mu_chan_recv(pairs[i][0], &byte, 1, test_deadline(), &size), 0);
        for (int k = 0; k < 2; k++)
            mu_chan_free(pairs[i][k]);
    }
    mu_chan_free(listener);
}

int main(void)
{
    const struct mu_chan_options options = {.queue_messages = 2};
    const struct CMUnitTest tests[] = {cmocka_unit_test(worker_is_refused)};

    for (int i = 0; i < N_PAIRS; i++) {
        if (mu_chan_pair(addresses[i], &options, pairs[i], NULL) != 0)
            return 1;
    }
    if (mu_chan_open("tcp:127.0.0.1:0", NULL, &listener, NULL) != 0 ||
        mu_init(NULL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
