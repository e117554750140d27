/* nursery.h: worker processes on request, forked by a process that has one thread
 * and little memory, whatever its host has.
 *
 *     supervisor ----main----> guardian ----guard----> nursery ---> workers
 *         \_________________channel, one a pool__________/
 *
 * The guardian is the supervisor's child and the nursery's parent. It only watches:
 * when the nursery is killed, its workers die with it (parent-death signal), their
 * orphans come to the guardian, which kills them and forks another nursery; a pool
 * connects again. When the guardian is killed, the nursery ends its own workers and
 * takes its place, with a new nursery below: for a pool the two deaths are alike.
 * A guardian that is stopped (SIGSTOP) is no harm until a pool wants a channel or the
 * nursery dies; who wants a channel lets it go on. A stopped nursery is killed instead:
 * its pools wait for it, and only the guardian hears of it. Where the guardian is stopped
 * too, a pool that waits for workers or for word of their end lets both go on.
 *
 * When the supervisor dies or execs, both kill whatever descends from them, and end.
 *
 * The guardian has exit signal 0: the host gets no SIGCHLD of it and its wait(NULL)
 * does not see it. All three live in a process group of their own, so that keys of
 * the terminal reach the host alone. */
#ifndef MUI_PROCESS_NURSERY_H
#define MUI_PROCESS_NURSERY_H

#include <stddef.h>
#include <stdint.h>

#include "muster/base.h"

enum {
    MUI_NURSERY_PLAN_FDS = 4,
    MUI_NURSERY_WORKER_FDS = 4,
    /* of one program at a time; one above that is told so, and closed */
    MUI_NURSERY_CHANNELS_MAX = 256,
    /* who waits for a worker, or for word of its end, rouses the guardian so often */
    MUI_ROUSE_NS = 1000 * 1000 * 1000
};

/* What a worker process starts with; lent for its life. */
struct mui_nursery_start {
    const void *plan; /* as given to mui_nursery_connect() */
    size_t plan_bytes;
    int plan_fds[MUI_NURSERY_PLAN_FDS];
    uint32_t place; /* this and the next as given to mui_nursery_order() */
    int fds[MUI_NURSERY_WORKER_FDS];
};

/* The body of a worker process. Returns its exit status. */
typedef int (*mui_nursery_entry_fn)(const struct mui_nursery_start *start);

enum mui_nursery_news {
    MUI_NURSERY_FORKED = 1, /* `pid`, and `pidfd`, given */
    MUI_NURSERY_FAILED,  /* no process any more: `value` is a negated errno */
    MUI_NURSERY_EXITED,  /* with status `value` */
    MUI_NURSERY_KILLED,  /* by signal `value` */
    MUI_NURSERY_STOPPED, /* by signal `value`; it still lives */
    MUI_NURSERY_FULL /* of no worker: there are too many channels; it hangs up */
};

struct mui_nursery_report {
    uint32_t news; /* enum mui_nursery_news */
    uint32_t id;   /* as in the order */
    int32_t pid;
    int32_t value;
    uint32_t starved; /* the kernel killed in its control group, for memory */
    int64_t cpu_ns;   /* that it used before it ended; 0: not known */
    int pidfd;
};

/* Fork guardian and nursery for good, unless it was done. 0, also where the system has
 * not what they need, which mui_nursery_ref() says; MU_EINIT when there are other
 * threads; -errno. */
int mui_nursery_init(struct mu_error *err);

/* Hold a nursery: the one there is, or a new one, which has the memory of now and
 * ends with the last holder. As above, and -ENOSYS; MU_EMODEL in a sandbox that keeps
 * files. */
int mui_nursery_ref(struct mu_error *err);
void mui_nursery_unref(void);

/* The host closed the descriptors of nursery and pools: wait until all processes have
 * ended, but not for ever: a child of the host may hold copies. */
void mui_nursery_await_end(void);

/* Guardian: what the supervisor has is not ours, nor our children's. */
void mui_nursery_forget_in_child(void);

/* Open a channel to the nursery. Borrows all; at most MUI_NURSERY_PLAN_FDS.
 * Gives *ret_channel, non-blocking to read. 0, or MU_EINIT when there is no nursery
 * any more, or -errno. Any thread. */
int mui_nursery_connect(mui_nursery_entry_fn entry, const void *plan,
                        size_t plan_bytes, const int *fds, unsigned n_fds,
                        int *ret_channel, struct mu_error *err);

/* Let guardian and nursery go on, if they were stopped. Connecting does it too: so it is
 * for those who wait, in case they were stopped meanwhile. */
void mui_nursery_rouse(void);

/* Close a channel: its workers are killed. */
void mui_nursery_disconnect(int channel);

/* The same, but it stays to be closed: what is read from it next is MU_CLOSED. */
void mui_nursery_hang_up(int channel);

/* Ask for a worker process, which gets copies of the descriptors. `id` is for reports,
 * `place` for the worker.
 * 0; -EAGAIN: later; -EPIPE: the nursery has gone. Never blocks. */
int mui_nursery_order(int channel, uint32_t id, uint32_t place, const int *fds,
                      unsigned n_fds);

/* Have the nursery kill a worker, and all below it: it keeps rights that its host may have
 * given up, and no number of its children can be another's. Returns as above. */
int mui_nursery_kill(int channel, uint32_t id);

/* Have it look whether a worker can run no more, and report its end if so, a second later at
 * most: it hears of none that who traces one of its threads keeps to himself. A kill is such a
 * look, too. Returns as above. */
int mui_nursery_look(int channel, uint32_t id);

/* Say that it has too many channels; returns the code, -EMFILE. */
int mui_nursery_say_full(struct mu_error *err);

/* 0; MU_EMPTY; MU_CLOSED: the nursery has gone, and all its workers with it; -EMFILE: the
 * descriptor that came with a report had no room here, and it is lost. */
int mui_nursery_report(int channel, struct mui_nursery_report *ret_report);

#endif
