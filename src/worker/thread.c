/* thread.c: a worker on a thread of this process. */
#include "sys/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "sys/descriptor.h"
#include "worker/worker.h"

static void say_over(void *arg)
{
    struct mu_worker *w = arg;
    uint64_t one = 1;

    (void)!write(w->fd, &one, sizeof one);
}

static void *thread_body(void *arg)
{
    struct mu_worker *w = arg;

    pthread_cleanup_push(say_over, w); /* also when fn calls pthread_exit() */
    (void)mui_worker_body(w->fn, w->page);
    pthread_cleanup_pop(1);
    return NULL;
}

static int thread_start(struct mu_worker *w, struct mu_error *err)
{
    pthread_t thread;
    int rc;

    w->fd = mui_descriptor_above_stdio(eventfd(0, EFD_CLOEXEC));
    if (w->fd < 0)
        return mui_fail(err, w->fd, "worker: eventfd");
    rc = mui_thread_start(&thread, w->name, thread_body, w);
    if (rc != 0) {
        (void)close(w->fd);
        return mui_fail(err, rc, "worker: start a thread");
    }
    w->thread = (uint64_t)thread;
    return 0;
}

static int thread_collect(struct mu_worker *w, struct mu_worker_exit *ret_exit)
{
    (void)pthread_join((pthread_t)w->thread, NULL);
    *ret_exit = (struct mu_worker_exit){
        .end = atomic_load_explicit(&w->page->has_returned,
                                    memory_order_relaxed) == 1
                   ? MU_WORKER_RETURNED
                   : MU_WORKER_EXITED,
        .code = atomic_load_explicit(&w->page->code, memory_order_relaxed)};
    return 0;
}

static void thread_fini(struct mu_worker *w)
{
    (void)close(w->fd);
}

const struct mui_worker_kind mui_worker_thread = {
    .start = thread_start,
    .collect = thread_collect,
    .fini = thread_fini,
};
