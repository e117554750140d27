/* stream.h: messages over a stream of bytes: a pipe or a TCP connection.
 *
 * A frame is a header of 8 bytes, the payload, and zeros up to a multiple of 8, so
 * that payloads stay aligned in the buffer that frames are received into:
 *
 *     |size: 32 bits|kind: 32 bits|payload|zeros|
 *
 * Numbers are little-endian. A coder, where there is one, seals payloads, and with each
 * whether it is a goodbye. */
#ifndef MUI_CHANNEL_STREAM_H
#define MUI_CHANNEL_STREAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel/channel.h"
#include "channel/wait.h"

#define MUI_FRAME_HEADER 8
#define MUI_CODER_MORE   64 /* bytes that sealing adds, at most */

/* Seals and opens payloads in order. A goodbye opens as nothing else, nor anything else
 * as one. */
struct mui_coder {
    /* Seal `size` bytes into `ret`, which has room for MUI_CODER_MORE more. */
    size_t (*seal)(void *ctx, bool is_bye, const void *bytes, size_t size,
                   void *ret);
    /* Open in place. The size of what was sealed; -1: not from our peer. */
    int64_t (*open)(void *ctx, bool is_bye, void *bytes, size_t size);
    /* Whether that is a goodbye of our peer, without opening it or what came before:
     * for who only sends, beside whom somebody else may open. */
    bool (*is_bye)(void *ctx, const void *bytes, size_t size);
};

struct mui_stream {
    const struct mu_chan_options *options;
    const struct mui_coder *coder; /* optional */
    void *coder_ctx;
    int in_fd;  /* -1: none */
    int out_fd; /* -1: none; a socket is both */
    bool is_socket;

    /* sender's */
    struct mui_buffer rest; /* of a frame that did not go out whole */
    size_t rest_at;
    size_t rest_end;
    struct mui_buffer sealed;
    int out_error;
    bool said_bye; /* it has gone out, or is in `rest` */

    /* receiver's */
    struct mui_buffer in;
    size_t at;   /* the next frame begins here */
    size_t end;  /* bytes received end here */
    size_t lent; /* bytes of the frame that is lent */
    int in_error;
    /* the receiver sets it, the sender reads: what came last is a goodbye */
    _Atomic bool has_bye;
};

void mui_stream_init(struct mui_stream *s, const struct mu_chan_options *o,
                     int in_fd, int out_fd, bool is_socket);
/* Closes the descriptors. */
void mui_stream_fini(struct mui_stream *s);
/* Of a pipe that is read here: whose writer is to be told that it is read no more. */
void mui_stream_stop_reading(struct mui_stream *s);

/* The slots of a transport whose state begins with a struct mui_stream. */
int mui_stream_send(struct mu_chan *c, const void *bytes, size_t size,
                    unsigned priority, int64_t deadline);
int mui_stream_send_batch(struct mu_chan *c,
                          const struct mu_chan_bytes *messages, size_t n,
                          int64_t deadline, size_t *ret_n);
int mui_stream_borrow(struct mu_chan *c, int64_t deadline,
                      struct mu_chan_message *ret);
void mui_stream_release(struct mu_chan *c);
int mui_stream_fd(struct mu_chan *c);
int mui_stream_close(struct mu_chan *c);
int mui_stream_drain(struct mu_chan *c, int64_t deadline);
void mui_stream_slot_fini(struct mu_chan *c);

#define MUI_STREAM_SLOTS                                                       \
    .send = mui_stream_send, .send_batch = mui_stream_send_batch,              \
    .borrow = mui_stream_borrow, .release = mui_stream_release,                \
    .fd = mui_stream_fd, .close = mui_stream_close, .drain = mui_stream_drain, \
    .fini = mui_stream_slot_fini

static inline struct mui_stream *mui_stream_of(const struct mu_chan *c)
{
    return (struct mui_stream *)(void *)(uintptr_t)c->state;
}

#endif
