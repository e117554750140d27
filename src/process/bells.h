/* bells.h: sleep until one of many workers rings.
 *
 * Two kinds of threads wait for the same bells: a layer's own monitor, always, and
 * callers who want an outcome. Waking the monitor to wake the caller would double
 * the price, 30 us each. So the bells are an epoll set of their own, which the
 * monitor's set contains; while a caller sleeps in it, it is switched off there. */
#ifndef MUI_PROCESS_BELLS_H
#define MUI_PROCESS_BELLS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct mui_bells {
    uint64_t number; /* of no others of this process */
    int bells_fd;    /* epoll: bells and kick */
    int monitor_fd;  /* epoll: the set above, poke, and what is added */
    int kick_fd;     /* eventfd: callers return */
    int poke_fd;     /* eventfd: the monitor returns */
    int later_fd;    /* timerfd: the same, later */
    _Atomic uint32_t n_kicks;
    pthread_mutex_t lock; /* of what follows */
    unsigned n_sleepers;
    unsigned n_inside; /* of these, who wait, or are about to */
    unsigned n_owed;   /* of these, who wait since before the kick noted last */
    uint32_t n_noted;  /* kicks, when they were counted last */
};

/* 0 or -errno, and then fini may be called too. */
int mui_bells_init(struct mui_bells *b);
void mui_bells_fini(struct mui_bells *b);

/* Bells: whoever waits sees them. Others: the monitor alone. Any thread. 0 or
 * -errno. */
int mui_bells_add(struct mui_bells *b, int fd, uint64_t id);
int mui_bells_add_other(struct mui_bells *b, int fd, uint64_t id);
void mui_bells_remove(struct mui_bells *b, int fd);
void mui_bells_remove_other(struct mui_bells *b, int fd);

/* Callers: sleep until bells ring, a kick, or the deadline. May return early, and
 * does so once for each kick that this thread has not seen. Returns how many ids
 * it wrote; they are the caller's until mui_bells_rise(), which has to follow. Any
 * threads. */
unsigned mui_bells_sleep(struct mui_bells *b, int64_t deadline_ns,
                         uint64_t *ids, unsigned n_max);
void mui_bells_rise(struct mui_bells *b);

/* The monitor: the same, for bells and others. */
unsigned mui_bells_watch(struct mui_bells *b, int64_t deadline_ns,
                         uint64_t *ids, unsigned n_max);

/* Make callers return, and the monitor. Any thread; signal-safe. */
void mui_bells_kick(struct mui_bells *b);
void mui_bells_poke(struct mui_bells *b);
/* The same after a while: whoever wakes the monitor now may have it put on the CPU that
 * somebody else was woken for. A second time begins the while anew. */
void mui_bells_poke_later(struct mui_bells *b, int64_t delay_ns);

#endif
