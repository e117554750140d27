/* worker.c: one worker of any kind. */
#include "worker/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/signal.h"
#include "channel/wait.h"
#include "process/nursery.h"
#include "sys/futex.h"
#include "sys/memfd.h"
#include "sys/thread.h"

static const struct mui_worker_kind *const kinds[] = {
    [MU_WORKER_THREAD] = &mui_worker_thread,
    [MU_WORKER_PROCESS] = &mui_worker_process,
};

/* The page of the worker that this thread is; NULL: it is none. */
static _Thread_local struct mui_worker_page *own_page;

int mui_worker_body(mu_worker_fn fn, struct mui_worker_page *page)
{
    uint32_t gate;
    int code;

    /* a starter that dies takes a process with it: no end to the wait is needed */
    while (page->cpu > 0 &&
           (gate = atomic_load_explicit(&page->gate, memory_order_acquire)) !=
               MUI_GATE_OPEN) {
        if (gate == MUI_GATE_TURN_BACK)
            return 0;
        (void)mui_futex_wait(&page->gate, MUI_GATE_SHUT, 1, MU_NEVER);
    }
    own_page = page;
    code = fn(page->arg, (size_t)page->arg_size);
    own_page = NULL;
    /* relaxed: has_returned publishes it */
    atomic_store_explicit(&page->code, code, memory_order_relaxed);
    /* pairs with the collect slots */
    atomic_store_explicit(&page->has_returned, 1, memory_order_release);
    return code;
}

int mu_worker_is_asked(void)
{
    /* relaxed: nothing is read behind it */
    return own_page &&
           atomic_load_explicit(&own_page->is_asked, memory_order_relaxed) != 0;
}

/* Make the page that worker and starter share. */
static int page_make(struct mu_worker *w, const struct mu_worker_options *o,
                     const void *arg, size_t size)
{
    void *base;
    int rc;

    if (size > SIZE_MAX / 2)
        return -ENOMEM;
    w->page_bytes = sizeof *w->page + size;
    w->page_fd = mui_memfd_open("muster-worker", w->page_bytes);
    if (w->page_fd < 0)
        return w->page_fd;
    rc = mui_memfd_map(w->page_fd, w->page_bytes, PROT_READ | PROT_WRITE, 0,
                       &base);
    if (rc != 0) {
        (void)close(w->page_fd);
        return rc;
    }
    w->page = base;
    w->page->arg_size = size;
    w->page->cpu = o->cpu;
    memcpy(w->page->name, w->name, sizeof w->page->name);
    if (size > 0)
        memcpy(w->page->arg, arg, size);
    return 0;
}

/* Bind the worker to its CPU, and let it run, or not. */
static int worker_pin(struct mu_worker *w)
{
    unsigned i_cpu = (unsigned)w->page->cpu - 1;
    int rc = w->pid > 0 ? mui_thread_pin_process(w->pid, i_cpu)
                        : mui_thread_pin_thread((pthread_t)w->thread, i_cpu);

    atomic_store_explicit(&w->page->gate,
                          rc == 0 ? MUI_GATE_OPEN : MUI_GATE_TURN_BACK,
                          memory_order_release);
    (void)mui_futex_wake(&w->page->gate, 1, 1);
    return rc;
}

static void page_free(struct mu_worker *w)
{
    (void)munmap(w->page, w->page_bytes);
    (void)close(w->page_fd);
}

int mu_worker_start(const struct mu_worker_options *options, mu_worker_fn fn,
                    const void *arg, size_t size, struct mu_worker **ret_worker,
                    struct mu_error *err)
{
    static const struct mu_worker_options defaults;
    const struct mu_worker_options *o = options ? options : &defaults;
    struct mu_worker *w;
    int rc;

    if (o->kind == MU_WORKER_FIBER)
        return mui_fail(err, MU_EMODEL,
                        "worker: this build has no fibers: take a "
                        "thread or a process");
    if ((unsigned)o->kind > MU_WORKER_FIBER)
        return mui_fail(err, -EINVAL, "worker: there is no kind %d",
                        (int)o->kind);
    if (!fn)
        return mui_fail(err, -EINVAL, "worker: it has no function");
    if (o->cpu > 0) {
        rc = mui_thread_cpus();
        if (rc < 0 || o->cpu > rc)
            return mui_fail(err, rc < 0 ? rc : -EINVAL,
                            "worker: CPU %d of %d that are usable", o->cpu, rc);
    }
    w = calloc(1, sizeof *w);
    if (!w)
        return mui_fail(err, -ENOMEM, "worker: start");
    w->kind = kinds[o->kind];
    w->fn = fn;
    w->inherits = o->inherits != 0;
    w->fd = w->pidfd = -1;
    (void)snprintf(w->name, sizeof w->name, "%s",
                   o->name ? o->name : "muster-worker");
    rc = page_make(w, o, arg, size);
    if (rc != 0) {
        (void)mui_fail(err, rc, "worker: its page");
        goto free_handle;
    }
    rc = w->kind->start(w, err);
    if (rc != 0)
        goto free_page;
    if (o->cpu > 0 && (rc = worker_pin(w)) != 0) {
        (void)mui_fail(err, rc, "worker: bind it to CPU %d", o->cpu);
        mu_worker_free(w);
        return rc;
    }
    *ret_worker = w;
    return 0;

free_page:
    page_free(w);
free_handle:
    free(w);
    return rc;
}

int mui_worker_wait(int fd, bool is_of_nursery, int64_t deadline)
{
    while (is_of_nursery) {
        int64_t rouse_ns = mu_after_ns(MUI_ROUSE_NS);
        int rc;

        if (rouse_ns >= deadline)
            break;
        rc = mui_wait_fd(fd, POLLIN, rouse_ns);
        if (rc != MU_TIMEOUT)
            return rc;
        mui_nursery_rouse();
    }
    return mui_wait_fd(fd, POLLIN, deadline);
}

int mu_worker_join(struct mu_worker *worker, int64_t deadline,
                   struct mu_worker_exit *ret_exit)
{
    while (!worker->is_over) {
        int rc = mui_worker_wait(worker->fd, worker->is_of_nursery, deadline);

        if (rc != 0)
            return rc;
        worker->is_over = worker->kind->collect(worker, &worker->how) == 0;
    }
    if (ret_exit)
        *ret_exit = worker->how;
    return 0;
}

/* Somebody else may be in mu_worker_join() meanwhile, so what that keeps is not looked
 * at. A process that has been waited for is told by its pidfd. */
int mu_worker_kill(struct mu_worker *worker, struct mu_error *err)
{
    if (worker->kind->kill)
        return worker->kind->kill(worker);
    if (mui_wait_fd(worker->fd, POLLIN, MU_NOW) == 0)
        return 0;
    return mui_fail(err, MU_EMODEL,
                    "worker: a thread cannot be killed: ask it to end, or "
                    "start it as a process");
}

void mu_worker_ask(struct mu_worker *worker)
{
    atomic_store_explicit(&worker->page->is_asked, 1, memory_order_release);
}

int mu_worker_fd(const struct mu_worker *worker)
{
    return worker->fd;
}

int mu_worker_pid(const struct mu_worker *worker)
{
    return worker->pid;
}

const char *mu_worker_name(const struct mu_worker *worker)
{
    return worker->name;
}

void mu_worker_free(struct mu_worker *worker)
{
    if (!worker)
        return;
    if (worker->kind->kill)
        (void)mu_worker_kill(worker, NULL);
    else
        mu_worker_ask(worker);
    (void)!mu_worker_join(worker, MU_NEVER, NULL);
    worker->kind->fini(worker);
    page_free(worker);
    free(worker);
}

int mu_worker_describe(const struct mu_worker_exit *how, char *text,
                       size_t text_size)
{
    char signal[MUI_SIGNAL_NAME];

    switch (how->end) {
    case MU_WORKER_RETURNED:
        return snprintf(text, text_size, "returned %d", how->code);
    case MU_WORKER_EXITED:
        return snprintf(text, text_size, "exited with status %d", how->code);
    case MU_WORKER_CRASHED:
        return snprintf(text, text_size, "crashed: %s",
                        mui_signal_name(how->signal, signal));
    case MU_WORKER_LOST:
        return snprintf(text, text_size, "ended, nobody knows how");
    default:
        return snprintf(text, text_size, "killed");
    }
}
