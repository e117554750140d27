/* test_cxx_workers.cpp: channels, shared memory, locks, workers and supervisors from
 * C++. */
#include <cstring>

#include "muster/muster.h"

#include "check.hpp"

namespace
{
struct table {
    mu_mutex lock;
    mu_rwlock readers;
    mu_semaphore room;
    mu_condition change;
    mu_barrier all;
    mu_once once;
    mu_latch latch;
    mu_counter counter;
    long sum;
};

struct part {
    table *shared;
    mu_chan *ends[2];
};

int set_up(void *arg)
{
    static_cast<table *>(arg)->sum = 1000;
    return 0;
}

/* Takes numbers from its channel until that is closed, and adds them up. */
int add_up(void *arg, std::size_t size)
{
    part *p = static_cast<part *>(arg);
    table *t = p->shared;
    int number;
    int rc;

    if (size != sizeof *p || mu_once_run(&t->once, set_up, t, MU_NEVER) != 0)
        return 1;
    while ((rc = mu_chan_recv(p->ends[1], &number, sizeof number, MU_NEVER,
                              &size)) == MU_OK) {
        if (mu_mutex_lock(&t->lock, MU_NEVER) != MU_OK)
            return 2;
        t->sum += number;
        mu_condition_signal(&t->change);
        mu_mutex_unlock(&t->lock);
        mu_counter_add(&t->counter, 1);
    }
    return rc == MU_CLOSED && mu_latch_count_down(&t->latch, 1) == 0 ? 0 : 3;
}

void run(mu_worker_kind kind, const char *address)
{
    mu_chan_options options = mu_chan_options();
    mu_worker_options how = mu_worker_options();
    mu_worker_exit exit = mu_worker_exit();
    mu_shared *arena;
    mu_worker *worker;
    mu_error err;
    part p;

    options.queue_messages = 4;
    check(mu_shared_new(1 << 20, nullptr, &arena, &err) == 0, "mu_shared_new");
    p.shared = static_cast<table *>(mu_shared_alloc(arena, sizeof *p.shared));
    std::memset(static_cast<void *>(p.shared), 0, sizeof *p.shared);
    mu_latch_init(&p.shared->latch, 1);
    mu_semaphore_init(&p.shared->room, 1);
    check(mu_barrier_init(&p.shared->all, 1) == 0, "mu_barrier_init");
    check(mu_chan_pair(address, &options, p.ends, &err) == 0, "mu_chan_pair");
    how.kind = kind;
    how.name = "adds";
    how.inherits = 1;
    check(mu_worker_start(&how, add_up, &p, sizeof p, &worker, &err) == 0,
          "mu_worker_start");
    for (int i = 1; i <= 100; i++)
        check(mu_chan_send(p.ends[0], &i, sizeof i, MU_NEVER) == 0, "send");
    check(mu_chan_drain(p.ends[0], MU_NEVER) == 0, "drain");
    check(mu_chan_close(p.ends[0]) == 0, "close");
    check(mu_counter_wait(&p.shared->counter, 100, MU_NEVER) == 0, "counter");
    check(mu_latch_wait(&p.shared->latch, MU_NEVER) == 0, "latch");
    check(mu_worker_join(worker, MU_NEVER, &exit) == 0 &&
              exit.end == MU_WORKER_RETURNED && exit.code == 0,
          "join");
    check(mu_rwlock_read(&p.shared->readers, MU_NEVER) == 0 &&
              mu_rwlock_read_unlock(&p.shared->readers) == 0,
          "rwlock");
    check(mu_semaphore_take(&p.shared->room, MU_NOW) == 0, "semaphore");
    check(mu_barrier_wait(&p.shared->all, MU_NOW, nullptr) == 0, "barrier");
    check(p.shared->sum == 1000 + 5050, "the sum");
    mu_worker_free(worker);
    mu_chan_free(p.ends[0]);
    mu_chan_free(p.ends[1]);
    mu_shared_close(arena);
}

int fail_once(void *arg, std::size_t)
{
    table *t = *static_cast<table **>(arg);

    return mu_counter_add(&t->counter, 1) == 0 ? 1 : 0;
}

void supervise()
{
    mu_supervisor_options how = mu_supervisor_options();
    mu_child child = mu_child();
    mu_supervisor *s;
    mu_shared *arena;
    table *t;

    check(mu_shared_new(1 << 16, nullptr, &arena, nullptr) == 0, "arena");
    t = static_cast<table *>(mu_shared_alloc(arena, sizeof *t));
    std::memset(static_cast<void *>(t), 0, sizeof *t);
    how.strategy = MU_ONE_FOR_ONE;
    child.fn = fail_once;
    child.arg = &t;
    child.arg_size = sizeof t;
    child.restart = MU_RESTART_FAILED;
    child.options.kind = MU_WORKER_PROCESS;
    check(mu_supervisor_start(&how, &child, 1, &s, nullptr) == 0, "supervise");
    check(mu_supervisor_run(s, MU_NEVER) == MU_CLOSED, "run");
    check(mu_counter_value(&t->counter) == 2, "one restart");
    mu_supervisor_free(s);
    mu_shared_close(arena);
}
} // namespace

int main()
{
    static const char *const addresses[] = {
        "shm:", "pipe:", "unix:", "tcp:", "mq:"};

    for (std::size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
        run(MU_WORKER_PROCESS, addresses[i]);
    supervise();
    run(MU_WORKER_THREAD, "mem:");
    return n_failed ? 1 : 0;
}
