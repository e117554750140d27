/* tcp_arrivals.h: who connected to a listener and has not proven the secret yet. All
 * prove it side by side, each in its own time: who is silent or slow costs nobody else
 * anything.
 *
 * At most MUI_ARRIVALS_MAX are let in at a time; more wait in the kernel's queue. When
 * all places are taken, who came first has to leave after `grace_ns`, which is many
 * times what an honest peer takes; else after `proof_ns`. */
#ifndef MUI_CHANNEL_TCP_ARRIVALS_H
#define MUI_CHANNEL_TCP_ARRIVALS_H

#include <stddef.h>
#include <stdint.h>

#include "channel/tcp_secret.h"

enum { MUI_ARRIVALS_MAX = 128 };

struct mui_arrivals;

struct mui_arrivals_terms {
    int listen_sock;    /* does not block; stays the caller's */
    const void *secret; /* outlives them */
    size_t secret_size;
    int64_t proof_ns;
    int64_t grace_ns;
};

/* 0; -ENOMEM. */
int mui_arrivals_new(const struct mui_arrivals_terms *terms,
                     struct mui_arrivals **ret);

/* Hangs up on all of this process. Accepts NULL. */
void mui_arrivals_free(struct mui_arrivals *a);
void mui_arrivals_clear(struct mui_arrivals *a);

/* Take one that has proven it; gives both. 0; MU_TIMEOUT; MU_CLOSED: the listener was;
 * -EACCES: somebody has not proven it, in time or at all, and was hung up on; MU_EMODEL:
 * no secrets in this build; -errno. In a child of fork() none of its parent's. */
int mui_arrivals_take(struct mui_arrivals *a, int64_t deadline, int *ret_sock,
                      struct mui_secret **ret_secret);

/* A descriptor that is ready to read when mui_arrivals_take() has something to do;
 * -errno. */
int mui_arrivals_fd(struct mui_arrivals *a);

#endif
