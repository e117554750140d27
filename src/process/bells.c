/* bells.c: two epoll sets, one in the other. */
#include "process/bells.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "muster/base.h"

#include "sys/descriptor.h"

/* Ids of our own descriptors. */
static const uint64_t id_kick = UINT64_MAX;
static const uint64_t id_poke = UINT64_MAX - 1;
static const uint64_t id_later = UINT64_MAX - 2;
static const uint64_t id_bells = UINT64_MAX - 3;

enum { EVENTS_MAX = 64 };

/* The kick that this thread has seen, and of which bells: others may lie where they
 * did. */
static _Thread_local struct {
    uint64_t number;
    uint32_t n_kicks;
} seen;

static _Atomic uint64_t n_bells; /* of this process, ever */

static int control(int epoll_fd, int op, int fd, uint32_t events, uint64_t id)
{
    struct epoll_event event = {.events = events, .data.u64 = id};

    return epoll_ctl(epoll_fd, op, fd, &event) < 0 ? -errno : 0;
}

int mui_bells_init(struct mui_bells *b)
{
    int rc;

    /* relaxed: no two are the same, and none is 0 */
    b->number =
        atomic_fetch_add_explicit(&n_bells, 1, memory_order_relaxed) + 1;
    b->bells_fd = mui_descriptor_above_stdio(epoll_create1(EPOLL_CLOEXEC));
    b->monitor_fd = mui_descriptor_above_stdio(epoll_create1(EPOLL_CLOEXEC));
    b->kick_fd =
        mui_descriptor_above_stdio(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    b->poke_fd =
        mui_descriptor_above_stdio(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    b->later_fd = mui_descriptor_above_stdio(
        timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    (void)pthread_mutex_init(&b->lock, NULL);
    if (b->bells_fd < 0 || b->monitor_fd < 0 || b->kick_fd < 0 ||
        b->poke_fd < 0 || b->later_fd < 0)
        return -errno;
    rc = control(b->bells_fd, EPOLL_CTL_ADD, b->kick_fd, EPOLLIN, id_kick);
    if (rc == 0)
        rc =
            control(b->monitor_fd, EPOLL_CTL_ADD, b->poke_fd, EPOLLIN, id_poke);
    if (rc == 0)
        rc = control(b->monitor_fd, EPOLL_CTL_ADD, b->later_fd, EPOLLIN,
                     id_later);
    if (rc == 0)
        rc = control(b->monitor_fd, EPOLL_CTL_ADD, b->bells_fd, EPOLLIN,
                     id_bells);
    return rc;
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

void mui_bells_fini(struct mui_bells *b)
{
    close_if_open(b->bells_fd);
    close_if_open(b->monitor_fd);
    close_if_open(b->kick_fd);
    close_if_open(b->poke_fd);
    close_if_open(b->later_fd);
    (void)pthread_mutex_destroy(&b->lock);
}

int mui_bells_add(struct mui_bells *b, int fd, uint64_t id)
{
    return control(b->bells_fd, EPOLL_CTL_ADD, fd, EPOLLIN, id);
}

int mui_bells_add_other(struct mui_bells *b, int fd, uint64_t id)
{
    return control(b->monitor_fd, EPOLL_CTL_ADD, fd, EPOLLIN, id);
}

void mui_bells_remove(struct mui_bells *b, int fd)
{
    (void)control(b->bells_fd, EPOLL_CTL_DEL, fd, 0, 0);
}

void mui_bells_remove_other(struct mui_bells *b, int fd)
{
    (void)control(b->monitor_fd, EPOLL_CTL_DEL, fd, 0, 0);
}

static int wait_events(int epoll_fd, struct epoll_event *events, int n_max,
                       int64_t deadline_ns)
{
    struct timespec delay;
    int64_t left = deadline_ns - mu_now_ns();
    int n;

    if (deadline_ns == MU_NEVER)
        return epoll_wait(epoll_fd, events, n_max, -1);
    if (left < 0)
        left = 0;
    delay.tv_sec = (time_t)(left / 1000000000);
    delay.tv_nsec = (long)(left % 1000000000);
    n = epoll_pwait2(epoll_fd, events, n_max, &delay, NULL);
    /* before 5.11; EPERM: seccomp profiles of containers that do not know it */
    if (n < 0 && (errno == ENOSYS || errno == EPERM)) {
        left = (left + 999999) / 1000000;
        n = epoll_wait(epoll_fd, events, n_max,
                       left < INT_MAX ? (int)left : INT_MAX);
    }
    return n;
}

static void drain(int fd)
{
    uint64_t value;

    (void)!read(fd, &value, sizeof value);
}

static void ring(int fd)
{
    const uint64_t one = 1;
    int saved = errno;

    (void)!write(fd, &one, sizeof one);
    errno = saved;
}

/* Under the lock: whoever waits is owed a return for a kick that is new. */
static uint32_t note_kicks(struct mui_bells *b)
{
    /* acquire: what the kick is for is visible */
    uint32_t n = atomic_load_explicit(&b->n_kicks, memory_order_acquire);

    if (n != b->n_noted) {
        b->n_noted = n;
        b->n_owed = b->n_inside;
    }
    return n;
}

/* Under the lock: silence a kick for which all have returned, so that those who wait anew
 * are not disturbed; until then it is heard. One that was silenced before its number was
 * noted is rung again; one whose number is not there yet rings later, by itself. */
static void clear_kick(struct mui_bells *b)
{
    if (b->n_owed)
        return;
    drain(b->kick_fd);
    (void)note_kicks(b);
    if (b->n_owed)
        ring(b->kick_fd);
}

/* Whether there was a kick since this thread looked last. */
static bool is_kicked(const struct mui_bells *b, uint32_t n_kicks)
{
    bool kicked = seen.number != b->number || seen.n_kicks != n_kicks;

    seen.number = b->number;
    seen.n_kicks = n_kicks;
    return kicked;
}

/* The monitor has the bells, unless somebody sleeps for them. Returns whether to wait. */
static bool begin_sleep(struct mui_bells *b)
{
    bool waits;

    (void)pthread_mutex_lock(&b->lock);
    if (b->n_sleepers++ == 0)
        (void)control(b->monitor_fd, EPOLL_CTL_MOD, b->bells_fd, 0, id_bells);
    waits = !is_kicked(b, note_kicks(b));
    b->n_inside += waits;
    (void)pthread_mutex_unlock(&b->lock);
    return waits;
}

static void end_wait(struct mui_bells *b)
{
    (void)pthread_mutex_lock(&b->lock);
    if (is_kicked(b, note_kicks(b)))
        b->n_owed--;
    b->n_inside--;
    (void)pthread_mutex_unlock(&b->lock);
}

static unsigned keep_ids(const struct epoll_event *events, int n, uint64_t *ids)
{
    unsigned n_ids = 0;

    for (int i = 0; i < n; i++)
        if (events[i].data.u64 < id_bells)
            ids[n_ids++] = events[i].data.u64;
    return n_ids;
}

unsigned mui_bells_sleep(struct mui_bells *b, int64_t deadline_ns,
                         uint64_t *ids, unsigned n_max)
{
    struct epoll_event events[EVENTS_MAX];
    int n = 0;

    if (begin_sleep(b)) {
        n = wait_events(b->bells_fd, events,
                        n_max < EVENTS_MAX ? (int)n_max : EVENTS_MAX,
                        deadline_ns);
        end_wait(b);
    }
    return keep_ids(events, n, ids);
}

void mui_bells_rise(struct mui_bells *b)
{
    (void)pthread_mutex_lock(&b->lock);
    clear_kick(b);
    if (--b->n_sleepers == 0)
        (void)control(b->monitor_fd, EPOLL_CTL_MOD, b->bells_fd, EPOLLIN,
                      id_bells);
    (void)pthread_mutex_unlock(&b->lock);
}

unsigned mui_bells_watch(struct mui_bells *b, int64_t deadline_ns,
                         uint64_t *ids, unsigned n_max)
{
    struct epoll_event events[EVENTS_MAX];
    int max = n_max < EVENTS_MAX ? (int)n_max : EVENTS_MAX;
    int n = wait_events(b->monitor_fd, events, max, deadline_ns);
    unsigned n_ids = keep_ids(events, n, ids);
    bool rang = false;

    for (int i = 0; i < n; i++) {
        if (events[i].data.u64 == id_poke)
            drain(b->poke_fd);
        if (events[i].data.u64 == id_later)
            drain(b->later_fd);
        rang |= events[i].data.u64 == id_bells;
    }
    if (rang && (int)n_ids < max) {
        n = wait_events(b->bells_fd, events, max - (int)n_ids, MU_NOW);
        for (int i = 0; i < n; i++)
            if (events[i].data.u64 == id_kick) {
                (void)pthread_mutex_lock(&b->lock);
                clear_kick(b);
                (void)pthread_mutex_unlock(&b->lock);
            }
        n_ids += keep_ids(events, n, ids + n_ids);
    }
    return n_ids;
}

void mui_bells_kick(struct mui_bells *b)
{
    /* release, pairs with is_kicked() */
    atomic_fetch_add_explicit(&b->n_kicks, 1, memory_order_release);
    ring(b->kick_fd);
}

void mui_bells_poke(struct mui_bells *b)
{
    ring(b->poke_fd);
}

void mui_bells_poke_later(struct mui_bells *b, int64_t delay_ns)
{
    const struct itimerspec when = {.it_value = {.tv_nsec = delay_ns}};

    (void)timerfd_settime(b->later_fd, 0, &when, NULL);
}
