/* threads.c: each worker is a thread, which serves its share of the lanes with the
 * layer below. */
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "muster/base.h"

#include "base/error.h"
#include "layer/layer.h"
#include "sys/flow.h"
#include "sys/futex.h"
#include "sys/latch.h"
#include "sys/thread.h"

struct threads_worker {
    struct threads_layer *layer;
    struct mui_layer_config config; /* of the layer below */
    pthread_t thread;
    locale_t locale; /* of the thread that starts it */
    /* in a worker: 0 when it has ended; NULL: not known. Written before `up` is down */
    const _Atomic uint32_t *end_word;
    _Atomic bool ended; /* in our own way */
    bool joined;
    struct mu_error err; /* valid once `up` is down, when rc < 0 */
    int rc;
};

struct threads_layer {
    struct mui_layer base;
    struct threads_worker *workers;
    unsigned n_started;
    struct mui_latch up; /* workers that have not opened their layer yet */
    struct mui_latch go; /* 1 until all are to begin, or to end */
    bool failed;         /* written before `go` */
};

static unsigned threads_n_lanes(unsigned width, unsigned below)
{
    return width * below;
}

/* A task has the mask that it has alone in its process, and so have the programs that
 * it starts: with SIGCHLD blocked a shell waits for ever. */
static void unblock_signals(void)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static void *threads_main(void *arg)
{
    struct threads_worker *w = arg;
    struct threads_layer *t = w->layer;
    struct mui_layer *below = NULL;

    if (w->config.terms->is_worker) {
        unblock_signals();
        /* the program's, which a thread does not begin with; a copy here */
        (void)uselocale(w->locale);
        w->end_word = mui_thread_end_word();
    }
    w->rc = mui_layer_open(&w->config, &below, &w->err);
    mui_latch_down(&t->up);
    mui_latch_wait(&t->go);
    if (below && !t->failed)
        mui_layer_run(below);
    mui_layer_close(below);
    /* release, pairs with threads_join() */
    atomic_store_explicit(&w->ended, true, memory_order_release);
    return NULL;
}

static int threads_start(struct threads_layer *t, struct threads_worker *w,
                         struct mu_error *err)
{
    char name[16];
    int rc;

    (void)snprintf(name, sizeof name, "muster-%u", w->config.port.i_first);
    w->locale = uselocale((locale_t)0);
    rc = mui_thread_start(&w->thread, name, threads_main, w);
    if (rc < 0)
        return mui_fail(err, rc, "threads: start thread %u of %u",
                        t->n_started + 1, t->base.spec->width);
    t->n_started++;
    return 0;
}

/* The next to be joined: one that has ended, as far as that can be told; NULL: none is
 * left. */
static struct threads_worker *await_end(struct threads_layer *t)
{
    for (;;) {
        struct mui_futex_pair alive[MUI_FUTEX_PAIRS_MAX];
        unsigned n = 0;

        for (unsigned i = 0; i < t->n_started && n < MUI_FUTEX_PAIRS_MAX; i++) {
            struct threads_worker *w = &t->workers[i];
            uint32_t word;

            if (w->joined)
                continue;
            /* acquire: what the thread wrote is there, `ended` among it */
            word = w->end_word
                       ? atomic_load_explicit(w->end_word, memory_order_acquire)
                       : 0;
            if (word == 0)
                return w;
            alive[n++] = (struct mui_futex_pair){w->end_word, word};
        }
        if (n == 0)
            return NULL;
        mui_futex_wait_any(alive, n);
    }
}

/* The lane whose task a thread ran when it ended; NULL: it ran none. */
static const struct mui_lane_worker *lane_left(const struct threads_worker *w)
{
    const struct mui_port *port = &w->config.port;

    for (unsigned i = 0; i < port->n_lanes; i++)
        if (mui_lane_running_since(&port->lanes[i]) != MU_NEVER)
            return &port->lanes[i];
    return NULL;
}

/* Join the threads; their lanes are closed, or their layer never opened; or, in a
 * worker process, will be. There a task can have ended its thread past the C library, or
 * had the kernel end it: then the process ends, as by pthread_exit(). */
static void threads_join(struct threads_layer *t)
{
    struct threads_worker *w;

    while ((w = await_end(t))) {
        /* acquire, pairs with threads_main() */
        if (w->end_word &&
            !atomic_load_explicit(&w->ended, memory_order_acquire))
            mui_flow_lost(lane_left(w));
        (void)pthread_join(w->thread, NULL);
        w->joined = true;
    }
    t->n_started = 0;
}

static int threads_open(struct mui_layer *l,
                        const struct mui_layer_config *config,
                        struct mu_error *err)
{
    struct threads_layer *t = (struct threads_layer *)l;
    unsigned width = config->spec->width;
    unsigned share = config->port.n_lanes / width;
    int rc = 0;

    t->workers = calloc(width, sizeof *t->workers);
    if (!t->workers)
        return mui_fail(err, -ENOMEM, "threads: no memory");
    mui_latch_init(&t->up, width);
    mui_latch_init(&t->go, 1);
    for (unsigned i = 0; i < width; i++) {
        struct threads_worker *w = &t->workers[i];

        w->layer = t;
        w->config = (struct mui_layer_config){
            .spec = config->spec + 1,
            .terms = config->terms,
            .port = {.lanes = config->port.lanes + (size_t)i * share,
                     .n_lanes = share,
                     .i_first = config->port.i_first + i * share}};
        if (rc == 0)
            rc = threads_start(t, w, err);
        if (rc < 0)
            mui_latch_down(&t->up);
    }
    mui_latch_wait(&t->up);
    for (unsigned i = 0; i < t->n_started && rc == 0; i++) {
        rc = t->workers[i].rc;
        if (rc < 0 && err)
            *err = t->workers[i].err;
    }
    t->failed = rc < 0;
    mui_latch_down(&t->go);
    return rc;
}

static void threads_stop(struct mui_layer *l)
{
    threads_join((struct threads_layer *)l);
}

static void threads_fini(struct mui_layer *l)
{
    struct threads_layer *t = (struct threads_layer *)l;

    threads_join(t);
    free(t->workers);
}

const struct mui_layer_ops mui_layer_threads = {
    .name = "threads",
    .size = sizeof(struct threads_layer),
    .rank = 3,
    .n_lanes = threads_n_lanes,
    .open = threads_open,
    .stop = threads_stop,
    .fini = threads_fini,
};
