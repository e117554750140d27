/* tcp_arrivals.c: a place for each connection, and an epoll set of the listener, a timer
 * and all of them. */
#include "channel/tcp_arrivals.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "channel/wait.h"
#include "sys/clock.h"
#include "sys/descriptor.h"
#include "sys/forked.h"

/* What an event is of: a place, or one of these. */
enum { OF_LISTENER = MUI_ARRIVALS_MAX, OF_TIMER };

struct arrival {
    int sock; /* -1: the place is free */
    int64_t since_ns;
    struct mui_proof *proof;
};

struct mui_arrivals {
    struct mui_arrivals_terms terms;
    uint32_t forked; /* whose descriptors these are: see sys/forked.h */
    int epoll_fd;    /* -1: not open yet */
    int timer_fd;
    unsigned n;
    struct arrival places[MUI_ARRIVALS_MAX];
};

/* -- the set -- */

static int control(struct mui_arrivals *a, int op, int fd, uint32_t events,
                   uint32_t of)
{
    struct epoll_event event = {.events = events, .data.u32 = of};

    return epoll_ctl(a->epoll_fd, op, fd, &event) < 0 ? -errno : 0;
}

/* When it has to leave. */
static int64_t leaves_at(const struct mui_arrivals *a,
                         const struct arrival *arrival)
{
    int64_t stay =
        a->n == MUI_ARRIVALS_MAX && a->terms.grace_ns < a->terms.proof_ns
            ? a->terms.grace_ns
            : a->terms.proof_ns;

    return mui_clock_add(arrival->since_ns, stay);
}

/* NULL: there is none. */
static struct arrival *find_first(struct mui_arrivals *a)
{
    struct arrival *first = NULL;

    for (int i = 0; i < MUI_ARRIVALS_MAX; i++)
        if (a->places[i].sock >= 0 &&
            (!first || a->places[i].since_ns < first->since_ns))
            first = &a->places[i];
    return first;
}

static void set_timer(struct mui_arrivals *a)
{
    const struct arrival *first = find_first(a);
    struct itimerspec when = {.it_value = {.tv_sec = 0}}; /* off */

    if (first) {
        int64_t at = leaves_at(a, first);

        when.it_value = (struct timespec){.tv_sec = at / 1000000000,
                                          .tv_nsec = at % 1000000000};
    }
    (void)timerfd_settime(a->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* The number of those let in has changed: no more than there are places for. */
static void count(struct mui_arrivals *a, int more)
{
    bool was_full = a->n == MUI_ARRIVALS_MAX;
    bool is_full;

    a->n = (unsigned)((int)a->n + more);
    is_full = a->n == MUI_ARRIVALS_MAX;
    if (is_full != was_full)
        (void)control(a, EPOLL_CTL_MOD, a->terms.listen_sock,
                      is_full ? 0 : EPOLLIN, OF_LISTENER);
    set_timer(a);
}

/* Free a place. Returns the socket, the caller's now. */
static int leave(struct mui_arrivals *a, struct arrival *arrival)
{
    int sock = arrival->sock;

    /* a child of fork() may hold a copy: closing ours would not end its events */
    (void)control(a, EPOLL_CTL_DEL, sock, 0, 0);
    mui_proof_free(arrival->proof);
    *arrival = (struct arrival){.sock = -1};
    count(a, -1);
    return sock;
}

void mui_arrivals_clear(struct mui_arrivals *a)
{
    if (!a)
        return;
    for (int i = 0; i < MUI_ARRIVALS_MAX; i++)
        if (a->places[i].sock >= 0) {
            (void)close(a->places[i].sock);
            mui_proof_free(a->places[i].proof);
            a->places[i] = (struct arrival){.sock = -1};
        }
    a->n = 0;
    if (a->epoll_fd >= 0)
        (void)close(a->epoll_fd);
    if (a->timer_fd >= 0)
        (void)close(a->timer_fd);
    a->epoll_fd = -1;
    a->timer_fd = -1;
}

/* Have a set of this process: with that of its parent it would see what comes to its
 * parent's connections. */
static int be_ready(struct mui_arrivals *a)
{
    int rc;

    if (a->forked != mui_forked())
        mui_arrivals_clear(a); /* our copies */
    a->forked = mui_forked();
    if (a->epoll_fd >= 0)
        return 0;
    a->epoll_fd = mui_descriptor_above_stdio(epoll_create1(EPOLL_CLOEXEC));
    a->timer_fd = mui_descriptor_above_stdio(
        timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    rc = a->epoll_fd < 0 ? a->epoll_fd : a->timer_fd < 0 ? a->timer_fd : 0;
    if (rc == 0)
        rc = control(a, EPOLL_CTL_ADD, a->timer_fd, EPOLLIN, OF_TIMER);
    if (rc == 0)
        rc = control(a, EPOLL_CTL_ADD, a->terms.listen_sock, EPOLLIN,
                     OF_LISTENER);
    if (rc != 0)
        mui_arrivals_clear(a);
    return rc;
}

int mui_arrivals_new(const struct mui_arrivals_terms *terms,
                     struct mui_arrivals **ret)
{
    struct mui_arrivals *a = malloc(sizeof *a);

    if (!a)
        return -ENOMEM;
    *a = (struct mui_arrivals){.terms = *terms,
                               .forked = mui_forked(),
                               .epoll_fd = -1,
                               .timer_fd = -1};
    for (int i = 0; i < MUI_ARRIVALS_MAX; i++)
        a->places[i].sock = -1;
    *ret = a;
    return 0;
}

void mui_arrivals_free(struct mui_arrivals *a)
{
    mui_arrivals_clear(a);
    free(a);
}

/* -- what happens -- */

static struct arrival *find_place(struct mui_arrivals *a)
{
    struct arrival *place = a->places;

    while (place->sock >= 0)
        place++;
    return place;
}

/* Somebody connected. 0, or as mui_arrivals_take(). */
static int let_in(struct mui_arrivals *a)
{
    struct mui_proof *proof;
    struct arrival *place;
    int sock;
    int rc = mui_accept(a->terms.listen_sock, MU_NOW, &sock);

    if (rc != 0)
        return rc == MU_TIMEOUT ? 0 : rc; /* it has gone again */
    rc = mui_proof_new(true, a->terms.secret, a->terms.secret_size, &proof);
    if (rc != 0)
        goto close_sock;
    place = find_place(a);
    /* edge-triggered: each step goes on until it would wait */
    rc = control(a, EPOLL_CTL_ADD, sock, EPOLLIN | EPOLLOUT | EPOLLET,
                 (uint32_t)(place - a->places));
    if (rc != 0)
        goto free_proof;
    *place =
        (struct arrival){.sock = sock, .since_ns = mu_now_ns(), .proof = proof};
    count(a, 1);
    return 0;
free_proof:
    mui_proof_free(proof);
close_sock:
    (void)close(sock);
    return rc;
}

/* One that came has said something. 0: it has proven it, and is given; MU_EMPTY: not
 * yet; -EACCES: it is gone. */
static int go_on(struct mui_arrivals *a, struct arrival *arrival, int *ret_sock,
                 struct mui_secret **ret_secret)
{
    int rc = mui_proof_step(arrival->proof, arrival->sock, ret_secret);

    if (rc == MU_EMPTY)
        return MU_EMPTY;
    if (rc != 0) {
        (void)close(leave(a, arrival));
        return -EACCES;
    }
    *ret_sock = leave(a, arrival);
    return 0;
}

/* Time is up for who came first. MU_EMPTY: not yet; -EACCES. */
static int end_first(struct mui_arrivals *a)
{
    struct arrival *first = find_first(a);
    uint64_t n;

    (void)!read(a->timer_fd, &n, sizeof n);
    if (!first || leaves_at(a, first) > mu_now_ns()) {
        set_timer(a);
        return MU_EMPTY;
    }
    (void)close(leave(a, first));
    return -EACCES;
}

int mui_arrivals_take(struct mui_arrivals *a, int64_t deadline, int *ret_sock,
                      struct mui_secret **ret_secret)
{
    int rc = be_ready(a);

    if (rc != 0)
        return rc;
    for (;;) {
        struct epoll_event event;
        int n;

        rc = mui_wait_fd(a->epoll_fd, POLLIN, deadline);
        if (rc != 0)
            return rc;
        /* one at a time: what is left keeps the set ready */
        n = epoll_wait(a->epoll_fd, &event, 1, 0);
        if (n <= 0)
            continue;
        rc = event.data.u32 == OF_LISTENER ? let_in(a)
             : event.data.u32 == OF_TIMER
                 ? end_first(a)
                 : go_on(a, &a->places[event.data.u32], ret_sock, ret_secret);
        if (event.data.u32 == OF_LISTENER ? rc != 0 : rc != MU_EMPTY)
            return rc;
    }
}

int mui_arrivals_fd(struct mui_arrivals *a)
{
    int rc = be_ready(a);

    return rc != 0 ? rc : a->epoll_fd;
}
