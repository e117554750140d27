/* message.c: messages with descriptors over SOCK_SEQPACKET. */
#include "sys/message.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "muster/base.h"

#include "sys/descriptor.h"

union control {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(int) * MUI_MESSAGE_FDS)];
};

int mui_message_pair(int ret_fds[2])
{
    int fds[2];
    int rc = mui_descriptors_above_stdio(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), fds);

    if (rc < 0)
        return rc;
    ret_fds[0] = fds[0];
    ret_fds[1] = fds[1];
    return 0;
}

int mui_message_send(int fd, const struct mui_message *message, int wait)
{
    struct iovec iov = {.iov_base = message->bytes, .iov_len = message->size};
    union control control;
    struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    if (message->n_fds) {
        struct cmsghdr *cmsg;

        memset(&control, 0, sizeof control);
        head.msg_control = control.bytes;
        head.msg_controllen = CMSG_SPACE(sizeof(int) * message->n_fds);
        cmsg = CMSG_FIRSTHDR(&head);
        assert(cmsg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * message->n_fds);
        memcpy(CMSG_DATA(cmsg), message->fds, sizeof(int) * message->n_fds);
    }
    do
        n = sendmsg(fd, &head, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 0;
    return errno == ECONNRESET ? -EPIPE : -errno;
}

static void take_fds(struct msghdr *head, struct mui_message *message)
{
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(head); cmsg;
         cmsg = CMSG_NXTHDR(head, cmsg)) {
        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        message->n_fds =
            (unsigned)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(message->fds, CMSG_DATA(cmsg), sizeof(int) * message->n_fds);
    }
}

/* The kernel looks for messages first and for the end then, and tells of a reset in front
 * of what was sent before it. So the first end is not believed: what came before it is
 * there when we look again. */
static ssize_t receive_or_end(int fd, struct msghdr *head)
{
    const size_t room = head->msg_controllen;
    bool saw_end = false;

    for (;;) {
        ssize_t n;

        head->msg_controllen = room;
        n = recvmsg(fd, head, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (saw_end || n > 0 || (n == 0 && head->msg_controllen > 0) ||
            (n < 0 && errno != ECONNRESET))
            return n;
        saw_end = true;
    }
}

int mui_message_receive(int fd, struct mui_message *message)
{
    struct iovec iov = {.iov_base = message->bytes, .iov_len = message->size};
    union control control;
    struct msghdr head = {.msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof control.bytes};
    ssize_t n;

    message->n_fds = 0;
    n = receive_or_end(fd, &head);
    if (n < 0 && errno == EAGAIN)
        return MU_EMPTY;
    if (n < 0)
        return errno == ECONNRESET ? MU_CLOSED : -errno;
    take_fds(&head, message);
    if (head.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        for (unsigned i = 0; i < message->n_fds; i++)
            (void)close(message->fds[i]);
        message->n_fds = 0;
        return -EMSGSIZE;
    }
    if (n == 0 && message->n_fds == 0)
        return MU_CLOSED; /* nobody sends empty messages */
    message->size = (size_t)n;
    return 0;
}
