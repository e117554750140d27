// test_cxx_exceptions.cpp: what leaves a task by unwinding ends the task, and touches nothing
// of the function that called mu_init(), whose frames a worker has a copy of.
#include <csignal>
#include <pthread.h>
#include <stdexcept>
#include <sys/mman.h>
#include <unistd.h>

#include "muster/muster.h"

#include "check.hpp"

namespace
{
// In memory that the workers share; set by whoever cleans up for main() or catches there.
volatile int *touched;

struct cleaner {
    ~cleaner()
    {
        *touched = 1;
    }
};

int throw_out(struct mu_task *)
{
    throw std::runtime_error("out of a task");
}

int exit_thread(struct mu_task *)
{
    pthread_exit(nullptr);
}

struct mu_outcome *run(struct mu_pool *pool, mu_task_fn fn)
{
    struct mu_outcome *o = nullptr;

    check(mu_pool_submit(pool, fn, nullptr, 0, nullptr, nullptr) == 0,
          "submit");
    check(mu_pool_next(pool, MU_NEVER, &o) == 0, "next");
    return o;
}

void unwind_in(const char *model)
{
    struct mu_pool *pool;
    struct mu_outcome *o;

    if (mu_pool_open(model, nullptr, &pool, nullptr) < 0) {
        check(false, model);
        return;
    }
    o = run(pool, throw_out);
    check(o->status == MU_CRASHED && o->signal == SIGABRT, "an exception");
    mu_outcome_free(o);
    o = run(pool, exit_thread);
    check(o->status == MU_EXITED, "pthread_exit()");
    mu_outcome_free(o);
    mu_pool_close(pool);
}
} // namespace

int main()
{
    touched = static_cast<int *>(mmap(nullptr, sizeof *touched,
                                      PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    try {
        cleaner of_main;

        check(mu_init(nullptr) == 0, "mu_init()");
        unwind_in("processes:1");
        unwind_in("processes:1/threads:2");
        check(*touched == 0, "main() is left alone");
    } catch (...) {
        *touched = 1;
        _exit(1);
    }
    return n_failed;
}
