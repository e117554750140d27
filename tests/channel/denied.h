/* denied.h: epoll_ctl() in place of the C library's, which fails when a test says so; and
 * what is asked of a channel then. */
#ifndef TEST_CHANNEL_DENIED_H
#define TEST_CHANNEL_DENIED_H

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "muster/channel.h"

#include "support/check.h"

/* The next calls pass, that many, and one is denied; below 0: none. */
static int n_epoll_ctl = -1;

static int is_denied(int *n)
{
    if (*n < 0 || (*n)-- > 0)
        return 0;
    errno = ENOMEM;
    return 1;
}

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    if (is_denied(&n_epoll_ctl))
        return -1;
    return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
}

static int count_descriptors(void)
{
    DIR *all = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(all);
    while (readdir(all))
        n++;
    (void)closedir(all);
    return n;
}

/* A descriptor that is given is one that tells. */
static void tells(struct mu_chan *from, struct mu_chan *to)
{
    struct pollfd p = {.fd = mu_chan_fd(to), .events = POLLIN};
    char byte;
    size_t size;

    assert_true(p.fd >= 0);
    assert_int_equal(mu_chan_recv(to, &byte, 1, MU_NOW, &size), MU_TIMEOUT);
    assert_int_equal(mu_chan_send(from, "x", 1, MU_NOW), 0);
    assert_int_equal(poll(&p, 1, TEST_HANG_NS / 1000000), 1);
    assert_int_equal(p.revents, POLLIN);
    assert_int_equal(mu_chan_recv(to, &byte, 1, MU_NOW, &size), 0);
}

#endif
