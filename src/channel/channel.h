/* channel.h: what a transport is: one const table, the only symbol of its file. */
#ifndef MUI_CHANNEL_CHANNEL_H
#define MUI_CHANNEL_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "muster/channel.h"

struct mui_transport;

/* A handle. The transport's state follows it in the same allocation. Sender's and
 * receiver's fields are apart: one of each may be inside at once. */
struct mu_chan {
    const struct mui_transport *ops;
    struct mu_chan_options options; /* all defaults filled in */
    char *address;                  /* owned; NULL while it has none */
    uint32_t n_descriptors_kept;    /* as it was when this was made */
    bool can_send;
    bool can_recv;
    bool is_listener; /* takes connections; sends nothing */
    bool is_closed;   /* mu_chan_close() was called */
    bool is_reserved; /* sender's */
    bool is_borrowed; /* receiver's: a message is lent to the user */
    bool is_kept;     /* receiver's: `kept` was too large, and waits */
    size_t reserved;  /* sender's: bytes reserved */
    struct mu_chan_message kept; /* receiver's */
    _Alignas(64) char state[];
};

/* Called by channel.c only, which checks handle, direction and sizes first. A call
 * that waits does so until `deadline`. Statuses are those of muster/channel.h.
 * send, reserve, commit, flush: one thread at a time; borrow, release, accept:
 * another one at a time; the rest: nobody else inside. */
struct mui_transport {
    const char *scheme; /* "shm" */
    size_t size;        /* bytes of state; given zeroed, 64-byte aligned */

    /* Optional. Fill two handles. `rest` is the address behind the colon. On
     * failure leave states that fini accepts. */
    int (*pair)(struct mu_chan *a, struct mu_chan *b, const char *rest,
                struct mu_error *err);
    /* Optional: as above, one handle. May set c->address. */
    int (*open)(struct mu_chan *c, const char *rest, struct mu_error *err);
    int (*connect)(struct mu_chan *c, const char *rest, int64_t deadline,
                   struct mu_error *err);
    /* Optional. `peer` is a fresh handle with the listener's options. */
    int (*accept)(struct mu_chan *c, struct mu_chan *peer, int64_t deadline,
                  struct mu_error *err);

    int (*send)(struct mu_chan *c, const void *bytes, size_t size,
                unsigned priority, int64_t deadline);
    /* Optional: more than one at a time. */
    int (*send_batch)(struct mu_chan *c, const struct mu_chan_bytes *messages,
                      size_t n, int64_t deadline, size_t *ret_n);
    /* Optional, both. */
    int (*reserve)(struct mu_chan *c, size_t size, int64_t deadline,
                   void **ret_room);
    void (*commit)(struct mu_chan *c, size_t size);
    /* Lend the oldest message. Data is never NULL; *ret may be written on
     * failure too. */
    int (*borrow)(struct mu_chan *c, int64_t deadline,
                  struct mu_chan_message *ret);
    void (*release)(struct mu_chan *c);

    /* A descriptor to poll, of an end that receives or takes connections. */
    int (*fd)(struct mu_chan *c);
    /* Say goodbye. Never waits. 0; MU_TIMEOUT: not yet, and it is called again. What is
     * lent is given back behind it; where a drain of the other side waits for that, it
     * calls mui_chan_drop() first. */
    int (*close)(struct mu_chan *c);
    int (*drain)(struct mu_chan *c, int64_t deadline);
    void (*fini)(struct mu_chan *c);
    /* Optional. */
    uint64_t (*position)(const struct mu_chan *c);
};

extern const struct mui_transport mui_transport_mem;
extern const struct mui_transport mui_transport_shm;
extern const struct mui_transport mui_transport_pipe;
extern const struct mui_transport mui_transport_fifo;
extern const struct mui_transport mui_transport_unix;
extern const struct mui_transport mui_transport_tcp;
extern const struct mui_transport mui_transport_mq;
extern const struct mui_transport mui_transport_file;

/* A handle for this transport with these options (defaults filled in), in no
 * direction yet; NULL without memory. mu_chan_free() gives it back. */
struct mu_chan *mui_chan_new(const struct mui_transport *ops,
                             const struct mu_chan_options *options);

/* Give back what is lent to the user, and what waits for a larger buffer. */
void mui_chan_drop(struct mu_chan *c);

#endif
