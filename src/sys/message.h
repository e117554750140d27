/* message.h: whole messages with descriptors, between processes that are related.
 * See unix(7), SOCK_SEQPACKET and SCM_RIGHTS. */
#ifndef MUI_SYS_MESSAGE_H
#define MUI_SYS_MESSAGE_H

#include <stddef.h>

enum { MUI_MESSAGE_FDS = 8 };

struct mui_message {
    void *bytes;
    size_t size; /* to receive: the most; received: what came */
    int fds[MUI_MESSAGE_FDS];
    unsigned n_fds;
};

/* A connected pair, close-on-exec. 0 or -errno. */
int mui_message_pair(int ret_fds[2]);

/* Borrows all. Never raises SIGPIPE. 0; -EAGAIN when `wait` is 0 and there is no
 * room; -EPIPE when the other side is gone; -errno. */
int mui_message_send(int fd, const struct mui_message *message, int wait);

/* Fill message->bytes and fds (given, close-on-exec), without waiting. 0; MU_EMPTY when
 * nothing is there; MU_CLOSED when the other side is gone; -EMSGSIZE for one that does not
 * fit, which is dropped; -errno. */
int mui_message_receive(int fd, struct mui_message *message);

#endif
