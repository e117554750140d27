/* worker.h: what a kind of worker is: one const table. */
#ifndef MUI_WORKER_WORKER_H
#define MUI_WORKER_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "muster/worker.h"

enum { MUI_WORKER_NAME = 16 };

/* Lies in memory that the worker and its starter share. */
struct mui_worker_page {
    _Atomic uint32_t is_asked;     /* starter */
    _Atomic uint32_t has_returned; /* worker, after code */
    _Atomic int32_t code;
    uint32_t unused;
    uint64_t fn_code; /* sys/module.h; for a process of the nursery */
    uint64_t arg_size;
    char name[MUI_WORKER_NAME];
    int32_t cpu;
    _Atomic uint32_t
        gate; /* enum mui_worker_gate; starter, when cpu is above 0 */
    _Alignas(16) char arg[];
};

/* A worker that is to be bound to a CPU waits until its starter has done so. */
enum mui_worker_gate { MUI_GATE_SHUT = 0, MUI_GATE_OPEN, MUI_GATE_TURN_BACK };

struct mui_worker_kind;

struct mu_worker {
    const struct mui_worker_kind *kind;
    mu_worker_fn fn;
    struct mui_worker_page *page;
    size_t page_bytes;
    int page_fd; /* -1: the page is not in a descriptor */
    /* not that of the page, over which a process can write */
    char name[MUI_WORKER_NAME];
    bool is_over;
    struct mu_worker_exit how;
    int fd; /* readable when it has ended */
    int pid;
    int pidfd;       /* -1: none */
    uint64_t thread; /* a pthread_t */
    bool is_of_nursery;
    bool inherits; /* as the option says */
};

/* Called by worker.c only. */
struct mui_worker_kind {
    /* Run w->fn; fill fd, pid, pidfd, thread. */
    int (*start)(struct mu_worker *w, struct mu_error *err);
    /* fd is readable: 0 and *ret_exit when it has ended, MU_EMPTY when not. */
    int (*collect)(struct mu_worker *w, struct mu_worker_exit *ret_exit);
    /* Optional. */
    int (*kill)(struct mu_worker *w);
    /* It has ended; give back what start took. */
    void (*fini)(struct mu_worker *w);
};

extern const struct mui_worker_kind mui_worker_thread;
extern const struct mui_worker_kind mui_worker_process;

/* Wait until `fd` is readable. Who waits for workers of the nursery rouses that now and
 * then: it tells of nobody's end while it is stopped. 0; MU_TIMEOUT; -errno. */
int mui_worker_wait(int fd, bool is_of_nursery, int64_t deadline);

/* In the worker: run fn and write down what it returned. */
int mui_worker_body(mu_worker_fn fn, struct mui_worker_page *page);

#endif
