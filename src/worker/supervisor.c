/* supervisor.c: carries out what policy.c decides. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "muster/worker.h"

#include "base/error.h"
#include "sys/descriptor.h"
#include "worker/policy.h"
#include "worker/worker.h"

#define STOP_NS_DEFAULT   INT64_C(5000000000)
#define RESTARTS_DEFAULT  1
#define PERIOD_NS_DEFAULT INT64_C(5000000000)
#define RETRY_NS          10000000
#define EVENTS_A_LOOK     16

struct child {
    struct mu_child spec;     /* arg and name are our copies */
    struct mu_worker *worker; /* NULL: does not run */
    bool is_to_start;         /* with another that ended */
    bool is_due;              /* could not be started again: the timer is set */
    int64_t end_by; /* when its time to end is over; 0: not asked to */
};

struct mu_supervisor {
    struct mui_policy policy;
    mu_event_fn event;
    void *event_ctx;
    int epoll_fd;
    int timer_fd; /* in epoll_fd as number n; made early, for want of descriptors */
    bool has_given_up;
    bool is_stopped; /* nothing is started any more */
    size_t n;
    struct child children[];
};

static void tell(struct mu_supervisor *s, enum mu_event event, size_t i,
                 struct mu_worker *worker, const struct mu_worker_exit *how)
{
    if (s->event)
        s->event(s->event_ctx, event, i, worker, how);
}

static int child_start(struct mu_supervisor *s, size_t i, struct mu_error *err)
{
    struct child *c = &s->children[i];
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = i};
    int rc = mu_worker_start(&c->spec.options, c->spec.fn, c->spec.arg,
                             c->spec.arg_size, &c->worker, err);

    if (rc != 0) {
        c->worker = NULL;
        return rc;
    }
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, mu_worker_fd(c->worker), &ev) <
        0) {
        rc = mui_fail(err, -errno, "supervisor: watch a child");
        mu_worker_free(c->worker);
        c->worker = NULL;
        return rc;
    }
    c->is_to_start = false;
    c->is_due = false;
    c->end_by = 0;
    tell(s, MU_CHILD_STARTED, i, c->worker, NULL);
    return 0;
}

/* It has ended: forget its worker. Before it is told, for who hears it may stop all. */
static void child_forget(struct mu_supervisor *s, size_t i,
                         const struct mu_worker_exit *how)
{
    struct mu_worker *worker = s->children[i].worker;

    (void)epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, mu_worker_fd(worker), NULL);
    s->children[i].worker = NULL;
    tell(s, MU_CHILD_ENDED, i, worker, how);
    mu_worker_free(worker);
}

/* Ask, wait, kill. 0; MU_TIMEOUT: a thread that still runs. One that was late is left
 * behind: it is not asked again, nor waited for. */
static int child_stop(struct mu_supervisor *s, size_t i)
{
    struct child *c = &s->children[i];
    int64_t stop_ns = c->spec.stop_ns ? c->spec.stop_ns : STOP_NS_DEFAULT;
    struct mu_worker_exit how;
    int rc;

    if (!c->worker)
        return 0;
    if (c->end_by == 0) {
        mu_worker_ask(c->worker);
        if (c->spec.stop)
            c->spec.stop(c->spec.stop_ctx, c->worker);
        c->end_by = mu_after_ns(stop_ns);
    }
    rc = mu_worker_join(c->worker, c->end_by, &how);
    if (rc == MU_TIMEOUT && mu_worker_kill(c->worker, NULL) == 0)
        rc = mu_worker_join(c->worker, MU_NEVER, &how);
    if (rc != 0)
        return rc;
    child_forget(s, i, &how);
    return 0;
}

int mu_supervisor_stop(struct mu_supervisor *supervisor)
{
    int answer = 0;

    supervisor->is_stopped = true;
    for (size_t i = supervisor->n; i-- > 0;) {
        supervisor->children[i].is_due = false;
        if (child_stop(supervisor, i) != 0)
            answer = MU_TIMEOUT;
    }
    return answer;
}

/* Copy what a child's specification points to. */
static int spec_copy(struct child *c, const struct mu_child *spec)
{
    void *arg = spec->arg_size ? malloc(spec->arg_size) : NULL;
    char *name = spec->options.name ? strdup(spec->options.name) : NULL;

    c->spec = *spec;
    c->spec.arg = arg;
    c->spec.options.name = name;
    if ((spec->arg_size && !arg) || (spec->options.name && !name))
        return -ENOMEM;
    if (arg)
        memcpy(arg, spec->arg, spec->arg_size);
    return 0;
}

static void policy_init(struct mui_policy *p,
                        const struct mu_supervisor_options *o)
{
    p->strategy = o->strategy;
    p->restarts_max = o->restarts_max;
    p->period_ns = o->period_ns;
    if (p->restarts_max == 0 && p->period_ns == 0)
        p->restarts_max = RESTARTS_DEFAULT;
    if (p->period_ns == 0)
        p->period_ns = PERIOD_NS_DEFAULT;
}

static int watch_init(struct mu_supervisor *s, struct mu_error *err)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = s->n};

    s->epoll_fd = mui_descriptor_above_stdio(epoll_create1(EPOLL_CLOEXEC));
    if (s->epoll_fd < 0)
        return mui_fail(err, s->epoll_fd, "supervisor: epoll");
    s->timer_fd = mui_descriptor_above_stdio(
        timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (s->timer_fd < 0)
        return mui_fail(err, s->timer_fd, "supervisor: timer");
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->timer_fd, &ev) < 0)
        return mui_fail(err, -errno, "supervisor: timer");
    return 0;
}

int mu_supervisor_start(const struct mu_supervisor_options *options,
                        const struct mu_child *children, size_t n_children,
                        struct mu_supervisor **ret_supervisor,
                        struct mu_error *err)
{
    static const struct mu_supervisor_options defaults;
    const struct mu_supervisor_options *o = options ? options : &defaults;
    struct mu_supervisor *s;
    int rc;

    if (o->restarts_max > MUI_RESTARTS_MAX)
        return mui_fail(err, -EINVAL, "supervisor: restarts_max above %d",
                        MUI_RESTARTS_MAX);
    if (o->period_ns < 0)
        return mui_fail(err, -EINVAL, "supervisor: a period below 0");
    s = calloc(1, sizeof *s + n_children * sizeof s->children[0]);
    if (!s)
        return mui_fail(err, -ENOMEM, "supervisor: start");
    policy_init(&s->policy, o);
    s->event = o->event;
    s->event_ctx = o->event_ctx;
    s->n = n_children;
    s->epoll_fd = s->timer_fd = -1;
    rc = watch_init(s, err);
    for (size_t i = 0; i < n_children && rc == 0; i++) {
        rc = spec_copy(&s->children[i], &children[i]);
        if (rc != 0)
            (void)mui_fail(err, rc, "supervisor: start");
    }
    for (size_t i = 0; i < n_children && rc == 0; i++)
        rc = child_start(s, i, err);
    if (rc != 0) {
        mu_supervisor_free(s);
        return rc;
    }
    *ret_supervisor = s;
    return 0;
}

static int give_up(struct mu_supervisor *s, size_t i)
{
    tell(s, MU_CHILD_GIVEN_UP, i, s->children[i].worker, NULL);
    (void)mu_supervisor_stop(s);
    s->has_given_up = true;
    return MU_ECRASHED;
}

/* Child i could not be started again: the lack may be a passing one. */
static void start_later(struct mu_supervisor *s, size_t i)
{
    static const struct itimerspec soon = {.it_value.tv_nsec = RETRY_NS};

    s->children[i].is_due = true;
    (void)timerfd_settime(s->timer_fd, 0, &soon, NULL);
}

/* Stop the others of a decision, backwards, then start all of it, forwards. */
static int restart(struct mu_supervisor *s, size_t i,
                   const struct mui_decision *d)
{
    for (size_t k = d->last; k-- > d->first;) {
        if (child_stop(s, k) != 0)
            return give_up(s, k);
        /* with it also one that had finished before, but none that may never be */
        s->children[k].is_to_start =
            k == i || s->children[k].spec.restart != MU_RESTART_NEVER;
    }
    for (size_t k = d->first; k < d->last && !s->is_stopped; k++) {
        if (s->children[k].is_to_start && child_start(s, k, NULL) != 0) {
            start_later(s, k);
            return 0; /* those behind it wait for it */
        }
    }
    return 0;
}

/* Child i has ended so, or could not be started. */
static int child_decide(struct mu_supervisor *s, size_t i,
                        const struct mu_worker_exit *how)
{
    struct mui_decision d;

    if (s->is_stopped)
        return 0;
    d = mui_policy_decide(&s->policy, i, s->n, s->children[i].spec.restart, how,
                          mu_now_ns());
    switch (d.verdict) {
    case MUI_RESTART:
        return restart(s, i, &d);
    case MUI_GIVE_UP:
        return give_up(s, i);
    default:
        return 0;
    }
}

/* The timer rings: try again with those that could not be started. */
static int retry(struct mu_supervisor *s)
{
    static const struct mu_worker_exit failed = {.end = MU_WORKER_LOST};
    uint64_t rings;
    int rc = 0;

    (void)!read(s->timer_fd, &rings, sizeof rings);
    for (size_t i = 0; i < s->n && rc == 0; i++) {
        if (!s->children[i].is_due)
            continue;
        s->children[i].is_due = false;
        rc = child_decide(s, i, &failed);
    }
    return rc;
}

/* Child i may have ended. */
static int child_look(struct mu_supervisor *s, size_t i)
{
    struct child *c = &s->children[i];
    struct mu_worker_exit how;

    if (!c->worker || mu_worker_join(c->worker, MU_NOW, &how) != 0)
        return 0;
    child_forget(s, i, &how);
    return child_decide(s, i, &how);
}

static bool any_is_left(const struct mu_supervisor *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->children[i].worker || s->children[i].is_due)
            return true;
    }
    return false;
}

static bool any_is_of_nursery(const struct mu_supervisor *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->children[i].worker && s->children[i].worker->is_of_nursery)
            return true;
    }
    return false;
}

int mu_supervisor_run(struct mu_supervisor *supervisor, int64_t deadline)
{
    struct epoll_event events[EVENTS_A_LOOK];
    /* Events to look at once the deadline has passed: as many as were there by then at the
     * most, for epoll tells of those that came later behind them. */
    size_t n_left = supervisor->n + 1;

    if (supervisor->has_given_up)
        return MU_ECRASHED;
    while (any_is_left(supervisor)) {
        bool is_late = mu_now_ns() >= deadline;
        int n_max =
            is_late && n_left < EVENTS_A_LOOK ? (int)n_left : EVENTS_A_LOOK;
        int rc = n_max == 0
                     ? MU_TIMEOUT
                     : mui_worker_wait(supervisor->epoll_fd,
                                       any_is_of_nursery(supervisor), deadline);
        int n;

        if (rc != 0)
            return rc;
        n = epoll_wait(supervisor->epoll_fd, events, n_max, 0);
        if (is_late && n > 0)
            n_left -= (size_t)n;
        for (int k = 0; k < n; k++) {
            size_t i = (size_t)events[k].data.u64;

            rc = i == supervisor->n ? retry(supervisor)
                                    : child_look(supervisor, i);
            if (rc != 0)
                return rc;
        }
    }
    return MU_CLOSED;
}

struct mu_worker *mu_supervisor_child(const struct mu_supervisor *supervisor,
                                      size_t i_child)
{
    return i_child < supervisor->n ? supervisor->children[i_child].worker
                                   : NULL;
}

int mu_supervisor_fd(const struct mu_supervisor *supervisor)
{
    return supervisor->epoll_fd;
}

void mu_supervisor_free(struct mu_supervisor *supervisor)
{
    if (!supervisor)
        return;
    (void)mu_supervisor_stop(supervisor);
    for (size_t i = 0; i < supervisor->n; i++) {
        struct child *c = &supervisor->children[i];

        mu_worker_free(c->worker); /* a thread that was not in time */
        free((void *)(uintptr_t)c->spec.arg);
        free((void *)(uintptr_t)c->spec.options.name);
    }
    if (supervisor->timer_fd >= 0)
        (void)close(supervisor->timer_fd);
    if (supervisor->epoll_fd >= 0)
        (void)close(supervisor->epoll_fd);
    free(supervisor);
}
